//! Putting lines together again.

use std::io::Write;
use std::ops::Range;

use data_encoding::{BASE64, HEXLOWER};

use super::wire::{Input, width};
use super::{MAX_TEMPLATES, MAX_WORDS, WORD};

/// Bytes of the lines of one block: ours have far fewer.
const MAX_BLOCK_BYTES: usize = 64 * 1024 * 1024;

/// What is the same in all blocks of a segment.
pub(crate) struct Header {
    templates: Vec<Template>,
}

/// Lines, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    forgotten: Vec<usize>,
}

struct Template {
    text: Vec<u8>,
    columns: Vec<Column>,
}

/// As [`super::coding::Coding`] says.
enum Column {
    Constant(Vec<u8>),
    Copy(usize),
    Listed(List),
    ListedLike(usize, List),
    Numbers,
    Base64(usize),
    Hex(usize),
    Text,
}

/// Byte strings.
struct List {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

/// The words of a column in one block.
enum Words<'a> {
    Constant(&'a [u8]),
    Copy(usize),
    Listed(&'a List, Vec<u32>),
    ListedLike(&'a List, usize),
    Numbers(Vec<u64>),
    /// Of each row so many bytes, row by row.
    Base64(usize, Vec<u8>),
    Hex(usize, &'a [u8]),
    Text(Vec<&'a [u8]>),
}

impl Header {
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let count = input.size().filter(|count| *count <= MAX_TEMPLATES)?;
        let templates = (0..count).map(|_| Template::read(&mut input)).collect::<Option<_>>()?;
        input.0.is_empty().then_some(Self { templates })
    }

    /// The lines of a block.
    pub(crate) fn lines(&self, block: &[u8]) -> Option<Lines> {
        let mut input = Input(block);
        let count = input.size().filter(|count| *count <= MAX_BLOCK_BYTES)?;
        let wide = width(self.templates.len());
        let rows = if wide == 0 { vec![0; count] } else { input.planes(count, wide)? };
        let mut counts = vec![0; self.templates.len()];
        for &template in &rows {
            *counts.get_mut(template as usize)? += 1;
        }
        let mut words = Vec::with_capacity(counts.len());
        for (template, count) in self.templates.iter().zip(counts) {
            words.push(if count == 0 { Vec::new() } else { template.words(count, &mut input)? });
        }
        let mut next = vec![0; words.len()];
        let mut lines = Lines::default();
        for template in rows {
            let template = template as usize;
            self.templates[template].put_together(&words[template], next[template], &mut lines.bytes)?;
            next[template] += 1;
            lines.end_line()?;
        }
        input.0.is_empty().then_some(lines)
    }
}

impl Lines {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        (0..self.ends.len()).map(|number| self.line(number))
    }

    /// Without its line feed.
    pub(crate) fn line(&self, number: usize) -> &[u8] {
        if self.forgotten.contains(&number) {
            return &[];
        }
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize + 1);
        &self.bytes[start..self.ends[number] as usize]
    }

    /// One line more.
    pub(crate) fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        // What is longer than this is never put into one block.
        let _ = self.end_line();
    }

    /// A line is not what it was, and counts as empty.
    pub(crate) fn forget(&mut self, number: usize) {
        self.forgotten.push(number);
    }

    /// All of them, with a line feed behind each.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn end_line(&mut self) -> Option<()> {
        if self.bytes.len() > MAX_BLOCK_BYTES {
            return None;
        }
        self.ends.push(self.bytes.len() as u32);
        self.bytes.push(b'\n');
        Some(())
    }
}

impl Template {
    fn read(input: &mut Input<'_>) -> Option<Self> {
        let text = input.bytes()?.to_vec();
        let words = memchr::memchr_iter(WORD, &text).count();
        if words > MAX_WORDS {
            return None;
        }
        let mut columns: Vec<Column> = Vec::with_capacity(words);
        for _ in 0..words {
            let column = Column::read(input, &columns)?;
            columns.push(column);
        }
        Some(Self { text, columns })
    }

    fn words<'a>(&'a self, count: usize, input: &mut Input<'a>) -> Option<Vec<Words<'a>>> {
        self.columns.iter().map(|column| column.words(count, input)).collect()
    }

