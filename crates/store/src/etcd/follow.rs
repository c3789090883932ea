//! Being told of what happens: commits, and nodes that come, go on and go.

use std::sync::Arc;
use std::time::Duration;

use model::{Change, Revision};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::Inner;
use super::gateway::{Lines, Trouble};
use super::log::{Head, PAGE, Position, ReadError};
use super::wire::{Kind, Pair, TxnAnswer, WatchAnswer, WatchEvent, after_prefix, get, range, range_request, txn};
use crate::Node;
use crate::feed::lock;
use crate::nodes::now;

/// Between two looks whether the watch tells everything.
const LOOK: Duration = Duration::from_secs(2);
/// What a look sees has to be told within that time.
const TELLING: Duration = Duration::from_secs(1);
/// For an answer, before the store is called lost: longer than an election takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries to ask.
const PAUSE: Duration = Duration::from_millis(300);

/// What followers were told of last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) revision: Revision,
    /// None: not known, so that what comes may not follow on it.
    pub(super) commit: Option<String>,
}

impl Inner {
    /// Follows, for ever.
    pub(super) async fn follow(self: Arc<Self>) {
        loop {
            if let Ok(since) = self.catch_up().await {
                self.watch(since).await;
            } else {
                self.is_lost();
                sleep(PAUSE).await;
            }
        }
    }

    /// Tells what was missed. Answers from which of etcd's revisions on it is to be told what comes.
    pub(super) async fn catch_up(&self) -> Result<i64, ReadError> {
        loop {
            let before = lock(&self.seen).clone();
            let (to, nodes) = (after_prefix(&self.keys.commits()), self.keys.nodes());
            let reads = [
                get(&self.keys.head()),
                range(&self.keys.commit(before.revision + 1), &to, PAGE),
                range(&nodes, &after_prefix(&nodes), 0),
            ];
            // All of it as of one moment.
            let answer: TxnAnswer = self.gateway.call("/v3/kv/txn", &txn(&[], &reads, &[]), PATIENCE).await?;
            let at = answer.header.revision;
            let mut found = answer.ranges();
            let (head, commits, nodes) = (found.next(), found.next(), found.next());
            let head = head.and_then(|found| found.kvs.into_iter().next());
            let head = head.ok_or_else(|| ReadError::Damaged("nothing is there".to_owned()))?;
            let head = Head::of(&head)?.head;
            let nodes = nodes.map(|found| found.kvs).unwrap_or_default();
            self.feed
                .nodes
                .replace(at, nodes.iter().filter_map(|pair| Some((pair.mod_revision, self.node(pair)?))).collect());
            let commits = commits.map(|found| found.kvs).unwrap_or_default();
            if !self.tell_missed(&before, &head, commits).await? {
                self.jump_from(&before, &head);
            }
            if lock(&self.seen).revision >= head.revision {
                self.lost.send_if_modified(|lost| lost.take().is_some());
                return Ok(at + 1);
            }
        }
    }

    /// `false`: they do not follow on what was told `before` they were read.
    async fn tell_missed(&self, before: &Seen, head: &Head, commits: Vec<Pair>) -> Result<bool, ReadError> {
        if before.revision >= head.revision {
            return Ok(before.revision == head.revision && before.commit.as_ref() == Some(&head.commit));
        }
        let mut is_any = false;
        for pair in commits {
            if !self.tell(&pair).await? {
                return Ok(false);
            }
            is_any = true;
        }
        Ok(is_any)
    }

    /// Tells a commit. `false`: it does not follow on what was told.
    async fn tell(&self, pair: &Pair) -> Result<bool, ReadError> {
        let (revision, entry) = self.reader().entry(pair)?;
        let seen = lock(&self.seen).clone();
        if revision <= seen.revision {
            return Ok(true);
        }
        if !seen.precedes(revision, &entry.previous) {
            return Ok(false);
        }
        let (commit, previous) = (entry.commit.clone(), entry.previous.clone());
        let changes = self.reader().changes(entry).await?;
        Ok(self.arrived(revision, &commit, &previous, changes))
    }

