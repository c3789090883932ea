//! Sealed segments: `MAGIC`, header, blocks, terms, description, and last 4 bytes of the description's length, 4 of its CRC-32
//! (big end first) and `MAGIC` again. Everything between is zstd frames with checksums. A file has its name only once it is whole.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::growing::read;
use super::pruned::{decoded, encoded};
use super::terms::Terms;
use super::{Block, Form, GROWING, SEALED, Segment, Source, path};
use crate::columns::{Header, Lines, Table};
use crate::journal::private;
use crate::line::{self, Chain};
use crate::recovery::MAX_LINE_BYTES;
use crate::tree::{Hash, Run};

const MAGIC: &[u8; 8] = b"cs-rec1\n";
const TRAILER: u64 = 16;
/// More costs time and saves little: columns have taken out what repeats.
const LEVEL: i32 = 3;
/// Bytes of lines of a block that is read as a whole.
const BLOCK_BYTES: u64 = 1024 * 1024;
/// A frame of ours is smaller: one that says otherwise is not believed.
const MAX_FRAME_BYTES: usize = 128 * 1024 * 1024;
/// Bytes of a leaf's hash that a block has beside its line: they say which one was changed.
pub(crate) const CHECK_BYTES: usize = 2;

/// Hashes of records that were written, and of what is before them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hashes {
    pub before: Run,
    pub run: Run,
    /// First bytes of the leaves' hashes, [`CHECK_BYTES`] each.
    checks: Vec<u8>,
}

impl Hashes {
    pub(crate) fn behind(before: Run) -> Self {
        let run = Run::at(before.range().end);
        Self { before, run, checks: Vec::new() }
    }

    pub(crate) fn append(&mut self, leaf: Hash) {
        self.run.append(leaf);
        self.checks.extend_from_slice(&leaf[..CHECK_BYTES]);
    }
}

/// What a sealed segment has besides its blocks.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    header: Range<u64>,
    terms: Range<u64>,
    /// Of all records before it.
    pub before: Run,
    /// Of its records.
    pub run: Run,
    /// Sequence numbers of lines that were damaged before they were sealed.
    damaged: Vec<u64>,
}

/// Why a file is no sealed segment.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealedError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is not whole, or was changed")]
    Damaged,
}

