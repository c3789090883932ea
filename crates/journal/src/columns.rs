//! Lines that are alike, taken apart into columns: how sealed segments are small.
//!
//! A line is words with delimiters between them: what stands between quotes is a word, and what stands between these is taken apart
//! further, since there are numbers. The delimiters are a line's *template*, of which there are few; the words at one place of a
//! template are a *column*. What a column holds over a whole segment decides how it is written: not at all where it
//! is always the same, or always what another column is; as numbers of entries in a list, as differences of numbers, as bytes
//! of what base64 or hexadecimal digits say, else as it is. Lists are in the *header* of a segment, once; all else is in *blocks* of
//! some rows each, which are compressed and can be read by themselves. Every line comes back byte for byte.

mod coding;
mod reading;
mod wire;

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use coding::Coding;
pub(crate) use reading::{Header, Lines};
use wire::Output;

/// Stands for a word in a template. JSON has no such byte; lines that do are one word.
const WORD: u8 = 1;
/// Templates of a segment. Lines that would be of more are one word each.
const MAX_TEMPLATES: usize = 1024;
/// Words of a line that is taken apart.
const MAX_WORDS: usize = 512;
/// Bytes of a line that is taken apart.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// Of the template that is one word.
const WHOLE: usize = 0;

/// Takes lines apart.
pub(crate) struct Table {
    /// Of each line its template.
    rows: Vec<u16>,
    templates: Interner,
    columns: Vec<Vec<Column>>,
    hasher: RandomState,
    /// Of the line at hand.
    template: Vec<u8>,
    words: Vec<Range<usize>>,
}

/// The words at one place.
#[derive(Default)]
struct Column {
    /// Of each row of the template, which of the values. Values are numbered as they come, so that columns of which one says
    /// what the other is have the same numbers.
    ids: Vec<u32>,
    values: Interner,
}

/// Numbers different byte strings.
#[derive(Default)]
struct Interner {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    known: HashTable<u32>,
}

/// Lines in columns, ready to be written in pieces.
pub(crate) struct Coded {
    table: Table,
    codings: Vec<Vec<Coding>>,
    /// Of each template, rows that are written already.
    written: Vec<usize>,
    row: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        let hasher = RandomState::default();
        let mut templates = Interner::default();
        templates.number(&[WORD], &hasher);
        let columns = vec![vec![Column::default()]];
        Self { rows: Vec::new(), templates, columns, hasher, template: Vec::new(), words: Vec::new() }
    }

    /// Adds a line, which has no line feed.
    pub(crate) fn push(&mut self, line: &[u8]) {
        let template = if self.take_apart(line) { self.known_template() } else { None };
        let template = template.unwrap_or_else(|| {
            self.words.clear();
            self.words.push(0..line.len());
            WHOLE
        });
        self.rows.push(template as u16);
        for (column, word) in self.columns[template].iter_mut().zip(&self.words) {
            column.push(&line[word.clone()], &self.hasher);
        }
    }

    /// `false`: it is better taken whole.
    fn take_apart(&mut self, line: &[u8]) -> bool {
        self.template.clear();
        self.words.clear();
        if line.len() > MAX_LINE_BYTES {
            return false;
        }
        let (mut start, mut is_plain) = (0, true);
        for quote in memchr::memchr_iter(b'"', line) {
            is_plain &= self.take_piece(line, start..quote);
            self.template.push(b'"');
            start = quote + 1;
        }
        is_plain && self.take_piece(line, start..line.len()) && self.words.len() <= MAX_WORDS
    }

    /// What stands between two quotes. `false`: it cannot be taken apart.
    fn take_piece(&mut self, line: &[u8], piece: Range<usize>) -> bool {
        let Range { start: mut at, mut end } = piece;
        // Within a string that is JSON itself, a quote has a backslash before it.
        let escapes = end > at && line[end - 1] == b'\\';
        end -= usize::from(escapes);
        if at < end && IS_OF_WORD[usize::from(line[at])] {
            if line[at..end].contains(&WORD) {
                return false;
            }
            self.take_word(at..end);
            at = end;
        }
        while at < end {
            let length = line[at..end].iter().position(|&byte| !IS_OF_WORD[usize::from(byte)]).unwrap_or(end - at);
            if length > 0 {
                self.take_word(at..at + length);
                at += length;
                continue;
            }
            if line[at] == WORD {
                return false;
            }
            self.template.push(line[at]);
            at += 1;
        }
        if escapes {
            self.template.push(b'\\');
        }
        true
    }

    fn take_word(&mut self, word: Range<usize>) {
        self.template.push(WORD);
        self.words.push(word);
    }

    fn known_template(&mut self) -> Option<usize> {
        let before = self.columns.len();
        if before == MAX_TEMPLATES {
            let hash = self.hasher.hash_one(&*self.template);
            return self.templates.find(&self.template, hash).map(|number| number as usize);
        }
        let number = self.templates.number(&self.template, &self.hasher) as usize;
        if number == before {
            self.columns.push(self.words.iter().map(|_| Column::default()).collect());
        }
        Some(number)
    }

    /// All lines are there.
    pub(crate) fn code(self) -> Coded {
        let codings = self.columns.iter().map(|columns| Coding::of_template(columns)).collect();
        let written = vec![0; self.columns.len()];
        Coded { table: self, codings, written, row: 0 }
    }
}

impl Column {
    fn push(&mut self, word: &[u8], hasher: &RandomState) {
        let last = self.ids.last().copied().filter(|&id| self.values.get(id) == word);
        let id = last.unwrap_or_else(|| self.values.number(word, hasher));
        self.ids.push(id);
    }

