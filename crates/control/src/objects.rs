//! Versioned objects on this machine: what S3 serves, and where truststores are read from.
//!
//! Contents are files named by their SHA-256 (`objects/ab/cdef…`), written aside, synced and renamed; which object has
//! which content is a redb index (`objects.redb`). What was answered is on disk. Contents are counted by the index
//! and removed with their last use; files that a crash left without a use are removed at start.
//!
//! All functions block on the disk: call them outside of an async runtime's own threads.

mod blobs;
mod index;
mod listing;
mod upload;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use model::UnixMillis;
use serde::{Deserialize, Serialize};

pub use blobs::StagedBlob;
use blobs::{BlobFault, Blobs};
use index::{Index, Tables};
pub use listing::{Listed, ObjectPage, Scan, VersionPage};
pub use upload::CompletedPart;

/// The largest object, bytes. Truststores are at most 1 MB; this is for whatever else is kept beside them.
pub const MAX_OBJECT_BYTES: u64 = 64 << 20;
/// The version id of an object that was put while its bucket kept no versions.
pub const NULL_VERSION: &str = "null";

/// Bytes that [`Objects::verify`] reads: a start must not take as long as the disk is large.
pub const VERIFIED_BYTES: u64 = 256 << 20;

const MAX_BUCKETS: u64 = 1_000;

/// Buckets and the versions of their objects, in a directory.
pub struct Objects {
    blobs: Blobs,
    index: Index,
}

/// A bucket. Names are unique over all regions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Checked by the caller against S3's rules for names.
    pub name: String,
    /// Where it was made.
    pub region: String,
    /// Creation time.
    pub created: UnixMillis,
    /// Whether a put keeps what was there.
    pub versioning: Versioning,
    /// Tags of the bucket.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// `VersioningConfiguration.Status`; once on, it is never `Unversioned` again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// Never switched on.
    Unversioned,
    /// Every put makes a version.
    Enabled,
    /// A put replaces the version `null` and keeps the others.
    Suspended,
}

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// 32 characters, or [`NULL_VERSION`].
    pub id: String,
    /// When it was put.
    pub modified: UnixMillis,
    /// `None`: a delete marker.
    pub content: Option<Content>,
}

/// What an object holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// SHA-256 of the bytes, hexadecimal.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// MD5, hexadecimal; of the parts' MD5s and `-` and their number where it was uploaded in parts. Without quotes.
    pub etag: String,
    /// What was given with it.
    pub metadata: Metadata,
}

/// What a client says about an object, and gets back with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`
    pub content_disposition: Option<String>,
    /// `Content-Language`
    pub content_language: Option<String>,
    /// `Cache-Control`
    pub cache_control: Option<String>,
    /// `Expires`
    pub expires: Option<UnixMillis>,
    /// `x-amz-meta-*`, without the prefix.
    #[serde(default)]
    pub user: BTreeMap<String, String>,
    /// Checksums of the whole object by algorithm (`CRC32`, …), base64; they were compared when it was put.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
    /// Tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// What a put or a delete did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The version that was made or deleted; `None` where the bucket keeps no versions.
    pub version: Option<String>,
    /// A delete made a marker, or the deleted version was one.
    pub delete_marker: bool,
}

/// What must hold of the present version for a put to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match`: the ETag, without quotes.
    Matches(String),
}

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

type Result<T, E = ObjectError> = std::result::Result<T, E>;

impl Objects {
    /// Opens (or makes) the objects in a directory, which must exist. Fails where the index cannot be read; contents
    /// are checked by [`Objects::verify`].
    pub fn open(directory: &Path) -> Result<Self, StorageError> {
        let blobs = Blobs::open(directory.join("objects"))?;
        let index = Index::open(directory.join("objects.redb"), blobs.any()?)?;
        blobs.sweep(&index.digests()?)?;
        Ok(Self { blobs, index })
    }

    /// Names every object whose content is missing or not what was written. Digests are compared of
    /// [`VERIFIED_BYTES`]; of the rest the sizes, and the digests when they are read.
    pub fn verify(&self) -> Result<Vec<StorageError>, StorageError> {
        let mut verified: BTreeMap<String, bool> = BTreeMap::new();
        let mut left = VERIFIED_BYTES;
        let mut faults = Vec::new();
        self.index.each_version(|bucket, key, version| {
            let Some(content) = &version.content else { return };
            if verified.get(&content.digest) == Some(&true) {
                return;
            }
            let whole = content.size <= left;
            let checked = match whole {
                true => self.blobs.read(&content.digest, content.size).map(drop),
                false => self.blobs.check(&content.digest, content.size),
            };
            left -= if whole { content.size } else { 0 };
            verified.insert(content.digest.clone(), checked.is_ok());
            if let Err(fault) = checked {
                faults.push(self.content_fault(bucket, key, &version, fault));
            }
        })?;
        Ok(faults)
    }

