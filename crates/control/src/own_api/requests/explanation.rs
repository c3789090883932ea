//! A refusal explained again, when somebody asks: with the domain's earlier truststores, those of other domains, and the clients
//! that were seen since. The edge, which explained it first, looks at the newer version only.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use data_encoding::HEXLOWER;
use journal::ledger::{ClientChain, Entry, Id, Ledger};
use journal::{AccessRecord, Journal, Query, SETTINGS_GROUP, SettingsRecord};
use model::resource::{Domain, Tags};
use model::{Blob, DomainTags, State, UnixMillis};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::{
    Certificate, ClientsSeen, Code, Explanation, Fetch, Judgment, Neighbour, NeighbourKind, Policy, Refusal, Seen,
    Step, Surroundings, Truststore, UnixSeconds, Unrevoked, Verdict,
};

use crate::Control;
use crate::control::blocking;

/// Other truststores that are compiled and judged for one explanation.
const MAX_NEIGHBOURS: usize = 64;
/// Other truststores that are searched for a name of the chain.
const MAX_SEARCHED: usize = 1_000;
/// Clients of the same name that are looked at.
const MAX_NAMESAKES: usize = 64;
/// Milliseconds by which clocks of one machine's parts may differ.
const CLOCKS: UnixMillis = 60_000;
/// Clients that are looked at to find out about the clock.
const MAX_EARLY: usize = 1_000;

/// What is known now of why a request was refused.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Again {
    #[serde(flatten)]
    explanation: Explanation,
    /// Where the issuer, or the certificate itself, was found.
    pub(super) found_in: Option<Place>,
    /// What the client would meet now: `accepted` or a code; none where that depends on revocations.
    now: Option<String>,
    /// Of the client, in the ledger.
    client_id: String,
    /// Each step of the judgement, in order; none where it cannot be given again.
    steps: Vec<Step>,
    /// The `countersign:` tags under which it was judged.
    rules: Tags,
    /// Whether they are others now.
    rules_changed: bool,
}

/// A truststore that is not the one that refused.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Place {
    /// `enforced-now`, `newer-version`, `older-version` or `other-domain`.
    pub(super) kind: &'static str,
    /// Domain whose truststore it is or was.
    pub(super) domain: String,
    pub(super) uri: String,
    pub(super) version: String,
    #[serde(skip)]
    digest: String,
    #[serde(skip)]
    of: NeighbourKind,
    #[serde(skip)]
    name: String,
}

/// Explains `record` again; `None` where it tells of no refusal, or what it was judged by is gone.
pub(super) async fn again(
    control: &Control,
    state: &State,
    domain: &Domain,
    record: &AccessRecord<'static>,
) -> Option<Again> {
    let refusal = record.refusal.as_ref()?;
    let digest = HEXLOWER.decode(refusal.chain_sha256.as_ref()?.as_bytes()).ok()?.try_into().ok()?;
    let ledger = control.ledger().clone();
    let chain = blocking(move || Ok(ledger.chain(&digest).ok().flatten())).await.ok()??;
    let enforced = record.truststore.as_ref()?.digest.to_string();
    let tags = DomainTags::parse(&domain.tags).ok()?;
    let (rules, rules_changed) = rules_of(control, domain, record).await;
    // A tag of then that is none any more: what is set now is as near as it gets.
    let then = DomainTags::parse(&rules).map_or_else(|_| tags.policy(), |tags| tags.policy());
    let compiled = compile(control.settings().blob(&enforced).await.ok()??).await?;
    let neighbours = neighbours(control, state, domain, &enforced, &chain).await;
    let case = Case {
        record: record.clone(),
        refusal: recorded(record)?,
        chain,
        enforced: compiled,
        policy: then,
        policy_now: tags.policy(),
        rules,
        rules_changed,
        checks_revocation: !tags.crls.is_empty() || tags.revocation.fetch != Fetch::None,
        neighbours,
        seen: SeenBy { ledger: control.ledger().clone(), domain: domain.name.clone() },
        enforced_now: domain.mutual_tls.as_ref().map(|object| object.digest.clone()),
        now: control.now().div_euclid(1000),
        client_id: Id::of(&domain.name, &digest).to_string(),
    };
    blocking(move || Ok(case.explain())).await.ok()?
}

