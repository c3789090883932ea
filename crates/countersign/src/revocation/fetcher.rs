//! Finds out what certificates' distribution points and OCSP responders say, each thing once however many ask for it.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use edge::StatusFetcher;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use trust::{CertId, Certificate, Crl, Fetched, Lookup, OcspStatus, StatusRequest, UnixSeconds};

use super::book::{Book, Bounds, Source, Statement};
use super::cache::Cache;
use crate::fetch::{Http, MAX_CRL_BYTES, MAX_OCSP_BYTES};

/// URLs of one certificate that are asked, of lists and of responders.
const MAX_URLS: usize = 4;
/// Lists in memory: so many URLs, and so many entries (of up to about 40 bytes) in all of them.
const LISTS: Bounds = Bounds { count: 1_000, weight: 10_000_000 };
/// OCSP statuses in memory.
const STATUSES: Bounds = Bounds { count: 100_000, weight: 100_000 };
/// Things that are asked for at a time; more have failed.
const MAX_UNDER_WAY: usize = 1_000;
/// Up to which what is there is fetched again, so that there is room for what somebody waits for.
const MAX_REFRESHED: usize = 100;
/// Between two looks at what is due, and at most between a revocation that was learned and the judges' being told.
const TICK: Duration = Duration::from_millis(200);

/// The fetcher of a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Fetcher {
    shared: Arc<Shared>,
    so_far: SoFar,
}

/// What it knows, for those who do not wait.
#[derive(Clone)]
struct SoFar(Arc<Shared>);

struct Shared {
    lists: Book<ListId, Crl>,
    statuses: Book<CertId, OcspStatus>,
    http: Http,
    cache: Option<Cache>,
    under_way: Mutex<HashMap<Key, watch::Receiver<()>>>,
    /// Something was learned by which verdicts that were given are others now.
    news: AtomicBool,
    reviews: watch::Sender<u64>,
    failures: AtomicU64,
    fetches: AtomicU64,
    runtime: Handle,
    clock: fn() -> UnixSeconds,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// An issuer's list.
    List(ListId),
    /// What a responder says of a certificate.
    Status(CertId),
}

/// Where an issuer's list is. Of several issuers that are said to have theirs at one URL, one that does not says nothing
/// about the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ListId {
    url: String,
    /// Digest of the issuer's name and key.
    issuer: [u8; 32],
}

/// What the metrics tell of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Since the start.
    pub(crate) fetches: u64,
    /// Of these.
    pub(crate) failures: u64,
}

impl Fetcher {
    /// Fetches by `http` on `runtime`; keeps what it has in `directory`.
    pub(crate) fn new(directory: &Path, http: Http, runtime: Handle, clock: fn() -> UnixSeconds) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            lists: Book::new(LISTS),
            statuses: Book::new(STATUSES),
            http,
            cache: Some(Cache::open(directory)?),
            under_way: Mutex::default(),
            news: AtomicBool::new(false),
            reviews: watch::Sender::new(0),
            failures: AtomicU64::new(0),
            fetches: AtomicU64::new(0),
            runtime,
            clock,
        });
        Ok(Self { so_far: SoFar(shared.clone()), shared })
    }

    /// Changes when clients that were accepted may not be any more.
    pub(crate) fn reviews(&self) -> watch::Receiver<u64> {
        self.shared.reviews.subscribe()
    }

    /// Refreshes what is wanted before it is out of date, until it is aborted.
    pub(crate) async fn keep(self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked_at = 0;
        loop {
            ticks.tick().await;
            if self.shared.news.swap(false, Ordering::Relaxed) {
                self.shared.reviews.send_modify(|reviews| *reviews += 1);
            }
            let now = (self.shared.clock)();
            if now != looked_at {
                looked_at = now;
                self.refresh(now);
            }
        }
    }

    /// For the metrics.
    pub(crate) fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts { fetches: of(&self.shared.fetches), failures: of(&self.shared.failures) }
    }

    /// Calls `each` for the lists that it has, with their URLs.
    pub(crate) fn lists(&self, mut each: impl FnMut(&str, &Crl)) {
        self.shared.lists.each(|id, list| each(&id.url, list));
    }

    fn refresh(&self, now: UnixSeconds) {
        for (id, source) in self.shared.lists.due(now) {
            self.shared.start(Key::List(id), source, true);
        }
        for (id, source) in self.shared.statuses.due(now) {
            self.shared.start(Key::Status(id), source, true);
        }
    }
}

