//! Segments: records that follow one another, in a file. One grows, line by line; those before it are sealed: compressed, indexed
//! and never written again; of the oldest only hashes may be left.

mod growing;
mod pruned;
mod sealed;
mod terms;

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::columns::{Header, Lines};
use crate::journal::Shared;
use crate::line::Chain;
use crate::tree::Run;
use crate::writer::Chunk;

pub(crate) use pruned::pruning;
pub(crate) use sealed::{CHECK_BYTES, Hashes, Sealed, SealedError};
use terms::Terms;
pub(crate) use terms::{About, Term, bit, may_be_refused};

/// Bytes of a growing segment after which a new block begins.
const BLOCK_BYTES: u64 = 256 * 1024;

/// Every segment, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub complete: Vec<Arc<Segment>>,
    pub current: Option<Segment>,
}

/// What is known of a segment without reading it.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Sequence number of its first line.
    pub first: u64,
    pub lines: u64,
    /// Of its file.
    pub bytes: u64,
    pub form: Form,
    pub sources: Vec<Source>,
    pub blocks: Vec<Block>,
}

/// What a segment's file is.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Lines, which may become more.
    Growing,
    /// What a sealed one has besides its blocks.
    Sealed(Box<Sealed>),
    /// Records that are not kept any longer, and what is left of them.
    Pruned(Box<Run>),
}

/// Whole lines that follow one another, and can be read by themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Block {
    /// Sequence number of its first line.
    pub first: u64,
    pub lines: u64,
    /// Where in the file.
    pub offset: u64,
    pub end: u64,
    /// Of a growing segment: the check of the line before the first.
    #[serde(skip)]
    pub chain: Chain,
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

/// A segment that is being read.
pub(crate) struct Open<'a> {
    segment: &'a Segment,
    file: File,
    header: Option<Header>,
    /// What leads from terms to blocks, once it was read; none: that is not known.
    terms: OnceCell<Option<Vec<u8>>>,
    unreadable: &'a AtomicU64,
}

impl Index {
    /// All segments as they are now.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.complete.iter().cloned().chain(self.current.clone().map(Arc::new)).collect()
    }

    /// The current segment has these lines more, of which `chain` is the check of the line before.
    pub(crate) fn extend(&mut self, first: u64, chunk: &Chunk, chain: Chain) {
        let segment = self.current.get_or_insert_with(|| Segment::growing(first));
        segment.extend(chunk.bytes.len() as u64, chunk.lines(), &chunk.spans, chain);
    }

    /// The current segment is complete.
    pub(crate) fn roll(&mut self) -> Option<Arc<Segment>> {
        let segment = Arc::new(self.current.take()?);
        self.complete.push(segment.clone());
        Some(segment)
    }

    /// A segment has another form now.
    pub(crate) fn replace(&mut self, segment: Segment) {
        if let Ok(at) = self.complete.binary_search_by_key(&segment.first, |known| known.first) {
            self.complete[at] = Arc::new(segment);
        }
    }
}

impl Segment {
    pub(crate) fn growing(first: u64) -> Self {
        Self { first, lines: 0, bytes: 0, form: Form::Growing, sources: Vec::new(), blocks: Vec::new() }
    }

