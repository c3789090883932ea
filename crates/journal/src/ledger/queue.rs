//! What lies between the cores and the thread that writes the ledger.

use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::LedgerError;
use super::entry::{Sighting, Span};

/// Bytes of sightings that may wait; what comes on top is dropped and counted.
const LIMIT: usize = 32 * 1024 * 1024;
/// Bytes up to which those of refused clients are taken: strangers are not to crowd out clients.
const REFUSED_LIMIT: usize = LIMIT / 2;
/// Bytes of a sighting besides its chain.
const OVERHEAD: usize = 512;

/// Bounded in bytes; never blocks those who put something in.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<Waiting>,
    ready: Condvar,
}

/// Where the answer to a request for everything to be written goes.
pub(super) type Reply = SyncSender<Result<(), LedgerError>>;

/// What waits.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) sightings: Vec<Sighting>,
    pub(super) dropped: Option<Span>,
    pub(super) sampled_out: Option<Span>,
    /// Who is to be told when all this is written.
    pub(super) requests: Vec<Reply>,
    /// Nothing can follow.
    pub(super) closed: bool,
    bytes: usize,
}

impl Queue {
    pub(super) fn push(&self, sightings: impl IntoIterator<Item = Sighting>) {
        let mut state = self.lock();
        for sighting in sightings {
            let bytes = sighting.chain.bytes() + OVERHEAD;
            let limit = if sighting.is_trusted() { LIMIT } else { REFUSED_LIMIT };
            if state.closed || state.bytes + bytes > limit {
                Span::add(&mut state.dropped, 1, sighting.at_ms);
            } else {
                state.bytes += bytes;
                state.sightings.push(sighting);
            }
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Refused clients were seen of which nothing is told.
    pub(super) fn left_out(&self, count: u64, at_ms: i64) {
        Span::add(&mut self.lock().sampled_out, count, at_ms);
    }

    /// Asks for everything before to be written; `reply` is told, at once when the queue is closed.
    pub(super) fn request(&self, reply: Reply) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            // Whoever asked may have stopped waiting.
            let _ = reply.try_send(Err(LedgerError::Unavailable("the ledger is closed".to_owned())));
        } else {
            state.requests.push(reply);
            drop(state);
            self.ready.notify_one();
        }
    }

    /// All that waits, after waiting for something until `deadline`.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Waiting {
        let mut state = self.lock();
        while state.is_empty() && !state.closed {
            state = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => self.ready.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        let closed = state.closed;
        std::mem::replace(&mut *state, Waiting { closed, ..Waiting::default() })
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing is left half done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.sightings.is_empty() && self.requests.is_empty() && self.dropped.is_none() && self.sampled_out.is_none()
    }
}
