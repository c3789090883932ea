//! Which versions an object has, and what they hold: tables of redb.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition, WriteTransaction,
};
use serde::{Serialize, de::DeserializeOwned};

use super::blobs::sync_directory;
use super::{Bucket, ObjectError, Result, StorageError, Version, check_version_id};

/// Bucket name to [`Bucket`], JSON.
const BUCKETS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("buckets");
/// Bucket, key and age to [`Version`], JSON. Ages fall, so the newest version of a key comes first.
pub(super) const VERSIONS: TableDefinition<'static, VersionKey<'static>, &[u8]> = TableDefinition::new("versions");
/// Digest to the number of its uses and its size in bytes.
const BLOBS: TableDefinition<'static, &str, (u64, u64)> = TableDefinition::new("blobs");
/// Bucket and upload id to [`super::Upload`], JSON.
const UPLOADS: TableDefinition<'static, (&str, &str), &[u8]> = TableDefinition::new("uploads");
/// Upload id and number to [`super::Part`], JSON.
const PARTS: TableDefinition<'static, (&str, u16), &[u8]> = TableDefinition::new("parts");
/// The age of the next version.
const AGES: TableDefinition<'static, (), u64> = TableDefinition::new("ages");

/// Bucket, key, age.
pub(super) type VersionKey<'a> = (&'a str, &'a str, u64);

const CACHE_BYTES: usize = 8 << 20;
const RELEASED: &str = "was handed to another process";

/// The tables.
pub(super) struct Index {
    /// None while another process has it, or it cannot be opened.
    database: RwLock<Option<Database>>,
    released: AtomicBool,
    /// Something has failed. Where it was the disk, redb serves nobody any more until the file is opened again.
    suspect: AtomicBool,
    path: PathBuf,
    /// Held over a commit and the removal of contents after it: a put of the same content must not come between.
    writing: Mutex<()>,
}

/// The tables in one commit.
pub(super) struct Tables<'t> {
    pub(super) path: &'t Path,
    buckets: Table<'t, &'static str, &'static [u8]>,
    versions: Table<'t, VersionKey<'static>, &'static [u8]>,
    blobs: Table<'t, &'static str, (u64, u64)>,
    pub(super) uploads: Table<'t, (&'static str, &'static str), &'static [u8]>,
    pub(super) parts: Table<'t, (&'static str, u16), &'static [u8]>,
    ages: Table<'t, (), u64>,
    unused: BTreeSet<String>,
}

