//! Which requests have one meaning only, and whether they are for the domain of their connection.
//!
//! What is read may still have a missing, repeated or comma-joined host, userinfo in it, or be `GET *` or CONNECT; none of these is
//! forwarded.

use std::borrow::Cow;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Method, Version};

use crate::answer::Answer;

/// The host that a request is for: lowercase, without port.
pub(crate) fn host(parts: &Parts) -> Result<Cow<'_, str>, Answer> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Answer::BadRequest("Host is there more than once"));
    }
    let host = match host {
        Some(value) => {
            let text = value.to_str().map_err(|_| Answer::BadRequest("Host is no host name"))?;
            Some(authority(text)?)
        }
        None => None,
    };
    let target = parts.uri.authority().map(|target| authority(target.as_str())).transpose()?;
    match (host, target) {
        (Some(host), Some(target)) if host == target => Ok(host),
        (Some(_), Some(_)) => Err(Answer::BadRequest("Host and the request's target differ")),
        (Some(host), None) => Ok(host),
        // HTTP/2 has :authority in Host's place; HTTP/1.1 wants Host even with an absolute target (RFC 9112 section 3.2).
        (None, Some(target)) if parts.version == Version::HTTP_2 => Ok(target),
        (None, _) => Err(Answer::BadRequest("Host is missing")),
    }
}

/// Refuses what is no plain request for a path.
pub(crate) fn check(parts: &Parts) -> Result<(), Answer> {
    if parts.method == Method::CONNECT {
        return Err(Answer::BadRequest("CONNECT is not served"));
    }
    if !parts.uri.path().starts_with('/') {
        return Err(Answer::BadRequest("the request's target is no path"));
    }
    if has_dot_segments(parts.uri.path()) {
        return Err(Answer::BadRequest("the path has dot segments"));
    }
    if parts.headers.contains_key(TRANSFER_ENCODING)
        && (parts.version == Version::HTTP_2 || parts.headers.contains_key(CONTENT_LENGTH))
    {
        return Err(Answer::BadRequest("Transfer-Encoding stands beside another framing"));
    }
    // In HTTP/2, h2 compares each of several lengths with the payload; a backend would get them all.
    if parts.headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Answer::BadRequest("Content-Length is there more than once"));
    }
    // The one byte that the `http` crate takes in a name and RFC 9110 section 5.6.2 does not. In HTTP/1.1 the parser refuses it.
    if parts.version == Version::HTTP_2 && parts.headers.keys().any(|name| name.as_str().contains('"')) {
        return Err(Answer::BadRequest("a header's name is no token"));
    }
    let mut encodings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = encodings.next().is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !chunked || encodings.next().is_some() {
        return Err(Answer::BadRequest("Transfer-Encoding is not chunked alone"));
    }
    Ok(())
}

/// Whether a segment is `.` or `..`, encoded or not. A backend would resolve it (RFC 3986 section 5.2.4), and come to another
/// path than the one that mapping and route were chosen by. Clients resolve theirs before they send them.
pub(crate) fn has_dot_segments(path: &str) -> bool {
    let is_dots = |segment: &str| {
        let segment = segment.split(';').next().unwrap_or_default();
        match segment.contains('%') {
            true => matches!(&*segment.to_ascii_lowercase().replace("%2e", "."), "." | ".."),
            false => matches!(segment, "." | ".."),
        }
    };
    // Some backends take a backslash, or an encoded slash, for a slash.
    let separated = |path: &str| path.split(['/', '\\']).any(is_dots);
    match path.contains('%') {
        true => separated(&path.replace("%2f", "/").replace("%2F", "/").replace("%5c", "/").replace("%5C", "/")),
        false => path.contains('.') && separated(path),
    }
}

/// Bytes of request line and headers, about as they were sent.
pub(crate) fn head_bytes(parts: &Parts) -> usize {
    let line = parts.method.as_str().len() + parts.uri.path_and_query().map_or(0, |path| path.as_str().len()) + 12;
    parts.headers.iter().fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + 4)
}

