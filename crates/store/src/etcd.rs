//! Settings that many machines share, in etcd.
//!
//! Each commit is one transaction ([`log`] says what is where). One watch a node tells of commits and of the other nodes. A node is
//! there while its lease lives.

mod blobs;
mod commit;
mod dial;
mod follow;
mod gateway;
mod keys;
mod log;
mod pieces;
mod presence;
mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use futures_util::stream::BoxStream;
use model::{Blob, Change, Revision, UnixMillis};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::feed::Feed;
use crate::{CommitError, Event, Kept, Node, Store, StoreError};
use dial::{Endpoint, TlsFiles};
use follow::Seen;
use gateway::{Gateway, User};
use keys::Keys;
use log::{Head, Position, ReadError, Reader};
use pieces::PieceError;
use presence::Presence;
use wire::{PutAnswer, RangeAnswer, TxnAnswer, get, get_request, put, put_request, txn, unchanged};

/// A [`Store`] in etcd 3.4 or later. It is told of changes until it is dropped.
pub struct Etcd {
    inner: Arc<Inner>,
    _tasks: JoinSet<()>,
}

/// Where etcd is, and who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EtcdOptions {
    /// `http://HOST:PORT` or `https://HOST:PORT` of its members: one that does not answer is passed over.
    pub endpoints: Vec<String>,
    /// With what all keys begin.
    pub prefix: String,
    /// PEM of the CAs that certify `https` endpoints.
    pub ca: Option<PathBuf>,
    /// PEM of the certificate to show, leaf first; with `key`.
    pub certificate: Option<PathBuf>,
    /// PEM.
    pub key: Option<PathBuf>,
    /// With `password_file`.
    pub user: Option<String>,
    /// What it holds is the password, but for a line's end.
    pub password_file: Option<PathBuf>,
}

struct Inner {
    gateway: Gateway,
    keys: Keys,
    bounds: Bounds,
    feed: Feed,
    /// What followers were told of.
    seen: Mutex<Seen>,
    /// Since when etcd cannot be asked.
    lost: watch::Sender<Option<UnixMillis>>,
    /// Where the settings were when somebody looked. Held over a commit.
    position: tokio::sync::Mutex<Option<Position>>,
    /// Held while a new base is made.
    rebasing: tokio::sync::Mutex<()>,
    presence: Presence,
}

/// When the commits become a new base.
#[derive(Clone, Copy)]
struct Bounds {
    /// More bytes than the base, and than these.
    log_bytes: u64,
    commits: u64,
    /// That are kept all the same, for nodes that were away.
    kept: u64,
}

const BOUNDS: Bounds = Bounds { log_bytes: 4 * 1024 * 1024, commits: 4096, kept: 1024 };
/// For an answer, whichever member gives it. A new leader is elected within two seconds by etcd's defaults.
const PATIENCE: Duration = Duration::from_secs(12);

impl EtcdOptions {
    /// What is wrong with them, if anything is. Files are read when etcd is connected to.
    pub fn check(&self) -> Result<(), StoreError> {
        self.gateway().map(drop)
    }

    fn gateway(&self) -> Result<Gateway, StoreError> {
        let wrong = |why: &str| StoreError::Options(why.to_owned());
        let endpoints = self.endpoints.iter().map(|url| Endpoint::parse(url)).collect::<Result<Vec<_>, _>>();
        let endpoints = endpoints.map_err(StoreError::Options)?;
        if endpoints.is_empty() {
            return Err(wrong("etcd needs one endpoint at least"));
        }
        if self.prefix.trim_matches('/').is_empty() {
            return Err(wrong("the prefix of keys in etcd is empty"));
        }
        if endpoints.iter().any(Endpoint::is_tls) && self.ca.is_none() {
            return Err(wrong("https endpoints of etcd need the CA that certifies them"));
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err(wrong("certificate and key for etcd belong together: set both"));
        }
        let user = match (&self.user, &self.password_file) {
            (None, None) => None,
            (Some(name), Some(file)) => Some(User { name: name.clone(), password_file: file.clone() }),
            _ => return Err(wrong("user and password_file for etcd belong together: set both")),
        };
        let tls = TlsFiles { ca: self.ca.clone(), certificate: self.certificate.clone(), key: self.key.clone() };
        Ok(Gateway::new(endpoints, tls, user))
    }
}

