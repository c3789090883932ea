//! How often what happened, by domain. Each runtime counts for itself; whoever reads adds up.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journal::End;
use model::snapshot::Upstream;
use trust::Code;

use crate::authorize::Denial;

/// What all runtimes have counted since they started. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Mutex<Vec<OfRuntime>>>);

/// What one runtime counts.
#[derive(Debug, Default)]
struct OfRuntime {
    bounds: Arc<Bounds>,
    domains: Vec<(String, Arc<Counts>)>,
    upstreams: Vec<(String, Arc<UpstreamCounts>)>,
}

/// What became of connections to one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTotals {
    /// Connections that came about.
    pub connections: u64,
    /// Names without an address, connections that did not come about, and requests without an answer of the backend's own.
    pub failures: u64,
    /// How often an address was passed over from then on.
    pub ejections: u64,
}

/// Totals of one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests of clients that were let in, whatever became of them.
    pub requests: u64,
    /// Requests and handshakes of clients that were refused, by reason; those that never occurred are not there.
    pub refusals: BTreeMap<Code, u64>,
    /// Requests of accepted clients that the route's authorizer denied, by reason; those that never occurred are not there.
    pub denials: BTreeMap<&'static str, u64>,
    /// Requests of accepted clients that the shadow truststore would refuse.
    pub shadow_would_refuse: u64,
    /// Requests and handshakes of refused clients that the shadow truststore would accept.
    pub shadow_would_accept: u64,
    /// Requests beyond `countersign:client-rate`.
    pub beyond_rate: u64,
    /// Requests beyond `countersign:client-concurrency`.
    pub beyond_concurrency: u64,
    /// How often a policy could not be evaluated.
    pub policy_errors: u64,
    /// Handshakes that came to an end, without a session to continue.
    pub full_handshakes: u64,
    /// Those that continued a session.
    pub resumed_handshakes: u64,
}

/// What kept the request of a trusted client from its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The route's authorizer.
    Denied(Denial),
    /// A limit of the client.
    Beyond(Limit),
}

/// A limit of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    Rate,
    Concurrency,
}

/// What something was closed or refused by, other than a domain's trust. Each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// [`Limits::handshake_timeout`](crate::Limits::handshake_timeout)
    HandshakeTimeout,
    /// A handshake that was none, asked for no domain, or failed of other things than trust.
    HandshakeFailed,
    /// [`Limits::header_timeout`](crate::Limits::header_timeout)
    HeaderTimeout,
    /// [`Limits::idle_timeout`](crate::Limits::idle_timeout)
    IdleTimeout,
    /// [`Limits::stall_timeout`](crate::Limits::stall_timeout); also a payload that did not come in the integration's time.
    StallTimeout,
    /// [`Limits::header_bytes`](crate::Limits::header_bytes)
    HeaderBytes,
    /// [`Limits::body_bytes`](crate::Limits::body_bytes)
    BodyBytes,
    /// [`Limits::connections`](crate::Limits::connections)
    Connections,
    /// [`Limits::connections_per_address`](crate::Limits::connections_per_address)
    ConnectionsPerAddress,
    /// [`Limits::http2_resets`](crate::Limits::http2_resets)
    Http2Resets,
    /// A request that is no HTTP, or has two meanings.
    Malformed,
    /// A refused client that did not send its one request in time.
    RefusedTimeout,
    /// A balancer that is listed, and sent no header of PROXY protocol that can be believed.
    ProxyProtocol,
    /// A connection that the system could not accept, most likely for want of file descriptors.
    Accept,
    /// A request that was not forwarded, because its admission could not be recorded.
    Unrecorded,
}

impl Bound {
    /// How a connection ends that is beyond it.
    pub(crate) fn end(self) -> End {
        match self {
            Self::IdleTimeout => End::Idle,
            Self::Http2Resets => End::ResetFlood,
            Self::HandshakeTimeout => End::HandshakeTimeout,
            Self::HandshakeFailed => End::HandshakeFailed,
            _ => End::Timeout,
        }
    }

    /// Every one.
    pub const ALL: [Self; 15] = [
        Self::HandshakeTimeout,
        Self::HandshakeFailed,
        Self::HeaderTimeout,
        Self::IdleTimeout,
        Self::StallTimeout,
        Self::HeaderBytes,
        Self::BodyBytes,
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::Http2Resets,
        Self::Malformed,
        Self::RefusedTimeout,
        Self::ProxyProtocol,
        Self::Accept,
        Self::Unrecorded,
    ];

