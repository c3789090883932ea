//! Telling followers of commits: shared by the embedded stores.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{self, BoxStream, StreamExt};
use model::{Change, Revision};
use tokio::sync::watch;

use crate::Event;

/// Commits that a watch may lag behind before it has to load again.
const KEPT_COMMITS: usize = 256;

/// The latest commits, and what the nodes have applied of them.
pub(crate) struct Feed {
    shared: Arc<Shared>,
}

struct Shared {
    commits: Mutex<VecDeque<(Revision, Vec<Change>)>>,
    newest: watch::Sender<Revision>,
    nodes: Mutex<BTreeMap<String, Revision>>,
    applied: watch::Sender<Revision>,
}

impl Feed {
    /// Of a store that is at `revision`.
    pub(crate) fn new(revision: Revision) -> Self {
        let newest = watch::Sender::new(revision);
        let applied = watch::Sender::new(0);
        Self { shared: Arc::new(Shared { commits: Mutex::default(), newest, nodes: Mutex::default(), applied }) }
    }

    /// Tells of a commit. The caller sees to it that commits come in order.
    pub(crate) fn publish(&self, revision: Revision, changes: Vec<Change>) {
        let mut commits = lock(&self.shared.commits);
        if commits.len() == KEPT_COMMITS {
            commits.pop_front();
        }
        commits.push_back((revision, changes));
        drop(commits);
        self.shared.newest.send_replace(revision);
    }

    /// The store is at `revision` by commits that nobody was told of: who follows loads again, if there are any.
    pub(crate) fn skip_to(&self, revision: Revision) {
        if *self.shared.newest.borrow() != revision {
            lock(&self.shared.commits).clear();
            self.shared.newest.send_replace(revision);
        }
    }

    pub(crate) fn watch(&self, after: Revision) -> BoxStream<'static, Event> {
        let newest = self.shared.newest.subscribe();
        // Weak: a watch must not keep a closed store alive, and ends with it.
        let shared = Arc::downgrade(&self.shared);
        stream::unfold(Some((shared, newest, after)), |cursor| async move {
            let (shared, mut newest, after) = cursor?;
            newest.wait_for(|newest| *newest > after).await.ok()?;
            let event = shared.upgrade()?.after(after);
            let next = match &event {
                Event::Committed(revision, _) => Some((shared, newest, *revision)),
                Event::Compacted => None,
            };
            Some((event, next))
        })
        .boxed()
    }

    pub(crate) fn report_applied(&self, node: &str, revision: Revision) {
        self.shared.change_nodes(|nodes| {
            nodes.insert(node.to_owned(), revision);
        });
    }

    pub(crate) fn retire(&self, node: &str) {
        self.shared.change_nodes(|nodes| {
            nodes.remove(node);
        });
    }

    pub(crate) fn applied(&self) -> watch::Receiver<Revision> {
        self.shared.applied.subscribe()
    }
}

impl Shared {
    fn change_nodes(&self, change: impl FnOnce(&mut BTreeMap<String, Revision>)) {
        let mut nodes = lock(&self.nodes);
        change(&mut nodes);
        let applied = nodes.values().min().copied().unwrap_or(0);
        self.applied.send_if_modified(|known| std::mem::replace(known, applied) != applied);
    }

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
