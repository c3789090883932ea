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
use crate::tree::{Hash, Run, leaf_hash};

/// Records of a tile, and the level of the subtree over them (<https://c2sp.org/tlog-tiles>).
const TILE: u64 = 256;
const TILE_LEVEL: u8 = 8;

#[derive(Serialize, Deserialize)]
struct Left {
    first: u64,
    lines: u64,
    /// Base64 of [`Run::hashes`], one after the other.
    run: String,
    /// The same of [`nodes`]; empty where records were damaged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    nodes: String,
    /// A signed note, where somebody signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl Segment {
    /// Puts what is to be left of a sealed segment beside it; it can be removed then.
    pub(crate) fn prune(&self, directory: &Path, run: &Run, signer: Option<&Signer>, why: &str) -> io::Result<Self> {
        let leaves = self.leaves(directory)?.filter(|leaves| leaves.iter().fold(Run::at(self.first), grown) == *run);
        let nodes = leaves.map(|leaves| encoded_hashes(nodes_of(self.first, &leaves))).unwrap_or_default();
        let note = signer.map(|signer| signer.sign(&format!("{}{why}\n", pruning(signer.verifier().name(), run))));
        let left = Left { first: self.first, lines: self.lines, run: encoded(run), nodes, note };
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

    /// Subtrees of 256 records, and single records around them, by level (8, or 0). Empty where they are not known.
    pub(crate) fn pruned_nodes(directory: &Path, first: u64) -> io::Result<Vec<(u8, Hash)>> {
        let Some((left, run)) = Left::read(directory, first)? else { return Ok(Vec::new()) };
        let bytes = BASE64.decode(left.nodes.as_bytes()).unwrap_or_default();
        let (hashes, _) = bytes.as_chunks::<32>();
        let mut again = Run::at(run.range().start);
        let levels = levels(run.range());
        let nodes: Vec<(u8, Hash)> = levels.zip(hashes.iter().copied()).collect();
        let fits = nodes.iter().all(|(level, hash)| again.append_subtree(*level, *hash));
        Ok(if fits && again == run { nodes } else { Vec::new() })
    }

    /// Of its records; `None` where some of it is damaged.
    fn leaves(&self, directory: &Path) -> io::Result<Option<Vec<Hash>>> {
        let mut leaves = Vec::new();
        let read = self.each(directory, self.first..self.end(), &mut |json| {
            leaves.push(leaf_hash(json));
            Ok(())
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            read => read.map(|()| Some(leaves)),
        }
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

/// Levels of the nodes that are kept of a range.
fn levels(range: Range<u64>) -> impl Iterator<Item = u8> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let level = if at.is_multiple_of(TILE) && range.end.saturating_sub(at) >= TILE { TILE_LEVEL } else { 0 };
        let here = at;
        at += 1 << level;
        (here < range.end).then_some(level)
    })
}

fn nodes_of(first: u64, leaves: &[Hash]) -> Vec<Hash> {
    let mut rest = leaves;
    let node = |level: u8| {
        let (these, behind) = rest.split_at(1 << level);
        rest = behind;
        these.iter().fold(Run::at(0), grown).root()
    };
    levels(first..first + leaves.len() as u64).map(node).collect()
}

fn grown(mut run: Run, leaf: &Hash) -> Run {
    run.append(*leaf);
    run
}

pub(super) fn encoded(run: &Run) -> String {
    encoded_hashes(run.hashes().copied().collect())
}

fn encoded_hashes(hashes: Vec<Hash>) -> String {
    BASE64.encode(hashes.as_flattened())
}

pub(super) fn decoded(range: Range<u64>, text: &str) -> Option<Run> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() { Run::of(range, hashes) } else { None }
}
