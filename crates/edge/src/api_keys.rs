//! API keys: whether a request has the one that its method asks for, and how much of the usage plan is left.
//!
//! A key tells clients apart and limits them; it is no proof of who they are. Values are looked up by their digest, never
//! compared, kept or written anywhere.

use std::sync::Arc;

use http::header::HeaderName;
use http::request::Parts;
use model::UnixMillis;
use model::snapshot::{Route, Stage, StageKey};

use crate::answer::Answer;
use crate::authorize::Denial;
use crate::record::Record;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Finds the key of a request for a method that asks for one, and takes a token of the method and one of the plan. The key
/// stands in the record afterwards.
pub(crate) fn admit(stage: &Stage, route: &Route, parts: &Parts, record: &mut Record) -> Result<(), Answer> {
    let key = shown(stage, parts).map_err(|denial| record.deny(denial))?;
    let admitted = key.admit(&route.key, record.at);
    record.api_key = Some(key);
    if admitted { Ok(()) } else { Err(Answer::Throttled) }
}

/// Counts the request for its key's quota.
pub(crate) fn spend(key: &StageKey, at: UnixMillis) -> Result<(), Answer> {
    if key.meter.spend(at) { Ok(()) } else { Err(Answer::QuotaExceeded) }
}

fn shown(stage: &Stage, parts: &Parts) -> Result<Arc<StageKey>, Denial> {
    let mut values = parts.headers.get_all(API_KEY).iter();
    let value = values.next().ok_or(Denial::ApiKeyMissing)?;
    let keys = stage.api_keys.as_ref().filter(|_| values.next().is_none()).ok_or(Denial::ApiKeyUnknown)?;
    keys.find(value.as_bytes()).cloned().ok_or(Denial::ApiKeyUnknown)
}
