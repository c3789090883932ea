//! Settings in one file on this machine.

mod upgrade;

use std::fs::{self, File, OpenOptions};
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use model::{Blob, Change, Key, Revision, UnixMillis};
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, Table, TableDefinition};
use tokio::sync::watch;

use crate::feed::{Feed, lock};
use crate::{CommitError, Event, Kept, Node, Store, StoreError};

/// A [`Store`] in a file of redb, 0600. A commit is on the disk when it returns.
pub struct Redb {
    inner: Arc<Inner>,
}

/// The database for the time of one operation.
struct Open<'a>(RwLockReadGuard<'a, Option<Database>>);

struct Inner {
    path: PathBuf,
    /// None while another process has it, or it cannot be opened.
    database: RwLock<Option<Database>>,
    released: AtomicBool,
    /// Something has failed. Where it was the disk, redb serves nobody any more until the file is opened again.
    suspect: AtomicBool,
    /// Held over a commit and its publication, so that commits are published in their order.
    commit: Mutex<()>,
    feed: Feed,
}

/// Key to CRC-32 (big-endian, over key, a zero byte and value) followed by the value.
const SETTINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("settings");
/// Digest to bytes, which the digest checks.
const BLOBS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("blobs");
/// Numbers by name: `revision` and `format`.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

const FORMAT: u64 = 2;
const CHECKSUM_BYTES: usize = 4;
/// All of it is read once, at the start, and what it says is kept in memory besides.
const CACHE_BYTES: usize = 1024 * 1024;

impl Redb {
    /// Opens the file, or makes it where there is none. All of it is checked: a file that is truncated or altered is
    /// refused with [`StoreError::Damaged`] and left as it is. Blocks.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let exists = path.try_exists().map_err(|error| io(path, error))?;
        if !exists {
            create(path)?;
        }
        let owned = path.to_owned();
        // redb may panic on a damaged file; on a thread of its own that is an answer like any other.
        let opened = std::thread::spawn(move || open_checked(&owned)).join();
        let (database, revision) = opened.map_err(|_| damaged(path, "its structure is broken"))??;
        let (database, commit) = (RwLock::new(Some(database)), Mutex::default());
        let (released, suspect) = (AtomicBool::new(false), AtomicBool::new(false));
        let inner = Inner { path: path.to_owned(), database, released, suspect, commit, feed: Feed::new(revision) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where the settings are.
    pub fn revision(&self) -> Revision {
        self.inner.feed.newest()
    }

    /// Closes the file, so that another process can open it. Until [`reclaim`](Self::reclaim) every operation fails with
    /// [`StoreError::Released`]; who follows has the last state. Blocks while operations are under way.
    pub fn release(&self) {
        let mut open = self.inner.database.write().unwrap_or_else(PoisonError::into_inner);
        self.inner.released.store(true, Ordering::Relaxed);
        *open = None;
    }

    /// Opens the file again. Followers get what was committed meanwhile. Fails with [`StoreError::InUse`] while another process
    /// has it. Blocks.
    pub fn reclaim(&self) -> Result<(), StoreError> {
        let mut open = self.inner.database.write().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            let (database, revision) = open_checked(&self.inner.path)?;
            *open = Some(database);
            self.inner.feed.skip_to(revision);
        }
        self.inner.released.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn blocking<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&inner);
            if done.is_err() {
                inner.suspect.store(true, Ordering::Relaxed);
            }
            done
        });
        done.await.unwrap_or_else(|_| Err(damaged(&self.inner.path, "its structure is broken").into()))
    }
}

#[async_trait]
impl Store for Redb {
    async fn load(&self) -> Result<(Revision, Vec<Change>), StoreError> {
        self.blocking(|inner| read_all(&*inner.database()?, &inner.path)).await
    }

    async fn commit(&self, expected: Revision, changes: Vec<Change>) -> Result<Revision, CommitError> {
        self.blocking(move |inner| inner.commit(expected, changes)).await
    }

