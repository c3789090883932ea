//! Opening a directory of segments: what is whole, what a crash left, what is missing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use crate::journal::private;
use crate::legacy;
use crate::line::{self, Chain};
use crate::note::{Checkpoint, Verifier};
use crate::notice::Notice;
use crate::record::Head;
use crate::recorder::CHECKPOINT;
use crate::segment::{Form, GROWING, Hashes, Index, PRUNED, SEALED, SealedError, Segment, Span, path};
use crate::tree::{Hash, Run, leaf_hash};

/// No line of ours is longer.
pub(crate) const MAX_LINE_BYTES: u64 = 4 * 1024 * 1024;
/// Damaged lines of one segment that are told one by one.
const MAX_NOTICES: usize = 20;

pub(crate) struct Recovered {
    /// All that are complete, oldest first.
    segments: Vec<Arc<Segment>>,
    /// The one that goes on growing.
    pub current: Option<Growing>,
    /// Complete ones that are still to be sealed.
    pub unsealed: Vec<(Arc<Segment>, Hashes)>,
    /// Of all records.
    pub tree: Run,
    /// The newest, and how many records it is about.
    pub checkpoint: Option<Arc<str>>,
    pub checkpoint_size: u64,
    pub notices: Vec<Notice>,
}

/// A segment of lines, read to its end.
pub(crate) struct Growing {
    pub file: File,
    /// Up to and including its last whole line.
    pub segment: Segment,
    /// Behind that.
    pub chain: Chain,
    pub hashes: Hashes,
    /// Of its records up to the end of what the newest checkpoint is about, if that is here.
    at_checkpoint: Option<Run>,
}

impl Recovered {
    /// For readers.
    pub(crate) fn index(&self) -> Index {
        let current = self.current.as_ref().map(|growing| growing.segment.clone());
        Index { complete: self.segments.clone(), current }
    }
}

/// Of sealed segments only the description is read. Others are read, and the last is relieved of a torn tail.
pub(crate) fn recover(directory: &Path, verifier: Option<&Verifier>) -> io::Result<Recovered> {
    let mut notices = Vec::new();
    let checkpoint = read_checkpoint(directory, verifier, &mut notices)?;
    let size = checkpoint.as_ref().map(|(_, checkpoint)| checkpoint.size);
    let numbers: Vec<u64> = sequence_numbers(directory)?.into_iter().collect();
    let (mut segments, mut unsealed, mut current, mut root) = (Vec::new(), Vec::new(), None, None);
    let (mut tree, mut is_known) = (Run::at(0), true);
    for (at, &first) in numbers.iter().enumerate() {
        legacy::convert(directory, first)?;
        let is_last = at + 1 == numbers.len();
        let found = find(directory, first, size, &mut notices)?;
        let next = tree.range().end;
        if next < first {
            let missing = format!("records {next:016x} to {:016x} should come before it and are missing", first - 1);
            notices.push(Notice::new(path(directory, first, "*"), 0, missing));
            is_known = false;
        }
        match found {
            Found::Complete(segment, before, run) => {
                is_known |= before.is_some();
                tree = before.unwrap_or_else(|| up_to(tree, first));
                let _ = tree.extend(&run);
                if size == Some(tree.range().end) {
                    root = Some(tree.root());
                }
                segments.push(Arc::new(segment));
            }
            Found::Growing(mut growing) => {
                growing.hashes.before = up_to(tree, first);
                tree = growing.hashes.before.clone();
                let _ = tree.extend(&growing.hashes.run);
                root = growing.root_at_checkpoint(size).or(root);
                if is_last {
                    current = Some(*growing);
                } else {
                    let segment = Arc::new(growing.segment);
                    segments.push(segment.clone());
                    unsealed.push((segment, growing.hashes));
                }
            }
            Found::Nothing { lines } => {
                let end = first.saturating_add(lines);
                tree = up_to(tree, end);
                is_known = false;
            }
        }
    }
    if let Some((_, checkpoint)) = &checkpoint {
        let said = compare(checkpoint, &tree, root.filter(|_| is_known));
        notices.extend(said.map(|what| Notice::new(directory.join(CHECKPOINT), 0, what)));
    }
    let checkpoint_size = size.unwrap_or_default();
    let checkpoint = checkpoint.map(|(note, _)| note);
    Ok(Recovered { segments, current, unsealed, tree, checkpoint, checkpoint_size, notices })
}

/// The tree up to there, where it is not known what lies between.
fn up_to(mut tree: Run, end: u64) -> Run {
    let gap = Run::unknown(tree.range().end..end.max(tree.range().end));
    let _ = tree.extend(&gap);
    tree
}

/// What is wrong with the records up to the newest checkpoint, as far as that is known without reading all of them.
fn compare(checkpoint: &Checkpoint, tree: &Run, root: Option<Hash>) -> Option<String> {
    let here = tree.range().end;
    if checkpoint.size > here {
        let what = format!(
            "it is about {} records and only {here} are here: the last were lost or taken out",
            checkpoint.size
        );
        return Some(what);
    }
    let differs = root.is_some_and(|root| root != checkpoint.root);
    differs.then(|| {
        format!("the first {} records are not those that it was signed for: they were changed", checkpoint.size)
    })
}

