//! Uploads in parts: the CLI makes them above 8 MB.

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::S3Operations;
use super::conditions::precondition;
use super::operations::{millis, user_metadata, without_aws_chunked};
use super::tags::header_tags;
use super::upload::{Announced, Received};
use crate::objects::{self, Metadata, Objects};

impl S3Operations {
    pub(super) async fn begin(&self, input: CreateMultipartUploadInput) -> S3Result<CreateMultipartUploadOutput> {
        if input.sse_customer_algorithm.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented"
            ));
        }
        let metadata = Metadata {
            content_type: input.content_type,
            content_encoding: input.content_encoding.and_then(without_aws_chunked),
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            expires: input.expires.map(millis),
            user: user_metadata(input.metadata)?,
            tags: header_tags(input.tagging.as_deref())?,
            ..Metadata::default()
        };
        let (bucket, key, at) = (input.bucket.clone(), input.key.clone(), (self.clock)());
        let id = self.ask(move |objects| objects.begin_upload(&bucket, &key, metadata, at)).await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..Default::default()
        })
    }

    pub(super) async fn part(&self, req: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
        let input = req.input;
        let number = part_number(input.part_number)?;
        let staged = self.ask(|objects| objects.stage()).await?;
        let announced = Announced {
            body: input.body,
            content_length: input.content_length,
            content_md5: input.content_md5.as_deref(),
            headers: &req.headers,
            trailers: req.trailing_headers.as_ref(),
        };
        let Received { staged, mut checksums } = announced.receive(staged).await?;
        let (bucket, key, id, at) = (input.bucket, input.key, input.upload_id, (self.clock)());
        let etag = self.ask(move |objects| objects.put_part((&bucket, &key), &id, number, staged, at)).await?;
        Ok(UploadPartOutput {
            e_tag: Some(ETag::Strong(etag)),
            checksum_crc32: checksums.remove("CRC32"),
            checksum_crc32c: checksums.remove("CRC32C"),
            checksum_crc64nvme: checksums.remove("CRC64NVME"),
            checksum_sha1: checksums.remove("SHA1"),
            checksum_sha256: checksums.remove("SHA256"),
            ..Default::default()
        })
    }

    pub(super) async fn complete(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let precondition = precondition(input.if_match, input.if_none_match)?;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let named: S3Result<Vec<objects::CompletedPart>> = named.into_iter().map(completed).collect();
        let (named, id, at) = (named?, input.upload_id, (self.clock)());
        let complete = move |objects: &Objects, bucket: &str, key: &str| {
            objects.complete_upload((bucket, key), &id, &named, &precondition, at)
        };
        let (written, content) = self.change(&input.bucket, &input.key, complete).await?;
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(content.etag)),
            version_id: written.version,
            ..Default::default()
        })
    }
}

fn completed(part: CompletedPart) -> S3Result<objects::CompletedPart> {
    let number = part_number(part.part_number.unwrap_or(0))?;
    let etag = part.e_tag.map(ETag::into_value).unwrap_or_default();
    Ok(objects::CompletedPart { number, etag })
}

fn part_number(number: i32) -> S3Result<u16> {
    let number = u16::try_from(number).ok().filter(|number| (1..=10_000).contains(number));
    number.ok_or_else(|| s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}