    fn watch(&self, after: Revision) -> BoxStream<'static, Event> {
        self.inner.feed.watch(after)
    }

    async fn put_blob(&self, blob: Blob) -> Result<(), StoreError> {
        self.blocking(move |inner| inner.change_blobs(|blobs| blobs.insert(blob.digest(), blob.bytes()).map(drop)))
            .await
    }

    async fn blob(&self, digest: &str) -> Result<Option<Blob>, StoreError> {
        let digest = digest.to_owned();
        self.blocking(move |inner| inner.blob(&digest)).await
    }

    async fn blobs(&self) -> Result<Kept, StoreError> {
        self.blocking(|inner| {
            let database = inner.database()?;
            let read = || -> Result<Kept, redb::Error> {
                let blobs = database.begin_read()?.open_table(BLOBS)?;
                let digests = blobs.iter()?.map(|entry| Ok((entry?.0.value().to_owned(), 0)));
                Ok(digests.collect::<Result<_, StorageError>>()?)
            };
            read().map_err(|error| storing(&inner.path, error))
        })
        .await
    }

    async fn drop_blobs(&self, at: Revision, blobs: Kept) -> Result<bool, StoreError> {
        self.blocking(move |inner| {
            let _in_order = lock(&inner.commit);
            if inner.feed.newest() != at {
                return Ok(false);
            }
            let dropped =
                inner.change_blobs(|kept| blobs.keys().try_for_each(|digest| kept.remove(digest.as_str()).map(drop)));
            dropped.map(|()| true)
        })
        .await
    }

    async fn replace(&self, revision: Revision, settings: Vec<Change>) -> Result<(), StoreError> {
        self.blocking(move |inner| inner.replace(revision, &settings)).await
    }

    async fn report_applied(&self, node: &str, revision: Revision) -> Result<(), StoreError> {
        self.inner.feed.nodes.report(node, Some(revision));
        Ok(())
    }

    async fn retire(&self, node: &str) -> Result<(), StoreError> {
        self.inner.feed.nodes.report(node, None);
        Ok(())
    }

    fn applied(&self) -> watch::Receiver<Revision> {
        self.inner.feed.nodes.applied()
    }

    fn nodes(&self) -> Vec<Node> {
        self.inner.feed.nodes.all()
    }

    fn lost(&self) -> watch::Receiver<Option<UnixMillis>> {
        watch::Sender::new(None).subscribe()
    }
}

impl Inner {
    fn database(&self) -> Result<Open<'_>, StoreError> {
        if self.suspect.load(Ordering::Relaxed) {
            self.reopen_if_broken()?;
        }
        let open = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if open.is_some() { Ok(Open(open)) } else { Err(StoreError::Released(self.path.clone())) }
    }

    /// A disk that was full has room again, one that failed works: nobody should have to restart the server for that. The commit
    /// that failed may have been made.
    fn reopen_if_broken(&self) -> Result<(), StoreError> {
        let mut open = self.database.write().unwrap_or_else(PoisonError::into_inner);
        let is_broken = match &*open {
            Some(database) => database.begin_write().is_err(),
            // It could not be opened again the last time; or another process has it.
            None => !self.released.load(Ordering::Relaxed),
        };
        if is_broken {
            // First: it has the file locked.
            *open = None;
            let (database, revision) = open_checked(&self.path)?;
            *open = Some(database);
            self.feed.skip_to(revision);
        }
        self.suspect.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn commit(&self, expected: Revision, changes: Vec<Change>) -> Result<Revision, CommitError> {
        let _in_order = lock(&self.commit);
        let revision = self.write(expected, &changes)?;
        self.feed.publish(revision, changes);
        Ok(revision)
    }

    fn replace(&self, revision: Revision, settings: &[Change]) -> Result<(), StoreError> {
        let _in_order = lock(&self.commit);
        let database = self.database()?;
        let write = || -> Result<(), redb::Error> {
            let mut transaction = database.begin_write()?;
            transaction.set_two_phase_commit(true);
            transaction.open_table(META)?.insert("revision", revision)?;
            transaction.delete_table(SETTINGS)?;
            let mut kept = transaction.open_table(SETTINGS)?;
            for Change { key, value } in settings {
                if let Some(value) = value {
                    kept.insert(key.as_str(), with_checksum(key.as_str(), value).as_slice())?;
                }
            }
            drop(kept);
            Ok(transaction.commit()?)
        };
        write().map_err(|error| storing(&self.path, error))?;
        self.feed.jump_to(revision);
        Ok(())
    }

    fn change_blobs(
        &self,
        change: impl FnOnce(&mut Table<'_, &'static str, &'static [u8]>) -> Result<(), StorageError>,
    ) -> Result<(), StoreError> {
        let database = self.database()?;
        let write = || -> Result<(), redb::Error> {
            let mut transaction = database.begin_write()?;
            transaction.set_two_phase_commit(true);
            change(&mut transaction.open_table(BLOBS)?)?;
            Ok(transaction.commit()?)
        };
        write().map_err(|error| storing(&self.path, error))
    }

    fn blob(&self, digest: &str) -> Result<Option<Blob>, StoreError> {
        let database = self.database()?;
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let blobs = database.begin_read()?.open_table(BLOBS)?;
            Ok(blobs.get(digest)?.map(|guard| guard.value().to_vec()))
        };
        let Some(blob) = read().map_err(|error| storing(&self.path, error))?.map(Blob::of) else { return Ok(None) };
        if blob.digest() != digest {
            return Err(damaged(&self.path, &format!("the blob {digest} has other bytes")));
        }
        Ok(Some(blob))
    }

    fn write(&self, expected: Revision, changes: &[Change]) -> Result<Revision, CommitError> {
        let failed = |error: redb::Error| storing(&self.path, error);
        let database = self.database()?;
        let mut transaction = database.begin_write().map_err(|e| failed(e.into()))?;
        // Two phases: after a crash, a damaged last commit is an error, never a silent step back to the one before.
        transaction.set_two_phase_commit(true);
        let revision = {
            let mut meta = transaction.open_table(META).map_err(|e| failed(e.into()))?;
            let current = meta.get("revision").map_err(|e| failed(e.into()))?.map_or(0, |guard| guard.value());
            if current != expected {
                return Err(CommitError::Conflict(current));
            }
            meta.insert("revision", current + 1).map_err(|e| failed(e.into()))?;
            let mut settings = transaction.open_table(SETTINGS).map_err(|e| failed(e.into()))?;
            for change in changes {
                let key = change.key.as_str();
                match &change.value {
                    Some(value) => settings.insert(key, with_checksum(key, value).as_slice()),
                    None => settings.remove(key),
                }
                .map_err(|e| failed(e.into()))?;
            }
            current + 1
        };
        transaction.commit().map_err(|e| failed(e.into()))?;
        Ok(revision)
    }
}

