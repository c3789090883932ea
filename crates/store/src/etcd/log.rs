//! The settings in etcd: a base, and the commits after it.
//!
//! `head` says which revision the settings are at, and each commit is one transaction that compares it, moves it, and puts the commit
//! under its number. Nothing that was put is changed, so whoever reads needs no revision of etcd's: compaction takes nothing away,
//! and a node that was away for long goes on where it stopped, commit by commit, as long as they are kept.
//!
//! When the commits have grown as large as the base, all settings become a new base.

use std::collections::BTreeMap;

use model::{Change, Key, Revision};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::gateway::Gateway;
use super::keys::Keys;
use super::pieces::{self, Manifest, PieceError};
use super::wire::{Pair, RangeAnswer, after_prefix, get_request, range_request};
use super::{PATIENCE, random_id};
use crate::StoreError;

/// Of all of it.
pub(super) const FORMAT: u64 = 1;
/// Commits that are read at once. What is put into one value has few bytes, so that this is little.
pub(super) const PAGE: usize = 128;
/// Bytes of a commit that are put into its own value; more are put in pieces.
const INLINE_BYTES: usize = 64 * 1024;
/// So often what is read may be replaced by somebody meanwhile.
const TRIES: usize = 10;

/// Where the settings are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) format: u64,
    pub(super) revision: Revision,
    /// Which commit has made this revision: another history has another one.
    pub(super) commit: String,
    /// What the commits build on; nothing at all where there is none.
    pub(super) base: Option<Base>,
    /// Of the commits after the base.
    pub(super) log_bytes: u64,
}

/// All settings at a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Base {
    pub(super) revision: Revision,
    pub(super) content: Manifest,
}

/// A commit, as it is put.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) commit: String,
    /// The commit that it was made on.
    pub(super) previous: String,
    /// Where they are few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) changes: Vec<Written>,
    /// Where they are many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pieces: Option<Manifest>,
}

/// A [`Change`] in JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Written {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<Box<RawValue>>,
}

/// Where the settings are as of a moment, and at which of etcd's revisions that was written.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) head: Head,
    pub(super) modified: i64,
}

/// Why the settings cannot be read.
#[derive(Debug)]
pub(super) enum ReadError {
    Piece(PieceError),
    /// What there is makes no sense, and why.
    Damaged(String),
}

impl From<PieceError> for ReadError {
    fn from(error: PieceError) -> Self {
        Self::Piece(error)
    }
}

/// Reads, for whoever has the keys.
pub(super) struct Reader<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) keys: &'a Keys,
}

impl Head {
    /// Of a store in which nothing was set.
    pub(super) fn first() -> Result<Self, StoreError> {
        Ok(Self { format: FORMAT, revision: 0, commit: random_id()?, base: None, log_bytes: 0 })
    }

    /// Of a pair that was read.
    pub(super) fn of(pair: &Pair) -> Result<Position, ReadError> {
        let damaged = |e: serde_json::Error| ReadError::Damaged(format!("{} is not understood: {e}", pair.key));
        #[derive(Deserialize)]
        struct Format {
            format: u64,
        }
        let Format { format } = serde_json::from_slice(&pair.value).map_err(damaged)?;
        if format != FORMAT {
            return Err(ReadError::Damaged(format!("it has format {format}; this version reads format {FORMAT}")));
        }
        let head = serde_json::from_slice(&pair.value).map_err(damaged)?;
        Ok(Position { head, modified: pair.mod_revision })
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data with string keys")
    }

    /// The revision from which on commits are needed.
    pub(super) fn base_revision(&self) -> Revision {
        self.base.as_ref().map_or(0, |base| base.revision)
    }
}

impl Entry {
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data with string keys")
    }
}

/// Changes in JSON, and whether they are few enough to be put into one value.
pub(super) fn written(changes: &[Change]) -> Result<(Vec<Written>, Option<Vec<u8>>), String> {
    let written: Vec<Written> = changes.iter().map(Written::of).collect::<Result<_, _>>()?;
    let bytes: usize = changes.iter().map(|c| c.key.as_str().len() + c.value.as_ref().map_or(0, Vec::len)).sum();
    let packed = (bytes > INLINE_BYTES).then(|| to_json(&written));
    Ok((written, packed))
}

pub(super) fn to_json(changes: &[Written]) -> Vec<u8> {
    serde_json::to_vec(changes).expect("plain data with string keys")
}

