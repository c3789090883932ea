//! Limits keyed by certificate: how many requests a client may make, whatever addresses and connections it comes by.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use trust::Certificate;

use crate::{Throttle, UnixMillis};

/// Clients of a domain that are remembered apart. Those beyond share one [`Allowance`]: whoever holds many certificates cannot
/// fill the memory, nor get out of the limits.
const MAX_CLIENTS: usize = 100_000;
/// Clients from which on it is worth while to look for some that can be forgotten.
const FIRST_SWEEP: usize = 1_024;

/// What the `countersign:client-…` tags of a domain ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClientRule {
    /// `countersign:client-rate`: requests a second; none: as many as come.
    pub rate: Option<f64>,
    /// `countersign:client-burst`: requests at once; none: those of one second, and one at least.
    pub burst: Option<u32>,
    /// `countersign:client-concurrency`: requests under way at a time; none: as many as come.
    pub concurrency: Option<u32>,
    /// `countersign:client-rate-by`
    pub by: ClientKey,
}

/// What makes two certificates the same client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientKey {
    /// SHA-256 of the certificate.
    #[default]
    Fingerprint,
    /// The subject's distinguished name, by whomever it was issued.
    Subject,
    /// The issuer's distinguished name and the serial number.
    IssuerSerial,
    /// The first URI of the subject alternative name, as SPIFFE ids are; the fingerprint where there is none.
    SanUri,
}

/// A domain's limits with what its clients have left of them: shared by all threads, and kept from one snapshot to the next.
#[derive(Debug)]
pub struct ClientLimits {
    rule: ClientRule,
    clients: Mutex<Clients>,
    /// Of those beyond [`MAX_CLIENTS`].
    others: Arc<Allowance>,
}

#[derive(Debug)]
struct Clients {
    known: HashMap<[u8; 32], Arc<Allowance>>,
    /// How many may be known before some are to be forgotten.
    sweep_at: usize,
}

/// What one client has left: looked up once for each connection, and asked without a lock for each request.
#[derive(Debug)]
pub struct Allowance {
    throttle: Option<Throttle>,
    /// Requests at a time.
    concurrency: u32,
    under_way: AtomicU32,
}

/// The right to one request, until it is dropped.
#[derive(Debug)]
pub struct Permit(Option<Arc<Allowance>>);

/// The limit that a request is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// Of requests a second. There is a token again after this time, if nobody else takes it.
    Rate(Duration),
    /// Of requests at a time.
    Concurrency,
}

impl ClientRule {
    /// Whether there is anything to keep to.
    pub fn is_set(&self) -> bool {
        self.rate.is_some() || self.concurrency.is_some()
    }
}

impl ClientKey {
    /// What [`ClientKey::parse`] takes.
    pub const VALUES: &str = "fingerprint, subject, issuer-serial, san-uri";

    /// By its name in tags.
    pub fn parse(value: &str) -> Option<Self> {
        Some(match value {
            "fingerprint" => Self::Fingerprint,
            "subject" => Self::Subject,
            "issuer-serial" => Self::IssuerSerial,
            "san-uri" => Self::SanUri,
            _ => return None,
        })
    }

    /// SHA-256 of what tells this certificate's client from others. Names count as they are encoded.
    fn of(self, certificate: &Certificate) -> [u8; 32] {
        let uri = || {
            certificate.subject_alt_names().iter().find_map(|name| match name {
                trust::SubjectAltName::Uri(uri) => Some(uri.as_bytes()),
                _ => None,
            })
        };
        match self {
            Self::Fingerprint => certificate.fingerprint(),
            Self::Subject => sha256(&[certificate.subject_der()]),
            // The issuer's name is DER: it says itself where it ends.
            Self::IssuerSerial => sha256(&[certificate.issuer_der(), certificate.serial_bytes()]),
            Self::SanUri => uri().map_or_else(|| certificate.fingerprint(), |uri| sha256(&[uri])),
        }
    }
}

impl ClientLimits {
    /// `None` where the rule asks for nothing. `previous` goes on, with what its clients have left, if it is of this rule.
    pub fn of(rule: ClientRule, previous: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        if !rule.is_set() {
            return None;
        }
        let kept = previous.filter(|previous| previous.rule == rule).cloned();
        Some(kept.unwrap_or_else(|| {
            let clients = Mutex::new(Clients { known: HashMap::new(), sweep_at: FIRST_SWEEP });
            Arc::new(Self { rule, clients, others: Arc::new(Allowance::of(&rule)) })
        }))
    }

