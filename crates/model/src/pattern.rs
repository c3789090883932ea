//! Route keys: `GET /pets/{id}`, `ANY /{proxy+}`, `$default`.

use std::fmt;

/// A checked `routeKey` of an HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteKey {
    /// Every request that no other route takes.
    Default,
    /// Requests by method and path.
    Request {
        /// An HTTP method; `None` is `ANY`.
        method: Option<String>,
        /// The path.
        path: PathPattern,
    },
}

/// A path with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// In order; a greedy one is last.
    pub segments: Vec<PatternSegment>,
}

/// One segment of a [`PathPattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternSegment {
    /// Itself.
    Static(String),
    /// `{name}`: one segment that is not empty.
    Variable(String),
    /// `{name+}`: all that follows, at least one segment.
    Greedy(String),
}

/// Not a route key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "The provided route key is not formatted properly for HTTP protocol. Format should be \"<HTTP METHOD> /<RESOURCE PATH>\" or \"$default\""
)]
pub struct RouteKeyError;

const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

impl RouteKey {
    /// Reads a `routeKey`.
    pub fn parse(key: &str) -> Result<Self, RouteKeyError> {
        if key == "$default" {
            return Ok(Self::Default);
        }
        let (method, path) = key.split_once(' ').ok_or(RouteKeyError)?;
        if !METHODS.contains(&method) {
            return Err(RouteKeyError);
        }
        let method = (method != "ANY").then(|| method.to_owned());
        Ok(Self::Request { method, path: PathPattern::parse(path)? })
    }
}

impl PathPattern {
    fn parse(path: &str) -> Result<Self, RouteKeyError> {
        let path = path.strip_prefix('/').ok_or(RouteKeyError)?;
        if path.is_empty() {
            return Ok(Self { segments: Vec::new() });
        }
        let segments = path.split('/').map(PatternSegment::parse).collect::<Result<Vec<_>, _>>()?;
        let greedy = segments.iter().position(|s| matches!(s, PatternSegment::Greedy(_)));
        if greedy.is_some_and(|at| at + 1 != segments.len()) {
            return Err(RouteKeyError);
        }
        Ok(Self { segments })
    }
}

impl PatternSegment {
    fn parse(segment: &str) -> Result<Self, RouteKeyError> {
        let Some(inner) = segment.strip_prefix('{') else {
            let plain = !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_graphic() && !b"{}?#".contains(&b));
            return if plain { Ok(Self::Static(segment.to_owned())) } else { Err(RouteKeyError) };
        };
        let inner = inner.strip_suffix('}').ok_or(RouteKeyError)?;
        let (name, greedy) = inner.strip_suffix('+').map_or((inner, false), |name| (name, true));
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:".contains(&b)) {
            return Err(RouteKeyError);
        }
        Ok(if greedy { Self::Greedy(name.to_owned()) } else { Self::Variable(name.to_owned()) })
    }
}

impl fmt::Display for PatternSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(text) => f.write_str(text),
            Self::Variable(name) => write!(f, "{{{name}}}"),
            Self::Greedy(name) => write!(f, "{{{name}+}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_aws_takes() {
        assert_eq!(RouteKey::parse("$default"), Ok(RouteKey::Default));
        let RouteKey::Request { method, path } = RouteKey::parse("GET /pets/{id}/{rest+}").unwrap() else { panic!() };
        assert_eq!(method.as_deref(), Some("GET"));
        let printed: Vec<String> = path.segments.iter().map(ToString::to_string).collect();
        assert_eq!(printed, ["pets", "{id}", "{rest+}"]);
        assert!(matches!(RouteKey::parse("ANY /"), Ok(RouteKey::Request { method: None, .. })));
    }

    #[test]
    fn refuses_the_rest() {
        for key in [
            "",
            "GET",
            "/pets",
            "get /pets",
            "GET pets",
            "GET /{proxy+}/x",
            "GET /{}",
            "GET /a//b",
            "GET /a?b",
            "TRACE /",
        ] {
            assert_eq!(RouteKey::parse(key), Err(RouteKeyError), "{key}");
        }
    }
}
