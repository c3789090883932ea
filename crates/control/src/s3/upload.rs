//! Bytes on their way in: counted, hashed and compared with what was said about them.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::Checksum as _;
use s3s::crypto::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};

use super::errors::{of_object, with_code};
use crate::objects::{MAX_OBJECT_BYTES, ObjectError, StagedBlob};

/// What arrived: staged, and its checksums by algorithm, base64.
pub(super) struct Received {
    pub(super) staged: StagedBlob,
    pub(super) checksums: BTreeMap<String, String>,
}

/// A body and what was said about it.
pub(super) struct Announced<'a> {
    pub(super) body: Option<StreamingBlob>,
    pub(super) content_length: Option<i64>,
    pub(super) content_md5: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) trailers: Option<&'a TrailingHeaders>,
}

/// Time for the next bytes to arrive.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// S3's algorithms and the headers (or trailers) with their values.
const ALGORITHMS: [(&str, &str); 5] = [
    ("CRC32", "x-amz-checksum-crc32"),
    ("CRC32C", "x-amz-checksum-crc32c"),
    ("CRC64NVME", "x-amz-checksum-crc64nvme"),
    ("SHA1", "x-amz-checksum-sha1"),
    ("SHA256", "x-amz-checksum-sha256"),
];

impl Announced<'_> {
    /// Reads the body into `staged` and compares it with everything that was said about it.
    pub(super) async fn receive(self, mut staged: StagedBlob) -> S3Result<Received> {
        let decoded =
            self.headers.get("x-amz-decoded-content-length").and_then(|length| length.to_str().ok()?.parse().ok());
        let announced = decoded.or_else(|| u64::try_from(self.content_length?).ok());
        if let Some(size) = announced.filter(|size| *size > MAX_OBJECT_BYTES) {
            return Err(of_object(ObjectError::TooLarge { size, limit: MAX_OBJECT_BYTES }));
        }
        let md5 = self.content_md5.map(parse_md5).transpose()?;
        let (mut hasher, trailing) = (self.hasher(), self.trailer());
        if let Some(mut body) = self.body {
            while let Some(chunk) = next(&mut body, &staged, announced).await? {
                staged.write(&chunk).map_err(of_object)?;
                hasher.update(&chunk);
            }
        }
        if announced.is_some_and(|size| size != staged.size()) {
            return Err(S3ErrorCode::IncompleteBody.into());
        }
        if md5.is_some_and(|md5| md5 != staged.md5()) {
            return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
        }
        let checksums = computed(hasher);
        for (algorithm, name) in ALGORITHMS {
            let header = self.headers.get(name).and_then(|value| value.to_str().ok().map(str::to_owned));
            let trailer = self.trailers.and_then(|trailers| {
                trailers.read(|fields| fields.get(name).and_then(|value| value.to_str().ok().map(str::to_owned)))
            });
            if trailing.contains(&name) && trailer.is_none() {
                let message = "The request contained trailing data that was not well-formed.";
                return Err(with_code(StatusCode::BAD_REQUEST, "MalformedTrailerError", message));
            }
            for said in [header, trailer.flatten()].into_iter().flatten() {
                if checksums.get(algorithm) != Some(&said) {
                    let message = format!("The {algorithm} you specified did not match the calculated checksum.");
                    return Err(S3Error::with_message(S3ErrorCode::BadDigest, message));
                }
            }
        }
        Ok(Received { staged, checksums })
    }

    /// Of the algorithms that were named; S3's own where none was.
    fn hasher(&self) -> ChecksumHasher {
        let mut named: Vec<&str> = self.trailer();
        named.extend(ALGORITHMS.iter().filter(|(_, name)| self.headers.contains_key(*name)).map(|(_, name)| *name));
        let asked = self.headers.get("x-amz-sdk-checksum-algorithm").and_then(|value| value.to_str().ok());
        named.extend(ALGORITHMS.iter().filter(|(name, _)| asked == Some(name)).map(|(_, name)| *name));
        if named.is_empty() {
            named.push("x-amz-checksum-crc64nvme");
        }
        let has =
            |algorithm: &str| ALGORITHMS.iter().any(|(name, header)| *name == algorithm && named.contains(header));
        ChecksumHasher {
            crc32: has("CRC32").then(Crc32::new),
            crc32c: has("CRC32C").then(Crc32c::new),
            crc64nvme: has("CRC64NVME").then(Crc64Nvme::new),
            sha1: has("SHA1").then(Sha1::new),
            sha256: has("SHA256").then(Sha256::new),
        }
    }

    /// The checksums that were announced to come after the body.
    fn trailer(&self) -> Vec<&'static str> {
        let announced = self.headers.get("x-amz-trailer").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let names: Vec<String> = announced.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
        ALGORITHMS.iter().map(|(_, name)| *name).filter(|name| names.iter().any(|n| n == name)).collect()
    }
}

async fn next(body: &mut StreamingBlob, staged: &StagedBlob, announced: Option<u64>) -> S3Result<Option<bytes::Bytes>> {
    let chunk = tokio::time::timeout(IDLE_TIMEOUT, body.next()).await;
    let chunk = chunk.map_err(|_| {
        s3_error!(
            RequestTimeout,
            "Your socket connection to the server was not read from or written to within the timeout period."
        )
    })?;
    chunk.transpose().map_err(|_| {
        if announced.is_some_and(|size| staged.size() < size) {
            return S3ErrorCode::IncompleteBody.into();
        }
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        with_code(StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch", message)
    })
}

fn parse_md5(text: &str) -> S3Result<[u8; 16]> {
    let bytes = BASE64.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid."))
}

fn computed(hasher: ChecksumHasher) -> BTreeMap<String, String> {
    let sums = hasher.finalize();
    let sums = [
        ("CRC32", sums.checksum_crc32),
        ("CRC32C", sums.checksum_crc32c),
        ("CRC64NVME", sums.checksum_crc64nvme),
        ("SHA1", sums.checksum_sha1),
        ("SHA256", sums.checksum_sha256),
    ];
    sums.into_iter().filter_map(|(name, sum)| Some((name.to_owned(), sum?))).collect()
}
