//! What an operation answers, before its protocol writes it.

use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

use crate::receive::broken;
use crate::{Blob, Error};

/// An answer: JSON, or bytes that are not the protocol's. Empty where an operation has no output.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) body: Vec<u8>,
    /// In the place of the protocol's own.
    pub(crate) headers: HeaderMap,
}

impl Reply {
    /// An output whose members are the body.
    pub(crate) fn json<T: Serialize>(output: &T) -> Result<Self, Error> {
        let body = serde_json::to_vec(output).map_err(|_| broken("output"))?;
        Ok(Self { body, headers: HeaderMap::new() })
    }

    /// An output of which one member is the body and all others are headers.
    pub(crate) fn bytes<const N: usize>(body: Option<Blob>, headers: [(&'static str, Option<String>); N]) -> Self {
        let mut map = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))]);
        for (name, value) in headers {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                map.insert(HeaderName::from_static(name), value);
            }
        }
        Self { body: body.unwrap_or_default().0, headers: map }
    }
}
