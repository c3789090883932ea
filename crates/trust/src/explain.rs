//! What was nearly right about a refused chain. Never changes a verdict.

use std::cell::Cell;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::{Certificate, Code, Judgment, Policy, Refusal, Step, Truststore, UnixSeconds, key};

mod issuers;
mod neighbours;
mod rules;
mod validity;

/// What the explainer may look at besides what was judged. Nothing of it can change a verdict.
#[derive(Clone, Copy, Default)]
pub struct Surroundings<'a> {
    /// Other truststores; each costs a judgement, so the caller bounds their number.
    pub neighbours: &'a [Neighbour<'a>],
    /// Who presented themselves to the same domain, where that is known.
    pub seen: Option<&'a dyn ClientsSeen>,
}

/// Another truststore in which the issuer may be found.
#[derive(Clone, Debug)]
pub struct Neighbour<'a> {
    /// For people, e.g. `version 3kL4… of s3://bucket/ca.pem`, `the truststore of api.example.com`.
    pub name: &'a str,
    /// What it is to the enforced one.
    pub kind: NeighbourKind,
    /// The truststore.
    pub truststore: &'a Truststore,
}

/// What another truststore is to the enforced one, the likeliest to be meant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NeighbourKind {
    /// What the domain enforces by now, if that is another one than refused.
    EnforcedNow,
    /// A version of the same object that is newer.
    NewerVersion,
    /// What the domain enforced before.
    OlderVersion,
    /// What another domain enforces.
    OtherDomain,
}

/// The clients that a domain has seen. Asked only while explaining.
pub trait ClientsSeen {
    /// Clients whose certificate has the subject of `leaf`, or shares a subject alternative name with it; `leaf` itself
    /// may be among them.
    fn namesakes(&self, leaf: &Certificate) -> Vec<Seen>;
    /// How many clients came within the hour before `at` with a certificate that was not valid yet.
    fn not_yet_valid(&self, at: UnixSeconds) -> usize;
}

/// A client that presented itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// SHA-256 of its certificate, lowercase hexadecimal.
    pub fingerprint: String,
    /// First second of its certificate's validity.
    pub not_before: UnixSeconds,
    /// Last second of its certificate's validity.
    pub not_after: UnixSeconds,
    /// When it presented itself last.
    pub last_seen: UnixSeconds,
}

/// The answer to "why not, and what now?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// One or two plain sentences that name the cause.
    pub explanation: String,
    /// What to do.
    pub fix: String,
    /// Facts by name.
    pub evidence: Vec<(String, String)>,
}

/// Explains a refusal by its nearest miss; `None` when the judgement does not refuse.
///
/// `chain` is what was judged, `at` when. The first neighbour that would accept is named, in the order of
/// [`NeighbourKind`]; if there is none, the first that has the issuer at all.
pub fn explain(
    judgment: &Judgment,
    chain: &[&[u8]],
    truststore: &Truststore,
    around: &Surroundings<'_>,
    policy: &Policy,
    at: UnixSeconds,
) -> Option<Explanation> {
    let refusal = judgment.refusal()?;
    let checks = MAX_CHECKS + MAX_NEIGHBOUR_CHECKS * u32::try_from(around.neighbours.len()).unwrap_or(0);
    let checks_left = Cell::new(checks);
    let case = Case { refusal, trail: &judgment.trail, chain, truststore, around, policy, at, checks_left };
    let leaf = chain.first().and_then(|der| Certificate::from_der(der).ok());
    let mut explanation = leaf.as_ref().and_then(|leaf| case.nearest_miss(leaf)).unwrap_or_else(|| case.plain());
    for (name, value) in &refusal.evidence {
        if explanation.evidence.iter().all(|(known, _)| known != name) {
            explanation.evidence.push(((*name).to_owned(), value.clone()));
        }
    }
    Some(explanation.bounded())
}

/// What is to be explained.
struct Case<'a> {
    refusal: &'a Refusal,
    trail: &'a [Step],
    chain: &'a [&'a [u8]],
    truststore: &'a Truststore,
    around: &'a Surroundings<'a>,
    policy: &'a Policy,
    at: UnixSeconds,
    /// Signature checks that may still be spent, counted in checks with P-256.
    checks_left: Cell<u32>,
}

