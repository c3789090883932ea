//! Where in the segments what may be found: by time and by log stream, a quarter of a megabyte at a time.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::journal::private;
use crate::writer::Chunk;

/// Bytes after which a new block begins.
const BLOCK_BYTES: u64 = 256 * 1024;
/// A block of ours is smaller: a seal that says otherwise is not believed.
const MAX_BLOCK_BYTES: u64 = 64 * 1024 * 1024;

/// Every segment, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub complete: Vec<Arc<Segment>>,
    pub current: Option<Segment>,
}

/// What is known of a segment without reading it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// Sequence number of its first line.
    pub first: u64,
    pub lines: u64,
    pub bytes: u64,
    pub sources: Vec<Source>,
    pub blocks: Vec<Block>,
}

/// Whole lines that follow one another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Block {
    pub offset: u64,
    pub end: u64,
    /// Index into [`Segment::sources`], and when.
    pub spans: Vec<(usize, Span)>,
}

/// A log stream; all empty for records that are in none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Source {
    pub region: String,
    pub group: String,
    pub stream: String,
}

/// Times of some records of one source, in milliseconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span {
    pub first_ms: i64,
    pub last_ms: i64,
    /// When the last of them came in.
    pub ingested_ms: i64,
}

/// What stands beside a complete segment.
#[derive(Serialize, Deserialize)]
pub(crate) struct Seal {
    /// SHA-256 of the segment, lowercase hexadecimal.
    pub sha256: String,
    pub first_ms: i64,
    pub last_ms: i64,
    #[serde(flatten)]
    pub segment: Segment,
}

impl Index {
    /// All segments as they are now.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.complete.iter().cloned().chain(self.current.clone().map(Arc::new)).collect()
    }

    /// The current segment has these lines more.
    pub(crate) fn extend(&mut self, first: u64, chunk: &Chunk) {
        let segment = self.current.get_or_insert_with(|| Segment::new(first));
        segment.extend(chunk.bytes.len() as u64, chunk.lines, &chunk.spans);
    }

    /// The current segment is complete.
    pub(crate) fn roll(&mut self) -> Option<Arc<Segment>> {
        let segment = Arc::new(self.current.take()?);
        self.complete.push(segment.clone());
        Some(segment)
    }
}

impl Segment {
    pub(crate) fn new(first: u64) -> Self {
        Self { first, lines: 0, bytes: 0, sources: Vec::new(), blocks: Vec::new() }
    }

    pub(crate) fn path(directory: &Path, first: u64) -> PathBuf {
        directory.join(format!("{first:016x}.ndjson"))
    }

    pub(crate) fn seal_path(directory: &Path, first: u64) -> PathBuf {
        directory.join(format!("{first:016x}.seal"))
    }

    /// It has these bytes more.
    pub(crate) fn extend(&mut self, bytes: u64, lines: u64, spans: &[(Source, Span)]) {
        let offset = self.bytes;
        self.bytes += bytes;
        self.lines += lines;
        if self.blocks.last().is_none_or(|block| block.end - block.offset >= BLOCK_BYTES) {
            self.blocks.push(Block { offset, end: offset, spans: Vec::new() });
        }
        let Some(block) = self.blocks.last_mut() else { return };
        block.end = self.bytes;
        for (source, span) in spans {
            let number = self.sources.iter().position(|known| known == source).unwrap_or_else(|| {
                self.sources.push(source.clone());
                self.sources.len() - 1
            });
            match block.spans.iter_mut().find(|(known, _)| *known == number) {
                Some((_, known)) => known.widen(*span),
                None => block.spans.push((number, *span)),
            }
        }
    }

    /// Writes the seal of a complete, synced segment. Reads it again: what the seal speaks of is what is on disk.
    pub(crate) fn seal(&self, directory: &Path) -> io::Result<()> {
        let times = || self.blocks.iter().flat_map(|block| &block.spans).map(|(_, span)| span);
        let seal = Seal {
            sha256: sha256(&Self::path(directory, self.first))?,
            first_ms: times().map(|span| span.first_ms).min().unwrap_or_default(),
            last_ms: times().map(|span| span.last_ms).max().unwrap_or_default(),
            segment: self.clone(),
        };
        let path = Self::seal_path(directory, self.first);
        let temporary = path.with_extension("seal.tmp");
        let mut file = private().create(true).truncate(true).open(&temporary)?;
        file.write_all(&serde_json::to_vec(&seal)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(directory)?.sync_all()
    }

    /// Whether reading by it stays within bounds: blocks follow one another up to the end, and name sources that exist.
    pub(crate) fn is_sound(&self) -> bool {
        let mut at = 0;
        let blocks = self.blocks.iter().all(|block| {
            let follows = block.offset == at && block.end > at && block.end - at <= MAX_BLOCK_BYTES;
            at = block.end;
            follows && block.spans.iter().all(|(source, _)| *source < self.sources.len())
        });
        blocks && at == self.bytes
    }
}

impl Span {
    pub(crate) fn at(time_ms: i64, ingested_ms: i64) -> Self {
        Self { first_ms: time_ms, last_ms: time_ms, ingested_ms }
    }

    /// Widens the span of the source, or adds it.
    pub(crate) fn note(self, spans: &mut Vec<(Source, Self)>, region: &str, group: &str, stream: &str) {
        let same = |source: &Source| source.stream == stream && source.group == group && source.region == region;
        match spans.iter_mut().find(|(source, _)| same(source)) {
            Some((_, span)) => span.widen(self),
            None => spans.push((Source { region: region.into(), group: group.into(), stream: stream.into() }, self)),
        }
    }

    pub(crate) fn widen(&mut self, other: Self) {
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.ingested_ms = self.ingested_ms.max(other.ingested_ms);
    }
}

/// Of a file, in lowercase hexadecimal.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(HEXLOWER.encode(context.finish().as_ref())),
            read => context.update(&buffer[..read]),
        }
    }
}