    /// What the client of this certificate has left; to be asked once for each connection, since it takes a lock.
    pub fn allowance(&self, certificate: &Certificate, at: UnixMillis) -> Arc<Allowance> {
        self.allowance_of(self.rule.by.of(certificate), at, MAX_CLIENTS)
    }

    fn allowance_of(&self, key: [u8; 32], at: UnixMillis, most: usize) -> Arc<Allowance> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = clients.known.get(&key) {
            return known.clone();
        }
        if clients.known.len() >= clients.sweep_at.min(most) {
            clients.known.retain(|_, allowance| Arc::strong_count(allowance) > 1 || !allowance.is_untouched(at));
            // Where most are in use, a sweep comes to little: not the next one at once.
            clients.sweep_at = (clients.known.len() * 2).max(FIRST_SWEEP);
        }
        if clients.known.len() >= most {
            return self.others.clone();
        }
        let new = Arc::new(Allowance::of(&self.rule));
        clients.known.insert(key, new.clone());
        new
    }
}

impl Allowance {
    fn of(rule: &ClientRule) -> Self {
        let throttle = rule.rate.map(|rate| {
            // A float that is too large for an integer becomes the largest.
            let burst = rule.burst.unwrap_or_else(|| (rate.ceil() as u32).max(1));
            Throttle::new(rate, burst)
        });
        Self { throttle, concurrency: rule.concurrency.unwrap_or(u32::MAX), under_way: AtomicU32::new(0) }
    }

    /// Takes a token and a place, or says which of them there is not. One that has no place pays no token.
    pub fn admit(self: &Arc<Self>, at: UnixMillis) -> Result<Permit, Beyond> {
        let permit = self.enter().ok_or(Beyond::Concurrency)?;
        match &self.throttle {
            Some(throttle) if !throttle.admit(at) => Err(Beyond::Rate(throttle.wait(at))),
            _ => Ok(permit),
        }
    }

