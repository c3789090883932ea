//! How a column is written.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::ops::Range;

use data_encoding::{BASE64, HEXLOWER};
use foldhash::quality::RandomState;

use super::Column;
use super::wire::{Output, width};

/// How the words of a column are written. Columns before it in its template are named by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// The same word always: it stands in the header.
    Constant,
    /// The word that the other column has.
    Copy(usize),
    /// An entry of a list in the header, by its number.
    Listed,
    /// As [`Listed`](Self::Listed); the number is the one that the other column has, of its own list.
    ListedLike(usize),
    /// Decimal numbers without zeros in front: what each is more than the one before.
    Numbers,
    /// Base64 of so many bytes.
    Base64(usize),
    /// Lowercase hexadecimal digits of so many bytes.
    Hex(usize),
    /// As it is.
    Text,
}

/// Rows from which on a list may be worth it: entries are in the header of a whole segment.
const ROWS_OF_ENTRY: usize = 4;

impl Coding {
    /// Of each column of a template.
    pub(super) fn of_template(columns: &[Column]) -> Vec<Self> {
        let hasher = RandomState::default();
        // Columns whose ids are alike, by the hash of these.
        let mut alike: HashMap<u64, usize> = HashMap::new();
        let mut codings: Vec<Self> = Vec::with_capacity(columns.len());
        for (number, column) in columns.iter().enumerate() {
            let first = *alike.entry(hasher.hash_one(&column.ids)).or_insert(number);
            let like = (first != number && columns[first].ids == column.ids).then_some(first);
            let coding = match like {
                _ if column.values.len() <= 1 => Self::Constant,
                Some(first)
                    if columns[first].values.bytes == column.values.bytes
                        && columns[first].values.ends == column.values.ends =>
                {
                    Self::Copy(first)
                }
                Some(first) if codings[first] == Self::Listed => Self::ListedLike(first),
                _ => Self::of_words(column),
            };
            codings.push(coding);
        }
        codings
    }

    /// By what stands in the column alone.
    fn of_words(column: &Column) -> Self {
        let values = &column.values;
        let listed = values.len() * ROWS_OF_ENTRY <= column.ids.len();
        let numbers: Option<Vec<u64>> = values.iter().map(number).collect();
        if let Some(numbers) = numbers {
            let each = column.ids.iter().map(|&id| numbers[id as usize]);
            let (differences, _) =
                each.fold((0, 0), |(sum, before), number| (sum + varint_bytes(zigzag(number, before)), number));
            let as_list = column.ids.len() * usize::from(width(values.len())) + values.bytes.len() + values.len();
            return if listed && as_list <= differences { Self::Listed } else { Self::Numbers };
        }
        if listed {
            return Self::Listed;
        }
        let length = values.get(0).len();
        let like_first = values.iter().all(|value| value.len() == length);
        let all = |is: fn(&[u8]) -> bool| like_first && values.iter().all(is);
        if length.is_multiple_of(2) && length >= 16 && all(|value| HEXLOWER.decode(value).is_ok()) {
            return Self::Hex(length / 2);
        }
        let raw = BASE64.decode(values.get(0)).map_or(0, |bytes| bytes.len());
        let same_length = |value: &[u8]| BASE64.decode(value).is_ok_and(|bytes| bytes.len() == raw);
        if length >= 8 && raw > 0 && like_first && values.iter().all(same_length) {
            Self::Base64(raw)
        } else {
            Self::Text
        }
    }

    /// Into the header.
    pub(super) fn write(self, column: &Column, out: &mut Output) {
        match self {
            Self::Constant => {
                out.byte(0);
                // A template that no line has has columns without words.
                out.bytes(column.values.iter().next().unwrap_or_default());
            }
            Self::Copy(other) => {
                out.byte(1);
                out.number(other as u64);
            }
            Self::Listed => {
                out.byte(2);
                write_list(column, out);
            }
            Self::ListedLike(other) => {
                out.byte(3);
                out.number(other as u64);
                write_list(column, out);
            }
            Self::Numbers => out.byte(4),
            Self::Base64(length) => {
                out.byte(5);
                out.number(length as u64);
            }
            Self::Hex(length) => {
                out.byte(6);
                out.number(length as u64);
            }
            Self::Text => out.byte(7),
        }
    }

    /// Some rows into a block.
    pub(super) fn write_rows(self, column: &Column, rows: Range<usize>, out: &mut Output) {
        match self {
            Self::Constant | Self::Copy(_) | Self::ListedLike(_) => {}
            Self::Listed => out.planes(column.ids[rows].iter().copied(), width(column.values.len())),
            Self::Numbers => {
                let mut before = 0;
                for word in column.words(rows) {
                    let number = number(word).unwrap_or_default();
                    out.number(zigzag(number, before));
                    before = number;
                }
            }
            // The same byte of all of them together: of times and counters the first hardly change.
            Self::Base64(length) => {
                let words: Vec<Vec<u8>> =
                    column.words(rows).map(|word| BASE64.decode(word).unwrap_or_default()).collect();
                for at in 0..length {
                    words.iter().for_each(|word| out.byte(word[at]));
                }
            }
            Self::Hex(_) => column.words(rows).for_each(|word| out.raw(&HEXLOWER.decode(word).unwrap_or_default())),
            Self::Text => column.words(rows).for_each(|word| {
                out.raw(word);
                out.byte(b'\n');
            }),
        }
    }
}

fn write_list(column: &Column, out: &mut Output) {
    out.number(column.values.len() as u64);
    column.values.iter().for_each(|value| out.bytes(value));
}

/// Of a word that the number alone gives back.
fn number(word: &[u8]) -> Option<u64> {
    let canonical = match word {
        [b'0'] => true,
        [b'1'..=b'9', rest @ ..] => word.len() < 20 && rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    canonical.then(|| word.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// A difference, small where it is small in either direction.
fn zigzag(number: u64, before: u64) -> u64 {
    let difference = number.wrapping_sub(before) as i64;
    (difference << 1 ^ difference >> 63) as u64
}

fn varint_bytes(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}
