//! The addresses of one backend: where they come from, and how they have been doing.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// For how long addresses are taken as they were found. Older ones are still used while they are looked for again.
const FRESH: Duration = Duration::from_secs(10);
/// How long looking for them may take.
const RESOLVE_TIME: Duration = Duration::from_secs(10);
/// Addresses of one name; a name with more is taken for one with so many.
const ADDRESSES: usize = 64;
/// Failures without a success between them that make an address be passed over.
const FAILURES: u32 = 5;
/// For how long, the first time; each time that it fails again without a success it is that much longer.
const EJECTED: Duration = Duration::from_secs(10);
/// At most.
const LONGEST_EJECTED: Duration = Duration::from_secs(300);

/// Finds the addresses of a name.
pub(super) trait Resolve {
    fn resolve(&self, host: &str, port: u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>>;
}

/// Asks the system, as everything else on the machine does.
pub(super) struct SystemResolver;

/// Takes turns among the addresses of a backend, and passes over those that fail.
#[derive(Default)]
pub(super) struct Addresses {
    known: RefCell<Vec<Address>>,
    found: Cell<Option<Instant>>,
    is_being_asked: Cell<bool>,
    turn: Cell<usize>,
}

struct Address {
    at: SocketAddr,
    /// Without a success between them.
    failures: u32,
    /// Without a success between them.
    ejections: u32,
    ejected_until: Option<Instant>,
}

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

impl Addresses {
    /// In the order in which they are to be tried: each connection begins with another one, and the ejected come last. They are
    /// looked for where none are known; where they are known, but not fresh, in the background.
    pub(super) async fn in_turn(
        self: &Rc<Self>,
        resolver: &Rc<dyn Resolve>,
        host: &str,
        port: u16,
    ) -> io::Result<Vec<SocketAddr>> {
        if self.known.borrow().is_empty() {
            self.find(&**resolver, host, port).await?;
        } else {
            self.refresh(resolver, host, port);
        }
        Ok(self.order(Instant::now()))
    }

    /// Looks for them again in the background, if it is time.
    pub(super) fn refresh(self: &Rc<Self>, resolver: &Rc<dyn Resolve>, host: &str, port: u16) {
        let is_due = self.found.get().is_some_and(|found| found.elapsed() >= FRESH);
        if !is_due || host.parse::<IpAddr>().is_ok() || self.is_being_asked.replace(true) {
            return;
        }
        let (addresses, resolver, host) = (self.clone(), resolver.clone(), host.to_owned());
        tokio::task::spawn_local(async move {
            if addresses.find(&*resolver, &host, port).await.is_err() {
                // What was known is used until there is something better.
                addresses.found.set(Some(Instant::now()));
            }
            addresses.is_being_asked.set(false);
        });
    }

    async fn find(&self, resolver: &dyn Resolve, host: &str, port: u16) -> io::Result<()> {
        let found = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => {
                timeout(RESOLVE_TIME, resolver.resolve(host, port)).await.map_err(|_| io::ErrorKind::TimedOut)??
            }
        };
        if found.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.replace(found, Instant::now());
        Ok(())
    }

    /// These are the addresses now; what is known of those that stay is kept.
    fn replace(&self, mut found: Vec<SocketAddr>, now: Instant) {
        found.sort_unstable();
        found.dedup();
        found.truncate(ADDRESSES);
        let mut known = self.known.borrow_mut();
        known.retain(|address| found.contains(&address.at));
        found.retain(|at| known.iter().all(|address| address.at != *at));
        known.extend(found.into_iter().map(Address::new));
        self.found.set(Some(now));
    }

    fn order(&self, now: Instant) -> Vec<SocketAddr> {
        let known = self.known.borrow();
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        let rotated = || known.iter().cycle().skip(turn % known.len().max(1)).take(known.len());
        let healthy = rotated().filter(|address| !address.is_ejected(now));
        let ejected = rotated().filter(|address| address.is_ejected(now));
        healthy.chain(ejected).map(|address| address.at).collect()
    }

    /// A connection to the address came about and was of use.
    pub(super) fn succeeded(&self, at: SocketAddr) {
        if let Some(address) = self.known.borrow_mut().iter_mut().find(|address| address.at == at) {
            (address.failures, address.ejections, address.ejected_until) = (0, 0, None);
        }
    }

    /// The address did not do what it is there for. `true`: it is passed over from now on.
    pub(super) fn failed(&self, at: SocketAddr) -> bool {
        self.failed_at(at, Instant::now())
    }

    fn failed_at(&self, at: SocketAddr, now: Instant) -> bool {
        let mut known = self.known.borrow_mut();
        // Somebody has to answer: the last one stays, however it does.
        let others = known.iter().any(|address| address.at != at && !address.is_ejected(now));
        let Some(address) = known.iter_mut().find(|address| address.at == at) else { return false };
        address.failures = address.failures.saturating_add(1);
        // Who comes back is on probation.
        let is_enough = address.failures >= FAILURES || address.ejections > 0;
        if !is_enough || !others || address.is_ejected(now) {
            return false;
        }
        address.ejections = address.ejections.saturating_add(1);
        address.failures = 0;
        address.ejected_until = Some(now + (EJECTED * address.ejections).min(LONGEST_EJECTED));
        true
    }

