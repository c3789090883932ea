//! Blobs in etcd. What keeps one is a key that names its pieces; to put it again touches that key.

use std::collections::BTreeMap;

use model::{Blob, Revision};
use serde_json::json;

use super::Inner;
use super::log::ReadError;
use super::pieces::{Manifest, PieceError, read, stage};
use super::wire::{
    RangeAnswer, TxnAnswer, after_prefix, delete, delete_range, get_request, keep, put, range_request, txn, unchanged,
};
use crate::{Kept, StoreError};

/// Names that are read at once.
const PAGE: usize = 1000;
/// So often a blob is looked for that goes while it is read.
const TRIES: usize = 3;

impl Inner {
    pub(super) async fn put_blob(&self, blob: &Blob) -> Result<(), StoreError> {
        let key = self.keys.blob(blob.digest());
        let is_absent = [unchanged(&key, 0)];
        let touched: TxnAnswer = self.ask("/v3/kv/txn", &txn(&is_absent, &[], &[keep(&key)])).await?;
        if !touched.succeeded {
            return Ok(());
        }
        let staged = stage(&self.gateway, &self.keys.pieces_of_blob(blob.digest()), blob.bytes()).await;
        let staged = staged.map_err(|e| self.unstaged(e))?;
        let manifest = serde_json::to_vec(&staged.manifest).expect("plain data with string keys");
        let mut success = vec![put(&key, &manifest, 0)];
        success.extend_from_slice(&staged.keep);
        // Somebody else may have put it meanwhile, or an attempt whose answer got lost.
        let put: Result<TxnAnswer, _> = self.ask("/v3/kv/txn", &txn(&is_absent, &success, &[keep(&key)])).await;
        staged.release(&self.gateway).await;
        put.map(drop)
    }

    pub(super) async fn blob(&self, digest: &str) -> Result<Option<Blob>, StoreError> {
        for _ in 0..TRIES {
            let request = get_request(&self.keys.blob(digest));
            let found: RangeAnswer = self.ask("/v3/kv/range", &request).await?;
            let Some(pair) = found.kvs.first() else { return Ok(None) };
            let damaged = |why: String| self.unread(ReadError::Damaged(format!("{}: {why}", pair.key)));
            let manifest: Manifest = serde_json::from_slice(&pair.value).map_err(|e| damaged(e.to_string()))?;
            match read(&self.gateway, &manifest).await {
                Ok(bytes) => {
                    let blob = Blob::of(bytes);
                    let is_it = blob.digest() == digest;
                    return if is_it { Ok(Some(blob)) } else { Err(damaged("it has other bytes".to_owned())) };
                }
                Err(PieceError::Missing) => {}
                Err(e) => return Err(self.unread(e.into())),
            }
        }
        Err(self.unread(ReadError::Damaged(format!("pieces of the blob {digest} are missing"))))
    }

    pub(super) async fn blobs(&self) -> Result<Kept, StoreError> {
        let prefix = self.keys.blobs();
        let (mut from, to) = (prefix.clone(), after_prefix(&prefix));
        let mut kept = BTreeMap::new();
        loop {
            let mut request = range_request(&from, &to, PAGE);
            request["keys_only"] = json!(true);
            let page: RangeAnswer = self.ask("/v3/kv/range", &request).await?;
            let Some(last) = page.kvs.last() else { return Ok(kept) };
            from = format!("{}\0", last.key);
            let named =
                |pair: &super::wire::Pair| Some((pair.key.strip_prefix(&prefix)?.to_owned(), pair.mod_revision));
            kept.extend(page.kvs.iter().filter_map(named));
            if !page.more {
                return Ok(kept);
            }
        }
    }

    pub(super) async fn drop_blobs(&self, at: Revision, blobs: Kept) -> Result<bool, StoreError> {
        let mut position = self.position().await?;
        for (digest, version) in blobs {
            if position.head.revision != at {
                return Ok(false);
            }
            let (key, pieces) = (self.keys.blob(&digest), self.keys.pieces_of_blob(&digest));
            let compare = [unchanged(&self.keys.head(), position.modified), unchanged(&key, version)];
            let request = txn(&compare, &[delete(&key), delete_range(&pieces, &after_prefix(&pieces))], &[]);
            let dropped: TxnAnswer = self.ask("/v3/kv/txn", &request).await?;
            if !dropped.succeeded {
                // It was put again; or there is a newer base, and the next time will do.
                position = self.position().await?;
            }
        }
        Ok(position.head.revision == at)
    }
}
