//! IAM policies that authorizers return.
//!
//! Source: "Output from an API Gateway Lambda authorizer", API Gateway developer guide; "IAM JSON policy elements reference", IAM
//! user guide. What is not read here (conditions, `NotAction`, `NotResource`, principals) makes a policy unusable: leaving it
//! out could let somebody in.

use serde::Deserialize;

/// What is asked.
const INVOKE: &str = "execute-api:Invoke";

/// Who may call what.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Policy {
    #[serde(default, rename = "Version")]
    _version: Option<String>,
    #[serde(default, rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<Statement>,
}

/// What comes of it for a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    /// Something says that it may not be.
    Denied,
    /// Nothing says that it may.
    NotAllowed,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(default, rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    action: OneOrMany<String>,
    resource: OneOrMany<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl Policy {
    /// Whether a route may be invoked. One denial outweighs all that allows.
    pub(super) fn decide(&self, route_arn: &str) -> Decision {
        let mut decision = Decision::NotAllowed;
        for statement in self.statement.iter().filter(|statement| statement.is_about(route_arn)) {
            match statement.effect {
                Effect::Deny => return Decision::Denied,
                Effect::Allow => decision = Decision::Allowed,
            }
        }
        decision
    }
}

impl Statement {
    fn is_about(&self, route_arn: &str) -> bool {
        let is_action = |pattern: &String| matches(&pattern.to_ascii_lowercase(), &INVOKE.to_ascii_lowercase());
        self.action.iter().any(is_action) && self.resource.iter().any(|pattern| matches(pattern, route_arn))
    }
}

impl<T> OneOrMany<T> {
    fn iter(&self) -> impl Iterator<Item = &T> {
        match self {
            Self::One(one) => std::slice::from_ref(one).iter(),
            Self::Many(many) => many.iter(),
        }
    }
}

/// `*` stands for any text, `?` for one character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut from) = (0, 0);
    // Where the last `*` was, and up to where it has been taken to stand for something.
    let mut star = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[from] => (at, from) = (at + 1, from + 1),
            _ => {
                let Some((of_star, taken)) = star else { return false };
                star = Some((of_star, taken + 1));
                (at, from) = (of_star + 1, taken + 1);
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/orders/7";

    fn decide(statement: serde_json::Value) -> Decision {
        let policy = json!({"Version": "2012-10-17", "Statement": statement});
        serde_json::from_value::<Policy>(policy).unwrap().decide(ARN)
    }

    #[test]
    fn wildcards() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("a*b*c", "aXbYbZc", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("", "", true),
            ("", "a", false),
            ("a**", "a", true),
            ("*a", "ba", true),
            ("*a", "ab", false),
        ] {
            assert_eq!(matches(pattern, text), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn denials_outweigh_what_allows() {
        let of = |effect: &str, action: &str, resource: &str| json!({"Effect": effect, "Action": action, "Resource": resource});
        let invoke = "execute-api:Invoke";
        for (statement, wanted) in [
            (of("Allow", invoke, ARN), Decision::Allowed),
            (of("Allow", "EXECUTE-API:invoke", "*"), Decision::Allowed),
            (of("Allow", "execute-api:*", "arn:aws:execute-api:*:*:abcdef123/test/*/orders/*"), Decision::Allowed),
            (
                of("Allow", "*", "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/orders/?"),
                Decision::Allowed,
            ),
            (of("Allow", "s3:GetObject", "*"), Decision::NotAllowed),
            (
                of("Allow", invoke, "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/POST/*"),
                Decision::NotAllowed,
            ),
            (
                of("Allow", invoke, "arn:aws:execute-api:us-east-1:123456789012:abcdef123/prod/GET/*"),
                Decision::NotAllowed,
            ),
            (of("Deny", invoke, ARN), Decision::Denied),
            (json!([of("Allow", invoke, "*"), of("Deny", invoke, ARN)]), Decision::Denied),
            (json!([of("Deny", invoke, "arn:aws:execute-api:*/POST/*"), of("Allow", invoke, "*")]), Decision::Allowed),
            (json!([]), Decision::NotAllowed),
            (json!({"Effect": "Allow", "Action": ["a:b", invoke], "Resource": ["x", ARN]}), Decision::Allowed),
        ] {
            assert_eq!(decide(statement.clone()), wanted, "{statement}");
        }
    }

    #[test]
    fn what_is_not_understood_is_no_policy() {
        let good = json!({"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"});
        for (name, value) in [
            ("Condition", json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})),
            ("NotResource", json!("x")),
            ("Principal", json!("*")),
            ("Effect", json!("allow")),
            ("Action", json!(7)),
        ] {
            let mut statement = good.clone();
            statement[name] = value;
            assert!(serde_json::from_value::<Policy>(json!({"Statement": statement})).is_err(), "{name}");
        }
        assert!(serde_json::from_value::<Policy>(json!({})).is_err());
        assert!(serde_json::from_value::<Policy>(json!({"Statement": {"Effect": "Allow"}})).is_err());
    }
}
