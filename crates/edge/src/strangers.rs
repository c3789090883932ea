//! What strangers may have recorded one by one: so much of each network, and so much of all. Beyond that they are counted, and the
//! counts are records, so that they can neither fill the disk nor take the room of what clients do.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use journal::{End, RefusalsRecord};
use model::UnixMillis;
use trust::Code;

use crate::runtime::Runtime;

/// How often counts are written, and within which time a share comes back.
const SPAN_MILLIS: i64 = 60_000;
/// Networks whose share is known. Of one more there are no records until one of these has its whole share back.
const MAX_NETWORKS: usize = 1024;
/// Counts of one network, reason and domain; beyond them networks are not told apart.
const MAX_COUNTS: usize = 256;
/// Counts of one reason and domain; beyond them nothing is told apart.
const MAX_COUNTS_OF_ALL: usize = 512;

/// Those of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Strangers(RefCell<State>);

/// Why somebody was sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    /// The judge did.
    Refused(Code),
    /// It did not come so far.
    Ended(End),
}

#[derive(Debug, Default)]
struct State {
    all: Share,
    networks: HashMap<IpAddr, Share>,
    /// When networks were last looked through for those that have their whole share.
    cleared: UnixMillis,
    counts: HashMap<Key, Counted>,
    /// When the first of the counts was begun.
    since: UnixMillis,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// None: of all networks that are not told apart.
    network: Option<IpAddr>,
    /// None: of all reasons and domains.
    reason: Option<Reason>,
    domain: Box<str>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    requests: u64,
    connections: u64,
}

/// A bucket that is full at first, and again after [`SPAN_MILLIS`].
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// What is taken out of it, in parts of `SPAN_MILLIS`.
    taken: i64,
    at: UnixMillis,
}

impl Strangers {
    /// Whether one more of this address may be recorded. Takes it from the share of its network, and of all.
    pub(crate) fn admits(&self, runtime: &Runtime, source: IpAddr) -> bool {
        let limits = runtime.limits();
        let (of_all, of_network) = (limits.refusal_records, limits.refusal_records_per_network);
        self.0.borrow_mut().admits(network(source), runtime.config.clock.now(), of_all, of_network)
    }

    /// A refusal has no access record.
    pub(crate) fn count_request(&self, runtime: &Runtime, source: IpAddr, reason: Reason, domain: &str) {
        self.0.borrow_mut().count(network(source), reason, domain, runtime.config.clock.now()).requests += 1;
    }

    /// A connection has no record.
    pub(crate) fn count_connection(&self, runtime: &Runtime, source: IpAddr, reason: Reason, domain: &str) {
        self.0.borrow_mut().count(network(source), reason, domain, runtime.config.clock.now()).connections += 1;
    }

    /// Writes the counts of a span that is over.
    pub(crate) fn write_if_due(&self, runtime: &Runtime) {
        let state = self.0.borrow();
        let is_due = !state.counts.is_empty() && runtime.config.clock.now() - state.since >= SPAN_MILLIS;
        drop(state);
        if is_due {
            self.write(runtime);
        }
    }

    /// Writes the counts as far as they have come.
    pub(crate) fn write(&self, runtime: &Runtime) {
        let mut state = self.0.borrow_mut();
        let (time_ms, began_ms) = (runtime.config.clock.now(), state.since);
        let mut writer = runtime.writer.borrow_mut();
        for (key, Counted { requests, connections }) in state.counts.drain() {
            writer.append_refusals(&RefusalsRecord {
                time_ms,
                began_ms,
                network: key.network.map(written).unwrap_or_default().into(),
                reason: key.reason.map_or("", Reason::as_str).into(),
                domain: (&*key.domain).into(),
                requests,
                connections,
            });
        }
    }
}

impl State {
    fn admits(&mut self, network: IpAddr, at: UnixMillis, of_all: u32, of_network: u32) -> bool {
        if !self.all.has_left(at, of_all) {
            return false;
        }
        if self.networks.len() >= MAX_NETWORKS && !self.networks.contains_key(&network) {
            // Once a second at most, for all of them are looked at.
            if at - self.cleared >= 1000 {
                self.cleared = at;
                self.networks.retain(|_, share| !share.is_whole(at, of_network));
            }
            if self.networks.len() >= MAX_NETWORKS {
                return false;
            }
        }
        self.networks.entry(network).or_default().take(at, of_network) && self.all.take(at, of_all)
    }

