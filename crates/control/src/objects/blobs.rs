//! Contents as files, by SHA-256.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256, digest};
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};

use super::{MAX_OBJECT_BYTES, ObjectError, StorageError, random_id};

/// The directory of contents.
pub(super) struct Blobs {
    directory: PathBuf,
}

/// A content that is being written. Dropping it removes it.
pub struct StagedBlob {
    file: File,
    path: Unnamed,
    sha256: Context,
    md5: Md5,
    size: u64,
}

/// A content that is written and synced, but has no name yet. Dropping it removes it.
pub(super) struct FinishedBlob {
    path: Unnamed,
    digest: String,
    md5: [u8; 16],
    size: u64,
}

/// A file that is removed unless it was given a name.
struct Unnamed(PathBuf);

/// What is wrong with a content's file.
#[derive(Debug)]
#[non_exhaustive]
pub enum BlobFault {
    /// It is not there.
    Missing,
    /// It was cut or grew.
    Size {
        /// Bytes now.
        found: u64,
        /// Bytes when it was written.
        expected: u64,
    },
    /// Its bytes are not what was written.
    Digest,
    /// It cannot be read.
    Unreadable(io::Error),
}

impl fmt::Display for BlobFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is missing"),
            Self::Size { found, expected } => write!(f, "has {found} bytes instead of {expected}: it is damaged"),
            Self::Digest => f.write_str("does not have the SHA-256 that it is named by: it is damaged"),
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
        }
    }
}

impl Blobs {
    /// Opens (or makes) the directory, and removes what was never finished.
    pub(super) fn open(directory: PathBuf) -> Result<Self, StorageError> {
        let staging = directory.join("tmp");
        make_directory(&directory)?;
        make_directory(&staging)?;
        for file in read_directory(&staging)? {
            fs::remove_file(&file).map_err(|e| failed(&file, e))?;
        }
        Ok(Self { directory })
    }

    /// Whether there is any content.
    pub(super) fn any(&self) -> Result<bool, StorageError> {
        for shard in self.shards()? {
            if !read_directory(&shard)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes contents that are not among `used`: a crash can leave them.
    pub(super) fn sweep(&self, used: &BTreeSet<String>) -> Result<(), StorageError> {
        for shard in self.shards()? {
            for file in read_directory(&shard)? {
                if !digest_of(&file).is_some_and(|digest| used.contains(&digest)) {
                    fs::remove_file(&file).map_err(|e| failed(&file, e))?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn stage(&self) -> Result<StagedBlob, StorageError> {
        let path = self.directory.join("tmp").join(random_id());
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|e| failed(&path, e))?;
        Ok(StagedBlob { file, path: Unnamed(path), sha256: Context::new(&SHA256), md5: Md5::new(), size: 0 })
    }

    /// Gives a content its name, for good.
    pub(super) fn keep(&self, blob: FinishedBlob) -> Result<(), StorageError> {
        let path = self.path(&blob.digest);
        let shard = path.parent().unwrap_or(&self.directory);
        if !shard.is_dir() {
            make_directory(shard)?;
            sync_directory(&self.directory)?;
        }
        fs::rename(&blob.path.0, &path).map_err(|e| failed(&path, e))?;
        sync_directory(shard)
    }

    /// Removes a content. A failure leaves a file without a use, which the next start removes.
    pub(super) fn remove(&self, digest: &str) {
        let _ = fs::remove_file(self.path(digest));
    }

    /// Existence and size, without reading it.
    pub(super) fn check(&self, digest: &str, expected: u64) -> Result<(), BlobFault> {
        let found = fs::metadata(self.path(digest)).map_err(BlobFault::from)?.len();
        if found == expected { Ok(()) } else { Err(BlobFault::Size { found, expected }) }
    }

    /// A content whose digest was compared.
    pub(super) fn read(&self, name: &str, expected: u64) -> Result<Vec<u8>, BlobFault> {
        self.check(name, expected)?;
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
        let file = File::open(self.path(name)).map_err(BlobFault::from)?;
        file.take(expected + 1).read_to_end(&mut bytes).map_err(BlobFault::from)?;
        if HEXLOWER.encode(digest(&SHA256, &bytes).as_ref()) != name {
            return Err(BlobFault::Digest);
        }
        Ok(bytes)
    }

    /// Where a content is.
    pub(super) fn path(&self, digest: &str) -> PathBuf {
        match digest.split_at_checked(2) {
            Some((shard, rest)) => self.directory.join(shard).join(rest),
            None => self.directory.join(digest),
        }
    }

    fn shards(&self) -> Result<Vec<PathBuf>, StorageError> {
        let mut shards = read_directory(&self.directory)?;
        shards.retain(|path| path.is_dir() && path.file_name().is_some_and(|name| name.len() == 2));
        Ok(shards)
    }
}

impl StagedBlob {
    /// Appends bytes; the whole is at most [`MAX_OBJECT_BYTES`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        self.size += bytes.len() as u64;
        if self.size > MAX_OBJECT_BYTES {
            return Err(ObjectError::TooLarge { size: self.size, limit: MAX_OBJECT_BYTES });
        }
        self.sha256.update(bytes);
        self.md5.update(bytes);
        Ok(self.file.write_all(bytes).map_err(|e| failed(&self.path.0, e))?)
    }

    /// MD5 of what was written so far.
    pub fn md5(&self) -> [u8; 16] {
        self.md5.clone().finalize().into()
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn finish(self) -> Result<FinishedBlob, StorageError> {
        self.file.sync_all().map_err(|e| failed(&self.path.0, e))?;
        Ok(FinishedBlob {
            md5: self.md5(),
            digest: HEXLOWER.encode(self.sha256.finish().as_ref()),
            size: self.size,
            path: self.path,
        })
    }
}

impl FinishedBlob {
    /// SHA-256, hexadecimal.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    pub(super) fn md5(&self) -> &[u8; 16] {
        &self.md5
    }

    /// Bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // Once it was renamed nothing is there under this name.
        let _ = fs::remove_file(&self.0);
    }
}

impl From<io::Error> for BlobFault {
    fn from(why: io::Error) -> Self {
        if why.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Unreadable(why) }
    }
}

/// Makes what was created or renamed in a directory durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), StorageError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|e| failed(path, e))
}

fn make_directory(path: &Path) -> Result<(), StorageError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(failed(path, e)),
        _ => Ok(()),
    }
}

fn read_directory(path: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let entries = fs::read_dir(path).map_err(|e| failed(path, e))?;
    entries.map(|entry| entry.map(|e| e.path()).map_err(|e| failed(path, e))).collect()
}

/// The digest that a file is named by.
fn digest_of(file: &Path) -> Option<String> {
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
    Some(name(file.parent()?)? + &name(file)?)
}

fn failed(path: &Path, source: io::Error) -> StorageError {
    StorageError::Io { path: path.to_owned(), source }
}
