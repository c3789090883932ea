//! Uploads in parts: the CLI makes them above 8 MB.

use std::collections::BTreeMap;

use s3s::dto::*;
use s3s::{S3Request, S3Result, s3_error};

use super::S3Operations;
use super::conditions::precondition;
use super::copy::named_algorithm;
use super::listing::Encoding;
use super::metadata::{Checksums, described};
use super::operations::timestamp;
use super::upload::{Announced, Received};
use crate::objects::{self, Algorithm, Completion, Objects, UploadScan};

const MAX_PARTS: i32 = 1_000;
const MAX_UPLOADS: i32 = 1_000;

/// The checksums of an input by algorithm: inputs have the same names for them.
macro_rules! said {
    ($input:expr) => {
        [
            ("CRC32", $input.checksum_crc32),
            ("CRC32C", $input.checksum_crc32c),
            ("CRC64NVME", $input.checksum_crc64nvme),
            ("SHA1", $input.checksum_sha1),
            ("SHA256", $input.checksum_sha256),
        ]
        .into_iter()
        .filter_map(|(name, sum)| Some((name.to_owned(), sum?)))
        .collect::<BTreeMap<String, String>>()
    };
}

impl S3Operations {
    pub(super) async fn begin(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<CreateMultipartUploadOutput> {
        let (input, headers) = (req.input, req.headers);
        let algorithm = input.checksum_algorithm.as_ref().map(|name| named_algorithm(name.as_str())).transpose()?;
        let composite = is_composite(algorithm, input.checksum_type.as_ref().map(ChecksumType::as_str))?;
        let metadata = objects::Metadata { composite, ..described!(input, &headers) };
        let (bucket, key, at) = (input.bucket.clone(), input.key.clone(), (self.clock)());
        let id = self.ask(move |objects| objects.begin_upload(&bucket, &key, metadata, algorithm, at)).await?;
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: algorithm.map(|algorithm| ChecksumAlgorithm::from_static(algorithm.name())),
            checksum_type: algorithm.map(|_| kind(composite)),
            ..Default::default()
        })
    }

    pub(super) async fn part(&self, req: S3Request<UploadPartInput>) -> S3Result<UploadPartOutput> {
        let input = req.input;
        let number = part_number(input.part_number)?;
        // The upload is looked for before megabytes are sent to it.
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let staged = self.ask(move |objects| objects.upload(&bucket, &key, &id).and_then(|_| objects.stage())).await?;
        let announced = Announced {
            body: input.body,
            content_length: input.content_length,
            content_md5: input.content_md5.as_deref(),
            headers: &req.headers,
            trailers: req.trailing_headers.as_ref(),
        };
        let Received { staged, checksums } = announced.receive(staged).await?;
        let (bucket, key, id, at) = (input.bucket, input.key, input.upload_id, (self.clock)());
        let put = move |objects: &Objects| objects.put_part((&bucket, &key), &id, number, (staged, checksums), at);
        let part = self.ask(put).await?;
        let sums = Checksums::by_algorithm(&part.checksums);
        Ok(UploadPartOutput {
            e_tag: Some(ETag::Strong(part.etag)),
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            ..Default::default()
        })
    }

    pub(super) async fn complete(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<CompleteMultipartUploadOutput> {
        let precondition = precondition(input.if_match, input.if_none_match)?;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        if named.is_empty() {
            return Err(s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed or did not validate against our published schema"
            ));
        }
        let parts: S3Result<Vec<objects::CompletedPart>> = named.into_iter().map(completed).collect();
        let completion = Completion {
            parts: parts?,
            precondition,
            checksums: said!(input),
            size: input.mpu_object_size.and_then(|size| u64::try_from(size).ok()),
        };
        let (id, at) = (input.upload_id, (self.clock)());
        let complete = move |objects: &Objects, bucket: &str, key: &str| {
            objects.complete_upload((bucket, key), &id, &completion, at)
        };
        let (written, content) = self.change(&input.bucket, &input.key, complete).await?;
        let sums = Checksums::of(&content);
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
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

    pub(super) async fn page_of_parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let (after, limit) = (input.part_number_marker.unwrap_or(0), input.max_parts.unwrap_or(MAX_PARTS));
        let count = page_size(limit, "max-parts")?.min(MAX_PARTS);
        let (bucket, key, id) = (input.bucket.clone(), input.key.clone(), input.upload_id.clone());
        let (upload, mut parts) = self.ask(move |objects| objects.upload(&bucket, &key, &id)).await?;
        parts.retain(|(number, _)| i32::from(*number) > after);
        let count = usize::try_from(count).unwrap_or(0);
        let more = parts.len() > count;
        parts.truncate(count);
        let algorithm = upload.algorithm.as_deref();
        let owner = self.owner();
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            part_number_marker: Some(after),
            next_part_number_marker: Some(parts.last().map_or(0, |(number, _)| i32::from(*number))),
            max_parts: i32::try_from(count).ok(),
            is_truncated: Some(more),
            checksum_algorithm: algorithm.map(|name| ChecksumAlgorithm::from(name.to_owned())),
            checksum_type: algorithm.map(|_| kind(upload.metadata.composite)),
            initiator: Some(Initiator { display_name: None, id: owner.id.clone() }),
            owner: Some(owner),
            storage_class: Some(class(upload.metadata.storage_class)),
            parts: Some(parts.into_iter().map(|(number, part)| listed(number, part)).collect()),
            ..Default::default()
        })
    }

    pub(super) async fn page_of_uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = page_size(input.max_uploads.unwrap_or(MAX_UPLOADS), "max-uploads")?.min(MAX_UPLOADS);
        let (bucket, prefix, delimiter) = (input.bucket.clone(), input.prefix.clone(), input.delimiter.clone());
        let key_marker = input.key_marker.clone().filter(|marker| !marker.is_empty());
        // Without a key it says nothing (S3, ListMultipartUploads).
        let id_marker = input.upload_id_marker.clone().filter(|marker| !marker.is_empty());
        let page = self
            .ask(move |objects| {
                let scan = UploadScan {
                    prefix: prefix.as_deref().unwrap_or_default(),
                    delimiter: delimiter.as_deref(),
                    after: key_marker.as_deref().map(|key| (key, id_marker.as_deref())),
                    limit: usize::try_from(limit).unwrap_or(0),
                };
                objects.uploads(&bucket, &scan)
            })
            .await?;
        let (next_key, next_id) = page.next.unzip();
        let owner = self.owner();
        let uploads = page.uploads.into_iter().map(|(id, upload)| MultipartUpload {
            checksum_type: upload.algorithm.as_ref().map(|_| kind(upload.metadata.composite)),
            checksum_algorithm: upload.algorithm.map(ChecksumAlgorithm::from),
            initiated: Some(timestamp(upload.begun)),
            initiator: Some(Initiator { display_name: None, id: owner.id.clone() }),
            key: Some(encoding.apply(upload.key)),
            owner: Some(owner.clone()),
            storage_class: Some(class(upload.metadata.storage_class)),
            upload_id: Some(id),
        });
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: encoding.apply_to(Some(input.prefix.unwrap_or_default())),
            delimiter: encoding.apply_to(input.delimiter),
            key_marker: encoding.apply_to(Some(input.key_marker.unwrap_or_default())),
            upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
            is_truncated: Some(next_key.is_some()),
            next_key_marker: encoding.apply_to(next_key),
            next_upload_id_marker: next_id,
            max_uploads: Some(limit),
            encoding_type: input.encoding_type,
            uploads: Some(uploads.collect()),
            common_prefixes: encoding.prefixes(page.common_prefixes),
            ..Default::default()
        })
    }
}

