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
    chunk: Chunk,
    /// Whether the chunk has lines, for readers to see.
    holds_lines: Arc<AtomicBool>,
}

/// Lines that go to the file in one piece, and what an index needs to know of them.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub bytes: Vec<u8>,
    /// Where each line ends, behind its LF.
    pub ends: Vec<u32>,
    pub spans: Vec<(Source, Span)>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let holds_lines = Arc::default();
        shared.enlist(&holds_lines);
        Self { shared, chunk: Chunk::default(), holds_lines }
    }

    /// Adds the record of a request. Never blocks: where the disk is so far behind that everything is full, the record is
    /// dropped and counted, and a line will say how many were. So it is with those of other kinds.
    pub fn append(&mut self, record: &AccessRecord<'_>) {
        if record.message.len() > crate::MAX_MESSAGE_BYTES {
            let message = bounded(&record.message).into_owned().into();
            self.push(&Record::Access(&AccessRecord { message, ..record.clone() }));
        } else {
            self.push(&Record::Access(record));
        }
    }

    /// Adds the record of a request that is about to be forwarded.
    pub fn append_admission(&mut self, record: &AdmissionRecord<'_>) {
        self.push(&Record::Admission(record));
    }

    /// Adds the record of a connection.
    pub fn append_connection(&mut self, record: &ConnectionRecord<'_>) {
        self.push(&Record::Connection(record));
    }

    /// Adds a count of refusals.
    pub fn append_refusals(&mut self, record: &RefusalsRecord<'_>) {
        self.push(&Record::Refusals(record));
    }

    fn push(&mut self, record: &Record<'_>) {
        if self.chunk.bytes.len() >= KEEP_BYTES {
            self.flush();
            if self.chunk.bytes.len() >= KEEP_BYTES {
                self.shared.count_dropped(1);
                return;
            }
        }
        self.chunk.push(record);
        if self.chunk.bytes.len() >= HAND_OVER_BYTES {
            self.flush();
        } else if self.chunk.lines() == 1 {
            self.holds_lines.store(true, Ordering::SeqCst);
        }
    }

    /// Hands over what was added since the last time. To be called every 50 ms or so; does nothing when there is nothing.
    pub fn flush(&mut self) {
        if self.chunk.lines() == 0 {
            return;
        }
        // As much again will be needed soon.
        let next = Chunk {
            bytes: Vec::with_capacity(self.chunk.bytes.len()),
            ends: Vec::with_capacity(self.chunk.ends.len()),
            spans: Vec::new(),
        };
        let chunk = std::mem::replace(&mut self.chunk, next);
        match self.shared.queue.push(chunk) {
            Ok(()) => self.shared.writer_flushed(&self.holds_lines),
            Err(chunk) => self.chunk = chunk,
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
        self.shared.count_dropped(self.chunk.lines());
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
