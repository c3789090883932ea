//! Whom a trust policy is about.

use serde_json::Value;

/// `Principal`, or `NotPrincipal` where it is negated.
#[derive(Clone, Debug)]
pub(crate) struct Principals {
    pub(crate) negated: bool,
    everyone: bool,
    /// ARNs. An account stands for its root.
    aws: Vec<String>,
}

impl Principals {
    /// The error is IAM's text.
    pub(crate) fn parse(value: &Value, negated: bool) -> Result<Self, String> {
        let mut principals = Self { negated, everyone: false, aws: Vec::new() };
        let object =
            match value {
                Value::String(text) if text == "*" => return Ok(Self { everyone: true, ..principals }),
                Value::Object(object) if !object.is_empty() => object,
                _ => return Err(
                    "Principal must be \"*\" or an object such as {\"AWS\": \"arn:aws:iam::123456789012:user/alice\"}"
                        .to_owned(),
                ),
            };
        for (kind, named) in object {
            let invalid = |name: &Value| format!("Invalid principal in policy: \"{kind}\":{name}");
            let names = match named {
                Value::Array(names) => names.iter().collect(),
                one => vec![one],
            };
            for name in names {
                let text = name.as_str().ok_or_else(|| invalid(name))?;
                match kind.as_str() {
                    "AWS" if text == "*" => principals.everyone = true,
                    "AWS" => principals.aws.push(arn(text).ok_or_else(|| invalid(name))?),
                    // Nobody calls as one of these here.
                    "Service" | "Federated" | "CanonicalUser" if !text.is_empty() => {}
                    _ => return Err(invalid(name)),
                }
            }
        }
        Ok(principals)
    }

    /// Whether somebody with one of these ARNs is meant.
    pub(crate) fn hold(&self, arns: &[&str]) -> bool {
        let named = self.everyone || self.aws.iter().any(|named| arns.contains(&named.as_str()));
        named != self.negated
    }

    /// The ARNs that are named.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.aws.iter().map(String::as_str)
    }
}

fn arn(text: &str) -> Option<String> {
    if text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(format!("arn:aws:iam::{text}:root"));
    }
    let known = text.starts_with("arn:aws:iam::") || text.starts_with("arn:aws:sts::");
    (known && text.split(':').count() == 6 && !text.contains(['*', '?', ' '])).then(|| text.to_owned())
}