impl Written {
    fn of(change: &Change) -> Result<Self, String> {
        let key = change.key.as_str().to_owned();
        let Some(value) = &change.value else { return Ok(Self { key, value: None }) };
        let text = String::from_utf8(value.clone()).map_err(|e| format!("the value of {key} is no text: {e}"))?;
        let value = RawValue::from_string(text).map_err(|e| format!("the value of {key} is no JSON: {e}"))?;
        Ok(Self { key, value: Some(value) })
    }
}

impl From<Written> for Change {
    fn from(Written { key, value }: Written) -> Self {
        let value = value.map(|value| String::from(Box::<str>::from(value)).into_bytes());
        Self { key: Key::from(key), value }
    }
}

impl Reader<'_> {
    /// Where the settings are; none where nothing was ever put. It is true for the moment of the answer (a linearizable read).
    pub(super) async fn head(&self) -> Result<Option<Position>, ReadError> {
        let answer: RangeAnswer = self.gateway.call("/v3/kv/range", &get_request(&self.keys.head()), PATIENCE).await?;
        answer.kvs.first().map(Head::of).transpose()
    }

    /// All settings.
    pub(super) async fn load(&self) -> Result<(Head, Vec<Change>), ReadError> {
        for _ in 0..TRIES {
            let position = self.head().await?.ok_or_else(|| ReadError::Damaged("nothing is there".to_owned()))?;
            match self.load_at(&position.head).await {
                // A newer base has replaced what was read.
                Err(ReadError::Piece(PieceError::Missing)) => {}
                loaded => return loaded.map(|changes| (position.head, changes)),
            }
        }
        Err(ReadError::Damaged("commits or pieces of what it names are missing".to_owned()))
    }

    async fn load_at(&self, head: &Head) -> Result<Vec<Change>, ReadError> {
        let mut values = BTreeMap::new();
        if let Some(base) = &head.base {
            let base = self.changes_in(&base.content).await?;
            values.extend(base.into_iter().map(|Change { key, value }| (key, value)));
        }
        let (mut at, to) = (head.base_revision(), after_prefix(&self.keys.commits()));
        while at < head.revision {
            let from = self.keys.commit(at + 1);
            let page: RangeAnswer =
                self.gateway.call("/v3/kv/range", &range_request(&from, &to, PAGE), PATIENCE).await?;
            let before = at;
            for pair in page.kvs.iter().take_while(|pair| self.keys.revision_of(&pair.key) <= Some(head.revision)) {
                let (revision, entry) = self.entry(pair)?;
                if revision != at + 1 {
                    return Err(PieceError::Missing.into());
                }
                let changes = self.changes(entry).await?;
                values.extend(changes.into_iter().map(|Change { key, value }| (key, value)));
                at = revision;
            }
            if at == before {
                return Err(PieceError::Missing.into());
            }
        }
        let put = |(key, value): (Key, Option<Vec<u8>>)| value.map(|value| Change { key, value: Some(value) });
        Ok(values.into_iter().filter_map(put).collect())
    }

    /// A commit that was read.
    pub(super) fn entry(&self, pair: &Pair) -> Result<(Revision, Entry), ReadError> {
        let damaged = |why: String| ReadError::Damaged(format!("{} is not understood: {why}", pair.key));
        let revision = self.keys.revision_of(&pair.key).ok_or_else(|| damaged("it has no revision".to_owned()))?;
        let entry = serde_json::from_slice(&pair.value).map_err(|e| damaged(e.to_string()))?;
        Ok((revision, entry))
    }

    /// What a commit changes.
    pub(super) async fn changes(&self, entry: Entry) -> Result<Vec<Change>, ReadError> {
        match &entry.pieces {
            None => Ok(entry.changes.into_iter().map(Change::from).collect()),
            Some(manifest) => self.changes_in(manifest).await,
        }
    }

    async fn changes_in(&self, manifest: &Manifest) -> Result<Vec<Change>, ReadError> {
        let bytes = pieces::read(self.gateway, manifest).await?;
        let changes: Vec<Written> = serde_json::from_slice(&bytes)
            .map_err(|e| ReadError::Damaged(format!("the pieces of {manifest:?} are not understood: {e}")))?;
        Ok(changes.into_iter().map(Change::from).collect())
    }
}
