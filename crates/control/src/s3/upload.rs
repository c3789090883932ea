//! Bytes on their way in: counted, hashed and compared with what was said about them.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};

use super::errors::{of_object, with_code};
use crate::objects::{Algorithm, MAX_OBJECT_BYTES, ObjectError, StagedBlob, Sums};

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
        let (mut sums, trailing) = (self.sums(), self.trailer());
        if let Some(mut body) = self.body {
            while let Some(chunk) = next(&mut body, &staged, announced).await? {
                staged.write(&chunk).map_err(of_object)?;
                sums.update(&chunk);
            }
        }
        if announced.is_some_and(|size| size != staged.size()) {
            return Err(S3ErrorCode::IncompleteBody.into());
        }
        if md5.is_some_and(|md5| md5 != staged.md5()) {
            return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
        }
        let checksums = sums.finish();
        for algorithm in Algorithm::ALL {
            let name = algorithm.header();
            let header = self.headers.get(name).and_then(|value| value.to_str().ok().map(str::to_owned));
            let trailer = self.trailers.and_then(|trailers| {
                trailers.read(|fields| fields.get(name).and_then(|value| value.to_str().ok().map(str::to_owned)))
            });
            if trailing.contains(&algorithm) && trailer.is_none() {
                let message = "The request contained trailing data that was not well-formed.";
                return Err(with_code(StatusCode::BAD_REQUEST, "MalformedTrailerError", message));
            }
            for said in [header, trailer.flatten()].into_iter().flatten() {
                if checksums.get(algorithm.name()) != Some(&said) {
                    let message =
                        format!("The {} you specified did not match the calculated checksum.", algorithm.name());
                    return Err(S3Error::with_message(S3ErrorCode::BadDigest, message));
                }
            }
        }
        Ok(Received { staged, checksums })
    }

    /// Of the algorithms that were named; S3's own where none was.
    fn sums(&self) -> Sums {
        let asked = self.headers.get("x-amz-sdk-checksum-algorithm").and_then(|value| value.to_str().ok());
        let mut named = self.trailer();
        let in_header =
            |algorithm: &Algorithm| self.headers.contains_key(algorithm.header()) || asked == Some(algorithm.name());
        named.extend(Algorithm::ALL.into_iter().filter(in_header));
        if named.is_empty() {
            named.push(Algorithm::Crc64Nvme);
        }
        Sums::new(|algorithm| named.contains(&algorithm))
    }

    /// The checksums that were announced to come after the body.
    fn trailer(&self) -> Vec<Algorithm> {
        let announced = self.headers.get("x-amz-trailer").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let names: Vec<String> = announced.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
        Algorithm::ALL.into_iter().filter(|algorithm| names.iter().any(|name| name == algorithm.header())).collect()
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
