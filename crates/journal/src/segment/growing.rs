//! Reading a segment that grows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Block;
use crate::columns::Lines;

/// The lines of a block that are there: a damaged file may have fewer.
pub(super) fn block(file: &File, block: &Block) -> io::Result<Lines> {
    let bytes = read(file, block.offset, block.end)?;
    let (mut lines, mut chain) = (Lines::default(), block.chain);
    let mut rest = &bytes[..];
    while let Some(end) = memchr::memchr(b'\n', rest) {
        lines.push(chain.follow(&rest[..end]).unwrap_or_default());
        rest = &rest[end + 1..];
    }
    Ok(lines)
}

/// As many bytes as there are.
pub(super) fn read(file: &File, offset: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (end - offset) as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
