//! What the keys in etcd are called. All of them begin with the prefix that was configured.
//!
//! ```text
//! PREFIX/head                       where the settings are: revision, its commit, base
//! PREFIX/key                        a check of the key that seals secrets
//! PREFIX/told/log/REVISION          a commit: what it changes
//! PREFIX/told/nodes/NAME            a node that is there, kept by its lease
//! PREFIX/blobs/DIGEST               a blob
//! PREFIX/pieces/log/REVISION/ID/N   … of what is too large for one value
//! PREFIX/pieces/base/ID/N
//! PREFIX/pieces/blobs/DIGEST/ID/N
//! ```

use model::Revision;

/// Begins with the configured prefix, and ends without a `/`.
#[derive(Clone, Debug)]
pub(super) struct Keys(String);

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self(prefix.trim_end_matches('/').to_owned())
    }

    pub(super) fn prefix(&self) -> &str {
        &self.0
    }

    pub(super) fn head(&self) -> String {
        format!("{}/head", self.0)
    }

    pub(super) fn sealing_key(&self) -> String {
        format!("{}/key", self.0)
    }

    /// Begins whatever nodes are told as it happens.
    pub(super) fn told(&self) -> String {
        format!("{}/told/", self.0)
    }

    /// Begins the commits. They are in the order of their revisions.
    pub(super) fn commits(&self) -> String {
        format!("{}/told/log/", self.0)
    }

    pub(super) fn commit(&self, revision: Revision) -> String {
        format!("{}/told/log/{revision:020}", self.0)
    }

    /// Whose commit this key is of, if it is one.
    pub(super) fn revision_of(&self, key: &str) -> Option<Revision> {
        key.strip_prefix(&self.commits())?.parse().ok()
    }

    /// Begins the nodes.
    pub(super) fn nodes(&self) -> String {
        format!("{}/told/nodes/", self.0)
    }

    pub(super) fn node(&self, name: &str) -> String {
        format!("{}/told/nodes/{name}", self.0)
    }

    /// Which node this key is of, if it is one.
    pub(super) fn node_of<'a>(&self, key: &'a str) -> Option<&'a str> {
        key.strip_prefix(&self.nodes())
    }

    /// Begins the blobs.
    pub(super) fn blobs(&self) -> String {
        format!("{}/blobs/", self.0)
    }

    pub(super) fn blob(&self, digest: &str) -> String {
        format!("{}/blobs/{digest}", self.0)
    }

    /// Begins the pieces of commits, in the order of their revisions.
    pub(super) fn pieces_of_commits(&self) -> String {
        format!("{}/pieces/log/", self.0)
    }

    /// Begins the pieces of a commit.
    pub(super) fn pieces_of_commit(&self, revision: Revision) -> String {
        format!("{}/pieces/log/{revision:020}/", self.0)
    }

    /// Begins the pieces of bases.
    pub(super) fn pieces_of_bases(&self) -> String {
        format!("{}/pieces/base/", self.0)
    }

    /// Begins the pieces of a blob.
    pub(super) fn pieces_of_blob(&self, digest: &str) -> String {
        format!("{}/pieces/blobs/{digest}/", self.0)
    }
}