    fn count(&mut self, network: IpAddr, reason: Reason, domain: &str, at: UnixMillis) -> &mut Counted {
        if self.counts.is_empty() {
            self.since = at;
        }
        let mut key = Key { network: Some(network), reason: Some(reason), domain: domain.into() };
        if self.counts.len() >= MAX_COUNTS && !self.counts.contains_key(&key) {
            key.network = None;
            if self.counts.len() >= MAX_COUNTS_OF_ALL && !self.counts.contains_key(&key) {
                key = Key { network: None, reason: None, domain: Box::default() };
            }
        }
        self.counts.entry(key).or_default()
    }
}

impl Share {
    fn has_left(&mut self, at: UnixMillis, whole: u32) -> bool {
        let given_back = at.saturating_sub(self.at).max(0).saturating_mul(whole.into());
        self.taken = self.taken.saturating_sub(given_back).max(0);
        self.at = at;
        self.taken + SPAN_MILLIS <= SPAN_MILLIS.saturating_mul(whole.into())
    }

    fn take(&mut self, at: UnixMillis, whole: u32) -> bool {
        let has_left = self.has_left(at, whole);
        if has_left {
            self.taken += SPAN_MILLIS;
        }
        has_left
    }

    fn is_whole(&mut self, at: UnixMillis, whole: u32) -> bool {
        self.has_left(at, whole);
        self.taken == 0
    }
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Self::Refused(code) => code.as_str(),
            Self::Ended(end) => end.as_str(),
        }
    }
}

/// What one stranger most likely has more addresses of: 256 of IPv4, a /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

fn written(network: IpAddr) -> String {
    format!("{network}/{}", if network.is_ipv4() { 24 } else { 64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(number: u32) -> IpAddr {
        network(Ipv4Addr::from_bits(number << 8 | 7).into())
    }

    #[test]
    fn networks_are_written_as_such() {
        for (address, network) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(written(super::network(address.parse().unwrap())), network);
        }
    }

    #[test]
    fn a_share_comes_back_within_a_minute() {
        let mut state = State::default();
        let mut admitted = |at, of_all| (0..100).filter(|_| state.admits(v4(1), at, of_all, 10)).count();
        assert_eq!(admitted(1_000_000, 1000), 10);
        assert_eq!(admitted(1_000_000 + SPAN_MILLIS / 2, 1000), 5);
        assert_eq!(admitted(1_000_000 + 3 * SPAN_MILLIS, 1000), 10);
        assert_eq!(admitted(0, 1000), 0, "the clock was set back");
    }

    #[test]
    fn one_network_leaves_the_others_their_share_and_all_have_one() {
        let mut state = State::default();
        assert_eq!((0..100).filter(|_| state.admits(v4(1), 0, 30, 10)).count(), 10);
        assert!(state.admits(v4(2), 0, 30, 10));
        assert_eq!((3..100).filter(|&n| state.admits(v4(n), 0, 30, 10)).count(), 19);
        assert!(!State::default().admits(v4(1), 0, 0, 10) && !State::default().admits(v4(1), 0, 10, 0));
    }

    #[test]
    fn what_is_known_of_strangers_is_bounded() {
        let mut state = State::default();
        let networks = 2 * MAX_NETWORKS as u32;
        assert_eq!((0..networks).filter(|&n| state.admits(v4(n), 0, u32::MAX, 10)).count(), MAX_NETWORKS);
        assert!(state.admits(v4(networks), 2 * SPAN_MILLIS, u32::MAX, 10), "those before have all their share again");
        for n in 0..networks {
            state.count(v4(n), Reason::Refused(Code::ClientCertMissing), &format!("{n}.test"), 0).requests += 1;
            state.count(v4(n), Reason::Ended(End::UnknownName), "", 0).connections += 1;
        }
        assert_eq!(state.counts.len(), MAX_COUNTS_OF_ALL + 1);
        let sum = |of: fn(&Counted) -> u64| state.counts.values().map(of).sum::<u64>();
        assert_eq!((sum(|c| c.requests), sum(|c| c.connections)), (networks.into(), networks.into()));
    }
}
