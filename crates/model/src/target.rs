//! Where an HTTP_PROXY integration sends a request: the integration URI, read once.

use std::collections::BTreeMap;

/// A parsed `integrationUri`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `https`
    pub tls: bool,
    /// Host and optional port, lowercase host.
    pub authority: String,
    /// Path and query with their variables.
    path: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Variable(String),
}

/// Not an `integrationUri` that HTTP_PROXY can use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid HTTP endpoint specified for URI")]
pub struct TargetError;

impl Target {
    /// Reads `http(s)://host[:port][/path]`; `{name}` and `{name+}` stand for the route's path variables,
    /// `${stageVariables.name}` and `$stageVariables.name` for the stage's (anywhere in the URI).
    pub fn parse(uri: &str, stage_variables: &BTreeMap<String, String>) -> Result<Self, TargetError> {
        let uri = substitute_stage_variables(uri, stage_variables)?;
        let (scheme, rest) = uri.split_once("://").ok_or(TargetError)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(TargetError),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let parsed: http::uri::Authority = authority.parse().map_err(|_| TargetError)?;
        if parsed.host().is_empty() || authority.contains('@') || path.contains('#') {
            return Err(TargetError);
        }
        Ok(Self { tls, authority: authority.to_ascii_lowercase(), path: pieces(path)? })
    }

    /// Writes path and query for a request. `rest` is the request's path below the mapping; it is appended where the route is
    /// `$default`, which has no variables to carry it. `query` is the client's, without `?`.
    pub fn write_path(&self, variables: &[(&str, &str)], rest: Option<&str>, query: Option<&str>, out: &mut String) {
        for piece in &self.path {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Variable(name) => {
                    out.push_str(variables.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value));
                }
            }
        }
        if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
            if out.ends_with('/') && rest.starts_with('/') {
                out.pop();
            }
            out.push_str(rest);
        }
        if !out.starts_with('/') {
            out.insert(0, '/');
        }
        if let Some(query) = query {
            out.push(if out.contains('?') { '&' } else { '?' });
            out.push_str(query);
        }
    }
}

/// Puts a stage's variables where a URI names them: `${stageVariables.name}` or `$stageVariables.name`. A `$` that leads
/// none is an error.
pub(crate) fn substitute_stage_variables(uri: &str, values: &BTreeMap<String, String>) -> Result<String, TargetError> {
    let mut out = String::with_capacity(uri.len());
    let mut rest = uri;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let (braced, inner) = tail.strip_prefix('{').map_or((false, tail), |inner| (true, inner));
        let name = inner.strip_prefix("stageVariables.").ok_or(TargetError)?;
        let length = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        out.push_str(values.get(&name[..length]).map_or("", String::as_str));
        rest = &name[length..];
        if braced {
            rest = rest.strip_prefix('}').ok_or(TargetError)?;
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn pieces(path: &str) -> Result<Vec<Piece>, TargetError> {
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').ok_or(TargetError)? + open;
        if open > 0 {
            pieces.push(Piece::Literal(rest[..open].to_owned()));
        }
        pieces.push(Piece::Variable(rest[open + 1..close].trim_end_matches('+').to_owned()));
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    let plain = |piece: &Piece| match piece {
        Piece::Literal(text) => text.bytes().all(|b| b.is_ascii_graphic()),
        Piece::Variable(_) => true,
    };
    if pieces.iter().all(plain) { Ok(pieces) } else { Err(TargetError) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(uri: &str, variables: &[(&str, &str)], rest: Option<&str>, query: Option<&str>) -> String {
        let mut out = String::new();
        Target::parse(uri, &BTreeMap::new()).unwrap().write_path(variables, rest, query, &mut out);
        out
    }

    #[test]
    fn fills_variables_and_keeps_the_query() {
        assert_eq!(path("http://b:9/x/{proxy}", &[("proxy", "a/b%20c")], None, Some("q=1")), "/x/a/b%20c?q=1");
        assert_eq!(path("http://b/{proxy+}?fixed=1", &[("proxy", "p")], None, Some("q=1")), "/p?fixed=1&q=1");
        assert_eq!(path("http://b", &[], None, None), "/");
        assert_eq!(path("http://b", &[], Some("/any/thing"), None), "/any/thing");
        assert_eq!(path("http://b/base/", &[], Some("/x"), Some("y")), "/base/x?y");
    }

    #[test]
    fn stage_variables_may_stand_anywhere() {
        let values = BTreeMap::from([("host".to_owned(), "B.test:90".to_owned())]);
        let target = Target::parse("https://${stageVariables.host}/$stageVariables.none/x", &values).unwrap();
        assert_eq!((target.tls, target.authority.as_str()), (true, "b.test:90"));
        assert!(Target::parse("https://${stageVariables.none}/", &values).is_err());
    }

    #[test]
    fn refuses_what_is_no_http_url() {
        for uri in [
            "",
            "b/x",
            "ftp://b/",
            "http://",
            "http:///x",
            "http://u:p@b/",
            "http://b/{x",
            "http://b/ x",
            "http://b/#f",
            "http://b/$x",
        ] {
            assert_eq!(Target::parse(uri, &BTreeMap::new()), Err(TargetError), "{uri}");
        }
    }
}
