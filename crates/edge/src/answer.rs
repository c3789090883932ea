//! The gateway's own answers, in the words of the API's kind: HTTP APIs and REST APIs say the same things differently.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version};
use http_body::Body;
use model::snapshot::Dialect;

use crate::body::ResponseBody;
use crate::counters::Bound;
use crate::mapping;
use crate::record::Record;

/// The id of the request, as HTTP APIs send it.
const REQUEST_ID: HeaderName = HeaderName::from_static("apigw-requestid");
/// `$context.requestId` and `$context.extendedRequestId`, as REST APIs send them.
const REST_REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const REST_EXTENDED_ID: HeaderName = HeaderName::from_static("x-amz-apigw-id");
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
    /// A REST API has no method for it.
    NoMethod,
    /// The route has no token left.
    Throttled,
    /// The client has made too many requests; it may come again after these seconds.
    ClientRate(u64),
    /// The client has too many requests under way.
    ClientConcurrency,
    /// The route asks for a token that is not there, or not good.
    Unauthorized,
    /// The method asks for an API key that is not there, or not good.
    ApiKeyInvalid,
    /// The route asks for a signature, and there is none.
    Unsigned,
    /// Nobody has the access key that it is signed with.
    KeyUnknown,
    /// The signature is not good.
    SignatureBad,
    /// Parameters that the method requires are missing; which stands in the record.
    ParametersMissing,
    /// The payload is not as the method's model says, or no JSON where its template needs some; the reason is in the record.
    BodyInvalid,
    /// There is no template for the payload's media type, and it may not pass without.
    MediaTypeUnsupported,
    /// The API key's quota is used up.
    QuotaExceeded,
    /// Who shows what the route asks for may not call it.
    Forbidden,
    /// The authorizer says that it may not be called.
    Denied,
    /// The authorizer does not say that it may.
    NotAllowed,
    /// What decides who may call the route cannot be used.
    AuthorizerUnusable,
    /// The route has no integration that can be used.
    NoIntegration,
    /// No integration response is for what the backend says, or what it makes of it is no answer.
    NoResponse,
    /// The backend cannot be reached, or does not speak HTTP.
    IntegrationFailure,
    /// The backend's answer did not come in time.
    IntegrationTimeout,
    /// Its admission could not be recorded, and it is not forwarded.
    Unrecorded,
    /// The function ended in an error, or returned what is no answer.
    FunctionFailed,
    /// The function could not be called.
    FunctionUnreachable,
}

/// What an answer says.
#[derive(Clone, Copy)]
struct Form {
    status: StatusCode,
    message: &'static str,
    body: &'static str,
    /// `x-amzn-errortype`
    error_type: &'static str,
}

/// An error as AWS writes it. REST APIs put a space before some messages.
macro_rules! form {
    ($status:ident, $error_type:literal, $message:literal) => {
        form!($status, $error_type, $message, "")
    };
    ($status:ident, $error_type:literal, $message:literal, $space:literal) => {
        Form {
            status: StatusCode::$status,
            message: $message,
            body: concat!("{\"message\":", $space, "\"", $message, "\"}"),
            error_type: $error_type,
        }
    };
}

/// What REST APIs say of policies is spelt as IAM spells it.
macro_rules! denied {
    ($message:literal) => {
        Form {
            status: StatusCode::FORBIDDEN,
            message: $message,
            body: concat!("{\"Message\":\"", $message, "\"}"),
            error_type: "AccessDeniedException",
        }
    };
}

impl Answer {
    fn form(self, dialect: Dialect) -> Form {
        match dialect {
            Dialect::Http => self.of_http_api(),
            Dialect::Rest => self.of_rest_api(),
        }
    }

