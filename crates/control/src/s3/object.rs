//! Objects: put, get, head, delete, their tags and attributes.

use std::sync::Arc;

use aws::Asked;
use http::HeaderMap;
use s3s::dto::*;
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Result, s3_error};

use super::S3Operations;
use super::call::Call;
use super::conditions::{Conditions, precondition, precondition_of_delete};
use super::metadata::{Checksums, described};
use super::operations::timestamp;
use super::selection::Selection;
use super::tags::{MAX_TAGS, checked_tags, tag_set};
use super::upload::{Announced, Received};
use crate::objects::{self, Content, MAX_OBJECT_BYTES, Metadata, Objects, Precondition, Written};

const DEFAULT_TYPE: &str = "binary/octet-stream";
const MAX_DELETES: usize = 1_000;
const MAX_PARTS: i32 = 1_000;

impl S3Operations {
    pub(super) async fn put(&self, req: S3Request<PutObjectInput>) -> S3Result<PutObjectOutput> {
        let (input, headers) = (req.input, req.headers);
        let precondition = precondition(input.if_match, input.if_none_match)?;
        let mut metadata = described!(input, &headers);
        // The bucket is looked for before megabytes are sent to it.
        let bucket = input.bucket.clone();
        let staged = self.ask(move |objects| objects.bucket(&bucket).and_then(|_| objects.stage())).await?;
        let announced = Announced {
            body: input.body,
            content_length: input.content_length,
            content_md5: input.content_md5.as_deref(),
            headers: &headers,
            trailers: req.trailing_headers.as_ref(),
        };
        let Received { staged, checksums } = announced.receive(staged).await?;
        metadata.checksums = checksums;
        let at = (self.clock)();
        let put = move |objects: &Objects, bucket: &str, key: &str| {
            objects.put(bucket, key, staged, metadata, &precondition, at)
        };
        let (written, content) = self.change(&input.bucket, &input.key, put).await?;
        let sums = Checksums::of(&content);
        Ok(PutObjectOutput {
            e_tag: Some(ETag::Strong(content.etag)),
            version_id: written.version,
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: sums.kind,
            ..Default::default()
        })
    }