    fn put_together(&self, words: &[Words<'_>], row: usize, out: &mut Vec<u8>) -> Option<()> {
        let mut pieces = self.text.split(|&byte| byte == WORD);
        out.extend_from_slice(pieces.next()?);
        for (number, piece) in pieces.enumerate() {
            push_word(words, number, row, out)?;
            out.extend_from_slice(piece);
        }
        Some(())
    }
}

impl Column {
    fn read(input: &mut Input<'_>, before: &[Self]) -> Option<Self> {
        let earlier = |input: &mut Input<'_>| input.size().filter(|number| *number < before.len());
        let bytes = |input: &mut Input<'_>| input.size().filter(|length| (1..=super::MAX_LINE_BYTES).contains(length));
        Some(match input.byte()? {
            0 => Self::Constant(input.bytes()?.to_vec()),
            // A copy of a copy names the first one: nothing here is followed further than once.
            1 => Self::Copy(earlier(input).filter(|&number| !matches!(before[number], Self::Copy(_)))?),
            2 => Self::Listed(List::read(input)?),
            3 => {
                let like = earlier(input).filter(|&number| matches!(before[number], Self::Listed(_)))?;
                Self::ListedLike(like, List::read(input)?)
            }
            4 => Self::Numbers,
            5 => Self::Base64(bytes(input)?),
            6 => Self::Hex(bytes(input)?),
            7 => Self::Text,
            _ => return None,
        })
    }

    fn words<'a>(&'a self, count: usize, input: &mut Input<'a>) -> Option<Words<'a>> {
        Some(match self {
            Self::Constant(word) => Words::Constant(word),
            Self::Copy(other) => Words::Copy(*other),
            Self::Listed(list) => Words::Listed(list, input.planes(count, width(list.ends.len()))?),
            Self::ListedLike(other, list) => Words::ListedLike(list, *other),
            Self::Numbers => {
                let mut before = 0_u64;
                let next = || {
                    let zigzag = input.number()?;
                    before = before.wrapping_add(zigzag >> 1 ^ (zigzag & 1).wrapping_neg());
                    Some(before)
                };
                Words::Numbers(std::iter::repeat_with(next).take(count).collect::<Option<_>>()?)
            }
            Self::Base64(length) => {
                let planes = input.raw(count.checked_mul(*length)?)?;
                let mut rows = vec![0; planes.len()];
                for (at, plane) in planes.chunks_exact(count).enumerate() {
                    plane.iter().enumerate().for_each(|(row, byte)| rows[row * length + at] = *byte);
                }
                Words::Base64(*length, rows)
            }
            Self::Hex(length) => Words::Hex(*length, input.raw(count.checked_mul(*length)?)?),
            Self::Text => {
                let next = || input.line();
                Words::Text(std::iter::repeat_with(next).take(count).collect::<Option<_>>()?)
            }
        })
    }
}

/// Appends the word of a column in a row.
fn push_word(words: &[Words<'_>], number: usize, row: usize, out: &mut Vec<u8>) -> Option<()> {
    match &words[number] {
        Words::Constant(word) => out.extend_from_slice(word),
        Words::Copy(other) => return push_word(words, *other, row, out),
        Words::Listed(list, ids) => out.extend_from_slice(list.entry(ids[row])?),
        Words::ListedLike(list, other) => {
            let Words::Listed(_, ids) = &words[*other] else { return None };
            out.extend_from_slice(list.entry(ids[row])?);
        }
        // Writing into a vector does not fail.
        Words::Numbers(numbers) => drop(write!(out, "{}", numbers[row])),
        Words::Base64(length, bytes) => {
            let start = out.len();
            out.resize(start + BASE64.encode_len(*length), 0);
            BASE64.encode_mut(part(bytes, row, *length), &mut out[start..]);
        }
        Words::Hex(length, bytes) => {
            let start = out.len();
            out.resize(start + 2 * length, 0);
            HEXLOWER.encode_mut(part(bytes, row, *length), &mut out[start..]);
        }
        Words::Text(texts) => out.extend_from_slice(texts[row]),
    }
    Some(())
}

fn part(bytes: &[u8], row: usize, length: usize) -> &[u8] {
    let Range { start, end } = row * length..(row + 1) * length;
    &bytes[start..end]
}

impl List {
    fn read(input: &mut Input<'_>) -> Option<Self> {
        let count = input.size().filter(|count| *count <= input.0.len())?;
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(count));
        for _ in 0..count {
            bytes.extend_from_slice(input.bytes()?);
            ends.push(u32::try_from(bytes.len()).ok()?);
        }
        Some(Self { bytes, ends })
    }

    fn entry(&self, number: u32) -> Option<&[u8]> {
        let number = number as usize;
        let end = *self.ends.get(number)? as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        Some(&self.bytes[start..end])
    }
}
