//! Lambda functions, as integrations and authorizers name them.

use std::collections::BTreeMap;

use crate::target::substitute_stage_variables;

/// A Lambda function: `arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionArn {
    /// Whole, with the qualifier.
    pub arn: String,
    /// Where it runs.
    pub region: String,
    /// Its name, without qualifier.
    pub name: String,
    /// A version or an alias.
    pub qualifier: Option<String>,
}

/// Not a function's ARN, nor the URI of its invocations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid function ARN or invalid uri")]
pub struct FunctionArnError;

/// What stands before and behind the ARN in the URI by which API Gateway names a function's invocations.
const INVOCATIONS: (&str, &str) = (":lambda:path/2015-03-31/functions/", "/invocations");

impl FunctionArn {
    /// Reads an `integrationUri` or `authorizerUri`: a function's ARN, or `arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/ARN/invocations`.
    /// `${stageVariables.name}` and `$stageVariables.name` stand for the stage's variables.
    pub fn parse(uri: &str, stage_variables: &BTreeMap<String, String>) -> Result<Self, FunctionArnError> {
        // What no qualifier means anyway.
        let uri = uri.replace(":$LATEST", "");
        let uri = substitute_stage_variables(&uri, stage_variables).map_err(|_| FunctionArnError)?;
        let arn = Self::of_invocations(&uri).unwrap_or(&uri);
        let parts: Vec<&str> = arn.split(':').collect();
        let (region, account, name, qualifier) = match parts[..] {
            ["arn", partition, "lambda", region, account, "function", name, ref rest @ ..]
                if partition.starts_with("aws") && rest.len() <= 1 =>
            {
                (region, account, name, rest.first().copied())
            }
            _ => return Err(FunctionArnError),
        };
        let is_name =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !(is_account && is_name(region) && is_name(name) && qualifier.is_none_or(is_name)) {
            return Err(FunctionArnError);
        }
        Ok(Self {
            region: region.to_owned(),
            name: name.to_owned(),
            qualifier: qualifier.map(str::to_owned),
            arn: arn.to_owned(),
        })
    }

    fn of_invocations(uri: &str) -> Option<&str> {
        let (before, rest) = uri.split_once(INVOCATIONS.0)?;
        let arn = rest.strip_suffix(INVOCATIONS.1)?;
        let mut before = before.split(':');
        let is_gateway = before.next() == Some("arn") && before.nth(1) == Some("apigateway");
        is_gateway.then_some(arn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:hello";

    fn parse(uri: &str) -> Option<(String, String, Option<String>)> {
        let variables =
            BTreeMap::from([("fn".to_owned(), "hello".to_owned()), ("alias".to_owned(), "live".to_owned())]);
        let read = FunctionArn::parse(uri, &variables).ok()?;
        assert_eq!(read.region, "eu-west-1");
        Some((read.arn, read.name, read.qualifier))
    }

    #[test]
    fn reads_both_forms() {
        let invocations =
            |arn: &str| format!("arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/{arn}/invocations");
        for (uri, qualifier) in [
            (ARN.to_owned(), None),
            (invocations(ARN), None),
            (format!("{ARN}:live"), Some("live")),
            (invocations(&format!("{ARN}:$LATEST")), None),
            (invocations(&format!("{ARN}:7")), Some("7")),
            (format!("{ARN}:${{stageVariables.alias}}"), Some("live")),
            (invocations("arn:aws:lambda:eu-west-1:123456789012:function:${stageVariables.fn}"), None),
        ] {
            let arn = qualifier.map_or(ARN.to_owned(), |qualifier| format!("{ARN}:{qualifier}"));
            assert_eq!(parse(&uri), Some((arn, "hello".to_owned(), qualifier.map(str::to_owned))), "{uri}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for uri in [
            "",
            "hello",
            "http://127.0.0.1/",
            "arn:aws:lambda:eu-west-1:123456789012:function:",
            "arn:aws:lambda:eu-west-1:123456789012:function:a/b",
            "arn:aws:lambda:eu-west-1:123456789012:function:hello:live:x",
            "arn:aws:lambda:eu-west-1:123456789012:function:hello:",
            "arn:aws:lambda:eu-west-1:12345:function:hello",
            "arn:aws:lambda::123456789012:function:hello",
            "arn:aws:lambda:eu-west-1:123456789012:layer:hello",
            "arn:aws:sqs:eu-west-1:123456789012:function:hello",
            "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/hello/invocations",
            "arn:aws:apigateway:eu-west-1:sqs:path/123456789012/queue",
            "arn:aws:lambda:eu-west-1:123456789012:function:${stageVariables.none}",
            "arn:aws:lambda:eu-west-1:123456789012:function:hello\r\nx",
        ] {
            assert_eq!(parse(uri), None, "{uri}");
        }
    }
}
