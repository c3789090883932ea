//! The three lists: objects in two generations, and versions.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3ErrorCode, S3Result, s3_error};

use super::S3Operations;
use super::operations::timestamp;
use crate::objects::{Listed, ObjectPage, Scan};
use crate::page_token;

const MAX_KEYS: i32 = 1_000;
/// `encoding-type=url`: what S3 leaves as it is.
const AS_IT_IS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*').remove(b'/');

/// Whether keys are to be percent-encoded: XML cannot hold every character that a key can.
#[derive(Clone, Copy)]
pub(super) struct Encoding(bool);

impl S3Operations {
    pub(super) async fn page_of_objects(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = page_size(input.max_keys)?;
        let marker = input.marker.clone().filter(|marker| !marker.is_empty());
        let page = self.list(&input.bucket, &input.prefix, &input.delimiter, marker, limit).await?;
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: encoding.apply_to(Some(input.prefix.unwrap_or_default())),
            marker: encoding.apply_to(Some(input.marker.unwrap_or_default())),
            max_keys: Some(limit),
            is_truncated: Some(page.next.is_some()),
            // S3 gives it with a delimiter only; without one it is the last key, which clients know.
            next_marker: encoding.apply_to(page.next.filter(|_| input.delimiter.is_some())),
            delimiter: encoding.apply_to(input.delimiter),
            encoding_type: input.encoding_type,
            contents: Some(page.objects.into_iter().map(|o| self.object(o, encoding, true)).collect()),
            common_prefixes: encoding.prefixes(page.common_prefixes),
            ..Default::default()
        })
    }

    pub(super) async fn page_of_objects_v2(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = page_size(input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => Some(decode_token(token)?),
            None => input.start_after.clone().filter(|after| !after.is_empty()),
        };
        let page = self.list(&input.bucket, &input.prefix, &input.delimiter, after, limit).await?;
        let count = page.objects.len() + page.common_prefixes.len();
        let with_owner = input.fetch_owner.unwrap_or(false);
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: encoding.apply_to(Some(input.prefix.unwrap_or_default())),
            max_keys: Some(limit),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|next| page_token::write(&next)),
            start_after: encoding.apply_to(input.start_after),
            delimiter: encoding.apply_to(input.delimiter),
            encoding_type: input.encoding_type,
            contents: Some(page.objects.into_iter().map(|o| self.object(o, encoding, with_owner)).collect()),
            common_prefixes: encoding.prefixes(page.common_prefixes),
            ..Default::default()
        })
    }

    pub(super) async fn page_of_versions(&self, input: ListObjectVersionsInput) -> S3Result<ListObjectVersionsOutput> {
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = page_size(input.max_keys)?;
        let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
        let version_marker = input.version_id_marker.clone().filter(|marker| !marker.is_empty());
        if version_marker.is_some() && key_marker.is_none() {
            return Err(s3_error!(InvalidArgument, "A version-id marker cannot be specified without a key marker."));
        }
        let (bucket, prefix, delimiter) = (input.bucket.clone(), input.prefix.clone(), input.delimiter.clone());
        let page = self
            .ask(move |objects| {
                let scan = Scan {
                    prefix: prefix.as_deref().unwrap_or_default(),
                    delimiter: delimiter.as_deref(),
                    after: key_marker.as_deref(),
                    after_version: version_marker.as_deref(),
                    limit: usize::try_from(limit).unwrap_or(0),
                };
                objects.list_versions(&bucket, &scan)
            })
            .await?;
        let (markers, versions): (Vec<Listed>, Vec<Listed>) =
            page.versions.into_iter().partition(|listed| listed.version.content.is_none());
        let (next_key, next_version) = page.next.map_or((None, None), |(key, version)| (Some(key), version));
        Ok(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: encoding.apply_to(Some(input.prefix.unwrap_or_default())),
            key_marker: encoding.apply_to(Some(input.key_marker.unwrap_or_default())),
            version_id_marker: Some(input.version_id_marker.unwrap_or_default()),
            max_keys: Some(limit),
            is_truncated: Some(next_key.is_some()),
            next_key_marker: encoding.apply_to(next_key),
            next_version_id_marker: next_version,
            delimiter: encoding.apply_to(input.delimiter),
            encoding_type: input.encoding_type,
            versions: Some(versions.into_iter().map(|v| self.version(v, encoding)).collect()),
            delete_markers: Some(markers.into_iter().map(|v| self.delete_marker(v, encoding)).collect()),
            common_prefixes: encoding.prefixes(page.common_prefixes),
            ..Default::default()
        })
    }

    async fn list(
        &self,
        bucket: &str,
        prefix: &Option<String>,
        delimiter: &Option<String>,
        after: Option<String>,
        limit: i32,
    ) -> S3Result<ObjectPage> {
        let (bucket, prefix, delimiter) = (bucket.to_owned(), prefix.clone(), delimiter.clone());
        self.ask(move |objects| {
            let scan = Scan {
                prefix: prefix.as_deref().unwrap_or_default(),
                delimiter: delimiter.as_deref(),
                after: after.as_deref(),
                after_version: None,
                limit: usize::try_from(limit).unwrap_or(0),
            };
            objects.list(&bucket, &scan)
        })
        .await
    }

    fn object(&self, listed: Listed, encoding: Encoding, with_owner: bool) -> Object {
        let content = listed.version.content;
        let class = content.as_ref().and_then(|content| content.metadata.storage_class.clone());
        Object {
            key: Some(encoding.apply(listed.key)),
            size: content.as_ref().and_then(|content| i64::try_from(content.size).ok()),
            e_tag: content.map(|content| ETag::Strong(content.etag)),
            last_modified: Some(timestamp(listed.version.modified)),
            owner: with_owner.then(|| self.owner()),
            storage_class: Some(
                class.map_or_else(|| ObjectStorageClass::from_static("STANDARD"), ObjectStorageClass::from),
            ),
            ..Default::default()
        }
    }

    fn version(&self, listed: Listed, encoding: Encoding) -> ObjectVersion {
        let content = listed.version.content;
        let class = content.as_ref().and_then(|content| content.metadata.storage_class.clone());
        ObjectVersion {
            key: Some(encoding.apply(listed.key)),
            version_id: Some(listed.version.id),
            is_latest: Some(listed.latest),
            size: content.as_ref().and_then(|content| i64::try_from(content.size).ok()),
            e_tag: content.map(|content| ETag::Strong(content.etag)),
            last_modified: Some(timestamp(listed.version.modified)),
            owner: Some(self.owner()),
            storage_class: Some(
                class.map_or_else(
                    || ObjectVersionStorageClass::from_static("STANDARD"),
                    ObjectVersionStorageClass::from,
                ),
            ),
            ..Default::default()
        }
    }

    fn delete_marker(&self, listed: Listed, encoding: Encoding) -> DeleteMarkerEntry {
        DeleteMarkerEntry {
            key: Some(encoding.apply(listed.key)),
            version_id: Some(listed.version.id),
            is_latest: Some(listed.latest),
            last_modified: Some(timestamp(listed.version.modified)),
            owner: Some(self.owner()),
        }
    }
}

impl Encoding {
    pub(super) fn of(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Self(false)),
            Some(EncodingType::URL) => Ok(Self(true)),
            Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
        }
    }

    pub(super) fn apply(self, text: String) -> String {
        if self.0 { utf8_percent_encode(&text, AS_IT_IS).to_string() } else { text }
    }

    pub(super) fn apply_to(self, text: Option<String>) -> Option<String> {
        text.map(|text| self.apply(text))
    }

    pub(super) fn prefixes(self, prefixes: Vec<String>) -> Option<CommonPrefixList> {
        let list = prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(self.apply(prefix)) });
        (list.len() > 0).then(|| list.collect())
    }
}

fn page_size(asked: Option<i32>) -> S3Result<i32> {
    match asked.unwrap_or(MAX_KEYS) {
        negative @ ..=-1 => Err(s3_error!(
            InvalidArgument,
            "Argument max-keys must be an integer between 0 and 2147483647, not {negative}"
        )),
        keys => Ok(keys.min(MAX_KEYS)),
    }
}

pub(super) fn decode_token(token: &str) -> S3Result<String> {
    page_token::read(token).ok_or_else(|| {
        s3s::S3Error::with_message(S3ErrorCode::InvalidArgument, "The continuation token provided is incorrect")
    })
}
