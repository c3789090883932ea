//! Keeping a state up to date.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use model::{Corrupt, Revision, State};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Event, Store, StoreError};

/// How long a follower waits before it asks a store again that could not be asked.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Follows a store: its [`State`] is the one of the newest commit that was seen. It stops when it is dropped.
pub struct Follower {
    state: watch::Receiver<Arc<State>>,
    task: JoinHandle<()>,
}

/// Why the settings cannot be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store can be read, but a resource in it cannot.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
}

impl Follower {
    /// Reads the store, then follows it on the current runtime.
    pub async fn start(store: Arc<dyn Store>) -> Result<Self, FollowError> {
        let (sender, state) = watch::channel(Arc::new(load(&*store).await?));
        let task = tokio::spawn(async move {
            loop {
                follow(&*store, &sender).await;
                // Compacted, or a commit that cannot be read: what is there now is read instead. The last good state
                // stays while that does not work.
                match load(&*store).await {
                    Ok(state) => drop(sender.send_replace(Arc::new(state))),
                    Err(_) => tokio::time::sleep(RETRY_AFTER).await,
                }
            }
        });
        Ok(Self { state, task })
    }

    /// The newest state, and what comes after it.
    pub fn state(&self) -> watch::Receiver<Arc<State>> {
        self.state.clone()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn load(store: &dyn Store) -> Result<State, FollowError> {
    let (revision, changes) = store.load().await?;
    let mut state = State::default();
    state.apply(revision, &changes)?;
    Ok(state)
}

/// Applies commits until there is a gap or one cannot be read.
async fn follow(store: &dyn Store, state: &watch::Sender<Arc<State>>) {
    let from: Revision = state.borrow().revision;
    let mut commits = store.watch(from);
    while let Some(Event::Committed(revision, changes)) = commits.next().await {
        let mut next = State::clone(&state.borrow());
        if next.apply(revision, &changes).is_err() {
            return;
        }
        state.send_replace(Arc::new(next));
    }
}
