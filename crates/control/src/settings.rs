//! Reading and changing the settings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws::Error;
use journal::{Journal, Outcome};
use model::{Blob, Change, Revision, State, UnixMillis};
use store::{CommitError, Kept, Node, Store, StoreError};
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::trail::{Attempt, By, OfError, Trail};

/// What a rule wants to have committed.
#[derive(Debug, Default)]
pub struct Edit {
    /// Of the settings.
    pub changes: Vec<Change>,
    /// That the changes name.
    pub blobs: Vec<Blob>,
}

/// Time for a commit to come back from the store.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a commit to be enforced by every live node before its caller is answered all the same.
const ENFORCEMENT_TIMEOUT: Duration = Duration::from_secs(1);

/// The settings as the operations see them. Cheap to clone.
#[derive(Clone)]
pub struct Settings {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    state: watch::Receiver<Arc<State>>,
    /// Changes of this process queue here instead of conflicting; other nodes' are found by the store.
    turn: Arc<Mutex<()>>,
    /// The last change could not be stored.
    failing: AtomicBool,
    trail: Trail,
}

/// Held while a change is made.
type Turn = OwnedMutexGuard<()>;

/// What became of a commit.
enum Made {
    Committed(Revision),
    /// The rule is to be asked again.
    Conflict(Turn),
}

impl Settings {
    /// Of a store and the state of its [`store::Follower`]. Whatever changes is recorded in the journal, at the clock's time.
    pub fn new(
        store: Arc<dyn Store>,
        state: watch::Receiver<Arc<State>>,
        journal: Journal,
        clock: fn() -> UnixMillis,
    ) -> Self {
        let trail = Trail::new(journal, clock);
        let shared = Shared { store, state, turn: Arc::default(), failing: AtomicBool::new(false), trail };
        Self { shared: Arc::new(shared) }
    }

