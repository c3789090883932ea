//! A store that others share, with a copy of it on this machine: what a node starts with while the store cannot be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use model::{Blob, Change, Revision, UnixMillis};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::{CommitError, Event, Kept, Node, Redb, Store, StoreError};

/// A [`Store`] that keeps a copy of another: of its settings, and of the blobs that were asked for here.
pub struct Mirrored {
    original: Arc<dyn Store>,
    copy: Arc<Redb>,
    /// The original could be asked once: from then on the copy is behind it.
    was_asked: AtomicBool,
    _task: JoinSet<()>,
}

/// Between two tries to copy.
const PAUSE: Duration = Duration::from_secs(1);

impl Mirrored {
    /// Keeps `copy` up to date, on the current runtime.
    pub fn new(original: Arc<dyn Store>, copy: Arc<Redb>) -> Self {
        let mut task = JoinSet::new();
        task.spawn(keep(original.clone(), copy.clone()));
        Self { original, copy, was_asked: AtomicBool::new(false), _task: task }
    }
}

#[async_trait]
impl Store for Mirrored {
    /// What the copy has, where the original could never be asked.
    async fn load(&self) -> Result<(Revision, Vec<Change>), StoreError> {
        if !self.was_asked.load(Ordering::Relaxed) && self.original.lost().borrow().is_some() {
            return self.copy.load().await;
        }
        let loaded = self.original.load().await?;
        self.was_asked.store(true, Ordering::Relaxed);
        Ok(loaded)
    }

    async fn commit(&self, expected: Revision, changes: Vec<Change>) -> Result<Revision, CommitError> {
        self.original.commit(expected, changes).await
    }

    fn watch(&self, after: Revision) -> BoxStream<'static, Event> {
        self.original.watch(after)
    }

    async fn put_blob(&self, blob: Blob) -> Result<(), StoreError> {
        self.original.put_blob(blob).await
    }

    async fn blob(&self, digest: &str) -> Result<Option<Blob>, StoreError> {
        // What cannot be read here is read there.
        if let Ok(Some(blob)) = self.copy.blob(digest).await {
            return Ok(Some(blob));
        }
        let blob = self.original.blob(digest).await?;
        if let Some(blob) = &blob {
            let _ = self.copy.put_blob(blob.clone()).await;
        }
        Ok(blob)
    }

    async fn blobs(&self) -> Result<Kept, StoreError> {
        let kept = self.original.blobs().await?;
        if let Ok((revision, copied)) = self.copied().await {
            let gone = copied.into_iter().filter(|(digest, _)| !kept.contains_key(digest)).collect();
            let _ = self.copy.drop_blobs(revision, gone).await;
        }
        Ok(kept)
    }

    async fn drop_blobs(&self, at: Revision, blobs: Kept) -> Result<bool, StoreError> {
        self.original.drop_blobs(at, blobs).await
    }

    async fn replace(&self, revision: Revision, settings: Vec<Change>) -> Result<(), StoreError> {
        self.original.replace(revision, settings).await
    }

    async fn report_applied(&self, node: &str, revision: Revision) -> Result<(), StoreError> {
        self.original.report_applied(node, revision).await
    }

    async fn retire(&self, node: &str) -> Result<(), StoreError> {
        self.original.retire(node).await
    }

    fn applied(&self) -> watch::Receiver<Revision> {
        self.original.applied()
    }

    fn nodes(&self) -> Vec<Node> {
        self.original.nodes()
    }

    fn lost(&self) -> watch::Receiver<Option<UnixMillis>> {
        self.original.lost()
    }
}

impl Mirrored {
    async fn copied(&self) -> Result<(Revision, Kept), StoreError> {
        Ok((self.copy.revision(), self.copy.blobs().await?))
    }
}

/// Copies commit by commit, and all of it where some are missing; what fails is tried again.
async fn keep(original: Arc<dyn Store>, copy: Arc<Redb>) {
    loop {
        let copied = match original.load().await {
            Ok((revision, settings)) => copy.replace(revision, settings).await.map(|()| revision),
            Err(e) => Err(e),
        };
        let Ok(revision) = copied else {
            sleep(PAUSE).await;
            continue;
        };
        let mut commits = original.watch(revision);
        while let Some(Event::Committed(revision, changes)) = commits.next().await {
            if copy.commit(revision.saturating_sub(1), changes).await.is_err() {
                break;
            }
        }
    }
}
