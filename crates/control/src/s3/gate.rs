//! What may reach `s3s` at all: requests signed with AWS4-HMAC-SHA256, in the header or in the address.

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use percent_encoding::percent_decode_str;
use s3s::{S3Error, S3ErrorCode, s3_error};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Of a bucket that is to be made.
pub(super) const MAX_CONFIGURATION_BYTES: usize = 64 << 10;
/// Longest lifetime of a presigned request.
const MAX_EXPIRES_SECONDS: u32 = 604_800;

/// Refuses other signatures than version 4's, unsigned requests and forms from browsers, and signatures that leave out
/// what S3 wants signed.
pub(super) fn check(parts: &Parts) -> Result<(), S3Error> {
    let form = parts
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"multipart/")));
    if form {
        return Err(s3_error!(NotImplemented, "Uploads by forms are not implemented."));
    }
    let query: Vec<&str> = parts.uri.query().unwrap_or_default().split('&').collect();
    let of_query = |name: &str| query.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    if of_query("Signature").is_some() || of_query("AWSAccessKeyId").is_some() {
        return Err(not_supported());
    }
    let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
    match (headers.next(), headers.next()) {
        (None, _) if of_query("X-Amz-Signature").is_some() => {
            if of_query("X-Amz-Algorithm") != Some(ALGORITHM) {
                return Err(not_supported());
            }
            let expires = of_query("X-Amz-Expires").and_then(|seconds| seconds.parse::<u32>().ok());
            if !expires.is_some_and(|seconds| (1..=MAX_EXPIRES_SECONDS).contains(&seconds)) {
                let message = "X-Amz-Expires must be a number of seconds from 1 to 604800, which is a week.";
                return Err(s3_error!(AuthorizationQueryParametersError, "{message}"));
            }
            let scope = of_query("X-Amz-Credential").unwrap_or_default().replace("%2F", "/");
            let signed = of_query("X-Amz-SignedHeaders").unwrap_or_default().replace("%3B", ";");
            check_signed(parts, &scope, &signed)
        }
        (None, _) => Err(S3ErrorCode::AccessDenied.into()),
        (Some(header), None) => {
            let text = header.to_str().map_err(|_| malformed())?;
            if of_query("X-Amz-Signature").is_some() {
                return Err(s3_error!(InvalidArgument, "Only one auth mechanism allowed"));
            }
            check_header(parts, text.strip_prefix(ALGORITHM).ok_or_else(not_supported)?)
        }
        (Some(_), Some(_)) => Err(malformed()),
    }
}

/// Whether a request may be one to make a bucket, with a configuration: some are to put a small object instead.
pub(super) fn may_make_a_bucket(parts: &Parts) -> bool {
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let has_configuration = length.is_some_and(|length| (1..=MAX_CONFIGURATION_BYTES).contains(&length));
    let is_of_root = parts.uri.path().trim_matches('/').split('/').count() == 1;
    parts.method == Method::PUT && has_configuration && is_of_root
}

/// The headers of a presigned request that its signer has put into the address, as SDKs in browsers do: they are signed there, and are
/// headers again from here on.
pub(super) fn unhoist(parts: &mut Parts) {
    let Some(query) = parts.uri.query().filter(|query| query.contains("X-Amz-Signature=")) else { return };
    let mut hoisted = Vec::new();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = percent_decode_str(value).decode_utf8_lossy();
        if name.starts_with("x-amz-")
            && let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value))
        {
            hoisted.push((name, value));
        }
    }
    for (name, value) in hoisted {
        parts.headers.entry(name).or_insert(value);
    }
}

/// The fields after the algorithm.
fn check_header(parts: &Parts, fields: &str) -> Result<(), S3Error> {
    let field = |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
    check_signed(parts, field("Credential").ok_or_else(malformed)?, field("SignedHeaders").ok_or_else(malformed)?)
}

/// A signature is for S3, and over the host and all of Amazon's headers.
fn check_signed(parts: &Parts, scope: &str, signed: &str) -> Result<(), S3Error> {
    if scope.rsplit('/').nth(1) != Some("s3") {
        let message = "The authorization header is malformed; incorrect service. This endpoint belongs to \"s3\".";
        return Err(s3_error!(AuthorizationHeaderMalformed, "{message}"));
    }
    let signed: Vec<&str> = signed.split(';').collect();
    let must_be_signed = |name: &str| name == HOST.as_str() || name.starts_with("x-amz-");
    let unsigned = parts.headers.keys().find(|name| must_be_signed(name.as_str()) && !signed.contains(&name.as_str()));
    match unsigned {
        Some(_) => Err(s3_error!(AccessDenied, "There were headers present in the request which were not signed")),
        None => Ok(()),
    }
}

fn not_supported() -> S3Error {
    s3_error!(
        InvalidRequest,
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    )
}

fn malformed() -> S3Error {
    s3_error!(AuthorizationHeaderMalformed, "The authorization header that you provided is not valid.")
}