fn completed(part: CompletedPart) -> S3Result<objects::CompletedPart> {
    let number = part_number(part.part_number.unwrap_or(0))?;
    let checksums = said!(part);
    let etag = part.e_tag.map(ETag::into_value).unwrap_or_default();
    Ok(objects::CompletedPart { number, etag, checksums })
}

fn listed(number: u16, part: objects::Part) -> Part {
    let sums = Checksums::by_algorithm(&part.checksums);
    Part {
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        e_tag: Some(ETag::Strong(part.etag)),
        last_modified: Some(timestamp(part.modified)),
        part_number: Some(i32::from(number)),
        size: i64::try_from(part.size).ok(),
    }
}

/// Whether an upload's checksum will be one of its parts' checksums.
fn is_composite(algorithm: Option<Algorithm>, kind: Option<&str>) -> S3Result<bool> {
    match (algorithm, kind) {
        (None, Some(_)) => {
            let message = "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.";
            Err(s3_error!(InvalidRequest, "{message}"))
        }
        (None, None) => Ok(false),
        (Some(algorithm), None) => Ok(algorithm.is_composite()),
        (Some(Algorithm::Crc64Nvme), Some("COMPOSITE")) => {
            let message = "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.";
            Err(s3_error!(InvalidRequest, "{message}"))
        }
        (Some(algorithm @ (Algorithm::Sha1 | Algorithm::Sha256)), Some("FULL_OBJECT")) => {
            let name = algorithm.name().to_lowercase();
            Err(s3_error!(
                InvalidRequest,
                "The FULL_OBJECT checksum type cannot be used with the {name} checksum algorithm."
            ))
        }
        (Some(_), Some("COMPOSITE")) => Ok(true),
        (Some(_), Some("FULL_OBJECT")) => Ok(false),
        (Some(_), Some(_)) => Err(s3_error!(InvalidRequest, "Value for x-amz-checksum-type header is invalid.")),
    }
}

fn kind(composite: bool) -> ChecksumType {
    ChecksumType::from_static(if composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT })
}

fn class(class: Option<String>) -> StorageClass {
    class.map_or_else(|| StorageClass::from_static(StorageClass::STANDARD), StorageClass::from)
}

pub(super) fn part_number(number: i32) -> S3Result<u16> {
    let number = u16::try_from(number).ok().filter(|number| (1..=10_000).contains(number));
    number.ok_or_else(|| s3_error!(InvalidArgument, "Part number must be an integer between 1 and 10000, inclusive"))
}

fn page_size(asked: i32, name: &str) -> S3Result<i32> {
    if asked < 0 {
        return Err(s3_error!(InvalidArgument, "Argument {name} must be an integer between 0 and 2147483647"));
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S3's table of algorithms and types ("Checking object integrity").
    #[test]
    fn what_a_checksum_is_of() {
        for (algorithm, kind, expected) in [
            (None, None, Some(false)),
            (None, Some("COMPOSITE"), None),
            (Some(Algorithm::Crc32), None, Some(true)),
            (Some(Algorithm::Crc32), Some("FULL_OBJECT"), Some(false)),
            (Some(Algorithm::Crc32c), Some("COMPOSITE"), Some(true)),
            (Some(Algorithm::Crc64Nvme), None, Some(false)),
            (Some(Algorithm::Crc64Nvme), Some("COMPOSITE"), None),
            (Some(Algorithm::Sha256), None, Some(true)),
            (Some(Algorithm::Sha256), Some("FULL_OBJECT"), None),
            (Some(Algorithm::Sha1), Some("OTHER"), None),
        ] {
            assert_eq!(is_composite(algorithm, kind).ok(), expected, "{algorithm:?} {kind:?}");
        }
    }
}