    /// The newest state that is known here.
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.shared.state.borrow())
    }

    /// The newest state, and what comes after it.
    pub fn states(&self) -> watch::Receiver<Arc<State>> {
        self.shared.state.clone()
    }

    /// The revision that every live node enforces.
    pub fn applied(&self) -> Revision {
        *self.shared.store.applied().borrow()
    }

    /// The live nodes, by name.
    pub fn nodes(&self) -> Vec<Node> {
        self.shared.store.nodes()
    }

    /// Since when the store cannot be asked; none while it can. What was set before is enforced meanwhile.
    pub fn lost(&self) -> Option<UnixMillis> {
        *self.shared.store.lost().borrow()
    }

    /// Whether the last change could not be stored, or not be recorded.
    pub(crate) fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed) || self.shared.trail.is_failing()
    }

    /// What is written of changes.
    pub(crate) fn trail(&self) -> &Trail {
        &self.shared.trail
    }

    /// Records what the server itself has done, besides changing the settings, to what is named.
    pub async fn note(&self, what: &'static str, changed: impl IntoIterator<Item = String>) {
        let attempt = Attempt::new(By::Server(what), self.state().revision).changing(changed);
        self.shared.trail.note(&attempt, Outcome::Allowed).await;
    }

    /// Records what strangers have tried and no record tells of yet: of those whose time is up, or `all` of them.
    pub fn tell_of_strangers(&self, all: bool) {
        self.shared.trail.tell_of_strangers(all);
    }

    /// Changes the settings by a pure rule, which answers with the changes and what the caller wants to know, or refuses.
    ///
    /// The rule sees the state that its changes are committed on (they become revision `state.revision + 1`) and is
    /// asked again when somebody else was quicker: two changes never lose one another. When this returns, [`Self::state`]
    /// has the change, and so has the data plane unless it takes longer than a second: whoever sets something and then
    /// tries it finds it enforced. Without changes nothing is committed.
    ///
    /// It is recorded [`By`] whom: where that cannot be, nothing is changed.
    pub async fn change<T: Send>(
        &self,
        by: impl Into<By<'_>>,
        rule: impl Fn(&State) -> Result<(Vec<Change>, T), Error> + Send + Sync,
    ) -> Result<T, Error> {
        let plain = |state: &State| rule(state).map(|(changes, answer)| (Edit { changes, blobs: Vec::new() }, answer));
        self.edit(by, plain).await
    }

    /// As [`Self::change`], with blobs that the changes name: they are durable before the commit is made.
    pub async fn edit<T: Send>(
        &self,
        by: impl Into<By<'_>>,
        rule: impl Fn(&State) -> Result<(Edit, T), Error> + Send + Sync,
    ) -> Result<T, Error> {
        let (answer, committed) = self.commit(by.into(), rule).await?;
        if let Some(revision) = committed {
            self.enforced(revision).await;
        }
        Ok(answer)
    }

    async fn commit<T: Send>(
        &self,
        by: By<'_>,
        rule: impl Fn(&State) -> Result<(Edit, T), Error> + Send + Sync,
    ) -> Result<(T, Option<Revision>), Error> {
        let mut turn = self.shared.turn.clone().lock_owned().await;
        loop {
            let state = self.state();
            let (Edit { changes, blobs }, answer) = rule(&state)?;
            if changes.is_empty() {
                return Ok((answer, None));
            }
            for blob in blobs {
                self.shared.store.put_blob(blob).await.map_err(|error| self.failed(&error))?;
            }
            let attempt = Attempt::new(by, state.revision).making(&state, &changes);
            // Once begun it is made, and recorded, even if whoever asked for it has gone meanwhile.
            let made = tokio::spawn(self.clone().make(turn, attempt, state.revision, changes)).await;
            match made.map_err(|_| Error::internal("The server is stopping."))?? {
                Made::Committed(revision) => return Ok((answer, Some(revision))),
                Made::Conflict(same) => turn = same,
            }
        }
    }

    /// Commits changes, between the record of their intent and that of what became of it.
    async fn make(self, turn: Turn, attempt: Attempt, on: Revision, changes: Vec<Change>) -> Result<Made, Error> {
        let trail = &self.shared.trail;
        trail.intend(&attempt).await?;
        let error = match self.shared.store.commit(on, changes).await {
            Ok(revision) => {
                self.shared.failing.store(false, Ordering::Relaxed);
                let seen = self.seen(revision).await;
                // The next one need not wait for the record of this one.
                drop(turn);
                trail.complete(&attempt, Outcome::Allowed).await?;
                return seen.map(|()| Made::Committed(revision));
            }
            Err(CommitError::Conflict(current)) => {
                let error = Error::conflict("Another change came first: the change is worked out again.");
                trail.note(&attempt, Outcome::of(&error)).await;
                return self.seen(current).await.map(|()| Made::Conflict(turn));
            }
            Err(CommitError::Unavailable(error)) => self.failed(&error),
            Err(error) => Error::internal(error.to_string()),
        };
        trail.note(&attempt, Outcome::of(&error)).await;
        Err(error)
    }

    /// Does something else than a change of the settings, between the record of its intent and that of what became of it.
    pub(crate) async fn recorded<T: Send + 'static>(
        &self,
        by: By<'_>,
        effect: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (trail, attempt) = (self.shared.trail.clone(), Attempt::new(by, self.state().revision));
        let done = tokio::spawn(async move {
            trail.intend(&attempt).await?;
            let done = effect.await;
            let outcome = done.as_ref().map_or_else(Outcome::of, |_| Outcome::Allowed);
            trail.complete(&attempt, outcome).await.and(done)
        });
        done.await.unwrap_or_else(|_| Err(Error::internal("The server is stopping.")))
    }

    fn failed(&self, error: &StoreError) -> Error {
        self.shared.failing.store(true, Ordering::Relaxed);
        unavailable(error)
    }

    /// The bytes with this digest, if they are kept.
    pub async fn blob(&self, digest: &str) -> Result<Option<Blob>, Error> {
        self.shared.store.blob(digest).await.map_err(|error| unavailable(&error))
    }

    /// Drops the blobs that nothing named when this was called last, nor names now, and answers which nothing names now. A
    /// node that is a little behind still finds what it needs, and so does one that is between keeping a blob and naming it.
    pub async fn forget_blobs(&self, unnamed_before: &Kept) -> Result<Kept, Error> {
        // Nobody is between keeping a blob and naming it, here.
        let _turn = self.shared.turn.lock().await;
        let state = self.state();
        let named = state.blobs();
        let kept = self.shared.store.blobs().await.map_err(|error| unavailable(&error))?;
        let unnamed: Kept = kept.into_iter().filter(|(digest, _)| !named.contains(digest.as_str())).collect();
        let (drop, rest): (Kept, Kept) =
            unnamed.clone().into_iter().partition(|(digest, version)| unnamed_before.get(digest) == Some(version));
        if drop.is_empty() {
            return Ok(rest);
        }
        let dropped = self.shared.store.drop_blobs(state.revision, drop).await.map_err(|error| unavailable(&error))?;
        // Others have changed the settings: the next time will do.
        Ok(if dropped { rest } else { unnamed })
    }

    /// Waits until every live node enforces `revision`. One that takes longer shows as `UPDATING`.
    async fn enforced(&self, revision: Revision) {
        let mut applied = self.shared.store.applied();
        let done = applied.wait_for(|applied| *applied >= revision || *applied == 0);
        let _ = tokio::time::timeout(ENFORCEMENT_TIMEOUT, done).await;
    }

    /// Waits until `revision` has arrived here. Without a bound, a follower in trouble would hold up every change for ever.
    async fn seen(&self, revision: Revision) -> Result<(), Error> {
        let mut state = self.shared.state.clone();
        let arrived = tokio::time::timeout(ARRIVAL_TIMEOUT, state.wait_for(|state| state.revision >= revision)).await;
        let stopping = || Error::internal("The server is stopping.");
        let late =
            || Error::internal(format!("Revision {revision} of the settings is stored, but did not arrive here."));
        arrived.map_err(|_| late())?.map(drop).map_err(|_| stopping())
    }
}