impl Deref for Open<'_> {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is made of an open one")
    }
}

/// Makes the file whole or not at all: a crash leaves no half-made one behind under its name.
fn create(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let made = || -> Result<(), redb::Error> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).clone();
        let file = options.open(&new)?;
        let database = Database::builder().create_with_backend(FileBackend::new(file)?)?;
        let mut transaction = database.begin_write()?;
        transaction.set_two_phase_commit(true);
        transaction.open_table(META)?.insert("format", FORMAT)?;
        transaction.open_table(META)?.insert("revision", 0)?;
        transaction.open_table(SETTINGS)?;
        transaction.open_table(BLOBS)?;
        transaction.commit()?;
        drop(database);
        fs::rename(&new, path)?;
        File::open(directory)?.sync_all()?;
        Ok(())
    };
    made().map_err(|error| storing(path, error))
}

fn open_checked(path: &Path) -> Result<(Database, Revision), StoreError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    let database = builder.open(path).map_err(|error| opening(path, error))?;
    upgrade::upgrade(&database).map_err(|error| storing(path, error))?;
    let (revision, _) = read_all(&database, path)?;
    Ok((database, revision))
}

fn read_all(database: &Database, path: &Path) -> Result<(Revision, Vec<Change>), StoreError> {
    let read = || -> Result<_, redb::Error> {
        let transaction = database.begin_read()?;
        let meta = transaction.open_table(META)?;
        let number = |name| -> Result<Option<u64>, StorageError> { Ok(meta.get(name)?.map(|guard| guard.value())) };
        let (format, revision) = (number("format")?, number("revision")?);
        let mut values = Vec::new();
        for entry in transaction.open_table(SETTINGS)?.iter()? {
            let (key, value) = entry?;
            values.push((key.value().to_owned(), value.value().to_vec()));
        }
        Ok((format, revision, values))
    };
    let (format, revision, values) = read().map_err(|error| storing(path, error))?;
    if let Some(format) = format.filter(|format| *format != FORMAT) {
        return Err(StoreError::Format { path: path.to_owned(), format, known: FORMAT });
    }
    let revision = revision.ok_or_else(|| damaged(path, "it has no revision"))?;
    let changes = values.into_iter().map(|(key, stored)| {
        let value = without_checksum(&key, stored)
            .ok_or_else(|| damaged(path, &format!("the checksum of {key} does not match")))?;
        Ok(Change { key: Key::from(key), value: Some(value) })
    });
    Ok((revision, changes.collect::<Result<_, StoreError>>()?))
}

fn with_checksum(key: &str, value: &[u8]) -> Vec<u8> {
    let mut stored = checksum(key, value).to_be_bytes().to_vec();
    stored.extend_from_slice(value);
    stored
}

fn without_checksum(key: &str, mut stored: Vec<u8>) -> Option<Vec<u8>> {
    let (sum, value) = stored.split_first_chunk::<CHECKSUM_BYTES>()?;
    if u32::from_be_bytes(*sum) != checksum(key, value) {
        return None;
    }
    stored.drain(..CHECKSUM_BYTES);
    Some(stored)
}

fn checksum(key: &str, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.as_bytes());
    hasher.update(&[0]);
    hasher.update(value);
    hasher.finalize()
}

fn opening(path: &Path, error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
        DatabaseError::Storage(StorageError::Io(error)) if is_of_the_content(error.kind()) => {
            damaged(path, &error.to_string())
        }
        error => storing(path, error.into()),
    }
}

/// redb tells a file that is no database, or too short, by such an input error.
fn is_of_the_content(kind: std::io::ErrorKind) -> bool {
    matches!(kind, std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}

fn storing(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(error) => io(path, error),
        error @ redb::Error::PreviousIo => StoreError::Io { path: path.to_owned(), why: error.to_string() },
        error => damaged(path, &error.to_string()),
    }
}

fn damaged(path: &Path, why: &str) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), why: why.to_owned() }
}

fn io(path: &Path, error: std::io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), why: error.to_string() }
}
