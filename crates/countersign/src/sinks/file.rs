//! Lines in a file that another program may rotate, and lines on stdout.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that grows. Where it was moved away, or removed, a new one is made.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    open: Option<File>,
}

/// What is looked through for the end of the last whole line.
const TAIL_BYTES: u64 = 4 * 1024 * 1024;

impl Lines {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    /// Appends whole lines; they are on disk when it returns. Where that fails nothing of them stays. Blocks.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let named =
            |error: io::Error, path: &Path| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        self.append_unnamed(lines).map_err(|error| named(error, &self.path))
    }

    fn append_unnamed(&mut self, lines: &[u8]) -> io::Result<()> {
        let file = match self.open.take().filter(|file| is_at(file, &self.path)) {
            Some(file) => file,
            None => open(&self.path)?,
        };
        let file = self.open.insert(file);
        let before = file.metadata()?.len();
        let appended = file.write_all(lines).and_then(|()| file.sync_data());
        if appended.is_err() {
            let _ = file.set_len(before);
        }
        appended
    }
}

/// On stdout, where whoever reads says how fast. Blocks.
pub(super) fn print(lines: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(lines)?;
    stdout.flush()
}

/// Whether the path still leads to the file.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |one: &fs::Metadata, other: &fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(ours), Ok(there)) if same(&ours, &there))
}

/// A line that is not whole, which a crash has left, is taken away: it comes again.
fn open(path: &Path) -> io::Result<File> {
    match fs::metadata(path) {
        Ok(there) if !there.is_file() => {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is there, and no regular file"));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().append(true).read(true).create(true).mode(0o600).open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut last = [0];
    if length > 0 && file.read_at(&mut last, length - 1)? == 1 && last != *b"\n" {
        let start = length.saturating_sub(TAIL_BYTES);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(start))?;
        (&file).take(TAIL_BYTES).read_to_end(&mut tail)?;
        match tail.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => file.set_len(start + at as u64 + 1)?,
            None if start == 0 => file.set_len(0)?,
            None => file.write_all(b"\n")?,
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_where_it_was_and_follows_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let (path, moved) = (directory.path().join("lines"), directory.path().join("lines.1"));
        let mut lines = Lines::new(path.clone());
        lines.append(b"1\n").unwrap();
        lines.append(b"2\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        lines.append(b"3\n").unwrap();
        fs::remove_file(&path).unwrap();
        lines.append(b"4\n").unwrap();
        assert_eq!((fs::read(&moved).unwrap(), fs::read(&path).unwrap()), (b"1\n2\n".to_vec(), b"4\n".to_vec()));
    }

    #[test]
    fn a_torn_line_is_taken_away() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lines");
        for (there, then) in [("1\n2\nto", "1\n2\nnew\n"), ("torn", "new\n"), ("", "new\n"), ("1\n", "1\nnew\n")] {
            fs::write(&path, there).unwrap();
            Lines::new(path.clone()).append(b"new\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), then);
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let error = Lines::new(directory.path().to_owned()).append(b"1\n").unwrap_err();
        assert!(error.to_string().ends_with("no regular file"), "{error}");
        let error = Lines::new(directory.path().join("none/lines")).append(b"1\n").unwrap_err();
        assert!(error.to_string().contains("none/lines: "), "{error}");
    }
}