/// The caller learns that the settings cannot be stored, and which file is concerned: it is their own machine's.
fn unavailable(error: &StoreError) -> Error {
    match error {
        StoreError::Unclear { .. } => {
            Error::internal(format!("It is not known whether the settings were stored: {error}"))
        }
        error => Error::internal(format!("The settings could not be stored: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use model::resource::LogGroup;
    use store::{Follower, Memory};

    use super::*;

    fn group(name: &str, retention_days: u32) -> LogGroup {
        LogGroup { retention_days: Some(retention_days), ..LogGroup::new("us-east-1", name, 1) }
    }

    async fn settings(store: &Arc<dyn Store>) -> (Settings, Follower, tempfile::TempDir) {
        let follower = Follower::start(Arc::clone(store)).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(directory.path()).unwrap();
        (Settings::new(Arc::clone(store), follower.state(), journal, || 0), follower, directory)
    }

    /// Counts in a resource: lost updates would show in the sum.
    async fn increment(settings: &Settings) -> u32 {
        let rule = |state: &State| {
            let now = State::one(&state.log_groups, "us-east-1", "n").and_then(|group| group.retention_days);
            let next = now.unwrap_or(0) + 1;
            Ok((vec![Change::put(&group("n", next))], next))
        };
        settings.change(By::Server("Count"), rule).await.unwrap()
    }

    #[tokio::test]
    async fn a_change_returns_when_the_data_plane_has_it() {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        store.report_applied("edge", 0).await.unwrap();
        store.report_applied("edge", 1).await.unwrap();
        let (settings, follower, _directory) = settings(&store).await;
        assert_eq!(increment(&settings).await, 1, "revision 1 is enforced already");
        let edge = tokio::spawn({
            let (store, mut states) = (Arc::clone(&store), follower.state());
            async move {
                states.wait_for(|state| state.revision == 2).await.unwrap();
                store.report_applied("edge", 2).await.unwrap();
            }
        });
        increment(&settings).await;
        assert_eq!(settings.applied(), 2);
        edge.await.unwrap();
    }

    #[tokio::test]
    async fn concurrent_changes_of_two_nodes_never_lose_one_another() {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let (here, _here, _directory) = settings(&store).await;
        let (there, _there, _other) = settings(&store).await;
        let tasks = (0..100).map(|number| {
            let settings = if number % 2 == 0 { here.clone() } else { there.clone() };
            tokio::spawn(async move { increment(&settings).await })
        });
        let mut seen: Vec<u32> = Vec::new();
        for task in tasks.collect::<Vec<_>>() {
            seen.push(task.await.unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, (1..=100).collect::<Vec<_>>());
        assert_eq!(store.load().await.unwrap().0, 100);
        let mut states = here.states();
        let state = states.wait_for(|state| state.revision == 100).await.unwrap();
        assert_eq!(State::one(&state.log_groups, "us-east-1", "n").unwrap().retention_days, Some(100));
    }

    #[tokio::test]
    async fn a_change_is_seen_when_it_returns_and_nothing_is_no_commit() {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let (settings, _follower, _directory) = settings(&store).await;
        increment(&settings).await;
        assert_eq!(settings.state().revision, 1);
        settings.change(By::Server("Nothing"), |_| Ok((vec![], ()))).await.unwrap();
        let refused: Result<(), Error> = settings.change(By::Server("No"), |_| Err(Error::bad_request("no"))).await;
        assert_eq!(refused.unwrap_err(), Error::bad_request("no"));
        assert_eq!(store.load().await.unwrap().0, 1);
    }
}