impl Etcd {
    /// Asks etcd where the settings are, and makes empty ones where there are none; then follows them on the current runtime.
    pub async fn open(options: &EtcdOptions) -> Result<Self, StoreError> {
        Self::open_within(options, BOUNDS).await
    }

    async fn open_within(options: &EtcdOptions, bounds: Bounds) -> Result<Self, StoreError> {
        let inner = Inner::new(options, bounds, Seen { revision: 0, commit: None })?;
        let head = inner.begin().await?;
        *crate::feed::lock(&inner.seen) = Seen { revision: head.revision, commit: Some(head.commit) };
        inner.feed.skip_to(head.revision);
        Ok(Self::started(inner))
    }

    /// Follows settings that were at `revision` when they were seen last, whether or not etcd can be asked now.
    pub fn resume(options: &EtcdOptions, revision: Revision) -> Result<Self, StoreError> {
        let inner = Inner::new(options, BOUNDS, Seen { revision, commit: None })?;
        inner.lost.send_replace(Some(crate::nodes::now()));
        Ok(Self::started(inner))
    }

    fn started(inner: Inner) -> Self {
        let (inner, mut tasks) = (Arc::new(inner), JoinSet::new());
        tasks.spawn(inner.clone().follow());
        tasks.spawn(inner.clone().stay());
        Self { inner, _tasks: tasks }
    }

    /// The secrets in the settings are to be those that this key seals.
    pub async fn seal_with(&self, check: &str) -> Result<(), StoreError> {
        let request = put_request(&self.inner.keys.sealing_key(), check.as_bytes(), 0);
        self.inner.ask::<PutAnswer>("/v3/kv/put", &request).await.map(drop)
    }

    /// Another process speaks for its nodes, or does not any more.
    pub fn hush(&self, hush: bool) {
        self.inner.presence.hush(hush);
    }

    /// Whether there are secrets, which some key seals.
    pub async fn is_sealed(&self) -> Result<bool, StoreError> {
        let found: RangeAnswer = self.inner.ask("/v3/kv/range", &get_request(&self.inner.keys.sealing_key())).await?;
        Ok(!found.kvs.is_empty())
    }

    /// Whether the secrets in the settings are sealed by the key of which this is a check. The first key that is asked about is theirs.
    pub async fn seals_with(&self, check: &str) -> Result<bool, StoreError> {
        let (inner, key) = (&self.inner, self.inner.keys.sealing_key());
        let request = txn(&[unchanged(&key, 0)], &[put(&key, check.as_bytes(), 0)], &[get(&key)]);
        let answer: TxnAnswer = inner.ask("/v3/kv/txn", &request).await?;
        if answer.succeeded {
            return Ok(true);
        }
        let kept = answer.ranges().next().and_then(|range| range.kvs.into_iter().next());
        Ok(kept.is_some_and(|pair| pair.value == check.as_bytes()))
    }
}

#[async_trait]
impl Store for Etcd {
    async fn load(&self) -> Result<(Revision, Vec<Change>), StoreError> {
        let loaded = self.inner.reader().load().await.map_err(|e| self.inner.unread(e))?;
        Ok((loaded.0.revision, loaded.1))
    }

    async fn commit(&self, expected: Revision, changes: Vec<Change>) -> Result<Revision, CommitError> {
        let revision = self.inner.commit(expected, changes).await?;
        if self.inner.is_due().await {
            let inner = self.inner.clone();
            // Who commits need not wait for it, and what does not work now is tried after the next commit.
            tokio::spawn(async move { inner.rebase().await });
        }
        Ok(revision)
    }

