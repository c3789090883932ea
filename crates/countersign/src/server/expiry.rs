//! Certificates that end soon: those of clients that were seen, and of the CAs that domains trust. Told as metrics, and once a day
//! in a line for a person.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::metrics::{Collector, DescriptorEncoder, MAX_SERIES, counter, gauge};
use journal::ledger::{Entry, Ledger};
use model::Snapshot;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use trust::UnixSeconds;

use crate::answer::{printable, warn};

/// Between two looks at the ledger, for the metrics.
const REFRESH: Duration = Duration::from_secs(600);
/// Looks between two lines: a day.
const LOOKS_A_DAY: u32 = 144;
/// Days of the metric, as its label has them.
const WITHIN: [(&str, i64); 2] = [("7d", 7), ("30d", 30)];
/// Names in one line.
const NAMED: usize = 3;
/// CAs of one domain that the metric tells: those that end first.
const CAS_OF_DOMAIN: usize = 10;
/// CAs of all domains that the metric tells.
const CAS: usize = 1_000;
/// How long a CA that has ended is still told: an alert on it is not to end with it.
const ENDED: i64 = 30 * DAY;
const DAY: i64 = 86_400;

/// Looks for what ends soon. Cheap to clone.
#[derive(Clone)]
pub(super) struct Expiry {
    pub(super) ledger: Ledger,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// How many days before its end a certificate is told in a line; 0: never.
    pub(super) days: u32,
    pub(super) clock: fn() -> UnixSeconds,
    /// What the ledger said last.
    pub(super) counted: Arc<Mutex<Counted>>,
}

/// Clients' certificates that end within each of [`WITHIN`], by domain.
pub(super) type Counted = BTreeMap<String, [u64; WITHIN.len()]>;

/// Certificates that end soon, and the first of them for a person to read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ending {
    count: usize,
    first: Vec<String>,
}

/// A CA that a domain trusts.
struct Ca {
    domain: String,
    subject: String,
    not_after: UnixSeconds,
}

impl Expiry {
    /// Keeps the metrics fresh and prints a line a day, beginning now.
    pub(super) async fn tell(self) {
        let mut looks = tokio::time::interval(REFRESH);
        for look in 0_u32.. {
            looks.tick().await;
            let expiry = self.clone();
            let told = spawn_blocking(move || {
                expiry.count();
                if look.is_multiple_of(LOOKS_A_DAY) {
                    expiry.lines().iter().for_each(|line| warn(line));
                }
            });
            // Where it panics, there is nothing to tell this time.
            let _ = told.await;
        }
    }

    fn count(&self) {
        let now = (self.clock)();
        let mut counted = Counted::new();
        let longest = WITHIN.iter().map(|(_, days)| days * DAY).max().unwrap_or_default();
        let each = |client: Entry| {
            let of_domain = counted.entry(client.domain.clone()).or_default();
            for (count, (_, days)) in of_domain.iter_mut().zip(WITHIN) {
                *count += u64::from(concerns(&client, now, days * DAY));
            }
            ControlFlow::Continue(())
        };
        // Without a ledger the counts stay what they were; why there is none is told elsewhere.
        if self.ledger.each_ending(now, now + longest, each).is_ok() {
            *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = counted;
        }
    }

    /// What a person should know today.
    fn lines(&self) -> Vec<String> {
        let (now, days) = ((self.clock)(), i64::from(self.days));
        let mut clients = Ending::default();
        let each = |client: Entry| {
            if concerns(&client, now, days * DAY) {
                clients.add(|| {
                    let certificate = client.certificate.as_ref()?;
                    Some(format!("{} of {} on {}", certificate.subject, client.domain, date(certificate.not_after)))
                });
            }
            ControlFlow::Continue(())
        };
        let mut cas = Ending::default();
        if days > 0 {
            // As in `count`.
            let _ = self.ledger.each_ending(now, now + days * DAY, each);
            for ca in self.cas(usize::MAX, now).iter().filter(|ca| (now..=now + days * DAY).contains(&ca.not_after)) {
                cas.add(|| Some(format!("{} of {} on {}", ca.subject, ca.domain, date(ca.not_after))));
            }
        }
        let line = |ending: &Ending, what: &str, advice: &str| {
            (ending.count > 0).then(|| format!("{}; {advice}", ending.text(what, days)))
        };
        let clients =
            line(&clients, "client certificates", &format!("countersign clients --expiring {days}d lists them"));
        let cas = line(&cas, "CA certificates of truststores", "put their successors into the truststores before");
        clients.into_iter().chain(cas).collect()
    }

    /// CAs of the truststores in force, the soonest first, so many of each domain.
    /// The certificates that domains show, the first to end first; [`MAX_SERIES`] at most.
    fn servers(&self) -> Vec<(String, UnixSeconds)> {
        let snapshot = self.snapshots.borrow().clone();
        let ends = snapshot.domains().filter_map(|domain| {
            let leaf = trust::Certificate::first_of_pem(&domain.certificate.chain)?;
            Some((domain.name.clone(), leaf.not_after()))
        });
        let mut ends: Vec<_> = ends.collect();
        ends.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        ends.truncate(MAX_SERIES);
        ends
    }

