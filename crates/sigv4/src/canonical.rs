//! The canonical form of a request: what both sides sign.

use std::fmt::Write;

use http::request::Parts;
use http::{HeaderMap, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};

use crate::date::Date;
use crate::payload::PayloadHash;
use crate::{ALGORITHM, Scope};

/// All but the unreserved characters of RFC 3986 section 2.3.
pub(crate) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same, slashes kept.
const ENCODED_IN_PATH: &AsciiSet = &ENCODED.remove(b'/');

const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// What HMAC is applied to. `None` when a signed header is not there.
pub(crate) fn string_to_sign(
    parts: &Parts,
    signed_headers: &[&str],
    payload: PayloadHash,
    scope: &Scope,
    date: &Date,
) -> Option<String> {
    let canonical = canonical_request(parts, signed_headers, payload, &scope.service)?;
    let hash = PayloadHash::of(canonical.as_bytes()).to_text();
    Some(format!("{ALGORITHM}\n{}\n{}\n{hash}", date.text, scope.without_key()))
}

/// Name and value of each parameter, decoded; a plus is a space, as in a form.
pub(crate) fn parameters(uri: &Uri) -> impl Iterator<Item = (String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).collect::<Vec<u8>>();
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [name, value] = [name, value].map(|half| String::from_utf8_lossy(&decode(half)).into_owned());
        (name, value)
    })
}

/// The host that a request is for: of the `Host` header, else (HTTP/2) of the URI.
pub(crate) fn host(parts: &Parts) -> Option<String> {
    match parts.headers.contains_key("host") {
        true => header(&parts.headers, "host"),
        false => parts.uri.authority().map(|authority| authority.as_str().to_owned()),
    }
}

fn canonical_request(parts: &Parts, signed_headers: &[&str], payload: PayloadHash, service: &str) -> Option<String> {
    let (path, query) = (path(parts.uri.path(), service), query(&parts.uri));
    let mut canonical = format!("{}\n{path}\n{query}\n", parts.method);
    for name in signed_headers {
        let value = if *name == "host" { host(parts) } else { header(&parts.headers, name) };
        let _ = writeln!(canonical, "{name}:{}", value?);
    }
    let _ = write!(canonical, "\n{}\n{}", signed_headers.join(";"), payload.to_text());
    Some(canonical)
}

/// S3's path is encoded once and otherwise left as it is; all others' is normalized and encoded twice.
fn path(path: &str, service: &str) -> String {
    if service != "s3" {
        return utf8_percent_encode(&normalized(path), ENCODED_IN_PATH).to_string();
    }
    // An encoded slash stays one: it is part of a key, and a client that sends it so has signed it so.
    let segments = path.split('/').map(|segment| {
        let pieces = segment.split("%2F").flat_map(|piece| piece.split("%2f"));
        let encoded =
            pieces.map(|piece| percent_encode(&percent_decode_str(piece).collect::<Vec<u8>>(), ENCODED).to_string());
        encoded.collect::<Vec<_>>().join("%2F")
    });
    segments.collect::<Vec<_>>().join("/")
}

/// RFC 3986 section 5.2.4, and no empty segments.
fn normalized(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let directory = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    let end = if directory && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

fn query(uri: &Uri) -> String {
    let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
    let signed = parameters(uri).filter(|(name, _)| name != SIGNATURE_PARAMETER);
    let mut pairs: Vec<_> = signed.map(|(name, value)| (encode(&name), encode(&value))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// All values, each without outer and with single inner spaces, joined by commas. `None` when there is none.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(name).iter().map(|value| {
        let text = String::from_utf8_lossy(value.as_bytes());
        text.split([' ', '\t']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    });
    let values: Vec<_> = values.collect();
    (!values.is_empty()).then(|| values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (service, given, canonical) in [
            ("apigateway", "/v2/tags/arn%3Aaws", "/v2/tags/arn%253Aaws"),
            ("apigateway", "/a//b/./c/../d/", "/a/b/d/"),
            ("apigateway", "/..", "/"),
            ("apigateway", "", "/"),
            ("s3", "/bucket//a/./b", "/bucket//a/./b"),
            ("s3", "/bucket/a+b%20c", "/bucket/a%2Bb%20c"),
            ("s3", "/bucket/a%2fb", "/bucket/a%2Fb"),
            ("s3", "/", "/"),
        ] {
            assert_eq!(path(given, service), canonical, "{service} {given}");
        }
    }
}
