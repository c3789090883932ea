//! Writes JSON where it is written for every request. serde_json looks at each byte of a string; here it is eight at a time, and
//! what it would give is what stands there.

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;

use serde::Serialize;

/// An object, written member by member.
pub(crate) struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    pub(crate) fn string(&mut self, name: &'static str, value: &str) {
        push_string(self.member(name), value);
    }

    /// Left out where it is empty.
    pub(crate) fn non_empty(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.string(name, value);
        }
    }

    pub(crate) fn optional(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.string(name, value);
        }
    }

    pub(crate) fn number(&mut self, name: &'static str, value: impl Display) {
        // Writing into a vector does not fail.
        let _ = write!(self.member(name), "{value}");
    }

    /// Left out where it is 0.
    pub(crate) fn non_zero(&mut self, name: &'static str, value: u64) {
        if value != 0 {
            self.number(name, value);
        }
    }

    /// Addresses need no escapes.
    pub(crate) fn address(&mut self, name: &'static str, value: SocketAddr) {
        let _ = write!(self.member(name), "\"{value}\"");
    }

    pub(crate) fn object(&mut self, name: &'static str) -> Object<'_> {
        Object::new(self.member(name))
    }

    /// What comes seldom, as serde_json writes it.
    pub(crate) fn rare(&mut self, name: &'static str, value: Option<&impl Serialize>) -> serde_json::Result<()> {
        value.map_or(Ok(()), |value| serde_json::to_writer(self.member(name), value))
    }

    /// `name` needs no escapes.
    fn member(&mut self, name: &'static str) -> &mut Vec<u8> {
        self.out.extend_from_slice(if self.is_empty { b"\"" } else { b",\"" });
        self.is_empty = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }
}

/// Bytes that are looked at together.
const WORD: usize = size_of::<u64>();

fn push_string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.push(b'"');
    let mut end = out.len();
    // Room for all of it with a backslash before each byte, and for a word that is copied whole though its end is not wanted.
    out.resize(end + 2 * rest.len() + WORD, 0);
    while let Some((word, behind)) = rest.split_first_chunk::<WORD>() {
        let marks = escaped(u64::from_le_bytes(*word));
        out[end..end + WORD].copy_from_slice(word);
        if marks == 0 {
            rest = behind;
            end += WORD;
        } else {
            let at = marks.trailing_zeros() as usize / 8;
            end += at;
            put_escape(out, &mut end, word[at]);
            rest = &rest[at + 1..];
        }
    }
    for &byte in rest {
        match byte {
            0..b' ' | b'"' | b'\\' => put_escape(out, &mut end, byte),
            _ => {
                out[end] = byte;
                end += 1;
            }
        }
    }
    out.truncate(end);
    out.push(b'"');
}

/// Marks bytes that a string may not have as they are (RFC 8259 section 7), by their highest bit. The lowest mark is right; those
/// above it may come of a borrow.
fn escaped(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH;
    let equals = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    below(word, b' ') | equals(b'"') | equals(b'\\')
}

/// Puts an escape at `end`, which is behind it then. There is room for two bytes; one of six makes room for the others.
fn put_escape(out: &mut Vec<u8>, end: &mut usize, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let room = out.len() + 4;
            out.truncate(*end);
            let _ = write!(out, "\\u{byte:04x}");
            *end = out.len();
            return out.resize(room, 0);
        }
    };
    out[*end..*end + 2].copy_from_slice(&[b'\\', short]);
    *end += 2;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_are_serde_jsons(text in "[ -~\"\\\\\u{0}-\u{1f}é…😀]{0,60}") {
            let mut out = Vec::new();
            push_string(&mut out, &text);
            prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
