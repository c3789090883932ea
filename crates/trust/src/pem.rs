//! PEM (RFC 7468), read with tolerance for what editors and tools do to it, and with line numbers.

use data_encoding::{BASE64, Specification};

/// A block between a BEGIN and an END marker.
pub(crate) struct Block<'a> {
    /// Line of the BEGIN marker, from 1.
    pub line: usize,
    /// What the marker says, e.g. `CERTIFICATE`.
    pub label: &'a str,
    /// The decoded bytes, or what is wrong.
    pub body: Result<Vec<u8>, BadBlock>,
}

/// Why a block cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadBlock {
    /// No END marker before the next BEGIN or the end.
    Unterminated,
    /// The END marker has another label.
    Mismatched,
    /// Not base64.
    NotBase64,
}

/// All blocks in order. Takes a byte order mark, any line ends, blanks around lines, and text between blocks.
pub(crate) fn blocks(bytes: &[u8]) -> Vec<Block<'_>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut blocks = Vec::new();
    let mut open: Option<(usize, &str, Vec<u8>)> = None;
    for (number, line) in (1..).zip(lines(bytes)) {
        if let Some(label) = marker(line, b"-----BEGIN ") {
            if let Some((line, label, _)) = open.replace((number, label, Vec::new())) {
                blocks.push(Block { line, label, body: Err(BadBlock::Unterminated) });
            }
        } else if let Some(end) = marker(line, b"-----END ") {
            if let Some((line, label, text)) = open.take() {
                let body = if label == end { decode(&text) } else { Err(BadBlock::Mismatched) };
                blocks.push(Block { line, label, body });
            }
        } else if let Some((_, _, text)) = &mut open {
            text.extend_from_slice(line);
        }
    }
    if let Some((line, label, _)) = open {
        blocks.push(Block { line, label, body: Err(BadBlock::Unterminated) });
    }
    blocks
}

/// Lines without their ends (`\n`, `\r\n` or `\r`) and without blanks around them.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let Some(end) = bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
            rest = None;
            return Some(bytes.trim_ascii());
        };
        let after = if bytes[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
        rest = Some(&bytes[after..]);
        Some(bytes[..end].trim_ascii())
    })
}

fn marker<'a>(line: &'a [u8], start: &[u8]) -> Option<&'a str> {
    let label = line.strip_prefix(start)?.strip_suffix(b"-----")?;
    std::str::from_utf8(label).ok()
}

fn decode(text: &[u8]) -> Result<Vec<u8>, BadBlock> {
    if let Ok(bytes) = BASE64.decode(text) {
        return Ok(bytes);
    }
    // Blanks inside lines and missing padding are read, too.
    let mut lenient = Specification::new();
    lenient.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    lenient.ignore.push_str(" \t=");
    let encoding = lenient.encoding().map_err(|_| BadBlock::NotBase64)?;
    encoding.decode(text).map_err(|_| BadBlock::NotBase64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tolerates_what_tools_do() {
        let lf =
            "subject=CN=x\n-----BEGIN A-----\nAAEC\nAwQF\n-----END A-----\n\n-----BEGIN B-----\nAA==\n-----END B-----";
        for text in [lf.to_owned(), lf.replace('\n', "\r\n"), lf.replace('\n', "\r"), format!("\u{feff}{lf}")] {
            let blocks = blocks(text.as_bytes());
            assert_eq!(blocks.len(), 2, "{text:?}");
            assert_eq!((blocks[0].line, blocks[0].label), (2, "A"));
            assert_eq!(blocks[0].body.as_deref(), Ok(&[0, 1, 2, 3, 4, 5][..]));
            assert_eq!((blocks[1].line, blocks[1].label), (7, "B"));
            assert_eq!(blocks[1].body.as_deref(), Ok(&[0][..]));
        }
    }

    #[test]
    fn tells_what_is_wrong() {
        for (text, wrong) in [
            ("-----BEGIN A-----\nAAEC\n", BadBlock::Unterminated),
            ("-----BEGIN A-----\nAAEC\n-----END B-----\n", BadBlock::Mismatched),
            ("-----BEGIN A-----\nAA!C\n-----END A-----\n", BadBlock::NotBase64),
        ] {
            assert_eq!(blocks(text.as_bytes())[0].body, Err(wrong));
        }
        let nested = blocks(b"-----BEGIN A-----\nAAEC\n-----BEGIN B-----\nAAEC\n-----END B-----");
        assert_eq!(nested[0].body, Err(BadBlock::Unterminated));
        assert_eq!(nested[1].body.as_deref(), Ok(&[0, 1, 2][..]));
        assert!(blocks(b"no markers at all").is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            blocks(&bytes);
        }
    }
}
