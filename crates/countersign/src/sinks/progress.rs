//! How a sink is doing: how far it has come, what it has sent, why it cannot.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use journal::Position;

use crate::answer::{printable, warn};

/// From then on a failure is a fault of the server.
const FAULT_AFTER: Duration = Duration::from_secs(60);
/// Characters of what somebody else has said.
const MAX_WHY_CHARS: usize = 400;

/// Shared by the one who sends and those who ask.
#[derive(Debug)]
pub(crate) struct Progress {
    name: String,
    /// It takes segments, not records.
    takes_segments: bool,
    state: Mutex<State>,
}

/// What is told of a sink.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// The first record that it has not taken.
    pub(super) next: Position,
    /// When the oldest record that it is to take, and has not, is from, in milliseconds.
    pub(super) oldest_ms: Option<i64>,
    /// Records that it has taken.
    pub(super) sent: u64,
    /// Attempts that failed.
    pub(super) failures: u64,
    /// Records that it does not take, whatever is done.
    pub(super) rejected: u64,
    /// Records that were removed, or damaged, before it could take them.
    pub(super) missed: u64,
    /// Since when every attempt has failed.
    failing_since: Option<Instant>,
}

impl Progress {
    pub(super) fn new(name: &str, takes_segments: bool, next: Position) -> Self {
        let state = State { next, oldest_ms: None, sent: 0, failures: 0, rejected: 0, missed: 0, failing_since: None };
        Self { name: name.to_owned(), takes_segments, state: Mutex::new(state) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn takes_segments(&self) -> bool {
        self.takes_segments
    }

    pub(super) fn state(&self) -> State {
        self.lock().clone()
    }

    /// A record from that time waits.
    pub(super) fn waits(&self, oldest_ms: Option<i64>) {
        self.lock().oldest_ms = oldest_ms;
    }

    /// It has come so far without anybody being asked.
    pub(super) fn passes(&self, next: Position) {
        self.lock().next = next;
    }

    /// Records were removed before it has taken them.
    pub(super) fn misses(&self, records: u64) {
        if records > 0 {
            self.lock().missed += records;
            self.warn(&format!("has missed {records} records, which were removed or damaged before it took them"));
        }
    }

    /// It has taken that many.
    pub(super) fn takes(&self, next: Position, records: u64) {
        let mut state = self.lock();
        state.next = next;
        state.sent += records;
        let was_failing = state.failing_since.take();
        drop(state);
        if let Some(since) = was_failing {
            self.warn(&format!("takes records again, after {} s", since.elapsed().as_secs()));
        }
    }

    /// It will not take them.
    pub(super) fn rejects(&self, records: u64, why: &str) {
        if records > 0 {
            self.lock().rejected += records;
            self.warn(&format!("does not take {records} records at all: {}", bounded(why)));
        }
    }

    /// An attempt has failed. That is told once.
    pub(super) fn fails(&self, why: &str) {
        let mut state = self.lock();
        state.failures += 1;
        let told = state.failing_since.is_some();
        state.failing_since.get_or_insert_with(Instant::now);
        drop(state);
        if !told {
            self.warn(&format!("does not take records, which wait in the journal: {}", bounded(why)));
        }
    }

    /// Whether it has been failing for so long at that time that somebody should look.
    pub(super) fn is_faulty(&self, now: Instant) -> bool {
        self.lock().failing_since.is_some_and(|since| now.saturating_duration_since(since) >= FAULT_AFTER)
    }

    fn warn(&self, what: &str) {
        warn(&format!("the sink {} {what}", self.name));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What others say, in a line of ours.
fn bounded(why: &str) -> String {
    printable(&why.chars().take(MAX_WHY_CHARS).collect::<String>()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_becomes_a_fault_and_ends_with_what_is_taken() {
        let progress = Progress::new("siem", false, Position::from(0));
        let soon = Instant::now() + FAULT_AFTER / 2;
        let late = Instant::now() + 2 * FAULT_AFTER;
        assert!(!progress.is_faulty(late));
        progress.fails("it is down");
        progress.fails("it is down");
        assert!(!progress.is_faulty(soon) && progress.is_faulty(late));
        progress.takes(Position::from(5), 3);
        let State { next, sent, failures, .. } = progress.state();
        assert!(!progress.is_faulty(late));
        assert_eq!((next.number(), sent, failures), (5, 3, 2));
    }

    #[test]
    fn what_others_say_is_bounded() {
        assert_eq!(bounded("a\nb\u{1b}"), "a\\nb\\u{1b}");
        assert_eq!(bounded(&"x".repeat(10_000)).len(), MAX_WHY_CHARS);
    }
}
