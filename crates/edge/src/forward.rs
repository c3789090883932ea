//! To the backend and back: headers that belong to one connection stay on it, the client's claims about itself are
//! dropped, and ours are added.

use std::fmt::Write;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, FORWARDED, HOST, HeaderName, TE, UPGRADE, VIA};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, response};
use http_body::Body;
use model::mapping::Mapping;
use tokio::select;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::answer::{self, Answer};
use crate::body::{Payload, Progress, RequestBody};
use crate::exchange::Onward;
use crate::grpc;
use crate::hold::{HoldError, Whole, hold};
use crate::http1::head;
use crate::identity;
use crate::mapping::Values;
use crate::record::Record;
use crate::runtime::Runtime;
use crate::upstream::{Asked, BackendBody, Protocol};

/// Whether a client's header is not for the backend. Many backends read `_` as `-`: what may not pass with one may not
/// pass with the other.
fn stays_here(name: &str) -> bool {
    let plain = identity::plain(name);
    let is_alias = plain != name;
    is_hop_by_hop(&plain) || is_for_us(&plain) || is_alias && &*plain == "host" || is_disguised_framing(name)
}

/// Whether a name has the letters of one that says where a message ends, and is another: somebody may take it for that.
fn is_disguised_framing(name: &str) -> bool {
    let letters = || name.bytes().filter(u8::is_ascii_alphanumeric);
    match name.len() {
        0..13 => false,
        _ if letters().eq(*b"contentlength") => name != "content-length",
        _ => letters().eq(*b"transferencoding"),
    }
}

/// Headers of one connection (RFC 9110 section 7.6.1), besides those that `Connection` names.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// What a client may not say to a backend: where it comes from (`Forwarded` says what we know), who it is, and that it
/// expects a 100 (it got ours when its payload was asked for).
fn is_for_us(name: &str) -> bool {
    matches!(
        name,
        "expect"
            | "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-proto"
            | "x-real-ip"
    ) || identity::is_identity(name)
}

/// Bytes of an answer in which values are looked for; AWS's limit on payloads.
const MAX_HELD_RESPONSE: u64 = 10 * 1024 * 1024;

const VIA_US: HeaderValue = HeaderValue::from_static("HTTP/1.1 AmazonAPIGateway");

/// Sends a request to its backend; gives the head to answer with, and the backend's payload.
pub(crate) async fn forward(
    runtime: &Rc<Runtime>,
    record: &mut Record,
    routed: Onward,
    parts: Parts,
    payload: Payload,
) -> Result<(response::Parts, BackendBody), Answer> {
    let Onward { integration, path, forwarded, changes } = routed;
    let (mut body, progress) = RequestBody::new(payload, runtime.limits().body_bytes);
    record.upload = Some(progress.clone());
    let upgrade = upgrade(&parts, &body);
    let is_grpc = grpc::is_grpc(&parts);
    let is_http2 = upgrade.is_none() && integration.upstream.speaks_http2(is_grpc);
    let takes_trailers = is_http2 && head::says(&parts.headers, TE, "trailers");
    if is_http2 {
        body.over_http2(integration.clone(), is_grpc);
    }
    let mut request = Request::new(body);
    *request.uri_mut() = Uri::try_from(path).map_err(|_| Answer::NoIntegration)?;
    *request.method_mut() = match &integration.method {
        Some(method) => Method::from_bytes(method.as_bytes()).map_err(|_| Answer::NoIntegration)?,
        None => parts.method,
    };
    let mut headers = parts.headers;
    record.carry_trace(&mut headers);
    rewrite_request(&mut headers, parts.version, forwarded, &integration.request_mapping);
    for (name, value) in record.client.identity_headers() {
        headers.insert(name.clone(), value.clone());
    }
    let authority = HeaderValue::from_str(&integration.target.authority).map_err(|_| Answer::NoIntegration)?;
    headers.insert(HOST, authority);
    changes.apply_to_headers(&mut headers);
    if let Some(protocol) = &upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    *request.headers_mut() = headers;
    record.integration_started = Some(std::time::Instant::now());
    let timeout = Duration::from_millis(integration.timeout_ms.into());
    let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
    let asked = Asked::default();
    let answered = select! {
        biased;
        answered = runtime.upstreams.send(&integration.upstream, protocol, request, &asked) => answered,
        () = stalled(&progress, timeout, is_grpc && is_http2) => {
            if progress.waits_for_client() {
                return Err(Answer::PayloadTimeout);
            }
            runtime.upstreams.timed_out(&integration.upstream, &asked);
            return Err(Answer::IntegrationTimeout);
        }
    };
    let (mut head, backend) = match answered {
        Ok(answered) => answered,
        Err(_) if progress.is_too_large() => return Err(Answer::PayloadTooLarge),
        Err(_) if progress.is_broken() => {
            return Err(Answer::BadRequest("the payload ended early, or is not as it says"));
        }
        Err(error) => {
            record.integration_failed(error.reason());
            return Err(Answer::IntegrationFailure);
        }
    };
    if head.status == StatusCode::SWITCHING_PROTOCOLS && upgrade.is_none() {
        // Nobody asked for it.
        return Err(Answer::IntegrationFailure);
    }
    record.integrated(head.status);
    let protocol = head.headers.remove(UPGRADE).filter(|_| head.status == StatusCode::SWITCHING_PROTOCOLS);
    strip(&mut head.headers, is_hop_by_hop);
    if let Some(protocol) = protocol {
        head.headers.insert(UPGRADE, protocol);
    }
    let mut backend = backend;
    if let Some(mapping) = integration.response_mappings.get(&head.status.as_u16()) {
        let held = match mapping.reads_payload && !is_grpc && upgrade.is_none() {
            true => Some(Box::pin(hold_response(runtime, record, &mut backend, timeout)).await?),
            false => None,
        };
        let payload = held.as_ref().map_or(&[][..], |held| &held.bytes);
        let changes = Values::of_response(&head.headers, record).with_payload(payload).changes(mapping);
        changes.apply_to_headers(&mut head.headers);
        changes.apply_to_status(&mut head);
        record.answered_with(head.status);
    }
    answer::identify(&mut head.headers, record);
    // hyper writes the version of the client's connection.
    head.version = Version::HTTP_11;
    Ok((head, backend))
}

