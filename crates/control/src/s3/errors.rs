//! S3's codes, texts and the envelope of its answers.

use std::borrow::Cow;
use std::fmt::Write;

use aws_lc_rs::rand;
use bytes::Bytes;
use data_encoding::{BASE32_NOPAD, BASE64};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderValue, SERVER};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use s3s::dto::{Timestamp, TimestampFormat};
use s3s::{Body, S3Error, S3ErrorCode};

use super::operations::timestamp;
use crate::objects::ObjectError;

/// Where a request went, to be named in an error.
#[derive(Clone)]
pub(super) struct Place {
    resource: String,
    head: bool,
    /// What the answer will have as its request id.
    pub(super) id: String,
    host_id: String,
    /// The client waits for `100 Continue`, and has nothing to send: there will be none.
    unexpected: bool,
}

/// What a caller was told that could not be done, among the extensions of the answer.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) code: String,
    pub(super) message: String,
}

const MAX_ERROR_BYTES: usize = 64 << 10;

/// An error of the objects in S3's vocabulary.
pub(super) fn of_object(error: ObjectError) -> S3Error {
    let code = match &error {
        ObjectError::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
        ObjectError::BucketAlreadyOwnedByYou(_) => S3ErrorCode::BucketAlreadyOwnedByYou,
        ObjectError::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
        ObjectError::TooManyBuckets => S3ErrorCode::TooManyBuckets,
        ObjectError::NoSuchKey { .. } => S3ErrorCode::NoSuchKey,
        ObjectError::NoSuchVersion { .. } => S3ErrorCode::NoSuchVersion,
        ObjectError::IsDeleteMarker { .. } => S3ErrorCode::MethodNotAllowed,
        ObjectError::InvalidVersionId(_) => S3ErrorCode::InvalidArgument,
        ObjectError::TooLarge { .. } => S3ErrorCode::EntityTooLarge,
        ObjectError::PreconditionFailed => S3ErrorCode::PreconditionFailed,
        ObjectError::NoSuchUpload(_) => S3ErrorCode::NoSuchUpload,
        ObjectError::TooManyUploads => S3ErrorCode::InvalidRequest,
        ObjectError::InvalidPart(_) => S3ErrorCode::InvalidPart,
        ObjectError::InvalidPartOrder => S3ErrorCode::InvalidPartOrder,
        ObjectError::SizeDiffers { .. } => S3ErrorCode::InvalidRequest,
        ObjectError::ChecksumDiffers(_) => S3ErrorCode::BadDigest,
        ObjectError::PartTooSmall(_) => S3ErrorCode::EntityTooSmall,
        // The text names the file: it is the operator's machine, and they must learn which file to restore.
        ObjectError::Storage(_) => S3ErrorCode::InternalError,
    };
    let mut answer = S3Error::with_message(code, error.to_string());
    let mut headers = HeaderMap::new();
    match error {
        ObjectError::NoSuchKey { marker: Some(version), .. } => mark(&mut headers, &version),
        ObjectError::IsDeleteMarker { version, modified } => {
            mark(&mut headers, &version);
            let mut text = Vec::new();
            let written = Timestamp::format(&timestamp(modified), TimestampFormat::HttpDate, &mut text);
            if let (Ok(()), Ok(date)) = (written, HeaderValue::from_bytes(&text)) {
                headers.insert("last-modified", date);
            }
        }
        _ => {}
    }
    if !headers.is_empty() {
        // The body's type is lost with a set of own headers.
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        answer.set_headers(headers);
    }
    answer
}

/// A code that `s3s` has no name for.
pub(super) fn with_code(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), message);
    error.set_status_code(status);
    error
}

/// An error as an answer.
pub(super) fn response(error: S3Error) -> Response<Body> {
    let status = error.status_code();
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
    })
}

