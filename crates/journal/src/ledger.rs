//! The ledger: every distinct chain of certificates that a client presented, per domain.
//!
//! The edge counts and hands over [`Sighting`]s, a thread of the ledger's own writes them in batches; a crash loses the last
//! batch at most. `DIR/ledger.redb` is never a reason for the gateway not to run: where it cannot be used, sightings are
//! dropped and counted, and a damaged file is moved aside.
//!
//! Accepted clients and strangers are bounded apart (the constants of this module), so that nobody without an accepted
//! certificate can push out somebody who has one.

mod bounds;
mod entry;
mod keeper;
mod query;
mod queue;
mod rfc3339;
mod tables;
#[cfg(test)]
mod tests;
mod thread;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};

use redb::Database;

pub use bounds::{
    ACCEPTED, ACCEPTED_AGE_MS, ACCEPTED_PER_DOMAIN, CHAINS_PER_CERTIFICATE, STRANGER_AGE_MS, STRANGER_BYTES, STRANGERS,
    STRANGERS_PER_DOMAIN, STRANGERS_PER_SOURCE,
};
pub use entry::{ClientChain, Entry, Id, Identity, NotAnId, ShadowSeen, ShadowSighting, Sighting, Span, State};
pub use query::{Completeness, Page, Query};

use bounds::Bounds;
use queue::Queue;
use thread::Thread;

/// The clients that were seen. Cheap to clone; the last one to be dropped writes what waits and ends the writing thread.
///
/// Everything that reads blocks: not for an async context.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    thread: Arc<Thread>,
}

/// Why the ledger cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be used: the disk, its permissions, another process.
    #[error("the clients that were seen cannot be read: {0}")]
    Unavailable(String),
    /// The file holds what no ledger wrote.
    #[error("the file with the clients that were seen is damaged: {0}")]
    Damaged(String),
    /// A page was asked for that no answer led to.
    #[error("no such page")]
    Token,
}

/// How the ledger is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Clients that were accepted once.
    pub accepted: u64,
    /// Chains that never were.
    pub strangers: u64,
    /// Sightings that were lost since it was opened.
    pub dropped: u64,
    /// Why nothing can be written at present; it is tried again and again.
    pub error: Option<String>,
}

impl Ledger {
    /// Opens `data_dir/ledger.redb`, or makes it, and starts the thread that writes. Never fails: the notices say what is
    /// wrong, for a person. `at_ms` is the time, in milliseconds since 1970-01-01T00:00:00Z.
    pub fn open(data_dir: &Path, at_ms: i64) -> (Self, Vec<String>) {
        Self::open_with(data_dir, Bounds::default(), at_ms)
    }

    fn open_with(data_dir: &Path, bounds: Bounds, at_ms: i64) -> (Self, Vec<String>) {
        let shared = Arc::new(Shared {
            path: data_dir.join("ledger.redb"),
            queue: Queue::default(),
            database: RwLock::default(),
            accepted: AtomicU64::new(0),
            strangers: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            error: Mutex::default(),
            released: AtomicBool::new(false),
        });
        let (thread, notices) = Thread::start(shared.clone(), bounds, at_ms);
        (Self { shared, thread: Arc::new(thread) }, notices)
    }

    /// Takes in what was seen. Never blocks for long, and drops (and counts) what there is no room for.
    pub fn record(&self, sightings: impl IntoIterator<Item = Sighting>) {
        self.shared.queue.push(sightings);
    }

    /// Refused clients were seen of which nothing is told: there were too many.
    pub fn left_out(&self, count: u64, at_ms: i64) {
        self.shared.queue.left_out(count, at_ms);
    }

    /// Waits until everything that was recorded before is on disk.
    pub fn sync(&self) -> Result<(), LedgerError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.shared.queue.request(sender);
        receiver.recv().unwrap_or_else(|_| Err(closed()))
    }

    /// Writes what was recorded and closes the file, so that another process can open it. What is recorded until
    /// [`reclaim`](Self::reclaim) is lost, and counted as that. Blocks.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::SeqCst);
        // A file that cannot be written is closed already.
        let _ = self.sync();
    }

    /// Opens the file again, with the next that is recorded.
    pub fn reclaim(&self) {
        self.shared.released.store(false, Ordering::SeqCst);
    }

    /// How it is doing.
    pub fn stats(&self) -> Stats {
        Stats {
            accepted: self.shared.accepted.load(Ordering::Relaxed),
            strangers: self.shared.strangers.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            error: self.shared.error(),
        }
    }

    /// Writes what was recorded and ends the thread; also done when the last clone is dropped. What is recorded afterwards
    /// is lost. Blocks for as long as the disk does.
    pub fn close(&self) {
        self.thread.end();
    }

    fn database(&self) -> Result<Arc<Database>, LedgerError> {
        let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner).clone();
        database.ok_or_else(|| LedgerError::Unavailable(self.shared.error().unwrap_or_default()))
    }
}

/// What readers and the writing thread have in common.
struct Shared {
    path: PathBuf,
    queue: Queue,
    /// None while it cannot be used.
    database: RwLock<Option<Arc<Database>>>,
    accepted: AtomicU64,
    strangers: AtomicU64,
    dropped: AtomicU64,
    error: Mutex<Option<String>>,
    /// Another process has the file.
    released: AtomicBool,
}

impl Shared {
    fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_error(&self, error: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    fn set_database(&self, database: Option<Arc<Database>>) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = database;
    }
}

fn closed() -> LedgerError {
    LedgerError::Unavailable("the ledger is closed".to_owned())
}

impl<E: Into<redb::Error>> From<E> for LedgerError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(error) => Self::Unavailable(error.to_string()),
            redb::Error::PreviousIo => Self::Unavailable("an earlier error of the disk".to_owned()),
            error => Self::Damaged(error.to_string()),
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger in {}", self.shared.path.display())
    }
}
