//! Tags of buckets and objects.

use std::collections::BTreeMap;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use s3s::dto::{Tag, TagSet};
use s3s::{S3Result, s3_error};

use super::errors;

/// Of an object.
pub(super) const MAX_TAGS: usize = 10;
/// Of a bucket.
pub(super) const MAX_BUCKET_TAGS: usize = 50;

/// Tags as `x-amz-tagging` holds them: a query string.
pub(super) fn header_tags(text: Option<&str>) -> S3Result<BTreeMap<String, String>> {
    let invalid = || {
        s3_error!(
            InvalidArgument,
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."
        )
    };
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8().map(|text| text.into_owned())
    };
    let mut tags = BTreeMap::new();
    for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = decoded(key).map_err(|_| invalid())?;
        if tags.insert(key, decoded(value).map_err(|_| invalid())?).is_some() {
            return Err(invalid());
        }
    }
    checked_tags(tag_set(tags), MAX_TAGS)
}

/// At most `limit`, each within S3's bounds.
pub(super) fn checked_tags(set: TagSet, limit: usize) -> S3Result<BTreeMap<String, String>> {
    if set.len() > limit {
        let message = format!("Object tags cannot be greater than {limit}");
        return Err(errors::with_code(StatusCode::BAD_REQUEST, "BadRequest", message));
    }
    let mut tags = BTreeMap::new();
    for Tag { key, value } in set {
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        if key.is_empty() || key.chars().count() > 128 {
            return Err(s3_error!(InvalidTag, "The TagKey you have provided is invalid"));
        }
        if value.chars().count() > 256 {
            return Err(s3_error!(InvalidTag, "The TagValue you have provided is invalid"));
        }
        if tags.insert(key, value).is_some() {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(tags)
}

/// As the answers hold them.
pub(super) fn tag_set(tags: BTreeMap<String, String>) -> TagSet {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}
