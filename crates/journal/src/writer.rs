//! The end of the journal that a core holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::journal::Shared;
use crate::line::{self, Chain};
use crate::record::{AccessRecord, AdmissionRecord, ConnectionRecord, Record, RefusalsRecord, bounded};
use crate::segment::{Source, Span};
use crate::tree::{Hash, leaf_hash};

/// Bytes at which lines are handed over without being asked to.
const HAND_OVER_BYTES: usize = 64 * 1024;
/// Bytes that a writer keeps while the queue is full, before it drops records.
const KEEP_BYTES: usize = 1024 * 1024;

/// Takes the records of one core or runtime, without a lock; hands them over in pieces.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    durable: Chunk,
    best_effort: Chunk,
    /// Whether one of the chunks has lines, for readers to see.
    holds_lines: Arc<AtomicBool>,
}

/// What becomes of a record when the disk is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Keeping {
    /// It is on disk soon ([`Options::sync_after`](crate::Options::sync_after)), and dropped only where everything is full.
    #[default]
    Durable,
    /// Nothing is synced for its sake, and it is dropped where half is full.
    BestEffort,
}

/// Lines that go to the file in one piece, and what an index needs to know of them.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub bytes: Vec<u8>,
    /// Where each line ends, behind its LF.
    pub ends: Vec<u32>,
    pub spans: Vec<(Source, Span)>,
    /// Of its lines.
    pub keeping: Keeping,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let holds_lines = Arc::default();
        shared.enlist(&holds_lines);
        let best_effort = Chunk { keeping: Keeping::BestEffort, ..Chunk::default() };
        Self { shared, durable: Chunk::default(), best_effort, holds_lines }
    }

    /// Adds the record of a request. Never blocks: where the disk is so far behind that everything is full, the record is
    /// dropped and counted, and a line will say how many were. So it is with those of other kinds.
    pub fn append(&mut self, record: &AccessRecord<'_>) {
        self.append_as(record, Keeping::Durable);
    }

    /// As [`append`](Self::append).
    pub fn append_as(&mut self, record: &AccessRecord<'_>, keeping: Keeping) {
        if record.message.len() > crate::MAX_MESSAGE_BYTES {
            let message = bounded(&record.message).into_owned().into();
            self.push(&Record::Access(&AccessRecord { message, ..record.clone() }), keeping);
        } else {
            self.push(&Record::Access(record), keeping);
        }
    }

    /// Adds the record of a request that is about to be forwarded. `false`: it was dropped.
    #[must_use]
    pub fn append_admission(&mut self, record: &AdmissionRecord<'_>) -> bool {
        self.push(&Record::Admission(record), Keeping::Durable)
    }

    /// Adds the record of a connection.
    pub fn append_connection(&mut self, record: &ConnectionRecord<'_>, keeping: Keeping) {
        self.push(&Record::Connection(record), keeping);
    }

    /// Adds a count of refusals.
    pub fn append_refusals(&mut self, record: &RefusalsRecord<'_>) {
        self.push(&Record::Refusals(record), Keeping::Durable);
    }

    /// `false`: there was no room.
    fn push(&mut self, record: &Record<'_>, keeping: Keeping) -> bool {
        let limit = match keeping {
            Keeping::Durable => KEEP_BYTES,
            Keeping::BestEffort => KEEP_BYTES / 2,
        };
        if self.chunk(keeping).bytes.len() >= limit {
            self.hand_over(keeping);
            if self.chunk(keeping).bytes.len() >= limit {
                self.shared.count_dropped(1);
                return false;
            }
        }
        let chunk = self.chunk(keeping);
        chunk.push(record);
        let (bytes, lines) = (chunk.bytes.len(), chunk.lines());
        if bytes >= HAND_OVER_BYTES {
            self.hand_over(keeping);
        } else if lines == 1 {
            self.holds_lines.store(true, Ordering::SeqCst);
        }
        true
    }

    /// Hands over what was added since the last time. To be called every 50 ms or so; does nothing when there is nothing. `false`:
    /// something is still here, because too much waits for the disk already.
    pub fn flush(&mut self) -> bool {
        self.hand_over(Keeping::BestEffort);
        self.hand_over(Keeping::Durable);
        self.durable.lines() == 0 && self.best_effort.lines() == 0
    }

    fn hand_over(&mut self, keeping: Keeping) {
        let chunk = self.chunk(keeping);
        if chunk.lines() == 0 {
            return;
        }
        // As much again will be needed soon.
        let next = Chunk {
            bytes: Vec::with_capacity(chunk.bytes.len()),
            ends: Vec::with_capacity(chunk.ends.len()),
            spans: Vec::new(),
            keeping,
        };
        let chunk = std::mem::replace(chunk, next);
        match self.shared.queue.push(chunk) {
            Ok(()) if self.durable.lines() == 0 && self.best_effort.lines() == 0 => {
                self.shared.writer_flushed(&self.holds_lines);
            }
            Ok(()) => {}
            Err(chunk) => *self.chunk(keeping) = chunk,
        }
    }

    fn chunk(&mut self, keeping: Keeping) -> &mut Chunk {
        match keeping {
            Keeping::Durable => &mut self.durable,
            Keeping::BestEffort => &mut self.best_effort,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
        self.shared.count_dropped(self.durable.lines() + self.best_effort.lines());
    }
}

impl Chunk {
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        if line::push(&mut self.bytes, |out| record.write(out)) {
            self.end_line();
            let head = record.head();
            let span = Span::at(head.time_ms, head.ingested_ms());
            span.note(&mut self.spans, &head.region, &head.group, &head.stream);
        }
    }

    /// What was appended to the bytes is a line.
    pub(crate) fn end_line(&mut self) {
        // What is longer than this is handed over long before.
        self.ends.push(self.bytes.len() as u32);
    }

    pub(crate) fn lines(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Puts the checks of its lines, which follow those of the chain.
    pub(crate) fn link(&mut self, chain: &mut Chain) {
        let mut start = 0;
        for &end in &self.ends {
            chain.link(&mut self.bytes[start..end as usize]);
            start = end as usize;
        }
    }

    /// Of its records.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = Hash> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let line = &self.bytes[start..end as usize - 1];
            start = end as usize;
            leaf_hash(line::json(line).unwrap_or(line))
        })
    }
}
