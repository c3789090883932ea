//! What a process leaves to the one that has taken the journal over: files of lines beside the segments, `*.left`. Each is locked
//! for as long as it is being written. Taken in, it is removed; a crash between the two takes its lines in twice.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::journal::private;
use crate::line::Chain;
use crate::record::Head;
use crate::recovery::MAX_LINE_BYTES;
use crate::segment::Span;
use crate::writer::Chunk;

/// Bytes of lines that are handed over at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A file that nobody writes any more.
pub(crate) struct Left {
    path: PathBuf,
    file: File,
}

/// Makes one, and locks it for as long as it is open.
pub(crate) fn create(directory: &Path) -> io::Result<File> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let path = directory.join(format!("{:016x}-{}.left", since.as_nanos(), std::process::id()));
    let file = private().create_new(true).open(path)?;
    file.lock()?;
    File::open(directory)?.sync_all()?;
    Ok(file)
}

/// Those that nobody writes any more, oldest first.
pub(crate) fn all(directory: &Path) -> io::Result<Vec<Left>> {
    let mut all = Vec::new();
    for path in paths(directory)? {
        let file = File::open(&path)?;
        if file.try_lock_shared().is_ok() {
            all.push(Left { path, file });
        }
    }
    Ok(all)
}

pub(crate) fn paths(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "left"));
    paths.sort();
    Ok(paths)
}

impl Left {
    /// Its lines. Those that a crash tore are left out.
    pub(crate) fn chunks(&self) -> io::Result<impl Iterator<Item = io::Result<Chunk>>> {
        let (mut reader, mut chain) = (BufReader::new(self.file.try_clone()?), Chain::default());
        Ok(std::iter::from_fn(move || next_chunk(&mut reader, &mut chain).transpose()))
    }

    pub(crate) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

fn next_chunk(reader: &mut impl BufRead, chain: &mut Chain) -> io::Result<Option<Chunk>> {
    let mut chunk = Chunk::default();
    let mut text = Vec::new();
    while chunk.bytes.len() < CHUNK_BYTES {
        text.clear();
        if reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut text)? == 0 {
            break;
        }
        let json = text.strip_suffix(b"\n").and_then(|line| chain.follow(line));
        let Some(head) = json.and_then(Head::of) else { continue };
        let span = Span::at(head.time_ms, head.ingested_ms());
        span.note(&mut chunk.spans, &head.region, &head.group, &head.stream);
        chunk.bytes.extend_from_slice(&text);
        chunk.end_line();
    }
    Ok((chunk.lines() > 0).then_some(chunk))
}
