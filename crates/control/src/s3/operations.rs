//! The operations on buckets and objects.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use aws::Asked;
use bytes::Bytes;
use http::StatusCode;
use model::UnixMillis;
use s3s::dto::*;
use s3s::{Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use time::OffsetDateTime;

use super::call::Call;
use super::conditions::{Conditions, precondition};
use super::listing::decode_token;
use super::tags::{MAX_BUCKET_TAGS, MAX_TAGS, checked_tags, header_tags, tag_set};
use super::upload::{Announced, Received};
use super::{S3Operations, errors};
use crate::objects::{self, Content, MAX_OBJECT_BYTES, Metadata, Versioning};
use crate::page_token;

type Response<T> = S3Result<S3Response<T>>;

const DEFAULT_REGION: &str = "us-east-1";
const DEFAULT_TYPE: &str = "binary/octet-stream";
const MAX_DELETES: usize = 1_000;
/// Names and values of `x-amz-meta-*` together.
const MAX_USER_METADATA_BYTES: usize = 2 << 10;

#[async_trait]
impl S3 for S3Operations {
    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Response<CreateBucketOutput> {
        let asked = req.input.create_bucket_configuration.and_then(|configuration| configuration.location_constraint);
        let asked = asked.as_ref().map(|constraint| constraint.as_str()).filter(|constraint| !constraint.is_empty());
        let here = req.region.as_ref().map_or(DEFAULT_REGION, |region| region.as_str());
        let region = bucket_region(asked, here)?.to_owned();
        let (name, at) = (req.input.bucket, (self.clock)());
        let location = Some(format!("/{name}"));
        self.ask(move |objects| objects.create_bucket(&name, &region, at)).await?;
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn delete_bucket(&self, req: S3Request<DeleteBucketInput>) -> Response<DeleteBucketOutput> {
        self.ask(move |objects| objects.delete_bucket(&req.input.bucket)).await?;
        Ok(S3Response::with_status(DeleteBucketOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> Response<HeadBucketOutput> {
        let bucket = self.ask(move |objects| objects.bucket(&req.input.bucket)).await?;
        Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(bucket.region), ..Default::default() }))
    }

    async fn list_buckets(&self, req: S3Request<ListBucketsInput>) -> Response<ListBucketsOutput> {
        let ListBucketsInput { bucket_region, continuation_token, max_buckets, prefix } = req.input;
        let after = continuation_token.as_deref().map(decode_token).transpose()?;
        let mut buckets = self.ask(|objects| objects.buckets()).await?;
        buckets.retain(|bucket| {
            bucket.name.starts_with(prefix.as_deref().unwrap_or_default())
                && bucket_region.as_ref().is_none_or(|region| *region == bucket.region)
                && after.as_ref().is_none_or(|after| bucket.name > *after)
        });
        let limit = usize::try_from(max_buckets.unwrap_or(10_000).max(1)).unwrap_or(1);
        let more = buckets.len() > limit;
        buckets.truncate(limit);
        let next = buckets.last().filter(|_| more).map(|bucket| page_token::write(&bucket.name));
        let list = buckets.into_iter().map(|bucket| Bucket {
            bucket_region: Some(bucket.region),
            creation_date: Some(timestamp(bucket.created)),
            name: Some(bucket.name),
        });
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(list.collect()),
            continuation_token: next,
            owner: Some(self.owner()),
            prefix,
        }))
    }

    async fn get_bucket_location(&self, req: S3Request<GetBucketLocationInput>) -> Response<GetBucketLocationOutput> {
        let bucket = self.ask(move |objects| objects.bucket(&req.input.bucket)).await?;
        let constraint = (bucket.region != DEFAULT_REGION).then(|| BucketLocationConstraint::from(bucket.region));
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint: constraint }))
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> Response<GetBucketVersioningOutput> {
        let bucket = self.ask(move |objects| objects.bucket(&req.input.bucket)).await?;
        let status = match bucket.versioning {
            Versioning::Unversioned => None,
            Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
            Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
        };
        Ok(S3Response::new(GetBucketVersioningOutput { status, ..Default::default() }))
    }

    async fn put_bucket_versioning(
        &self,
        req: S3Request<PutBucketVersioningInput>,
    ) -> Response<PutBucketVersioningOutput> {
        let configuration = req.input.versioning_configuration;
        if configuration.mfa_delete.is_some_and(|mfa| mfa.as_str() == "Enabled") {
            return Err(s3_error!(NotImplemented, "MFA Delete is not implemented."));
        }
        let versioning = match configuration.status.as_ref().map(|status| status.as_str()) {
            Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
            Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
            _ => return Err(illegal_versioning()),
        };
        self.ask(move |objects| objects.change_bucket(&req.input.bucket, |bucket| bucket.versioning = versioning))
            .await?;
        Ok(S3Response::new(PutBucketVersioningOutput::default()))
    }

    async fn get_bucket_tagging(&self, req: S3Request<GetBucketTaggingInput>) -> Response<GetBucketTaggingOutput> {
        let bucket = self.ask(move |objects| objects.bucket(&req.input.bucket)).await?;
        if bucket.tags.is_empty() {
            return Err(s3_error!(NoSuchTagSet, "The TagSet does not exist"));
        }
        Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tag_set(bucket.tags) }))
    }

    async fn put_bucket_tagging(&self, req: S3Request<PutBucketTaggingInput>) -> Response<PutBucketTaggingOutput> {
        let tags = checked_tags(req.input.tagging.tag_set, MAX_BUCKET_TAGS)?;
        self.ask(move |objects| objects.change_bucket(&req.input.bucket, |bucket| bucket.tags = tags)).await?;
        Ok(S3Response::with_status(PutBucketTaggingOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn delete_bucket_tagging(
        &self,
        req: S3Request<DeleteBucketTaggingInput>,
    ) -> Response<DeleteBucketTaggingOutput> {
        self.ask(move |objects| objects.change_bucket(&req.input.bucket, |bucket| bucket.tags.clear())).await?;
        Ok(S3Response::with_status(DeleteBucketTaggingOutput::default(), StatusCode::NO_CONTENT))
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Response<PutObjectOutput> {
        let input = req.input;
        if input.sse_customer_algorithm.is_some() || input.write_offset_bytes.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented"
            ));
        }
        let precondition = precondition(input.if_match, input.if_none_match)?;
        let mut metadata = Metadata {
            content_type: input.content_type,
            content_encoding: input.content_encoding.and_then(without_aws_chunked),
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            expires: input.expires.map(millis),
            user: user_metadata(input.metadata)?,
            checksums: BTreeMap::new(),
            tags: header_tags(input.tagging.as_deref())?,
        };
        // The bucket is looked for before megabytes are sent to it.
        let bucket = input.bucket.clone();
        let staged = self.ask(move |objects| objects.bucket(&bucket).and_then(|_| objects.stage())).await?;
        let announced = Announced {
            body: input.body,
            content_length: input.content_length,
            content_md5: input.content_md5.as_deref(),
            headers: &req.headers,
            trailers: req.trailing_headers.as_ref(),
        };
        let Received { staged, checksums } = announced.receive(staged).await?;
        metadata.checksums = checksums;
        let at = (self.clock)();
        let put = move |objects: &objects::Objects, bucket: &str, key: &str| {
            objects.put(bucket, key, staged, metadata, &precondition, at)
        };
        let (written, content) = self.change(&input.bucket, &input.key, put).await?;
        let sums = Checksums::of(&content);
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(content.etag)),
            version_id: written.version,
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: sums.kind,
            ..Default::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Response<GetObjectOutput> {
        let input = req.input;
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
        if input.part_number.is_some_and(|part| part != 1) {
            let message = "The requested partnumber is not satisfiable";
            return Err(errors::with_code(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidPartNumber", message));
        }
        let range = input.range.map(|range| range.check(content.size)).transpose()?;
        let sums = Checksums::of(&content).when(range.is_none() && input.checksum_mode.is_some());
        let (bytes, content_range) = match range {
            None => (Bytes::from(bytes), None),
            Some(range) => {
                let text = format!("bytes {}-{}/{}", range.start, range.end - 1, content.size);
                (slice(bytes, range), Some(text))
            }
        };
        let Metadata { content_type, user, tags, expires, .. } = content.metadata;
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(bytes.len()).ok(),
            body: Some(StreamingBlob::from(Body::from(bytes))),
            content_range,
            content_type: Some(content_type.unwrap_or_else(|| DEFAULT_TYPE.to_owned())),
            content_encoding: content.metadata.content_encoding,
            content_disposition: content.metadata.content_disposition,
            content_language: content.metadata.content_language,
            cache_control: content.metadata.cache_control,
            expires: expires.map(timestamp),
            e_tag: Some(ETag::Strong(content.etag)),
            last_modified: Some(timestamp(found.modified)),
            metadata: (!user.is_empty()).then(|| user.into_iter().collect()),
            tag_count: i32::try_from(tags.len()).ok().filter(|count| *count > 0),
            version_id: shown(found.id),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: sums.kind,
            ..Default::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Response<HeadObjectOutput> {
        let input = req.input;
        let (bucket, key, version) = (input.bucket, input.key, input.version_id);
        let (found, content) = self.ask(move |objects| objects.head(&bucket, &key, version.as_deref())).await?;
        let conditions = Conditions {
            matches: input.if_match,
            none_matches: input.if_none_match,
            modified_since: input.if_modified_since,
            unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&content, found.modified)?;
        let range = input.range.map(|range| range.check(content.size)).transpose()?;
        let sums = Checksums::of(&content).when(range.is_none() && input.checksum_mode.is_some());
        let length = range.as_ref().map_or(content.size, |range| range.end - range.start);
        let content_range = range.map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, content.size));
        let Metadata { content_type, user, expires, .. } = content.metadata;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(length).ok(),
            content_range,
            content_type: Some(content_type.unwrap_or_else(|| DEFAULT_TYPE.to_owned())),
            content_encoding: content.metadata.content_encoding,
            content_disposition: content.metadata.content_disposition,
            content_language: content.metadata.content_language,
            cache_control: content.metadata.cache_control,
            expires: expires.map(timestamp),
            e_tag: Some(ETag::Strong(content.etag)),
            last_modified: Some(timestamp(found.modified)),
            metadata: (!user.is_empty()).then(|| user.into_iter().collect()),
            version_id: shown(found.id),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: sums.kind,
            ..Default::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Response<DeleteObjectOutput> {
        let (version, at) = (req.input.version_id, (self.clock)());
        let delete = move |objects: &objects::Objects, bucket: &str, key: &str| {
            objects.delete(bucket, key, version.as_deref(), at)
        };
        let written = self.change(&req.input.bucket, &req.input.key, delete).await?;
        let output = DeleteObjectOutput {
            delete_marker: written.delete_marker.then_some(true),
            version_id: written.version,
            ..Default::default()
        };
        Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> Response<DeleteObjectsOutput> {
        let DeleteObjectsInput { bucket, delete, .. } = req.input;
        let call = req.extensions.get::<Arc<Call>>().cloned();
        if delete.objects.is_empty() || delete.objects.len() > MAX_DELETES {
            let message = "The XML you provided was not well-formed or did not validate against our published schema";
            return Err(s3_error!(MalformedXML, "{message}"));
        }
        let name = bucket.clone();
        self.ask(move |objects| objects.bucket(&name)).await?;
        let (mut deleted, mut failed) = (Vec::new(), Vec::new());
        for named in delete.objects {
            if let Err(error) = may_delete(call.as_deref(), &bucket, &named) {
                failed.push(not_deleted(error, named));
                continue;
            }
            let (version, at) = (named.version_id.clone(), (self.clock)());
            let one = move |objects: &objects::Objects, bucket: &str, key: &str| {
                objects.delete(bucket, key, version.as_deref(), at)
            };
            match self.change(&bucket, &named.key, one).await {
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
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!delete.quiet.unwrap_or(false)).then_some(deleted),
            errors: (!failed.is_empty()).then_some(failed),
            ..Default::default()
        }))
    }

    async fn copy_object(&self, req: S3Request<CopyObjectInput>) -> Response<CopyObjectOutput> {
        let input = req.input;
        let CopySource::Bucket { bucket: from_bucket, key: from_key, version_id: from_version } = input.copy_source
        else {
            return Err(s3_error!(NotImplemented, "Access points are not implemented."));
        };
        let replace =
            input.metadata_directive.is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
        if !replace && from_version.is_none() && *from_bucket == *input.bucket && *from_key == *input.key {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."
            ));
        }
        // Nobody reads through a copy what they may not read.
        let action = if from_version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let resource = format!("arn:aws:s3:::{from_bucket}/{from_key}");
        let call = req.extensions.get::<Arc<Call>>().ok_or(S3ErrorCode::InternalError)?;
        call.may(&Asked { action, resources: &[&resource], context: &[] })?;
        let conditions = Conditions {
            matches: input.copy_source_if_match,
            none_matches: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        let metadata = replace.then_some(Metadata {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            expires: input.expires.map(millis),
            user: user_metadata(input.metadata)?,
            checksums: BTreeMap::new(),
            tags: BTreeMap::new(),
        });
        let at = (self.clock)();
        let source = (from_bucket.clone(), from_key.clone(), from_version.clone());
        let (found, content) = self.ask(move |objects| objects.head(&source.0, &source.1, source.2.as_deref())).await?;
        conditions.check_source(&content, found.modified)?;
        // The version that was checked is the one that is copied.
        let version = found.id.clone();
        let copy = move |objects: &objects::Objects, bucket: &str, key: &str| {
            objects.copy((bucket, key), (&from_bucket, &from_key, Some(&version)), metadata, at)
        };
        let (written, _) = self.change(&input.bucket, &input.key, copy).await?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(content.etag)),
                last_modified: Some(timestamp(at)),
                ..Default::default()
            }),
            copy_source_version_id: shown(found.id),
            version_id: written.version,
            ..Default::default()
        }))
    }

    async fn get_object_tagging(&self, req: S3Request<GetObjectTaggingInput>) -> Response<GetObjectTaggingOutput> {
        let input = req.input;
        let find =
            move |objects: &objects::Objects| objects.head(&input.bucket, &input.key, input.version_id.as_deref());
        let (found, content) = self.ask(find).await?;
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set: tag_set(content.metadata.tags),
            version_id: shown(found.id),
        }))
    }

    async fn put_object_tagging(&self, req: S3Request<PutObjectTaggingInput>) -> Response<PutObjectTaggingOutput> {
        let input = req.input;
        let tags = checked_tags(input.tagging.tag_set, MAX_TAGS)?;
        let set = move |objects: &objects::Objects| {
            objects.set_tags(&input.bucket, &input.key, input.version_id.as_deref(), tags)
        };
        let version_id = shown(self.ask(set).await?);
        Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
    }

    async fn delete_object_tagging(
        &self,
        req: S3Request<DeleteObjectTaggingInput>,
    ) -> Response<DeleteObjectTaggingOutput> {
        let input = req.input;
        let clear = move |objects: &objects::Objects| {
            objects.set_tags(&input.bucket, &input.key, input.version_id.as_deref(), BTreeMap::new())
        };
        let version_id = shown(self.ask(clear).await?);
        Ok(S3Response::with_status(DeleteObjectTaggingOutput { version_id }, StatusCode::NO_CONTENT))
    }

    async fn list_objects(&self, req: S3Request<ListObjectsInput>) -> Response<ListObjectsOutput> {
        self.page_of_objects(req.input).await.map(S3Response::new)
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> Response<ListObjectsV2Output> {
        self.page_of_objects_v2(req.input).await.map(S3Response::new)
    }

    async fn list_object_versions(
        &self,
        req: S3Request<ListObjectVersionsInput>,
    ) -> Response<ListObjectVersionsOutput> {
        self.page_of_versions(req.input).await.map(S3Response::new)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Response<CreateMultipartUploadOutput> {
        self.begin(req.input).await.map(S3Response::new)
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Response<UploadPartOutput> {
        self.part(req).await.map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Response<CompleteMultipartUploadOutput> {
        self.complete(req.input).await.map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Response<AbortMultipartUploadOutput> {
        let input = req.input;
        self.ask(move |objects| objects.abort_upload(&input.bucket, &input.key, &input.upload_id)).await?;
        Ok(S3Response::with_status(AbortMultipartUploadOutput::default(), StatusCode::NO_CONTENT))
    }
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

impl S3Operations {
    pub(super) fn owner(&self) -> Owner {
        Owner { display_name: None, id: Some(self.owner.clone()) }
    }
}

/// An object's checksums as the answers hold them.
#[derive(Default)]
struct Checksums {
    crc32: Option<String>,
    crc32c: Option<String>,
    crc64nvme: Option<String>,
    sha1: Option<String>,
    sha256: Option<String>,
    kind: Option<ChecksumType>,
}

impl Checksums {
    fn of(content: &Content) -> Self {
        let sums = &content.metadata.checksums;
        let sum = |algorithm: &str| sums.get(algorithm).cloned();
        Self {
            crc32: sum("CRC32"),
            crc32c: sum("CRC32C"),
            crc64nvme: sum("CRC64NVME"),
            sha1: sum("SHA1"),
            sha256: sum("SHA256"),
            kind: (!sums.is_empty()).then(|| ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
        }
    }

    /// Clients compare what they get: only for whole objects, and when asked for.
    fn when(self, wanted: bool) -> Self {
        if wanted { self } else { Self::default() }
    }
}

/// Where a bucket is made, by what was asked and where it was asked.
fn bucket_region<'r>(asked: Option<&'r str>, here: &'r str) -> S3Result<&'r str> {
    match asked {
        Some(DEFAULT_REGION) => {
            Err(s3_error!(InvalidLocationConstraint, "The specified location-constraint is not valid"))
        }
        Some("EU") => Ok("eu-west-1"),
        Some(region) if region == here || here == DEFAULT_REGION => Ok(region),
        None if here == DEFAULT_REGION => Ok(DEFAULT_REGION),
        _ => {
            let constraint = asked.unwrap_or("unspecified");
            Err(s3_error!(
                IllegalLocationConstraintException,
                "The {constraint} location constraint is incompatible for the region specific endpoint this request was sent to."
            ))
        }
    }
}

/// `aws-chunked` is about the way here, not about the object.
pub(super) fn without_aws_chunked(encoding: String) -> Option<String> {
    let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|e| !e.is_empty() && *e != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

pub(super) fn user_metadata(metadata: Option<s3s::dto::Metadata>) -> S3Result<BTreeMap<String, String>> {
    let user: BTreeMap<String, String> = metadata.unwrap_or_default().into_iter().collect();
    if user.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_USER_METADATA_BYTES {
        return Err(s3_error!(MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size"));
    }
    Ok(user)
}

/// A version's id, where there are versions to tell apart.
fn shown(id: String) -> Option<String> {
    (id != objects::NULL_VERSION).then_some(id)
}

fn slice(bytes: Vec<u8>, range: std::ops::Range<u64>) -> Bytes {
    let bytes = Bytes::from(bytes);
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(range.start)..at(range.end))
}

fn illegal_versioning() -> S3Error {
    s3_error!(
        IllegalVersioningConfigurationException,
        "The Versioning element must be specified as Enabled or Suspended."
    )
}

pub(super) fn timestamp(at: UnixMillis) -> Timestamp {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000);
    Timestamp::from(time.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

pub(super) fn millis(at: Timestamp) -> UnixMillis {
    let nanos = OffsetDateTime::from(at).unix_timestamp_nanos();
    UnixMillis::try_from(nanos.div_euclid(1_000_000)).unwrap_or(0)
}