    pub(super) async fn get(&self, input: GetObjectInput) -> S3Result<GetObjectOutput> {
        let (bucket, key, version) = (input.bucket, input.key, input.version_id);
        let (found, content, bytes) =
            self.ask(move |objects| objects.get(&bucket, &key, version.as_deref(), MAX_OBJECT_BYTES)).await?;
        let conditions = Conditions {
            matches: input.if_match,
            none_matches: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&content, found.modified)?;
        let selection = Selection::of(&content, input.range, input.part_number)?;
        let sums = Checksums::of(&content).when(selection.is_whole() && input.checksum_mode.is_some());
        let bytes = selection.cut(bytes);
        let Metadata { content_type, user, tags, expires, .. } = content.metadata;
        Ok(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(bytes.len()).ok(),
            body: Some(StreamingBlob::from(Body::from(bytes))),
            content_range: selection.content_range,
            parts_count: selection.parts,
            content_type: Some(content_type.unwrap_or_else(|| DEFAULT_TYPE.to_owned())),
            content_encoding: content.metadata.content_encoding,
            content_disposition: content.metadata.content_disposition,
            content_language: content.metadata.content_language,
            cache_control: content.metadata.cache_control,
            expires: expires.map(timestamp),
            e_tag: Some(ETag::Strong(content.etag)),
            last_modified: Some(timestamp(found.modified)),
            metadata: (!user.is_empty()).then(|| user.into_iter().collect()),
            storage_class: content.metadata.storage_class.map(StorageClass::from),
            website_redirect_location: content.metadata.redirect,
            tag_count: i32::try_from(tags.len()).ok().filter(|count| *count > 0),
            version_id: shown(found.id),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: sums.kind,
            ..Default::default()
        })
    }

    pub(super) async fn head(&self, input: HeadObjectInput) -> S3Result<HeadObjectOutput> {
        let (bucket, key, version) = (input.bucket, input.key, input.version_id);
        let (found, content) = self.ask(move |objects| objects.head(&bucket, &key, version.as_deref())).await?;
        let conditions = Conditions {
            matches: input.if_match,
            none_matches: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&content, found.modified)?;
        let selection = Selection::of(&content, input.range, input.part_number)?;
        let sums = Checksums::of(&content).when(selection.is_whole() && input.checksum_mode.is_some());
        let Metadata { content_type, user, expires, .. } = content.metadata;
        Ok(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(selection.length()).ok(),
            content_range: selection.content_range,
            parts_count: selection.parts,
            content_type: Some(content_type.unwrap_or_else(|| DEFAULT_TYPE.to_owned())),
            content_encoding: content.metadata.content_encoding,
            content_disposition: content.metadata.content_disposition,
            content_language: content.metadata.content_language,
            cache_control: content.metadata.cache_control,
            expires: expires.map(timestamp),
            e_tag: Some(ETag::Strong(content.etag)),
            last_modified: Some(timestamp(found.modified)),
            metadata: (!user.is_empty()).then(|| user.into_iter().collect()),
            storage_class: content.metadata.storage_class.map(StorageClass::from),
            website_redirect_location: content.metadata.redirect,
            version_id: shown(found.id),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: sums.kind,
            ..Default::default()
        })
    }

    /// What is known of an object, as far as it is asked for.
    pub(super) async fn attributes(&self, input: GetObjectAttributesInput) -> S3Result<GetObjectAttributesOutput> {
        const ATTRIBUTES: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];
        // Clients write them into one header or several.
        let lists = input.object_attributes.iter().map(|list| list.as_str());
        let names: Vec<&str> = lists.flat_map(|list| list.split(',')).map(str::trim).collect();
        let asked = |name: &str| names.contains(&name);
        if names.iter().any(|name| !ATTRIBUTES.contains(name)) {
            return Err(s3_error!(InvalidArgument, "Invalid attribute name specified."));
        }
        let (bucket, key, version) = (input.bucket.clone(), input.key.clone(), input.version_id.clone());
        let (found, content) = self.ask(move |objects| objects.head(&bucket, &key, version.as_deref())).await?;
        let sums = Checksums::of(&content);
        let checksum = Checksum {
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: sums.kind,
        };
        let class = content.metadata.storage_class.clone().unwrap_or_else(|| StorageClass::STANDARD.to_owned());
        let parts = parts_of(&content, input.part_number_marker, input.max_parts)?;
        Ok(GetObjectAttributesOutput {
            checksum: asked("Checksum").then_some(checksum),
            object_parts: parts.filter(|_| asked("ObjectParts")),
            storage_class: asked("StorageClass").then(|| StorageClass::from(class)),
            object_size: i64::try_from(content.size).ok().filter(|_| asked("ObjectSize")),
            e_tag: asked("ETag").then_some(ETag::Strong(content.etag)),
            last_modified: Some(timestamp(found.modified)),
            version_id: shown(found.id),
            ..Default::default()
        })
    }

    pub(super) async fn remove(&self, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
        let precondition = precondition_of_delete(input.if_match);
        let written = self.remove_one(&input.bucket, &input.key, input.version_id, precondition).await?;
        Ok(DeleteObjectOutput {
            delete_marker: written.delete_marker.then_some(true),
            version_id: written.version,
            ..Default::default()
        })
    }

    pub(super) async fn remove_all(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<DeleteObjectsOutput> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        let call = req.extensions.get::<Arc<Call>>().cloned();
        if delete.objects.is_empty() || delete.objects.len() > MAX_DELETES {
            return Err(super::settings::malformed());
        }
        let name = bucket.clone();
        self.ask(move |objects| objects.bucket(&name)).await?;
        let (mut deleted, mut failed) = (Vec::new(), Vec::new());
        for named in delete.objects {
            if let Err(error) = may_delete(call.as_deref(), &bucket, &named) {
                failed.push(not_deleted(error, named));
                continue;
            }
            let precondition = precondition_of_delete(named.e_tag.clone().map(ETagCondition::ETag));
            match self.remove_one(&bucket, &named.key, named.version_id.clone(), precondition).await {
                Ok(written) => {
                    call.iter().for_each(|call| call.changed(format!("{bucket}/{}", named.key)));
                    deleted.push(DeletedObject {
                        delete_marker: written.delete_marker.then_some(true),
                        delete_marker_version_id: written.version.filter(|_| written.delete_marker),
                        key: Some(named.key),
                        version_id: named.version_id,
                    });
                }
                Err(error) => failed.push(not_deleted(error, named)),
            }
        }
        Ok(DeleteObjectsOutput {
            deleted: (!delete.quiet.unwrap_or(false)).then_some(deleted),
            errors: (!failed.is_empty()).then_some(failed),
            ..Default::default()
        })
    }

    async fn remove_one(
        &self,
        bucket: &str,
        key: &str,
        version: Option<String>,
        precondition: Precondition,
    ) -> S3Result<Written> {
        let at = (self.clock)();
        let delete = move |objects: &Objects, bucket: &str, key: &str| {
            objects.delete(bucket, key, version.as_deref(), &precondition, at)
        };
        self.change(bucket, key, delete).await
    }

    pub(super) async fn tags(&self, input: GetObjectTaggingInput) -> S3Result<GetObjectTaggingOutput> {
        let find = move |objects: &Objects| objects.head(&input.bucket, &input.key, input.version_id.as_deref());
        let (found, content) = self.ask(find).await?;
        Ok(GetObjectTaggingOutput { tag_set: tag_set(content.metadata.tags), version_id: shown(found.id) })
    }

    /// The version that has them now.
    pub(super) async fn set_tags(
        &self,
        bucket: String,
        key: String,
        version: Option<String>,
        tags: TagSet,
    ) -> S3Result<Option<String>> {
        let tags = checked_tags(tags, MAX_TAGS)?;
        Ok(shown(self.ask(move |objects| objects.set_tags(&bucket, &key, version.as_deref(), tags)).await?))
    }
}