/// Reads a backend's payload to its end, since a value is looked for in it. It goes on as it is.
pub(crate) async fn hold_response(
    runtime: &Rc<Runtime>,
    record: &mut Record,
    backend: &mut BackendBody,
    limit: Duration,
) -> Result<Whole, Answer> {
    let held =
        timeout(limit, hold(runtime, backend, MAX_HELD_RESPONSE)).await.map_err(|_| Answer::IntegrationTimeout)?;
    let whole = held.map_err(|error| {
        record.integration_failed(match error {
            HoldError::Broken(_) => "the backend's answer broke off",
            HoldError::TooLarge => "the backend's answer is larger than the 10 MB of which parameters are mapped",
            HoldError::Full => "the gateway holds as many payloads as it may",
        });
        Answer::IntegrationFailure
    })?;
    *backend = BackendBody::Whole(whole.bytes.clone());
    Ok(whole)
}

/// The protocol that a client wants to change to (RFC 9110 section 7.8): WebSocket, most likely.
fn upgrade(parts: &Parts, body: &RequestBody) -> Option<HeaderValue> {
    let asks = parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && body.is_end_stream()
        && head::says(&parts.headers, CONNECTION, "upgrade");
    let mut protocols = parts.headers.get_all(UPGRADE).iter();
    let protocol = protocols.next().filter(|_| asks && protocols.next().is_none())?;
    // One protocol; HTTP/2 is agreed upon in the handshake, never like this (RFC 9113 section 3.1).
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._/".contains(byte);
    let is_plain = protocol.as_bytes().iter().all(is_token) && !protocol.as_bytes().eq_ignore_ascii_case(b"h2c");
    is_plain.then(|| protocol.clone())
}

/// Ends when neither payload nor answer have moved for `timeout`. A stream of messages may rest for as long as its client wants.
async fn stalled(progress: &Progress, timeout: Duration, is_stream: bool) {
    loop {
        let until = Instant::from_std(progress.moved()) + timeout;
        match until <= Instant::now() {
            true if is_stream && progress.waits_for_client() => sleep(timeout).await,
            true => return,
            false => sleep_until(until).await,
        }
    }
}

/// Takes out of a request's headers what is not for whoever answers it.
pub(crate) fn strip_request(headers: &mut HeaderMap, version: Version, mapping: &Mapping) {
    strip(headers, |name| stays_here(name) || mapping.claims(name));
    if version == Version::HTTP_2 {
        join_cookies(headers);
    }
}

fn rewrite_request(headers: &mut HeaderMap, version: Version, forwarded: HeaderValue, mapping: &Mapping) {
    strip_request(headers, version, mapping);
    headers.append(VIA, VIA_US);
    headers.insert(FORWARDED, forwarded);
}