    /// A content to be filled and then put.
    pub fn stage(&self) -> Result<StagedBlob> {
        Ok(self.blobs.stage()?)
    }

    /// Makes a bucket.
    pub fn create_bucket(&self, name: &str, region: &str, at: UnixMillis) -> Result<()> {
        self.write(|tables| {
            if tables.bucket(name)?.is_some() {
                return Err(ObjectError::BucketAlreadyOwnedByYou(name.to_owned()));
            }
            if tables.bucket_count()? >= MAX_BUCKETS {
                return Err(ObjectError::TooManyBuckets);
            }
            Ok(tables.set_bucket(&Bucket {
                name: name.to_owned(),
                region: region.to_owned(),
                created: at,
                versioning: Versioning::Unversioned,
                tags: BTreeMap::new(),
            })?)
        })
    }

    /// Closes the index, so that another process can open the directory. Until [`reclaim`](Self::reclaim) everything else
    /// fails; an upload that has begun fails with it.
    pub fn release(&self) {
        self.index.release();
    }

    /// Opens the index again. Fails while another process has it.
    pub fn reclaim(&self) -> Result<(), StorageError> {
        self.index.reclaim()
    }

    /// Deletes an empty bucket, with the uploads that were begun in it.
    pub fn delete_bucket(&self, name: &str) -> Result<()> {
        self.write(|tables| {
            tables.existing_bucket(name)?;
            if tables.has_versions(name)? {
                return Err(ObjectError::BucketNotEmpty(name.to_owned()));
            }
            tables.drop_uploads(name)?;
            Ok(tables.remove_bucket(name)?)
        })
    }

    /// A bucket.
    pub fn bucket(&self, name: &str) -> Result<Bucket> {
        self.index.bucket(name)
    }

    /// All buckets, by name.
    pub fn buckets(&self) -> Result<Vec<Bucket>> {
        Ok(self.index.buckets()?)
    }

    /// Changes a bucket's versioning or tags.
    pub fn change_bucket(&self, name: &str, change: impl FnOnce(&mut Bucket)) -> Result<()> {
        self.write(|tables| {
            let mut bucket = tables.existing_bucket(name)?;
            change(&mut bucket);
            Ok(tables.set_bucket(&bucket)?)
        })
    }

    /// Puts an object; it is on disk when this returns.
    pub fn put(
        &self,
        bucket: &str,
        key: &str,
        staged: StagedBlob,
        metadata: Metadata,
        precondition: &Precondition,
        at: UnixMillis,
    ) -> Result<(Written, Content)> {
        let staged = staged.finish()?;
        self.write(|tables| {
            let etag = HEXLOWER.encode(staged.md5());
            let content = Content { digest: staged.digest().to_owned(), size: staged.size(), etag, metadata };
            self.blobs.keep(staged)?;
            let written = put_version(tables, bucket, key, content.clone(), precondition, at)?;
            Ok((written, content))
        })
    }

    /// Puts the content of another object, without copying its bytes.
    pub fn copy(
        &self,
        (bucket, key): (&str, &str),
        source: (&str, &str, Option<&str>),
        metadata: Option<Metadata>,
        at: UnixMillis,
    ) -> Result<(Written, Version)> {
        self.write(|tables| {
            tables.existing_bucket(source.0)?;
            let version = tables.version(source.0, source.1, source.2)?;
            let mut content = content_of(&version, source.1, source.2)?.clone();
            if let Some(metadata) = metadata {
                content.metadata = Metadata { checksums: content.metadata.checksums, ..metadata };
            }
            let written = put_version(tables, bucket, key, content, &Precondition::None, at)?;
            Ok((written, version))
        })
    }