impl StatusFetcher for Fetcher {
    fn known(&self) -> &dyn Fetched {
        self
    }

    fn so_far(&self) -> &dyn Fetched {
        &self.so_far
    }

    fn fetch(&self, requests: Vec<StatusRequest>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let mut waiting = Vec::new();
        for request in requests {
            let StatusRequest { certificate, issuer, crl_urls, ocsp_urls } = request;
            let source = |urls: &[String]| Source {
                certificate: certificate.clone(),
                issuer: issuer.clone(),
                urls: urls.iter().take(MAX_URLS).cloned().collect(),
            };
            if !ocsp_urls.is_empty() {
                let id = CertId::of(&certificate, &issuer);
                waiting.extend(self.shared.ask_for(Key::Status(id), source(&ocsp_urls)));
            }
            for (number, url) in crl_urls.iter().enumerate() {
                let (key, source) = (Key::List(ListId::new(url, &issuer)), source(std::slice::from_ref(url)));
                if number < MAX_URLS {
                    waiting.extend(self.shared.ask_for(key, source));
                } else {
                    self.shared.fail(&key, &source, format!("the certificate names more than {MAX_URLS}"));
                }
            }
        }
        Box::pin(async move {
            for mut done in waiting {
                // Nothing is ever sent: it ends when the sender is dropped.
                let _ = done.changed().await;
            }
        })
    }
}

impl Fetched for Fetcher {
    fn crl(&self, url: &str, issuer: &Certificate) -> Lookup<Arc<Crl>> {
        self.shared.lists.lookup(&ListId::new(url, issuer), (self.shared.clock)(), true)
    }

    fn ocsp(&self, id: &CertId) -> Lookup<Arc<OcspStatus>> {
        self.shared.statuses.lookup(id, (self.shared.clock)(), true)
    }
}

impl Fetched for SoFar {
    fn crl(&self, url: &str, issuer: &Certificate) -> Lookup<Arc<Crl>> {
        self.0.lists.lookup(&ListId::new(url, issuer), (self.0.clock)(), false)
    }

    fn ocsp(&self, id: &CertId) -> Lookup<Arc<OcspStatus>> {
        self.0.statuses.lookup(id, (self.0.clock)(), false)
    }
}

impl Shared {
    /// As [`Shared::start`]. Where too much is under way it has failed, so that nobody asks again at once.
    fn ask_for(self: &Arc<Self>, key: Key, source: Source) -> Option<watch::Receiver<()>> {
        let done = self.start(key.clone(), source.clone(), false);
        if done.is_none() {
            self.fail(&key, &source, format!("{MAX_UNDER_WAY} other things are being fetched"));
        }
        done
    }

    fn fail(&self, key: &Key, source: &Source, why: String) {
        let at = (self.clock)();
        match key {
            Key::List(id) => self.lists.fail(id, source, why, at),
            Key::Status(id) => self.statuses.fail(id, source, why, at),
        }
    }

    /// Begins to look for something, unless that is under way. The answer ends with it; there is none where too much is.
    fn start(self: &Arc<Self>, key: Key, source: Source, is_refresh: bool) -> Option<watch::Receiver<()>> {
        let mut under_way = self.lock();
        if let Some(done) = under_way.get(&key) {
            return Some(done.clone());
        }
        if under_way.len() >= if is_refresh { MAX_REFRESHED } else { MAX_UNDER_WAY } {
            return None;
        }
        let (finished, done) = watch::channel(());
        under_way.insert(key.clone(), done.clone());
        drop(under_way);
        let shared = self.clone();
        self.runtime.spawn(async move {
            shared.find(&key, &source, is_refresh).await;
            shared.lock().remove(&key);
            drop(finished);
        });
        Some(done)
    }

    async fn find(self: &Arc<Self>, key: &Key, source: &Source, is_refresh: bool) {
        if !is_refresh && self.find_on_disk(key, source).await {
            return;
        }
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let outcome = match key {
            Key::List(id) => match self.http.crl(&id.url).await {
                Ok(bytes) => self.take(key, source, bytes, true).await,
                Err(error) => Err(error.to_string()),
            },
            Key::Status(id) => self.ask(id, key, source).await,
        };
        if let Err(why) = outcome {
            self.failures.fetch_add(1, Ordering::Relaxed);
            self.fail(key, source, why);
        }
    }

