//! What authorizers return.
//!
//! Sources: "Control access to HTTP APIs with AWS Lambda authorizers" and "Output from an API Gateway Lambda authorizer" (REST APIs),
//! API Gateway developer guide.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::policy::{Decision, Policy};

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

/// In what form an authorizer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Yes or no.
    Simple,
    /// A policy.
    Policy,
    /// A policy for a principal, which has to be there, and a context of texts, numbers and truth values: those of REST APIs.
    RestPolicy,
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
    pub(super) fn read(returned: &[u8], form: Form) -> Result<Self, &'static str> {
        let malformed = "the authorizer's answer does not have the form that API Gateway expects";
        let bytes = returned.len();
        if returned.trim_ascii_start().first() != Some(&b'{') {
            // serde takes a list for a structure, too.
            return Err(malformed);
        }
        if form == Form::Simple {
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
        let mut context = context.unwrap_or_default();
        if form == Form::RestPolicy {
            principal_id.as_ref().ok_or(malformed)?;
            context =
                texts(context).ok_or("the authorizer's context has a value that is no text, number or truth value")?;
        }
        Ok(Self { rule: Rule::Policy(policy), principal_id, context, bytes })
    }

    /// Whether a route may be called.
    pub(super) fn decide(&self, route_arn: &str) -> Decision {
        match &self.rule {
            Rule::Simple(true) => Decision::Allowed,
            Rule::Simple(false) => Decision::Denied,
            Rule::Policy(policy) => policy.decide(route_arn),
        }
    }
}

/// As REST APIs pass them on: all values are texts. What is null is not there.
fn texts(context: Map<String, Value>) -> Option<Map<String, Value>> {
    let text = |(name, value): (String, Value)| match value {
        Value::Null => None,
        Value::String(_) => Some(Some((name, value))),
        Value::Number(_) | Value::Bool(_) => Some(Some((name, value.to_string().into()))),
        Value::Array(_) | Value::Object(_) => Some(None),
    };
    context.into_iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(returned: Value, form: Form) -> Result<Verdict, &'static str> {
        Verdict::read(returned.to_string().as_bytes(), form)
    }

    #[test]
    fn simple_answers_are_for_who_asked_for_them() {
        let allowed = json!({"isAuthorized": true, "context": {"a": [1]}});
        let verdict = read(allowed.clone(), Form::Simple).unwrap();
        assert!(verdict.decide("any") == Decision::Allowed && verdict.context["a"] == json!([1]));
        assert_eq!(read(json!({"isAuthorized": false}), Form::Simple).unwrap().decide("any"), Decision::Denied);
        assert!(read(allowed, Form::Policy).is_err());
        for wrong in [
            json!({}),
            json!({"isAuthorized": "true"}),
            json!({"isAuthorized": 1}),
            json!(true),
            json!({"isAuthorized": true, "context": 1}),
        ] {
            assert!(read(wrong.clone(), Form::Simple).is_err(), "{wrong}");
        }
    }

    #[test]
    fn policies_are_bounded() {
        let of = |resource: String| {
            json!({"principalId": "p", "policyDocument": {"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}]}})
        };
        let verdict = read(of("*".to_owned()), Form::Policy).unwrap();
        assert!(verdict.decide("any") == Decision::Allowed && verdict.principal_id.as_deref() == Some("p"));
        assert!(read(of("x".repeat(8 * 1024)), Form::Policy).unwrap_err().contains("8 KB"));
        assert!(read(json!({"principalId": "p"}), Form::Policy).is_err());
        assert!(read(json!({"policyDocument": "{}"}), Form::Policy).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn rest_apis_have_a_principal_and_a_context_of_texts() {
        let of = |more: Value| {
            let mut answer = json!({"policyDocument": {"Statement": []}});
            answer.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
            answer
        };
        let context = json!({"text": "a", "number": 1, "flag": true, "nothing": null});
        let verdict = read(of(json!({"principalId": "p", "context": context})), Form::RestPolicy).unwrap();
        assert_eq!(Value::from(verdict.context), json!({"text": "a", "number": "1", "flag": "true"}));
        for wrong in [
            json!({}),
            json!({"principalId": null}),
            json!({"principalId": 7}),
            json!({"principalId": "p", "context": {"list": [1]}}),
            json!({"principalId": "p", "context": {"map": {}}}),
        ] {
            assert!(read(of(wrong.clone()), Form::RestPolicy).is_err(), "{wrong}");
        }
        assert!(read(of(json!({})), Form::Policy).is_ok(), "HTTP APIs ask for none");
    }
}
