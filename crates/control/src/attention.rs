//! What somebody should look at: domains with warnings or faults, certificates that end soon.
//!
//! Found out for a domain when it is another than at the last look, and again about once a minute, since time alone makes warnings;
//! whoever asks in between gets what was found.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use journal::ledger::Entry;
use model::resource::Domain;
use model::snapshot::Domain as CompiledDomain;
use model::{State, UnixMillis};
use serde::Serialize;
use trust::{Certificate, UnixSeconds};

use crate::Control;
use crate::apigatewayv2::{Draft, Enforced, warnings_of};

/// Remembers what was found.
#[derive(Default)]
pub(crate) struct Attention(Mutex<Found>);

#[derive(Default)]
struct Found {
    by_domain: HashMap<String, Known>,
    looked: Option<(UnixMillis, Arc<ByRegion>)>,
}

/// What there is in each region.
pub(crate) type ByRegion = BTreeMap<String, Summary>;

struct Known {
    domain: Arc<Domain>,
    compiled: Option<Arc<CompiledDomain>>,
    at: UnixMillis,
    concerns: Vec<Concern>,
    ends: Vec<Ending>,
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// Domains of the region.
    pub(crate) domains: usize,
    /// Domains that something is to be said of.
    pub(crate) domains_concerned: usize,
    /// The first of that.
    pub(crate) concerns: Vec<Concern>,
    /// Certificates of servers and CAs that end soon, or have ended: the first to end.
    pub(crate) ending: Vec<Ending>,
    /// How many there are.
    pub(crate) ending_count: usize,
    /// Domains whose truststore has a newer version than the enforced one.
    pub(crate) drifting: usize,
    /// Clients whose certificates end soon and who have shown no later one: the first to end.
    pub(crate) ending_clients: Vec<EndingClient>,
    /// How many there are, of those that were looked at.
    pub(crate) ending_client_count: usize,
    /// There may be more clients than were looked at.
    pub(crate) more_clients: bool,
    /// Why the ledger cannot be read.
    pub(crate) ledger_error: Option<String>,
}

/// A client whose certificate ends soon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EndingClient {
    pub(crate) id: String,
    pub(crate) domain: String,
    pub(crate) subject: String,
    /// Seconds since 1970.
    pub(crate) not_after: UnixSeconds,
}

/// Something about a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Concern {
    pub(crate) domain: String,
    /// `fault`: it is not served as it is set; `warning`.
    pub(crate) severity: &'static str,
    /// In a sentence.
    pub(crate) what: String,
}

/// A certificate that ends soon, or has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ending {
    /// `server`: what the domain shows; `ca`: whom it trusts.
    pub(crate) kind: &'static str,
    pub(crate) domain: String,
    pub(crate) subject: String,
    /// Seconds since 1970.
    pub(crate) not_after: UnixSeconds,
}

/// Milliseconds for which what was found holds, whatever has changed meanwhile.
const HOLDS: UnixMillis = 2_000;
/// Milliseconds after which a domain is looked at again though it is the same.
const LOOK_AGAIN: UnixMillis = 55_000;
/// "Soon" is within this.
const SOON: UnixSeconds = 30 * 24 * 60 * 60;
/// Concerns, and ending certificates, that are named.
const NAMED: usize = 50;
/// Clients whose certificates end soon that are looked at.
const CLIENTS: usize = 10_000;

impl Control {
    /// What somebody should look at. Blocks: the first look takes microseconds for each domain.
    pub(crate) fn attention(&self) -> Arc<ByRegion> {
        let now = self.now();
        // Nothing panics under the lock but what would panic again.
        let mut found = self.shared.attention.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, looked)) = found.looked.as_ref().filter(|(at, _)| (0..HOLDS).contains(&(now - at))) {
            return Arc::clone(looked);
        }
        let (state, enforced) = (self.settings().state(), self.enforced());
        found.by_domain.retain(|name, _| state.domains.contains_key(name));
        let faults: HashMap<&str, &str> =
            enforced.snapshot.faults.iter().map(|fault| (fault.name.as_str(), fault.what.as_str())).collect();
        let mut regions = ByRegion::new();
        let draft = Draft::new(&state, self.config(), "", now);
        for domain in state.domains.values() {
            let compiled = enforced.snapshot.domain(&domain.name).filter(|compiled| compiled.name == domain.name);
            let is_same = |known: &&Known| {
                Arc::ptr_eq(&known.domain, domain)
                    && known.compiled.as_ref().map(Arc::as_ptr) == compiled.map(Arc::as_ptr)
                    && (0..LOOK_AGAIN).contains(&(now - known.at))
            };
            if found.by_domain.get(&domain.name).filter(is_same).is_none() {
                let known = Known::of(&draft, &state, domain, compiled, &enforced, now);
                found.by_domain.insert(domain.name.clone(), known);
            }
            let Some(known) = found.by_domain.get(&domain.name) else { continue };
            let fault = faults.get(domain.name.as_str()).copied();
            regions.entry(domain.region.clone()).or_default().add(known, fault);
        }
        for summary in regions.values_mut() {
            summary.ending.sort_by(|a, b| (a.not_after, &a.domain).cmp(&(b.not_after, &b.domain)));
            summary.ending_count = summary.ending.len();
            summary.ending.truncate(NAMED);
        }
        ending_clients(self, &state, &mut regions);
        let regions = Arc::new(regions);
        found.looked = Some((now, Arc::clone(&regions)));
        regions
    }
}

