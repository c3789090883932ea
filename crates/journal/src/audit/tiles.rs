//! The log in the layout of <https://c2sp.org/tlog-tiles>, for whoever has tools for that.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{CHECKPOINT, own_checkpoint};
use crate::journal::private;
use crate::note::Verifier;
use crate::recovery::sequence_numbers;
use crate::segment::{Form, SealedError, Segment};
use crate::tree::{Hash, Run, leaf_hash};

/// Hashes of a tile, and records of a bundle.
const WIDTH: usize = 256;
/// The level of a node over so many.
const HEIGHT: u8 = 8;
const BUNDLES: &str = "entries";

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Records of the checkpoint.
    pub size: u64,
    /// Bundles of records that were left out: some of their records are not kept any longer, or are longer than 65,535 bytes.
    pub without: u64,
}

/// Writes `checkpoint`, `tile/LEVEL/…` and `tile/entries/…` below `out`, which is made if need be, of `directory` (`DIR/journal`) up to its newest
/// checkpoint. `None` where there is none that can be trusted. Files that are there already are written over.
///
/// Fails where records are missing or damaged.
pub fn export(directory: &Path, verifier: &Verifier, out: &Path) -> io::Result<Option<Exported>> {
    let Some(Ok(checkpoint)) = own_checkpoint(directory, verifier)? else { return Ok(None) };
    let mut tiles =
        Tiles { out, size: checkpoint.size, done: 0, levels: Vec::new(), bundle: Bundle::default(), without: 0 };
    for first in sequence_numbers(directory)? {
        if first != tiles.done {
            break;
        }
        tiles.segment(directory, first)?;
    }
    if tiles.done < checkpoint.size {
        let what = "records are missing or damaged: countersign audit verify names them";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let without = tiles.finish()?;
    // Last: it speaks of what is there.
    let note = fs::read(directory.join(CHECKPOINT))?;
    write(&out.join(CHECKPOINT), &note)?;
    Ok(Some(Exported { size: checkpoint.size, without }))
}

struct Tiles<'a> {
    out: &'a Path,
    size: u64,
    /// Records so far.
    done: u64,
    levels: Vec<Tile>,
    bundle: Bundle,
    without: u64,
}

/// The last tile of a level.
#[derive(Default)]
struct Tile {
    number: u64,
    hashes: Vec<Hash>,
}

/// The last records.
#[derive(Default)]
struct Bundle {
    records: usize,
    /// None: one of the records cannot be in it.
    bytes: Option<Vec<u8>>,
}

impl Tiles<'_> {
    fn segment(&mut self, directory: &Path, first: u64) -> io::Result<()> {
        let segment = match Segment::find(directory, first) {
            Ok(segment) => segment,
            // Nothing behind it is looked at: it is missing.
            Err(SealedError::Damaged) => return Ok(()),
            Err(SealedError::Io(error)) => return Err(error),
        };
        if !matches!(segment.form, Form::Pruned(_)) {
            let size = self.size;
            return segment.each(directory, first..size, &mut |json| self.leaf(leaf_hash(json), Some(json)));
        }
        for (level, hash) in Segment::pruned_nodes(directory, first)? {
            if level == 0 {
                self.leaf(hash, None)?;
            } else if self.done < self.size {
                // A whole tile that nobody needs for what is above it.
                self.level(0).number += 1;
                self.without += 1;
                self.done += WIDTH as u64;
                self.node(1, hash)?;
            }
        }
        Ok(())
    }

    fn leaf(&mut self, hash: Hash, record: Option<&[u8]>) -> io::Result<()> {
        if self.done == self.size {
            return Ok(());
        }
        self.done += 1;
        self.bundle.push(record);
        if self.bundle.records == WIDTH {
            self.write_bundle()?;
        }
        self.node(0, hash)
    }

    /// One hash more of a level, and of those above it what is complete then.
    fn node(&mut self, mut level: usize, mut hash: Hash) -> io::Result<()> {
        loop {
            let tile = self.level(level);
            tile.hashes.push(hash);
            if tile.hashes.len() < WIDTH {
                return Ok(());
            }
            let (number, hashes) = (tile.number, std::mem::take(&mut tile.hashes));
            tile.number += 1;
            self.write_tile(&level.to_string(), number, WIDTH, hashes.as_flattened())?;
            let mut whole = Run::at(0);
            hashes.iter().for_each(|hash| whole.append(*hash));
            (level, hash) = (level + 1, whole.root());
        }
    }

    fn level(&mut self, level: usize) -> &mut Tile {
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Tile::default);
        }
        &mut self.levels[level]
    }

    /// What is not complete.
    fn finish(mut self) -> io::Result<u64> {
        if self.bundle.records > 0 {
            self.write_bundle()?;
        }
        for (level, tile) in self.levels.iter().enumerate().filter(|(_, tile)| !tile.hashes.is_empty()) {
            self.write_tile(&level.to_string(), tile.number, tile.hashes.len(), tile.hashes.as_flattened())?;
        }
        Ok(self.without)
    }

    /// The records up to the last one.
    fn write_bundle(&mut self) -> io::Result<()> {
        let Bundle { records, bytes } = std::mem::take(&mut self.bundle);
        match bytes {
            Some(bytes) => self.write_tile(BUNDLES, (self.done - 1) >> HEIGHT, records, &bytes),
            None => {
                self.without += 1;
                Ok(())
            }
        }
    }

    fn write_tile(&self, level: &str, number: u64, width: usize, bytes: &[u8]) -> io::Result<()> {
        let mut path = self.out.join("tile").join(level).join(numbered(number));
        if width < WIDTH {
            path.as_mut_os_string().push(".p");
            path.push(width.to_string());
        }
        write(&path, bytes)
    }
}

impl Bundle {
    fn push(&mut self, record: Option<&[u8]>) {
        let length = record.and_then(|record| u16::try_from(record.len()).ok());
        if self.records == 0 {
            self.bytes = Some(Vec::new());
        }
        self.records += 1;
        match (record, length, &mut self.bytes) {
            (Some(record), Some(length), Some(bytes)) => {
                bytes.extend_from_slice(&length.to_be_bytes());
                bytes.extend_from_slice(record);
            }
            _ => self.bytes = None,
        }
    }
}

/// `x001/x234/067`
fn numbered(mut number: u64) -> PathBuf {
    let mut parts = vec![format!("{:03}", number % 1000)];
    while number >= 1000 {
        number /= 1000;
        parts.push(format!("x{:03}", number % 1000));
    }
    parts.iter().rev().collect()
}

/// Records are nobody else's business.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    private().create(true).truncate(true).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_paths() {
        let table = [(0, "000"), (67, "067"), (999, "999"), (1000, "x001/000"), (1_234_067, "x001/x234/067")];
        for (number, path) in table {
            assert_eq!(numbered(number), Path::new(path));
        }
    }
}
