//! Files of an authority: written whole and for good, or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::key::Key;
use crate::answer::Failure;

/// Bytes that are read of a file.
const MAX_BYTES: u64 = 128 * 1024;

/// `NAME.pem` and `NAME.key`, before there is anything in them.
pub(super) struct Pair {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Pair {
    /// Refuses names that are taken: nothing is ever written over.
    pub(super) fn free(dir: &Path, name: &str, with_key: bool) -> Result<Self, Failure> {
        let pair = Self { certificate: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}.key")) };
        free(&pair.certificate)?;
        if with_key {
            free(&pair.key)?;
        }
        Ok(pair)
    }

    /// Writes the key first: a certificate without one is of no use.
    pub(super) fn write(&self, certificate: &str, key: Option<&Key>) -> Result<(), Failure> {
        if let Some(key) = key {
            create(&self.key, key.pem().as_bytes(), 0o600)?;
        }
        create(&self.certificate, certificate.as_bytes(), 0o644)
    }
}

pub(super) fn free(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(_) => Err(Failure::new(format!("{} is there already: move it away, or give another --dir", path.display()))),
    }
}

/// A certificate, key or request; of what is longer than any of them, only so much that it shows.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // A key that is read leaves no copies behind as the buffer grows.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize));
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes));
    read.map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))?;
    Ok(bytes)
}

/// A new file.
pub(super) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        sync_directory_of(path)
    };
    write().map_err(|e| Failure::new(format!("cannot write {}: {e}", path.display())))
}

/// A new file in the place of what was there: whoever reads meanwhile sees the one or the other, whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let write = || {
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().permissions(public()).tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync_directory_of(path)
    };
    write().map_err(|e| Failure::new(format!("cannot write {}: {e}", path.display())))
}

/// So that the name of a new file survives a power cut too.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

fn public() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}