/// Everything that the explanation takes, away from the settings.
struct Case {
    record: AccessRecord<'static>,
    refusal: Refusal,
    chain: ClientChain,
    enforced: Truststore,
    policy: Policy,
    policy_now: Policy,
    rules: Tags,
    rules_changed: bool,
    neighbours: Vec<(Place, Truststore)>,
    seen: SeenBy,
    checks_revocation: bool,
    enforced_now: Option<String>,
    now: UnixSeconds,
    client_id: String,
}

impl Case {
    fn explain(self) -> Option<Again> {
        let chain: Vec<&[u8]> = self.chain.certificates().collect();
        let at = self.record.time_ms.div_euclid(1000);
        let judged = self.enforced.judge(&chain, &self.policy, &Unrevoked, at);
        // Revocations are not looked up again: then the record counts.
        let is_same = judged.refusal().is_some_and(|refusal| refusal.code == self.refusal.code);
        let judgment = match is_same {
            true => judged,
            false => Judgment {
                verdict: Verdict::Refused(self.refusal.clone()),
                trail: Vec::new(),
                cost: trust::Cost::default(),
                holds_until: at,
            },
        };
        let neighbours: Vec<Neighbour<'_>> = self
            .neighbours
            .iter()
            .map(|(place, truststore)| Neighbour { name: &place.name, kind: place.of, truststore })
            .collect();
        let around = Surroundings { neighbours: &neighbours, seen: Some(&self.seen) };
        let explanation = trust::explain(&judgment, &chain, &self.enforced, &around, &self.policy, at)?;
        let found = explanation.evidence.iter().find(|(name, _)| name == "found_in").map(|(_, value)| value);
        let found_in = found.and_then(|found| self.neighbours.iter().find(|(place, _)| place.name == *found));
        Some(Again {
            found_in: found_in.map(|(place, _)| place.clone()),
            now: self.verdict_now(&chain),
            steps: judgment.trail,
            client_id: self.client_id,
            rules: self.rules,
            rules_changed: self.rules_changed,
            explanation,
        })
    }

    fn verdict_now(&self, chain: &[&[u8]]) -> Option<String> {
        let digest = self.enforced_now.as_ref()?;
        let truststore = match self.enforced.digest().to_string() == *digest {
            true => &self.enforced,
            false => &self.neighbours.iter().find(|(place, _)| place.digest == *digest)?.1,
        };
        match truststore.judge(chain, &self.policy_now, &Unrevoked, self.now).refusal() {
            Some(refusal) => Some(refusal.code.to_string()),
            None => (!self.checks_revocation).then(|| "accepted".to_owned()),
        }
    }
}