    /// A version of an object, the newest where none is named. Delete markers are errors.
    pub fn head(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<(Version, Content)> {
        let found = self.index.version(bucket, key, version)?;
        let content = content_of(&found, key, version)?.clone();
        Ok((found, content))
    }

    /// The bytes of a version and its id (`null` where its bucket keeps none).
    pub fn read(&self, bucket: &str, key: &str, version: Option<&str>, max_bytes: u64) -> Result<(Vec<u8>, String)> {
        let (found, _, bytes) = self.get(bucket, key, version, max_bytes)?;
        Ok((bytes, found.id))
    }

    /// A version of an object and its bytes, whose digest was compared.
    pub fn get(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        max_bytes: u64,
    ) -> Result<(Version, Content, Vec<u8>)> {
        let (mut found, mut content) = self.head(bucket, key, version)?;
        loop {
            if content.size > max_bytes {
                return Err(ObjectError::TooLarge { size: content.size, limit: max_bytes });
            }
            let fault = match self.blobs.read(&content.digest, content.size) {
                Ok(bytes) => return Ok((found, content, bytes)),
                Err(fault) => self.content_fault(bucket, key, &found, fault),
            };
            // It may have been replaced or deleted between the two looks.
            let (again, content_again) = self.head(bucket, key, version)?;
            if content_again.digest == content.digest {
                return Err(fault.into());
            }
            (found, content) = (again, content_again);
        }
    }

    /// Deletes a version, or, where none is named, what a `GET` without a version would have answered: that leaves a
    /// delete marker in a bucket with versioning. Deleting what is not there succeeds.
    pub fn delete(&self, bucket: &str, key: &str, version: Option<&str>, at: UnixMillis) -> Result<Written> {
        self.write(|tables| {
            let versioning = tables.existing_bucket(bucket)?.versioning;
            if let Some(id) = version {
                check_version_id(id)?;
                let removed = tables.remove_version(bucket, key, id)?;
                let delete_marker = removed.is_some_and(|v| v.content.is_none());
                return Ok(Written { version: Some(id.to_owned()), delete_marker });
            }
            let id = match versioning {
                Versioning::Unversioned => {
                    tables.remove_version(bucket, key, NULL_VERSION)?;
                    return Ok(Written::default());
                }
                Versioning::Enabled => random_id(),
                Versioning::Suspended => {
                    tables.remove_version(bucket, key, NULL_VERSION)?;
                    NULL_VERSION.to_owned()
                }
            };
            tables.add_version(bucket, key, &Version { id: id.clone(), modified: at, content: None })?;
            Ok(Written { version: Some(id), delete_marker: true })
        })
    }

    /// Replaces a version's tags; the answer is its id.
    pub fn set_tags(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        tags: BTreeMap<String, String>,
    ) -> Result<String> {
        self.write(|tables| {
            tables.existing_bucket(bucket)?;
            let mut found = tables.version(bucket, key, version)?;
            let mut content = content_of(&found, key, version)?.clone();
            content.metadata.tags = tags;
            found.content = Some(content);
            tables.replace_version(bucket, key, &found)?;
            Ok(found.id)
        })
    }

    /// Objects by their newest version, without deleted ones, in the order of their keys.
    pub fn list(&self, bucket: &str, scan: &Scan<'_>) -> Result<ObjectPage> {
        self.index.list(bucket, scan)
    }

    /// All versions, in the order of their keys, newest first.
    pub fn list_versions(&self, bucket: &str, scan: &Scan<'_>) -> Result<VersionPage> {
        self.index.list_versions(bucket, scan)
    }

    /// One commit; contents that it leaves without a use are removed after it.
    fn write<T>(&self, change: impl FnOnce(&mut Tables<'_>) -> Result<T>) -> Result<T> {
        self.index.write(change, |unused| self.blobs.remove(unused))
    }

    fn content_fault(&self, bucket: &str, key: &str, version: &Version, fault: BlobFault) -> StorageError {
        let digest = version.content.as_ref().map_or("", |content| &content.digest);
        let object = format!("{bucket}/{key} (version {})", version.id);
        StorageError::Content { path: self.blobs.path(digest), object, fault }
    }
}

fn put_version(
    tables: &mut Tables<'_>,
    bucket: &str,
    key: &str,
    content: Content,
    precondition: &Precondition,
    at: UnixMillis,
) -> Result<Written> {
    let versioning = tables.existing_bucket(bucket)?.versioning;
    let present = tables.newest(bucket, key)?.and_then(|version| version.content);
    let holds = match precondition {
        Precondition::None => true,
        Precondition::Absent => present.is_none(),
        Precondition::Matches(etag) => present.is_some_and(|content| content.etag == *etag),
    };
    if !holds {
        return Err(ObjectError::PreconditionFailed);
    }
    let id = if versioning == Versioning::Enabled { random_id() } else { NULL_VERSION.to_owned() };
    tables.retain(&content.digest, content.size)?;
    if versioning != Versioning::Enabled {
        tables.remove_version(bucket, key, NULL_VERSION)?;
    }
    tables.add_version(bucket, key, &Version { id: id.clone(), modified: at, content: Some(content) })?;
    Ok(Written { version: (versioning != Versioning::Unversioned).then_some(id), delete_marker: false })
}

fn content_of<'a>(version: &'a Version, key: &str, asked: Option<&str>) -> Result<&'a Content> {
    version.content.as_ref().ok_or_else(|| match asked {
        None => ObjectError::NoSuchKey { key: key.to_owned(), marker: Some(version.id.clone()) },
        Some(_) => ObjectError::IsDeleteMarker { version: version.id.clone(), modified: version.modified },
    })
}

fn check_version_id(id: &str) -> Result<()> {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if id.is_empty() || id.len() > 1024 || !id.bytes().all(known) {
        return Err(ObjectError::InvalidVersionId(id.to_owned()));
    }
    Ok(())
}

/// 32 random characters, as S3's version ids and upload ids look. None is a hyphen: with one in front, a command line would take
/// the id for an option.
fn random_id() -> String {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).expect("the system's generator does not fail once it was seeded");
    BASE64URL_NOPAD.encode(&bytes).replace('-', ".")
}

#[cfg(test)]
mod tests;