/// What a client may say in trailers: nothing that it may not say in headers, and nothing that has to be known before the
/// payload (RFC 9110 section 6.5.1).
pub(crate) fn rewrite_trailers(trailers: &mut HeaderMap, mapping: &Mapping) {
    let comes_first = |name: &str| {
        let plain = identity::plain(name);
        plain.starts_with("content-")
            || matches!(
                &*plain,
                "authorization"
                    | "cache-control"
                    | "cookie"
                    | "host"
                    | "if-match"
                    | "if-none-match"
                    | "max-forwards"
                    | "range"
                    | "via"
            )
    };
    strip(trailers, |name| stays_here(name) || comes_first(name) || mapping.claims(name));
}

/// Removes the headers of whose (lowercase) names `drops` says so, and those that `Connection` names.
fn strip(headers: &mut HeaderMap, drops: impl Fn(&str) -> bool) {
    if headers.contains_key(CONNECTION) {
        let values: Vec<HeaderValue> = headers.get_all(CONNECTION).iter().cloned().collect();
        for token in values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
            // These are of the message: a client cannot make us lose them.
            match HeaderName::try_from(token.trim()) {
                Ok(HOST | CONTENT_LENGTH) | Err(_) => {}
                Ok(name) => drop(headers.remove(name)),
            }
        }
    }
    let dropped: Vec<HeaderName> = headers.keys().filter(|name| drops(name.as_str())).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

/// HTTP/2 clients may send cookies in pieces; HTTP/1.1 has one header (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let pieces: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// `by={us};for={client};host={host};proto=https` (RFC 7239), as AWS sends it.
pub(crate) fn forwarded(by: IpAddr, client: IpAddr, host: &str) -> HeaderValue {
    let mut text = String::with_capacity(64 + host.len());
    let address = |text: &mut String, name: &str, address: IpAddr| {
        // Writing into a string does not fail.
        let _ = match address.to_canonical() {
            IpAddr::V4(v4) => write!(text, "{name}={v4};"),
            IpAddr::V6(v6) => write!(text, "{name}=\"[{v6}]\";"),
        };
    };
    address(&mut text, "by", by);
    address(&mut text, "for", client);
    text.push_str("host=");
    // A host with a colon is an IPv6 address, and no token.
    let quote = if host.contains(':') { "\"" } else { "" };
    for part in [quote, host, quote, ";proto=https"] {
        text.push_str(part);
    }
    // Host names were checked to be made of letters, digits and punctuation.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("proto=https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn hop_by_hop_headers_go_and_the_message_stays() {
        let mut map = headers(&[
            ("connection", "keep-alive, X-Secret"),
            ("connection", "content-length, host, te"),
            ("x-secret", "1"),
            ("content-length", "3"),
            ("host", "a.test"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic eA=="),
            ("transfer-encoding", "chunked"),
            ("trailer", "x"),
            ("accept", "*/*"),
        ]);
        strip(&mut map, is_hop_by_hop);
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "content-length", "host"]);
    }

    #[test]
    fn underscores_change_nothing() {
        for name in [
            "x_forwarded_for",
            "transfer_encoding",
            "content_length",
            "content--length",
            "contentlength",
            "transfer---encoding",
            "_transfer_encoding_",
            "client_cert",
            "x_ssl-client_dn",
            "x.ssl.client.cert",
        ] {
            assert!(stays_here(name), "{name}");
        }
        for name in ["content-length", "x_request_id", "host", "accept", "x-forwarded-prefix"] {
            assert!(!stays_here(name), "{name}");
        }
    }

    #[test]
    fn trailers_say_nothing_that_headers_may_not() {
        let mut map = headers(&[
            ("grpc-status", "0"),
            ("x-checksum", "1"),
            ("client-cert", "forged"),
            ("x_forwarded_for", "192.0.2.1"),
            ("content-length", "3"),
            ("content_type", "text/plain"),
            ("authorization", "Bearer x"),
            ("host", "a.test"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
        ]);
        rewrite_trailers(&mut map, &Mapping::default());
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "x-checksum"]);
    }

    #[test]
    fn cookies_in_pieces_become_one() {
        let mut map = headers(&[("cookie", "a=1"), ("cookie", "b=2; c=3")]);
        join_cookies(&mut map);
        assert_eq!(map.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }

    #[test]
    fn forwarded_is_as_rfc_7239_wants_it() {
        let by = "192.0.2.1".parse().unwrap();
        for (client, wanted) in [
            ("198.51.100.7", "by=192.0.2.1;for=198.51.100.7;host=api.test;proto=https"),
            ("::ffff:198.51.100.7", "by=192.0.2.1;for=198.51.100.7;host=api.test;proto=https"),
            ("2001:db8::1", "by=192.0.2.1;for=\"[2001:db8::1]\";host=api.test;proto=https"),
        ] {
            assert_eq!(forwarded(by, client.parse().unwrap(), "api.test"), wanted);
        }
    }
}