    fn of_http_api(self) -> Form {
        match self {
            Self::Preflight => Form { status: StatusCode::NO_CONTENT, message: "", body: "", error_type: "" },
            Self::Refused
            | Self::EndpointDisabled
            | Self::Forbidden
            | Self::Denied
            | Self::NotAllowed
            | Self::ApiKeyInvalid
            | Self::Unsigned
            | Self::KeyUnknown
            | Self::SignatureBad => {
                form!(FORBIDDEN, "ForbiddenException", "Forbidden")
            }
            Self::Unauthorized => form!(UNAUTHORIZED, "UnauthorizedException", "Unauthorized"),
            Self::BadRequest(_) | Self::ParametersMissing | Self::BodyInvalid => {
                form!(BAD_REQUEST, "BadRequestException", "Bad Request")
            }
            Self::MediaTypeUnsupported => {
                form!(UNSUPPORTED_MEDIA_TYPE, "BadRequestException", "Unsupported Media Type")
            }
            Self::Misdirected => form!(MISDIRECTED_REQUEST, "BadRequestException", "Misdirected Request"),
            Self::NotFound | Self::NoMethod | Self::EndpointDisabledAsAws => {
                form!(NOT_FOUND, "NotFoundException", "Not Found")
            }
            Self::HeadersTooLarge => {
                form!(REQUEST_HEADER_FIELDS_TOO_LARGE, "BadRequestException", "Request Header Fields Too Large")
            }
            Self::PayloadTooLarge => {
                form!(PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", "Request Entity Too Large")
            }
            Self::PayloadTimeout => form!(REQUEST_TIMEOUT, "BadRequestException", "Request Timeout"),
            Self::Throttled | Self::ClientRate(_) | Self::ClientConcurrency => {
                form!(TOO_MANY_REQUESTS, "TooManyRequestsException", "Too Many Requests")
            }
            Self::QuotaExceeded => form!(TOO_MANY_REQUESTS, "LimitExceededException", "Limit Exceeded"),
            Self::NoIntegration
            | Self::NoResponse
            | Self::AuthorizerUnusable
            | Self::FunctionFailed
            | Self::FunctionUnreachable => {
                form!(INTERNAL_SERVER_ERROR, "InternalServerErrorException", "Internal Server Error")
            }
            Self::IntegrationFailure | Self::IntegrationTimeout | Self::Unrecorded => {
                form!(SERVICE_UNAVAILABLE, "ServiceUnavailableException", "Service Unavailable")
            }
        }
    }

    /// Where REST APIs say it as HTTP APIs do, it is left to those.
    fn of_rest_api(self) -> Form {
        match self {
            // As for a stage or a mapping that is not there.
            Self::NotFound | Self::EndpointDisabledAsAws => form!(FORBIDDEN, "ForbiddenException", "Forbidden"),
            // AWS says the same of both.
            Self::NoMethod | Self::Unsigned => {
                form!(FORBIDDEN, "MissingAuthenticationTokenException", "Missing Authentication Token")
            }
            Self::KeyUnknown => {
                form!(
                    FORBIDDEN,
                    "UnrecognizedClientException",
                    "The security token included in the request is invalid."
                )
            }
            Self::SignatureBad => form!(
                FORBIDDEN,
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
            ),
            Self::Denied => {
                denied!(
                    "User is not authorized to access this resource with an explicit deny in an identity-based policy"
                )
            }
            Self::NotAllowed => denied!("User is not authorized to access this resource"),
            Self::AuthorizerUnusable => Form {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                message: "",
                body: r#"{"message":null}"#,
                error_type: "AuthorizerConfigurationException",
            },
            Self::NoIntegration | Self::NoResponse | Self::FunctionUnreachable => {
                form!(INTERNAL_SERVER_ERROR, "InternalServerErrorException", "Internal server error", " ")
            }
            Self::FunctionFailed => form!(BAD_GATEWAY, "InternalServerErrorException", "Internal server error", " "),
            Self::IntegrationFailure => {
                form!(GATEWAY_TIMEOUT, "InternalServerErrorException", "Network error communicating with endpoint", " ")
            }
            Self::IntegrationTimeout => {
                form!(GATEWAY_TIMEOUT, "InternalServerErrorException", "Endpoint request timed out", " ")
            }
            other => other.of_http_api(),
        }
    }

    pub(crate) fn status(self, dialect: Dialect) -> StatusCode {
        self.form(dialect).status
    }

    /// The bound that the request was beyond, if it was that.
    pub(crate) fn bound(self) -> Option<Bound> {
        match self {
            Self::HeadersTooLarge => Some(Bound::HeaderBytes),
            Self::PayloadTooLarge => Some(Bound::BodyBytes),
            Self::PayloadTimeout => Some(Bound::StallTimeout),
            Self::BadRequest(_) => Some(Bound::Malformed),
            Self::Unrecorded => Some(Bound::Unrecorded),
            _ => None,
        }
    }

    /// `$context.error.responseType`
    pub(crate) fn response_type(self, dialect: Dialect) -> &'static str {
        match self {
            Self::Unsigned if dialect == Dialect::Rest => "MISSING_AUTHENTICATION_TOKEN",
            Self::SignatureBad if dialect == Dialect::Rest => "INVALID_SIGNATURE",
            Self::Unsigned | Self::KeyUnknown | Self::SignatureBad => "ACCESS_DENIED",
            Self::ParametersMissing => "BAD_REQUEST_PARAMETERS",
            Self::BodyInvalid => "BAD_REQUEST_BODY",
            Self::MediaTypeUnsupported => "UNSUPPORTED_MEDIA_TYPE",
            Self::NoResponse => "API_CONFIGURATION_ERROR",
            Self::Preflight => "",
            Self::Refused | Self::EndpointDisabled | Self::Forbidden | Self::Denied | Self::NotAllowed => {
                "ACCESS_DENIED"
            }
            Self::ApiKeyInvalid => "INVALID_API_KEY",
            Self::QuotaExceeded => "QUOTA_EXCEEDED",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::AuthorizerUnusable => "AUTHORIZER_CONFIGURATION_ERROR",
            Self::NotFound | Self::EndpointDisabledAsAws => "RESOURCE_NOT_FOUND",
            Self::NoMethod => "MISSING_AUTHENTICATION_TOKEN",
            Self::PayloadTooLarge => "REQUEST_TOO_LARGE",
            Self::BadRequest(_) | Self::Misdirected | Self::HeadersTooLarge | Self::PayloadTimeout => "DEFAULT_4XX",
            Self::Throttled | Self::ClientRate(_) | Self::ClientConcurrency => "THROTTLED",
            Self::NoIntegration | Self::Unrecorded => "DEFAULT_5XX",
            Self::IntegrationFailure | Self::FunctionFailed | Self::FunctionUnreachable => "INTEGRATION_FAILURE",
            Self::IntegrationTimeout => "INTEGRATION_TIMEOUT",
        }
    }