/// The parts that an object was put together of, a page of them.
fn parts_of(content: &Content, after: Option<i32>, limit: Option<i32>) -> S3Result<Option<GetObjectAttributesParts>> {
    let (after, limit) = (after.unwrap_or(0), limit.unwrap_or(MAX_PARTS).min(MAX_PARTS));
    let count = usize::try_from(limit).map_err(|_| s3_error!(InvalidArgument, "Provided max-parts not valid"))?;
    if content.parts.is_empty() {
        return Ok(None);
    }
    let all = content.parts.iter().filter(|part| i32::from(part.number) > after);
    let more = all.clone().count() > count;
    let parts: Vec<ObjectPart> = all.take(count).map(part_of).collect();
    Ok(Some(GetObjectAttributesParts {
        is_truncated: Some(more),
        max_parts: Some(limit),
        part_number_marker: Some(after),
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        total_parts_count: i32::try_from(content.parts.len()).ok(),
        parts: Some(parts),
    }))
}

fn part_of(part: &objects::ObjectPart) -> ObjectPart {
    let sums = Checksums::by_algorithm(&part.checksums);
    ObjectPart {
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        part_number: Some(i32::from(part.number)),
        size: i64::try_from(part.size).ok(),
    }
}

/// A version's id, where there are versions to tell apart.
pub(super) fn shown(id: String) -> Option<String> {
    (id != objects::NULL_VERSION).then_some(id)
}

/// Those of a header, where it is there.
pub(super) fn etag_condition(headers: &HeaderMap, name: &str) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let condition = ETagCondition::parse_http_header(value.as_bytes());
    condition.map(Some).map_err(|_| s3_error!(InvalidArgument, "{name} is not an entity tag"))
}

/// Refuses who may not delete one of several objects.
fn may_delete(call: Option<&Call>, bucket: &str, named: &ObjectIdentifier) -> S3Result<()> {
    let action = if named.version_id.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
    let resource = format!("arn:aws:s3:::{bucket}/{}", named.key);
    call.ok_or(S3ErrorCode::InternalError)?.may(&Asked { action, resources: &[&resource], context: &[] })
}

fn not_deleted(error: S3Error, named: ObjectIdentifier) -> Error {
    Error {
        code: Some(error.code().as_str().to_owned()),
        message: error.message().map(str::to_owned),
        key: Some(named.key),
        version_id: named.version_id,
    }
}
