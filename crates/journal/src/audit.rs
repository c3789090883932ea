//! Holding the records to what was signed for them: verifying all of them, and proving one.
//!
//! Only files are read, so a copy of `DIR/journal` will do, and the server may be running.

mod proof;
mod tiles;

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::line::{self, Chain};
use crate::note::{Checkpoint, NoteError, Verifier};
use crate::recorder::CHECKPOINT;
use crate::recovery::{MAX_LINE_BYTES, sequence_numbers};
use crate::segment::{CHECK_BYTES, Form, GROWING, SealedError, Segment, path, pruning};
use crate::tree::{Hash, Run, leaf_hash};

pub use proof::{Proof, ProofError, prove};
pub use tiles::{Exported, export};

/// Findings that are told one by one.
const MAX_FINDINGS: usize = 100;

/// What verifying found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Records of the log, those included that are not kept any longer.
    pub records: u64,
    /// Those that were pruned.
    pub pruned: u64,
    /// Records up to here are those of a checkpoint that is held elsewhere. `None`: none was, so whoever can write here can have
    /// changed anything together with what would show it.
    pub held_elsewhere: Option<u64>,
    /// Records up to here are those of the newest checkpoint beside them.
    pub signed: Option<u64>,
    /// What is wrong; empty: nothing.
    pub findings: Vec<Finding>,
    /// More findings than are told.
    pub more: u64,
}

/// Something that is not as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Numbers of the records that it is about: the first, and the one behind the last.
    pub records: Range<u64>,
    /// The file.
    pub file: PathBuf,
    /// One sentence.
    pub what: String,
}

/// A checkpoint that the records are held to.
struct Target {
    size: u64,
    root: Hash,
    elsewhere: bool,
}

/// Verifies `directory` (`DIR/journal`): every record against the hashes beside it, and all of them against the newest checkpoint
/// there and those that are `held_elsewhere`. Reads everything.
///
/// Fails where a file cannot be read for another reason than what is in it.
pub fn verify(directory: &Path, verifier: &Verifier, held_elsewhere: &[Checkpoint]) -> io::Result<Report> {
    let mut targets: Vec<Target> = held_elsewhere.iter().map(|checkpoint| Target::of(checkpoint, true)).collect();
    let mut audit =
        Audit { directory, verifier, tree: Run::at(0), report: Report::default(), targets: Vec::new(), good: 0 };
    match own_checkpoint(directory, verifier)? {
        Some(Ok(checkpoint)) => targets.push(Target::of(&checkpoint, false)),
        Some(Err(error)) => {
            audit.find(0..0, &directory.join(CHECKPOINT), format!("the newest checkpoint is none: {error}"))
        }
        None => {}
    }
    targets.sort_by_key(|target| target.size);
    audit.targets = targets;
    audit.meet_targets();
    for first in sequence_numbers(directory)? {
        audit.segment(first)?;
    }
    Ok(audit.end())
}

