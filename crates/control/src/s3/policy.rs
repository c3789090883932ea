//! Bucket policies: checked and kept, not enforced. What a key may do is decided where it is for all services; a policy that would let
//! others in lets nobody in here, and one that denies denies nothing.

use s3s::dto::{GetBucketPolicyOutput, GetBucketPolicyStatusOutput, PolicyStatus, PublicAccessBlockConfiguration};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use serde_json::Value;

use super::S3Operations;
use super::settings::{POLICY, PUBLIC_ACCESS_BLOCK};

/// S3's limit.
const MAX_POLICY_BYTES: usize = 20 << 10;
/// The header of the answer that says it, and what it says.
pub(super) const WARNING: (&str, &str) =
    ("x-countersign-warning", "the bucket policy is stored, not enforced: see docs/reference.md, S3");

impl S3Operations {
    /// Keeps a policy that S3 would take.
    pub(super) async fn keep_policy(&self, bucket: String, text: String) -> S3Result<()> {
        let policy = checked(&text, &bucket)?;
        let block = self.set_or_default::<PublicAccessBlockConfiguration>(&bucket, PUBLIC_ACCESS_BLOCK).await?;
        if block.block_public_policy == Some(true) && is_public(&policy) {
            let message = "Access Denied: public policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.";
            return Err(s3_error!(AccessDenied, "{message}"));
        }
        let name = bucket.clone();
        self.keep_document(bucket, POLICY, text).await?;
        self.surroundings.warn(&format!("s3://{name}: the bucket policy is stored, not enforced"));
        Ok(())
    }

    pub(super) async fn policy(&self, bucket: &str) -> S3Result<GetBucketPolicyOutput> {
        let policy = self.setting_of(bucket, POLICY).await?.ok_or_else(|| POLICY.error())?;
        Ok(GetBucketPolicyOutput { policy: Some(policy) })
    }

    pub(super) async fn policy_status(&self, bucket: &str) -> S3Result<GetBucketPolicyStatusOutput> {
        let policy = self.setting_of(bucket, POLICY).await?.ok_or_else(|| POLICY.error())?;
        let is_public = serde_json::from_str(&policy).is_ok_and(|policy| is_public(&policy));
        Ok(GetBucketPolicyStatusOutput { policy_status: Some(PolicyStatus { is_public: Some(is_public) }) })
    }
}

/// A policy of this bucket, in the grammar of policies.
fn checked(text: &str, bucket: &str) -> S3Result<Value> {
    if text.len() > MAX_POLICY_BYTES {
        return Err(malformed("Your policy exceeds the maximum allowed size of 20480 bytes"));
    }
    let policy: Option<Value> = serde_json::from_str(text).ok();
    let not_json = || malformed("Policies must be valid JSON and the first byte must be '{'");
    let policy = policy.filter(Value::is_object).ok_or_else(not_json)?;
    if policy.get("Version").is_some_and(|version| version != "2012-10-17" && version != "2008-10-17") {
        return Err(malformed("The policy must contain a valid version string"));
    }
    let statements = list(policy.get("Statement"));
    if statements.is_empty() {
        return Err(malformed("Missing required field Statement"));
    }
    for statement in statements {
        check_statement(statement, bucket)?;
    }
    Ok(policy)
}

fn check_statement(statement: &Value, bucket: &str) -> S3Result<()> {
    let either = |one: &'static str, other: &'static str| {
        let given = statement.get(one).or_else(|| statement.get(other));
        given.ok_or_else(|| malformed(format!("Missing required field {one}")))
    };
    match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow" | "Deny") => {}
        Some(effect) => return Err(malformed(format!("Invalid effect: {effect}"))),
        None => return Err(malformed("Missing required field Effect")),
    }
    let principal = either("Principal", "NotPrincipal")?;
    if !(principal == "*" || principal.as_object().is_some_and(|kinds| !kinds.is_empty())) {
        return Err(malformed("Invalid principal in policy"));
    }
    let is_action = |action: &&Value| {
        action.as_str().is_some_and(|text| text == "*" || text.to_ascii_lowercase().starts_with("s3:"))
    };
    if !list(Some(either("Action", "NotAction")?)).iter().all(is_action) {
        return Err(malformed("Policy has invalid action"));
    }
    let own = format!("arn:aws:s3:::{bucket}");
    let is_own = |resource: &&Value| {
        let rest = resource.as_str().and_then(|text| text.strip_prefix(own.as_str()));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest.starts_with('*'))
    };
    let resources = list(Some(either("Resource", "NotResource")?));
    if resources.is_empty() || !resources.iter().all(is_own) {
        return Err(malformed("Policy has invalid resource"));
    }
    Ok(())
}

/// Whether it would let everybody do something, without a condition.
fn is_public(policy: &Value) -> bool {
    let everybody = |principal: &Value| principal == "*" || list(principal.get("AWS")).iter().any(|who| *who == "*");
    list(policy.get("Statement")).iter().any(|statement| {
        statement.get("Effect").is_some_and(|effect| effect == "Allow")
            && statement.get("Condition").is_none()
            && (statement.get("NotPrincipal").is_some() || statement.get("Principal").is_some_and(everybody))
    })
}

/// One or several, as the grammar has it for most things.
fn list(value: Option<&Value>) -> Vec<&Value> {
    match value {
        None => Vec::new(),
        Some(Value::Array(values)) => values.iter().collect(),
        Some(value) => vec![value],
    }
}

fn malformed(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::MalformedPolicy, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_policy_of_a_bucket() {
        let statement = |inner: &str| format!(r#"{{"Version":"2012-10-17","Statement":[{{{inner}}}]}}"#);
        let good = r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#;
        for (text, expected) in [
            (statement(good), Ok(true)),
            (statement(&good.replace(r#""*","Act"#, r#"{"AWS":["*"]},"Act"#)), Ok(true)),
            (statement(&good.replace("Allow", "Deny")), Ok(false)),
            (statement(&format!(r#"{good},"Condition":{{}}"#)), Ok(false)),
            (statement(&good.replace(r#""*","Act"#, r#"{"AWS":"123456789012"},"Act"#)), Ok(false)),
            ("[]".to_owned(), Err("first byte")),
            (r#"{"Version":"2012-10-17"}"#.to_owned(), Err("Statement")),
            (statement(good).replace("2012", "2013"), Err("version")),
            (statement(&good.replace("Allow", "allow")), Err("effect")),
            (statement(&good.replace("Principal", "Who")), Err("Principal")),
            (statement(&good.replace(r#""*","Act"#, r#""me","Act"#)), Err("principal")),
            (statement(&good.replace("s3:GetObject", "sts:AssumeRole")), Err("action")),
            (statement(&good.replace(":::b/*", ":::bb/*")), Err("resource")),
            (statement(&good.replace("Resource", "Thing")), Err("Resource")),
            ("{".repeat(MAX_POLICY_BYTES + 1), Err("size")),
        ] {
            match (checked(&text, "b"), expected) {
                (Ok(policy), Ok(public)) => assert_eq!(is_public(&policy), public, "{text}"),
                (Err(error), Err(part)) => assert!(error.message().unwrap().contains(part), "{error}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