    /// The segment that begins there, as its files say: one of lines is not looked at before it is read.
    pub(crate) fn find(directory: &Path, first: u64) -> Result<Self, SealedError> {
        match Self::read_sealed(directory, first) {
            Err(SealedError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::read_pruned(directory, first)?.unwrap_or_else(|| Self::growing(first)))
            }
            found => found,
        }
    }

    /// Gives each of its records that is in the range, damaged ones too, as it stands there; of a pruned one none.
    pub(crate) fn each(
        &self,
        directory: &Path,
        range: Range<u64>,
        each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        match &self.form {
            Form::Pruned(_) => Ok(()),
            Form::Growing => growing::each(&self.path(directory), self.first, range, each),
            Form::Sealed(sealed) => {
                let file = File::open(self.path(directory))?;
                let header = sealed.header(&file)?;
                let wanted = |block: &&Block| block.first < range.end && block.last() > range.start;
                for block in self.blocks.iter().filter(wanted) {
                    let (_, lines) = sealed.raw_block(&file, &header, block)?;
                    let numbered = (block.first..).zip(lines.iter());
                    numbered.filter(|(number, _)| range.contains(number)).try_for_each(|(_, json)| each(json))?;
                }
                Ok(())
            }
        }
    }

    /// Its file, by what it is.
    pub(crate) fn path(&self, directory: &Path) -> PathBuf {
        let extension = match self.form {
            Form::Growing => GROWING,
            Form::Sealed(_) => SEALED,
            Form::Pruned(_) => PRUNED,
        };
        path(directory, self.first, extension)
    }

    /// Sequence number of the line behind its last.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.lines
    }

    /// It has these bytes more.
    pub(crate) fn extend(&mut self, bytes: u64, lines: u64, spans: &[(Source, Span)], chain: Chain) {
        let (first, offset) = (self.end(), self.bytes);
        self.bytes += bytes;
        self.lines += lines;
        if self.blocks.last().is_none_or(|block| block.end - block.offset >= BLOCK_BYTES) {
            self.blocks.push(Block { first, lines: 0, offset, end: offset, chain, spans: Vec::new() });
        }
        let Some(block) = self.blocks.last_mut() else { return };
        block.end = self.bytes;
        block.lines += lines;
        for (source, span) in spans {
            let number = self.sources.iter().position(|known| known == source).unwrap_or_else(|| {
                self.sources.push(source.clone());
                self.sources.len() - 1
            });
            block.widen(number, *span);
        }
    }

    /// To read its blocks; what of them cannot be read is counted. Fails with `NotFound` where it has got another form meanwhile.
    pub(crate) fn open<'a>(&'a self, shared: &'a Shared) -> io::Result<Open<'a>> {
        let path = self.path(&shared.directory);
        let file =
            File::open(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        let open = Open { segment: self, file, header: None, terms: OnceCell::new(), unreadable: &shared.unreadable };
        let header = match &self.form {
            Form::Sealed(sealed) => open.readable(sealed.header(&open.file))?,
            Form::Growing | Form::Pruned(_) => None,
        };
        Ok(Open { header, ..open })
    }

    pub(crate) fn is_growing(&self) -> bool {
        matches!(self.form, Form::Growing)
    }

    /// Whether the files of both are the same.
    pub(crate) fn same_form(&self, other: &Self) -> bool {
        self.first == other.first && std::mem::discriminant(&self.form) == std::mem::discriminant(&other.form)
    }

    /// When its newest record is from, in milliseconds.
    pub(crate) fn last_ms(&self) -> i64 {
        self.blocks.iter().map(Block::last_ms).max().unwrap_or(i64::MIN)
    }
}

impl Open<'_> {
    /// JSON of a block's lines. One that is not as it was written is empty.
    pub(crate) fn block(&self, block: &Block) -> io::Result<Lines> {
        let lines = match (&self.segment.form, &self.header) {
            (Form::Growing, _) => return growing::block(&self.file, block),
            (Form::Sealed(sealed), Some(header)) => self.readable(sealed.block(&self.file, header, block))?,
            _ => None,
        };
        Ok(lines.unwrap_or_default())
    }

    /// Which blocks may have what a term names. All of them where that is not known.
    pub(crate) fn blocks_with(&self, term: Term) -> io::Result<u64> {
        if self.terms.get().is_none() {
            let read = match &self.segment.form {
                Form::Sealed(sealed) => self.readable(sealed.terms(&self.file))?,
                Form::Growing | Form::Pruned(_) => None,
            };
            let _ = self.terms.set(read);
        }
        let terms = self.terms.get().and_then(Option::as_ref);
        Ok(terms.map_or(u64::MAX, |terms| Terms::find(terms, term)))
    }

    /// Counts what is damaged; readers go on without it.
    fn readable<T>(&self, read: io::Result<T>) -> io::Result<Option<T>> {
        match read {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            read => read.map(Some),
        }
    }
}

impl Block {
    pub(crate) fn widen(&mut self, source: usize, span: Span) {
        match self.spans.iter_mut().find(|(known, _)| *known == source) {
            Some((_, known)) => known.widen(span),
            None => self.spans.push((source, span)),
        }
    }

    /// When its newest record is from, in milliseconds.
    pub(crate) fn last_ms(&self) -> i64 {
        self.spans.iter().map(|(_, span)| span.last_ms).max().unwrap_or(i64::MIN)
    }

    /// When its oldest record is from, in milliseconds.
    pub(crate) fn first_ms(&self) -> i64 {
        self.spans.iter().map(|(_, span)| span.first_ms).min().unwrap_or(i64::MAX)
    }

    /// Sequence number of the line behind its last.
    pub(crate) fn last(&self) -> u64 {
        self.first + self.lines
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

/// Names of files end so.
pub(crate) const GROWING: &str = "lines";
pub(crate) const SEALED: &str = "sealed";
pub(crate) const PRUNED: &str = "pruned";

pub(crate) fn path(directory: &Path, first: u64, extension: &str) -> PathBuf {
    directory.join(format!("{first:016x}.{extension}"))
}
