//! The hash tree over the records: RFC 6962 section 2.1 (RFC 9162 section 2.1), SHA-256.
//!
//! A [`Run`] is all that has to be kept of records that follow one another in order to hash what lies around them; runs that
//! meet become one. The tree of a whole log is the run that begins at 0.

use std::ops::Range;

use aws_lc_rs::digest::{Context, SHA256};

/// Of a leaf, a node or a whole tree.
pub type Hash = [u8; 32];

/// Hashes of the perfect subtrees that a range of leaves consists of, in order; there are fewest of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    begin: u64,
    end: u64,
    nodes: Vec<Node>,
}

/// A perfect subtree: of the `2^level` leaves from `begin`, which is a multiple of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    begin: u64,
    level: u8,
    hash: Hash,
}

impl Run {
    /// Of no leaf yet.
    pub fn at(begin: u64) -> Self {
        Self { begin, end: begin, nodes: Vec::new() }
    }

    /// Of leaves that nobody knows any more: zeros.
    pub fn unknown(range: Range<u64>) -> Self {
        let mut run = Self::at(range.start);
        subtrees(range).for_each(|(begin, level)| run.push(begin, level, Hash::default()));
        run
    }

    /// As [`hashes`](Self::hashes) gave them. `None` where their number does not fit the range.
    pub fn of(range: Range<u64>, hashes: &[Hash]) -> Option<Self> {
        let mut run = Self::at(range.start);
        let mut hashes = hashes.iter();
        for (begin, level) in subtrees(range) {
            run.push(begin, level, *hashes.next()?);
        }
        hashes.next().is_none().then_some(run)
    }

    /// Of its subtrees, in order.
    pub fn hashes(&self) -> impl Iterator<Item = &Hash> {
        self.nodes.iter().map(|node| &node.hash)
    }

    /// The leaves, by number.
    pub fn range(&self) -> Range<u64> {
        self.begin..self.end
    }

    /// One leaf more.
    pub fn append(&mut self, leaf: Hash) {
        self.push(self.end, 0, leaf);
    }

    /// The perfect subtree of the `2^level` leaves that follow. `false`, and nothing is done, where a subtree does not begin there.
    #[must_use]
    pub fn append_subtree(&mut self, level: u8, hash: Hash) -> bool {
        let begins =
            level < 64 && self.end.trailing_zeros() >= u32::from(level) && self.end.checked_add(1 << level).is_some();
        if begins {
            self.push(self.end, level, hash);
        }
        begins
    }

    /// The leaves that follow. `false`, and nothing is done, where they do not.
    #[must_use]
    pub fn extend(&mut self, other: &Self) -> bool {
        if other.begin != self.end {
            return false;
        }
        for node in &other.nodes {
            self.push(node.begin, node.level, node.hash);
        }
        true
    }

    /// Of those of its leaves that are in a range. `None` where its subtrees do not say.
    pub fn part(&self, range: Range<u64>) -> Option<Self> {
        let mut part = Self::at(range.start);
        let inside = |node: &&Node| node.begin >= range.start && node.begin + (1 << node.level) <= range.end;
        for node in self.nodes.iter().filter(inside) {
            if node.begin != part.end {
                return None;
            }
            part.push(node.begin, node.level, node.hash);
        }
        (part.end == range.end).then_some(part)
    }

    /// The root of a tree of these leaves, if they were all: of none the hash of nothing.
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev().map(|node| node.hash);
        match nodes.next() {
            None => digest(&[]),
            Some(last) => nodes.fold(last, |right, left| node_hash(&left, &right)),
        }
    }

    fn push(&mut self, begin: u64, level: u8, hash: Hash) {
        let mut node = Node { begin, level, hash };
        self.end = begin + (1 << level);
        while let Some(left) = self.nodes.last().filter(|left| left.is_left_of(&node)) {
            node = Node { begin: left.begin, level: node.level + 1, hash: node_hash(&left.hash, &node.hash) };
            self.nodes.pop();
        }
        self.nodes.push(node);
    }
}

impl Node {
    fn is_left_of(&self, right: &Self) -> bool {
        self.level == right.level && self.begin >> self.level & 1 == 0
    }
}

