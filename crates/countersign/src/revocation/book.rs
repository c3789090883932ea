//! What was found out, kept in memory within bounds. Judging asks it, so that it answers at once.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use trust::{Certificate, Crl, Lookup, OcspStatus, UnixSeconds};

/// How long a failure is believed before it is tried again.
const RETRY: UnixSeconds = 30;
/// How long somebody believes that there is no answer who could not wait for it any longer.
const IMPATIENCE: UnixSeconds = 5;
/// Between two fetches of the same, while it is current for longer.
const REFRESH_AT_MOST_EVERY: UnixSeconds = 60;
/// The longest time between two fetches of the same: its issuer may revoke something at any time.
const REFRESH_AT_LEAST_EVERY: UnixSeconds = 6 * 3600;
/// What nobody asked for in this time is not refreshed any more.
const FORGOTTEN: UnixSeconds = 7 * 24 * 3600;

/// Statements of one kind, by what they are about.
pub(super) struct Book<K, T> {
    entries: RwLock<HashMap<K, Entry<T>>>,
    bounds: Bounds,
}

/// How much is kept; what was asked for longest ago goes first.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Entries.
    pub(super) count: usize,
    /// The sum of their [`Statement::weight`].
    pub(super) weight: usize,
}

/// Something that a CA, or whom it appointed, has signed.
pub(super) trait Statement {
    /// The last second at which it is current.
    fn until(&self) -> UnixSeconds;
    /// How much of the memory's bound it takes.
    fn weight(&self) -> usize;
    /// Whether it was made before `other`.
    fn is_before(&self, other: &Self) -> bool;
    /// Whether somebody is revoked by it who is not by `other`.
    fn revokes_more_than(&self, other: Option<&Self>) -> bool;
}

/// Whose status a statement is about, and where it is fetched.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) certificate: Arc<Certificate>,
    pub(super) issuer: Arc<Certificate>,
    pub(super) urls: Vec<String>,
}

struct Entry<T> {
    source: Source,
    found: Option<Arc<T>>,
    /// Why it could not be had last, and the last second before it is tried again.
    failed: Option<(String, UnixSeconds)>,
    refresh: UnixSeconds,
    asked: AtomicI64,
}

