//! The settings, stored: revisioned, committed by comparing the revision, and followed; and the blobs that they name.
//!
//! Here live the contract ([`Store`]), its embedded implementations ([`Memory`], [`Redb`]) and the [`Follower`], which
//! keeps a [`model::State`] up to date.
//!
//! What must not live here: what the settings mean (`model`), who may change them (`control`), objects and records.

mod feed;
mod follower;
mod memory;
mod redb_store;

use std::collections::BTreeSet;
use std::path::PathBuf;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use model::{Blob, Change, Revision};
use tokio::sync::watch;

pub use follower::{FollowError, Follower};
pub use memory::Memory;
pub use redb_store::Redb;

/// Where the settings are kept. Every commit makes one revision, numbered from 1 without a gap.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Everything that is set, as puts, and the revision that it was read at.
    async fn load(&self) -> Result<(Revision, Vec<Change>), StoreError>;

    /// Makes all of `changes` or none, as revision `expected + 1`, which is returned once it is durable. Dropping the
    /// future does not tell whether the commit was made.
    async fn commit(&self, expected: Revision, changes: Vec<Change>) -> Result<Revision, CommitError>;

    /// The commits after `after`, in order, without a gap. It waits for new ones; it ends after [`Event::Compacted`].
    fn watch(&self, after: Revision) -> BoxStream<'static, Event>;

    /// Keeps a blob; it is durable when this returns. To be called before the commit that names it.
    async fn put_blob(&self, blob: Blob) -> Result<(), StoreError>;

    /// The bytes with this digest, if they are kept.
    async fn blob(&self, digest: &str) -> Result<Option<Blob>, StoreError>;

    /// The digests of all blobs.
    async fn blobs(&self) -> Result<BTreeSet<String>, StoreError>;

    /// Keeps these blobs no more.
    async fn drop_blobs(&self, digests: BTreeSet<String>) -> Result<(), StoreError>;

    /// A node tells that it enforces `revision`. It counts as live until [`Store::retire`].
    async fn report_applied(&self, node: &str, revision: Revision) -> Result<(), StoreError>;

    /// A node tells that it stops.
    async fn retire(&self, node: &str) -> Result<(), StoreError>;

    /// The revision that every live node enforces; 0 while there is none.
    fn applied(&self) -> watch::Receiver<Revision>;
}

/// What [`Store::watch`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A commit.
    Committed(Revision, Vec<Change>),
    /// The next commit is no longer kept: load again, then watch from there.
    Compacted,
}

/// Why a commit was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Somebody else committed first; the store is at this revision.
    #[error("the settings are at revision {0} meanwhile")]
    Conflict(Revision),
    /// The store could not be asked, or failed. Whether the commit was made is unknown.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is damaged: truncated, overwritten, or a value's checksum does not match. It is left as it is.
    #[error(
        "the settings file {} is damaged: {why}. It was left as it is: restore it from a copy, or move it away to start with empty settings",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found, with the key where one is concerned.
        why: String,
    },
    /// Another process has it open.
    #[error("the settings file {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It was handed to another process.
    #[error("the settings file {} was handed to another process", .0.display())]
    Released(PathBuf),
    /// Written by a version of this program that is newer than this one.
    #[error("the settings file {} has format {format}; this version reads format {known}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// Ours.
        known: u64,
    },
    /// The system refused to read or write.
    #[error("the settings file {} cannot be used: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
}

#[cfg(test)]
mod tests;
