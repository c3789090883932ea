//! Settings that live as long as the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use model::{Blob, Change, Key, Revision};
use tokio::sync::watch;

use crate::feed::{Feed, lock};
use crate::{CommitError, Event, Store, StoreError};

/// A [`Store`] without a file: for tests and throw-away servers.
pub struct Memory {
    kept: Mutex<(Revision, BTreeMap<Key, Vec<u8>>)>,
    blobs: Mutex<BTreeMap<String, Blob>>,
    feed: Feed,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self { kept: Mutex::default(), blobs: Mutex::default(), feed: Feed::new(0) }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for Memory {
    async fn load(&self) -> Result<(Revision, Vec<Change>), StoreError> {
        let kept = lock(&self.kept);
        let put = |(key, value): (&Key, &Vec<u8>)| Change { key: key.clone(), value: Some(value.clone()) };
        Ok((kept.0, kept.1.iter().map(put).collect()))
    }

    async fn commit(&self, expected: Revision, changes: Vec<Change>) -> Result<Revision, CommitError> {
        let mut kept = lock(&self.kept);
        let (revision, values) = &mut *kept;
        if *revision != expected {
            return Err(CommitError::Conflict(*revision));
        }
        for change in &changes {
            match &change.value {
                Some(value) => values.insert(change.key.clone(), value.clone()),
                None => values.remove(&change.key),
            };
        }
        *revision += 1;
        // Under the lock, so that commits are published in their order.
        self.feed.publish(*revision, changes);
        Ok(*revision)
    }

    fn watch(&self, after: Revision) -> BoxStream<'static, Event> {
        self.feed.watch(after)
    }

    async fn put_blob(&self, blob: Blob) -> Result<(), StoreError> {
        lock(&self.blobs).insert(blob.digest().to_owned(), blob);
        Ok(())
    }

    async fn blob(&self, digest: &str) -> Result<Option<Blob>, StoreError> {
        Ok(lock(&self.blobs).get(digest).cloned())
    }

    async fn blobs(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(lock(&self.blobs).keys().cloned().collect())
    }

    async fn drop_blobs(&self, digests: BTreeSet<String>) -> Result<(), StoreError> {
        lock(&self.blobs).retain(|digest, _| !digests.contains(digest));
        Ok(())
    }

    async fn report_applied(&self, node: &str, revision: Revision) -> Result<(), StoreError> {
        self.feed.report_applied(node, revision);
        Ok(())
    }

    async fn retire(&self, node: &str) -> Result<(), StoreError> {
        self.feed.retire(node);
        Ok(())
    }

    fn applied(&self) -> watch::Receiver<Revision> {
        self.feed.applied()
    }
}
