//! Telling followers of commits, and of nodes: shared by the stores.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{self, BoxStream, StreamExt};
use model::{Change, Revision};
use tokio::sync::watch;

use crate::Event;
use crate::nodes::Nodes;

/// Commits that a watch may lag behind before it has to load again.
const KEPT_COMMITS: usize = 256;

/// The latest commits, and what the nodes have applied of them.
pub(crate) struct Feed {
    shared: Arc<Shared>,
    pub(crate) nodes: Nodes,
}

struct Shared {
    commits: Mutex<VecDeque<(Revision, Vec<Change>)>>,
    newest: watch::Sender<Newest>,
}

#[derive(Clone, Copy)]
struct Newest {
    revision: Revision,
    /// How often it has moved otherwise than from one commit to the next.
    jumps: u64,
}

impl Feed {
    /// Of a store that is at `revision`.
    pub(crate) fn new(revision: Revision) -> Self {
        let newest = watch::Sender::new(Newest { revision, jumps: 0 });
        Self { shared: Arc::new(Shared { commits: Mutex::default(), newest }), nodes: Nodes::new() }
    }

    /// The revision of the newest commit that was told.
    pub(crate) fn newest(&self) -> Revision {
        self.shared.newest.borrow().revision
    }

    /// Tells of a commit. The caller sees to it that commits come in order.
    pub(crate) fn publish(&self, revision: Revision, changes: Vec<Change>) {
        let mut commits = lock(&self.shared.commits);
        if commits.len() == KEPT_COMMITS {
            commits.pop_front();
        }
        commits.push_back((revision, changes));
        drop(commits);
        self.shared.newest.send_modify(|newest| newest.revision = revision);
    }

    /// The store is at `revision` by commits that nobody was told of: who follows loads again.
    pub(crate) fn jump_to(&self, revision: Revision) {
        lock(&self.shared.commits).clear();
        self.shared.newest.send_modify(|newest| *newest = Newest { revision, jumps: newest.jumps + 1 });
    }

    /// As [`Self::jump_to`], if there are such commits.
    pub(crate) fn skip_to(&self, revision: Revision) {
        if self.newest() != revision {
            self.jump_to(revision);
        }
    }

    pub(crate) fn watch(&self, after: Revision) -> BoxStream<'static, Event> {
        let newest = self.shared.newest.subscribe();
        let jumps = newest.borrow().jumps;
        // Weak: a watch must not keep a closed store alive, and ends with it.
        let shared = Arc::downgrade(&self.shared);
        stream::unfold(Some((shared, newest, after)), move |cursor| async move {
            let (shared, mut newest, after) = cursor?;
            let now = *newest.wait_for(|newest| newest.revision > after || newest.jumps != jumps).await.ok()?;
            let event = if now.jumps == jumps { shared.upgrade()?.after(after) } else { Event::Compacted };
            let next = match &event {
                Event::Committed(revision, _) => Some((shared, newest, *revision)),
                Event::Compacted => None,
            };
            Some((event, next))
        })
        .boxed()
    }
}

impl Shared {
    fn after(&self, after: Revision) -> Event {
        let commits = lock(&self.commits);
        match commits.iter().find(|(revision, _)| *revision > after) {
            Some((revision, changes)) if *revision == after + 1 => Event::Committed(*revision, changes.clone()),
            _ => Event::Compacted,
        }
    }
}

/// What is behind these locks is whole after each statement, so a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
