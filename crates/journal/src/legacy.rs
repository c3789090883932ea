//! Segments as they were before records were hashed: `*.ndjson`, each line with a check of itself only, and `*.seal` beside
//! them. They become segments of lines that have to be sealed.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use crate::journal::private;
use crate::line::{self, Chain};
use crate::recovery::MAX_LINE_BYTES;
use crate::segment::{GROWING, path};

/// Rewrites the segment that begins with this line, if there is one. A line that is damaged stays damaged.
pub(crate) fn convert(directory: &Path, first: u64) -> io::Result<()> {
    let old = path(directory, first, "ndjson");
    let mut reader = match File::open(&old) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let temporary = path(directory, first, "converting");
    let mut out = BufWriter::new(private().create(true).truncate(true).open(&temporary)?);
    let (mut chain, mut text) = (Chain::default(), Vec::new());
    loop {
        text.clear();
        if reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut text)? == 0 {
            break;
        }
        if text.ends_with(b"\n") && is_whole(&text[..text.len() - 1]) {
            chain.link(&mut text);
        }
        out.write_all(&text)?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&temporary, path(directory, first, GROWING))?;
    fs::remove_file(&old)?;
    match fs::remove_file(old.with_extension("seal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_whole(text: &[u8]) -> bool {
    let check = text.get(..8).and_then(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
    line::json(text).is_some_and(|json| check == Some(crc32fast::hash(json)))
}