/// The newest checkpoint of a directory, if there is one.
fn own_checkpoint(directory: &Path, verifier: &Verifier) -> io::Result<Option<Result<Checkpoint, NoteError>>> {
    match fs::read(directory.join(CHECKPOINT)) {
        Ok(note) => Ok(Some(verifier.checkpoint(&String::from_utf8_lossy(&note)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Target {
    fn of(checkpoint: &Checkpoint, elsewhere: bool) -> Self {
        Self { size: checkpoint.size, root: checkpoint.root, elsewhere }
    }
}

struct Audit<'a> {
    directory: &'a Path,
    verifier: &'a Verifier,
    /// Of the records so far.
    tree: Run,
    report: Report,
    /// Not met yet; by size.
    targets: Vec<Target>,
    /// Records up to here are those of a checkpoint.
    good: u64,
}

impl Audit<'_> {
    fn segment(&mut self, first: u64) -> io::Result<()> {
        let next = self.next();
        if first < next {
            let file = path(self.directory, first, "*");
            self.find(first..next, &file, "two segments say that they hold these records".to_owned());
            return Ok(());
        }
        if first > next {
            self.missing(next..first);
        }
        let sealed = match Segment::read_sealed(self.directory, first) {
            Ok(segment) => Some(segment),
            Err(SealedError::Io(error)) if error.kind() == io::ErrorKind::NotFound => None,
            Err(SealedError::Io(error)) => return Err(error),
            Err(SealedError::Damaged) => {
                let file = path(self.directory, first, crate::segment::SEALED);
                let what = "the segment is damaged at its end, and its records cannot be read".to_owned();
                self.find(first..first + 1, &file, what);
                None
            }
        };
        if let Some(segment) = sealed {
            return self.sealed(&segment);
        }
        match Segment::read_pruned(self.directory, first) {
            Ok(Some(segment)) => self.pruned(&segment),
            Ok(None) => self.growing(first),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.find(first..first + 1, &path(self.directory, first, crate::segment::PRUNED), error.to_string());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn sealed(&mut self, segment: &Segment) -> io::Result<()> {
        let Form::Sealed(sealed) = &segment.form else { return Ok(()) };
        let path = segment.path(self.directory);
        let (findings, mut run) = (self.report.findings.len(), Run::at(segment.first));
        let file = File::open(&path)?;
        let header = sealed.header(&file);
        if !sealed.has_terms(&file) {
            let what = "what leads to these records when they are looked for was changed or damaged".to_owned();
            self.find(segment.first..segment.end(), &path, what);
        }
        for block in &segment.blocks {
            let read = header.as_ref().map_err(again).and_then(|header| sealed.raw_block(&file, header, block));
            let (checks, lines) = match read {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let records = block.first..block.last();
                    self.find(
                        records.clone(),
                        &path,
                        "these records were changed or damaged, and cannot be read".to_owned(),
                    );
                    self.skip(records, &mut run);
                    continue;
                }
                Err(error) => return Err(error),
            };
            for ((check, json), number) in checks.chunks_exact(CHECK_BYTES).zip(lines.iter()).zip(block.first..) {
                let leaf = leaf_hash(json);
                if leaf[..CHECK_BYTES] != *check {
                    self.find(
                        number..number + 1,
                        &path,
                        format!("the record was changed; it is now {}", Summary(json)),
                    );
                }
                run.append(leaf);
                self.append(leaf);
            }
        }
        if run != sealed.run && self.report.findings.len() == findings {
            let what = "some of these records are not those that were sealed".to_owned();
            self.find(segment.first..segment.end(), &path, what);
        }
        Ok(())
    }

    fn pruned(&mut self, segment: &Segment) -> io::Result<()> {
        let Form::Pruned(run) = &segment.form else { return Ok(()) };
        let path = segment.path(self.directory);
        let note = Segment::pruning_note(self.directory, segment.first)?;
        let signed = note.as_deref().ok_or_else(|| NoteError::Unsigned(self.verifier.name().to_owned()));
        let range = run.range();
        match signed.and_then(|note| self.verifier.open(note)) {
            Ok(text) if text.starts_with(&pruning(self.verifier.name(), run)[..]) => {
                self.report.pruned += range.end - range.start;
            }
            Ok(_) => {
                self.find(range.clone(), &path, "what says that these records were pruned is about others".to_owned())
            }
            Err(error) => {
                self.find(range.clone(), &path, format!("these records are gone, and nobody signs for it: {error}"));
            }
        }
        // Checkpoints within cannot be checked any more.
        self.targets.retain(|target| target.size <= range.start || target.size >= range.end);
        let _ = self.tree.extend(run);
        self.meet_targets();
        Ok(())
    }

    fn growing(&mut self, first: u64) -> io::Result<()> {
        let path = path(self.directory, first, GROWING);
        let mut reader = match File::open(&path) {
            Ok(file) => BufReader::with_capacity(256 * 1024, file),
            // Sealed since a moment, or said to be damaged already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let (mut chain, mut text) = (Chain::default(), Vec::new());
        loop {
            text.clear();
            reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut text)?;
            // The last may be on its way.
            let Some(line) = text.strip_suffix(b"\n") else { return Ok(()) };
            let number = self.next();
            if chain.follow(line).is_none() {
                let what = match line::json(line).filter(|json| serde_json::from_slice::<Parts<'_>>(json).is_ok()) {
                    None => "the record was changed or damaged, and cannot be read".to_owned(),
                    Some(json) => {
                        format!("the record was changed, or records before it are gone or elsewhere: {}", Summary(json))
                    }
                };
                self.find(number..number + 1, &path, what);
            }
            self.append(leaf_hash(line::json(line).unwrap_or(line)));
        }
    }

    fn missing(&mut self, records: Range<u64>) {
        let file = path(self.directory, records.start, "*");
        self.find(records.clone(), &file, "these records are missing".to_owned());
        let mut run = Run::at(records.start);
        self.skip(records, &mut run);
    }

    /// Records that nobody knows.
    fn skip(&mut self, records: Range<u64>, run: &mut Run) {
        let unknown = Run::unknown(records.clone());
        let _ = run.extend(&unknown);
        let _ = self.tree.extend(&unknown);
        // What was signed for them is not there any more; that they are gone is said.
        self.targets.retain(|target| target.size <= records.start || target.size > records.end);
    }

    fn append(&mut self, leaf: Hash) {
        self.tree.append(leaf);
        self.meet_targets();
    }

    fn next(&self) -> u64 {
        self.tree.range().end
    }

    /// Compares with the checkpoints that are about as many records as there are so far.
    fn meet_targets(&mut self) {
        while self.targets.first().is_some_and(|target| target.size == self.next()) {
            let target = self.targets.remove(0);
            if target.root == self.tree.root() {
                self.good = target.size;
                let reached = if target.elsewhere { &mut self.report.held_elsewhere } else { &mut self.report.signed };
                *reached = Some(target.size);
                continue;
            }
            // Where it is known what was changed, this says nothing more.
            if !self.report.findings.iter().any(|finding| finding.records.end > self.good) {
                let where_ = if target.elsewhere { "held elsewhere" } else { "beside them" };
                let what =
                    format!("records among these were changed: they are not those of the checkpoint that is {where_}");
                self.find(self.good..target.size, &self.directory.join(CHECKPOINT), what);
            }
        }
    }

    fn find(&mut self, records: Range<u64>, file: &Path, what: String) {
        if self.report.findings.len() == MAX_FINDINGS {
            self.report.more += 1;
        } else {
            self.report.findings.push(Finding { records, file: file.to_owned(), what });
        }
    }

    fn end(mut self) -> Report {
        let here = self.next();
        if let Some(target) = self.targets.last() {
            let what = format!("the last records are gone: a checkpoint is about {} of them", target.size);
            self.find(here..target.size, &path(self.directory, here, "*"), what);
        }
        self.report.records = here;
        self.report
    }
}

/// What a person knows a record by.
struct Summary<'a>(&'a [u8]);

#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    time_ms: i64,
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(parts) = serde_json::from_slice::<Parts<'_>>(self.0) else { return f.write_str("no record") };
        let kind = parts.kind.escape_debug();
        let nanos = i128::from(parts.time_ms) * 1_000_000;
        let time = time::OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
        let time = time.and_then(|time| time.format(&time::format_description::well_known::Rfc3339).ok());
        write!(f, "{kind} of {}", time.unwrap_or_default())?;
        parts.request_id.map_or(Ok(()), |id| write!(f, ", {}", id.escape_debug()))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { start, end } = self.records;
        match end - start {
            0 => {}
            1 => write!(f, "record {start}: ")?,
            _ => write!(f, "records {start} to {}: ", end - 1)?,
        }
        write!(f, "{} ({})", self.what, self.file.display())
    }
}

fn again(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
