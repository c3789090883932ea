//! Who enforces the settings, and which revision of them.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use model::{Revision, UnixMillis};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::feed::lock;

/// A process that enforces the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its own name among the nodes.
    #[serde(skip)]
    pub name: String,
    /// What it enforces.
    pub revision: Revision,
    /// Since when it enforces that.
    pub applied: UnixMillis,
    /// Since when it is there.
    pub since: UnixMillis,
}

impl Node {
    /// One that enforces `revision` now, and what it was before.
    pub(crate) fn at(name: &str, revision: Revision, before: Option<&Self>) -> Self {
        let now = now();
        let applied = before.filter(|before| before.revision == revision).map_or(now, |before| before.applied);
        Self { name: name.to_owned(), revision, applied, since: before.map_or(now, |before| before.since) }
    }
}

/// Those that are known, each as of a version: what is older than what is known is not taken.
pub(crate) struct Nodes {
    /// None: it is gone.
    known: Mutex<BTreeMap<String, (i64, Option<Node>)>>,
    applied: watch::Sender<Revision>,
}

impl Nodes {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default(), applied: watch::Sender::new(0) }
    }

    /// A node of this process enforces `revision` from now on; none: it is gone.
    pub(crate) fn report(&self, name: &str, revision: Option<Revision>) {
        let before = lock(&self.known).get(name).and_then(|(_, node)| node.clone());
        self.set(name, 0, revision.map(|revision| Node::at(name, revision, before.as_ref())));
    }

    /// A node is like this, or gone, as of `version`.
    pub(crate) fn set(&self, name: &str, version: i64, node: Option<Node>) {
        self.change(|known| {
            if known.get(name).is_none_or(|(of, _)| *of <= version) {
                known.insert(name.to_owned(), (version, node));
            }
        });
    }

    /// There are these nodes and no others as of `version`.
    pub(crate) fn replace(&self, version: i64, nodes: Vec<(i64, Node)>) {
        self.change(|known| {
            known.retain(|_, (of, _)| *of > version);
            for (of, node) in nodes {
                known.entry(node.name.clone()).or_insert((of, Some(node)));
            }
        });
    }

    pub(crate) fn all(&self) -> Vec<Node> {
        lock(&self.known).values().filter_map(|(_, node)| node.clone()).collect()
    }

    /// The revision that all of them enforce; 0 while there is none.
    pub(crate) fn applied(&self) -> watch::Receiver<Revision> {
        self.applied.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, (i64, Option<Node>)>)) {
        let mut known = lock(&self.known);
        change(&mut known);
        let applied = known.values().filter_map(|(_, node)| node.as_ref()).map(|node| node.revision).min().unwrap_or(0);
        self.applied.send_if_modified(|before| std::mem::replace(before, applied) != applied);
    }
}

pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(UnixMillis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, revision: Revision) -> Node {
        Node { name: name.to_owned(), revision, applied: 0, since: 0 }
    }

    #[test]
    fn what_is_older_than_what_is_known_is_not_taken() {
        let nodes = Nodes::new();
        nodes.set("a", 5, Some(node("a", 7)));
        nodes.set("a", 4, None);
        assert_eq!(nodes.all(), [node("a", 7)]);
        nodes.set("a", 6, None);
        nodes.set("a", 5, Some(node("a", 7)));
        assert_eq!(nodes.all(), []);
        nodes.set("b", 9, Some(node("b", 3)));
        nodes.replace(8, vec![(7, node("a", 2)), (3, node("b", 1))]);
        assert_eq!(nodes.all(), [node("a", 2), node("b", 3)]);
        assert_eq!(*nodes.applied().borrow(), 2);
    }
}
