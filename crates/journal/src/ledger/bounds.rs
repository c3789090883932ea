//! What bounds the ledger, so that strangers can neither fill it nor push anybody out of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::entry::Id;

/// Clients of one domain that were accepted once.
pub const ACCEPTED_PER_DOMAIN: u64 = 100_000;
/// Clients of all domains that were accepted once.
pub const ACCEPTED: u64 = 1_000_000;
/// Chains of one accepted certificate in one domain: whoever has it can send it with any others. The one not seen for longest
/// makes room.
pub const CHAINS_PER_CERTIFICATE: usize = 16;
/// Chains of one domain that were never accepted; the one not seen for longest makes room.
pub const STRANGERS_PER_DOMAIN: usize = 1_000;
/// Chains of all domains that were never accepted.
pub const STRANGERS: usize = 10_000;
/// Bytes of the chains that were never accepted.
pub const STRANGER_BYTES: usize = 64 * 1024 * 1024;
/// New chains that were never accepted, from one source (a /24 of IPv4, a /56 of IPv6) in one hour.
pub const STRANGERS_PER_SOURCE: u8 = 16;
/// Milliseconds after which a client that was accepted once, and was not seen since, is forgotten: 400 days.
pub const ACCEPTED_AGE_MS: i64 = 400 * DAY_MS;
/// The same for chains that were never accepted: 90 days.
pub const STRANGER_AGE_MS: i64 = 90 * DAY_MS;

/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
/// Milliseconds of an hour.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// Sources that are remembered in one hour; from then on strangers of others are left out.
const SOURCES: usize = 65_536;

/// How much is kept. The constants of this module, except in tests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub accepted_per_domain: u64,
    pub accepted: u64,
    pub strangers_per_domain: usize,
    pub strangers: usize,
    pub stranger_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            accepted_per_domain: ACCEPTED_PER_DOMAIN,
            accepted: ACCEPTED,
            strangers_per_domain: STRANGERS_PER_DOMAIN,
            strangers: STRANGERS,
            stranger_bytes: STRANGER_BYTES,
        }
    }
}

/// Decides which strangers' chains are taken in at all: so many an hour of each source.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    hour: i64,
    taken: HashMap<[u8; 7], u8>,
}

impl Sampler {
    /// Whether another new chain of `source` is taken in at `at_ms`.
    pub(super) fn admits(&mut self, source: IpAddr, at_ms: i64) -> bool {
        let hour = at_ms.div_euclid(HOUR_MS);
        // Sightings of several cores do not come in the order of time: the last of an hour must not begin it anew.
        if hour > self.hour || hour < self.hour - 1 {
            self.hour = hour;
            self.taken.clear();
        }
        let source = network(source);
        if !self.taken.contains_key(&source) && self.taken.len() == SOURCES {
            return false;
        }
        let taken = self.taken.entry(source).or_default();
        let admits = *taken < STRANGERS_PER_SOURCE;
        *taken += u8::from(admits);
        admits
    }
}

/// The /24 or /56 of an address. What one party can hold is more than one address.
fn network(source: IpAddr) -> [u8; 7] {
    match source.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            // No /56 of IPv6 begins like this: 0::/8 is not given to anybody.
            [0, 4, 0, 0, a, b, c]
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, ..] = v6.octets();
            [a, b, c, d, e, f, g]
        }
    }
}

/// The chains that were never accepted, in the order in which they are to go.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    all: BTreeMap<(i64, Id), Stranger>,
    domains: HashMap<Arc<str>, BTreeSet<(i64, Id)>>,
    bytes: usize,
}

#[derive(Debug)]
struct Stranger {
    domain: Arc<str>,
    bytes: usize,
}

impl Strangers {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn insert(&mut self, domain: &str, last_seen_ms: i64, id: Id, bytes: usize) {
        let domain = match self.domains.get_key_value(domain) {
            Some((known, _)) => known.clone(),
            None => Arc::from(domain),
        };
        self.domains.entry(domain.clone()).or_default().insert((last_seen_ms, id));
        self.bytes += bytes;
        self.all.insert((last_seen_ms, id), Stranger { domain, bytes });
    }

