//! Changing the settings in etcd: commits, new bases, and other settings altogether.

use model::{Change, Revision};
use serde_json::Value;

use super::gateway::Trouble;
use super::log::{Base, Entry, FORMAT, Head, Position, ReadError, to_json, written};
use super::pieces::{PieceError, Staged, stage};
use super::wire::{TxnAnswer, after_prefix, delete_range, get, put, txn, unchanged};
use super::{Inner, PATIENCE, random_id};
use crate::{CommitError, StoreError};

/// What became of a commit.
enum Made {
    Done(Position),
    /// Others were first.
    Conflict(Position),
}

impl Inner {
    /// As [`crate::Store::commit`]. Where an answer got lost, it is found out what became of the commit.
    pub(super) async fn commit(&self, expected: Revision, changes: Vec<Change>) -> Result<Revision, CommitError> {
        let mut known = self.position.lock().await;
        let position = match known.take() {
            Some(position) if position.head.revision == expected => position,
            _ => self.position().await?,
        };
        if position.head.revision != expected {
            let now = position.head.revision;
            *known = Some(position);
            return Err(CommitError::Conflict(now));
        }
        let (entry, staged) = self.entry(&position.head, &changes).await?;
        let keep = staged.as_ref().map_or(&[][..], |staged| &staged.keep);
        let made = self.make(position, &entry, keep).await;
        if let Some(staged) = staged {
            staged.release(&self.gateway).await;
        }
        match made? {
            Made::Done(position) => {
                *known = Some(position);
                // Sooner than the watch tells it. Where others have committed since, the watch does.
                self.arrived(expected + 1, &entry.commit, &entry.previous, changes);
                Ok(expected + 1)
            }
            Made::Conflict(position) => {
                let now = position.head.revision;
                *known = Some(position);
                Err(CommitError::Conflict(now))
            }
        }
    }

    /// What is put for a commit on `head`.
    async fn entry(&self, head: &Head, changes: &[Change]) -> Result<(Entry, Option<Staged>), StoreError> {
        let (changes, packed) = written(changes).map_err(|why| self.unread(ReadError::Damaged(why)))?;
        let (commit, previous) = (random_id()?, head.commit.clone());
        let Some(packed) = packed else { return Ok((Entry { commit, previous, changes, pieces: None }, None)) };
        let staged = stage(&self.gateway, &self.keys.pieces_of_commit(head.revision + 1), &packed).await;
        let staged = staged.map_err(|e| self.unstaged(e))?;
        let pieces = Some(staged.manifest.clone());
        Ok((Entry { commit, previous, changes: Vec::new(), pieces }, Some(staged)))
    }

    async fn make(&self, mut position: Position, entry: &Entry, keep: &[Value]) -> Result<Made, StoreError> {
        let (expected, json) = (position.head.revision, entry.to_json());
        let (head_key, entry_key) = (self.keys.head(), self.keys.commit(expected + 1));
        let bytes = json.len() as u64 + entry.pieces.as_ref().map_or(0, |pieces| pieces.bytes);
        loop {
            let next = Head {
                revision: expected + 1,
                commit: entry.commit.clone(),
                log_bytes: position.head.log_bytes.saturating_add(bytes),
                ..position.head.clone()
            };
            let mut success = vec![put(&head_key, &next.to_json(), 0), put(&entry_key, &json, 0)];
            success.extend_from_slice(keep);
            let compare = [unchanged(&head_key, position.modified)];
            let request = txn(&compare, &success, &[get(&head_key), get(&entry_key)]);
            let answer: TxnAnswer = self.ask("/v3/kv/txn", &request).await?;
            if answer.succeeded {
                return Ok(Made::Done(Position { head: next, modified: answer.header.revision }));
            }
            let mut found = answer.ranges().map(|range| range.kvs.into_iter().next());
            let head = found.next().flatten().map(|pair| Head::of(&pair)).transpose();
            let now = head.and_then(|now| now.ok_or_else(|| ReadError::Damaged("nothing is there".to_owned())));
            let now = now.map_err(|e| self.unread(e))?;
            let there = found.next().flatten().map(|pair| self.reader().entry(&pair)).transpose();
            match there.map_err(|e| self.unread(e))? {
                // An attempt whose answer got lost.
                Some((_, there)) if there.commit == entry.commit => return Ok(Made::Done(now)),
                Some(_) => return Ok(Made::Conflict(now)),
                // There is a newer base; or an attempt of which nobody knew.
                None if now.head.revision == expected && now.head.commit == entry.previous => position = now,
                None if now.head.revision <= expected => return Ok(Made::Conflict(now)),
                None => {
                    let why = "what was committed then is kept no more".to_owned();
                    return Err(StoreError::Unclear { endpoints: self.gateway.names(), why });
                }
            }
        }
    }

