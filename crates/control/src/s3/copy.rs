//! Copies: of objects, and of bytes into parts of an upload. Nobody reads through a copy what they may not read.

use std::sync::Arc;

use aws::Asked;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result, s3_error};

use super::S3Operations;
use super::call::Call;
use super::conditions::{Conditions, precondition};
use super::metadata::{Checksums, described};
use super::multipart::part_number;
use super::object::{etag_condition, shown};
use super::operations::timestamp;
use crate::objects::{self, Algorithm, Content, MAX_OBJECT_BYTES, Objects, Sums, Version};

/// What is copied.
struct Source {
    bucket: String,
    key: String,
    version: Option<String>,
    conditions: Conditions,
}

impl S3Operations {
    pub(super) async fn copy(&self, req: S3Request<CopyObjectInput>) -> S3Result<CopyObjectOutput> {
        let call = call(&req)?;
        let (input, headers) = (req.input, req.headers);
        let precondition =
            precondition(etag_condition(&headers, "if-match")?, etag_condition(&headers, "if-none-match")?)?;
        for (name, directive) in [
            ("metadata", input.metadata_directive.as_ref().map(|directive| directive.as_str())),
            ("tagging", input.tagging_directive.as_ref().map(|directive| directive.as_str())),
        ] {
            if directive.is_some_and(|directive| !["COPY", "REPLACE"].contains(&directive)) {
                return Err(s3_error!(InvalidArgument, "Unknown {name} directive."));
            }
        }
        let replace = input.metadata_directive.as_ref().is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
        let retag = input.tagging_directive.as_ref().is_some_and(|d| d.as_str() == TaggingDirective::REPLACE);
        let algorithm =
            input.checksum_algorithm.as_ref().map(|algorithm| named_algorithm(algorithm.as_str())).transpose()?;
        let conditions = Conditions {
            matches: input.copy_source_if_match,
            none_matches: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        let source = Source::of(input.copy_source, conditions)?;
        let changes = replace || input.storage_class.is_some() || input.website_redirect_location.is_some();
        if !changes && source.version.is_none() && *source.bucket == *input.bucket && *source.key == *input.key {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes."
            ));
        }
        let given = described!(input, &headers);
        let at = (self.clock)();
        let (found, _) = self.source(&call, &source).await?;
        // The version that was checked is the one that is copied.
        let version = found.id.clone();
        let copy = move |objects: &Objects, bucket: &str, key: &str| {
            let from = (source.bucket.as_str(), source.key.as_str(), Some(version.as_str()));
            let change = move |metadata: &mut objects::Metadata| {
                let kept = std::mem::take(metadata);
                let tags = if retag { given.tags.clone() } else { kept.tags.clone() };
                let (storage_class, redirect) = (given.storage_class.clone(), given.redirect.clone());
                let described = if replace { given } else { kept.clone() };
                let (checksums, composite) = (kept.checksums, kept.composite);
                *metadata = objects::Metadata { tags, storage_class, redirect, checksums, composite, ..described };
            };
            objects.copy((bucket, key), from, change, algorithm, &precondition, at)
        };
        let (written, content) = self.change(&input.bucket, &input.key, copy).await?;
        let sums = Checksums::of(&content);
        Ok(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(content.etag)),
                last_modified: Some(timestamp(at)),
                checksum_crc32: sums.crc32,
                checksum_crc32c: sums.crc32c,
                checksum_crc64nvme: sums.crc64nvme,
                checksum_sha1: sums.sha1,
                checksum_sha256: sums.sha256,
                checksum_type: sums.kind,
            }),
            copy_source_version_id: shown(found.id),
            version_id: written.version,
            ..Default::default()
        })
    }

    /// Bytes of an object as a part of an upload.
    pub(super) async fn copy_part(&self, req: S3Request<UploadPartCopyInput>) -> S3Result<UploadPartCopyOutput> {
        let call = call(&req)?;
        let input = req.input;
        let number = part_number(input.part_number)?;
        let conditions = Conditions {
            matches: input.copy_source_if_match,
            none_matches: input.copy_source_if_none_match,
            modified_since: input.copy_source_if_modified_since,
            unmodified_since: input.copy_source_if_unmodified_since,
        };
        let source = Source::of(input.copy_source, conditions)?;
        let (found, content) = self.source(&call, &source).await?;
        let range = input.copy_source_range.map(|text| copied_range(&text, content.size)).transpose()?;
        let (version, at) = (found.id.clone(), (self.clock)());
        let part = self
            .ask(move |objects| {
                let (upload, _) = objects.upload(&input.bucket, &input.key, &input.upload_id)?;
                let version = Some(version.as_str());
                let (_, _, bytes) = objects.get(&source.bucket, &source.key, version, MAX_OBJECT_BYTES)?;
                let range = range.unwrap_or(0..bytes.len());
                let bytes = bytes.get(range).unwrap_or_default();
                let algorithm = upload.algorithm.as_deref().and_then(Algorithm::of_name);
                let mut sums = Sums::new(|wanted| Some(wanted) == algorithm);
                sums.update(bytes);
                let mut staged = objects.stage()?;
                staged.write(bytes)?;
                let place = (input.bucket.as_str(), input.key.as_str());
                objects.put_part(place, &input.upload_id, number, (staged, sums.finish()), at)
            })
            .await?;
        let sums = Checksums::by_algorithm(&part.checksums);
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                checksum_crc32: sums.crc32,
                checksum_crc32c: sums.crc32c,
                checksum_crc64nvme: sums.crc64nvme,
                checksum_sha1: sums.sha1,
                checksum_sha256: sums.sha256,
                e_tag: Some(ETag::Strong(part.etag)),
                last_modified: Some(timestamp(part.modified)),
            }),
            copy_source_version_id: shown(found.id),
            ..Default::default()
        })
    }

    /// What is to be copied, if the caller may read it and the conditions hold.
    async fn source(&self, call: &Call, source: &Source) -> S3Result<(Version, Content)> {
        let action = if source.version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        let resource = format!("arn:aws:s3:::{}/{}", source.bucket, source.key);
        call.may(&Asked { action, resources: &[&resource], context: &[] })?;
        let (bucket, key, version) = (source.bucket.clone(), source.key.clone(), source.version.clone());
        let (found, content) = self.ask(move |objects| objects.head(&bucket, &key, version.as_deref())).await?;
        source.conditions.check_source(&content, found.modified)?;
        Ok((found, content))
    }
}

