//! The gateway's own answers.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode, Version};

use crate::body::ResponseBody;
use crate::counters::Bound;
use crate::record::Record;

/// The id of the request, as HTTP APIs send it.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("apigw-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// Why a request is answered by the gateway and not by a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The client is not trusted; the reason is in its record.
    Refused,
    /// Which requests other origins may make; the gateway says it without asking the backend.
    Preflight,
    /// The execute-api endpoint is disabled.
    EndpointDisabled,
    /// The same, in the words of AWS's HTTP APIs.
    EndpointDisabledAsAws,
    /// The request is not one that has one meaning only.
    BadRequest(&'static str),
    /// The host is not the domain of the connection (RFC 9110 section 15.5.20).
    Misdirected,
    /// No stage, or no route.
    NotFound,
    /// Request line and headers are larger than the gateway takes.
    HeadersTooLarge,
    /// The payload is.
    PayloadTooLarge,
    /// The payload did not come in time.
    PayloadTimeout,
    /// The route has no token left.
    Throttled,
    /// The client has made too many requests; it may come again after these seconds.
    ClientRate(u64),
    /// The client has too many requests under way.
    ClientConcurrency,
    /// The route asks for a token that is not there, or not good.
    Unauthorized,
    /// Who shows what the route asks for may not call it.
    Forbidden,
    /// What decides who may call the route cannot be used.
    AuthorizerUnusable,
    /// The route has no integration that can be used.
    NoIntegration,
    /// The backend cannot be reached, or does not speak HTTP.
    IntegrationFailure,
    /// The backend's answer did not come in time.
    IntegrationTimeout,
}

impl Answer {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Preflight => StatusCode::NO_CONTENT,
            Self::Refused | Self::EndpointDisabled | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound | Self::EndpointDisabledAsAws => StatusCode::NOT_FOUND,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::PayloadTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Throttled | Self::ClientRate(_) | Self::ClientConcurrency => StatusCode::TOO_MANY_REQUESTS,
            Self::NoIntegration | Self::AuthorizerUnusable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::IntegrationFailure | Self::IntegrationTimeout => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The bound that the request was beyond, if it was that.
    pub(crate) fn bound(self) -> Option<Bound> {
        match self {
            Self::HeadersTooLarge => Some(Bound::HeaderBytes),
            Self::PayloadTooLarge => Some(Bound::BodyBytes),
            Self::PayloadTimeout => Some(Bound::StallTimeout),
            Self::BadRequest(_) => Some(Bound::Malformed),
            _ => None,
        }
    }

    /// `$context.error.responseType`
    pub(crate) fn response_type(self) -> &'static str {
        match self {
            Self::Preflight => "",
            Self::Refused | Self::EndpointDisabled | Self::Forbidden => "ACCESS_DENIED",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::AuthorizerUnusable => "AUTHORIZER_CONFIGURATION_ERROR",
            Self::NotFound | Self::EndpointDisabledAsAws => "RESOURCE_NOT_FOUND",
            Self::PayloadTooLarge => "REQUEST_TOO_LARGE",
            Self::BadRequest(_) | Self::Misdirected | Self::HeadersTooLarge | Self::PayloadTimeout => "DEFAULT_4XX",
            Self::Throttled | Self::ClientRate(_) | Self::ClientConcurrency => "THROTTLED",
            Self::NoIntegration => "DEFAULT_5XX",
            Self::IntegrationFailure => "INTEGRATION_FAILURE",
            Self::IntegrationTimeout => "INTEGRATION_TIMEOUT",
        }
    }

    /// `$context.error.message`, but for [`Answer::Refused`], where it is the reason's.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Preflight => "",
            Self::BadRequest(why) => why,
            Self::ClientRate(_) => "the client's rate is exceeded",
            Self::ClientConcurrency => "the client has too many requests under way",
            _ => self.text(),
        }
    }

    fn text(self) -> &'static str {
        match self.status() {
            StatusCode::UNAUTHORIZED => "Unauthorized",
            StatusCode::FORBIDDEN => "Forbidden",
            StatusCode::BAD_REQUEST => "Bad Request",
            StatusCode::MISDIRECTED_REQUEST => "Misdirected Request",
            StatusCode::NOT_FOUND => "Not Found",
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "Request Header Fields Too Large",
            StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
            StatusCode::REQUEST_TIMEOUT => "Request Timeout",
            StatusCode::TOO_MANY_REQUESTS => "Too Many Requests",
            StatusCode::SERVICE_UNAVAILABLE => "Service Unavailable",
            _ => "Internal Server Error",
        }
    }

    fn body(self) -> &'static str {
        match self.status() {
            StatusCode::UNAUTHORIZED => r#"{"message":"Unauthorized"}"#,
            StatusCode::FORBIDDEN => r#"{"message":"Forbidden"}"#,
            StatusCode::BAD_REQUEST => r#"{"message":"Bad Request"}"#,
            StatusCode::MISDIRECTED_REQUEST => r#"{"message":"Misdirected Request"}"#,
            StatusCode::NOT_FOUND => r#"{"message":"Not Found"}"#,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => r#"{"message":"Request Header Fields Too Large"}"#,
            StatusCode::PAYLOAD_TOO_LARGE => r#"{"message":"Request Entity Too Large"}"#,
            StatusCode::REQUEST_TIMEOUT => r#"{"message":"Request Timeout"}"#,
            StatusCode::TOO_MANY_REQUESTS => r#"{"message":"Too Many Requests"}"#,
            StatusCode::SERVICE_UNAVAILABLE => r#"{"message":"Service Unavailable"}"#,
            _ => r#"{"message":"Internal Server Error"}"#,
        }
    }

    fn error_type(self) -> &'static str {
        match self.status() {
            StatusCode::UNAUTHORIZED => "UnauthorizedException",
            StatusCode::FORBIDDEN => "ForbiddenException",
            StatusCode::NOT_FOUND => "NotFoundException",
            StatusCode::PAYLOAD_TOO_LARGE => "RequestEntityTooLargeException",
            StatusCode::TOO_MANY_REQUESTS => "TooManyRequestsException",
            StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailableException",
            status if status.is_client_error() => "BadRequestException",
            _ => "InternalServerErrorException",
        }
    }

    /// After how many seconds the client may try again, where that is known.
    fn retry_after(self) -> Option<u64> {
        match self {
            Self::ClientRate(seconds) => Some(seconds),
            Self::ClientConcurrency => Some(1),
            _ => None,
        }
    }

    /// Whether the connection ends with this answer, because its client is not trusted or what follows on it may not be
    /// what it seems.
    pub(crate) fn closes(self) -> bool {
        matches!(
            self,
            Self::Refused | Self::BadRequest(_) | Self::HeadersTooLarge | Self::PayloadTooLarge | Self::PayloadTimeout
        )
    }

    /// The response; `record` goes with it, to be written when it was sent.
    pub(crate) fn response(self, version: Version, mut record: Box<Record>) -> Response<ResponseBody> {
        record.answered(self);
        let id = HeaderValue::from_bytes(record.id.as_bytes());
        let challenge = record.challenge();
        let is_error = self != Self::Preflight;
        let body = if is_error { self.body() } else { "" };
        let mut response = Response::new(ResponseBody::fixed(Bytes::from_static(body.as_bytes()), record));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        if is_error {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(ERROR_TYPE, HeaderValue::from_static(self.error_type()));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Ok(id) = id {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.closes() && version <= Version::HTTP_11 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