    /// Whether there should be a new base.
    pub(super) async fn is_due(&self) -> bool {
        let known = self.position.lock().await;
        let Some(Position { head, .. }) = known.as_ref() else { return false };
        let base_bytes = head.base.as_ref().map_or(0, |base| base.content.bytes);
        head.log_bytes > base_bytes.max(self.bounds.log_bytes)
            || head.revision - head.base_revision().min(head.revision) > self.bounds.commits
    }

    /// Makes all settings a new base, and forgets commits that it holds.
    pub(super) async fn rebase(&self) -> Result<(), StoreError> {
        let Ok(_alone) = self.rebasing.try_lock() else { return Ok(()) };
        let (head, settings) = self.reader().load().await.map_err(|e| self.unread(e))?;
        let staged = self.base_of(&settings).await?;
        let base = Base { revision: head.revision, content: staged.manifest.clone() };
        let forgotten = head.revision.saturating_sub(self.bounds.kept) + 1;
        let done = loop {
            // Who commits here waits for a moment: it would be first every time.
            let mut known = self.position.lock().await;
            *known = None;
            let now = match self.position().await {
                // Somebody else was first, or there are other settings altogether.
                Ok(now) if now.head.base != head.base => break Ok(()),
                Ok(now) => now,
                Err(e) => break Err(e),
            };
            let log_bytes = now.head.log_bytes.saturating_sub(head.log_bytes);
            let next = Head { base: Some(base.clone()), log_bytes, ..now.head.clone() };
            let forget = [
                delete_range(&self.keys.commits(), &self.keys.commit(forgotten)),
                delete_range(&self.keys.pieces_of_commits(), &self.keys.pieces_of_commit(forgotten)),
            ];
            match self.put_base(&now, &next, &staged.keep, &forget).await {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(e) => break Err(e),
            }
        };
        staged.release(&self.gateway).await;
        done
    }

    /// As [`crate::Store::replace`].
    pub(super) async fn replace(&self, revision: Revision, settings: &[Change]) -> Result<(), StoreError> {
        let mut known = self.position.lock().await;
        *known = None;
        let staged = self.base_of(settings).await?;
        let base = Some(Base { revision, content: staged.manifest.clone() });
        let next = Head { format: FORMAT, revision, commit: random_id()?, base, log_bytes: 0 };
        let (commits, pieces) = (self.keys.commits(), self.keys.pieces_of_commits());
        let forget = [delete_range(&commits, &after_prefix(&commits)), delete_range(&pieces, &after_prefix(&pieces))];
        let done = loop {
            let now = match self.position().await {
                // An attempt whose answer got lost.
                Ok(now) if now.head.commit == next.commit => break Ok(()),
                Ok(now) => now,
                Err(e) => break Err(e),
            };
            match self.put_base(&now, &next, &staged.keep, &forget).await {
                Ok(true) => break Ok(()),
                Ok(false) => {}
                Err(e) => break Err(e),
            }
        };
        staged.release(&self.gateway).await;
        done?;
        self.jump(&next);
        Ok(())
    }

    async fn base_of(&self, settings: &[Change]) -> Result<Staged, StoreError> {
        let (settings, _) = written(settings).map_err(|why| self.unread(ReadError::Damaged(why)))?;
        let staged = stage(&self.gateway, &self.keys.pieces_of_bases(), &to_json(&settings)).await;
        staged.map_err(|e| self.unstaged(e))
    }

    /// Puts a head that has another base. `false`: the settings have moved on.
    async fn put_base(
        &self,
        now: &Position,
        next: &Head,
        keep: &[Value],
        forget: &[Value],
    ) -> Result<bool, StoreError> {
        let key = self.keys.head();
        let mut success = vec![put(&key, &next.to_json(), 0)];
        success.extend_from_slice(keep);
        success.extend_from_slice(forget);
        if let Some(base) = &now.head.base {
            let (from, to) = base.content.keys();
            success.push(delete_range(&from, &to));
        }
        let request = txn(&[unchanged(&key, now.modified)], &success, &[]);
        let answer: Result<TxnAnswer, Trouble> = self.gateway.call("/v3/kv/txn", &request, PATIENCE).await;
        answer.map(|answer| answer.succeeded).map_err(|e| e.of_write(self.gateway.names()))
    }

    pub(super) fn unstaged(&self, error: PieceError) -> StoreError {
        match error {
            PieceError::Trouble(trouble) => trouble.of_write(self.gateway.names()),
            error => self.unread(error.into()),
        }
    }
}
