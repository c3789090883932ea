//! Request ids: they print like AWS's, `Mc7UVioPPHcEKPA=`, say when the request began ([`journal::request_id`]) and are random
//! otherwise; for REST APIs UUIDs too.

use std::cell::RefCell;

use aws_lc_rs::rand;
use data_encoding::{BASE64, HEXLOWER};
use journal::request_id;

/// Random bytes of an id, and of a UUID.
const RANDOM: usize = 7;
const RANDOM_OF_UUID: usize = 10;
const BLOCK: usize = RANDOM * 128;
/// Characters of a UUID, the longest of ids.
const LONGEST: usize = 36;

/// Makes the ids of one runtime.
pub(crate) struct RequestIds(RefCell<Block>);

struct Block {
    bytes: [u8; BLOCK],
    used: usize,
}

/// One id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId {
    text: [u8; LONGEST],
    length: u8,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self(RefCell::new(Block { bytes: [0; BLOCK], used: BLOCK }))
    }

    /// 16 characters of base64. `now_ms` is in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn next(&self, now_ms: i64) -> RequestId {
        let mut text = [0; LONGEST];
        BASE64.encode_mut(&request_id::bytes(now_ms, self.random::<RANDOM>()), &mut text[..16]);
        RequestId { text, length: 16 }
    }

    /// A UUID v7 (RFC 9562 section 5.7).
    pub(crate) fn next_uuid(&self, now_ms: i64) -> RequestId {
        let bytes = request_id::uuid_bytes(now_ms, self.random::<RANDOM_OF_UUID>());
        let mut text = [b'-'; LONGEST];
        for (from, at) in [(0..4, 0), (4..6, 9), (6..8, 14), (8..10, 19), (10..16, 24)] {
            let length = 2 * from.len();
            HEXLOWER.encode_mut(&bytes[from], &mut text[at..at + length]);
        }
        RequestId { text, length: LONGEST as u8 }
    }

    pub(crate) fn random<const N: usize>(&self) -> [u8; N] {
        let mut block = self.0.borrow_mut();
        if block.used + N > BLOCK {
            // aws-lc aborts the process rather than go on without entropy; its result says nothing more.
            let _ = rand::fill(&mut block.bytes);
            block.used = 0;
        }
        let at = block.used;
        block.used += N;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&block.bytes[at..at + N]);
        bytes
    }
}

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        // Base64 and hexadecimal digits are ASCII.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn look_like_those_of_aws_and_do_not_repeat() {
        let ids = RequestIds::new();
        let seen: HashSet<String> = (0..1000).map(|_| ids.next(1_796_000_000_000).as_str().to_owned()).collect();
        assert_eq!(seen.len(), 1000);
        assert!(seen.iter().all(|id| id.len() == 16 && id.ends_with('=') && !id.ends_with("==")));
    }

    #[test]
    fn uuids_have_their_form() {
        let ids = RequestIds::new();
        let seen: HashSet<String> = (0..1000).map(|_| ids.next_uuid(1_796_000_000_000).as_str().to_owned()).collect();
        assert_eq!(seen.len(), 1000);
        let dashes = |id: &String| [8, 13, 18, 23].iter().all(|&at| id.as_bytes()[at] == b'-');
        assert!(seen.iter().all(|id| id.len() == 36 && dashes(id) && id.as_bytes()[14] == b'7'));
    }
}
