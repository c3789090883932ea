//! Sending over HTTP: what senders have in common.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use edge::UpstreamTls;
use http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use zeroize::Zeroizing;

use super::sender::Trouble;
use crate::answer::Failure;
use crate::config::Aws;
use crate::fetch::{Answer, Call, Http};

/// By whose certificates the other side is known, and what every request carries.
#[derive(Clone)]
pub(super) struct Outgoing {
    http: Http,
    headers_file: Option<PathBuf>,
}

/// Bytes of a file of headers.
const MAX_HEADERS_BYTES: u64 = 64 * 1024;

impl Outgoing {
    /// Trusts the system's CAs, and those of the file.
    pub(super) fn new(ca_file: Option<&Path>, headers_file: Option<PathBuf>) -> Result<Self, Failure> {
        let named = |path: &Path, why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}", path.display()));
        let extra = ca_file.map(|path| std::fs::read_to_string(path).map_err(|e| named(path, &e))).transpose()?;
        if let (Some(pem), Some(path)) = (&extra, ca_file)
            && !pem.contains("-----BEGIN CERTIFICATE-----")
        {
            return Err(named(path, &"no certificate in PEM"));
        }
        let tls = UpstreamTls::new(extra.as_slice());
        let tls = tls.map_err(|e| Failure::new(format!("CAs for sinks cannot be used: {e}")))?;
        Ok(Self { http: Http::new(tls, &[]), headers_file })
    }

    /// Posts a body, with the headers of the file as they are now.
    pub(super) async fn post(&self, url: &str, content_type: &'static str, body: Vec<u8>) -> Result<Answer, Trouble> {
        let mut headers = match &self.headers_file {
            Some(path) => read_headers(path).map_err(|e| Trouble::later(format!("{}: {e}", path.display())))?,
            None => HeaderMap::new(),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.call(Call { method: Method::POST, url: url.to_owned(), headers, body: body.into() }).await
    }

    /// Sends a request that is signed as AWS wants it, with the credentials as they are now.
    pub(super) async fn signed(
        &self,
        aws: &Aws,
        service: &str,
        mut request: Request<()>,
        body: Vec<u8>,
    ) -> Result<Answer, Trouble> {
        let credentials = aws.credentials().map_err(Trouble::later)?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        sigv4::sign(&mut request, &body, &credentials, &aws.region, service, now)
            .map_err(|e| Trouble::later(format!("the request cannot be signed: {e}")))?;
        let (head, ()) = request.into_parts();
        let mut headers = head.headers;
        // It is made of the URL again.
        headers.remove(HOST);
        self.call(Call { method: head.method, url: head.uri.to_string(), headers, body: Bytes::from(body) }).await
    }

    async fn call(&self, call: Call) -> Result<Answer, Trouble> {
        self.http.call(call).await.map_err(|e| Trouble::later(e.to_string()))
    }
}

/// That it did not work, as the other side says.
pub(super) fn refused(answer: &Answer) -> Trouble {
    let body = String::from_utf8_lossy(&answer.body[..answer.body.len().min(1000)]);
    let why = format!("it answers {}: {}", answer.status, body.trim());
    Trouble::Later { why, after: retry_after(&answer.headers, OffsetDateTime::now_utc()) }
}

/// RFC 9110 section 10.2.3.
fn retry_after(headers: &HeaderMap, now: OffsetDateTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()?;
    (at - now).try_into().ok()
}

/// `Name: value`, a line each. What is wrong is told without what stands there: it is secret.
fn read_headers(path: &Path) -> Result<HeaderMap, String> {
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(|e| e.to_string())?;
    file.take(MAX_HEADERS_BYTES).read_to_string(&mut text).map_err(|e| e.to_string())?;
    parse_headers(&text)
}

fn parse_headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let parsed = line.split_once(':').and_then(|(name, value)| {
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name.trim().parse::<HeaderName>().ok()?, value))
        });
        let (name, value) = parsed.ok_or_else(|| format!("line {} is no header: expected Name: value", at + 1))?;
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_lines_and_their_values_are_not_told() {
        let headers = parse_headers("Authorization: Bearer s3cret\n\nX-Scope:  a \r\n").unwrap();
        assert_eq!(headers["authorization"], "Bearer s3cret");
        assert_eq!(headers["x-scope"], "a");
        let error = parse_headers("X-Scope: a\ns3cret").unwrap_err();
        assert_eq!(error, "line 2 is no header: expected Name: value");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = OffsetDateTime::from_unix_timestamp(1_445_412_480).unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            ("Wed, 21 Oct 2015 07:29:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:27:00 GMT", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