    /// Its name in the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::HeaderTimeout => "header_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::StallTimeout => "stall_timeout",
            Self::HeaderBytes => "header_bytes",
            Self::BodyBytes => "body_bytes",
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Http2Resets => "http2_resets",
            Self::Malformed => "malformed",
            Self::RefusedTimeout => "refused_timeout",
            Self::ProxyProtocol => "proxy_protocol",
            Self::Accept => "accept",
            Self::Unrecorded => "unrecorded",
        }
    }
}

impl Counters {
    /// By the domain's name.
    pub fn totals(&self) -> BTreeMap<String, Totals> {
        let mut totals: BTreeMap<String, Totals> = BTreeMap::new();
        for runtime in self.lock().iter() {
            for (domain, counts) in &runtime.domains {
                counts.add_to(totals.entry(domain.clone()).or_default());
            }
        }
        totals
    }

    /// Of all domains together.
    pub fn sum(&self) -> Totals {
        let mut sum = Totals::default();
        for (_, counts) in self.lock().iter().flat_map(|runtime| &runtime.domains) {
            counts.add_to(&mut sum);
        }
        sum
    }

    /// How often each bound closed or refused something.
    pub fn bounds(&self) -> Vec<(Bound, u64)> {
        let runtimes = self.lock();
        let total = |bound| runtimes.iter().map(|runtime| runtime.bounds.total(bound)).sum();
        Bound::ALL.into_iter().map(|bound| (bound, total(bound))).collect()
    }

    /// By the backend's scheme, host and port; beyond a number of them, all others together under `other`.
    pub fn upstreams(&self) -> BTreeMap<String, UpstreamTotals> {
        let mut totals: BTreeMap<String, UpstreamTotals> = BTreeMap::new();
        for (upstream, counts) in self.lock().iter().flat_map(|runtime| &runtime.upstreams) {
            counts.add_to(totals.entry(upstream.clone()).or_default());
        }
        totals
    }

    /// New ones of a domain on one runtime, or those of all that are not counted apart.
    fn counts(&self, number: usize, domain: &str) -> Arc<Counts> {
        let mut runtimes = self.lock();
        let known = |name: &str| runtimes.iter().any(|runtime| runtime.domains.iter().any(|(known, _)| known == name));
        // Each runtime has all that it has seen, and none has more than a few others: the longest is nearly all.
        let is_full = runtimes.iter().map(|runtime| runtime.domains.len()).max().unwrap_or(0) >= DOMAINS;
        let name = if is_full && !known(domain) { OTHER } else { domain };
        let Some(mine) = runtimes.get_mut(number) else { return Arc::default() };
        if let Some((_, counts)) = mine.domains.iter().find(|(known, _)| known == name) {
            return counts.clone();
        }
        let counts = Arc::<Counts>::default();
        mine.domains.push((name.to_owned(), counts.clone()));
        counts
    }

    fn lock(&self) -> MutexGuard<'_, Vec<OfRuntime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One runtime's part.
#[derive(Debug)]
pub(crate) struct RuntimeCounters {
    all: Counters,
    /// Its place among all.
    number: usize,
    bounds: Arc<Bounds>,
    domains: RefCell<HashMap<String, Arc<Counts>>>,
}

/// How often each bound was met on one runtime.
#[derive(Debug, Default)]
struct Bounds([AtomicU64; Bound::ALL.len()]);

/// Of one domain on one runtime: nobody else writes here, so that counting is never contended.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    requests: AtomicU64,
    refusals: [AtomicU64; Code::ALL.len()],
    denials: Denials,
    shadow_would_refuse: AtomicU64,
    shadow_would_accept: AtomicU64,
    beyond_rate: AtomicU64,
    beyond_concurrency: AtomicU64,
    policy_errors: AtomicU64,
    full_handshakes: AtomicU64,
    resumed_handshakes: AtomicU64,
}

/// How often a request was denied, by [`Denial::place`].
#[derive(Debug)]
struct Denials([AtomicU64; Denial::ALL.len()]);

impl Default for Denials {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::default()))
    }
}