fn read_checkpoint(
    directory: &Path,
    verifier: Option<&Verifier>,
    notices: &mut Vec<Notice>,
) -> io::Result<Option<(Arc<str>, Checkpoint)>> {
    let Some(verifier) = verifier else { return Ok(None) };
    let path = directory.join(CHECKPOINT);
    let note = match fs::read(&path) {
        // What is none of ours is told below.
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match verifier.checkpoint(&note) {
        Ok(checkpoint) => Ok(Some((note.into(), checkpoint))),
        Err(error) => {
            notices.push(Notice::new(path, 0, format!("the newest checkpoint is none: {error}")));
            Ok(None)
        }
    }
}

/// What is there of a segment.
enum Found {
    /// With the trees before it, where that is known, and of it.
    Complete(Segment, Option<Run>, Run),
    Growing(Box<Growing>),
    /// Nothing of so many lines.
    Nothing {
        lines: u64,
    },
}

/// First lines of all segments, in order.
pub(crate) fn sequence_numbers(directory: &Path) -> io::Result<BTreeSet<u64>> {
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some((stem, extension)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
        if stem.len() == 16 && matches!(extension, GROWING | SEALED | PRUNED | "ndjson") {
            numbers.extend(u64::from_str_radix(stem, 16));
        }
    }
    Ok(numbers)
}

fn find(directory: &Path, first: u64, checkpoint: Option<u64>, notices: &mut Vec<Notice>) -> io::Result<Found> {
    let lines = path(directory, first, GROWING);
    let sealed = path(directory, first, SEALED);
    match Segment::read_sealed(directory, first) {
        Ok(segment) => {
            // The file that it was made of, which a crash has left.
            let _ = fs::remove_file(lines);
            return Ok(Found::of(segment));
        }
        Err(SealedError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
        Err(SealedError::Io(error)) => return Err(error),
        Err(SealedError::Damaged) => {
            // At least one line: its number must not be used again.
            let what = "the segment is damaged, and its records cannot be read";
            notices.push(Notice::new(sealed, 0, what));
            if !lines.exists() {
                return Ok(Found::Nothing { lines: 1 });
            }
        }
    }
    if let Some(segment) = Segment::read_pruned(directory, first)? {
        return Ok(Found::of(segment));
    }
    let (growing, damage) = Growing::read(&lines, first, checkpoint)?;
    notices.extend(damage);
    let size = growing.file.metadata()?.len();
    if growing.segment.bytes < size {
        let what = format!("the last {} bytes are no whole record and were cut off", size - growing.segment.bytes);
        notices.push(Notice::new(&lines, growing.segment.bytes, what));
        growing.file.set_len(growing.segment.bytes)?;
        growing.file.sync_all()?;
    }
    Ok(Found::Growing(Box::new(growing)))
}

impl Found {
    fn of(segment: Segment) -> Self {
        match &segment.form {
            Form::Sealed(sealed) => {
                let (before, run) = (sealed.before.clone(), sealed.run.clone());
                Self::Complete(segment, Some(before), run)
            }
            Form::Pruned(run) => {
                let run = Run::clone(run);
                Self::Complete(segment, None, run)
            }
            Form::Growing => Self::Nothing { lines: segment.lines },
        }
    }
}

impl Growing {
    fn read(path: &Path, first: u64, checkpoint: Option<u64>) -> io::Result<(Self, Vec<Notice>)> {
        let file = private().read(true).open(path)?;
        let mut reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
        let mut found = Self {
            file,
            segment: Segment::growing(first),
            chain: Chain::default(),
            hashes: Hashes::behind(Run::at(first)),
            at_checkpoint: None,
        };
        // Damaged lines behind the last whole one: damage if another whole line follows, else the torn tail.
        let mut doubtful: Vec<(u64, bool, Hash)> = Vec::new();
        let (mut damage, mut damaged) = (Vec::new(), 0);
        let (mut at, mut chain, mut text) = (0, Chain::default(), Vec::new());
        loop {
            text.clear();
            let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut text)? as u64;
            if read == 0 {
                break;
            }
            let (start, ended) = (at, text.last() == Some(&b'\n'));
            at += read;
            let line = if ended { &text[..text.len() - 1] } else { &text[..] };
            let leaf = leaf_hash(line::json(line).unwrap_or(line));
            let head = chain.follow(line).filter(|_| ended);
            let Some(head) = head.and_then(Head::of) else {
                doubtful.push((start, ended, leaf));
                continue;
            };
            let mut lines = 1;
            for (offset, ends, leaf) in doubtful.drain(..) {
                damaged += 1;
                if damaged <= MAX_NOTICES {
                    damage.push(Notice::new(path, offset, "a record is damaged and is left out"));
                }
                if ends {
                    lines += 1;
                    found.append(leaf, checkpoint);
                }
            }
            found.append(leaf, checkpoint);
            let mut spans = Vec::new();
            Span::at(head.time_ms, head.ingested_ms()).note(&mut spans, &head.region, &head.group, &head.stream);
            found.segment.extend(at - found.segment.bytes, lines, &spans, found.chain);
            found.chain = chain;
        }
        if damaged > MAX_NOTICES {
            damage.push(Notice::new(path, 0, format!("{damaged} records are damaged in all")));
        }
        Ok((found, damage))
    }

    fn append(&mut self, leaf: Hash, checkpoint: Option<u64>) {
        self.hashes.append(leaf);
        if checkpoint == Some(self.hashes.run.range().end) {
            self.at_checkpoint = Some(self.hashes.run.clone());
        }
    }

    /// Root of the tree of as many records as a checkpoint is about.
    fn root_at_checkpoint(&self, size: Option<u64>) -> Option<Hash> {
        let mut tree = self.hashes.before.clone();
        let run = self.at_checkpoint.as_ref().filter(|run| size == Some(run.range().end))?;
        tree.extend(run).then(|| tree.root())
    }
}
