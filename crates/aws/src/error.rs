//! What an operation answers when it cannot do what it was asked.

use http::StatusCode;

/// An error in AWS's vocabulary. Which form it takes on the wire is the protocol's business: [`crate::Protocol::render_error`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// AWS's code, e.g. `BadRequestException`.
    pub code: &'static str,
    /// HTTP status.
    pub status: StatusCode,
    /// For people.
    pub message: String,
    /// Further members of a JSON error body, e.g. `resourceType`.
    pub extras: Vec<(&'static str, serde_json::Value)>,
}

impl Error {
    /// An error with a code of the service at hand.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { code, status, message: message.into(), extras: Vec::new() }
    }

    /// 400 with any code: the form of most errors of the JSON 1.1 services.
    pub fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// API Gateway's 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::client("BadRequestException", message)
    }

    /// API Gateway's 404. AWS adds `resourceType` where it knows one ([`Self::with`]).
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFoundException", message)
    }

    /// API Gateway's 409.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ConflictException", message)
    }

    /// API Gateway's 429.
    pub fn too_many_requests(limit_type: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", message).with("limitType", limit_type)
    }

    /// 400 of the JSON 1.1 services (ACM, CloudWatch Logs) for a thing that is not there.
    pub fn resource_not_found(message: impl Into<String>) -> Self {
        Self::client("ResourceNotFoundException", message)
    }

    /// 403: who calls is known, but may not. The query protocol writes the code without `Exception`.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
    }

    /// 500. The message is what the caller sees: no internals.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure", message)
    }

    /// 400: a body that cannot be read as the protocol's.
    pub(crate) fn serialization(message: impl Into<String>) -> Self {
        Self::client("SerializationException", message)
    }

    /// The same with another member in the body.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.extras.push((name, value.into()));
        self
    }
}
