//! What an authority has done: `ca.jsonl`, an event a line, only ever appended to.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files::sync_directory_of;
use crate::answer::Failure;

/// The register, ours alone as long as this lives.
pub(super) struct Register {
    file: File,
    path: PathBuf,
    events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Event {
    Issued(Issued),
    Revoked(Revoked),
    Crl(Crl),
}

/// A certificate was issued. It is here before it is anywhere else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Issued {
    /// RFC 3339.
    pub(super) at: String,
    /// Lowercase hexadecimal.
    pub(super) serial: String,
    /// Its files are named after it.
    pub(super) name: String,
    /// As AWS prints it.
    pub(super) subject: String,
    /// RFC 3339.
    pub(super) not_after: String,
    /// Of its DER, lowercase hexadecimal.
    pub(super) sha256: String,
}

/// A certificate was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Revoked {
    /// RFC 3339.
    pub(super) at: String,
    /// Lowercase hexadecimal.
    pub(super) serial: String,
    pub(super) subject: String,
    pub(super) reason: super::reason::Reason,
}

/// A list of revoked certificates was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Crl {
    /// RFC 3339.
    pub(super) at: String,
    pub(super) number: u64,
    /// RFC 3339.
    pub(super) next_update: String,
    /// How many certificates it lists.
    pub(super) revoked: usize,
}

impl Register {
    /// Waits until nobody else has it. Made if it is not there: authorities from before there were registers have none.
    pub(super) fn open(dir: &Path) -> Result<Self, Failure> {
        let path = dir.join("ca.jsonl");
        let failed = |e: std::io::Error| Failure::new(format!("cannot use {}: {e}", path.display()));
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
            file.lock()?;
            sync_directory_of(&path)?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            // A line without its end was never acknowledged: the machine stopped while it was written.
            let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            if whole < text.len() {
                file.set_len(whole as u64)?;
                file.seek(SeekFrom::End(0))?;
            }
            text.truncate(whole);
            Ok((file, text))
        };
        let (file, text) = open().map_err(failed)?;
        let mut events = Vec::new();
        for (number, line) in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let event = serde_json::from_slice(line)
                .map_err(|e| Failure::new(format!("{}, line {}: {e}", path.display(), number + 1)))?;
            events.push(event);
        }
        Ok(Self { file, path, events })
    }

    /// On disk when this returns.
    pub(super) fn append(&mut self, event: Event) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(&event).expect("plain data with string keys");
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_all());
        written.map_err(|e| Failure::new(format!("cannot write {}: {e}", self.path.display())))?;
        self.events.push(event);
        Ok(())
    }

    pub(super) fn issued(&self) -> impl Iterator<Item = &Issued> {
        self.events.iter().filter_map(|event| match event {
            Event::Issued(issued) => Some(issued),
            _ => None,
        })
    }

    pub(super) fn revoked(&self) -> impl Iterator<Item = &Revoked> {
        self.events.iter().filter_map(|event| match event {
            Event::Revoked(revoked) => Some(revoked),
            _ => None,
        })
    }

    pub(super) fn revocation_of(&self, serial: &str) -> Option<&Revoked> {
        self.revoked().find(|revoked| revoked.serial == serial)
    }

    /// Numbers of lists grow (RFC 5280 section 5.2.3).
    pub(super) fn next_crl_number(&self) -> u64 {
        let numbers = self.events.iter().filter_map(|event| match event {
            Event::Crl(crl) => Some(crl.number),
            _ => None,
        });
        numbers.max().unwrap_or(0) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crl(number: u64) -> Event {
        Event::Crl(Crl { at: "x".into(), number, next_update: "y".into(), revoked: 0 })
    }

    #[test]
    fn what_was_appended_is_read_and_a_torn_line_was_never_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut register = Register::open(dir.path()).unwrap();
        assert_eq!(register.next_crl_number(), 1);
        register.append(crl(1)).unwrap();
        drop(register);
        let path = dir.path().join("ca.jsonl");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], &whole[..whole.len() - 1]].concat()).unwrap();
        let mut register = Register::open(dir.path()).unwrap();
        assert_eq!(register.events, [crl(1)]);
        register.append(crl(2)).unwrap();
        drop(register);
        let register = Register::open(dir.path()).unwrap();
        assert_eq!((register.events.len(), register.next_crl_number()), (2, 3));
    }

    #[test]
    fn a_line_that_is_no_event_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.jsonl"), "{\"event\":\"lost\"}\n").unwrap();
        let error = Register::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("ca.jsonl, line 1"), "{error}");
    }
}
