//! That one record is in the log: checked offline, with nothing but the log's verifier key.

use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use data_encoding::BASE64;

use super::CHECKPOINT;
use crate::note::{Checkpoint, NoteError, Verifier};
use crate::read::Position;
use crate::recovery::sequence_numbers;
use crate::segment::{Form, Segment};
use crate::tree::{Hash, Run, inclusion_path, leaf_hash, root_by_inclusion};

/// The first line (<https://c2sp.org/tlog-proof>).
const MAGIC: &str = "c2sp.org/tlog-proof@v1";

/// A record, and what leads from it to a signed checkpoint. Prints as a `tlog-proof` whose extra data is the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The record's JSON.
    pub record: Vec<u8>,
    /// Its number.
    pub index: u64,
    /// An audit path (RFC 6962 section 2.1.1), from the leaf up.
    pub path: Vec<Hash>,
    /// A signed note.
    pub checkpoint: String,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It does not have the form of one.
    #[error("this is no proof")]
    Form,
    /// Its checkpoint is not one of the expected log.
    #[error("the checkpoint in it cannot be trusted: {0}")]
    Note(#[from] NoteError),
    /// The record does not lead to the checkpoint's root.
    #[error("the record is not in the log that the checkpoint is about")]
    Root,
}

/// Proves a record by the newest checkpoint of `directory` (`DIR/journal`). `None` where that is not about it yet, or the record is
/// not kept any longer.
pub fn prove(directory: &Path, verifier: &Verifier, position: Position) -> io::Result<Option<Proof>> {
    let note = match fs::read_to_string(directory.join(CHECKPOINT)) {
        Ok(note) => note,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let checkpoint = verifier.checkpoint(&note).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let Position(index) = position;
    if index >= checkpoint.size {
        return Ok(None);
    }
    let log = Log::open(directory)?;
    let Some(record) = log.record(index)? else { return Ok(None) };
    let path = inclusion_path(index, checkpoint.size).into_iter().map(|range| Ok(log.run(range)?.root()));
    let path = path.collect::<io::Result<_>>()?;
    Ok(Some(Proof { record, index, path, checkpoint: note }))
}

impl Proof {
    /// The checkpoint by which the record is in the log.
    pub fn verify(&self, verifier: &Verifier) -> Result<Checkpoint, ProofError> {
        let checkpoint = verifier.checkpoint(&self.checkpoint)?;
        let root = root_by_inclusion(leaf_hash(&self.record), self.index, checkpoint.size, &self.path);
        if root == Some(checkpoint.root) { Ok(checkpoint) } else { Err(ProofError::Root) }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{MAGIC}\nextra {}\nindex {}", BASE64.encode(&self.record), self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Proof {
    type Err = ProofError;

    fn from_str(text: &str) -> Result<Self, ProofError> {
        let parse = || {
            let (head, checkpoint) = text.split_once("\n\n")?;
            let mut lines = head.lines();
            lines.next().filter(|line| *line == MAGIC)?;
            let record = BASE64.decode(lines.next()?.strip_prefix("extra ")?.as_bytes()).ok()?;
            let index = lines.next()?.strip_prefix("index ")?.parse().ok()?;
            let path = lines.map(|line| BASE64.decode(line.as_bytes()).ok()?.try_into().ok()).collect::<Option<_>>()?;
            Some(Self { record, index, path, checkpoint: checkpoint.to_owned() })
        };
        parse().ok_or(ProofError::Form)
    }
}

/// Segments of a directory, to read some of their records.
struct Log<'a> {
    directory: &'a Path,
    segments: Vec<Segment>,
}

impl<'a> Log<'a> {
    fn open(directory: &'a Path) -> io::Result<Self> {
        let segments = sequence_numbers(directory)?.into_iter().map(|first| Ok(Segment::find(directory, first)?));
        Ok(Self { directory, segments: segments.collect::<io::Result<_>>()? })
    }

    /// Of records that are there.
    fn run(&self, range: Range<u64>) -> io::Result<Run> {
        let mut run = Run::at(range.start);
        let overlaps =
            |segment: &&Segment| segment.first < range.end && (segment.is_growing() || segment.end() > range.start);
        for segment in self.segments.iter().filter(overlaps) {
            let whole = match &segment.form {
                Form::Sealed(sealed) => Some(&sealed.run),
                Form::Pruned(run) => Some(&**run),
                Form::Growing => None,
            };
            let next = run.range().end;
            match whole.and_then(|whole| whole.part(next..range.end.min(segment.end()))) {
                Some(part) => drop(run.extend(&part)),
                None => segment.each(self.directory, next..range.end, &mut |json| {
                    run.append(leaf_hash(json));
                    Ok(())
                })?,
            }
        }
        let whole = run.range() == range;
        whole.then_some(run).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "records of the log are missing"))
    }

    fn record(&self, index: u64) -> io::Result<Option<Vec<u8>>> {
        let mut record = None;
        for segment in self.segments.iter().filter(|segment| segment.first <= index) {
            segment.each(self.directory, index..index + 1, &mut |json| {
                record = Some(json.to_vec());
                Ok(())
            })?;
        }
        Ok(record)
    }
}
