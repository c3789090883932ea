//! Following the records: one after the other, once they are on disk, for whoever passes them on to others.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use tokio::sync::watch;

use crate::journal::Journal;
use crate::read::Position;
use crate::search::Line;
use crate::segment::{Block, Form, Segment};

/// Bytes of lines that are read for one batch, whoever wants them.
const SCAN_BYTES: usize = 8 * 1024 * 1024;

/// Records that follow a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Those that are wanted, in their order.
    pub lines: Vec<Line>,
    /// Behind the last one that was looked at; the next batch begins here.
    pub next: Position,
    /// Records that were not looked at, since they are not kept any longer, or damaged.
    pub missing: u64,
}

/// Where a batch ends, though more records follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Of records.
    pub records: usize,
    /// Of their bytes; the last record may be beyond them.
    pub bytes: usize,
}

/// A segment that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Complete {
    /// Its file, which is never written again, and the position behind its last record.
    Sealed(PathBuf, Position),
    /// It is not kept any longer; the position behind its last record.
    Pruned(Position),
}

impl Position {
    /// The number of the record behind it: the first one has 0.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl Journal {
    /// Behind the last record that is on disk. Told of each time when others come to be there, and when a segment is sealed.
    pub fn on_disk(&self) -> watch::Receiver<Position> {
        self.shared.on_disk.subscribe()
    }

    /// Records that are wanted and on disk, from a position on. One batch may be empty although more follow: they do, as long as
    /// `next` is before [`on_disk`](Self::on_disk). Blocks. Fails where a file cannot be read.
    pub fn follow(&self, after: Position, limits: BatchLimits, wants: &dyn Fn(&str) -> bool) -> io::Result<Batch> {
        let end = *self.shared.on_disk.borrow();
        let mut found = self.segment_behind(after);
        loop {
            let Some(segment) = found.filter(|segment| segment.first < end.0) else {
                return Ok(Batch { lines: Vec::new(), next: after, missing: 0 });
            };
            match self.batch(&segment, after, end, limits, wants) {
                // It was sealed or pruned meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    found = self.segment_behind(after);
                    if found.as_ref().is_some_and(|now| now.same_form(&segment)) {
                        return Err(error);
                    }
                }
                batch => return batch,
            }
        }
    }

    /// The segment that has the record behind a position, if it is complete and no longer waits to be sealed.
    pub fn complete_behind(&self, position: Position) -> Option<Complete> {
        let segment = self.segment_behind(position)?;
        let end = Position(segment.end());
        match segment.form {
            Form::Growing => None,
            Form::Sealed(_) => Some(Complete::Sealed(segment.path(&self.shared.directory), end)),
            Form::Pruned(_) => Some(Complete::Pruned(end)),
        }
    }

    /// Behind the last record that is in a complete segment.
    pub fn complete_end(&self) -> Position {
        let index = self.shared.index.read().unwrap_or_else(PoisonError::into_inner);
        Position(index.complete.last().map_or(0, |segment| segment.end()))
    }

    /// The first segment that has records behind a position.
    fn segment_behind(&self, position: Position) -> Option<Arc<Segment>> {
        let index = self.shared.index.read().unwrap_or_else(PoisonError::into_inner);
        let at = index.complete.partition_point(|segment| segment.end() <= position.0);
        match index.complete.get(at) {
            Some(segment) => Some(segment.clone()),
            None => index.current.clone().filter(|segment| segment.end() > position.0).map(Arc::new),
        }
    }

    fn batch(
        &self,
        segment: &Segment,
        after: Position,
        end: Position,
        limits: BatchLimits,
        wants: &dyn Fn(&str) -> bool,
    ) -> io::Result<Batch> {
        let end = segment.end().min(end.0);
        let start = after.0.max(segment.first);
        let mut batch = Batch { lines: Vec::new(), next: Position(start), missing: start - after.0 };
        if let Form::Pruned(_) = segment.form {
            batch.missing += end - start;
            batch.next = Position(end);
            return Ok(batch);
        }
        let open = segment.open(&self.shared)?;
        let (mut bytes, mut scanned) = (0, 0);
        for block in segment.blocks.iter().filter(|block| block.last() > start && block.first < end) {
            let lines = open.block(block)?;
            scanned += lines.as_bytes().len();
            let mut jsons = lines.iter();
            for number in block.first..block.last().min(end) {
                let json = jsons.next().unwrap_or_default();
                if number < start {
                    continue;
                }
                batch.next = Position(number + 1);
                // What is damaged is empty, or not there.
                batch.missing += u64::from(json.is_empty());
                let json = String::from_utf8_lossy(json);
                if !json.is_empty() && wants(&json) {
                    bytes += json.len();
                    batch.lines.push(Line { position: Position(number), json: json.into() });
                }
                if batch.lines.len() >= limits.records || bytes >= limits.bytes {
                    return Ok(batch);
                }
            }
            if scanned >= SCAN_BYTES {
                return Ok(batch);
            }
        }
        Ok(self.with_gap(batch, segment, end))
    }

    /// Where a segment's blocks do not reach its end, what they lack is missing.
    fn with_gap(&self, mut batch: Batch, segment: &Segment, end: u64) -> Batch {
        let reached = segment.blocks.last().map_or(segment.first, Block::last).max(batch.next.0);
        batch.missing += end.saturating_sub(reached);
        batch.next = Position(batch.next.0.max(end));
        batch
    }
}