impl From<SealedError> for io::Error {
    fn from(error: SealedError) -> Self {
        match error {
            SealedError::Io(error) => error,
            SealedError::Damaged => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// What stands at the end of the file.
#[derive(Serialize, Deserialize)]
struct Description {
    first: u64,
    lines: u64,
    header: Range<u64>,
    terms: Range<u64>,
    sources: Vec<Source>,
    blocks: Vec<Block>,
    /// Base64 of the hashes one after the other.
    before: String,
    run: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    damaged: Vec<u64>,
}

impl Segment {
    /// Seals a complete segment of lines. The lines' file stays; the hashes are of the records as they were when they were written.
    pub(crate) fn seal(&self, directory: &Path, hashes: &Hashes) -> io::Result<Self> {
        let temporary = path(directory, self.first, "sealing");
        self.seal_as(&temporary, directory, hashes).inspect_err(|_| {
            // A full disk has the more need of what it takes.
            let _ = fs::remove_file(&temporary);
        })
    }

    fn seal_as(&self, temporary: &Path, directory: &Path, hashes: &Hashes) -> io::Result<Self> {
        let Hashes { before, run, checks } = hashes;
        let read = Contents::of(self, directory)?;
        let file = private().create(true).truncate(true).open(temporary)?;
        let mut out = Output { file: BufWriter::new(file), at: 0 };
        out.write(MAGIC)?;
        let blocks = merged(&self.blocks);
        let mut coded = read.table.code();
        let header = out.frame(&coded.header())?;
        let mut sealed = Vec::with_capacity(blocks.len());
        let mut checks = checks.chunks_exact(CHECK_BYTES);
        for block in blocks {
            let mut bytes: Vec<u8> = checks.by_ref().take(block.lines as usize).flatten().copied().collect();
            bytes.extend(coded.block(block.lines as usize));
            let Range { start: offset, end } = out.frame(&bytes)?;
            sealed.push(Block { offset, end, ..block });
        }
        let terms = out.frame(&read.terms.to_bytes())?;
        let description = Description {
            first: self.first,
            lines: self.lines,
            header: header.clone(),
            terms: terms.clone(),
            sources: self.sources.clone(),
            blocks: sealed.clone(),
            before: encoded(before),
            run: encoded(run),
            damaged: read.damaged.clone(),
        };
        let bytes = out.finish(&description)?;
        fs::rename(temporary, path(directory, self.first, SEALED))?;
        File::open(directory)?.sync_all()?;
        let (before, run) = (before.clone(), run.clone());
        let form = Form::Sealed(Box::new(Sealed { header, terms, before, run, damaged: read.damaged }));
        Ok(Self { bytes, form, blocks: sealed, sources: self.sources.clone(), ..*self })
    }

    /// What a sealed segment says of itself.
    pub(crate) fn read_sealed(directory: &Path, first: u64) -> Result<Self, SealedError> {
        let file = File::open(path(directory, first, SEALED))?;
        let bytes = file.metadata()?.len();
        let description = Description::read(&file, bytes)?;
        if description.first != first || !description.is_sound(bytes) {
            return Err(SealedError::Damaged);
        }
        let Description { lines, header, terms, sources, blocks, before, run, damaged, .. } = description;
        let before = decoded(0..first, &before).ok_or(SealedError::Damaged)?;
        let run = decoded(first..first + lines, &run).ok_or(SealedError::Damaged)?;
        let form = Form::Sealed(Box::new(Sealed { header, terms, before, run, damaged }));
        Ok(Self { first, lines, bytes, form, sources, blocks })
    }
}

impl Sealed {
    pub(crate) fn header(&self, file: &File) -> io::Result<Header> {
        Header::read(&frame(file, &self.header)?).ok_or_else(damaged)
    }

    pub(super) fn block(&self, file: &File, header: &Header, block: &Block) -> io::Result<Lines> {
        let mut lines = self.raw_block(file, header, block)?.1;
        let range = self.damaged.partition_point(|line| *line < block.first)..;
        for line in self.damaged[range].iter().take_while(|line| **line < block.last()) {
            lines.forget((line - block.first) as usize);
        }
        Ok(lines)
    }

    /// The first bytes of the leaves' hashes, and the lines, damaged ones too.
    pub(crate) fn raw_block(&self, file: &File, header: &Header, block: &Block) -> io::Result<(Vec<u8>, Lines)> {
        let bytes = frame(file, &(block.offset..block.end))?;
        let (checks, coded) = bytes.split_at_checked(block.lines as usize * CHECK_BYTES).ok_or_else(damaged)?;
        let lines = header.lines(coded).filter(|lines| lines.len() as u64 == block.lines).ok_or_else(damaged)?;
        Ok((checks.to_vec(), lines))
    }

    /// Whether what leads to records can be read.
    pub(crate) fn has_terms(&self, file: &File) -> bool {
        frame(file, &self.terms).is_ok()
    }

    /// What leads from terms to blocks, for [`Terms::find`].
    pub(super) fn terms(&self, file: &File) -> io::Result<Vec<u8>> {
        frame(file, &self.terms)
    }
}

impl Description {
    fn read(file: &File, bytes: u64) -> Result<Self, SealedError> {
        let start = bytes.checked_sub(TRAILER).ok_or(SealedError::Damaged)?;
        let trailer = read(file, start, bytes)?;
        let number = |at: usize| trailer.get(at..at + 4).and_then(|part| part.try_into().ok()).map(u32::from_be_bytes);
        let (length, crc) = number(0).zip(number(4)).ok_or(SealedError::Damaged)?;
        let begin = start.checked_sub(length.into()).ok_or(SealedError::Damaged)?;
        let frame = read(file, begin, start)?;
        let magic = read(file, 0, MAGIC.len() as u64)?;
        if magic != MAGIC || trailer[8..] != MAGIC[..] || crc32fast::hash(&frame) != crc {
            return Err(SealedError::Damaged);
        }
        let json = decompressed(&frame).map_err(|_| SealedError::Damaged)?;
        serde_json::from_slice(&json).map_err(|_| SealedError::Damaged)
    }

    /// Whether reading by it stays within bounds: blocks follow one another up to the end, and name sources that exist.
    fn is_sound(&self, bytes: u64) -> bool {
        let (mut line, mut at) = (self.first, self.header.end);
        let inside = |range: &Range<u64>| range.start <= range.end && range.end <= bytes;
        let blocks = self.blocks.iter().all(|block| {
            let follows = block.first == line && block.offset == at && block.end > at && block.end <= bytes;
            line = line.saturating_add(block.lines);
            at = block.end;
            follows && block.lines > 0 && block.spans.iter().all(|(source, _)| *source < self.sources.len())
        });
        blocks && self.first.checked_add(self.lines) == Some(line) && inside(&self.header) && inside(&self.terms)
    }
}

/// Blocks of a growing segment, several in one.
fn merged(blocks: &[Block]) -> Vec<Block> {
    let mut merged: Vec<Block> = Vec::new();
    for block in blocks {
        match merged.last_mut().filter(|last| last.end - last.offset < BLOCK_BYTES) {
            None => merged.push(block.clone()),
            Some(last) => {
                last.end = block.end;
                last.lines += block.lines;
                block.spans.iter().for_each(|(source, span)| last.widen(*source, *span));
            }
        }
    }
    merged
}

/// The lines of a segment that is to be sealed.
struct Contents {
    table: Table,
    terms: Terms,
    damaged: Vec<u64>,
}

impl Contents {
    fn of(segment: &Segment, directory: &Path) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(256 * 1024, File::open(path(directory, segment.first, GROWING))?);
        let mut read = Self { table: Table::new(), terms: Terms::default(), damaged: Vec::new() };
        let (mut chain, mut text, mut number) = (Chain::default(), Vec::new(), segment.first);
        for (block, Block { lines, .. }) in merged(&segment.blocks).iter().enumerate() {
            for _ in 0..*lines {
                text.clear();
                reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut text)?;
                let line = text.strip_suffix(b"\n").ok_or_else(damaged)?;
                match chain.follow(line) {
                    Some(json) => read.terms.note(block, json),
                    None => read.damaged.push(number),
                }
                read.table.push(line::json(line).unwrap_or(line));
                number += 1;
            }
        }
        Ok(read)
    }
}

struct Output {
    file: BufWriter<File>,
    at: u64,
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<Range<u64>> {
        let start = self.at;
        self.file.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(start..self.at)
    }

    fn frame(&mut self, bytes: &[u8]) -> io::Result<Range<u64>> {
        self.write(&compressed(bytes)?)
    }

    /// Bytes in all, which are on disk then.
    fn finish(mut self, description: &Description) -> io::Result<u64> {
        let frame = compressed(&serde_json::to_vec(description)?)?;
        let length = u32::try_from(frame.len()).map_err(|_| damaged())?;
        self.write(&frame)?;
        self.write(&[&length.to_be_bytes()[..], &crc32fast::hash(&frame).to_be_bytes(), MAGIC].concat())?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(self.at)
    }
}

fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    compressor.compress(bytes)
}

fn frame(file: &File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    decompressed(&read(file, range.start, range.end)?)
}

fn decompressed(frame: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::decompress(frame, frame_size(frame)?).map_err(|_| damaged())
}

/// What a frame says of its size; that is allocated.
fn frame_size(frame: &[u8]) -> io::Result<usize> {
    let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten().ok_or_else(damaged)?;
    usize::try_from(size).ok().filter(|size| *size <= MAX_FRAME_BYTES).ok_or_else(damaged)
}

fn damaged() -> io::Error {
    SealedError::Damaged.into()
}