impl Case<'_> {
    fn nearest_miss(&self, leaf: &Certificate) -> Option<Explanation> {
        if let Some(found) = self.in_neighbour(leaf) {
            return Some(found);
        }
        match self.refusal.code {
            Code::ClientCertUntrusted => Some(self.unknown_issuer(leaf)),
            Code::ClientCertSignatureInvalid => self.other_key(leaf),
            Code::ClientCertSelfSigned => Some(self.self_signed(leaf)),
            Code::ClientCertChainIncomplete => self.incomplete(leaf),
            Code::ClientCertPathTooComplex => Some(self.too_complex(leaf)),
            Code::ClientCertExpired => Some(self.expired(leaf)),
            Code::ClientCertNotYetValid => Some(self.not_yet_valid(leaf)),
            Code::ClientCertIssuerExpired => self.issuer_expired(),
            Code::ClientCertPurposeInvalid => Some(self.purpose(leaf)),
            Code::ClientCertMaxChainDepthExceeded => Some(self.too_deep(leaf)),
            Code::ClientCertWeakKey | Code::ClientCertWeakSignature => Some(self.weak(leaf)),
            Code::ClientCertPathInvalid | Code::ClientCertInvalid => self.broken_rule(),
            Code::ClientCertCrlHit => Some(self.revoked(leaf)),
            // The refusal says it all.
            Code::ClientCertMissing
            | Code::ClientCertMaxSizeExceeded
            | Code::ClientCertTypeUnsupported
            | Code::ClientCertCrlProcessingError => None,
        }
    }

    /// The refusal's own sentence.
    fn plain(&self) -> Explanation {
        let fix = self.refusal.fix.as_deref().unwrap_or_else(|| self.refusal.code.fix());
        Explanation::new(sentence(&self.refusal.detail), fix)
    }

    fn evidence(&self, name: &str) -> Option<&str> {
        self.refusal.evidence.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether the key of `issuer` signed `child`; false, too, when enough was spent on finding out.
    fn is_signed_by(&self, child: &Certificate, issuer: &Certificate) -> bool {
        let octets = u32::try_from(child.der().len() / OCTETS_PER_CHECK).unwrap_or(u32::MAX);
        let cost = issuer.key().verification_cost().saturating_add(octets);
        let Some(left) = self.checks_left.get().checked_sub(cost) else { return false };
        self.checks_left.set(left);
        key::signed_by(child, issuer)
    }

    /// The CA that the refusal is about; `None` if that is the leaf.
    fn blamed_authority(&self) -> Option<Arc<Certificate>> {
        let subject = self.evidence("certificate")?;
        self.authorities().find(|ca| ca.subject() == subject && self.chain.first().is_none_or(|leaf| ca.der() != *leaf))
    }

    /// Those of the truststore, then those that the client sent.
    fn authorities(&self) -> impl Iterator<Item = Arc<Certificate>> {
        self.truststore.certificates().cloned().chain(self.sent().map(Arc::new))
    }

    /// What the client sent besides its own certificate.
    fn sent(&self) -> impl Iterator<Item = Certificate> {
        self.chain.iter().skip(1).take(MAX_SENT).filter_map(|der| Certificate::from_der(der).ok())
    }

    /// The certificate among those that the client sent whose key signed `child`.
    fn sent_issuer(&self, child: &Certificate) -> Option<Certificate> {
        self.sent().find(|sent| sent.subject_der() == child.issuer_der() && self.is_signed_by(child, sent))
    }

    /// Whom the client sent above `child`, in order, as far as their signatures lead.
    fn sent_path(&self, child: &Certificate) -> Vec<Certificate> {
        let mut path: Vec<Certificate> = Vec::new();
        while path.len() < MAX_SENT {
            let next = self.sent_issuer(path.last().unwrap_or(child));
            match next.filter(|next| !path.contains(next)) {
                Some(next) => path.push(next),
                None => break,
            }
        }
        path
    }

    fn named(&self, subject: &[u8]) -> impl Iterator<Item = &Arc<Certificate>> {
        let inner = self.truststore.inner();
        inner.named(subject).iter().map(|&place| &inner.entry(place).certificate)
    }

    /// The CA of the truststore whose key signed `child`.
    fn listed_issuer(&self, child: &Certificate) -> Option<&Arc<Certificate>> {
        self.named(child.issuer_der()).take(MAX_SENT).find(|ca| self.is_signed_by(child, ca))
    }
}

/// CAs of one name that are told of.
const MAX_NAMED: usize = 4;
/// Certificates of the client, and CAs of one name, that are looked at.
const MAX_SENT: usize = 16;
/// Signature checks for one explanation: a stranger's is made in the edge, and must not cost more than its judgement.
const MAX_CHECKS: u32 = 24;
/// Signature checks for each neighbour besides.
const MAX_NEIGHBOUR_CHECKS: u32 = 4;
/// As a judgement counts them.
const OCTETS_PER_CHECK: usize = 8 * 1024;
/// Characters of a sentence. Names are strangers' text.
const MAX_SENTENCE: usize = 4_000;
/// Characters of a fact.
const MAX_FACT: usize = 2_000;

impl Explanation {
    fn new(explanation: String, fix: &str) -> Self {
        Self { explanation, fix: fix.to_owned(), evidence: Vec::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.evidence.push((name.to_owned(), value.to_owned()));
        self
    }

    fn with_key_id(self, name: &str, id: Option<&[u8]>) -> Self {
        match id {
            Some(id) => self.with(name, &colons(id)),
            None => self,
        }
    }

    /// Cut to what a person reads.
    fn bounded(mut self) -> Self {
        cut(&mut self.explanation, MAX_SENTENCE);
        cut(&mut self.fix, MAX_SENTENCE);
        self.evidence.iter_mut().for_each(|(_, value)| cut(value, MAX_FACT));
        self
    }

    /// Where the issuer of `child` can be had, if it says so.
    fn with_urls(mut self, child: &Certificate) -> Self {
        if let Some(url) = child.issuer_urls().first() {
            self.evidence.push(("issuer_url".to_owned(), url.clone()));
            self.fix.push_str(&format!(" The certificate names {url} as the place where its issuer can be had."));
        }
        self
    }
}

fn cut(text: &mut String, characters: usize) {
    if let Some((end, _)) = text.char_indices().nth(characters) {
        text.truncate(end);
        text.push('…');
    }
}

/// By its subject, else by its first alternative name.
fn shown(certificate: &Certificate) -> String {
    match (certificate.subject(), certificate.subject_alt_names().first()) {
        ("", Some(name)) => format!("\"{name}\""),
        ("", None) => "without a name".to_owned(),
        (subject, _) => format!("\"{subject}\""),
    }
}

/// `aa:bb:cc`
fn colons(bytes: &[u8]) -> String {
    let hex = HEXLOWER.encode(bytes);
    hex.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair)).collect::<Vec<_>>().join(":")
}

/// A detail as a sentence.
fn sentence(detail: &str) -> String {
    let mut chars = detail.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
