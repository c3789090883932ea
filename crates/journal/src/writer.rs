//! The end of the journal that a core holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::index::{Source, Span};
use crate::journal::Shared;
use crate::line;
use crate::record::{AccessRecord, Record, bounded};

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
    pub lines: u64,
    pub spans: Vec<(Source, Span)>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let holds_lines = Arc::default();
        shared.enlist(&holds_lines);
        Self { shared, chunk: Chunk::default(), holds_lines }
    }

    /// Adds a record. Never blocks: where the disk is so far behind that everything is full, the record is dropped and
    /// counted, and a line will say how many were.
    pub fn append(&mut self, record: &AccessRecord<'_>) {
        if self.chunk.bytes.len() >= KEEP_BYTES {
            self.flush();
            if self.chunk.bytes.len() >= KEEP_BYTES {
                self.shared.count_dropped(1);
                return;
            }
        }
        if record.message.len() > crate::MAX_MESSAGE_BYTES {
            let message = bounded(&record.message).into_owned().into();
            self.chunk.push_access(&AccessRecord { message, ..record.clone() });
        } else {
            self.chunk.push_access(record);
        }
        if self.chunk.bytes.len() >= HAND_OVER_BYTES {
            self.flush();
        } else if self.chunk.lines == 1 {
            self.holds_lines.store(true, Ordering::SeqCst);
        }
    }

    /// Hands over what was added since the last time. To be called every 50 ms or so; does nothing when there is nothing.
    pub fn flush(&mut self) {
        if self.chunk.lines == 0 {
            return;
        }
        // As much again will be needed soon.
        let next = Chunk { bytes: Vec::with_capacity(self.chunk.bytes.len()), ..Chunk::default() };
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
        self.shared.count_dropped(self.chunk.lines);
    }
}

impl Chunk {
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        let (time_ms, ingested_ms, region, group, stream) = match record {
            Record::Access(r) => (r.time_ms, r.time_ms, &*r.region, &*r.group, &*r.stream),
            Record::Event(r) => (r.time_ms, r.ingested_ms, r.region, r.group, r.stream),
            Record::Dropped { time_ms, .. } => (*time_ms, *time_ms, "", "", ""),
        };
        if line::push(&mut self.bytes, |out| record.write(out)) {
            self.lines += 1;
            Span::at(time_ms, ingested_ms).note(&mut self.spans, region, group, stream);
        }
    }

    fn push_access(&mut self, record: &AccessRecord<'_>) {
        self.push(&Record::Access(record));
    }
}