    /// The first of the responders that has an answer.
    async fn ask(self: &Arc<Self>, id: &CertId, key: &Key, source: &Source) -> Result<(), String> {
        let request = OcspStatus::request(id);
        let mut why = "the certificate names no responder".to_owned();
        for url in &source.urls {
            let outcome = match self.http.ocsp(url, &request).await {
                Ok(bytes) => self.take(key, source, bytes, true).await,
                Err(error) => Err(error.to_string()),
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// What an earlier run fetched, if it is there and still current. A list that is not is taken too, and fetched again.
    async fn find_on_disk(self: &Arc<Self>, key: &Key, source: &Source) -> bool {
        let Some(cache) = self.cache.clone() else { return false };
        let (known, limit) = match key {
            Key::List(id) => (self.lists.found(id).is_some(), MAX_CRL_BYTES),
            Key::Status(id) => (self.statuses.found(id).is_some(), MAX_OCSP_BYTES),
        };
        if known {
            return false;
        }
        let about = key.name(source);
        let Ok(Some(bytes)) = spawn_blocking(move || cache.read(&about, limit)).await else { return false };
        if self.take(key, source, bytes.into(), false).await.is_err() {
            return false;
        }
        // It may have been fetched long ago.
        let at = (self.clock)();
        match key {
            Key::List(id) => {
                self.lists.hurry(id, at);
                self.lists.found(id).is_some_and(|list| at <= Statement::until(&*list))
            }
            Key::Status(id) => {
                self.statuses.hurry(id, at);
                true
            }
        }
    }

    /// Reads and checks an answer, and believes it. Reading a large list, and hashing it for its signature, takes a while.
    async fn take(self: &Arc<Self>, key: &Key, source: &Source, bytes: Bytes, keep: bool) -> Result<(), String> {
        let (shared, key, source) = (self.clone(), key.clone(), source.clone());
        let taken = spawn_blocking(move || shared.take_blocking(&key, &source, &bytes, keep)).await;
        taken.unwrap_or_else(|_| Err("it cannot be read".to_owned()))
    }

    fn take_blocking(&self, key: &Key, source: &Source, bytes: &[u8], keep: bool) -> Result<(), String> {
        let (at, jitter) = ((self.clock)(), jitter());
        let (news, gone) = match key {
            Key::List(id) => {
                let list = read_list(bytes, source)?;
                let (news, gone) = self.lists.learn(id, source, list, at, jitter);
                (news, gone.into_iter().map(Key::List).collect::<Vec<_>>())
            }
            Key::Status(id) => {
                let status = OcspStatus::read(bytes, &source.certificate, &source.issuer, at);
                let status = status.map_err(|error| error.to_string())?;
                // Their files go when the server starts again.
                (self.statuses.learn(id, source, status, at, jitter).0, Vec::new())
            }
        };
        if news {
            self.news.store(true, Ordering::Relaxed);
        }
        if let Some(cache) = &self.cache {
            if keep {
                // Without it a restart has to fetch again.
                let _ = cache.write(&key.name(source), bytes);
            }
            gone.iter().for_each(|gone| cache.remove(&gone.name(source)));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<()>>> {
        // An entry is whole before it is inserted.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    /// By which the disk knows it.
    fn name(&self, source: &Source) -> Vec<u8> {
        match self {
            Self::List(id) => format!("crl {} {}", HEXLOWER.encode(&id.issuer), id.url).into_bytes(),
            Self::Status(_) => {
                format!("ocsp {} {}", source.certificate.fingerprint_hex(), source.issuer.fingerprint_hex())
                    .into_bytes()
            }
        }
    }
}

impl ListId {
    fn new(url: &str, issuer: &Certificate) -> Self {
        let mut context = Context::new(&SHA256);
        // Both are DER, which tells its own length.
        context.update(issuer.subject_der());
        context.update(issuer.public_key_der());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self { url: url.to_owned(), issuer: digest }
    }
}

/// The one list of an issuer.
fn read_list(bytes: &[u8], source: &Source) -> Result<Crl, String> {
    let mut lists = Crl::read(bytes).map_err(|error| error.to_string())?;
    let issuer = &source.issuer;
    let list = match (lists.pop(), lists.is_empty()) {
        (Some(list), true) => list,
        _ => return Err("it gives several lists".to_owned()),
    };
    if list.issuer_der() != issuer.subject_der() || !list.is_signed_by(issuer) {
        return Err(format!("it gives a list that is not by {}", issuer.subject()));
    }
    Ok(list)
}

fn jitter() -> u8 {
    let mut byte = [0];
    // Without randomness everybody comes at the same time; that is all.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    byte[0]
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
