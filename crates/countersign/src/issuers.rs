//! Keys of issuers of tokens: found by OpenID Connect Discovery 1.0, kept, and fetched anew.
//!
//! A request waits only where nothing is known that could verify its token. What is older than two hours is fetched again while it
//! is used on; an issuer that cannot be reached is believed by what it said last, for a day.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::metrics::{Collector, DescriptorEncoder, counter};
use edge::{IssuerKeys, KeySet};
use model::{Issuer, may_name_keys};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::watch;
use trust::UnixSeconds;

use crate::answer::warn;
use crate::fetch::Http;

/// After which keys are fetched again; AWS's.
const FRESH_SECONDS: i64 = 2 * 60 * 60;
/// Until which they are used where they cannot be.
const STALE_SECONDS: i64 = 24 * 60 * 60;
/// Between two fetches of one issuer's, whatever names of keys strangers think of.
const PAUSE_SECONDS: i64 = 10;
/// Issuers that are remembered; of those that nobody asks for any more the longest unused goes.
const MAX_ISSUERS: usize = 1_000;

/// The keys of all issuers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Issuers(Arc<Shared>);

struct Shared {
    http: Http,
    known: Mutex<HashMap<Issuer, Entry>>,
    fetches: AtomicU64,
    failures: AtomicU64,
    runtime: Handle,
    clock: fn() -> UnixSeconds,
}

#[derive(Default)]
struct Entry {
    keys: Option<Arc<KeySet>>,
    fetched: UnixSeconds,
    /// When they were asked for last.
    tried: Option<UnixSeconds>,
    used: UnixSeconds,
    /// Ends with the fetch.
    under_way: Option<watch::Receiver<()>>,
}

/// What of `/.well-known/openid-configuration` is wanted (OpenID Connect Discovery 1.0 section 3).
#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

impl Issuers {
    pub(crate) fn new(http: Http, runtime: Handle, clock: fn() -> UnixSeconds) -> Self {
        let (fetches, failures) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Shared { http, known: Mutex::default(), fetches, failures, runtime, clock }))
    }
}

impl IssuerKeys for Issuers {
    fn known(&self, issuer: &Issuer) -> Option<Arc<KeySet>> {
        let at = (self.0.clock)();
        let mut known = self.0.lock();
        let entry = known.get_mut(issuer)?;
        entry.used = at;
        let age = at.saturating_sub(entry.fetched);
        let keys = entry.keys.clone().filter(|_| age < STALE_SECONDS);
        if age >= FRESH_SECONDS {
            self.0.start(&mut known, issuer, at);
        }
        keys
    }

    fn fetch(&self, issuer: &Issuer) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let started = self.0.start(&mut self.0.lock(), issuer, (self.0.clock)());
        Box::pin(async move {
            if let Some(mut done) = started {
                // Nothing is ever sent: it ends when the sender is dropped.
                let _ = done.changed().await;
            }
        })
    }
}

impl Shared {
    /// Begins to fetch an issuer's keys, unless that is under way, or was just done.
    fn start(
        self: &Arc<Self>,
        known: &mut HashMap<Issuer, Entry>,
        issuer: &Issuer,
        at: UnixSeconds,
    ) -> Option<watch::Receiver<()>> {
        make_room(known, issuer);
        let entry = known.entry(issuer.clone()).or_default();
        entry.used = at;
        if let Some(under_way) = &entry.under_way {
            return Some(under_way.clone());
        }
        if entry.tried.is_some_and(|tried| at.saturating_sub(tried) < PAUSE_SECONDS) {
            return None;
        }
        entry.tried = Some(at);
        let (finished, done) = watch::channel(());
        entry.under_way = Some(done.clone());
        let (shared, issuer) = (self.clone(), issuer.clone());
        self.runtime.spawn(async move {
            let keys = shared.find(&issuer).await;
            shared.learn(&issuer, keys);
            drop(finished);
        });
        Some(done)
    }

    fn learn(&self, issuer: &Issuer, keys: Result<KeySet, String>) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let at = (self.clock)();
        let mut known = self.lock();
        let entry = known.entry(issuer.clone()).or_default();
        entry.under_way = None;
        match keys {
            Ok(keys) => {
                entry.keys = Some(Arc::new(keys));
                entry.fetched = at;
            }
            Err(why) => {
                drop(known);
                self.failures.fetch_add(1, Ordering::Relaxed);
                warn(&format!("the keys of issuer {} cannot be fetched: {why}", issuer.as_str()));
            }
        }
    }

    async fn find(&self, issuer: &Issuer) -> Result<KeySet, String> {
        let document = self.http.issuer_document(issuer, &issuer.configuration_url()).await;
        let document = document.map_err(|error| error.to_string())?;
        let Configuration { issuer: named, jwks_uri } =
            serde_json::from_slice(&document).map_err(|_| "its configuration is not as OpenID Connect has it")?;
        if named != issuer.as_str() {
            // Section 4.3: else anybody could speak for it.
            return Err("its configuration is that of another issuer".to_owned());
        }
        // Whoever is asked on ways that are safe does not lead to others.
        let downgraded = issuer.as_str().starts_with("https:") && !jwks_uri.starts_with("https:");
        if downgraded || !may_name_keys(&jwks_uri) {
            return Err("its jwks_uri is not https".to_owned());
        }
        let keys = self.http.issuer_document(issuer, &jwks_uri).await.map_err(|error| error.to_string())?;
        KeySet::parse(&keys).map_err(|error| error.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Issuer, Entry>> {
        // An entry is whole whenever it can be seen.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For one more than there are.
fn make_room(known: &mut HashMap<Issuer, Entry>, issuer: &Issuer) {
    if known.len() < MAX_ISSUERS || known.contains_key(issuer) {
        return;
    }
    let idle = known.iter().filter(|(_, entry)| entry.under_way.is_none());
    if let Some(oldest) = idle.min_by_key(|(_, entry)| entry.used).map(|(oldest, _)| oldest.clone()) {
        known.remove(&oldest);
    }
}

impl Collector for Issuers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let help = "Fetches of the keys of issuers of tokens.";
        counter(&mut encoder, "issuer_key_fetches", help, [([], of(&self.0.fetches))])?;
        let help = "Those that brought nothing that could be used.";
        counter(&mut encoder, "issuer_key_fetch_failures", help, [([], of(&self.0.failures))])
    }
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