    /// Whether connections to the address may be used: it is one of the backend's, and not ejected.
    pub(super) fn is_good(&self, at: SocketAddr) -> bool {
        let now = Instant::now();
        self.known.borrow().iter().any(|address| address.at == at && !address.is_ejected(now))
    }
}

impl Address {
    fn new(at: SocketAddr) -> Self {
        Self { at, failures: 0, ejections: 0, ejected_until: None }
    }

    fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 80))
    }

    fn addresses(count: u8) -> (Addresses, Instant) {
        let (addresses, now) = (Addresses::default(), Instant::now());
        addresses.replace((1..=count).map(at).collect(), now);
        (addresses, now)
    }

    fn fail(addresses: &Addresses, last: u8, times: u32, now: Instant) -> bool {
        (0..times).fold(false, |_, _| addresses.failed_at(at(last), now))
    }

    #[test]
    fn addresses_take_turns() {
        let (addresses, now) = addresses(3);
        let first: Vec<SocketAddr> = (0..4).map(|_| addresses.order(now)[0]).collect();
        assert_eq!(first, [at(1), at(2), at(3), at(1)]);
    }

    #[test]
    fn who_fails_again_and_again_is_passed_over_for_longer_and_longer() {
        let (addresses, now) = addresses(2);
        assert!(!fail(&addresses, 1, FAILURES - 1, now));
        addresses.succeeded(at(1));
        assert!(!fail(&addresses, 1, FAILURES - 1, now), "a success between them");
        assert!(fail(&addresses, 1, 1, now));
        for _ in 0..4 {
            assert_eq!(addresses.order(now), [at(2), at(1)], "it comes last, but it comes");
        }
        let mut now = now;
        for ejections in 2..100 {
            let length = (EJECTED * (ejections - 1)).min(LONGEST_EJECTED);
            assert!(addresses.known.borrow()[0].is_ejected(now + length - Duration::from_millis(1)));
            now += length;
            assert!(!addresses.known.borrow()[0].is_ejected(now));
            assert!(fail(&addresses, 1, 1, now), "on probation");
        }
        addresses.succeeded(at(1));
        assert!(!addresses.known.borrow()[0].is_ejected(now));
        assert!(!fail(&addresses, 1, 1, now));
    }

    #[test]
    fn the_last_one_stays() {
        let (addresses, now) = addresses(3);
        assert!(fail(&addresses, 1, FAILURES, now) && fail(&addresses, 2, FAILURES, now));
        assert!(!fail(&addresses, 3, 10 * FAILURES, now));
        assert_eq!(addresses.order(now)[0], at(3));
        let (single, now) = self::addresses(1);
        assert!(!fail(&single, 1, 10 * FAILURES, now));
    }

    #[test]
    fn what_is_known_of_an_address_outlives_a_change_of_the_others() {
        let (addresses, now) = addresses(2);
        fail(&addresses, 1, FAILURES, now);
        addresses.replace(vec![at(1), at(3), at(3)], now);
        assert_eq!(addresses.order(now), [at(3), at(1)]);
        assert!(!addresses.is_good(at(2)) && !addresses.is_good(at(1)) && addresses.is_good(at(3)));
        addresses.replace((0..=255).map(at).collect(), now);
        assert_eq!(addresses.known.borrow().len(), ADDRESSES);
    }

    /// Gives the answers in turn, the last one for ever.
    struct Script(RefCell<Vec<io::Result<Vec<SocketAddr>>>>, Cell<usize>);

    impl Resolve for Script {
        fn resolve(&self, _: &str, _: u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>> {
            self.1.set(self.1.get() + 1);
            let next = self.0.borrow_mut().remove(0);
            Box::pin(async move { next })
        }
    }

    #[tokio::test]
    async fn names_are_resolved_again_in_the_background() {
        let answers = vec![
            Err(io::ErrorKind::NotFound.into()),
            Ok(vec![at(1)]),
            Err(io::ErrorKind::TimedOut.into()),
            Ok(vec![at(2)]),
        ];
        let script = Rc::new(Script(RefCell::new(answers), Cell::new(0)));
        let resolver: Rc<dyn Resolve> = script.clone();
        let addresses = Rc::new(Addresses::default());
        let test = async {
            let ask = || addresses.in_turn(&resolver, "b.test", 80);
            assert!(ask().await.is_err(), "a failure is not remembered");
            assert_eq!(ask().await.unwrap(), [at(1)]);
            assert_eq!(ask().await.unwrap(), [at(1)]);
            assert_eq!(script.1.get(), 2, "fresh ones are not looked for");
            for asked in [3, 4] {
                addresses.found.set(Some(Instant::now() - FRESH));
                assert_eq!(ask().await.unwrap(), [at(1)], "stale ones are used meanwhile, and if there are no others");
                while addresses.is_being_asked.get() {
                    tokio::task::yield_now().await;
                }
                assert_eq!(script.1.get(), asked);
            }
            assert_eq!(ask().await.unwrap(), [at(2)]);
        };
        tokio::task::LocalSet::new().run_until(test).await;
    }
}