impl<K: Eq + Hash + Clone, T: Statement> Book<K, T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { entries: RwLock::default(), bounds }
    }

    /// What is known at `at`. Only the patient are told that it could be fetched (again).
    pub(super) fn lookup<Q>(&self, key: &Q, at: UnixSeconds, patient: bool) -> Lookup<Arc<T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let unknown = || match patient {
            true => Lookup::Unasked,
            false => Lookup::Failed { why: "no answer in time".to_owned(), until: at.saturating_add(IMPATIENCE) },
        };
        let entries = self.read();
        let Some(entry) = entries.get(key) else { return unknown() };
        entry.asked.store(at, Ordering::Relaxed);
        let failing = entry.failed.as_ref().filter(|(_, until)| at <= *until);
        match (&entry.found, failing) {
            (Some(found), _) if at <= found.until() => Lookup::Found(found.clone()),
            // What is out of date is all there is for now.
            (Some(found), Some(_)) => Lookup::Found(found.clone()),
            (Some(found), None) if !patient => Lookup::Found(found.clone()),
            (None, Some((why, until))) => Lookup::Failed { why: why.clone(), until: *until },
            (Some(_) | None, None) => unknown(),
        }
    }

    /// The statement that is there, out of date or not.
    pub(super) fn found<Q>(&self, key: &Q) -> Option<Arc<T>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.read().get(key)?.found.clone()
    }

    /// Takes a statement that was checked. Answers whether verdicts that were given so far may be others now, and which
    /// entries had to go. One that is older than what is there is a failure: somebody plays it back.
    pub(super) fn learn(&self, key: &K, source: &Source, statement: T, at: UnixSeconds, jitter: u8) -> (bool, Vec<K>) {
        let known = self.found(key);
        if known.as_ref().is_some_and(|known| statement.is_before(known)) {
            self.fail(key, source, "what it gives is older than what it gave before".to_owned(), at);
            return (false, Vec::new());
        }
        let was_stale = known.as_ref().is_some_and(|known| known.until() < at);
        let more = was_stale || self.knows(key) && statement.revokes_more_than(known.as_deref());
        let is_stale = statement.until() < at;
        let entry = Entry {
            source: source.clone(),
            refresh: refresh_at(at, statement.until(), jitter),
            failed: is_stale.then(|| ("what it gives is out of date".to_owned(), at.saturating_add(RETRY))),
            found: Some(Arc::new(statement)),
            asked: AtomicI64::new(at),
        };
        let mut entries = self.write();
        entries.insert(key.clone(), entry);
        let gone = self.make_room(&mut entries);
        (more, gone)
    }

    /// Has it fetched again as soon as can be.
    pub(super) fn hurry(&self, key: &K, at: UnixSeconds) {
        if let Some(entry) = self.write().get_mut(key) {
            entry.refresh = at;
        }
    }

    /// Notes that it could not be had; what is there stays.
    pub(super) fn fail(&self, key: &K, source: &Source, why: String, at: UnixSeconds) {
        let until = at.saturating_add(RETRY);
        let mut entries = self.write();
        let entry = entries.entry(key.clone()).or_insert_with(|| Entry {
            source: source.clone(),
            found: None,
            failed: None,
            refresh: UnixSeconds::MAX,
            asked: AtomicI64::new(at),
        });
        entry.failed = Some((why, until));
        entry.refresh = if entry.found.is_some() { until.saturating_add(1) } else { UnixSeconds::MAX };
        self.make_room(&mut entries);
    }

    /// What is to be fetched again at `at`.
    pub(super) fn due(&self, at: UnixSeconds) -> Vec<(K, Source)> {
        let entries = self.read();
        let wanted = |entry: &Entry<T>| at.saturating_sub(entry.asked.load(Ordering::Relaxed)) < FORGOTTEN;
        let due = entries.iter().filter(|(_, entry)| entry.refresh <= at && wanted(entry));
        due.map(|(key, entry)| (key.clone(), entry.source.clone())).collect()
    }

    /// Calls `each` for each statement that is there.
    pub(super) fn each(&self, mut each: impl FnMut(&K, &T)) {
        for (key, entry) in self.read().iter() {
            if let Some(found) = &entry.found {
                each(key, found);
            }
        }
    }

    fn knows(&self, key: &K) -> bool {
        self.read().contains_key(key)
    }

    fn make_room(&self, entries: &mut HashMap<K, Entry<T>>) -> Vec<K> {
        let mut weight: usize = entries.values().map(Entry::weight).sum();
        if entries.len() <= self.bounds.count && weight <= self.bounds.weight {
            return Vec::new();
        }
        let mut by_age: Vec<(UnixSeconds, K)> =
            entries.iter().map(|(key, entry)| (entry.asked.load(Ordering::Relaxed), key.clone())).collect();
        by_age.sort_by_key(|(asked, _)| *asked);
        // A little more than has to be, so that not every new one has to look for room.
        let count = self.bounds.count - self.bounds.count / 32;
        let mut gone = Vec::new();
        for (_, key) in by_age {
            if entries.len() <= count && weight <= self.bounds.weight {
                break;
            }
            weight -= entries.remove(&key).map_or(0, |entry| entry.weight());
            gone.push(key);
        }
        gone
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<K, Entry<T>>> {
        // Entries are whole before they are inserted.
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<K, Entry<T>>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Statement> Entry<T> {
    fn weight(&self) -> usize {
        self.found.as_ref().map_or(0, |found| found.weight())
    }
}

impl Statement for Crl {
    fn until(&self) -> UnixSeconds {
        self.next_update().unwrap_or(UnixSeconds::MAX)
    }

    fn weight(&self) -> usize {
        self.len() + 1
    }

    fn is_before(&self, other: &Self) -> bool {
        self.this_update() < other.this_update()
    }

    fn revokes_more_than(&self, other: Option<&Self>) -> bool {
        match other {
            Some(other) => self.revokes_more_than(other),
            None => !self.is_empty(),
        }
    }
}

impl Statement for OcspStatus {
    fn until(&self) -> UnixSeconds {
        self.until()
    }

    fn weight(&self) -> usize {
        1
    }

    fn is_before(&self, other: &Self) -> bool {
        self.this_update() < other.this_update()
    }

    fn revokes_more_than(&self, other: Option<&Self>) -> bool {
        let is_revoked = |status: &Self| matches!(status.status(), trust::CertStatus::Revoked { .. });
        is_revoked(self) && !other.is_some_and(is_revoked)
    }
}

/// When to fetch again: after half of the remaining life, more or less, so that not everybody comes at once; well before its end.
fn refresh_at(at: UnixSeconds, until: UnixSeconds, jitter: u8) -> UnixSeconds {
    // No longer life makes a difference.
    let life = until.saturating_sub(at).clamp(0, 4 * REFRESH_AT_LEAST_EVERY);
    // Between 0.4 and 0.6 of it.
    let half = life * (40 * 255 + 20 * i64::from(jitter)) / (100 * 255);
    let wait = half.clamp(REFRESH_AT_MOST_EVERY, REFRESH_AT_LEAST_EVERY);
    at.saturating_add(wait.min(life * 9 / 10).max(1))
}

#[cfg(test)]
mod tests;
