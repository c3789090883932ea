//! Opening a directory of segments: what is whole, what a crash left, what is missing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use crate::index::{Seal, Segment, Span, sha256};
use crate::journal::private;
use crate::line;
use crate::notice::Notice;
use crate::record::Head;

/// No line of ours is longer.
pub(crate) const MAX_LINE_BYTES: u64 = 4 * 1024 * 1024;
/// Damaged lines of one segment that are told one by one.
const MAX_NOTICES: usize = 20;

pub(crate) struct Recovered {
    /// Oldest first; all complete and sealed.
    pub segments: Vec<Arc<Segment>>,
    /// Sequence number of the next line.
    pub next: u64,
    pub notices: Vec<Notice>,
}

/// Sealed segments are checked for presence and size only; others are read, relieved of a torn tail, and sealed.
pub(crate) fn recover(directory: &Path) -> io::Result<Recovered> {
    let (mut segments, mut notices) = (Vec::new(), Vec::new());
    let mut next = None;
    for first in sequence_numbers(directory)? {
        if let Some(next) = next.filter(|next| *next != first) {
            let what =
                format!("records {next:016x} to {:016x} should come before it and are missing", first.wrapping_sub(1));
            notices.push(Notice::new(Segment::path(directory, first), 0, what));
        }
        let lines = match recover_segment(directory, first, &mut notices)? {
            Found::Segment(segment) => {
                let lines = segment.lines;
                segments.push(Arc::new(segment));
                lines
            }
            Found::Nothing { lines } => lines,
        };
        next = Some(first.saturating_add(lines));
    }
    Ok(Recovered { segments, next: next.unwrap_or_default(), notices })
}

/// What is left of a segment.
enum Found {
    Segment(Segment),
    /// Nothing of so many lines.
    Nothing {
        lines: u64,
    },
}

/// The digest of every segment, and each of its lines.
pub(crate) fn verify(directory: &Path, segments: &[Arc<Segment>]) -> Vec<Notice> {
    let mut notices = Vec::new();
    for segment in segments {
        let path = Segment::path(directory, segment.first);
        let sealed = match read_seal(directory, segment.first) {
            // Complete since a moment: its seal is being written.
            Ok(None) => Ok(()),
            Ok(Some(seal)) => sha256(&path).map(|digest| {
                if digest != seal.sha256 {
                    notices.push(Notice::new(&path, 0, "its digest is not the one that it was sealed with"));
                }
            }),
            Err(error) => Err(error),
        };
        match sealed.and_then(|()| Scan::of(&path, segment.first)) {
            Ok(scan) => notices.extend(scan.damage),
            Err(error) => notices.push(Notice::new(path, 0, format!("cannot be read: {error}"))),
        }
    }
    notices
}

/// Of all segments and seals, in order.
fn sequence_numbers(directory: &Path) -> io::Result<BTreeSet<u64>> {
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        let Some((stem, extension)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
        if stem.len() == 16 && matches!(extension, "ndjson" | "seal") {
            numbers.extend(u64::from_str_radix(stem, 16));
        }
    }
    Ok(numbers)
}

fn recover_segment(directory: &Path, first: u64, notices: &mut Vec<Notice>) -> io::Result<Found> {
    let path = Segment::path(directory, first);
    let seal = read_seal(directory, first).unwrap_or_else(|error| {
        let what = format!("the seal cannot be read ({error}); the segment was read and sealed again");
        notices.push(Notice::new(Segment::seal_path(directory, first), 0, what));
        None
    });
    let size = match fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Without a seal that can be read at least one: its number must not be used again.
            let lines = seal.map_or(1, |seal| seal.segment.lines);
            notices.push(Notice::new(path, 0, "the segment is missing, and its records with it"));
            return Ok(Found::Nothing { lines });
        }
        Err(error) => return Err(error),
    };
    if let Some(seal) = seal {
        if seal.segment.bytes != size {
            let what = format!("the segment has {size} bytes; it was sealed with {}", seal.segment.bytes);
            notices.push(Notice::new(path, size.min(seal.segment.bytes), what));
        }
        return Ok(Found::Segment(seal.segment));
    }
    let scan = Scan::of(&path, first)?;
    notices.extend(scan.damage);
    if scan.segment.bytes < size {
        let what = format!("the last {} bytes are no whole record and were cut off", size - scan.segment.bytes);
        notices.push(Notice::new(&path, scan.segment.bytes, what));
        let file = private().open(&path)?;
        file.set_len(scan.segment.bytes)?;
        file.sync_all()?;
    }
    if scan.segment.lines == 0 {
        fs::remove_file(&path)?;
        match fs::remove_file(Segment::seal_path(directory, first)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => return Ok(Found::Nothing { lines: 0 }),
        }
    }
    scan.segment.seal(directory)?;
    Ok(Found::Segment(scan.segment))
}

fn read_seal(directory: &Path, first: u64) -> io::Result<Option<Seal>> {
    let bytes = match fs::read(Segment::seal_path(directory, first)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let seal: Seal = serde_json::from_slice(&bytes)?;
    if seal.segment.first != first || !seal.segment.is_sound() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it contradicts itself"));
    }
    Ok(Some(seal))
}

/// A segment read line by line.
struct Scan {
    /// Up to and including its last whole line.
    segment: Segment,
    /// Lines before that which are not as they were written.
    damage: Vec<Notice>,
}

impl Scan {
    fn of(path: &Path, first: u64) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
        let mut segment = Segment::new(first);
        // Damaged lines behind the last whole one: damage if another whole line follows, else the torn tail.
        let mut doubtful: Vec<(u64, u64)> = Vec::new();
        let (mut damage, mut damaged) = (Vec::new(), 0);
        let mut at = 0;
        let mut text = Vec::new();
        loop {
            text.clear();
            let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut text)? as u64;
            if read == 0 {
                break;
            }
            let start = at;
            at += read;
            let ended = text.last() == Some(&b'\n');
            let head = if ended { line::json(&text[..text.len() - 1]) } else { None };
            let Some(head) = head.and_then(|json| serde_json::from_slice::<Head<'_>>(json).ok()) else {
                doubtful.push((start, u64::from(ended)));
                continue;
            };
            let mut lines = 1;
            for (offset, ends) in doubtful.drain(..) {
                lines += ends;
                damaged += 1;
                if damaged <= MAX_NOTICES {
                    damage.push(Notice::new(path, offset, "a record is damaged and is left out"));
                }
            }
            let mut spans = Vec::new();
            Span::at(head.time_ms, head.ingested_ms()).note(&mut spans, &head.region, &head.group, &head.stream);
            segment.extend(at - segment.bytes, lines, &spans);
        }
        if damaged > MAX_NOTICES {
            damage.push(Notice::new(path, 0, format!("{damaged} records are damaged in all")));
        }
        Ok(Self { segment, damage })
    }
}
