//! Lines of a segment that grows: `check, 8 hex digits, SP, JSON, LF`.
//!
//! A check is the CRC-32 of the check before it (four bytes, big end first; 0 at the start of a file) and of the JSON. So a line
//! that was changed, taken out or moved breaks the chain where that was done.

/// Bytes before the JSON.
const PREFIX: usize = 9;

/// The check of the last line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain(u32);

impl Chain {
    /// Puts the check of a line (with its LF) that [`push`] appended.
    pub(crate) fn link(&mut self, line: &mut [u8]) {
        let (prefix, json) = line.split_at_mut(PREFIX);
        self.0 = self.check(json.strip_suffix(b"\n").unwrap_or(json));
        prefix[..PREFIX - 1].copy_from_slice(&hex(self.0));
    }

    /// The JSON of the next line (given without its LF), if it is as it was written and where it was written. The line behind
    /// it is held against what this one says of itself.
    pub(crate) fn follow<'a>(&mut self, line: &'a [u8]) -> Option<&'a [u8]> {
        let json = json(line)?;
        let said =
            std::str::from_utf8(&line[..PREFIX - 1]).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok())?;
        let expected = self.check(json);
        self.0 = said;
        (said == expected && line[..PREFIX - 1] == hex(said)).then_some(json)
    }

    fn check(self, json: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.0.to_be_bytes());
        hasher.update(json);
        hasher.finalize()
    }
}

/// Appends one line, of the JSON that `write` appends; its check is still to be put. A record that cannot be JSON (none of
/// ours) appends nothing.
pub(crate) fn push(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> bool {
    let start = out.len();
    out.extend_from_slice(b"00000000 ");
    if write(out).is_err() {
        out.truncate(start);
        return false;
    }
    out.push(b'\n');
    true
}

/// What stands behind the check of a line, whether it is true or not.
pub(crate) fn json(line: &[u8]) -> Option<&[u8]> {
    let (prefix, json) = line.split_at_checked(PREFIX)?;
    prefix.ends_with(b" ").then_some(json)
}

fn hex(check: u32) -> [u8; 8] {
    let mut out = [0; 8];
    for (i, digit) in out.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(check >> (28 - 4 * i)) as usize & 15];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(values: &[serde_json::Value]) -> Vec<Vec<u8>> {
        let mut chain = Chain::default();
        let line = |value| {
            let mut line = Vec::new();
            assert!(push(&mut line, |out| serde_json::to_writer(out, value)));
            chain.link(&mut line);
            assert_eq!(line.pop(), Some(b'\n'));
            line
        };
        values.iter().map(line).collect()
    }

    fn good(lines: &[Vec<u8>]) -> Vec<bool> {
        let mut chain = Chain::default();
        lines.iter().map(|line| chain.follow(line).is_some()).collect()
    }

    #[test]
    fn a_line_comes_back_only_as_it_was_and_where_it_was() {
        let whole =
            lines(&[serde_json::json!("a\nb"), serde_json::json!(7), serde_json::json!(7), serde_json::json!(8)]);
        assert_eq!(good(&whole), [true; 4]);
        assert_eq!(Chain::default().follow(&whole[0]), Some(&br#""a\nb""#[..]));
        for at in 0..whole[0].len() {
            let mut damaged = whole.clone();
            damaged[0][at] ^= 0x20;
            assert!(!good(&damaged)[0], "{at}");
            damaged[0].truncate(at);
            assert!(!good(&damaged)[0], "{at}");
        }
        let mut without = whole.clone();
        without.remove(1);
        assert_eq!(good(&without), [true, false, true], "what follows the one that is missing");
        let mut moved = whole.clone();
        moved.swap(2, 3);
        assert_eq!(good(&moved), [true, true, false, false]);
        let mut twice = whole.clone();
        twice.insert(1, whole[0].clone());
        assert_eq!(good(&twice), [true, false, true, true, true]);
    }
}