/// The `countersign:` tags that a domain had when a request was judged, and whether they are others now. The first change after the
/// request's revision says what they were before.
async fn rules_of(control: &Control, domain: &Domain, record: &AccessRecord<'static>) -> (Tags, bool) {
    let now: Tags = domain.tags.iter().filter(|(name, _)| name.starts_with("countersign:")).map(owned).collect();
    let (journal, name) = (control.journal().clone(), domain.name.clone());
    let (since, revision) = (record.began_ms().saturating_sub(CLOCKS), record.revision);
    let then = blocking(move || Ok(rules_before(&journal, &name, since, revision))).await.ok().flatten();
    let then: Tags = then.map_or_else(|| now.clone(), |then| then.into_iter().collect());
    let changed = then != now;
    (then, changed)
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// What the first change behind `revision` says of a domain's rules before it. Blocks.
fn rules_before(journal: &Journal, domain: &str, since: UnixMillis, revision: u64) -> Option<BTreeMap<String, String>> {
    let mut query = Query { start_ms: since, ..Query::new("", SETTINGS_GROUP) };
    loop {
        let page = journal.read(&query).ok()?;
        for event in page.events.iter().filter(|event| event.message.contains(domain)) {
            let Ok(record) = serde_json::from_str::<SettingsRecord<'_>>(&event.message) else { continue };
            let is_later = record.revision_after.is_some_and(|after| after > revision);
            if let Some(change) = record.rules.into_iter().find(|change| is_later && change.domain == domain) {
                return Some(change.before);
            }
        }
        query.after = Some(page.next?);
    }
}

/// The truststores that may help: those of the domain before and after, and those of other domains, if a name of the chain is in
/// them.
async fn neighbours(
    control: &Control,
    state: &State,
    domain: &Domain,
    enforced: &str,
    chain: &ClientChain,
) -> Vec<(Place, Truststore)> {
    let subjects = subjects(chain);
    let mut searched = BTreeSet::from([enforced.to_owned()]);
    let mut found = Vec::new();
    for place in places(state, domain) {
        if found.len() == MAX_NEIGHBOURS || searched.len() > MAX_SEARCHED {
            break;
        }
        if !searched.insert(place.digest.clone()) {
            continue;
        }
        let Ok(Some(blob)) = control.settings().blob(&place.digest).await else { continue };
        // What is enforced now is judged in any case.
        let subjects = if place.of == NeighbourKind::EnforcedNow { Vec::new() } else { subjects.clone() };
        let is_needed = move |blob: &Blob| {
            let wanted: Vec<&[u8]> = subjects.iter().map(Vec::as_slice).collect();
            wanted.is_empty() || Truststore::names_any(blob.bytes(), &wanted)
        };
        let blob = blocking(move || Ok(Some(blob).filter(is_needed))).await;
        if let Ok(Some(blob)) = blob
            && let Some(truststore) = compile(blob).await
        {
            found.push((place, truststore));
        }
    }
    found
}

async fn compile(blob: Blob) -> Option<Truststore> {
    // The time is for findings only.
    blocking(move || Ok(Truststore::compile(blob.bytes(), 0).ok())).await.ok()?.map(|(truststore, _)| truststore)
}

/// Names that a truststore has to have to be of use: an issuer in the chain, or the leaf's own.
fn subjects(chain: &ClientChain) -> Vec<Vec<u8>> {
    let certificates: Vec<Certificate> =
        chain.certificates().filter_map(|der| Certificate::from_der(der).ok()).collect();
    let issuers = certificates.iter().map(|certificate| certificate.issuer_der().to_vec());
    issuers.chain(certificates.first().map(|leaf| leaf.subject_der().to_vec())).collect()
}

/// In the order in which they are looked at.
fn places(state: &State, domain: &Domain) -> Vec<Place> {
    let mut places = Vec::new();
    if let Some(object) = &domain.mutual_tls {
        let (uri, version) = (&object.uri, &object.read_version);
        let name = format!("version {version} of {uri}");
        places.push(Place::new(NeighbourKind::EnforcedNow, domain, uri, version, &object.digest, name));
        if let Some((newest, digest)) =
            object.newest.as_ref().and_then(|newest| Some((newest, newest.digest.as_ref()?)))
        {
            let name = format!("version {} of {uri}", newest.version);
            places.push(Place::new(NeighbourKind::NewerVersion, domain, uri, &newest.version, digest, name));
        }
    }
    for earlier in &domain.history {
        let (uri, version) = (&earlier.uri, &earlier.version);
        let (from, until) = (shown(earlier.from), shown(earlier.until));
        let name = format!("version {version} of {uri}, enforced from {from} until {until}");
        places.push(Place::new(NeighbourKind::OlderVersion, domain, uri, version, &earlier.digest, name));
    }
    let others = state.domains.values().filter(|other| other.name != domain.name && other.region == domain.region);
    for other in others {
        let Some(object) = &other.mutual_tls else { continue };
        let (uri, version) = (&object.uri, &object.read_version);
        let name = format!("the truststore of {} (version {version} of {uri})", other.name);
        places.push(Place::new(NeighbourKind::OtherDomain, other, uri, version, &object.digest, name));
    }
    places
}

impl Place {
    fn new(of: NeighbourKind, domain: &Domain, uri: &str, version: &str, digest: &str, name: String) -> Self {
        let kind = match of {
            NeighbourKind::EnforcedNow => "enforced-now",
            NeighbourKind::NewerVersion => "newer-version",
            NeighbourKind::OlderVersion => "older-version",
            NeighbourKind::OtherDomain => "other-domain",
        };
        let (domain, uri, version) = (domain.name.clone(), uri.to_owned(), version.to_owned());
        Self { kind, domain, uri, version, digest: digest.to_owned(), of, name }
    }

    #[cfg(test)]
    pub(super) fn somewhere(kind: &'static str, domain: &str, uri: &str, version: &str) -> Self {
        let (domain, uri, version) = (domain.to_owned(), uri.to_owned(), version.to_owned());
        Self { kind, domain, uri, version, digest: String::new(), of: NeighbourKind::OlderVersion, name: String::new() }
    }
}

fn shown(at: UnixMillis) -> String {
    let time = OffsetDateTime::from_unix_timestamp(at.div_euclid(1000)).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// The judge's refusal, as far as it was recorded.
fn recorded(record: &AccessRecord<'_>) -> Option<Refusal> {
    let recorded = record.refusal.as_ref()?;
    let mut refusal = Refusal::new(recorded.code, recorded.detail.clone().into_owned());
    for (name, value) in &recorded.evidence {
        if let Some(name) = JUDGES_FACTS.iter().find(|known| *known == name) {
            refusal = refusal.with(name, value.clone().into_owned());
        }
    }
    if recorded.code == Code::ClientCertCrlProcessingError {
        refusal.fix = Some(recorded.fix.clone().into_owned());
    }
    Some(refusal)
}

/// Names of the facts in the judge's evidence; the others were added by the explainer, which adds them again.
const JUDGES_FACTS: [&str; 12] = [
    "certificate",
    "crl",
    "crl_issuer_wanted",
    "depth",
    "issuer_wanted",
    "ocsp",
    "passed_over",
    "reason",
    "revoked_at",
    "serial",
    "sha256",
    "stale_since",
];

/// The clients of a domain, as the ledger has them. Where it cannot be read, nobody was seen.
struct SeenBy {
    ledger: Ledger,
    domain: String,
}

impl ClientsSeen for SeenBy {
    fn namesakes(&self, leaf: &Certificate) -> Vec<Seen> {
        let Some(identity) = ClientChain::new([leaf.der()]).identity() else { return Vec::new() };
        let found = self.ledger.find_by_subject(&self.domain, &identity.subject, MAX_NAMESAKES).unwrap_or_default();
        // Where the subject is empty, the alternative names are the client's name.
        let names = identity.alternative_names;
        let is_namesake = |other: &journal::ledger::Identity| {
            !identity.subject.is_empty() || other.alternative_names.iter().any(|name| names.contains(name))
        };
        found
            .into_iter()
            .filter_map(|Entry { certificate, last_seen, .. }| {
                let other = certificate.filter(is_namesake)?;
                Some(Seen {
                    fingerprint: other.fingerprint,
                    not_before: other.not_before,
                    not_after: other.not_after,
                    last_seen: last_seen.div_euclid(1000),
                })
            })
            .collect()
    }

    fn not_yet_valid(&self, at: UnixSeconds) -> usize {
        let since = at.saturating_sub(3_600).saturating_mul(1000);
        let (mut looked_at, mut early) = (0, 0);
        let each = |entry: Entry, _| {
            let certificate = entry.certificate.as_ref();
            early += usize::from(certificate.is_some_and(|own| own.not_before > entry.last_seen.div_euclid(1000)));
            looked_at += 1;
            if looked_at == MAX_EARLY { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match self.ledger.each_seen_since(&self.domain, since, each) {
            Ok(()) => early,
            Err(_) => 0,
        }
    }
}
