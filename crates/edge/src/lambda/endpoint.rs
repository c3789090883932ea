//! Where functions are called.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use model::{FunctionArn, Target};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// URL of the Invoke API.
///
/// `{region}` stands for the function's region: `https://lambda.{region}.amazonaws.com` is AWS. Without a path, AWS's own is
/// called, `/2015-03-31/functions/{function}/invocations`; with one, that one, where `{function}` may stand for the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LambdaEndpoint(String);

/// Not a URL by which functions can be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no URL of the Lambda Invoke API: expected http(s)://HOST[:PORT][/PATH], with {{region}} and {{function}} where they belong"
)]
pub struct LambdaEndpointError(String);

/// Source: "Invoke", AWS Lambda API reference.
const PATH: &str = "/2015-03-31/functions/{function}/invocations";
/// Percent-encoded in a segment of a path, as AWS's SDKs do it (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How a function is named when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// By its whole ARN, which AWS takes for functions of other accounts too.
    Arn,
    /// By its name, which is all that many local runtimes know.
    Name,
}

impl LambdaEndpoint {
    /// Where a function is called: the server, and path and query.
    pub(super) fn of(&self, function: &FunctionArn, naming: Naming) -> Result<(Target, String), LambdaEndpointError> {
        let target = self.target(&function.region)?;
        let (name, qualifier) = match naming {
            Naming::Arn => (&function.arn, None),
            Naming::Name => (&function.name, function.qualifier.as_ref()),
        };
        let name: Cow<'_, str> = utf8_percent_encode(name, SEGMENT).into();
        let query = qualifier.map(|qualifier| format!("Qualifier={qualifier}"));
        let mut path = String::with_capacity(PATH.len() + name.len());
        target.write_path(&[("function", &name)], None, query.as_deref(), &mut path);
        Ok((target, path))
    }

    fn target(&self, region: &str) -> Result<Target, LambdaEndpointError> {
        Target::parse(&self.0.replace("{region}", region), &BTreeMap::new())
            .map_err(|_| LambdaEndpointError(self.0.clone()))
    }
}

impl FromStr for LambdaEndpoint {
    type Err = LambdaEndpointError;

    fn from_str(text: &str) -> Result<Self, LambdaEndpointError> {
        let has_path = text.split_once("://").is_some_and(|(_, rest)| rest.trim_end_matches('/').contains('/'));
        let url = if has_path { text.to_owned() } else { format!("{}{PATH}", text.trim_end_matches('/')) };
        let endpoint = Self(url);
        endpoint.target("us-east-1").map_err(|_| LambdaEndpointError(text.to_owned()))?;
        Ok(endpoint)
    }
}

impl fmt::Display for LambdaEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(endpoint: &str, naming: Naming) -> (bool, String, String) {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:hello:live";
        let function = FunctionArn::parse(arn, &BTreeMap::new()).unwrap();
        let (target, path) = endpoint.parse::<LambdaEndpoint>().unwrap().of(&function, naming).unwrap();
        (target.tls, target.authority, path)
    }

    #[test]
    fn aws_and_local_runtimes() {
        let arn = "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Ahello%3Alive";
        for (endpoint, naming, wanted) in [
            (
                "https://lambda.{region}.amazonaws.com",
                Naming::Arn,
                (true, "lambda.eu-west-1.amazonaws.com", format!("/2015-03-31/functions/{arn}/invocations")),
            ),
            (
                "http://127.0.0.1:3001/",
                Naming::Name,
                (false, "127.0.0.1:3001", "/2015-03-31/functions/hello/invocations?Qualifier=live".to_owned()),
            ),
            (
                "http://127.0.0.1:9000/2015-03-31/functions/function/invocations",
                Naming::Name,
                (false, "127.0.0.1:9000", "/2015-03-31/functions/function/invocations?Qualifier=live".to_owned()),
            ),
            ("http://runtime/{function}/x", Naming::Arn, (false, "runtime", format!("/{arn}/x"))),
        ] {
            let (tls, authority, path) = called(endpoint, naming);
            assert_eq!((tls, authority.as_str(), path), wanted, "{endpoint}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "lambda",
            "ftp://x",
            "https://",
            "http://u:p@host",
            "http://host/{function",
            "http://{host}/",
            "http://host/$x",
        ] {
            assert!(text.parse::<LambdaEndpoint>().is_err(), "{text}");
        }
    }
}