    /// Takes one out; gives its bytes.
    pub(super) fn remove(&mut self, last_seen_ms: i64, id: Id) -> Option<usize> {
        let stranger = self.all.remove(&(last_seen_ms, id))?;
        self.bytes -= stranger.bytes;
        if let Some(domain) = self.domains.get_mut(&stranger.domain) {
            domain.remove(&(last_seen_ms, id));
            if domain.is_empty() {
                self.domains.remove(&stranger.domain);
            }
        }
        Some(stranger.bytes)
    }

    /// Who has to go, and when it was seen last, so that there is room for `bytes` more in `domain`; to be asked until it is
    /// nobody.
    pub(super) fn too_many(&self, bounds: &Bounds, domain: &str, bytes: usize) -> Option<(i64, Id)> {
        if let Some(of_domain) = self.domains.get(domain)
            && of_domain.len() >= bounds.strangers_per_domain
        {
            return of_domain.first().copied();
        }
        let full = self.all.len() >= bounds.strangers || self.bytes + bytes > bounds.stranger_bytes;
        self.all.keys().next().filter(|_| full).copied()
    }

    /// Who was last seen before `before_ms`.
    pub(super) fn seen_before(&self, before_ms: i64) -> Vec<Id> {
        self.all.range(..(before_ms, Id::FIRST)).map(|((_, id), _)| *id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_an_hour_of_a_network() {
        let mut sampler = Sampler::default();
        let mut taken = |source: &str, at| sampler.admits(source.parse().unwrap(), at);
        assert_eq!((0..100).filter(|n| taken(&format!("192.0.2.{n}"), 0)).count(), 16);
        assert!(taken("192.0.3.1", HOUR_MS - 1), "another /24");
        assert!(!taken("::ffff:192.0.2.9", 5), "the same in IPv6's clothes");
        assert_eq!((0..100).filter(|n| taken(&format!("2001:db8:1:2{n:02}::1"), 6)).count(), 16, "one /56");
        assert!(taken("2001:db8:1:300::1", 7));
        assert!(taken("192.0.2.1", HOUR_MS), "the next hour");
        assert!((0..40).filter(|n| taken("192.0.2.1", HOUR_MS - n % 2)).count() < 16, "between two hours");
    }

    #[test]
    fn sources_are_bounded() {
        let mut sampler = Sampler::default();
        let admitted = (0..SOURCES as u32 + 100).filter(|n| sampler.admits(IpAddr::from((n << 8).to_be_bytes()), 0));
        assert_eq!(admitted.count(), SOURCES);
        assert_eq!(sampler.taken.len(), SOURCES);
        assert!(sampler.admits([0, 0, 0, 1].into(), 0), "those that are known are counted on");
    }

    #[test]
    fn the_oldest_of_the_fullest_goes() {
        let bounds = Bounds { strangers_per_domain: 2, strangers: 3, stranger_bytes: 100, ..Bounds::default() };
        let id = |n| Id::of("x", &[n; 32]);
        let mut strangers = Strangers::default();
        strangers.insert("a", 5, id(1), 10);
        strangers.insert("b", 4, id(2), 10);
        assert_eq!(strangers.too_many(&bounds, "a", 10), None);
        assert_eq!(strangers.too_many(&bounds, "a", 81), Some((4, id(2))), "bytes");
        strangers.insert("a", 6, id(3), 10);
        assert_eq!(strangers.too_many(&bounds, "a", 10), Some((5, id(1))), "of the domain");
        assert_eq!(strangers.too_many(&bounds, "c", 10), Some((4, id(2))), "of all");
        assert_eq!(strangers.remove(5, id(1)), Some(10));
        assert_eq!((strangers.len(), strangers.domains["a"].len(), strangers.bytes), (2, 1, 20));
        assert_eq!(strangers.seen_before(6), [id(2)]);
        assert_eq!(strangers.too_many(&bounds, "a", 10), None);
    }
}
