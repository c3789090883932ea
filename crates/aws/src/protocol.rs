//! How answers and errors are written.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value};

use crate::{Error, Service, xml};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// One of AWS's protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Paths and JSON bodies (API Gateway).
    RestJson,
    /// `X-Amz-Target` and JSON bodies (ACM, CloudWatch Logs).
    Json11,
    /// `Action` in a form, answers in XML (STS).
    Query,
    /// Paths and XML bodies (Route 53).
    RestXml,
}

impl Service {
    /// The error as the service writes it.
    pub fn render_error(&self, error: &Error, request_id: &str) -> Response<Bytes> {
        self.protocol.error_of(self.xml_namespace, error, request_id)
    }
}

impl Protocol {
    /// The error as this protocol writes it, where the service is not known; else [`Service::render_error`].
    pub fn render_error(self, error: &Error, request_id: &str) -> Response<Bytes> {
        self.error_of("", error, request_id)
    }

    /// The error itself is in the response's extensions.
    fn error_of(self, xml_namespace: &str, error: &Error, request_id: &str) -> Response<Bytes> {
        let mut response = self.rendered(xml_namespace, error, request_id);
        response.extensions_mut().insert(error.clone());
        response
    }

    fn rendered(self, xml_namespace: &str, error: &Error, request_id: &str) -> Response<Bytes> {
        if self.speaks_xml() {
            let body = xml::error(xml_namespace, error, request_id);
            return self.response(error.status, Bytes::from(body), request_id);
        }
        let mut body = Map::new();
        if self == Self::Json11 {
            body.insert("__type".to_owned(), error.code.into());
        }
        body.insert("message".to_owned(), error.message.as_str().into());
        for (name, value) in &error.extras {
            body.insert((*name).to_owned(), value.clone());
        }
        let mut response = self.response(error.status, Bytes::from(Value::Object(body).to_string()), request_id);
        response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(error.code));
        response
    }

    /// The error for a request whose signature is missing or does not hold, before an operation is known.
    pub fn authentication_error(self, error: &sigv4::Error) -> Error {
        use sigv4::Error as Signature;
        let (json, query, status) = match error {
            Signature::MissingAuthenticationToken => {
                ("MissingAuthenticationTokenException", "MissingAuthenticationToken", StatusCode::FORBIDDEN)
            }
            Signature::UnrecognizedClient => {
                ("UnrecognizedClientException", "InvalidClientTokenId", StatusCode::FORBIDDEN)
            }
            Signature::ExpiredToken => ("ExpiredTokenException", "ExpiredToken", StatusCode::FORBIDDEN),
            Signature::IncompleteSignature(_) => {
                ("IncompleteSignatureException", "IncompleteSignature", StatusCode::BAD_REQUEST)
            }
            // Dates, scopes, headers and payloads that do not fit are all signatures that do not hold.
            _ => ("InvalidSignatureException", "SignatureDoesNotMatch", StatusCode::FORBIDDEN),
        };
        Error::new(status, if self.speaks_xml() { query } else { json }, error.to_string())
    }

    fn speaks_xml(self) -> bool {
        matches!(self, Self::Query | Self::RestXml)
    }

    /// A response with the protocol's content type; none where there is no body.
    pub(crate) fn response(self, status: StatusCode, body: Bytes, request_id: &str) -> Response<Bytes> {
        let content_type = match self {
            Self::RestJson => "application/json",
            Self::Json11 => "application/x-amz-json-1.1",
            Self::Query | Self::RestXml => "text/xml",
        };
        let empty = body.is_empty();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        if !empty || self != Self::RestJson {
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        // A request id is made by us; one that is not a header's value is left out rather than a reason to fail.
        if let Ok(id) = HeaderValue::from_str(request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}
