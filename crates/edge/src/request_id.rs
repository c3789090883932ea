//! Request ids: 88 random bits that print like AWS's, `Mc7UVioPPHcEKPA=`.

use std::cell::RefCell;

use aws_lc_rs::rand;
use data_encoding::BASE64;

const RAW: usize = 11;
const BLOCK: usize = RAW * 128;

/// Makes the ids of one runtime.
pub(crate) struct RequestIds(RefCell<Block>);

struct Block {
    bytes: [u8; BLOCK],
    used: usize,
}

/// One id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId([u8; 16]);

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self(RefCell::new(Block { bytes: [0; BLOCK], used: BLOCK }))
    }

    pub(crate) fn next(&self) -> RequestId {
        let mut block = self.0.borrow_mut();
        if block.used == BLOCK {
            // aws-lc aborts the process rather than go on without entropy; its result says nothing more.
            let _ = rand::fill(&mut block.bytes);
            block.used = 0;
        }
        let at = block.used;
        block.used += RAW;
        let mut text = [0; 16];
        BASE64.encode_mut(&block.bytes[at..at + RAW], &mut text);
        RequestId(text)
    }
}

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        // Base64 is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn look_like_those_of_aws_and_do_not_repeat() {
        let ids = RequestIds::new();
        let seen: HashSet<String> = (0..1000).map(|_| ids.next().as_str().to_owned()).collect();
        assert_eq!(seen.len(), 1000);
        assert!(seen.iter().all(|id| id.len() == 16 && id.ends_with('=') && !id.ends_with("==")));
    }
}
