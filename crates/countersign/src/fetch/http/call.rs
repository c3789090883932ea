//! Requests to where the operator has said, which may be at any address; whatever is answered.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::{Ask, FetchError, Http, Place};

/// Bytes of an answer.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// A request. No redirect is followed: what its headers say is for this place only.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Http {
    /// Takes as long as the other side does: whoever calls says for how long that may be.
    pub(crate) async fn call(&self, call: Call) -> Result<Answer, FetchError> {
        let place = Place::parse(&call.url)?;
        let (limit, home) = (MAX_ANSWER_BYTES, Some(place.host.clone()));
        let ask = Ask { method: call.method, body: call.body, limit, home, headers: call.headers };
        let (head, body) = self.send(&place, &ask).await?.into_parts();
        match Limited::new(body, limit).collect().await {
            Ok(body) => Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() }),
            Err(e) if e.is::<http_body_util::LengthLimitError>() => {
                Err(FetchError::TooLarge { host: place.host, limit })
            }
            Err(e) => Err(FetchError::Connection { host: place.host, why: e.to_string() }),
        }
    }
}
