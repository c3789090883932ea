//! Versioned objects on this machine: what S3 serves, and where truststores are read from.
//!
//! Contents are files named by their SHA-256 (`objects/ab/cdef…`), written aside, synced and renamed; which object has
//! which content is a redb index (`objects.redb`). What was answered is on disk. Contents are counted by the index
//! and removed with their last use; files that a crash left without a use are removed at start.
//!
//! All functions block on the disk: call them outside of an async runtime's own threads.

mod blobs;
mod checksum;
mod error;
mod index;
mod listing;
mod upload;

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::rand;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use md5::{Digest, Md5};
use model::UnixMillis;
use serde::{Deserialize, Serialize};

pub use blobs::StagedBlob;
use blobs::{BlobFault, Blobs};
pub use checksum::{Algorithm, Sums};
pub use error::{ObjectError, StorageError};
use index::{Index, Tables};
pub use listing::{Listed, ObjectPage, Scan, VersionPage};
pub use upload::{CompletedPart, Completion, Part, Upload, UploadPage, UploadScan};

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
    /// What was set about it and is only kept, by what it is about: documents, as they are given back.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
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
    /// What it was put together of; empty where it was put as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<ObjectPart>,
}

/// A part that an object was put together of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPart {
    /// 1 to 10,000.
    pub number: u16,
    /// Bytes.
    pub size: u64,
    /// By algorithm, base64.
    #[serde(default)]
    pub checksums: BTreeMap<String, String>,
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
    /// The checksums are of the checksums of the parts (`COMPOSITE`), not of the bytes.
    #[serde(default)]
    pub composite: bool,
    /// `x-amz-storage-class`, where it is not `STANDARD`.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// `x-amz-website-redirect-location`
    #[serde(default)]
    pub redirect: Option<String>,
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

/// What must hold of the present version for a put or a delete to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: *`
    Present,
    /// `If-Match`: the ETag, without quotes.
    Matches(String),
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
    pub fn create_bucket(
        &self,
        name: &str,
        region: &str,
        tags: BTreeMap<String, String>,
        settings: BTreeMap<String, String>,
        at: UnixMillis,
    ) -> Result<()> {
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
                tags,
                settings,
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

    /// Changes a bucket's versioning, tags or settings.
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
            let (digest, size) = (staged.digest().to_owned(), staged.size());
            let content = Content { digest, size, etag, metadata, parts: Vec::new() };
            self.blobs.keep(staged)?;
            let written = put_version(tables, bucket, key, content.clone(), precondition, at)?;
            Ok((written, content))
        })
    }

    /// Puts the content of another object, without copying its bytes; `change` says with what other metadata, `algorithm` with what
    /// other checksum. It is an object as if it were put as a whole.
    pub fn copy(
        &self,
        (bucket, key): (&str, &str),
        source: (&str, &str, Option<&str>),
        change: impl FnOnce(&mut Metadata),
        algorithm: Option<Algorithm>,
        precondition: &Precondition,
        at: UnixMillis,
    ) -> Result<(Written, Content)> {
        self.write(|tables| {
            tables.existing_bucket(source.0)?;
            let version = tables.version(source.0, source.1, source.2)?;
            let mut content = content_of(&version, source.1, source.2)?.clone();
            change(&mut content.metadata);
            let has = |algorithm: Algorithm| content.metadata.checksums.contains_key(algorithm.name());
            if !content.parts.is_empty() || algorithm.is_some_and(|algorithm| !has(algorithm)) {
                let bytes = self.blobs.read(&content.digest, content.size);
                let bytes = bytes.map_err(|fault| self.content_fault(source.0, source.1, &version, fault))?;
                content.joined(&bytes, algorithm);
            }
            let written = put_version(tables, bucket, key, content.clone(), precondition, at)?;
            Ok((written, content))
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
    /// delete marker in a bucket with versioning. Deleting what is not there succeeds, unless a precondition says otherwise.
    pub fn delete(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        precondition: &Precondition,
        at: UnixMillis,
    ) -> Result<Written> {
        self.write(|tables| {
            let versioning = tables.existing_bucket(bucket)?.versioning;
            let present = tables.newest(bucket, key)?.and_then(|version| version.content);
            if !precondition.holds(present.as_ref()) {
                return Err(ObjectError::PreconditionFailed);
            }
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

impl Content {
    /// As it would be had it been put as a whole, with a checksum of this algorithm, or of those that it has.
    fn joined(&mut self, bytes: &[u8], algorithm: Option<Algorithm>) {
        self.parts.clear();
        self.metadata.composite = false;
        self.etag = HEXLOWER.encode(&Md5::digest(bytes));
        let had = &self.metadata.checksums;
        let mut sums =
            Sums::new(|one| algorithm.map_or_else(|| had.contains_key(one.name()), |algorithm| one == algorithm));
        sums.update(bytes);
        self.metadata.checksums = sums.finish();
    }
}

impl Precondition {
    fn holds(&self, present: Option<&Content>) -> bool {
        match self {
            Self::None => true,
            Self::Absent => present.is_none(),
            Self::Present => present.is_some(),
            Self::Matches(etag) => present.is_some_and(|content| content.etag == *etag),
        }
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
    if !precondition.holds(present.as_ref()) {
        // Who says what is to be replaced is told that there is nothing (S3, "conditional writes").
        return Err(match (precondition, present) {
            (Precondition::Matches(_), None) => ObjectError::NoSuchKey { key: key.to_owned(), marker: None },
            _ => ObjectError::PreconditionFailed,
        });
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