fn authority(text: &str) -> Result<Cow<'_, str>, Answer> {
    const WRONG: Answer = Answer::BadRequest("Host is no host name");
    let colon = match text.strip_prefix('[') {
        Some(v6) => text.len() - v6.len() + v6.find(']').ok_or(WRONG)? + 1,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(colon);
    let port = if port.is_empty() { "" } else { port.strip_prefix(':').ok_or(WRONG)? };
    // Letters, digits and what names and addresses have between them: no userinfo, no commas, no percent-encoding.
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b) || text.starts_with('[') && b"[]:".contains(&b);
    if host.is_empty() || !host.bytes().all(plain) || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(WRONG);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    match host.bytes().any(|b| b.is_ascii_uppercase()) {
        true => Ok(host.to_ascii_lowercase().into()),
        false => Ok(host.into()),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(target: &str, version: Version, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_host_and_only_a_host() {
        for (target, headers, wanted) in [
            ("/", &[("host", "API.test:8443")][..], Some("api.test")),
            ("/", &[("host", "api.test.")], Some("api.test")),
            ("https://api.test/x", &[("host", "api.test:1")], Some("api.test")),
            ("/", &[], None),
            ("https://api.test/x", &[], None),
            ("https://api.test/x", &[("host", "other.test")], None),
            ("/", &[("host", "api.test"), ("host", "api.test")], None),
            ("/", &[("host", "api.test, other.test")], None),
            ("/", &[("host", "api.test,other.test")], None),
            ("/", &[("host", "user@api.test")], None),
            ("/", &[("host", "api.test/path")], None),
            ("/", &[("host", "api.test:80:80")], None),
            ("/", &[("host", "api.test:8a")], None),
            ("/", &[("host", "")], None),
            ("/", &[("host", "api%2etest")], None),
            ("/", &[("host", "[2001:DB8::1]:8443")], Some("[2001:db8::1]")),
            ("/", &[("host", "[2001:db8::1")], None),
            ("/", &[("host", "[2001:db8::1]x")], None),
            ("/", &[("host", "a]")], None),
        ] {
            let parts = parts(target, Version::HTTP_11, headers);
            assert_eq!(host(&parts).ok().as_deref(), wanted, "{target} {headers:?}");
        }
        assert_eq!(host(&parts("https://API.test/x", Version::HTTP_2, &[])), Ok("api.test".into()));
        let differing = parts("https://api.test/x", Version::HTTP_2, &[("host", "b.test")]);
        assert!(host(&differing).is_err());
    }

    #[test]
    fn no_way_up_and_out_of_a_route() {
        for path in [
            "/..",
            "/.",
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a/%2e",
            "/a%2f..%2Fb",
            "/a\\..\\b",
            "/a%5c..%5Cb",
            "/a/..;x=y/b",
        ] {
            assert!(check(&parts(path, Version::HTTP_11, &[])).is_err(), "{path}");
            assert!(check(&parts(path, Version::HTTP_2, &[])).is_err(), "{path}");
        }
        for path in ["/", "//a", "/a.b/..c", "/...", "/a%2eb", "/.well-known/x", "/a/%252e%252e/b", "/a?b=/../c"] {
            assert!(check(&parts(path, Version::HTTP_11, &[])).is_ok(), "{path}");
        }
    }

    #[test]
    fn only_paths_and_one_framing() {
        let plain = |headers: &[(&str, &str)]| check(&parts("/", Version::HTTP_11, headers)).is_ok();
        assert!(plain(&[]) && plain(&[("transfer-encoding", "Chunked")]) && plain(&[("content-length", "3")]));
        assert!(!plain(&[("transfer-encoding", "chunked"), ("content-length", "3")]));
        assert!(!plain(&[("content-length", "3"), ("content-length", "3")]));
        assert!(!plain(&[("transfer-encoding", "gzip, chunked")]));
        assert!(!plain(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]));
        let mut quoted = parts("/", Version::HTTP_2, &[]);
        let name = http::HeaderName::from_lowercase(b"x\"a").unwrap();
        quoted.headers.insert(name, http::HeaderValue::from_static("b"));
        assert!(check(&quoted).is_err());
        assert!(check(&parts("*", Version::HTTP_11, &[])).is_err());
        let mut connect = parts("a.test:443", Version::HTTP_11, &[]);
        connect.method = Method::CONNECT;
        assert!(check(&connect).is_err());
    }
}
