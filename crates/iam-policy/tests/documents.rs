//! Policies of AWS's documentation, and what is none.

use std::collections::BTreeMap;

use iam_policy::{Context, Decision, Kind, Policy, Request, decide};
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Default)]
struct Of(BTreeMap<String, Vec<String>>);

impl Context for Of {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        self.0.get(key).cloned()
    }
}

fn of(pairs: &[(&str, &[&str])]) -> Of {
    let list = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
    Of(pairs.iter().map(|(key, values)| ((*key).to_owned(), list(values))).collect())
}

fn policy(statement: Value) -> Policy {
    let document = json!({"Version": "2012-10-17", "Statement": statement});
    Policy::parse(&document.to_string(), Kind::Identity).unwrap_or_else(|why| panic!("{why}: {document}"))
}

fn says(policy: &Policy, action: &str, resource: &str, context: &Of) -> Decision {
    decide([policy], &Request::new(action, &[resource], context))
}

const ALLOWED: Decision = Decision::Allowed;
const DENIED: Decision = Decision::Denied;
const NOT_ALLOWED: Decision = Decision::NotAllowed;

#[test]
fn actions_and_resources() {
    let none = Of::default();
    for (statement, action, resource, wanted) in [
        (json!({"Effect": "Allow", "Action": "*", "Resource": "*"}), "iam:CreateUser", "*", ALLOWED),
        (json!({"Effect": "Allow", "Action": "S3:get*", "Resource": "*"}), "s3:GetObject", "arn:aws:s3:::b/k", ALLOWED),
        (
            json!({"Effect": "Allow", "Action": "s3:Get?bject", "Resource": "arn:aws:s3:::b/*"}),
            "s3:GetObject",
            "arn:aws:s3:::b/a/b",
            ALLOWED,
        ),
        (
            json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}),
            "s3:GetObject",
            "arn:aws:s3:::b",
            NOT_ALLOWED,
        ),
        (
            json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::B/*"}),
            "s3:GetObject",
            "arn:aws:s3:::b/k",
            NOT_ALLOWED,
        ),
        (
            json!({"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"]}),
            "s3:GetObject",
            "arn:aws:s3:::b/k",
            ALLOWED,
        ),
        (
            json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}),
            "s3:GetObject",
            "arn:aws:s3:::b/k",
            ALLOWED,
        ),
        (json!({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}), "iam:ListUsers", "*", NOT_ALLOWED),
        (
            json!({"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::secret/*"}),
            "s3:GetObject",
            "arn:aws:s3:::b/k",
            ALLOWED,
        ),
        (
            json!({"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::secret/*"}),
            "s3:GetObject",
            "arn:aws:s3:::secret/k",
            NOT_ALLOWED,
        ),
        (
            json!([{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"}]),
            "s3:DeleteObject",
            "arn:aws:s3:::b/k",
            DENIED,
        ),
        (json!([]), "s3:GetObject", "arn:aws:s3:::b/k", NOT_ALLOWED),
        (
            json!({"Effect": "Allow", "Action": "apigateway:PATCH", "Resource": "arn:aws:apigateway:*::/domainnames/*.example.com"}),
            "apigateway:PATCH",
            "arn:aws:apigateway:eu-west-1::/domainnames/api.example.com",
            ALLOWED,
        ),
    ] {
        assert_eq!(
            says(&policy(statement.clone()), action, resource, &none),
            wanted,
            "{statement} {action} {resource}"
        );
    }
}

/// A home directory for each user, as in "IAM policy elements: Variables and tags".
#[test]
fn variables() {
    let statements = json!([
        {"Action": ["s3:ListBucket"], "Effect": "Allow", "Resource": ["arn:aws:s3:::mybucket"],
         "Condition": {"StringLike": {"s3:prefix": ["${aws:username}/*"]}}},
        {"Action": ["s3:GetObject", "s3:PutObject"], "Effect": "Allow", "Resource": ["arn:aws:s3:::mybucket/${aws:username}/*"]}
    ]);
    let home = policy(statements.clone());
    let alice = of(&[("aws:username", &["alice"]), ("s3:prefix", &["alice/x"])]);
    assert_eq!(says(&home, "s3:GetObject", "arn:aws:s3:::mybucket/alice/k", &alice), ALLOWED);
    assert_eq!(says(&home, "s3:GetObject", "arn:aws:s3:::mybucket/bob/k", &alice), NOT_ALLOWED);
    assert_eq!(says(&home, "s3:ListBucket", "arn:aws:s3:::mybucket", &alice), ALLOWED);
    assert_eq!(
        says(&home, "s3:ListBucket", "arn:aws:s3:::mybucket", &of(&[("aws:username", &["alice"])])),
        NOT_ALLOWED
    );
    // A name is no pattern, and who has no name has no home.
    assert_eq!(
        says(&home, "s3:GetObject", "arn:aws:s3:::mybucket/bob/k", &of(&[("aws:username", &["*"])])),
        NOT_ALLOWED
    );
    assert_eq!(says(&home, "s3:GetObject", "arn:aws:s3:::mybucket//k", &Of::default()), NOT_ALLOWED);
    assert_eq!(home.context_keys().into_iter().collect::<Vec<_>>(), ["aws:username", "s3:prefix"]);
    // Version 2008-10-17 has no variables.
    let old = json!({"Statement": statements}).to_string();
    let old = Policy::parse(&old, Kind::Identity).unwrap();
    assert_eq!(says(&old, "s3:GetObject", "arn:aws:s3:::mybucket/alice/k", &alice), NOT_ALLOWED);
    assert_eq!(says(&old, "s3:GetObject", "arn:aws:s3:::mybucket/${aws:username}/k", &alice), ALLOWED);
}

#[test]
fn conditions() {
    let request = of(&[
        ("aws:sourceip", &["203.0.113.7"]),
        ("aws:currenttime", &["2026-06-01T12:00:00Z"]),
        ("aws:securetransport", &["true"]),
        ("aws:principaltag/team", &["Blue"]),
        ("aws:tagkeys", &["env", "team"]),
        ("aws:principalarn", &["arn:aws:iam::123456789012:user/eng/alice"]),
        ("s3:max-keys", &["10"]),
        ("aws:multifactorauthage", &["300"]),
    ]);
    for (operator, key, values, wanted) in [
        ("StringEquals", "aws:PrincipalTag/team", json!("Blue"), true),
        ("StringEquals", "aws:PrincipalTag/team", json!("blue"), false),
        ("StringEquals", "aws:PrincipalTag/team", json!(["Red", "Blue"]), true),
        ("StringEquals", "aws:PrincipalTag/other", json!("Blue"), false),
        ("StringEqualsIfExists", "aws:PrincipalTag/other", json!("Blue"), true),
        ("StringEqualsIfExists", "aws:PrincipalTag/team", json!("Red"), false),
        ("StringNotEquals", "aws:PrincipalTag/team", json!(["Red", "Blue"]), false),
        ("StringNotEquals", "aws:PrincipalTag/team", json!(["Red", "Green"]), true),
        ("StringNotEquals", "aws:PrincipalTag/other", json!("Blue"), true),
        ("StringEqualsIgnoreCase", "AWS:principaltag/TEAM", json!("BLUE"), true),
        ("StringNotEqualsIgnoreCase", "aws:PrincipalTag/team", json!("BLUE"), false),
        ("StringLike", "aws:PrincipalTag/team", json!("B*e"), true),
        ("StringEquals", "aws:PrincipalTag/team", json!("B*e"), false),
        ("StringNotLike", "aws:PrincipalTag/team", json!("B*e"), false),
        ("StringEquals", "aws:PrincipalTag/team", json!("${aws:PrincipalTag/team}"), true),
        ("NumericLessThanEquals", "s3:max-keys", json!("10"), true),
        ("NumericLessThan", "s3:max-keys", json!(10), false),
        ("NumericGreaterThan", "s3:max-keys", json!("9.5"), true),
        ("NumericNotEquals", "s3:max-keys", json!("10.0"), false),
        ("NumericEquals", "aws:PrincipalTag/team", json!("1"), false),
        ("DateGreaterThan", "aws:CurrentTime", json!("2026-01-01T00:00:00Z"), true),
        ("DateLessThan", "aws:CurrentTime", json!("2026-06-01"), false),
        ("DateLessThanEquals", "aws:CurrentTime", json!("2026-06-01T12:00Z"), true),
        ("DateEquals", "aws:CurrentTime", json!("1780315200"), true),
        ("Bool", "aws:SecureTransport", json!(true), true),
        ("Bool", "aws:SecureTransport", json!("false"), false),
        ("BoolIfExists", "aws:MultiFactorAuthPresent", json!("true"), true),
        ("IpAddress", "aws:SourceIp", json!("203.0.113.0/24"), true),
        ("IpAddress", "aws:SourceIp", json!(["2001:DB8::/32", "203.0.113.7"]), true),
        ("IpAddress", "aws:SourceIp", json!("203.0.112.0/24"), false),
        ("NotIpAddress", "aws:SourceIp", json!("203.0.112.0/24"), true),
        ("ArnLike", "aws:PrincipalArn", json!("arn:aws:iam::*:user/eng/*"), true),
        ("ArnLike", "aws:PrincipalArn", json!("arn:aws:iam:*:user/eng/*"), false),
        ("ArnEquals", "aws:PrincipalArn", json!("arn:aws:iam::123456789012:user/*"), true),
        ("ArnNotLike", "aws:PrincipalArn", json!("arn:aws:iam::123456789012:user/*"), false),
        ("Null", "aws:TokenIssueTime", json!("true"), true),
        ("Null", "aws:SourceIp", json!("true"), false),
        ("Null", "aws:SourceIp", json!(false), true),
        ("ForAllValues:StringEquals", "aws:TagKeys", json!(["env", "team", "x"]), true),
        ("ForAllValues:StringEquals", "aws:TagKeys", json!(["env"]), false),
        ("ForAllValues:StringEquals", "aws:Missing", json!(["env"]), true),
        ("ForAnyValue:StringEquals", "aws:TagKeys", json!(["env"]), true),
        ("ForAnyValue:StringEquals", "aws:TagKeys", json!(["x"]), false),
        ("ForAnyValue:StringEquals", "aws:Missing", json!(["x"]), false),
        ("ForAnyValue:StringEqualsIfExists", "aws:Missing", json!(["x"]), true),
        ("ForAnyValue:StringNotEquals", "aws:TagKeys", json!(["env"]), true),
        ("ForAllValues:StringNotEquals", "aws:TagKeys", json!(["env"]), false),
        ("ForAllValues:StringLike", "aws:TagKeys", json!(["e*", "t*"]), true),
    ] {
        let condition = json!({operator: {key: values}});
        let policy = policy(json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}));
        let found = says(&policy, "s3:GetObject", "*", &request);
        assert_eq!(found, if wanted { ALLOWED } else { NOT_ALLOWED }, "{condition}");
    }
}

#[test]
fn conditions_hold_all_together() {
    let both = json!({"StringEquals": {"a:x": "1", "a:y": "2"}, "Null": {"a:z": "true"}});
    let policy = policy(json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": both}));
    for (pairs, wanted) in [
        (&[("a:x", &["1"][..]), ("a:y", &["2"][..])][..], ALLOWED),
        (&[("a:x", &["1"][..])][..], NOT_ALLOWED),
        (&[("a:x", &["1"][..]), ("a:y", &["2"][..]), ("a:z", &["3"][..])][..], NOT_ALLOWED),
    ] {
        assert_eq!(says(&policy, "s3:GetObject", "*", &of(pairs)), wanted, "{pairs:?}");
    }
}

#[test]
fn trust() {
    let document = |principal: Value| json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}});
    let alice = "arn:aws:iam::123456789012:user/alice";
    for (principal, wanted) in [
        (json!("*"), ALLOWED),
        (json!({"AWS": "*"}), ALLOWED),
        (json!({"AWS": alice}), ALLOWED),
        (json!({"AWS": ["arn:aws:iam::123456789012:user/bob", alice]}), ALLOWED),
        (json!({"AWS": "123456789012"}), ALLOWED),
        (json!({"AWS": "arn:aws:iam::123456789012:root"}), ALLOWED),
        (json!({"AWS": "999999999999"}), NOT_ALLOWED),
        (json!({"AWS": "arn:aws:iam::123456789012:user/alice2"}), NOT_ALLOWED),
        (json!({"Service": "lambda.amazonaws.com"}), NOT_ALLOWED),
    ] {
        let policy = Policy::parse(&document(principal.clone()).to_string(), Kind::Trust).unwrap();
        let names = [alice, "arn:aws:iam::123456789012:root"];
        let none = Of::default();
        let request = Request::new("sts:AssumeRole", &[], &none).by(&names);
        assert_eq!(policy.decide(&request), wanted, "{principal}");
    }
    for (principal, told) in [
        (json!({"AWS": "alice"}), "Invalid principal in policy: \"AWS\":\"alice\""),
        (json!({"AWS": "arn:aws:iam::123456789012:user/*"}), "Invalid principal in policy"),
        (json!({"User": alice}), "Invalid principal in policy: \"User\""),
        (json!("alice"), "Principal must be"),
    ] {
        let error = Policy::parse(&document(principal).to_string(), Kind::Trust).unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
}

#[test]
fn what_is_no_policy_is_told() {
    let good = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
    let with = |name: &str, value: Value| {
        let mut statement = good.clone();
        statement[name] = value;
        json!({"Version": "2012-10-17", "Statement": [good.clone(), statement]}).to_string()
    };
    let without = |name: &str| {
        let mut statement = good.clone();
        statement.as_object_mut().unwrap().remove(name);
        json!({"Statement": statement}).to_string()
    };
    for (document, told) in [
        ("{".to_owned(), "Syntax errors in policy. EOF while parsing an object at line 1 column 1"),
        ("[]".to_owned(), "Syntax errors in policy. A policy is a JSON object"),
        ("{\"Statement\": [], \"Statement\": []}".to_owned(), "Syntax errors in policy. Statement stands here twice"),
        (json!({"Statement": [], "x": 1}).to_string(), "Syntax errors in policy. A policy has no element x"),
        (
            json!({"Version": "2012-10-18", "Statement": []}).to_string(),
            "Policy document must be version 2012-10-17 or greater.",
        ),
        (json!({"Version": "2012-10-17"}).to_string(), "Syntax errors in policy. A policy needs a Statement"),
        (without("Effect"), "Syntax errors in policy. Effect must be Allow or Deny (Statement 1)"),
        (without("Action"), "Policy statement must contain actions. (Statement 1)"),
        (without("Resource"), "Policy statement must contain resources. (Statement 1)"),
        (with("Effect", json!("allow")), "Syntax errors in policy. Effect must be Allow or Deny (Statement 2)"),
        (
            with("Action", json!("GetObject")),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: GetObject",
        ),
        (with("Action", json!("s*:Get")), "Vendor s* is not valid (Statement 2)"),
        (with("Action", json!("s3:")), "Action s3: is not valid"),
        (with("Action", json!([])), "Syntax errors in policy. Action is a text or a list of texts"),
        (with("NotAction", json!("s3:*")), "Syntax errors in policy. A statement has Action or NotAction, not both"),
        (with("Resource", json!("my-bucket")), "Resource my-bucket must be in ARN format or \"*\"."),
        (with("Resource", json!("arn:aws:s3:::b/${aws:username")), "Syntax errors in policy. the variable in"),
        (with("Principal", json!("*")), "Policy document should not specify a principal. (Statement 2)"),
        (with("Sid", json!("a b")), "Statement IDs (SID) must be alpha-numeric."),
        (with("Extra", json!(1)), "Syntax errors in policy. A statement has no element Extra"),
        (
            with("Condition", json!({"StringEqual": {"a:b": "c"}})),
            "Syntax errors in policy. There is no condition operator StringEqual (Statement 2)",
        ),
        (
            with("Condition", json!({"ForSomeValues:StringEquals": {"a:b": "c"}})),
            "Syntax errors in policy. There is no condition operator",
        ),
        (
            with("Condition", json!({"NullIfExists": {"a:b": "true"}})),
            "Syntax errors in policy. There is no condition operator",
        ),
        (
            with("Condition", json!({"NumericEquals": {"a:b": "ten"}})),
            "Syntax errors in policy. NumericEquals of a:b: \"ten\" is no number",
        ),
        (
            with("Condition", json!({"DateEquals": {"a:b": "soon"}})),
            "Syntax errors in policy. DateEquals of a:b: \"soon\" is no date",
        ),
        (
            with("Condition", json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}})),
            "Syntax errors in policy. IpAddress of aws:SourceIp:",
        ),
        (with("Condition", json!({"Bool": {"a:b": "yes"}})), "Syntax errors in policy. Bool of a:b:"),
        (
            with("Condition", json!({"StringEquals": {"username": "c"}})),
            "Actions/Conditions must be prefaced by a vendor",
        ),
        (with("Condition", json!({"StringEquals": "c"})), "Syntax errors in policy. StringEquals is no object"),
        (
            with("Condition", json!({"StringEquals": {"a:b": {}}})),
            "Syntax errors in policy. StringEquals of a:b: a value is",
        ),
    ] {
        let error = Policy::parse(&document, Kind::Identity).unwrap_err().to_string();
        assert!(error.starts_with(told), "{document}: {error}");
    }
    let twice = json!({"Statement": [{"Sid": "a", "Effect": "Allow", "Action": "*", "Resource": "*"},
                                     {"Sid": "a", "Effect": "Allow", "Action": "*", "Resource": "*"}]});
    assert!(Policy::parse(&twice.to_string(), Kind::Identity).is_err());
}

proptest! {
    /// Whatever else is said: who denies wins, and adding an Allow never takes anything away.
    #[test]
    fn a_denial_wins(statements in proptest::collection::vec((any::<bool>(), "[sa*]", "[xy*]"), 0..6), action in "[sa]", resource in "[xy]") {
        let all: Vec<Value> = statements.iter().map(|(allow, action, resource)| json!({
            "Effect": if *allow { "Allow" } else { "Deny" }, "Action": format!("t:{action}"), "Resource": format!("arn:aws:t:::{resource}"),
        })).collect();
        let about = |(_, a, r): &&(bool, String, String)| (*a == action || a == "*") && (*r == resource || r == "*");
        let (denied, allowed) = (statements.iter().filter(about).any(|(allow, ..)| !allow), statements.iter().filter(about).any(|(allow, ..)| *allow));
        let wanted = if denied { DENIED } else if allowed { ALLOWED } else { NOT_ALLOWED };
        let resource = format!("arn:aws:t:::{resource}");
        prop_assert_eq!(says(&policy(all.into()), &format!("t:{action}"), &resource, &Of::default()), wanted);
    }

    #[test]
    fn nothing_makes_it_panic(text in ".{0,200}") {
        let _ = Policy::parse(&text, Kind::Identity);
    }
}
