//! Sinks: records that go on to others.
//!
//! The journal is the spool. A sink is a cursor in it, kept on disk, and follows what is synced; the cursor moves once the other
//! side has taken what is before it. So every record arrives, in order, once at least, whatever is down meanwhile: only what
//! retention has removed by then does not, and that is counted and told.

mod backoff;
mod cursor;
mod file;
mod follower;
mod form;
mod logs;
mod metrics;
mod objects;
mod otlp;
mod outgoing;
mod progress;
mod sender;
mod webhook;
mod witness;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control::metrics::Collector;
use journal::{Journal, Position};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::answer::{Failure, warn};
use crate::config::{self, Start};
use cursor::Cursor;
use follower::Follower;
use metrics::OfSinks;
use progress::Progress;
use sender::Sender;
pub(crate) use witness::Witness;

/// All sinks of a server.
pub(crate) struct Sinks {
    followers: Vec<Follower>,
    progress: Vec<Arc<Progress>>,
    journal: Journal,
    ending: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Sinks {
    /// Finds where each goes on. Those that are new begin with what is recorded from now on, unless they say otherwise. Nothing
    /// is sent before they are [started](Self::start).
    pub(crate) fn open(sinks: &[config::Sink], directory: &Path, journal: &Journal) -> Result<Self, Failure> {
        let ending = watch::Sender::new(false);
        let instance = journal.verifier().map_or("countersign", |verifier| verifier.name());
        let mut followers = Vec::new();
        for sink in sinks {
            let cursor = Cursor::new(directory, &sink.name);
            let cursor = cursor.map_err(|e| Failure::new(format!("cannot use {}: {e}", directory.display())))?;
            let next = begin(sink, &cursor, *journal.on_disk().borrow())?;
            let sender = Sender::new(&sink.target, instance)?;
            followers.push(Follower {
                journal: journal.clone(),
                filter: Arc::new(sink.filter.clone()),
                progress: Arc::new(Progress::new(&sink.name, sender.takes_segments(), next)),
                cursor,
                sender,
                ending: ending.subscribe(),
            });
        }
        let progress = followers.iter().map(|follower| follower.progress.clone()).collect();
        Ok(Self { followers, progress, journal: journal.clone(), ending, tasks: JoinSet::new() })
    }

    /// From now on they send.
    pub(crate) fn start(&mut self) {
        self.ending.send_replace(false);
        for follower in &self.followers {
            self.tasks.spawn(follower.clone().run());
        }
    }

    /// Ends each as soon as it has sent what is on disk, or the other side fails, or the time is over. They can be started again.
    pub(crate) async fn stop(&mut self, time: Duration) {
        self.ending.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(time, ended).await;
        self.tasks.shutdown().await;
    }

    /// What they tell as metrics.
    pub(crate) fn metrics(&self, now_ms: fn() -> i64) -> impl Collector {
        OfSinks { sinks: self.progress.clone(), journal: self.journal.clone(), now_ms }
    }

    /// Whether one of them has not been taking records for a while.
    pub(crate) fn fault(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let progress = self.progress.clone();
        move || progress.iter().any(|sink| sink.is_faulty(Instant::now()))
    }
}

/// Where a sink goes on. What is said in its file holds; where a sink is new, that is written at once.
fn begin(sink: &config::Sink, cursor: &Cursor, end: Position) -> Result<Position, Failure> {
    let named = |what: &str, e: std::io::Error| Failure::new(format!("cannot {what} {}: {e}", cursor.path().display()));
    let known = cursor.read().map_err(|e| named("read", e))?;
    let next = match (known, sink.start) {
        (Some(next), _) if next <= end.number() => return Ok(Position::from(u128::from(next))),
        (Some(_), _) => {
            warn(&format!(
                "the sink {} was further than the records are, which are others now: it begins anew",
                sink.name
            ));
            Position::from(0)
        }
        (None, Start::End) => end,
        (None, Start::Beginning) => Position::from(0),
    };
    cursor.write(next.number()).map_err(|e| named("write", e))?;
    Ok(next)
}

#[cfg(test)]
mod tests;