impl Source {
    fn of(source: CopySource, conditions: Conditions) -> S3Result<Self> {
        match source {
            CopySource::Bucket { bucket, key, version_id } => {
                Ok(Self { bucket: bucket.into(), key: key.into(), version: version_id.map(Into::into), conditions })
            }
            _ => Err(s3_error!(NotImplemented, "Access points are not implemented.")),
        }
    }
}

fn call<T>(req: &S3Request<T>) -> S3Result<Arc<Call>> {
    req.extensions.get::<Arc<Call>>().cloned().ok_or_else(|| S3ErrorCode::InternalError.into())
}

/// An algorithm that S3 has.
pub(super) fn named_algorithm(name: &str) -> S3Result<Algorithm> {
    let unknown = || {
        s3_error!(
            InvalidRequest,
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
        )
    };
    Algorithm::of_name(name).ok_or_else(unknown)
}

/// `bytes=first-last`, both there (S3's `x-amz-copy-source-range`).
fn copied_range(text: &str, size: u64) -> S3Result<std::ops::Range<usize>> {
    let invalid = || {
        s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy"
        )
    };
    let (first, last) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')).ok_or_else(invalid)?;
    let (first, last): (u64, u64) = match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => (first, last),
        _ => return Err(invalid()),
    };
    if last >= size {
        let message = format!("Range specified is not valid for source object of size: {size}");
        return Err(S3Error::with_message(S3ErrorCode::InvalidArgument, message));
    }
    let index = |at: u64| usize::try_from(at).map_err(|_| invalid());
    Ok(index(first)?..index(last)? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_copies() {
        assert_eq!(copied_range("bytes=0-0", 1).unwrap(), 0..1);
        assert_eq!(copied_range("bytes=2-4", 5).unwrap(), 2..5);
        for bad in
            ["bytes=0-", "bytes=-1", "0-1", "bytes=3-2", "bytes=0-5", "bytes=a-b", "bytes=0-18446744073709551615"]
        {
            assert!(copied_range(bad, 5).is_err(), "{bad}");
        }
    }
}
