//! Reading a segment that grows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::Block;
use crate::columns::Lines;
use crate::line;
use crate::recovery::MAX_LINE_BYTES;

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

/// Gives each record of a file that is in the range, by their numbers; up to where the last whole line ends.
pub(super) fn each(
    path: &Path,
    first: u64,
    range: Range<u64>,
    each: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let (mut reader, mut text) = (BufReader::with_capacity(256 * 1024, File::open(path)?), Vec::new());
    for number in first..range.end {
        text.clear();
        reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut text)?;
        let Some(line) = text.strip_suffix(b"\n") else { break };
        if range.contains(&number) {
            each(line::json(line).unwrap_or(line))?;
        }
    }
    Ok(())
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
