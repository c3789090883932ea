//! Where the bytes are that a domain names: objects of S3, and files in a directory of the server's.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use aws::Error;

use crate::objects::{ObjectError, Objects};

/// A place that a domain names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Location {
    /// `s3://bucket/key`
    Object {
        /// The bucket.
        bucket: String,
        /// The object's key.
        key: String,
    },
    /// `file:NAME`; a plain name, checked with the tag that it stands in.
    File(String),
}

/// What is read from.
pub(super) struct Sources {
    pub(super) objects: Arc<Objects>,
    /// Where the files are; none: there are none.
    pub(super) directory: Option<PathBuf>,
}

/// Version of a file that is gone.
const GONE: &str = "gone";

impl Location {
    pub(super) fn parse(uri: &str) -> Result<Self, Error> {
        let parts = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        match parts.filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty()) {
            Some((bucket, key)) => Ok(Self::Object { bucket: bucket.to_owned(), key: key.to_owned() }),
            None => Err(Error::bad_request(format!("Invalid truststoreUri {uri}: expected s3://bucket/key"))),
        }
    }

    pub(super) fn uri(&self) -> String {
        match self {
            Self::Object { bucket, key } => format!("s3://{bucket}/{key}"),
            Self::File(name) => format!("file:{name}"),
        }
    }
}

impl Sources {
    /// Refuses files where the server has no directory for them.
    pub(super) fn check(&self, location: &Location) -> Result<(), Error> {
        match location {
            Location::File(name) if self.directory.is_none() => Err(Error::bad_request(format!(
                "Unable to read file:{name}: the server's configuration names no [revocation] directory."
            ))),
            _ => Ok(()),
        }
    }

    /// Bytes and version. Blocks.
    pub(super) fn read(
        &self,
        location: &Location,
        version: Option<&str>,
        max_bytes: u64,
    ) -> Result<(Vec<u8>, String), ObjectError> {
        match location {
            Location::Object { bucket, key } => self.objects.read(bucket, key, version, max_bytes),
            Location::File(name) => self.read_file(name, max_bytes),
        }
    }

    /// Blocks.
    pub(super) fn newest_version(&self, location: &Location) -> Option<String> {
        match location {
            Location::Object { bucket, key } => {
                self.objects.head(bucket, key, None).ok().map(|(version, _)| version.id)
            }
            Location::File(name) => self.open(name).ok().map(|(_, version)| version),
        }
    }

    fn read_file(&self, name: &str, max_bytes: u64) -> Result<(Vec<u8>, String), ObjectError> {
        let gone = |_: io::Error| ObjectError::NoSuchKey { key: name.to_owned(), marker: Some(GONE.to_owned()) };
        let (file, version) = self.open(name).map_err(gone)?;
        let mut bytes = Vec::new();
        file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(gone)?;
        let size = bytes.len() as u64;
        if size > max_bytes {
            return Err(ObjectError::TooLarge { size, limit: max_bytes });
        }
        Ok((bytes, version))
    }

    /// A file with its version: when it was changed, in milliseconds.
    fn open(&self, name: &str) -> io::Result<(File, String)> {
        let directory = self.directory.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let path = directory.join(name);
        // Opening a pipe waits until somebody writes to it.
        if !path.metadata()?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let changed = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok((file, changed.as_millis().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_files_are_read() {
        let base = tempfile::tempdir().unwrap();
        let sources =
            Sources { objects: Arc::new(Objects::open(base.path()).unwrap()), directory: Some(base.path().to_owned()) };
        std::fs::write(base.path().join("list"), "12345").unwrap();
        std::os::unix::fs::symlink("list", base.path().join("link")).unwrap();
        std::fs::create_dir(base.path().join("directory")).unwrap();
        assert!(Command::new("mkfifo").arg(base.path().join("pipe")).status().unwrap().success());
        for name in ["list", "link"] {
            let (bytes, version) = sources.read(&Location::File(name.into()), None, 5).unwrap();
            assert_eq!(
                (&bytes[..], Some(version)),
                (&b"12345"[..], sources.newest_version(&Location::File(name.into())))
            );
            let too_large = sources.read(&Location::File(name.into()), None, 4);
            assert!(matches!(too_large, Err(ObjectError::TooLarge { limit: 4, .. })));
        }
        for name in ["pipe", "directory", "none"] {
            let read = sources.read(&Location::File(name.into()), None, 5);
            assert!(matches!(read, Err(ObjectError::NoSuchKey { .. })), "{name}");
        }
    }
}
