//! Settings that live as long as the process.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use model::{Blob, Change, Key, Revision, UnixMillis};
use tokio::sync::watch;

use crate::feed::{Feed, lock};
use crate::{CommitError, Event, Kept, Node, Store, StoreError};

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

    async fn blobs(&self) -> Result<Kept, StoreError> {
        Ok(lock(&self.blobs).keys().map(|digest| (digest.clone(), 0)).collect())
    }

    async fn drop_blobs(&self, at: Revision, blobs: Kept) -> Result<bool, StoreError> {
        let kept = lock(&self.kept);
        let is_current = kept.0 == at;
        if is_current {
            lock(&self.blobs).retain(|digest, _| !blobs.contains_key(digest));
        }
        Ok(is_current)
    }

    async fn replace(&self, revision: Revision, settings: Vec<Change>) -> Result<(), StoreError> {
        let put = |change: Change| Some((change.key, change.value?));
        let mut kept = lock(&self.kept);
        *kept = (revision, settings.into_iter().filter_map(put).collect());
        self.feed.jump_to(revision);
        Ok(())
    }

    async fn report_applied(&self, node: &str, revision: Revision) -> Result<(), StoreError> {
        self.feed.nodes.report(node, Some(revision));
        Ok(())
    }

    async fn retire(&self, node: &str) -> Result<(), StoreError> {
        self.feed.nodes.report(node, None);
        Ok(())
    }

    fn applied(&self) -> watch::Receiver<Revision> {
        self.feed.nodes.applied()
    }

    fn nodes(&self) -> Vec<Node> {
        self.feed.nodes.all()
    }

    fn lost(&self) -> watch::Receiver<Option<UnixMillis>> {
        watch::Sender::new(None).subscribe()
    }
}
