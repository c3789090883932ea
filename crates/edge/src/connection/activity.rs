//! What a connection is doing, and since when.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::Close;
use crate::counters::Bound;

/// What a connection is doing, by the runtime's ticks (milliseconds since its start, advanced a few times a second).
pub(crate) struct Activity {
    tick: Rc<Cell<u64>>,
    serving: Cell<u32>,
    served: Cell<u32>,
    taken_back: Cell<u32>,
    idle_since: Cell<u64>,
    head_since: Cell<Option<u64>>,
    moved: Cell<u64>,
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
}

impl Activity {
    pub(super) fn new(tick: Rc<Cell<u64>>) -> Self {
        let now = tick.get();
        Self {
            tick,
            serving: Cell::new(0),
            served: Cell::new(0),
            taken_back: Cell::new(0),
            idle_since: Cell::new(now),
            head_since: Cell::new(None),
            moved: Cell::new(now),
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
        }
    }

    /// Bytes came from the client.
    pub(crate) fn read(&self, bytes: usize) {
        self.bytes_in.set(self.bytes_in.get() + bytes as u64);
        self.moved.set(self.tick.get());
        self.head_began();
    }

    /// What comes between requests is a head.
    pub(crate) fn head_began(&self) {
        if self.serving.get() == 0 && self.head_since.get().is_none() {
            self.head_since.set(Some(self.tick.get()));
        }
    }

    /// Bytes went to the client.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.bytes_out.set(self.bytes_out.get() + bytes as u64);
        self.moved.set(self.tick.get());
    }

    /// Bytes that came from the client, and that went to it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.bytes_in.get(), self.bytes_out.get())
    }

    /// Requests of which a head came.
    pub(super) fn requests(&self) -> u32 {
        self.served.get()
    }

    /// A request's head has come.
    pub(crate) fn begin(&self) {
        self.serving.set(self.serving.get() + 1);
        self.served.set(self.served.get().saturating_add(1));
        self.head_since.set(None);
        self.moved.set(self.tick.get());
    }

    /// A request has ended, answered or not.
    pub(crate) fn end(&self, answered: bool) {
        self.serving.set(self.serving.get().saturating_sub(1));
        self.idle_since.set(self.tick.get());
        if !answered {
            self.taken_back.set(self.taken_back.get().saturating_add(1));
        }
    }

    /// Nothing is served, and nothing of a request has come.
    pub(super) fn is_idle(&self) -> bool {
        self.serving.get() == 0 && self.head_since.get().is_none()
    }

    /// Nothing is served, and no byte has gone either way for `time`.
    pub(super) fn is_quiet(&self, time: Duration) -> bool {
        let quiet = self.tick.get().saturating_sub(self.moved.get());
        self.serving.get() == 0 && u128::from(quiet) >= time.as_millis()
    }

    /// Whether, how and why the connection has to end at `now`.
    pub(crate) fn verdict(&self, now: u64, limits: &crate::Limits, is_http2: bool) -> Option<(Close, Bound)> {
        let longer = |since: u64, limit: Duration| u128::from(now.saturating_sub(since)) > limit.as_millis();
        if self.taken_back.get() > limits.http2_resets && self.taken_back.get() > self.served.get() / 2 {
            return Some((Close::Now, Bound::Http2Resets));
        }
        if self.serving.get() > 0 {
            return longer(self.moved.get(), limits.stall_timeout).then_some((Close::Now, Bound::StallTimeout));
        }
        // In HTTP/2 what comes need not be a head.
        if !is_http2 && self.head_since.get().is_some_and(|since| longer(since, limits.header_timeout)) {
            return Some((Close::Now, Bound::HeaderTimeout));
        }
        longer(self.idle_since.get(), limits.idle_timeout).then_some((Close::Gracefully, Bound::IdleTimeout))
    }
}
