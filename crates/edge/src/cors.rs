//! Cross-origin resource sharing as HTTP APIs do it: where it is set, the gateway answers preflight requests itself,
//! whatever the routes are, and its headers take the place of the backend's.
//!
//! Source: "Configure CORS for HTTP APIs", API Gateway developer guide; the Fetch standard.

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderName, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use model::resource::Cors;
use model::snapshot::Stage;

/// What an answer has to say about other origins.
pub(crate) struct CrossOrigin {
    /// Whose settings these are.
    stage: Arc<Stage>,
    origin: Option<HeaderValue>,
    is_preflight: bool,
}

impl CrossOrigin {
    pub(crate) fn new(stage: Arc<Stage>, parts: &Parts) -> Self {
        Self { stage, origin: parts.headers.get(ORIGIN).cloned(), is_preflight: is_preflight(parts) }
    }

    /// Puts the gateway's headers into an answer, in the place of the backend's. A preflight request that is refused is told
    /// nothing.
    pub(crate) fn apply<T>(&self, response: &mut Response<T>) {
        let status = response.status();
        let headers = response.headers_mut();
        match &self.stage.cors {
            Some(cors) if self.is_preflight && status == StatusCode::NO_CONTENT => {
                answer_preflight(cors, self.origin.as_ref(), headers);
            }
            Some(cors) if !self.is_preflight => replace(cors, self.origin.as_ref(), headers),
            Some(_) => {}
            None => {}
        }
    }
}

/// Whether `parts` asks which requests are allowed.
pub(crate) fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(ORIGIN)
        && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn answer_preflight(cors: &Cors, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    if !allow_origin(cors, origin, headers) {
        return;
    }
    set_list(headers, ACCESS_CONTROL_ALLOW_METHODS, &cors.allow_methods);
    set_list(headers, ACCESS_CONTROL_ALLOW_HEADERS, &cors.allow_headers);
    if let Some(seconds) = cors.max_age {
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
    }
}

fn replace(cors: &Cors, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    let theirs: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in theirs {
        headers.remove(name);
    }
    if allow_origin(cors, origin, headers) {
        set_list(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &cors.expose_headers);
    }
}

/// `false`: the origin is not allowed, or there is none.
fn allow_origin(cors: &Cors, origin: Option<&HeaderValue>, headers: &mut HeaderMap) -> bool {
    let Some(origin) = origin.filter(|origin| cors.allow_origins.iter().any(|allowed| matches(allowed, origin))) else {
        return false;
    };
    let credentials = cors.allow_credentials == Some(true);
    if cors.allow_origins.iter().any(|allowed| allowed == "*") && !credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(VARY, HeaderValue::from_static("origin"));
    }
    if credentials {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    true
}

/// `*`, `https://*`, `http://*`, or an origin itself.
fn matches(allowed: &str, origin: &HeaderValue) -> bool {
    let origin = origin.as_bytes();
    match allowed {
        "*" => true,
        "https://*" | "http://*" => {
            let scheme = allowed.len() - 1;
            origin.len() > scheme && origin[..scheme].eq_ignore_ascii_case(&allowed.as_bytes()[..scheme])
        }
        _ => origin.eq_ignore_ascii_case(allowed.as_bytes()),
    }
}

fn set_list(headers: &mut HeaderMap, name: HeaderName, values: &[String]) {
    if let Ok(list) = HeaderValue::try_from(values.join(","))
        && !values.is_empty()
    {
        headers.insert(name, list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origins: &[&str], credentials: bool) -> Cors {
        Cors {
            allow_credentials: Some(credentials),
            allow_headers: vec!["authorization".into(), "x-a".into()],
            allow_methods: vec!["GET".into(), "POST".into()],
            allow_origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            expose_headers: vec!["x-b".into()],
            max_age: Some(300),
        }
    }

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn origins_match_whole_or_by_their_scheme() {
        for (allowed, origin, wanted) in [
            ("https://a.test", "https://a.test", true),
            ("https://a.test", "HTTPS://A.test", true),
            ("https://a.test", "https://a.test.evil", false),
            ("https://a.test", "http://a.test", false),
            ("https://*", "https://b.test", true),
            ("https://*", "http://b.test", false),
            ("https://*", "https://", false),
            ("*", "null", true),
            ("http://*", "HTTP://b.test:8080", true),
            ("http://*", "https://b.test", false),
            ("https://a*", "https://a.evil", false),
            ("https://*.a.test", "https://b.a.test", false),
            ("https://a.test", "https://a.test:8443", false),
            ("https://a.test", "null", false),
        ] {
            assert_eq!(matches(allowed, &HeaderValue::from_static(origin)), wanted, "{allowed} {origin}");
        }
    }

    #[test]
    fn a_preflight_request_is_answered_by_the_settings() {
        let mut headers = HeaderMap::new();
        answer_preflight(&cors(&["*"], false), Some(&HeaderValue::from_static("https://a.test")), &mut headers);
        let wanted = map(&[
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET,POST"),
            ("access-control-allow-headers", "authorization,x-a"),
            ("access-control-max-age", "300"),
        ]);
        assert_eq!(headers, wanted);
        let mut headers = HeaderMap::new();
        answer_preflight(
            &cors(&["https://b.test"], false),
            Some(&HeaderValue::from_static("https://a.test")),
            &mut headers,
        );
        assert!(headers.is_empty());
    }

    #[test]
    fn the_backends_headers_give_way() {
        let mut headers = map(&[("access-control-allow-origin", "https://evil.test"), ("x-b", "1")]);
        replace(&cors(&["*"], true), Some(&HeaderValue::from_static("https://a.test")), &mut headers);
        let wanted = map(&[
            ("x-b", "1"),
            ("access-control-allow-origin", "https://a.test"),
            ("vary", "origin"),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "x-b"),
        ]);
        assert_eq!(headers, wanted);
        let mut headers = map(&[("access-control-allow-origin", "*")]);
        replace(&cors(&["*"], false), None, &mut headers);
        assert!(headers.is_empty());
    }
}
