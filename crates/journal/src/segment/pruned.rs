//! What is left of a segment whose records are not kept any longer: how many there were, their hashes, and who says so.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::{Form, PRUNED, Segment, path};
use crate::note::Signer;
use crate::recorder::replace;
use crate::tree::{Hash, Run};

#[derive(Serialize, Deserialize)]
struct Left {
    first: u64,
    lines: u64,
    /// Base64 of [`Run::hashes`], one after the other.
    run: String,
    /// A signed note, where somebody signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Segment {
    /// Puts what is to be left of a sealed segment beside it; it can be removed then.
    pub(crate) fn prune(&self, directory: &Path, run: &Run, signer: Option<&Signer>, why: &str) -> io::Result<Self> {
        let note = signer.map(|signer| signer.sign(&format!("{}{why}\n", pruning(signer.verifier().name(), run))));
        let left = Left { first: self.first, lines: self.lines, run: encoded(run), note };
        replace(&path(directory, self.first, PRUNED), &serde_json::to_vec(&left)?)?;
        Ok(Self::of_pruned(run.clone()))
    }

    /// What is left of the segment that begins there, if it was pruned.
    pub(crate) fn read_pruned(directory: &Path, first: u64) -> io::Result<Option<Self>> {
        Ok(Left::read(directory, first)?.map(|(_, run)| Self::of_pruned(run)))
    }

    /// The signed note that says that the segment was pruned.
    pub(crate) fn pruning_note(directory: &Path, first: u64) -> io::Result<Option<String>> {
        Ok(Left::read(directory, first)?.and_then(|(left, _)| left.note))
    }

    fn of_pruned(run: Run) -> Self {
        let Range { start, end } = run.range();
        Self { lines: end - start, form: Form::Pruned(Box::new(run)), ..Self::growing(start) }
    }
}

impl Left {
    fn read(directory: &Path, first: u64) -> io::Result<Option<(Self, Run)>> {
        let bytes = match fs::read(path(directory, first, PRUNED)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let left: Self = serde_json::from_slice(&bytes)?;
        let end = left.first.checked_add(left.lines).filter(|_| left.first == first);
        let run = end.and_then(|end| decoded(first..end, &left.run));
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "what is left of a pruned segment is damaged");
        Ok(Some((left, run.ok_or_else(damaged)?)))
    }
}

/// The text that is signed: a pruning, of which log, of which records, their root. Behind it stands why.
pub(crate) fn pruning(origin: &str, run: &Run) -> String {
    let Range { start, end } = run.range();
    format!("{origin}/pruned\n{start}\n{end}\n{}\n", BASE64.encode(&run.root()))
}

pub(super) fn encoded(run: &Run) -> String {
    BASE64.encode(run.hashes().copied().collect::<Vec<Hash>>().as_flattened())
}

pub(super) fn decoded(range: Range<u64>, text: &str) -> Option<Run> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() { Run::of(range, hashes) } else { None }
}
