//! Lines: `crc32 of the JSON, 8 hex digits, SP, JSON, LF`.

/// Bytes before the JSON.
const PREFIX: usize = 9;

/// Appends one line, of the JSON that `write` appends. A record that cannot be JSON (none of ours) appends nothing.
pub(crate) fn push(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> bool {
    let start = out.len();
    out.extend_from_slice(b"00000000 ");
    if write(out).is_err() {
        out.truncate(start);
        return false;
    }
    let crc = crc32fast::hash(&out[start + PREFIX..]);
    out[start..start + PREFIX - 1].copy_from_slice(&hex(crc));
    out.push(b'\n');
    true
}

/// The JSON of a line (given without its LF), if it is as it was written.
pub(crate) fn json(line: &[u8]) -> Option<&[u8]> {
    let (prefix, json) = line.split_at_checked(PREFIX)?;
    (prefix[..PREFIX - 1] == hex(crc32fast::hash(json)) && prefix[PREFIX - 1] == b' ').then_some(json)
}

/// Lines of `bytes` with the offset of each; the last may lack its LF and is left out then.
pub(crate) fn lines(bytes: &[u8]) -> impl DoubleEndedIterator<Item = (usize, &[u8])> {
    memchr::memchr_iter(b'\n', bytes).map(move |end| {
        let start = memchr::memrchr(b'\n', &bytes[..end]).map_or(0, |lf| lf + 1);
        (start, &bytes[start..end])
    })
}

fn hex(crc: u32) -> [u8; 8] {
    let mut out = [0; 8];
    for (i, digit) in out.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(crc >> (28 - 4 * i)) as usize & 15];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_comes_back_only_as_it_was() {
        let mut bytes = Vec::new();
        for value in [serde_json::json!("a\nb"), serde_json::json!(7)] {
            assert!(push(&mut bytes, |out| serde_json::to_writer(out, &value)));
        }
        assert_eq!(bytes.iter().filter(|&&b| b == b'\n').count(), 2);
        let found: Vec<_> = lines(&bytes).map(|(at, line)| (at, json(line).unwrap())).collect();
        assert_eq!(found, [(0, &br#""a\nb""#[..]), (16, b"7")]);
        assert_eq!(lines(&bytes).next_back().unwrap().0, 16);
        for at in 0..15 {
            let mut damaged = bytes[..15].to_vec();
            damaged[at] ^= 0x20;
            assert_eq!(json(&damaged), None, "{at}");
        }
        for length in 0..15 {
            assert_eq!(json(&bytes[..length]), None, "{length}");
        }
    }
}