    /// What it holds in these rows.
    fn words(&self, rows: Range<usize>) -> impl Iterator<Item = &[u8]> {
        self.ids[rows].iter().map(|&id| self.values.get(id))
    }
}

impl Interner {
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, id: u32) -> &[u8] {
        part(&self.bytes, &self.ends, id)
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|id| self.get(id as u32))
    }

    fn find(&self, value: &[u8], hash: u64) -> Option<u32> {
        self.known.find(hash, |&id| self.get(id) == value).copied()
    }

    fn number(&mut self, value: &[u8], hasher: &RandomState) -> u32 {
        let hash = hasher.hash_one(value);
        if let Some(id) = self.find(value, hash) {
            return id;
        }
        let id = self.len() as u32;
        self.bytes.extend_from_slice(value);
        // A segment is far from having so many bytes.
        self.ends.push(self.bytes.len() as u32);
        let Self { bytes, ends, known } = self;
        known.insert_unique(hash, id, |&id| hasher.hash_one(part(bytes, ends, id)));
        id
    }
}

fn part<'a>(bytes: &'a [u8], ends: &[u32], id: u32) -> &'a [u8] {
    let start = id.checked_sub(1).map_or(0, |before| ends[before as usize] as usize);
    &bytes[start..ends[id as usize] as usize]
}

impl Coded {
    /// What has to be known of all blocks in order to read one.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut out = Output::default();
        out.number(self.codings.len() as u64);
        for (template, (codings, columns)) in self.codings.iter().zip(&self.table.columns).enumerate() {
            out.bytes(self.table.templates.get(template as u32));
            for (coding, column) in codings.iter().zip(columns) {
                coding.write(column, &mut out);
            }
        }
        out.finish()
    }

    /// The next so many lines.
    pub(crate) fn block(&mut self, lines: usize) -> Vec<u8> {
        let rows = &self.table.rows[self.row..self.row + lines];
        let mut out = Output::default();
        out.number(lines as u64);
        out.planes(rows.iter().map(|&template| u32::from(template)), wire::width(self.codings.len()));
        let mut counts = vec![0; self.codings.len()];
        rows.iter().for_each(|&template| counts[usize::from(template)] += 1);
        self.row += lines;
        for (template, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            let begin = self.written[template];
            self.written[template] += count;
            for (coding, column) in self.codings[template].iter().zip(&self.table.columns[template]) {
                coding.write_rows(column, begin..begin + count, &mut out);
            }
        }
        out.finish()
    }
}

/// What words are made of. All else stands between them.
static IS_OF_WORD: [bool; 256] = {
    let mut is = [true; 256];
    let delimiters = b"\"\\,: {}[]();&?<>'";
    let mut at = 0;
    while at < delimiters.len() {
        is[delimiters[at] as usize] = false;
        at += 1;
    }
    let mut control = 0;
    while control < 0x20 {
        is[control] = false;
        control += 1;
    }
    is
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(lines: &[Vec<u8>], block: usize) {
        let mut table = Table::new();
        lines.iter().for_each(|line| table.push(line));
        let mut coded = table.code();
        let header = Header::read(&coded.header()).unwrap();
        for lines in lines.chunks(block) {
            let back = header.lines(&coded.block(lines.len())).unwrap();
            assert_eq!(back.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), lines);
        }
    }

    fn bytes(lines: &[&str]) -> Vec<Vec<u8>> {
        lines.iter().map(|line| line.as_bytes().to_vec()).collect()
    }

    #[test]
    fn lines_come_back() {
        round_trip(&bytes(&[""]), 1);
        round_trip(&bytes(&["", "a", "a b", "a  b", "\u{1}", "a\u{1}b", "é\u{7f}"]), 2);
        let many: Vec<_> = (0..2000_u64)
            .map(|n| {
                let id = data_encoding::BASE64
                    .encode(&(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes().repeat(2)[..11]);
                format!(
                    "{{\"time\":{},\"id\":\"{id}\",\"same\":\"{id}\",\"port\":{},\"big\":{},\"zero\":0{n}}}",
                    1_800_000 + n / 3,
                    n % 700,
                    u64::MAX - n
                )
            })
            .map(String::into_bytes)
            .collect();
        round_trip(&many, 300);
    }

    proptest! {
        #[test]
        fn any_lines_come_back(lines in prop::collection::vec("(\\{\"(a|b)\":[0-9]{1,22}(,\"[a-f0-9]{16}\")?\\}|[ -~\u{0}-\u{9}é]{0,20})", 1..60), block in 1_usize..70) {
            round_trip(&lines.into_iter().map(String::into_bytes).collect::<Vec<_>>(), block);
        }

        #[test]
        fn nonsense_is_refused(header in prop::collection::vec(any::<u8>(), 0..60), block in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Header::read(&header);
            let mut table = Table::new();
            for n in 0..40 {
                table.push(format!("a {n} {}", n % 3).as_bytes());
            }
            let mut coded = table.code();
            let good = coded.header();
            let known = Header::read(&good).unwrap();
            let _ = known.lines(&block);
            let mut changed = coded.block(40);
            for (at, byte) in block.iter().enumerate() {
                let at = at * 7 % changed.len();
                changed[at] ^= byte;
            }
            let _ = known.lines(&changed);
            let mut changed = good;
            for (at, byte) in header.iter().enumerate() {
                let at = at * 5 % changed.len();
                changed[at] ^= byte;
            }
            if let Some(odd) = Header::read(&changed) {
                let _ = odd.lines(&block);
            }
        }
    }
}
