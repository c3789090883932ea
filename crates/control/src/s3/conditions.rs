//! Conditional requests (RFC 9110 section 13).

use model::UnixMillis;
use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::errors;
use super::operations::millis;
use crate::objects::{Content, ObjectError, Precondition};

/// Conditions of a request for an object, by ETag and time.
pub(super) struct Conditions {
    pub(super) matches: Option<ETagCondition>,
    pub(super) none_matches: Option<ETagCondition>,
    pub(super) modified_since: Option<Timestamp>,
    pub(super) unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// In the order of RFC 9110 section 13.2.2.
    pub(super) fn check(&self, content: &Content, modified: UnixMillis) -> S3Result<()> {
        match self.outcome(content, modified) {
            Outcome::Holds => Ok(()),
            Outcome::Failed => Err(errors::of_object(ObjectError::PreconditionFailed)),
            Outcome::NotModified => {
                let mut error = S3Error::new(S3ErrorCode::NotModified);
                let mut headers = http::HeaderMap::new();
                if let Ok(etag) = http::HeaderValue::from_str(&format!("\"{}\"", content.etag)) {
                    headers.insert(http::header::ETAG, etag);
                }
                error.set_headers(headers);
                Err(error)
            }
        }
    }

    /// A copy has no 304.
    pub(super) fn check_source(&self, content: &Content, modified: UnixMillis) -> S3Result<()> {
        match self.outcome(content, modified) {
            Outcome::Holds => Ok(()),
            Outcome::Failed | Outcome::NotModified => Err(errors::of_object(ObjectError::PreconditionFailed)),
        }
    }

    fn outcome(&self, content: &Content, modified: UnixMillis) -> Outcome {
        let is = |condition: &ETagCondition| condition.as_etag().is_none_or(|etag| etag.value() == content.etag);
        // HTTP's dates have seconds.
        let seconds = |at: &Timestamp| millis(at.clone()).div_euclid(1000);
        let modified = modified.div_euclid(1000);
        match (&self.matches, &self.unmodified_since) {
            (Some(condition), _) if !is(condition) => return Outcome::Failed,
            (None, Some(at)) if modified > seconds(at) => return Outcome::Failed,
            _ => {}
        }
        match (&self.none_matches, &self.modified_since) {
            (Some(condition), _) if is(condition) => Outcome::NotModified,
            (None, Some(at)) if modified <= seconds(at) => Outcome::NotModified,
            _ => Outcome::Holds,
        }
    }
}

enum Outcome {
    Holds,
    Failed,
    NotModified,
}

/// The condition of a put.
pub(super) fn precondition(
    matches: Option<ETagCondition>,
    none_matches: Option<ETagCondition>,
) -> S3Result<Precondition> {
    match (matches, none_matches) {
        (None, None) => Ok(Precondition::None),
        (None, Some(ETagCondition::Any)) => Ok(Precondition::Absent),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Precondition::Matches(etag.into_value())),
        _ => Err(s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented")),
    }
}

/// The condition of a delete.
pub(super) fn precondition_of_delete(matches: Option<ETagCondition>) -> Precondition {
    match matches {
        None => Precondition::None,
        Some(ETagCondition::Any) => Precondition::Present,
        Some(ETagCondition::ETag(etag)) => Precondition::Matches(etag.into_value()),
    }
}
