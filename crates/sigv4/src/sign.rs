//! Signing our own requests.

use data_encoding::HEXLOWER;
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderValue, Request, Uri};
use percent_encoding::utf8_percent_encode;

use crate::canonical::{ENCODED, host, string_to_sign};
use crate::date::{self, Date};
use crate::payload::{self, PayloadHash};
use crate::{ALGORITHM, Credentials, Scope, SignError};

/// Signs a request with an `Authorization` header, at a time in seconds since 1970.
///
/// Sets `Host` where it is missing, `x-amz-date`, the session token and, for S3, `x-amz-content-sha256` (one that is
/// already there stays: `UNSIGNED-PAYLOAD`). Signs these, `content-type` and all other `x-amz-*` headers.
pub fn sign<B>(
    request: &mut Request<B>,
    body: &[u8],
    credentials: &Credentials,
    region: &str,
    service: &str,
    at: i64,
) -> Result<(), SignError> {
    let (scope, date) = scope(credentials, region, service, at)?;
    let host = host_of(request)?;
    let claimed = request.headers().get(payload::HEADER).and_then(|claim| PayloadHash::parse(claim.to_str().ok()?));
    let hash = claimed.unwrap_or_else(|| PayloadHash::of(body));
    let headers = request.headers_mut();
    headers.insert(HOST, host);
    headers.insert(date::HEADER, value(&date.text, "time")?);
    if let Some(token) = &credentials.session_token {
        headers.insert("x-amz-security-token", value(token, "session token")?);
    }
    if service == "s3" || claimed.is_some() {
        headers.insert(payload::HEADER, value(&hash.to_text(), "hash")?);
    }
    let mut names: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.retain(|name| name == "host" || name == "content-type" || name.starts_with("x-amz-"));
    names.sort_unstable();
    let signature = signature(request, &names, hash, &scope, &date, credentials)?;
    let (key, scope, names) = (&scope.access_key_id, scope.without_key(), names.join(";"));
    let text = format!("{ALGORITHM} Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}");
    request.headers_mut().insert(AUTHORIZATION, value(&text, "credentials")?);
    Ok(())
}

/// Signs a request in its query string, good for `expires_seconds` (1 to 604800); only `Host` is signed of its headers.
/// The body is not signed for S3, and is empty for all others.
pub fn presign<B>(
    request: &mut Request<B>,
    credentials: &Credentials,
    region: &str,
    service: &str,
    expires_seconds: u32,
    at: i64,
) -> Result<(), SignError> {
    let (scope, date) = scope(credentials, region, service, at)?;
    let host = host_of(request)?;
    request.headers_mut().insert(HOST, host);
    let mut parameters = vec![
        ("X-Amz-Algorithm", ALGORITHM.to_owned()),
        ("X-Amz-Credential", format!("{}/{}", scope.access_key_id, scope.without_key())),
        ("X-Amz-Date", date.text.clone()),
        ("X-Amz-Expires", expires_seconds.to_string()),
        ("X-Amz-SignedHeaders", "host".to_owned()),
    ];
    parameters.extend(credentials.session_token.iter().map(|token| ("X-Amz-Security-Token", token.clone())));
    for (name, value) in parameters {
        append_parameter(request.uri_mut(), name, &value)?;
    }
    let hash = if service == "s3" { PayloadHash::Unsigned } else { PayloadHash::of(b"") };
    let signature = signature(request, &["host".to_owned()], hash, &scope, &date, credentials)?;
    append_parameter(request.uri_mut(), "X-Amz-Signature", &signature)
}

fn scope(credentials: &Credentials, region: &str, service: &str, at: i64) -> Result<(Scope, Date), SignError> {
    let date = Date::of(at).ok_or(SignError::Unwritable("time"))?;
    let access_key_id = credentials.access_key_id.clone();
    let scope =
        Scope { access_key_id, date: date.day().to_owned(), region: region.to_owned(), service: service.to_owned() };
    Ok((scope, date))
}

fn host_of<B>(request: &Request<B>) -> Result<HeaderValue, SignError> {
    let authority = request.uri().authority().map(|authority| authority.as_str());
    match (request.headers().get(HOST), authority) {
        (Some(host), _) => Ok(host.clone()),
        (None, Some(authority)) => value(authority, "host"),
        (None, None) => Err(SignError::NoHost),
    }
}

fn signature<B>(
    request: &Request<B>,
    names: &[String],
    hash: PayloadHash,
    scope: &Scope,
    date: &Date,
    credentials: &Credentials,
) -> Result<String, SignError> {
    let parts = head(request);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    host(&parts).ok_or(SignError::NoHost)?;
    let text = string_to_sign(&parts, &names, hash, scope, date).ok_or(SignError::Unwritable("headers"))?;
    Ok(HEXLOWER.encode(&credentials.secret.signature(scope, &text)))
}

/// The parts of a request that signatures are about.
fn head<B>(request: &Request<B>) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = request.method().clone();
    parts.uri = request.uri().clone();
    parts.headers = request.headers().clone();
    parts
}

fn append_parameter(uri: &mut Uri, name: &str, value: &str) -> Result<(), SignError> {
    let separator = if uri.query().is_some() { '&' } else { '?' };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = format!("{path}{separator}{name}={}", utf8_percent_encode(value, ENCODED));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().map_err(|_| SignError::Unwritable("query string"))?);
    *uri = Uri::from_parts(parts).map_err(|_| SignError::Unwritable("query string"))?;
    Ok(())
}

fn value(text: &str, what: &'static str) -> Result<HeaderValue, SignError> {
    HeaderValue::from_str(text).map_err(|_| SignError::Unwritable(what))
}