    /// Tells a commit, unless that was done already. `false`: it does not follow on what was told.
    pub(super) fn arrived(&self, revision: Revision, commit: &str, previous: &str, changes: Vec<Change>) -> bool {
        let mut seen = lock(&self.seen);
        if revision <= seen.revision {
            return true;
        }
        let follows = seen.precedes(revision, previous);
        if follows {
            *seen = Seen { revision, commit: Some(commit.to_owned()) };
            // Under the lock, so that commits are told in their order.
            self.feed.publish(revision, changes);
        }
        follows
    }

    /// As [`Self::jump`], unless something was told meanwhile: what was read is older than that.
    fn jump_from(&self, before: &Seen, head: &Head) {
        let mut seen = lock(&self.seen);
        if *seen == *before {
            self.jump_under(&mut seen, head);
        }
    }

    /// Who follows loads what is there now.
    pub(super) fn jump(&self, head: &Head) {
        self.jump_under(&mut lock(&self.seen), head);
    }

    fn jump_under(&self, seen: &mut Seen, head: &Head) {
        *seen = Seen { revision: head.revision, commit: Some(head.commit.clone()) };
        self.feed.jump_to(head.revision);
    }

    /// Tells what comes, until something is wrong.
    async fn watch(&self, since: i64) {
        let mut create = range_request(&self.keys.told(), &after_prefix(&self.keys.told()), 0);
        create["start_revision"] = json!(since.to_string());
        let request = json!({ "create_request": create });
        let Ok((member, mut lines)) = self.gateway.stream("/v3/watch", &request).await else {
            return sleep(PAUSE).await;
        };
        let told = async {
            // That it has begun.
            let begun = timeout(TELLING, lines.next::<WatchAnswer>()).await;
            if begun.is_ok_and(|begun| begun.is_ok_and(|begun| begun.is_some_and(|begun| !begun.canceled))) {
                while self.take(&mut lines).await.is_ok_and(|goes_on| goes_on) {}
            }
        };
        tokio::select! {
            () = told => {}
            () = self.falls_behind() => {}
        }
        self.gateway.pass_over(member);
    }

    async fn take(&self, lines: &mut Lines) -> Result<bool, ReadError> {
        let Some(answer) = lines.next::<WatchAnswer>().await? else { return Ok(false) };
        for WatchEvent { kind, kv } in answer.events {
            if let Some(name) = self.keys.node_of(&kv.key) {
                let node = (kind == Kind::Put).then(|| self.node(&kv)).flatten();
                self.feed.nodes.set(name, kv.mod_revision, node);
            } else if kind == Kind::Put && self.keys.revision_of(&kv.key).is_some() && !self.tell(&kv).await? {
                return Ok(false);
            }
        }
        Ok(!answer.canceled)
    }

    /// Looks where the settings are, again and again, until that was not told in time.
    async fn falls_behind(&self) {
        loop {
            sleep(LOOK).await;
            let Ok(Ok(Position { head, .. })) = timeout(PATIENCE, self.position()).await else {
                self.is_lost();
                continue;
            };
            let tells = async {
                while lock(&self.seen).revision < head.revision {
                    sleep(TELLING / 20).await;
                }
            };
            if timeout(TELLING, tells).await.is_err() {
                return;
            }
            let seen = lock(&self.seen).clone();
            let is_another = seen.revision == head.revision && seen.commit.is_some_and(|commit| commit != head.commit);
            // What was told after the look is newer than the look; what was told before it cannot be.
            let is_older = seen.revision > head.revision
                && self.position().await.is_ok_and(|again| again.head.revision < seen.revision);
            if is_another || is_older {
                return;
            }
            self.lost.send_if_modified(|lost| lost.take().is_some());
        }
    }

    fn is_lost(&self) {
        self.lost.send_if_modified(|lost| lost.is_none() && lost.replace(now()).is_none());
    }

    /// None where it is not understood: a newer version's, or nobody's.
    fn node(&self, pair: &Pair) -> Option<Node> {
        let name = self.keys.node_of(&pair.key)?.to_owned();
        let node: Node = serde_json::from_slice(&pair.value).ok()?;
        Some(Node { name, ..node })
    }
}

impl Seen {
    fn precedes(&self, revision: Revision, previous: &str) -> bool {
        revision == self.revision + 1 && self.commit.as_deref() == Some(previous)
    }
}

impl From<Trouble> for ReadError {
    fn from(trouble: Trouble) -> Self {
        Self::Piece(trouble.into())
    }
}
