//! From settings to what is enforced.

use std::sync::Arc;

use edge::Edge;
use journal::usage::UsageBook;
use model::snapshot::{Defaults, Fault};
use model::{Blobs, Keyring, Snapshot, State};
use store::Store;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::answer::{printable, warn};

/// Compiles each new state, has the edge enforce it, and reports that.
pub(super) struct Publisher {
    states: watch::Receiver<Arc<State>>,
    defaults: watch::Receiver<Defaults>,
    /// Changes when verdicts that rest on something fetched are to be given again.
    reviews: watch::Receiver<u64>,
    store: Arc<dyn Store>,
    /// This node's name among those that report what they enforce.
    node: String,
    keyring: Arc<Keyring>,
    usage: UsageBook,
    /// What was compiled last.
    snapshot: watch::Sender<Arc<Snapshot>>,
}

impl Publisher {
    pub(super) fn new(
        states: watch::Receiver<Arc<State>>,
        defaults: watch::Receiver<Defaults>,
        reviews: watch::Receiver<u64>,
        store: Arc<dyn Store>,
        node: String,
        keyring: Arc<Keyring>,
        usage: UsageBook,
    ) -> Self {
        Self { states, defaults, reviews, store, node, keyring, usage, snapshot: watch::Sender::new(Arc::default()) }
    }

    /// What was compiled last.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// What is compiled from now on.
    pub(super) fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// Publishes all that comes, beginning with what was compiled last, until the settings are closed.
    pub(super) async fn run(mut self, edge: Arc<Edge>) {
        loop {
            edge.publish(self.snapshot()).await;
            if let Err(e) = self.store.report_applied(&self.node, self.snapshot().revision).await {
                warn(&e.to_string());
            }
            let (changed, settings) = tokio::select! {
                changed = self.states.changed() => (changed, true),
                changed = self.defaults.changed() => (changed, true),
                changed = self.reviews.changed() => (changed, false),
            };
            match (changed, settings) {
                (Ok(()), true) => self.compile().await,
                (Ok(()), false) => drop(self.snapshot.send_replace(Arc::new(self.snapshot().reviewed()))),
                (Err(_), _) => return,
            }
        }
    }

    /// Compiles the newest state. What is wrong with it is told once.
    pub(super) async fn compile(&mut self) {
        let state = self.states.borrow_and_update().clone();
        let defaults = self.defaults.borrow_and_update().clone();
        let (previous, keyring) = (self.snapshot(), self.keyring.clone());
        let blobs = self.missing(&state).await;
        let usage = self.usage.clone();
        let compile = move || {
            let snapshot = Snapshot::compile(&state, &previous, &blobs, &keyring, &defaults, super::now());
            if let Err(e) = control::usage::restore(&usage, &snapshot, &previous) {
                warn(&e.to_string());
            }
            snapshot
        };
        // A truststore of a thousand certificates takes a while.
        match spawn_blocking(compile).await {
            Ok(snapshot) => {
                tell(&snapshot.faults, &self.snapshot().faults);
                self.snapshot.send_replace(Arc::new(snapshot));
            }
            Err(_) => warn("the settings could not be compiled: those before stay enforced"),
        }
    }

    /// What is to be compiled and was not before. What cannot be read becomes a fault of whoever needs it.
    async fn missing(&self, state: &State) -> Blobs {
        let mut blobs = Blobs::new();
        for digest in Snapshot::missing(state, &self.snapshot()) {
            match self.store.blob(digest).await {
                Ok(Some(blob)) => drop(blobs.insert(digest.to_owned(), blob)),
                Ok(None) => {}
                Err(e) => warn(&e.to_string()),
            }
        }
        blobs
    }
}

/// Faults that were not there before, and that some are gone.
fn tell(now: &[Fault], before: &[Fault]) {
    for fault in now.iter().filter(|fault| !before.contains(fault)) {
        warn(&format!("{} is not served: {}", printable(&fault.name), printable(&fault.what)));
    }
    for fault in before.iter().filter(|fault| now.iter().all(|other| other.name != fault.name)) {
        warn(&format!("{} is in order again", printable(&fault.name)));
    }
}