impl Index {
    /// Opens the index, checking all of it. An index is only made where there are no contents yet: a lost one must
    /// not look like an empty one.
    pub(super) fn open(path: PathBuf, contents_exist: bool) -> Result<Self, StorageError> {
        let broken = |why: String| StorageError::Index { path: path.clone(), why };
        let file = OpenOptions::new().read(true).write(true).create(!contents_exist).mode(0o600).open(&path);
        let length = match file.and_then(|file| file.metadata()) {
            Ok(metadata) => metadata.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(broken("is missing, but there are contents of objects beside it".to_owned()));
            }
            Err(source) => return Err(StorageError::Io { path, source }),
        };
        if length == 0 && contents_exist {
            return Err(broken("is empty, but there are contents of objects beside it".to_owned()));
        }
        let database = open(&path, length > 0)?;
        if length == 0
            && let Some(directory) = path.parent()
        {
            sync_directory(directory)?;
        }
        let (released, suspect) = (AtomicBool::new(false), AtomicBool::new(false));
        let index = Self { database: RwLock::new(Some(database)), released, suspect, path, writing: Mutex::new(()) };
        // A read of a table that was never made fails: make them all.
        index.commit(|_| Ok(())).map_err(|e| match e {
            ObjectError::Storage(e) => e,
            e => index.fault(e),
        })?;
        Ok(index)
    }

    /// Closes the file, so that another process can open it. Until [`reclaim`](Self::reclaim) everything else fails.
    pub(super) fn release(&self) {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        self.released.store(true, Ordering::Relaxed);
        *database = None;
    }

    /// Opens the file again.
    pub(super) fn reclaim(&self) -> Result<(), StorageError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            *database = Some(open(&self.path, true)?);
        }
        self.released.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Commits a change, then names the contents that it left without a use.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&mut Tables<'_>) -> Result<T>,
        remove: impl Fn(&str),
    ) -> Result<T> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, unused) = self.commit(|tables| {
            let answer = change(tables)?;
            Ok((answer, std::mem::take(&mut tables.unused)))
        })?;
        unused.iter().for_each(|digest| remove(digest));
        Ok(answer)
    }

    pub(super) fn bucket(&self, name: &str) -> Result<Bucket> {
        let table = self.read(BUCKETS)?;
        match table.get(name).map_err(|e| self.fault(e))? {
            Some(value) => Ok(self.parse(value.value())?),
            None => Err(ObjectError::NoSuchBucket(name.to_owned())),
        }
    }

    pub(super) fn buckets(&self) -> Result<Vec<Bucket>, StorageError> {
        let table = self.read(BUCKETS)?;
        let rows = table.iter().map_err(|e| self.fault(e))?;
        rows.map(|row| self.parse(row.map_err(|e| self.fault(e))?.1.value())).collect()
    }

    pub(super) fn version(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Version> {
        self.bucket(bucket)?;
        let table = self.read(VERSIONS)?;
        Ok(find(&self.path, &table, bucket, key, version)?.1)
    }

    /// All versions of everything.
    pub(super) fn each_version(&self, mut visit: impl FnMut(&str, &str, Version)) -> Result<(), StorageError> {
        let table = self.read(VERSIONS)?;
        for row in table.iter().map_err(|e| self.fault(e))? {
            let (place, value) = row.map_err(|e| self.fault(e))?;
            let (bucket, key, _) = place.value();
            visit(bucket, key, self.parse(value.value())?);
        }
        Ok(())
    }

    /// The digests that are in use.
    pub(super) fn digests(&self) -> Result<BTreeSet<String>, StorageError> {
        let table = self.read(BLOBS)?;
        let rows = table.iter().map_err(|e| self.fault(e))?;
        rows.map(|row| Ok(row.map_err(|e| self.fault(e))?.0.value().to_owned())).collect()
    }

    pub(super) fn read<K: redb::Key, V: redb::Value>(
        &self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, StorageError> {
        let database = self.database()?;
        let database = database.as_ref().ok_or_else(|| self.fault(RELEASED))?;
        let transaction: ReadTransaction = database.begin_read().map_err(|e| self.fault(e))?;
        transaction.open_table(table).map_err(|e| self.fault(e))
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, value: &[u8]) -> Result<T, StorageError> {
        parse(&self.path, value)
    }

    pub(super) fn fault(&self, why: impl Display) -> StorageError {
        self.suspect.store(true, Ordering::Relaxed);
        fault(&self.path, why)
    }

    fn database(&self) -> Result<RwLockReadGuard<'_, Option<Database>>, StorageError> {
        if self.suspect.load(Ordering::Relaxed) {
            self.reopen_if_broken()?;
        }
        Ok(self.database.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A disk that was full has room again, one that failed works: nobody should have to restart the server for that.
    fn reopen_if_broken(&self) -> Result<(), StorageError> {
        let mut open = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let is_broken = match &*open {
            Some(database) => database.begin_write().is_err(),
            // It could not be opened again the last time; or another process has it.
            None => !self.released.load(Ordering::Relaxed),
        };
        if is_broken {
            // First: it has the file locked.
            *open = None;
            *open = Some(self::open(&self.path, true)?);
        }
        self.suspect.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn commit<T>(&self, change: impl FnOnce(&mut Tables<'_>) -> Result<T>) -> Result<T> {
        let database = self.database()?;
        let database = database.as_ref().ok_or_else(|| self.fault(RELEASED))?;
        let transaction = database.begin_write().map_err(|e| self.fault(e))?;
        let answer = change(&mut Tables::open(&self.path, &transaction).map_err(|e| self.fault(e))?);
        if let Err(ObjectError::Storage(_)) = answer {
            self.suspect.store(true, Ordering::Relaxed);
        }
        let answer = answer?;
        transaction.commit().map_err(|e| self.fault(e))?;
        Ok(answer)
    }
}

fn open(path: &Path, check_integrity: bool) -> Result<Database, StorageError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(check_integrity);
    builder.create(path).map_err(|e| fault(path, format_args!("cannot be opened: {e}")))
}

impl<'t> Tables<'t> {
    fn open(path: &'t Path, transaction: &'t WriteTransaction) -> Result<Self, redb::TableError> {
        Ok(Self {
            path,
            buckets: transaction.open_table(BUCKETS)?,
            versions: transaction.open_table(VERSIONS)?,
            blobs: transaction.open_table(BLOBS)?,
            uploads: transaction.open_table(UPLOADS)?,
            parts: transaction.open_table(PARTS)?,
            ages: transaction.open_table(AGES)?,
            unused: BTreeSet::new(),
        })
    }

    pub(super) fn bucket(&self, name: &str) -> Result<Option<Bucket>, StorageError> {
        let value = self.buckets.get(name).map_err(|e| self.fault(e))?;
        value.map(|value| self.parse(value.value())).transpose()
    }

    pub(super) fn existing_bucket(&self, name: &str) -> Result<Bucket> {
        self.bucket(name)?.ok_or_else(|| ObjectError::NoSuchBucket(name.to_owned()))
    }

    pub(super) fn bucket_count(&self) -> Result<u64, StorageError> {
        self.buckets.len().map_err(|e| self.fault(e))
    }

    pub(super) fn set_bucket(&mut self, bucket: &Bucket) -> Result<(), StorageError> {
        self.buckets.insert(bucket.name.as_str(), json(bucket).as_slice()).map_err(|e| fault(self.path, e))?;
        Ok(())
    }

    pub(super) fn remove_bucket(&mut self, name: &str) -> Result<(), StorageError> {
        self.buckets.remove(name).map_err(|e| fault(self.path, e))?;
        Ok(())
    }

    pub(super) fn has_versions(&self, bucket: &str) -> Result<bool, StorageError> {
        let mut rows = self.versions.range((bucket, "", 0)..).map_err(|e| self.fault(e))?;
        let first = rows.next().transpose().map_err(|e| self.fault(e))?;
        Ok(first.is_some_and(|(place, _)| place.value().0 == bucket))
    }

    /// The newest version of an object, a delete marker too.
    pub(super) fn newest(&self, bucket: &str, key: &str) -> Result<Option<Version>, StorageError> {
        let mut rows = self.versions.range(all_versions(bucket, key)).map_err(|e| self.fault(e))?;
        let first = rows.next().transpose().map_err(|e| self.fault(e))?;
        first.map(|(_, value)| self.parse(value.value())).transpose()
    }

    pub(super) fn version(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Version> {
        Ok(find(self.path, &self.versions, bucket, key, version)?.1)
    }

    /// Adds a version as the newest. Its content must have been [retained](Self::retain).
    pub(super) fn add_version(&mut self, bucket: &str, key: &str, version: &Version) -> Result<(), StorageError> {
        let age = self.ages.get(()).map_err(|e| self.fault(e))?.map_or(u64::MAX, |age| age.value());
        self.ages.insert((), age - 1).map_err(|e| fault(self.path, e))?;
        self.insert_version((bucket, key, age), version)
    }

    /// Changes a version where it is.
    pub(super) fn replace_version(&mut self, bucket: &str, key: &str, version: &Version) -> Result<()> {
        let (age, _) = find(self.path, &self.versions, bucket, key, Some(&version.id))?;
        Ok(self.insert_version((bucket, key, age), version)?)
    }

    /// Removes a version if it is there.
    pub(super) fn remove_version(&mut self, bucket: &str, key: &str, id: &str) -> Result<Option<Version>> {
        let (age, version) = match find(self.path, &self.versions, bucket, key, Some(id)) {
            Err(ObjectError::NoSuchVersion { .. }) => return Ok(None),
            found => found?,
        };
        self.versions.remove((bucket, key, age)).map_err(|e| fault(self.path, e))?;
        if let Some(content) = &version.content {
            self.release(&content.digest)?;
        }
        Ok(Some(version))
    }

    /// One more use of a content.
    pub(super) fn retain(&mut self, digest: &str, size: u64) -> Result<(), StorageError> {
        let uses = self.blobs.get(digest).map_err(|e| self.fault(e))?.map_or(0, |row| row.value().0);
        self.blobs.insert(digest, (uses + 1, size)).map_err(|e| fault(self.path, e))?;
        self.unused.remove(digest);
        Ok(())
    }

    /// One use of a content less.
    pub(super) fn release(&mut self, digest: &str) -> Result<(), StorageError> {
        let row = self.blobs.get(digest).map_err(|e| self.fault(e))?.map(|row| row.value());
        match row {
            Some((uses @ 2.., size)) => {
                self.blobs.insert(digest, (uses - 1, size)).map_err(|e| fault(self.path, e))?;
            }
            _ => {
                self.blobs.remove(digest).map_err(|e| fault(self.path, e))?;
                self.unused.insert(digest.to_owned());
            }
        }
        Ok(())
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, value: &[u8]) -> Result<T, StorageError> {
        parse(self.path, value)
    }

    pub(super) fn fault(&self, why: impl Display) -> StorageError {
        fault(self.path, why)
    }

    fn insert_version(&mut self, place: VersionKey<'_>, version: &Version) -> Result<(), StorageError> {
        self.versions.insert(place, json(version).as_slice()).map_err(|e| fault(self.path, e))?;
        Ok(())
    }
}

/// As it is kept in a table.
pub(super) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data with string keys")
}

fn parse<T: DeserializeOwned>(path: &Path, value: &[u8]) -> Result<T, StorageError> {
    serde_json::from_slice(value).map_err(|e| fault(path, format_args!("holds a row that cannot be read: {e}")))
}

pub(super) fn fault(path: &Path, why: impl Display) -> StorageError {
    StorageError::Index { path: path.to_owned(), why: why.to_string() }
}

fn all_versions<'a>(bucket: &'a str, key: &'a str) -> std::ops::RangeInclusive<VersionKey<'a>> {
    (bucket, key, 0)..=(bucket, key, u64::MAX)
}

/// A version of an object and its age; the newest where none is named.
fn find(
    path: &Path,
    table: &impl ReadableTable<VersionKey<'static>, &'static [u8]>,
    bucket: &str,
    key: &str,
    id: Option<&str>,
) -> Result<(u64, Version)> {
    if let Some(id) = id {
        check_version_id(id)?;
    }
    for row in table.range(all_versions(bucket, key)).map_err(|e| fault(path, e))? {
        let (place, value) = row.map_err(|e| fault(path, e))?;
        let version: Version = parse(path, value.value())?;
        if id.is_none_or(|id| id == version.id) {
            return Ok((place.value().2, version));
        }
    }
    Err(match id {
        Some(id) => ObjectError::NoSuchVersion { key: key.to_owned(), version: id.to_owned() },
        None => ObjectError::NoSuchKey { key: key.to_owned(), marker: None },
    })
}