    /// `$context.error.message`, but for [`Answer::Refused`], where it is the reason's.
    pub(crate) fn message(self, dialect: Dialect) -> &'static str {
        match self {
            Self::BadRequest(why) => why,
            Self::ClientRate(_) => "the client's rate is exceeded",
            Self::ClientConcurrency => "the client has too many requests under way",
            _ => self.form(dialect).message,
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
        let form = self.form(record.dialect());
        let mut headers = HeaderMap::new();
        identify(&mut headers, &record);
        if !form.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(ERROR_TYPE, HeaderValue::from_static(form.error_type));
        }
        if let Some(seconds) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = record.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.closes() && version <= Version::HTTP_11 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let mut body = match record.invalid() {
            Some(message) => Bytes::from(format!(r#"{{"message": {}}}"#, serde_json::Value::from(message))),
            None => Bytes::from_static(form.body.as_bytes()),
        };
        let mut status = form.status;
        self.reword(&mut record, &mut status, &mut headers, &mut body);
        let mut response = Response::new(ResponseBody::fixed(body, record));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// Says it in the API's own words, where it has a gateway response for it.
    fn reword(self, record: &mut Record, status: &mut StatusCode, headers: &mut HeaderMap, body: &mut Bytes) {
        let Some(stage) = record.stage().filter(|_| self.is_the_apis()).cloned() else { return };
        let Some(own) = stage.gateway_answers.find(self.response_type(stage.dialect), *status) else { return };
        if let Some(own) = own.status {
            *status = own;
            record.answered_with(own);
        }
        mapping::set_headers(&own.headers, record, headers);
        if let Some((media_type, template)) = &own.body {
            let certificate = record.client.chain.identity().map(|identity| &identity.certificate);
            let mut text = String::new();
            template.bind(certificate).render(record, &mut text);
            headers.insert(CONTENT_TYPE, media_type.clone());
            *body = text.into();
        }
    }

    /// Whether a REST API may say it in its own words. What is said to those who are not let in is for the domain to say.
    fn is_the_apis(self) -> bool {
        !matches!(self, Self::Refused | Self::Misdirected | Self::BadRequest(_))
    }
}

/// Leaves the head of an answer to HEAD over HTTP/2, where hyper would send a payload of ours (RFC 9110 section 9.3.2).
pub(crate) fn forget_payload(response: &mut Response<ResponseBody>) {
    if response.body().is_ours() {
        let length = response.body().size_hint().exact().unwrap_or_default();
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
        response.body_mut().forget();
    }
}

/// Puts the request's ids into the head of its answer.
pub(crate) fn identify(headers: &mut HeaderMap, record: &Record) {
    let mut insert = |name: HeaderName, id: &[u8]| {
        if let Ok(mut id) = HeaderValue::from_bytes(id) {
            // Another one each time: HTTP/2's tables of headers are not to be filled with them.
            id.set_sensitive(true);
            headers.insert(name, id);
        }
    };
    match record.dialect() {
        Dialect::Http => insert(REQUEST_ID, record.id.as_bytes()),
        Dialect::Rest => {
            insert(REST_REQUEST_ID, record.id.as_bytes());
            insert(REST_EXTENDED_ID, record.extended_id().as_bytes());
        }
    }
}