    fn watch(&self, after: Revision) -> BoxStream<'static, Event> {
        self.inner.feed.watch(after)
    }

    async fn put_blob(&self, blob: Blob) -> Result<(), StoreError> {
        self.inner.put_blob(&blob).await
    }

    async fn blob(&self, digest: &str) -> Result<Option<Blob>, StoreError> {
        self.inner.blob(digest).await
    }

    async fn blobs(&self) -> Result<Kept, StoreError> {
        self.inner.blobs().await
    }

    async fn drop_blobs(&self, at: Revision, blobs: Kept) -> Result<bool, StoreError> {
        self.inner.drop_blobs(at, blobs).await
    }

    async fn replace(&self, revision: Revision, settings: Vec<Change>) -> Result<(), StoreError> {
        self.inner.replace(revision, &settings).await
    }

    async fn report_applied(&self, node: &str, revision: Revision) -> Result<(), StoreError> {
        self.inner.report(node, revision).await
    }

    async fn retire(&self, node: &str) -> Result<(), StoreError> {
        self.inner.retire(node).await
    }

    fn applied(&self) -> watch::Receiver<Revision> {
        self.inner.feed.nodes.applied()
    }

    fn nodes(&self) -> Vec<Node> {
        self.inner.feed.nodes.all()
    }

    fn lost(&self) -> watch::Receiver<Option<UnixMillis>> {
        self.inner.lost.subscribe()
    }
}

impl Inner {
    fn new(options: &EtcdOptions, bounds: Bounds, seen: Seen) -> Result<Self, StoreError> {
        Ok(Self {
            gateway: options.gateway()?,
            keys: Keys::new(&options.prefix),
            bounds,
            feed: Feed::new(seen.revision),
            seen: Mutex::new(seen),
            lost: watch::Sender::new(None),
            position: tokio::sync::Mutex::default(),
            rebasing: tokio::sync::Mutex::default(),
            presence: Presence::default(),
        })
    }

    fn reader(&self) -> Reader<'_> {
        Reader { gateway: &self.gateway, keys: &self.keys }
    }

    /// Where the settings are, made where they are not.
    async fn begin(&self) -> Result<Head, StoreError> {
        let (key, first) = (self.keys.head(), Head::first()?);
        let request = txn(&[unchanged(&key, 0)], &[put(&key, &first.to_json(), 0)], &[get(&key)]);
        let answer: TxnAnswer = self.ask("/v3/kv/txn", &request).await?;
        if answer.succeeded {
            return Ok(first);
        }
        let found = answer.ranges().next().and_then(|range| range.kvs.into_iter().next());
        let found = found.ok_or_else(|| self.unread(ReadError::Damaged("nothing is there".to_owned())))?;
        Ok(Head::of(&found).map_err(|e| self.unread(e))?.head)
    }

    /// Where the settings are at this moment.
    async fn position(&self) -> Result<Position, StoreError> {
        let position = self.reader().head().await.map_err(|e| self.unread(e))?;
        position.ok_or_else(|| self.unread(ReadError::Damaged("nothing is there".to_owned())))
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> Result<T, StoreError> {
        self.gateway.call(path, body, PATIENCE).await.map_err(|e| e.of_write(self.gateway.names()))
    }

    fn unread(&self, error: ReadError) -> StoreError {
        let prefix = self.keys.prefix().to_owned();
        match error {
            ReadError::Piece(PieceError::Trouble(trouble)) => trouble.of_read(self.gateway.names()),
            ReadError::Piece(PieceError::Missing) => {
                StoreError::Content { prefix, why: "pieces are missing".to_owned() }
            }
            ReadError::Piece(PieceError::Damaged(why)) | ReadError::Damaged(why) => StoreError::Content { prefix, why },
            ReadError::Piece(PieceError::TooLarge) => StoreError::TooLarge,
        }
    }
}

/// Sixteen hexadecimal digits.
fn random_id() -> Result<String, StoreError> {
    let mut id = [0; 8];
    rand::fill(&mut id).map_err(|_| StoreError::Options("the system gives no random bytes".to_owned()))?;
    Ok(HEXLOWER.encode(&id))
}

#[cfg(test)]
pub(crate) mod tests;
