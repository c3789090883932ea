//! Why a backend gave no answer, or half of one.

use std::io;

use h2::Reason;
use http::Request;

use crate::body::{BodyError, RequestBody};
use crate::http1::chunked::ChunkError;
use crate::http1::head::HeadError;
use crate::tls::{late_upstream_failure, upstream_failure};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("cannot resolve the name: {0}")]
    Resolve(io::Error),
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no address accepted a connection in time")]
    ConnectTimeout,
    #[error("the certificate for backends, or their CA: {0}")]
    Identity(io::Error),
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("it does not agree to HTTP/2")]
    NotHttp2,
    #[error("{0}")]
    Http(BackendError),
}

/// Why a backend's answer is none, or broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the connection ended")]
    Closed,
    #[error("{}", .0.why())]
    Head(HeadError),
    #[error("its head is too large")]
    HeadTooLarge,
    #[error("{0}")]
    Chunks(#[from] ChunkError),
    #[error("{0}")]
    Http2(#[from] h2::Error),
    #[error("the request cannot be sent in HTTP/2")]
    NoRequest,
    #[error("{0}")]
    Request(Box<BodyError>),
}

/// Why there is no answer, and what is left of the request.
pub(super) struct SendError {
    pub(super) error: BackendError,
    /// The request, where nothing was taken from its payload.
    pub(super) request: Option<Request<RequestBody>>,
    /// Whether the backend may have seen something of it.
    pub(super) was_sent: bool,
}

const CLOSED: &str = "the backend closed the connection";

impl UpstreamError {
    /// What an operator is told: `$context.integration.error`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "the name of the backend cannot be resolved",
            Self::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "the backend refused the connection"
            }
            Self::Connect(_) => "the backend cannot be reached",
            Self::ConnectTimeout => "the backend did not accept a connection in time",
            Self::Identity(_) => "the certificate for backends, or their CA, cannot be used",
            Self::Tls(error) => upstream_failure(error),
            Self::NotHttp2 => "the backend does not offer HTTP/2",
            Self::Http(error) => error.reason(),
        }
    }
}

impl BackendError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Io(error) => late_upstream_failure(error).unwrap_or(CLOSED),
            Self::Closed => CLOSED,
            Self::HeadTooLarge => "the head of the backend's answer is too large",
            Self::Http2(error) if error.is_io() => error.get_io().and_then(late_upstream_failure).unwrap_or(CLOSED),
            Self::Http2(error) if error.is_go_away() && error.is_remote() => "the backend is going away",
            Self::Http2(error) => match error.reason() {
                Some(Reason::REFUSED_STREAM) => "the backend refused the stream",
                _ if error.is_reset() && error.is_remote() => "the backend reset the stream",
                _ => "the backend's answer is no HTTP/2",
            },
            Self::NoRequest => "the request cannot be sent in HTTP/2",
            Self::Head(_) | Self::Chunks(_) | Self::Request(_) => "the backend's answer is no HTTP",
        }
    }

    /// Its connection ended, so that it may have been under way when the backend closed it.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Io(_) | Self::Closed => true,
            Self::Http2(error) => error.is_io(),
            _ => false,
        }
    }

    /// The backend says that it has done nothing of the request (RFC 9113 sections 6.8 and 8.7): it refused the stream, or
    /// names an earlier one as the last that it has looked at.
    pub(super) fn is_unprocessed(&self) -> bool {
        let Self::Http2(error) = self else { return false };
        error.is_remote() && (error.is_go_away() || error.reason() == Some(Reason::REFUSED_STREAM))
    }
}

impl SendError {
    /// The request, if it may be sent once more: nothing of it was sent, the backend did nothing of it, or its connection ended,
    /// it has no payload, and its method does the same however often it is done (RFC 9110 section 9.2.2).
    pub(super) fn again(self) -> Result<Request<RequestBody>, BackendError> {
        let Self { error, request, was_sent } = self;
        let is_harmless = |request: &Request<RequestBody>| {
            http_body::Body::is_end_stream(request.body()) && request.method().is_idempotent()
        };
        let may = |request: &Request<RequestBody>| {
            !was_sent || error.is_unprocessed() || error.has_ended() && is_harmless(request)
        };
        request.filter(may).ok_or(error)
    }
}
