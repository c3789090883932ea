//! What was fetched, on disk, so that a restart does not depend on the servers of others.
//!
//! A file holds what came over the network, byte for byte, under a name made of what it is about. It is checked again when it is
//! read, like what comes over the network: whoever can write here can take something away, and add nothing.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

/// Files that are kept.
const MAX_FILES: usize = 100_000;
/// Their bytes together.
const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// Not yet a whole file.
const NEW: &str = "new";

/// Files that are written before it is looked whether there are too many.
const LOOK_AFTER: usize = 1_000;

/// A directory of files that can be had again. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    directory: PathBuf,
    /// Since it was opened.
    written: Arc<AtomicUsize>,
}

impl Cache {
    /// Makes the directory (0700) where there is none, and takes away what is too much, or was left half written.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        for entry in fs::read_dir(directory)?.flatten() {
            if entry.path().extension().is_some_and(|extension| extension == NEW) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let cache = Self { directory: directory.to_owned(), written: Arc::default() };
        cache.make_room(MAX_FILES, MAX_BYTES)?;
        Ok(cache)
    }

    /// Takes away what is too much, the oldest first.
    fn make_room(&self, max_files: usize, max_bytes: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)?.flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            files.push((metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len(), entry.path()));
        }
        files.sort_by(|a, b| b.cmp(a));
        let mut bytes = 0;
        for (number, (_, length, path)) in files.iter().enumerate() {
            bytes += length;
            if number >= max_files || bytes > max_bytes {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    /// What was fetched of `about`, no more than `limit` bytes. Blocks.
    pub(super) fn read(&self, about: &[u8], limit: usize) -> Option<Vec<u8>> {
        let file = fs::File::open(self.path(about)).ok()?;
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes).ok()?;
        (bytes.len() <= limit).then_some(bytes)
    }

    /// Keeps what was fetched (0600), all of it or nothing. Blocks.
    pub(super) fn write(&self, about: &[u8], bytes: &[u8]) -> io::Result<()> {
        let path = self.path(about);
        let new = path.with_extension(NEW);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        fs::rename(&new, &path)?;
        match (self.written.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(LOOK_AFTER) {
            true => self.make_room(MAX_FILES, MAX_BYTES),
            false => Ok(()),
        }
    }

    /// Blocks.
    pub(super) fn remove(&self, about: &[u8]) {
        let _ = fs::remove_file(self.path(about));
    }

    fn path(&self, about: &[u8]) -> PathBuf {
        self.directory.join(HEXLOWER.encode(digest(&SHA256, about).as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keeps_private_files_within_bounds() {
        let base = tempfile::tempdir().unwrap();
        let directory = base.path().join("revocation");
        let cache = Cache::open(&directory).unwrap();
        assert_eq!(cache.read(b"a", 10), None);
        cache.write(b"a", b"0123456789").unwrap();
        assert_eq!(cache.read(b"a", 10).as_deref(), Some(&b"0123456789"[..]));
        assert_eq!(cache.read(b"a", 9), None, "longer than it may be");
        assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        let path = cache.path(b"a");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(path.with_extension(NEW), b"half").unwrap();
        let again = Cache::open(&directory).unwrap();
        assert!(again.read(b"a", 10).is_some() && !path.with_extension(NEW).exists());
        for about in [b"b", b"c"] {
            again.write(about, b"0123456789").unwrap();
        }
        fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        again.make_room(2, 100).unwrap();
        assert!(again.read(b"a", 10).is_none() && again.read(b"b", 10).is_some() && again.read(b"c", 10).is_some());
        again.make_room(2, 19).unwrap();
        assert_eq!([b"b", b"c"].iter().filter(|about| again.read(**about, 10).is_some()).count(), 1);
        again.write(b"a", b"0123456789").unwrap();
        again.remove(b"a");
        assert_eq!(again.read(b"a", 10), None);
    }
}
