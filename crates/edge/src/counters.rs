//! How often what happened, by domain. Each runtime counts for itself; whoever reads adds up.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use trust::Code;

use crate::authorize::Denial;

/// What all runtimes have counted since they started. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Mutex<Vec<OfRuntime>>>);

/// A domain, and what one runtime counts of it.
type OfRuntime = (String, Arc<Counts>);

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

impl Counters {
    /// By the domain's name.
    pub fn totals(&self) -> BTreeMap<String, Totals> {
        let mut totals: BTreeMap<String, Totals> = BTreeMap::new();
        for (domain, counts) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            counts.add_to(totals.entry(domain.clone()).or_default());
        }
        totals
    }
}

/// One runtime's part.
#[derive(Debug)]
pub(crate) struct RuntimeCounters {
    all: Counters,
    mine: RefCell<HashMap<String, Arc<Counts>>>,
}

/// Of one domain on one runtime: nobody else writes here, so that counting is never contended.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    requests: AtomicU64,
    refusals: [AtomicU64; Code::ALL.len()],
    denials: [AtomicU64; Denial::ALL.len()],
    shadow_would_refuse: AtomicU64,
    shadow_would_accept: AtomicU64,
    beyond_rate: AtomicU64,
    beyond_concurrency: AtomicU64,
}

impl RuntimeCounters {
    pub(crate) fn new(all: Counters) -> Self {
        Self { all, mine: RefCell::default() }
    }

    /// Counts what became of a client: why it was refused, if it was, whether the shadow truststore differs, and what became of
    /// its request.
    pub(crate) fn count(&self, domain: &str, refusal: Option<Code>, shadow_differs: bool, stopped: Option<Stopped>) {
        let mut mine = self.mine.borrow_mut();
        match mine.get(domain) {
            Some(counts) => counts.count(refusal, shadow_differs, stopped),
            None => {
                let counts = Arc::new(Counts::default());
                counts.count(refusal, shadow_differs, stopped);
                let place = (domain.to_owned(), counts.clone());
                self.all.0.lock().unwrap_or_else(PoisonError::into_inner).push(place);
                mine.insert(domain.to_owned(), counts);
            }
        }
    }
}

impl Counts {
    fn count(&self, refusal: Option<Code>, shadow_differs: bool, stopped: Option<Stopped>) {
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
            Some(Stopped::Denied(denial)) => self.denials.get(denial.place()),
            Some(Stopped::Beyond(Limit::Rate)) => Some(&self.beyond_rate),
            Some(Stopped::Beyond(Limit::Concurrency)) => Some(&self.beyond_concurrency),
            None => None,
        };
        if let Some(stopped) = stopped {
            stopped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn add_to(&self, totals: &mut Totals) {
        totals.requests += self.requests.load(Ordering::Relaxed);
        for (code, count) in Code::ALL.iter().zip(&self.refusals) {
            match count.load(Ordering::Relaxed) {
                0 => {}
                count => *totals.refusals.entry(*code).or_default() += count,
            }
        }
        for (denial, count) in Denial::ALL.iter().zip(&self.denials) {
            match count.load(Ordering::Relaxed) {
                0 => {}
                count => *totals.denials.entry(denial.as_str()).or_default() += count,
            }
        }
        totals.shadow_would_refuse += self.shadow_would_refuse.load(Ordering::Relaxed);
        totals.shadow_would_accept += self.shadow_would_accept.load(Ordering::Relaxed);
        totals.beyond_rate += self.beyond_rate.load(Ordering::Relaxed);
        totals.beyond_concurrency += self.beyond_concurrency.load(Ordering::Relaxed);
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
    fn what_runtimes_count_is_added_up() {
        let all = Counters::default();
        let runtimes = [RuntimeCounters::new(all.clone()), RuntimeCounters::new(all.clone())];
        for runtime in &runtimes {
            runtime.count("a", None, false, Some(Stopped::Beyond(Limit::Rate)));
            runtime.count("a", None, true, Some(Stopped::Beyond(Limit::Concurrency)));
            runtime.count("a", None, false, Some(Stopped::Denied(Denial::TokenExpired)));
            runtime.count("a", Some(Code::ClientCertExpired), true, None);
            runtime.count("b", Some(Code::ClientCertMissing), false, None);
        }
        let totals = all.totals();
        let a = Totals {
            requests: 6,
            refusals: [(Code::ClientCertExpired, 2)].into(),
            denials: [("TokenExpired", 2)].into(),
            shadow_would_refuse: 2,
            shadow_would_accept: 2,
            beyond_rate: 2,
            beyond_concurrency: 2,
        };
        assert_eq!(totals["a"], a);
        assert_eq!(totals["b"].refusals, [(Code::ClientCertMissing, 2)].into());
        assert!(Code::ALL.iter().all(|code| place(*code) < Code::ALL.len()));
    }
}