    fn cas(&self, of_domain: usize, now: UnixSeconds) -> Vec<Ca> {
        let snapshot = self.snapshots.borrow().clone();
        let mut all = Vec::new();
        for domain in snapshot.domains() {
            let Some(trust) = &domain.trust else { continue };
            let certificates = trust.truststore.certificates().filter(|ca| ca.not_after() >= now - ENDED);
            let mut cas: Vec<_> = certificates.collect();
            cas.sort_by_key(|ca| ca.not_after());
            all.extend(cas.iter().take(of_domain).map(|ca| Ca {
                domain: domain.name.clone(),
                subject: ca.subject().to_owned(),
                not_after: ca.not_after(),
            }));
        }
        all.sort_by(|a, b| (a.not_after, &a.domain).cmp(&(b.not_after, &b.domain)));
        all
    }
}

/// Whether somebody has to see to it: it ends within so many seconds, nobody uses a later one in its stead, and it was not made
/// for so short a time anyway.
fn concerns(client: &Entry, now: UnixSeconds, within: i64) -> bool {
    client.renewed_by.is_none()
        && client.certificate.as_ref().is_some_and(|certificate| {
            (now..=now.saturating_add(within)).contains(&certificate.not_after)
                && certificate.not_after.saturating_sub(certificate.not_before) > within
        })
}

impl Ending {
    fn add(&mut self, name: impl FnOnce() -> Option<String>) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.extend(name().map(|name| printable(&name).into_owned()));
        }
    }

    fn text(&self, what: &str, days: i64) -> String {
        let more = if self.count > self.first.len() { " …" } else { "" };
        format!("{} {what} end within {days} days: {}{more}", self.count, self.first.join(", "))
    }
}

impl Collector for Expiry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.snapshots.borrow().clone();
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let trusting = snapshot.domains().filter(|domain| domain.trust.is_some());
        let expiring = trusting.flat_map(|domain| {
            let counts = counted.get(&domain.name).copied().unwrap_or_default();
            let each = WITHIN.into_iter().zip(counts);
            each.map(|((within, _), count)| ([("domain", domain.name.as_str()), ("within", within)], count as f64))
        });
        let help = "Certificates of accepted clients that end so soon and were not renewed.";
        gauge(&mut encoder, "client_certificates_expiring", help, expiring.take(MAX_SERIES))?;
        let servers = self.servers();
        let ends = servers.iter().map(|(domain, not_after)| ([("domain", domain.as_str())], *not_after as f64));
        let help = "When the certificate that a domain shows ends: those that end first.";
        gauge(&mut encoder, "server_certificate_not_after_seconds", help, ends)?;
        let cas = self.cas(CAS_OF_DOMAIN, (self.clock)());
        let ends = distinct(&cas)
            .take(CAS)
            .map(|ca| ([("domain", ca.domain.as_str()), ("subject", ca.subject.as_str())], ca.not_after as f64));
        let help = "When a CA of a truststore in force ends: those of each domain that end first.";
        gauge(&mut encoder, "ca_certificate_not_after_seconds", help, ends)?;
        let stats = self.ledger.stats();
        let kept =
            [([("kind", "accepted")], stats.accepted as f64), ([("kind", "never_accepted")], stats.strangers as f64)];
        gauge(&mut encoder, "ledger_clients", "Clients in the ledger.", kept)?;
        let help = "Sightings of clients that were lost because the disk did not keep up or failed.";
        counter(&mut encoder, "ledger_dropped", help, [([], stats.dropped)])
    }
}

/// Of several of one name in one domain only the first: a series must not be told twice.
fn distinct(cas: &[Ca]) -> impl Iterator<Item = &Ca> {
    let mut told = std::collections::HashSet::new();
    cas.iter().filter(move |ca| told.insert((&ca.domain, &ca.subject)))
}

fn date(at: UnixSeconds) -> String {
    OffsetDateTime::from_unix_timestamp(at).map(|at| at.date().to_string()).unwrap_or_default()
}

impl fmt::Debug for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expiry")
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use journal::ledger::{Id, Identity, State};

    use super::*;

    fn client(not_before: i64, not_after: i64, renewed_by: Option<Id>) -> Entry {
        let certificate = Identity {
            subject: "CN=a".to_owned(),
            issuer: "CN=b".to_owned(),
            serial_number: "1".to_owned(),
            fingerprint: String::new(),
            alternative_names: Vec::new(),
            not_before,
            not_after,
        };
        Entry {
            id: Id::of("a", &[0; 32]),
            domain: "a".to_owned(),
            chain: String::new(),
            certificate: Some(certificate),
            state: State::Accepted,
            refusal: None,
            ever_accepted: true,
            first_seen: 0,
            last_seen: 0,
            last_accepted: None,
            accepted: 1,
            refused: 0,
            source: IpAddr::from([192, 0, 2, 1]),
            shadow: None,
            renewed_by,
        }
    }

    #[test]
    fn only_what_somebody_has_to_see_to() {
        let week = 7 * DAY;
        for (not_before, not_after, concern) in [
            (-365 * DAY, 3 * DAY, true),
            (-365 * DAY, week, true),
            (-365 * DAY, week + 1, false),
            (-365 * DAY, -1, false),
            (-DAY, DAY, false),
            (i64::MIN, 1, true),
        ] {
            assert_eq!(concerns(&client(not_before, not_after, None), 0, week), concern, "{not_before} {not_after}");
            assert!(!concerns(&client(not_before, not_after, Some(Id::of("b", &[0; 32]))), 0, week));
        }
    }

    #[test]
    fn a_line_names_how_many_and_the_first() {
        let mut ending = Ending::default();
        for n in 0..5 {
            ending.add(|| Some(format!("CN={n}\n")));
        }
        assert_eq!(ending.text("certificates", 30), r"5 certificates end within 30 days: CN=0\n, CN=1\n, CN=2\n …");
    }
}
