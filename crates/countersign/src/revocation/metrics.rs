//! What `/_countersign/metrics` tells of revocation lists, given and fetched.

use std::fmt;
use std::sync::Arc;

use control::metrics::{Collector, DescriptorEncoder, MAX_SERIES, counter, gauge};
use model::Snapshot;
use tokio::sync::watch;
use trust::{Crl, UnixSeconds};

use super::Fetcher;

/// The lists that are in force, and what the fetcher has.
#[derive(Debug)]
pub(crate) struct OfRevocations {
    pub(crate) fetcher: Fetcher,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) clock: fn() -> UnixSeconds,
}

/// A list, by whom or what it is told apart from others.
struct Told {
    name: (String, String),
    age: f64,
    next_update: Option<f64>,
}

impl Told {
    fn new(name: (String, String), list: &Crl, at: UnixSeconds) -> Self {
        let age = at.saturating_sub(list.this_update()) as f64;
        Self { name, age, next_update: list.next_update().map(|until| until.saturating_sub(at) as f64) }
    }
}

impl Collector for OfRevocations {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let at = (self.clock)();
        self.given(&mut encoder, at)?;
        self.fetched(&mut encoder, at)?;
        let counts = self.fetcher.counts();
        let help = "Fetches of revocation lists and OCSP responses.";
        counter(&mut encoder, "revocation_fetches", help, [([], counts.fetches)])?;
        let help = "Those that brought nothing that could be used.";
        counter(&mut encoder, "revocation_fetch_failures", help, [([], counts.failures)])
    }
}

impl OfRevocations {
    fn given(&self, encoder: &mut DescriptorEncoder<'_>, at: UnixSeconds) -> fmt::Result {
        let snapshot = self.snapshots.borrow().clone();
        let mut lists = Vec::new();
        for domain in snapshot.domains() {
            let revocations = domain.trust.as_ref().and_then(|trust| trust.revocations.as_ref());
            for list in revocations.iter().flat_map(|revocations| &revocations.crls) {
                lists.push(Told::new((domain.name.clone(), list.issuer().to_owned()), list, at));
            }
        }
        lists.sort_by(|a, b| a.name.cmp(&b.name));
        // Two of one issuer would be one metric twice.
        lists.dedup_by(|a, b| a.name == b.name);
        // Those that are out of date first.
        lists.sort_by(|a, b| a.next_update.unwrap_or(f64::INFINITY).total_cmp(&b.next_update.unwrap_or(f64::INFINITY)));
        lists.truncate(MAX_SERIES);
        let labelled =
            || lists.iter().map(|list| ([("domain", list.name.0.as_str()), ("issuer", list.name.1.as_str())], list));
        let help = "Seconds since a domain's revocation list was made.";
        gauge(encoder, "crl_age_seconds", help, labelled().map(|(labels, list)| (labels, list.age)))?;
        let help = "Seconds until a domain's revocation list is out of date; negative when it is.";
        let ends = labelled().filter_map(|(labels, list)| Some((labels, list.next_update?)));
        gauge(encoder, "crl_next_update_seconds", help, ends)
    }

    fn fetched(&self, encoder: &mut DescriptorEncoder<'_>, at: UnixSeconds) -> fmt::Result {
        let mut lists = Vec::new();
        self.fetcher.lists(|url, list| lists.push(Told::new((url.to_owned(), String::new()), list, at)));
        lists.sort_by(|a, b| a.name.cmp(&b.name));
        // Two issuers' at one URL would be one metric twice.
        lists.dedup_by(|a, b| a.name == b.name);
        let ages = lists.iter().map(|list| ([("url", list.name.0.as_str())], list.age));
        gauge(encoder, "fetched_crl_age_seconds", "Seconds since a fetched revocation list was made.", ages)?;
        let ends = lists.iter().filter_map(|list| Some(([("url", list.name.0.as_str())], list.next_update?)));
        let help = "Seconds until a fetched revocation list is out of date; negative when it is.";
        gauge(encoder, "fetched_crl_next_update_seconds", help, ends)
    }
}
