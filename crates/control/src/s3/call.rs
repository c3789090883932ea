//! A request on its way through `s3s`: what is to be recorded of it.

use std::net::IpAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use aws::Asked;
use bytes::Bytes;
use http::Response;
use http::header::USER_AGENT;
use http::request::Parts;
use s3s::access::S3AccessContext;
use s3s::auth::SecretKey;
use s3s::{Body, S3Error, S3ErrorCode, S3Result, s3_error};

use super::errors::{Place, Told};
use super::{Claim, Identified, S3Surroundings};
use crate::Origin;

/// Operations that only read, by the beginning of their names; and the parts of an upload, which are nothing before it is complete.
const READS: [&str; 5] = ["Get", "Head", "List", "Select", "UploadPart"];

/// Goes with a request.
pub(super) struct Call {
    origin: Option<Origin>,
    /// Set once it is known whose the access key is that the request names.
    identified: OnceLock<(String, Identified)>,
    user_agent: String,
    request_id: String,
    /// Set once it is known who calls, and for what; none where it changes nothing.
    write: OnceLock<Option<Write>>,
    /// Of what may make a bucket.
    body: Bytes,
    /// What the operation has changed, where its resource does not say it.
    changed: Mutex<Vec<String>>,
}

/// A write to S3.
#[derive(Clone, Debug)]
pub struct Write {
    /// Of who signed it.
    pub access_key_id: String,
    /// ARN of who that is.
    pub principal: String,
    /// Where it came from.
    pub source: Option<IpAddr>,
    /// `User-Agent`
    pub user_agent: String,
    /// S3's name of the operation.
    pub operation: String,
    /// The ARN of the bucket or object.
    pub resource: String,
    /// The id that the caller has of the answer.
    pub request_id: String,
}

impl Call {
    pub(super) fn new(parts: &Parts, place: &Place, origin: Option<Origin>) -> Self {
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self {
            origin,
            identified: OnceLock::new(),
            user_agent: user_agent.to_owned(),
            request_id: place.id.clone(),
            write: OnceLock::new(),
            body: Bytes::new(),
            changed: Mutex::default(),
        }
    }

    /// With the body of what may make a bucket.
    pub(super) fn with_body(self, body: Bytes) -> Self {
        Self { body, ..self }
    }

    /// As it came; empty, where it can make no bucket.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    fn source(&self) -> Option<IpAddr> {
        self.origin.map(|origin| origin.peer.ip())
    }

    /// Finds out whose the access key is that the request names; whether they signed it is seen later.
    pub(super) fn identify(&self, parts: &Parts, surroundings: &dyn S3Surroundings) -> S3Result<()> {
        let scope = sigv4::Scope::of(parts).ok().flatten().ok_or(S3ErrorCode::AccessDenied)?;
        let token = sigv4::session_token(parts);
        let claim = Claim {
            access_key_id: &scope.access_key_id,
            region: &scope.region,
            session_token: token.as_deref(),
            source: self.source(),
            tls: self.origin.is_some_and(|origin| origin.tls),
            user_agent: &self.user_agent,
        };
        let identified = surroundings.identify(&claim).map_err(|error| match (error, &token) {
            (sigv4::Error::ExpiredToken, _) => s3_error!(ExpiredToken, "The provided token has expired."),
            (_, Some(_)) => s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."),
            (_, None) => S3ErrorCode::InvalidAccessKeyId.into(),
        })?;
        let _ = self.identified.set((scope.access_key_id, identified));
        Ok(())
    }

    /// The secret of the access key that the request names.
    pub(super) fn secret_of(&self, access_key_id: &str) -> Option<SecretKey> {
        let (_, identified) = self.identified.get().filter(|(id, _)| id == access_key_id)?;
        Some(SecretKey::from(identified.secret.as_str()))
    }

    /// Refuses what the caller may not do.
    pub(super) fn may(&self, asked: &Asked<'_>) -> S3Result<()> {
        let (_, Identified { authority, .. }) = self.identified.get().ok_or(S3ErrorCode::AccessDenied)?;
        let refused = |error: aws::Error| S3Error::with_message(S3ErrorCode::AccessDenied, error.message);
        authority.authorize(asked).map_err(refused)
    }

    /// It is known who calls. The write, if it is one.
    pub(super) fn identified(&self, access_key_id: &str, cx: &S3AccessContext<'_>, resource: &str) -> Option<&Write> {
        let operation = cx.s3_op().name();
        let write = || Write {
            access_key_id: access_key_id.to_owned(),
            principal: self.identified.get().map(|(_, identified)| identified.arn.clone()).unwrap_or_default(),
            source: self.source(),
            user_agent: self.user_agent.clone(),
            operation: operation.to_owned(),
            resource: resource.to_owned(),
            request_id: self.request_id.clone(),
        };
        let is_write = !READS.iter().any(|verb| operation.starts_with(verb));
        self.write.get_or_init(|| is_write.then(write)).as_ref()
    }

    /// The write that was answered, and what it has changed. `Err`: nobody has proved who they are.
    pub(super) fn answered(&self, response: &Response<Body>) -> Result<Option<(&Write, Vec<String>)>, ()> {
        let Some(write) = self.write.get().ok_or(())? else { return Ok(None) };
        let mut changed = std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner));
        let version = response.headers().get("x-amz-version-id").and_then(|version| version.to_str().ok());
        if let Some((version, _)) = version.zip(changed.is_empty().then_some(())) {
            let object = write.resource.strip_prefix("arn:aws:s3:::").unwrap_or(&write.resource);
            changed.push(format!("{object}?versionId={version}"));
        }
        Ok(Some((write, changed)))
    }

    /// An object was changed that the resource does not name.
    pub(super) fn changed(&self, object: String) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).push(object);
    }

    /// As a stranger, who was told this.
    pub(super) fn stranger<'a>(&'a self, parts: &'a Claimed, told: &'a Told) -> crate::trail::Stranger<'a> {
        crate::trail::Stranger {
            source: self.source().unwrap_or(IpAddr::from([0, 0, 0, 0])),
            service: "s3",
            access_key_id: &parts.access_key_id,
            user_agent: &self.user_agent,
            resource: &parts.path,
            request_id: &self.request_id,
            code: &told.code,
            message: &told.message,
        }
    }
}

/// What a request says of itself.
pub(super) struct Claimed {
    access_key_id: String,
    path: String,
}

impl Claimed {
    pub(super) fn of(parts: &Parts) -> Self {
        let scope = sigv4::Scope::of(parts).ok().flatten();
        Self {
            access_key_id: scope.map(|scope| scope.access_key_id).unwrap_or_default(),
            path: parts.uri.path().to_owned(),
        }
    }
}