/// Adds the clients whose certificates end soon.
fn ending_clients(control: &Control, state: &State, regions: &mut ByRegion) {
    let now = control.now().div_euclid(1000);
    let mut looked_at = 0;
    let read = control.ledger().each_ending(now, now + SOON, |client: Entry| {
        looked_at += 1;
        let region = state.domains.get(&client.domain).and_then(|domain| regions.get_mut(&domain.region));
        let certificate = client.certificate.as_ref().filter(|_| client.renewed_by.is_none());
        // Who gets a new one each day needs no reminder.
        let certificate = certificate.filter(|one| one.not_after.saturating_sub(one.not_before) > SOON);
        if let Some((certificate, summary)) = certificate.zip(region) {
            summary.ending_client_count += 1;
            if summary.ending_clients.len() < NAMED {
                summary.ending_clients.push(EndingClient {
                    id: client.id.to_string(),
                    domain: client.domain.clone(),
                    subject: certificate.subject.clone(),
                    not_after: certificate.not_after,
                });
            }
        }
        if looked_at == CLIENTS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    for summary in regions.values_mut() {
        summary.more_clients = looked_at == CLIENTS;
        summary.ledger_error = read.as_ref().err().map(ToString::to_string);
    }
}

impl Known {
    fn of(
        draft: &Draft<'_>,
        state: &State,
        domain: &Arc<Domain>,
        compiled: Option<&Arc<CompiledDomain>>,
        enforced: &Enforced,
        at: UnixMillis,
    ) -> Self {
        let concern = |what| Concern { domain: domain.name.clone(), severity: "warning", what };
        let until = at.div_euclid(1000) + SOON;
        let ending = |kind, subject: &str, not_after| Ending {
            kind,
            domain: domain.name.clone(),
            subject: subject.to_owned(),
            not_after,
        };
        let mut ends = Vec::new();
        if let Some(certificate) = state.certificates.get(&domain.certificate_arn)
            && let Some(leaf) = Certificate::first_of_pem(&certificate.certificate)
            && leaf.not_after() <= until
        {
            ends.push(ending("server", leaf.subject(), leaf.not_after()));
        }
        let trust = compiled.and_then(|compiled| compiled.trust.as_ref());
        let cas = trust.into_iter().flat_map(|trust| trust.truststore.certificates());
        ends.extend(
            cas.filter(|ca| ca.not_after() <= until).map(|ca| ending("ca", ca.subject(), ca.not_after())).take(NAMED),
        );
        Self {
            domain: Arc::clone(domain),
            compiled: compiled.cloned(),
            at,
            concerns: warnings_of(draft, domain, enforced).into_iter().map(concern).collect(),
            ends,
        }
    }
}

impl Summary {
    fn add(&mut self, known: &Known, fault: Option<&str>) {
        self.domains += 1;
        let fault =
            fault.map(|what| Concern { domain: known.domain.name.clone(), severity: "fault", what: what.to_owned() });
        self.domains_concerned += usize::from(fault.is_some() || !known.concerns.is_empty());
        self.drifting += usize::from(known.domain.mutual_tls.as_ref().is_some_and(|object| object.newest.is_some()));
        let room = NAMED.saturating_sub(self.concerns.len());
        self.concerns.extend(fault.into_iter().chain(known.concerns.iter().cloned()).take(room));
        self.ending.extend(known.ends.iter().cloned());
    }
}
