//! What goes with an object: from the headers of a put, and into those of an answer.

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode};
use s3s::dto::{ChecksumType, StorageClass};
use s3s::{S3Result, s3_error};

use super::acl;
use super::errors::with_code;
use crate::objects::{Content, Metadata};

/// Names and values of `x-amz-meta-*` together.
const MAX_USER_METADATA_BYTES: usize = 2 << 10;
/// Storage classes whose objects can be read at any time. Here they all lie on the same disk.
const STORAGE_CLASSES: [&str; 6] =
    ["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"];

/// The [`Metadata`] that the input of a put, a copy or an upload in parts describes: their fields have the same names.
macro_rules! described {
    ($input:ident, $headers:expr) => {{
        let extra = $crate::s3::metadata::extra($headers)?;
        $crate::objects::Metadata {
            content_type: $input.content_type,
            content_encoding: $input.content_encoding.and_then($crate::s3::metadata::without_aws_chunked),
            content_disposition: $input.content_disposition,
            content_language: $input.content_language,
            cache_control: $input.cache_control,
            expires: $input.expires.map($crate::s3::operations::millis),
            user: $crate::s3::metadata::user_metadata($input.metadata)?,
            tags: $crate::s3::tags::header_tags($input.tagging.as_deref())?,
            ..extra
        }
    }};
}
pub(super) use described;

/// What the headers of a put say besides; refused is what cannot be done here.
pub(super) fn extra(headers: &HeaderMap) -> S3Result<Metadata> {
    acl::refuse_grants(headers)?;
    for name in
        ["x-amz-server-side-encryption-customer-algorithm", "x-amz-write-offset-bytes", "x-amz-object-lock-mode"]
    {
        if headers.contains_key(name) {
            return Err(not_implemented(name));
        }
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    match text("x-amz-server-side-encryption").as_deref() {
        None | Some("AES256") => {}
        Some("aws:kms" | "aws:kms:dsse") => {
            let message = "There are no KMS keys here: objects are encrypted by the disk that they are on.";
            return Err(with_code(StatusCode::BAD_REQUEST, "KMS.NotFoundException", message));
        }
        Some(_) => {
            let message = "The encryption request you specified is not valid. The valid value is AES256.";
            return Err(s3_error!(InvalidEncryptionAlgorithmError, "{message}"));
        }
    }
    let class = text("x-amz-storage-class");
    if class.as_deref().is_some_and(|class| !STORAGE_CLASSES.contains(&class)) {
        return Err(s3_error!(InvalidStorageClass, "The storage class you specified is not valid"));
    }
    Ok(Metadata {
        storage_class: class.filter(|class| class != StorageClass::STANDARD),
        redirect: text("x-amz-website-redirect-location"),
        ..Metadata::default()
    })
}

pub(super) fn not_implemented(header: &str) -> s3s::S3Error {
    s3_error!(NotImplemented, "A header you provided implies functionality that is not implemented: {header}")
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

/// Checksums as the answers hold them.
#[derive(Default)]
pub(super) struct Checksums {
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
    pub(super) kind: Option<ChecksumType>,
}

impl Checksums {
    /// Of an object.
    pub(super) fn of(content: &Content) -> Self {
        let sums = &content.metadata.checksums;
        let kind = if content.metadata.composite { ChecksumType::COMPOSITE } else { ChecksumType::FULL_OBJECT };
        Self { kind: (!sums.is_empty()).then(|| ChecksumType::from_static(kind)), ..Self::by_algorithm(sums) }
    }

    /// Of a part.
    pub(super) fn by_algorithm(sums: &BTreeMap<String, String>) -> Self {
        let sum = |algorithm: &str| sums.get(algorithm).cloned();
        Self {
            crc32: sum("CRC32"),
            crc32c: sum("CRC32C"),
            crc64nvme: sum("CRC64NVME"),
            sha1: sum("SHA1"),
            sha256: sum("SHA256"),
            kind: None,
        }
    }

    /// Clients compare what they get: only for whole objects, and when asked for.
    pub(super) fn when(self, wanted: bool) -> Self {
        if wanted { self } else { Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_headers_say() {
        let of = |name: &'static str, value: &'static str| {
            extra(&HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]))
        };
        assert_eq!(of("x-amz-storage-class", "STANDARD").unwrap().storage_class, None);
        assert_eq!(of("x-amz-storage-class", "STANDARD_IA").unwrap().storage_class.as_deref(), Some("STANDARD_IA"));
        assert_eq!(of("x-amz-website-redirect-location", "/x").unwrap().redirect.as_deref(), Some("/x"));
        assert!(of("x-amz-server-side-encryption", "AES256").is_ok());
        for (name, value) in [
            ("x-amz-storage-class", "DEEP_ARCHIVE"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption", "ROT13"),
            ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
            ("x-amz-object-lock-mode", "GOVERNANCE"),
            ("x-amz-acl", "public-read"),
            ("x-amz-grant-read", "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\""),
        ] {
            assert!(of(name, value).is_err(), "{name}: {value}");
        }
    }

    #[test]
    fn aws_chunked_is_about_the_way() {
        for (given, kept) in [("aws-chunked", None), ("gzip, aws-chunked", Some("gzip")), ("gzip,br", Some("gzip,br"))]
        {
            assert_eq!(without_aws_chunked(given.to_owned()).as_deref(), kept);
        }
    }
}
