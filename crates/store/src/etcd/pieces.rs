//! Bytes that are too many for one value: compressed, and cut.
//!
//! Pieces are put under a lease first, each by a request of its own, and the transaction that names them makes them stay. So either
//! all are there that are named, or nothing is named; and what somebody who was interrupted left behind is gone with their lease.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::gateway::{Gateway, Trouble};
use super::wire::{LeaseAnswer, PutAnswer, RangeAnswer, keep, put, put_request, range_request};
use super::{PATIENCE, random_id};

/// Bytes of a piece. etcd takes requests of 1.5 MiB by default.
const PIECE_BYTES: usize = 512 * 1024;
/// etcd takes 128 operations in a transaction by default; those that go with the pieces are few.
const MAX_PIECES: usize = 120;
/// That are read at once.
const PAGE: usize = 16;
/// For how long pieces that nothing names yet stay, in seconds.
const STAGED_SECONDS: u32 = 600;
/// Of zstd: settings are JSON that says much the same again and again.
const LEVEL: i32 = 3;
/// Bytes that are put together again: far more than all settings come to.
const MAX_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Names pieces, and what they come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Begins their keys.
    at: String,
    pieces: usize,
    /// Before they were compressed.
    pub(super) bytes: u64,
    /// CRC-32 of these bytes.
    check: u32,
}

/// Pieces that stay once something names them.
pub(super) struct Staged {
    pub(super) manifest: Manifest,
    /// To be done in the transaction that names them.
    pub(super) keep: Vec<Value>,
    lease: Option<i64>,
}

/// Why something cannot be put or read.
#[derive(Debug)]
pub(super) enum PieceError {
    Trouble(Trouble),
    /// A piece is not there: what was named is named no more, or etcd has lost it.
    Missing,
    /// They are no whole.
    Damaged(String),
    /// It has more bytes, compressed, than can be put at once.
    TooLarge,
}

impl From<Trouble> for PieceError {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Manifest {
    /// The range of their keys.
    pub(super) fn keys(&self) -> (String, String) {
        (self.at.clone(), super::wire::after_prefix(&self.at))
    }
}

/// Puts what is to be named, below a key that ends in `/`. One piece is put only with its name.
pub(super) async fn stage(gateway: &Gateway, below: &str, bytes: &[u8]) -> Result<Staged, PieceError> {
    let packed = zstd::bulk::compress(bytes, LEVEL).map_err(|e| PieceError::Damaged(e.to_string()))?;
    let pieces: Vec<&[u8]> = packed.chunks(PIECE_BYTES).collect();
    if pieces.len() > MAX_PIECES {
        return Err(PieceError::TooLarge);
    }
    let at = format!("{below}{}/", random_id().map_err(|e| PieceError::Damaged(e.to_string()))?);
    let manifest =
        Manifest { at: at.clone(), pieces: pieces.len(), bytes: bytes.len() as u64, check: crc32fast::hash(bytes) };
    let key = |number: usize| format!("{at}{number:04}");
    if let [piece] = pieces[..] {
        return Ok(Staged { manifest, keep: vec![put(&key(0), piece, 0)], lease: None });
    }
    let granted: LeaseAnswer =
        gateway.call("/v3/lease/grant", &json!({ "TTL": STAGED_SECONDS.to_string() }), PATIENCE).await?;
    let staged =
        Staged { manifest, keep: (0..pieces.len()).map(|at| keep(&key(at))).collect(), lease: Some(granted.id) };
    for (number, piece) in pieces.iter().enumerate() {
        let request = put_request(&key(number), piece, granted.id);
        let done: Result<PutAnswer, Trouble> = gateway.call("/v3/kv/put", &request, PATIENCE).await;
        if let Err(trouble) = done {
            staged.release(gateway).await;
            return Err(trouble.into());
        }
    }
    Ok(staged)
}

impl Staged {
    /// To be called when what names them was put, or will not be: what is not named goes.
    pub(super) async fn release(self, gateway: &Gateway) {
        if let Some(lease) = self.lease {
            // It ends by itself otherwise.
            let request = json!({ "ID": lease.to_string() });
            let _: Result<Value, Trouble> = gateway.call("/v3/lease/revoke", &request, Duration::from_secs(1)).await;
        }
    }
}

/// Reads what was named.
pub(super) async fn read(gateway: &Gateway, manifest: &Manifest) -> Result<Vec<u8>, PieceError> {
    let (mut from, to) = manifest.keys();
    let mut packed = Vec::new();
    let mut found = 0;
    loop {
        let page: RangeAnswer = gateway.call("/v3/kv/range", &range_request(&from, &to, PAGE), PATIENCE).await?;
        let Some(last) = page.kvs.last() else { break };
        from = format!("{}\0", last.key);
        found += page.kvs.len();
        page.kvs.iter().for_each(|pair| packed.extend_from_slice(&pair.value));
        if !page.more || found > MAX_PIECES {
            break;
        }
    }
    if found != manifest.pieces {
        return Err(PieceError::Missing);
    }
    let bytes = unpack(&packed, manifest.bytes).map_err(|e| PieceError::Damaged(e.to_string()))?;
    if bytes.len() as u64 != manifest.bytes || crc32fast::hash(&bytes) != manifest.check {
        return Err(PieceError::Damaged(format!("the checksum of {} does not match", manifest.at)));
    }
    Ok(bytes)
}

/// No more than `expected` bytes.
fn unpack(packed: &[u8], expected: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(packed)?;
    io::Read::read_to_end(&mut io::Read::take(decoder, expected.min(MAX_BYTES).saturating_add(1)), &mut bytes)?;
    Ok(bytes)
}