/// Begin and level of the perfect subtrees that a range consists of.
fn subtrees(range: Range<u64>) -> impl Iterator<Item = (u64, u8)> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let left = range.end.checked_sub(at).filter(|left| *left > 0)?;
        let level = at.trailing_zeros().min(left.ilog2());
        let begin = at;
        at += 1 << level;
        Some((begin, level as u8))
    })
}

/// Of a record.
pub fn leaf_hash(record: &[u8]) -> Hash {
    digest(&[&[0], record])
}

/// Of two subtrees.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    digest(&[&[1], left, right])
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = Hash::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The leaves whose subtrees prove that leaf `index` is in a tree of `size`: an audit path, from the leaf up. Empty where it
/// is not in it.
pub fn inclusion_path(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut path, mut range) = (Vec::new(), 0..size);
    if index >= size {
        return path;
    }
    while range.end - range.start > 1 {
        let middle = range.start + split(range.end - range.start);
        if index < middle {
            path.push(middle..range.end);
            range.end = middle;
        } else {
            path.push(range.start..middle);
            range.start = middle;
        }
    }
    path.reverse();
    path
}

/// The root that an audit path leads to. `None` where it is not as long as it has to be.
pub fn root_by_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    let ranges = inclusion_path(index, size);
    if index >= size || ranges.len() != path.len() {
        return None;
    }
    let step = |hash: Hash, (range, sibling): (&Range<u64>, &Hash)| match range.start > index {
        true => node_hash(&hash, sibling),
        false => node_hash(sibling, &hash),
    };
    Some(ranges.iter().zip(path).fold(leaf, step))
}

/// Leaves left of where a tree of `size` (two at least) is split: the largest power of two below.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;

    fn leaf(number: u64) -> Vec<u8> {
        format!("record {number}").into_bytes()
    }

    fn run(range: Range<u64>) -> Run {
        let mut run = Run::at(range.start);
        range.for_each(|number| run.append(leaf_hash(&leaf(number))));
        run
    }

    fn theirs(size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        (0..size).for_each(|number| tree.push(leaf(number)));
        tree
    }

    #[test]
    fn roots_are_those_of_another_implementation() {
        assert_eq!(Run::at(0).root(), digest(&[]));
        for size in 1..130 {
            assert_eq!(run(0..size).root()[..], theirs(size).root().as_bytes()[..], "{size}");
        }
    }

    #[test]
    fn audit_paths_are_those_of_another_implementation() {
        for size in [1, 2, 3, 7, 8, 9, 64, 65, 100] {
            let tree = theirs(size);
            for index in 0..size {
                let path: Vec<Hash> = inclusion_path(index, size).into_iter().map(|range| run(range).root()).collect();
                let proof = tree.prove_inclusion(index as usize);
                assert_eq!(path.concat(), proof.as_bytes(), "{index} of {size}");
                let root = root_by_inclusion(leaf_hash(&leaf(index)), index, size, &path);
                assert_eq!(root, Some(run(0..size).root()));
            }
        }
        assert_eq!(root_by_inclusion(Hash::default(), 3, 3, &[]), None);
        assert_eq!(root_by_inclusion(Hash::default(), 0, 2, &[]), None);
    }

    proptest! {
        #[test]
        fn runs_that_meet_are_one(cuts in prop::collection::vec(0_u64..400, 1..6)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut whole = Run::at(cuts[0]);
            for cut in cuts.windows(2) {
                prop_assert!(whole.extend(&run(cut[0]..cut[1])));
            }
            let all = cuts[0]..cuts[cuts.len() - 1];
            prop_assert_eq!(&whole, &run(all.clone()));
            let hashes: Vec<Hash> = whole.hashes().copied().collect();
            prop_assert_eq!(Run::of(all.clone(), &hashes), Some(whole.clone()));
            let more = [&hashes[..], &[Hash::default()]].concat();
            prop_assert_eq!(Run::of(all.clone(), &more), None);
            for cut in cuts.windows(2) {
                let part = whole.part(cut[0]..cut[1]);
                prop_assert!(part.is_none_or(|part| part == run(cut[0]..cut[1])));
            }
            prop_assert_eq!(whole.part(all), Some(whole.clone()));
        }
    }
}