    fn enter(self: &Arc<Self>) -> Option<Permit> {
        if self.concurrency == u32::MAX {
            return Some(Permit(None));
        }
        let more = |under_way: u32| (under_way < self.concurrency).then_some(under_way + 1);
        self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Permit(Some(self.clone())))
    }

    /// Whether one made anew would be the same.
    fn is_untouched(&self, at: UnixMillis) -> bool {
        self.under_way.load(Ordering::Relaxed) == 0
            && self.throttle.as_ref().is_none_or(|throttle| throttle.is_full(at))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(allowance) = &self.0 {
            allowance.under_way.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, SerialNumber};

    use super::*;

    const NOW: UnixMillis = 1_795_305_600_000;

    fn limits(rate: Option<f64>, burst: Option<u32>, concurrency: Option<u32>) -> Arc<ClientLimits> {
        ClientLimits::of(ClientRule { rate, burst, concurrency, by: ClientKey::Fingerprint }, None).unwrap()
    }

    fn of(limits: &ClientLimits, client: u8) -> Arc<Allowance> {
        limits.allowance_of([client; 32], NOW, MAX_CLIENTS)
    }

    fn certificate(name: &str, serial: u64, uri: Option<&str>) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.subject_alt_names = uri.into_iter().map(|uri| SanType::URI(uri.try_into().unwrap())).collect();
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::from_der(made.der()).unwrap()
    }

    #[test]
    fn each_client_has_its_own_and_all_connections_of_one_share_it() {
        let limits = limits(Some(1.0), Some(2), None);
        let (one, again, other) = (of(&limits, 1), of(&limits, 1), of(&limits, 2));
        assert!(one.admit(NOW).is_ok() && again.admit(NOW).is_ok());
        assert_eq!(one.admit(NOW).unwrap_err(), Beyond::Rate(Duration::from_secs(1)));
        assert_eq!(again.admit(NOW + 400).unwrap_err(), Beyond::Rate(Duration::from_millis(600)));
        assert!(other.admit(NOW).is_ok());
        assert!(one.admit(NOW + 1_000).is_ok());
    }

    #[test]
    fn a_request_has_its_place_until_it_ends_and_one_without_place_pays_nothing() {
        let limits = limits(Some(1.0), Some(2), Some(1));
        let client = of(&limits, 1);
        let permit = client.admit(NOW).unwrap();
        for _ in 0..5 {
            assert_eq!(client.admit(NOW).unwrap_err(), Beyond::Concurrency);
        }
        drop(permit);
        drop(client.admit(NOW).unwrap());
        assert!(matches!(client.admit(NOW), Err(Beyond::Rate(_))), "who is beyond the rate");
        assert!(client.admit(NOW + 2_000).is_ok(), "gave its place back");
    }

    #[test]
    fn a_burst_that_is_not_said_is_that_of_a_second() {
        for (rate, burst) in [(0.25, 1), (1.0, 1), (2.5, 3), (100.0, 100)] {
            let client = of(&limits(Some(rate), None, None), 1);
            assert_eq!((0..200).filter(|_| client.admit(NOW).is_ok()).count(), burst, "{rate}");
        }
    }

    #[test]
    fn goes_on_while_the_rule_is_the_same() {
        let rule = ClientRule { rate: Some(1.0), ..ClientRule::default() };
        let before = ClientLimits::of(rule, None).unwrap();
        assert!(Arc::ptr_eq(&before, &ClientLimits::of(rule, Some(&before)).unwrap()));
        let other = ClientRule { by: ClientKey::Subject, ..rule };
        assert!(!Arc::ptr_eq(&before, &ClientLimits::of(other, Some(&before)).unwrap()));
        assert!(ClientLimits::of(ClientRule { burst: Some(1), ..ClientRule::default() }, Some(&before)).is_none());
    }

    #[test]
    fn clients_are_the_same_by_what_the_rule_says() {
        let (a, b) = (certificate("a", 1, Some("spiffe://x/a")), certificate("a", 2, Some("spiffe://x/a")));
        let (c, d) = (certificate("c", 1, None), certificate("c", 1, None));
        for (by, ab, cd, ac) in [
            (ClientKey::Fingerprint, false, false, false),
            (ClientKey::Subject, true, true, false),
            (ClientKey::IssuerSerial, false, true, false),
            (ClientKey::SanUri, true, false, false),
        ] {
            let same = |left: &Certificate, right: &Certificate| by.of(left) == by.of(right);
            assert_eq!((same(&a, &b), same(&c, &d), same(&a, &c)), (ab, cd, ac), "{by:?}");
        }
    }

    #[test]
    fn who_is_idle_is_forgotten_and_who_comes_when_all_are_busy_shares() {
        let limits = limits(Some(1.0), Some(1), None);
        let (busy, gone) = (limits.allowance_of([1; 32], NOW, 2), limits.allowance_of([2; 32], NOW, 2));
        assert!(gone.admit(NOW).is_ok());
        drop(gone);
        let crowd = [limits.allowance_of([3; 32], NOW, 2), limits.allowance_of([4; 32], NOW, 2)];
        assert!(Arc::ptr_eq(&crowd[0], &crowd[1]), "one has a connection, the other has still to pay");
        let own = limits.allowance_of([3; 32], NOW + 1_000, 2);
        assert!(!Arc::ptr_eq(&own, &crowd[0]) && !Arc::ptr_eq(&own, &busy));
        assert!(Arc::ptr_eq(&busy, &limits.allowance_of([1; 32], NOW, 2)));
    }

    proptest! {
        #[test]
        fn never_more_under_way_than_allowed(most in 1u32..6, steps in prop::collection::vec(any::<bool>(), 1..80)) {
            let client = of(&limits(None, None, Some(most)), 1);
            let mut permits = Vec::new();
            for enters in steps {
                if enters {
                    let room = permits.len() < most as usize;
                    let admitted = client.admit(NOW);
                    prop_assert_eq!(admitted.is_ok(), room);
                    permits.extend(admitted);
                } else {
                    permits.pop();
                }
            }
            drop(permits);
            prop_assert!(client.is_untouched(NOW));
        }

        #[test]
        fn after_the_time_that_was_said_there_is_a_token(
            rate in 0.001f64..5_000.0, burst in 1u32..20, steps in prop::collection::vec(0i64..3_000, 1..60),
        ) {
            let client = of(&limits(Some(rate), Some(burst), None), 1);
            let mut at = NOW;
            for step in steps {
                at += step;
                if let Err(Beyond::Rate(wait)) = client.admit(at) {
                    prop_assert!(wait > Duration::ZERO);
                    at += i64::try_from(wait.as_millis()).unwrap() + 1;
                    prop_assert!(client.admit(at).is_ok());
                }
            }
        }
    }
}
