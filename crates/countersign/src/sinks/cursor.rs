//! How far a sink has come, on disk.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file of one sink.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Content {
    /// Number of the first record that it has not taken.
    next: u64,
}

impl Cursor {
    /// In that directory, which is made if need be.
    pub(super) fn new(directory: &Path, name: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        Ok(Self { path: directory.join(format!("{name}.json")) })
    }

    /// None where there is no file. Fails where it cannot be read, and where it is none of ours.
    pub(super) fn read(&self) -> io::Result<Option<u64>> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice::<Content>(&bytes)?.next)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whole or not at all.
    pub(super) fn write(&self, next: u64) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(&Content { next })?)?;
        file.sync_data()?;
        fs::rename(&temporary, &self.path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let cursor = Cursor::new(&directory.path().join("sinks"), "siem").unwrap();
        assert_eq!(cursor.read().unwrap(), None);
        cursor.write(7).unwrap();
        cursor.write(u64::MAX).unwrap();
        assert_eq!(cursor.read().unwrap(), Some(u64::MAX));
        assert_eq!(fs::metadata(cursor.path()).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(cursor.path(), "{").unwrap();
        assert!(cursor.read().is_err());
    }
}
