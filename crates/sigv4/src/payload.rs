//! The body's place in a signature.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use http::HeaderMap;

use crate::Error;

pub(crate) const HEADER: &str = "x-amz-content-sha256";

/// The body of a request to verify.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// All of it. A hash that the request claims is held against it.
    Bytes(&'a [u8]),
    /// Not read yet: what `x-amz-content-sha256` claims is taken, and whoever reads the body must hold it against
    /// [`crate::Verified::payload`].
    Claimed,
}

/// What the signature says of the body: the value of `x-amz-content-sha256`, or the hash of the body where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadHash {
    /// SHA-256 of the body.
    Sha256([u8; 32]),
    /// `UNSIGNED-PAYLOAD`
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: each chunk is signed.
    Streaming,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`: each chunk and the trailer are signed.
    StreamingTrailer,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`: chunks without signatures, then a trailer.
    StreamingUnsignedTrailer,
}

impl PayloadHash {
    /// SHA-256 of a body.
    pub fn of(body: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, body).as_ref());
        Self::Sha256(hash)
    }

    /// As in `x-amz-content-sha256`; `None` for anything that AWS does not know.
    pub fn parse(text: &str) -> Option<Self> {
        let known = [Self::Unsigned, Self::Streaming, Self::StreamingTrailer, Self::StreamingUnsignedTrailer];
        known.into_iter().find(|known| known.to_text() == text).or_else(|| {
            let hash = HEXLOWER.decode(text.as_bytes()).ok()?;
            hash.try_into().ok().map(Self::Sha256)
        })
    }

    /// As in `x-amz-content-sha256`.
    pub fn to_text(self) -> String {
        match self {
            Self::Sha256(hash) => HEXLOWER.encode(&hash),
            Self::Unsigned => "UNSIGNED-PAYLOAD".to_owned(),
            Self::Streaming => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".to_owned(),
            Self::StreamingTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER".to_owned(),
            Self::StreamingUnsignedTrailer => "STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned(),
        }
    }

    /// What a request's signature was made with. A presigned request to S3 that claims nothing signs no body.
    pub(crate) fn of_request(headers: &HeaderMap, body: Body<'_>, unsigned_by_default: bool) -> Result<Self, Error> {
        let mut claims = headers.get_all(HEADER).iter();
        let claim = match (claims.next(), claims.next()) {
            (None, _) => None,
            (Some(claim), None) => Some(claim.to_str().ok().and_then(Self::parse).ok_or_else(|| {
                let known = "UNSIGNED-PAYLOAD, STREAMING-… of AWS4-HMAC-SHA256, or a valid sha256 value";
                Error::IncompleteSignature(format!("{HEADER} must be {known}."))
            })?),
            (Some(_), Some(_)) => return Err(Error::IncompleteSignature(format!("{HEADER} is there more than once."))),
        };
        match (claim, body) {
            (Some(Self::Sha256(claimed)), Body::Bytes(bytes)) if Self::of(bytes) != Self::Sha256(claimed) => {
                Err(Error::PayloadMismatch)
            }
            (Some(claim), _) => Ok(claim),
            (None, _) if unsigned_by_default => Ok(Self::Unsigned),
            (None, Body::Bytes(bytes)) => Ok(Self::of(bytes)),
            (None, Body::Claimed) => {
                Err(Error::IncompleteSignature(format!("Missing required header for this request: {HEADER}")))
            }
        }
    }
}
