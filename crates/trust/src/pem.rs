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

/// A file, taken apart.
pub(crate) struct Pem<'a> {
    /// In order.
    pub blocks: Vec<Block<'a>>,
    /// What stands between the blocks and looks as if it belonged to one. Other text there is usual.
    pub stray: Vec<Stray>,
    /// Line of the first marker of a private key, however it is written, from 1.
    pub private_key: Option<usize>,
}

/// Lines outside of blocks that look like part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    /// Line of the first of them, from 1.
    pub line: usize,
    pub kind: StrayKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StrayKind {
    /// Nearly a BEGIN marker: other hyphens, or more in the same line.
    Begin,
    /// An END marker without BEGIN.
    End,
    /// Base64 without markers.
    Base64,
}

/// All blocks in order; see [`read`].
pub(crate) fn blocks(bytes: &[u8]) -> Vec<Block<'_>> {
    read(bytes).blocks
}

/// Takes a byte order mark, any line ends, blanks around lines, and text between blocks.
pub(crate) fn read(bytes: &[u8]) -> Pem<'_> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (mut blocks, mut stray, mut private_key) = (Vec::new(), Vec::new(), None);
    let mut open: Option<(usize, &str, Vec<u8>)> = None;
    let mut in_stray = false;
    for (number, line) in (1..).zip(lines(bytes)) {
        if names_private_key(line) {
            private_key.get_or_insert(number);
        }
        let mut found = None;
        if let Some(label) = marker(line, b"-----BEGIN ") {
            if let Some((line, label, _)) = open.replace((number, label, Vec::new())) {
                blocks.push(Block { line, label, body: Err(BadBlock::Unterminated) });
            }
        } else if let Some(end) = marker(line, b"-----END ") {
            match open.take() {
                Some((line, label, text)) => {
                    let body = if label == end { decode(&text) } else { Err(BadBlock::Mismatched) };
                    blocks.push(Block { line, label, body });
                }
                // What is above it is told of already.
                None if in_stray => {}
                None => found = Some(StrayKind::End),
            }
        } else if let Some((_, _, text)) = &mut open {
            text.extend_from_slice(line);
        } else if contains(line, b"-BEGIN ") {
            found = Some(StrayKind::Begin);
        } else if looks_like_base64(line) && !in_stray {
            found = Some(StrayKind::Base64);
        }
        in_stray = matches!(found, Some(StrayKind::Base64 | StrayKind::Begin))
            || in_stray && open.is_none() && is_base64(line);
        stray.extend(found.map(|kind| Stray { line: number, kind }));
    }
    if let Some((line, label, _)) = open {
        blocks.push(Block { line, label, body: Err(BadBlock::Unterminated) });
    }
    Pem { blocks, stray, private_key }
}

fn names_private_key(line: &[u8]) -> bool {
    contains(line, b"-BEGIN ") && contains(line, b"PRIVATE KEY")
}

/// Long enough to be no word, and no fingerprint in hexadecimal.
fn looks_like_base64(line: &[u8]) -> bool {
    line.len() >= 48 && is_base64(line) && !line.iter().all(u8::is_ascii_hexdigit)
}

fn is_base64(line: &[u8]) -> bool {
    !line.is_empty() && line.iter().all(|&b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
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
    // RFC 7468 section 3: hyphens stand alone in a label. More of them are another marker in the same line.
    std::str::from_utf8(label).ok().filter(|label| !label.contains("--"))
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

    #[test]
    fn what_looks_like_part_of_a_block_is_told() {
        let line = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu1SU1LfVLPHCozMxH2Mo";
        let hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let block = "-----BEGIN A-----\nAAEC\n-----END A-----\n";
        let text = "Certificate:\n    Data:\n        Version: 3 (0x2)\n            00:c9:b1\n# Root\n";
        let stray = |line, kind| vec![Stray { line, kind }];
        for (text, expected) in [
            (format!("{text}{block}{text}{hex}\n{block}"), vec![]),
            (format!("{block}{line}\n{line}\nAA==\n-----END A-----\n"), stray(4, StrayKind::Base64)),
            (format!("{block}-----END A-----\n"), stray(4, StrayKind::End)),
            (format!("----BEGIN A----\n{block}"), stray(1, StrayKind::Begin)),
            ("-----BEGIN A----- AAEC -----END A-----".to_owned(), stray(1, StrayKind::Begin)),
        ] {
            let pem = read(text.as_bytes());
            assert_eq!(pem.stray, expected, "{text}");
            assert_eq!(pem.private_key, None);
        }
        for text in
            ["-----BEGIN PRIVATE KEY-----\n", "----BEGIN RSA PRIVATE KEY----\n", "{\"-----BEGIN EC PRIVATE KEY-----\\n"]
        {
            for before in ["", "-----BEGIN A-----\nAAEC\n"] {
                let text = format!("{before}{text}");
                assert_eq!(read(text.as_bytes()).private_key, Some(text.lines().count()), "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            blocks(&bytes);
        }
    }
}
