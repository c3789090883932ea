//! The settings, stored: revisioned, committed by comparing the revision, and followed; and the blobs that they name.
//!
//! Here live the contract ([`Store`]), its embedded implementations ([`Memory`], [`Redb`]), the one that many machines share
//! ([`Etcd`]) and the copy of it that each keeps ([`Mirrored`]), and the [`Follower`], which keeps a [`model::State`] up to date.
//!
//! What must not live here: what the settings mean (`model`), who may change them (`control`), objects and records.

mod etcd;
mod feed;
mod follower;
mod memory;
mod mirrored;
mod nodes;
mod redb_store;

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use model::{Blob, Change, Revision, UnixMillis};
use tokio::sync::watch;

pub use etcd::{Etcd, EtcdOptions};
pub use follower::{FollowError, Follower};
pub use memory::Memory;
pub use mirrored::Mirrored;
pub use nodes::Node;
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
    async fn blobs(&self) -> Result<Kept, StoreError>;

    /// Keeps these blobs no more, but those that were put again since they were listed. `false`: nothing was done, as the settings
    /// are not at the revision `at` any more, and may name them.
    async fn drop_blobs(&self, at: Revision, blobs: Kept) -> Result<bool, StoreError>;

    /// Makes these the settings, whatever they were, as of a revision that another store had them at. Who follows loads again.
    async fn replace(&self, revision: Revision, settings: Vec<Change>) -> Result<(), StoreError>;

    /// A node tells that it enforces `revision`. It counts as live until [`Store::retire`], or until its process is gone.
    async fn report_applied(&self, node: &str, revision: Revision) -> Result<(), StoreError>;

    /// A node tells that it stops.
    async fn retire(&self, node: &str) -> Result<(), StoreError>;

    /// The revision that every live node enforces; 0 while there is none.
    fn applied(&self) -> watch::Receiver<Revision>;

    /// The live nodes, by name.
    fn nodes(&self) -> Vec<Node>;

    /// Since when the store cannot be asked; none while it can.
    fn lost(&self) -> watch::Receiver<Option<UnixMillis>>;
}

/// Blobs by their digests, each with how often it was put, as far as that is of use to [`Store::drop_blobs`].
pub type Kept = BTreeMap<String, i64>;

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
    /// etcd says no. It has changed nothing.
    #[error("etcd ({endpoints}) refuses: {why}")]
    Refused {
        /// Who was asked.
        endpoints: String,
        /// Its reason.
        why: String,
    },
    /// No member of etcd's answers.
    #[error("etcd ({endpoints}) cannot be asked: {why}")]
    Unreachable {
        /// Who was asked.
        endpoints: String,
        /// What came of it.
        why: String,
    },
    /// No member of etcd's answers whether it took a change.
    #[error("etcd ({endpoints}) did not say whether it took a change, so that it may have been made: {why}")]
    Unclear {
        /// Who was asked.
        endpoints: String,
        /// What came of it.
        why: String,
    },
    /// What is kept in etcd makes no sense. It is left as it is.
    #[error("the settings in etcd under {prefix} cannot be used: {why}")]
    Content {
        /// Where they are.
        prefix: String,
        /// What was found.
        why: String,
    },
    /// It is set wrongly.
    #[error("{0}")]
    Options(String),
    /// More than can be stored at once.
    #[error("the change is too large to be stored at once")]
    TooLarge,
    /// The system refused to read or write.
    #[error("the settings file {} cannot be used: {why}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        why: String,
    },
}

impl StoreError {
    /// Nobody has answered. It may be otherwise later.
    pub fn is_of_the_network(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unclear { .. })
    }
}

#[cfg(test)]
mod tests;