impl Place {
    pub(super) fn of(parts: &Parts) -> Self {
        let (id, host_id) = request_ids();
        let is_empty = parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0");
        let unexpected = is_empty && parts.headers.contains_key(EXPECT);
        Self { resource: parts.uri.path().to_owned(), head: parts.method == Method::HEAD, id, host_id, unexpected }
    }

    /// Adds what S3 adds to every answer, and to errors what `s3s` leaves out.
    pub(super) async fn complete(self, response: Response<Body>) -> Response<Body> {
        let failed = response.status().is_client_error() || response.status().is_server_error();
        let mut response = if failed && !self.head { self.completed(response).await } else { response };
        if failed && self.head {
            *response.body_mut() = Body::empty();
        }
        let headers = response.headers_mut();
        headers.insert(SERVER, HeaderValue::from_static("AmazonS3"));
        if self.unexpected {
            // botocore, which has had a final answer where it waited for another one, mixes up the next two on the connection.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        for (name, value) in [("x-amz-request-id", &self.id), ("x-amz-id-2", &self.host_id)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        response
    }

    async fn completed(&self, response: Response<Body>) -> Response<Body> {
        let Self { id, host_id, .. } = self;
        let (mut parts, body) = response.into_parts();
        let bytes = Limited::new(body, MAX_ERROR_BYTES).collect().await.map(|whole| whole.to_bytes());
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let Some(rest) = text.strip_suffix("</Error>") else { return Response::from_parts(parts, Body::from(text)) };
        let mut whole = rest.to_owned();
        if !whole.contains("<Message>")
            && let Some(code) = between(&text, "<Code>", "</Code>")
        {
            let _ = write!(whole, "<Message>{}</Message>", message_of(code));
        }
        let _ = write!(
            whole,
            "<Resource>{}</Resource><RequestId>{id}</RequestId><HostId>{host_id}</HostId></Error>",
            escaped(&self.resource)
        );
        let told = |before, after| between(&whole, before, after).unwrap_or_default().to_owned();
        parts.extensions.insert(Told { code: told("<Code>", "</Code>"), message: told("<Message>", "</Message>") });
        parts.headers.remove(CONTENT_LENGTH);
        Response::from_parts(parts, Body::from(Bytes::from(whole)))
    }
}

/// S3's texts of errors that are found before an operation is reached.
fn message_of(code: &str) -> &'static str {
    match code {
        "AccessDenied" => "Access Denied",
        "InvalidAccessKeyId" => "The AWS Access Key Id you provided does not exist in our records.",
        "SignatureDoesNotMatch" => {
            "The request signature we calculated does not match the signature you provided. Check your key and signing method."
        }
        "RequestTimeTooSkewed" => "The difference between the request time and the current time is too large.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "KeyTooLongError" => "Your key is too long",
        "InvalidURI" => "Couldn't parse the specified URI.",
        "InvalidRange" => "The requested range is not satisfiable",
        "MalformedXML" => "The XML you provided was not well-formed or did not validate against our published schema",
        "MissingRequestBodyError" => "Request Body is empty",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "NotImplemented" => "A header or operation you provided implies functionality that is not implemented",
        "IncompleteBody" => "You did not provide the number of bytes specified by the Content-Length HTTP header",
        "MaxMessageLengthExceeded" => "Your request was too big.",
        "InternalError" => "We encountered an internal error. Please try again.",
        _ => "The request could not be answered.",
    }
}

fn mark(headers: &mut HeaderMap, version: &str) {
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    if let Ok(version) = HeaderValue::from_str(version) {
        headers.insert("x-amz-version-id", version);
    }
}

fn request_ids() -> (String, String) {
    let mut bytes = [0; 58];
    // They are for support, not for security: zeros would do.
    let _ = rand::fill(&mut bytes);
    (BASE32_NOPAD.encode(&bytes[..10]), BASE64.encode(&bytes[10..]))
}

fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    let start = text.find(before)? + before.len();
    text[start..].split(after).next()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
