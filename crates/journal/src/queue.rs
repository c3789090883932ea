//! What lies between the cores and the thread that writes.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::writer::{Chunk, Keeping};

/// First in, first out. Lines are bounded in bytes; requests to write or sync are not held back by them.
pub(crate) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
    /// Bytes of lines that may wait.
    limit: usize,
}

pub(crate) enum Item {
    Chunk(Chunk),
    /// To be answered once everything before it is written to the file, and what is wished is done.
    Request {
        wish: Wish,
        reply: Reply,
    },
}

/// What is to be done once everything before is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Nothing,
    Sync,
    /// [`Sync`](Self::Sync), and sign for it.
    Checkpoint,
    /// [`Sync`](Self::Sync), and keep no segments of which all records are older than that many milliseconds since 1970.
    Prune(i64),
    /// Write segments no more: another process does from now on.
    Release,
    /// Write segments again.
    Reclaim,
}

pub(crate) type Reply = Box<dyn FnOnce(io::Result<()>) + Send>;

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), ready: Condvar::new(), limit }
    }

    /// Hands lines over; gives them back when too many wait already, or the queue is closed.
    pub(crate) fn push(&self, chunk: Chunk) -> Result<(), Chunk> {
        let limit = match chunk.keeping {
            Keeping::Durable => self.limit,
            Keeping::BestEffort => self.limit / 2,
        };
        let mut state = self.lock();
        if state.closed || state.bytes >= limit {
            return Err(chunk);
        }
        state.bytes += chunk.bytes.len();
        state.items.push_back(Item::Chunk(chunk));
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Asks for everything before to be written; `reply` is told, at once when the queue is closed.
    pub(crate) fn request(&self, wish: Wish, reply: Reply) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return reply(Err(io::Error::other("the journal is closed")));
        }
        state.items.push_back(Item::Request { wish, reply });
        drop(state);
        self.ready.notify_one();
    }

    /// All that waits, after waiting for something until `deadline`; and whether nothing can follow.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> (VecDeque<Item>, bool) {
        let mut state = self.lock();
        while state.items.is_empty() && !state.closed {
            state = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self.ready.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => self.ready.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        state.bytes = 0;
        (std::mem::take(&mut state.items), state.closed)
    }

    /// Bytes of lines that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().bytes
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_room_is_for_what_is_to_be_durable() {
        let queue = Queue::new(100);
        let push = |keeping, bytes| {
            let chunk = Chunk { bytes: vec![0; bytes], keeping, ..Chunk::default() };
            queue.push(chunk).is_ok()
        };
        assert!(push(Keeping::BestEffort, 50));
        assert!(!push(Keeping::BestEffort, 1));
        assert!(push(Keeping::Durable, 50));
        assert!(!push(Keeping::Durable, 1));
        drop(queue.take(None));
        assert!(push(Keeping::BestEffort, 1));
    }
}
