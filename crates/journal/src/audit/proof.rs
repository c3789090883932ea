//! That one record is in the log: checked offline, with nothing but the log's verifier key.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::Path;
use std::str::FromStr;

use data_encoding::BASE64;

use super::CHECKPOINT;
use crate::line;
use crate::note::{Checkpoint, NoteError, Verifier};
use crate::read::Position;
use crate::recovery::{MAX_LINE_BYTES, sequence_numbers};
use crate::segment::{Form, SealedError, Segment};
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
    let mut record = None;
    log.lines(index..index + 1, &mut |json| record = Some(json.to_vec()))?;
    let Some(record) = record else { return Ok(None) };
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
        let mut segments = Vec::new();
        for first in sequence_numbers(directory)? {
            let segment = match Segment::read_sealed(directory, first) {
                Ok(segment) => segment,
                Err(SealedError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    Segment::read_pruned(directory, first)?.unwrap_or_else(|| Segment::growing(first))
                }
                Err(SealedError::Io(error)) => return Err(error),
                Err(error @ SealedError::Damaged) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            };
            segments.push(segment);
        }
        Ok(Self { directory, segments })
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
                None => self.lines_of(segment, next..range.end, &mut |json| run.append(leaf_hash(json)))?,
            }
        }
        let whole = run.range() == range;
        whole.then_some(run).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "records of the log are missing"))
    }

    fn lines(&self, range: Range<u64>, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let overlaps = |segment: &&Segment| segment.first < range.end;
        self.segments.iter().filter(overlaps).try_for_each(|segment| self.lines_of(segment, range.clone(), each))
    }

    fn lines_of(&self, segment: &Segment, range: Range<u64>, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let path = segment.path(self.directory);
        match &segment.form {
            Form::Pruned(_) => {}
            Form::Sealed(sealed) => {
                let file = File::open(path)?;
                let header = sealed.header(&file)?;
                let wanted = |block: &&crate::segment::Block| block.first < range.end && block.last() > range.start;
                for block in segment.blocks.iter().filter(wanted) {
                    let (_, lines) = sealed.raw_block(&file, &header, block)?;
                    let numbered = (block.first..).zip(lines.iter());
                    numbered.filter(|(number, _)| range.contains(number)).for_each(|(_, json)| each(json));
                }
            }
            Form::Growing => {
                let mut reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
                let mut text = Vec::new();
                for number in segment.first..range.end {
                    text.clear();
                    reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut text)?;
                    let Some(line) = text.strip_suffix(b"\n") else { break };
                    if range.contains(&number) {
                        each(line::json(line).unwrap_or(line));
                    }
                }
            }
        }
        Ok(())
    }
}
