//! Where an authorizer finds what a client shows.

use std::fmt;

use http::HeaderName;

/// An entry of `identitySource`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// `$request.header.NAME`
    Header(HeaderName),
    /// `$request.querystring.NAME`
    Query(String),
}

/// Not a place where anything is looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid mapping expression specified: {0}. Expected $request.header.NAME or $request.querystring.NAME")]
pub struct IdentitySourceError(String);

impl IdentitySource {
    /// Reads an entry.
    pub fn parse(text: &str) -> Result<Self, IdentitySourceError> {
        let wrong = || IdentitySourceError(text.to_owned());
        let place = text.strip_prefix("$request.").and_then(|place| place.split_once('.')).ok_or_else(wrong)?;
        match place {
            ("header", name) => HeaderName::try_from(name).map(Self::Header).map_err(|_| wrong()),
            ("querystring", name) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for IdentitySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "$request.header.{name}"),
            Self::Query(name) => write!(f, "$request.querystring.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_the_query_string() {
        let header = IdentitySource::parse("$request.header.Authorization").unwrap();
        assert_eq!(header, IdentitySource::Header(http::header::AUTHORIZATION));
        assert_eq!(header.to_string(), "$request.header.authorization");
        assert_eq!(IdentitySource::parse("$request.querystring.t.k"), Ok(IdentitySource::Query("t.k".into())));
        for wrong in [
            "",
            "Authorization",
            "$request.header.",
            "$request.header.a b",
            "$request.querystring.",
            "$request.body.x",
            "$context.identity.sourceIp",
            "request.header.x",
        ] {
            assert!(IdentitySource::parse(wrong).is_err(), "{wrong}");
        }
    }
}