/// Domains that are counted apart; all others are counted together, as [`OTHER`].
const DOMAINS: usize = 1_000;
/// What is not counted apart.
const OTHER: &str = "other";

impl RuntimeCounters {
    pub(crate) fn new(all: Counters) -> Self {
        let bounds = Arc::new(Bounds::default());
        let mut runtimes = all.lock();
        let number = runtimes.len();
        runtimes.push(OfRuntime { bounds: bounds.clone(), ..OfRuntime::default() });
        drop(runtimes);
        Self { all, number, bounds, domains: RefCell::default() }
    }

    /// Those of backends.
    pub(crate) fn upstreams(&self) -> UpstreamCounters {
        UpstreamCounters { all: self.all.clone(), number: self.number }
    }

    /// Something was closed or refused by `bound`.
    pub(crate) fn met(&self, bound: Bound) {
        // Its place is its number: the array has as many.
        self.bounds.0[bound as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Those of a domain, for a connection to keep.
    pub(crate) fn of(&self, domain: &str) -> Arc<Counts> {
        let mut domains = self.domains.borrow_mut();
        if let Some(counts) = domains.get(domain) {
            return counts.clone();
        }
        let counts = self.all.counts(self.number, domain);
        domains.insert(domain.to_owned(), counts.clone());
        counts
    }
}

/// Backends that are counted apart.
const UPSTREAMS: usize = 200;

/// One runtime's part of what is counted of backends.
#[derive(Debug)]
pub(crate) struct UpstreamCounters {
    all: Counters,
    number: usize,
}

/// Of one backend on one runtime.
#[derive(Debug, Default)]
pub(crate) struct UpstreamCounts {
    connections: AtomicU64,
    failures: AtomicU64,
    ejections: AtomicU64,
}

impl UpstreamCounters {
    /// Those of a backend, for its connections to keep.
    pub(crate) fn of(&self, upstream: &Upstream) -> Arc<UpstreamCounts> {
        let Upstream { tls, host, port, .. } = upstream;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let name = format!("{}://{host}:{port}", if *tls { "https" } else { "http" });
        let mut runtimes = self.all.lock();
        let Some(mine) = runtimes.get_mut(self.number) else { return Arc::default() };
        let is_known = mine.upstreams.iter().any(|(known, _)| *known == name);
        let name = if is_known || mine.upstreams.len() < UPSTREAMS { name } else { "other".to_owned() };
        if let Some((_, counts)) = mine.upstreams.iter().find(|(known, _)| *known == name) {
            return counts.clone();
        }
        let counts = Arc::<UpstreamCounts>::default();
        mine.upstreams.push((name, counts.clone()));
        counts
    }
}

impl UpstreamCounts {
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, is_ejected: bool) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        if is_ejected {
            self.ejections.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn add_to(&self, totals: &mut UpstreamTotals) {
        totals.connections += self.connections.load(Ordering::Relaxed);
        totals.failures += self.failures.load(Ordering::Relaxed);
        totals.ejections += self.ejections.load(Ordering::Relaxed);
    }
}

impl Bounds {
    fn total(&self, bound: Bound) -> u64 {
        self.0[bound as usize].load(Ordering::Relaxed)
    }
}

impl Counts {
    /// Counts what became of a client: why it was refused, if it was, whether the shadow truststore differs, and what became of
    /// its request.
    pub(crate) fn count(&self, refusal: Option<Code>, shadow_differs: bool, stopped: Option<Stopped>) {
        let (total, shadow) = match refusal {
            None => (Some(&self.requests), &self.shadow_would_refuse),
            Some(code) => (self.refusals.get(place(code)), &self.shadow_would_accept),
        };
        if let Some(total) = total {
            total.fetch_add(1, Ordering::Relaxed);
        }
        if shadow_differs {
            shadow.fetch_add(1, Ordering::Relaxed);
        }
        let stopped = match stopped {
            Some(Stopped::Denied(denial)) => self.denials.0.get(denial.place()),
            Some(Stopped::Beyond(Limit::Rate)) => Some(&self.beyond_rate),
            Some(Stopped::Beyond(Limit::Concurrency)) => Some(&self.beyond_concurrency),
            None => None,
        };
        if let Some(stopped) = stopped {
            stopped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A handshake came to its end.
    pub(crate) fn count_handshake(&self, is_resumed: bool) {
        let total = if is_resumed { &self.resumed_handshakes } else { &self.full_handshakes };
        total.fetch_add(1, Ordering::Relaxed);
    }

    /// So many policies could not be evaluated.
    pub(crate) fn count_policy_errors(&self, count: usize) {
        self.policy_errors.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn add_to(&self, totals: &mut Totals) {
        totals.requests += self.requests.load(Ordering::Relaxed);
        for (code, count) in Code::ALL.iter().zip(&self.refusals) {
            match count.load(Ordering::Relaxed) {
                0 => {}
                count => *totals.refusals.entry(*code).or_default() += count,
            }
        }
        for (denial, count) in Denial::ALL.iter().zip(&self.denials.0) {
            match count.load(Ordering::Relaxed) {
                0 => {}
                count => *totals.denials.entry(denial.as_str()).or_default() += count,
            }
        }
        totals.shadow_would_refuse += self.shadow_would_refuse.load(Ordering::Relaxed);
        totals.shadow_would_accept += self.shadow_would_accept.load(Ordering::Relaxed);
        totals.beyond_rate += self.beyond_rate.load(Ordering::Relaxed);
        totals.beyond_concurrency += self.beyond_concurrency.load(Ordering::Relaxed);
        totals.policy_errors += self.policy_errors.load(Ordering::Relaxed);
        totals.full_handshakes += self.full_handshakes.load(Ordering::Relaxed);
        totals.resumed_handshakes += self.resumed_handshakes.load(Ordering::Relaxed);
    }
}

/// Of a reason among all.
fn place(code: Code) -> usize {
    Code::ALL.iter().position(|known| *known == code).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_beyond_a_number_are_counted_together() {
        let all = Counters::default();
        let runtimes = [RuntimeCounters::new(all.clone()), RuntimeCounters::new(all.clone())];
        for number in 0..DOMAINS + 7 {
            runtimes[0].of(&number.to_string()).count_handshake(number % 2 == 0);
        }
        runtimes[1].of("0").count_handshake(false);
        runtimes[1].of("1000").count_handshake(false);
        let totals = all.totals();
        assert_eq!(totals.len(), DOMAINS + 1);
        let handshakes = |name: &str| (totals[name].full_handshakes, totals[name].resumed_handshakes);
        assert_eq!((handshakes("0"), handshakes("1"), handshakes(OTHER)), ((1, 1), (1, 0), (4, 4)));
    }

    #[test]
    fn what_runtimes_count_is_added_up() {
        let all = Counters::default();
        let runtimes = [RuntimeCounters::new(all.clone()), RuntimeCounters::new(all.clone())];
        for runtime in &runtimes {
            let a = runtime.of("a");
            a.count(None, false, Some(Stopped::Beyond(Limit::Rate)));
            a.count(None, true, Some(Stopped::Beyond(Limit::Concurrency)));
            a.count(None, false, Some(Stopped::Denied(Denial::TokenExpired)));
            a.count_policy_errors(2);
            runtime.of("a").count(Some(Code::ClientCertExpired), true, None);
            runtime.of("b").count(Some(Code::ClientCertMissing), false, None);
            runtime.met(Bound::IdleTimeout);
            runtime.met(Bound::Accept);
        }
        let totals = all.totals();
        assert_eq!((all.sum().requests, all.sum().refusals[&Code::ClientCertMissing]), (6, 2));
        let a = Totals {
            requests: 6,
            refusals: [(Code::ClientCertExpired, 2)].into(),
            denials: [("TokenExpired", 2)].into(),
            shadow_would_refuse: 2,
            shadow_would_accept: 2,
            beyond_rate: 2,
            beyond_concurrency: 2,
            policy_errors: 4,
            ..Totals::default()
        };
        assert_eq!(totals["a"], a);
        assert_eq!(totals["b"].refusals, [(Code::ClientCertMissing, 2)].into());
        for (bound, total) in all.bounds() {
            assert_eq!(total, if matches!(bound, Bound::IdleTimeout | Bound::Accept) { 2 } else { 0 }, "{bound:?}");
        }
        assert!(Bound::ALL.iter().enumerate().all(|(place, bound)| *bound as usize == place));
        assert!(Code::ALL.iter().all(|code| place(*code) < Code::ALL.len()));
    }
}
