//! What can go wrong with objects: by the caller's doing, and by the disk's.

use std::io;
use std::path::PathBuf;

use model::UnixMillis;

use super::blobs::BlobFault;

/// The request cannot be answered as it was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// There is no such bucket.
    #[error("The specified bucket does not exist")]
    NoSuchBucket(String),
    /// The bucket was made before.
    #[error("Your previous request to create the named bucket succeeded and you already own it.")]
    BucketAlreadyOwnedByYou(String),
    /// A bucket is deleted that holds versions, delete markers included.
    #[error("The bucket you tried to delete is not empty")]
    BucketNotEmpty(String),
    /// There are [`MAX_BUCKETS`] already.
    #[error("You have attempted to create more buckets than allowed")]
    TooManyBuckets,
    /// There is no such object, or its newest version is the delete marker with this id.
    #[error("The specified key does not exist.")]
    NoSuchKey {
        /// The key.
        key: String,
        /// Version id of the delete marker.
        marker: Option<String>,
    },
    /// There is no such version.
    #[error("The specified version does not exist.")]
    NoSuchVersion {
        /// The key.
        key: String,
        /// The version id that was asked for.
        version: String,
    },
    /// The version that was asked for is a delete marker.
    #[error("The specified method is not allowed against this resource.")]
    IsDeleteMarker {
        /// Its version id.
        version: String,
        /// When it was made.
        modified: UnixMillis,
    },
    /// The text is no version id at all.
    #[error("Invalid version id specified")]
    InvalidVersionId(String),
    /// More bytes than allowed.
    #[error("Your proposed upload exceeds the maximum allowed size")]
    TooLarge {
        /// Bytes; what was seen of it where it was still being sent.
        size: u64,
        /// Bytes.
        limit: u64,
    },
    /// The precondition does not hold.
    #[error("At least one of the pre-conditions you specified did not hold")]
    PreconditionFailed,
    /// There is no such upload (any more).
    #[error(
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )]
    NoSuchUpload(String),
    /// Too many uploads were begun in the bucket and neither completed nor aborted.
    #[error("Too many uploads were begun in this bucket: complete or abort some of them first")]
    TooManyUploads,
    /// A part was not uploaded, or has another ETag.
    #[error(
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."
    )]
    InvalidPart(u16),
    /// The parts are not in ascending order.
    #[error("The list of parts was not in ascending order. Parts must be ordered by part number.")]
    InvalidPartOrder,
    /// The parts have another size together than was said.
    #[error("The provided 'x-amz-mp-object-size' header value {said} does not match what was computed: {size}")]
    SizeDiffers {
        /// Bytes that were said.
        said: u64,
        /// Bytes.
        size: u64,
    },
    /// The whole has another checksum than was said.
    #[error("The {0} you specified did not match the calculated checksum.")]
    ChecksumDiffers(String),
    /// A part but the last is smaller than 5 MB.
    #[error("Your proposed upload is smaller than the minimum allowed size")]
    PartTooSmall(u16),
    /// The data directory failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The data directory holds something else than what was written, or cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The file with an object's content is not as it was written.
    #[error("{path}, the content of s3://{object}, {fault}")]
    Content {
        /// The file.
        path: PathBuf,
        /// Bucket, key and version of (one of) the objects that it belongs to.
        object: String,
        /// What is wrong with it.
        fault: BlobFault,
    },
    /// The index is damaged or was lost.
    #[error("the index of objects {path} {why}")]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// File or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
