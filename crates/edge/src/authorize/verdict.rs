//! What authorizers return.
//!
//! Source: "Control access to HTTP APIs with AWS Lambda authorizers", API Gateway developer guide.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::policy::Policy;

/// Bytes of a policy: AWS's limit.
const MAX_POLICY_BYTES: usize = 8 * 1024;

/// What an authorizer has said about whoever showed these identity sources.
#[derive(Debug, PartialEq)]
pub(crate) struct Verdict {
    rule: Rule,
    /// `$context.authorizer.principalId`
    pub(crate) principal_id: Option<String>,
    /// `$context.authorizer.NAME`
    pub(crate) context: Map<String, Value>,
    /// About how much it takes to keep.
    pub(super) bytes: usize,
}

#[derive(Debug, PartialEq)]
enum Rule {
    Simple(bool),
    Policy(Policy),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Simple {
    is_authorized: bool,
    context: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ByPolicy {
    principal_id: Option<String>,
    policy_document: Value,
    context: Option<Map<String, Value>>,
}

impl Verdict {
    /// Reads what was returned, or says what is wrong with it.
    pub(super) fn read(returned: &[u8], simple_responses: bool) -> Result<Self, &'static str> {
        let malformed = "the authorizer's answer does not have the form that API Gateway expects";
        let bytes = returned.len();
        if returned.trim_ascii_start().first() != Some(&b'{') {
            // serde takes a list for a structure, too.
            return Err(malformed);
        }
        if simple_responses {
            let Simple { is_authorized, context } = serde_json::from_slice(returned).map_err(|_| malformed)?;
            let context = context.unwrap_or_default();
            return Ok(Self { rule: Rule::Simple(is_authorized), principal_id: None, context, bytes });
        }
        let ByPolicy { principal_id, policy_document, context } =
            serde_json::from_slice(returned).map_err(|_| malformed)?;
        if policy_document.to_string().len() > MAX_POLICY_BYTES {
            return Err("the authorizer's policy is larger than 8 KB");
        }
        let policy = serde_json::from_value(policy_document).map_err(
            |_| "the authorizer's policy cannot be read, or has elements that are not available in Countersign",
        )?;
        Ok(Self { rule: Rule::Policy(policy), principal_id, context: context.unwrap_or_default(), bytes })
    }

    /// Whether a route may be called.
    pub(super) fn allows(&self, route_arn: &str) -> bool {
        match &self.rule {
            Rule::Simple(allows) => *allows,
            Rule::Policy(policy) => policy.allows(route_arn),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(returned: Value, simple: bool) -> Result<Verdict, &'static str> {
        Verdict::read(returned.to_string().as_bytes(), simple)
    }

    #[test]
    fn simple_answers_are_for_who_asked_for_them() {
        let allowed = json!({"isAuthorized": true, "context": {"a": [1]}});
        let verdict = read(allowed.clone(), true).unwrap();
        assert!(verdict.allows("any") && verdict.context["a"] == json!([1]));
        assert!(!read(json!({"isAuthorized": false}), true).unwrap().allows("any"));
        assert!(read(allowed, false).is_err());
        for wrong in [
            json!({}),
            json!({"isAuthorized": "true"}),
            json!({"isAuthorized": 1}),
            json!(true),
            json!({"isAuthorized": true, "context": 1}),
        ] {
            assert!(read(wrong.clone(), true).is_err(), "{wrong}");
        }
    }

    #[test]
    fn policies_are_bounded() {
        let of = |resource: String| {
            json!({"principalId": "p", "policyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}]}})
        };
        let verdict = read(of("*".to_owned()), false).unwrap();
        assert!(verdict.allows("any") && verdict.principal_id.as_deref() == Some("p"));
        assert!(read(of("x".repeat(8 * 1024)), false).unwrap_err().contains("8 KB"));
        assert!(read(json!({"principalId": "p"}), false).is_err());
        assert!(read(json!({"policyDocument": "{}"}), false).unwrap_err().contains("cannot be read"));
    }
}
