//! What is known of revocations, and what a domain's rules make of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crl::Unfit;
use crate::ocsp::{CertId, CertStatus, OcspStatus};
use crate::search::quoted;
use crate::{Certificate, Code, Crl, Profile, Reason, Refusal, UnixSeconds, time};

mod warnings;

/// What is known of revocations, in one judgement.
pub trait Revocation {
    /// The status of one certificate of a path that is good otherwise.
    fn status(&self, inquiry: &Inquiry<'_>) -> Status;
}

/// Which certificate's status is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry<'a> {
    /// The certificate.
    pub certificate: &'a Arc<Certificate>,
    /// Whose key signed it.
    pub issuer: &'a Arc<Certificate>,
    /// Where it stands on the path: 0 is the leaf.
    pub depth: usize,
    /// The rules of the judgement.
    pub profile: Profile,
    /// When.
    pub at: UnixSeconds,
}

/// The answer to an [`Inquiry`].
#[derive(Clone, Debug)]
pub enum Status {
    /// It may be used.
    Good {
        /// The last second at which that is sure; `i64::MAX` if it does not depend on time.
        until: UnixSeconds,
    },
    /// It may not: it is revoked, or that is not known and the rules refuse then.
    Refused {
        /// Why.
        refusal: Refusal,
        /// The last second at which that is sure.
        until: UnixSeconds,
    },
    /// Somebody has to fetch it.
    Needed(StatusRequest),
}

/// What to fetch: any of these, as the certificate names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRequest {
    /// Whose status.
    pub certificate: Arc<Certificate>,
    /// Who has to have signed the answer, or vouched for who did.
    pub issuer: Arc<Certificate>,
    /// Lists that nobody asked for yet (http and https).
    pub crl_urls: Vec<String>,
    /// Responders, if nobody asked them yet (http and https). With [`Fetch::OcspThenCrl`] they come alone, and the
    /// lists in a second request if they fail.
    pub ocsp_urls: Vec<String>,
}

/// Nothing is revoked, and nothing is checked.
#[derive(Clone, Copy, Debug)]
pub struct Unrevoked;

/// A domain's rules with the lists that its operator gave. Immutable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    /// What to check, and what to do when it cannot be.
    pub rules: RevocationRules,
    /// In any order, of any issuers.
    pub crls: Vec<Arc<Crl>>,
}

/// What is checked, and what happens when it cannot be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RevocationRules {
    /// Of which certificates.
    pub scope: Scope,
    /// When nothing is known of a certificate.
    pub on_missing: Fallback,
    /// When all that is known of it is out of date.
    pub on_stale: Fallback,
    /// What may be fetched where certificates say.
    pub fetch: Fetch,
}

/// Whose status is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Of every certificate of the path but the anchor.
    #[default]
    Chain,
    /// Of the leaf only.
    Leaf,
}

/// What to do without an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// Refuse.
    #[default]
    Deny,
    /// Go on as if it were good.
    Allow,
}

/// What may be fetched where certificates say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fetch {
    /// Nothing.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Lists, from the distribution points.
    #[serde(rename = "crl")]
    Crl,
    /// The status, from the OCSP responder.
    #[serde(rename = "ocsp")]
    Ocsp,
    /// The status from the responder, and the list where that fails.
    #[serde(rename = "ocsp+crl")]
    OcspThenCrl,
}

/// What a fetcher has found out so far. It is asked while judging, so it must answer at once.
pub trait Fetched {
    /// The list of `issuer` at a URL. One that others made there is no answer, whoever asked for it first.
    fn crl(&self, url: &str, issuer: &Certificate) -> Lookup<Arc<Crl>>;
    /// What its responder says of a certificate.
    fn ocsp(&self, id: &CertId) -> Lookup<Arc<OcspStatus>>;
}

/// What a fetcher knows of one thing.
#[derive(Clone, Debug)]
pub enum Lookup<T> {
    /// Nobody asked for it yet, or it is time to ask again.
    Unasked,
    /// It could not be had.
    Failed {
        /// For people, e.g. `connection refused`.
        why: String,
        /// The last second before it is tried again.
        until: UnixSeconds,
    },
    /// It was fetched. It may be out of date by now, if a newer one could not be had.
    Found(T),
}

/// Where nothing can be fetched.
#[derive(Clone, Copy, Debug)]
pub struct NothingFetched;

/// [`Revocations`] with what was fetched so far.
#[derive(Clone, Copy)]
pub struct View<'a> {
    revocations: &'a Revocations,
    fetched: &'a dyn Fetched,
}

/// Two clocks may differ by this many seconds: a list or answer may be dated so far in the future.
pub(crate) const SKEW: UnixSeconds = 300;

/// How long a certificate is refused, or let pass by a fallback, for what was fetched, before that is looked at again.
const RECHECK: UnixSeconds = 300;

impl Revocations {
    /// For judging. The operator's current list of the issuer decides; else what was fetched, as the rules say; else
    /// the rules' fallbacks.
    pub fn view<'a>(&'a self, fetched: &'a dyn Fetched) -> View<'a> {
        View { revocations: self, fetched }
    }
}

impl Scope {
    /// What [`Scope::parse`] reads.
    pub const VALUES: &str = "chain, leaf";

    /// By its name in tags and options.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "chain" => Some(Self::Chain),
            "leaf" => Some(Self::Leaf),
            _ => None,
        }
    }
}

impl Fallback {
    /// What [`Fallback::parse`] reads.
    pub const VALUES: &str = "deny, allow";

    /// By its name in tags and options.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "deny" => Some(Self::Deny),
            "allow" => Some(Self::Allow),
            _ => None,
        }
    }
}

impl Fetch {
    /// What [`Fetch::parse`] reads.
    pub const VALUES: &str = "none, crl, ocsp, ocsp+crl";

    /// By its name in tags.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "crl" => Some(Self::Crl),
            "ocsp" => Some(Self::Ocsp),
            "ocsp+crl" => Some(Self::OcspThenCrl),
            _ => None,
        }
    }
}

impl Revocation for Unrevoked {
    fn status(&self, _: &Inquiry<'_>) -> Status {
        Status::Good { until: UnixSeconds::MAX }
    }
}

impl Fetched for NothingFetched {
    fn crl(&self, _: &str, _: &Certificate) -> Lookup<Arc<Crl>> {
        Lookup::Failed { why: "nothing is fetched here".to_owned(), until: UnixSeconds::MAX }
    }

    fn ocsp(&self, _: &CertId) -> Lookup<Arc<OcspStatus>> {
        Lookup::Failed { why: "nothing is fetched here".to_owned(), until: UnixSeconds::MAX }
    }
}

impl Revocation for View<'_> {
    fn status(&self, inquiry: &Inquiry<'_>) -> Status {
        let rules = &self.revocations.rules;
        if rules.scope == Scope::Leaf && inquiry.depth > 0 {
            return Status::Good { until: UnixSeconds::MAX };
        }
        let mut case = Case { inquiry, passed_over: Vec::new(), stale_since: None, until: UnixSeconds::MAX };
        case.by_lists(&self.revocations.crls)
            .or_else(|| match rules.fetch {
                Fetch::None => None,
                Fetch::Crl => case.by_fetched_lists(self.fetched),
                Fetch::Ocsp => case.by_responder(self.fetched),
                Fetch::OcspThenCrl => case.by_responder(self.fetched).or_else(|| case.by_fetched_lists(self.fetched)),
            })
            .unwrap_or_else(|| case.unknown(rules))
    }
}

/// An inquiry on its way.
struct Case<'a> {
    inquiry: &'a Inquiry<'a>,
    /// What could not be used, and why; for people.
    passed_over: Vec<PassedOver>,
    /// When the newest of what is out of date became so.
    stale_since: Option<UnixSeconds>,
    /// The last second before something that was passed over may count.
    until: UnixSeconds,
}

/// Something that would have told the status.
enum PassedOver {
    List(Arc<Crl>, Unfit),
    Unreachable { url: String, why: String },
    UnknownToResponder,
}

impl Case<'_> {
    /// What the issuer's lists say: the newest if it lists the certificate, else the newest that is current. `None` if
    /// there is none of these.
    fn by_lists(&mut self, lists: &[Arc<Crl>]) -> Option<Status> {
        let Inquiry { certificate, issuer, profile, at, .. } = *self.inquiry;
        let mut fit: Vec<&Arc<Crl>> = Vec::new();
        for list in lists.iter().filter(|list| list.issuer_der() == issuer.subject_der()) {
            match list.fitness(certificate, issuer, profile, at) {
                Ok(()) => fit.push(list),
                Err(unfit) => {
                    if unfit == Unfit::NotYetValid {
                        self.until = self.until.min(list.this_update() - SKEW - 1);
                    }
                    self.passed_over.push(PassedOver::List(Arc::clone(list), unfit));
                }
            }
        }
        let lists_it = |list: &Crl| list.find(certificate.serial_bytes());
        let newest = |one: &Arc<Crl>, other: &Arc<Crl>| {
            // Of two that are equally new, the one that lists the certificate.
            one.cmp_age(other).then_with(|| lists_it(one).is_some().cmp(&lists_it(other).is_some()))
        };
        let list = *fit.iter().max_by(|one, other| newest(one, other))?;
        let is_current = |list: &Crl| list.next_update().is_none_or(|next_update| at <= next_update);
        let current = fit.into_iter().filter(|list| is_current(list)).max_by(|one, other| newest(one, other));
        if let Some((list, revoked)) =
            [Some(list), current].into_iter().flatten().find_map(|list| Some((list, lists_it(list)?)))
        {
            let source = format!("the list of {} of {}", quoted(list.issuer()), time::rfc3339(list.this_update()));
            let refusal = self.revoked(revoked.at, revoked.reason, &source).with("crl", source);
            let until = list.next_update().filter(|_| is_current(list)).unwrap_or(UnixSeconds::MAX);
            return Some(Status::Refused { refusal, until: until.min(self.until) });
        }
        let Some(current) = current else {
            self.stale_since = self.stale_since.max(list.next_update());
            return None;
        };
        Some(Status::Good { until: current.next_update().unwrap_or(UnixSeconds::MAX).min(self.until) })
    }

    /// As [`Case::by_lists`], with the lists that the certificate names.
    fn by_fetched_lists(&mut self, fetched: &dyn Fetched) -> Option<Status> {
        let urls = self.inquiry.certificate.crl_urls();
        let (mut found, mut unasked) = (Vec::new(), Vec::new());
        for url in urls {
            match fetched.crl(url, self.inquiry.issuer) {
                Lookup::Found(list) => found.push(list),
                Lookup::Unasked => unasked.push(url.clone()),
                Lookup::Failed { why, until } => self.unreachable(url, why, until),
            }
        }
        let decided = self.by_lists(&found);
        if decided.is_none() && !unasked.is_empty() {
            return Some(self.needed(unasked, Vec::new()));
        }
        if urls.is_empty() { None } else { self.for_now(decided) }
    }

    /// What was fetched is fetched again, and may say something better then. What it says that is good already holds.
    fn for_now(&mut self, decided: Option<Status>) -> Option<Status> {
        let soon = self.inquiry.at.saturating_add(RECHECK);
        match decided {
            Some(Status::Refused { refusal, until }) => Some(Status::Refused { refusal, until: until.min(soon) }),
            None => {
                self.until = self.until.min(soon);
                None
            }
            decided => decided,
        }
    }

    /// What the certificate's OCSP responder says.
    fn by_responder(&mut self, fetched: &dyn Fetched) -> Option<Status> {
        let url = self.inquiry.certificate.ocsp_urls().first()?;
        let decided = self.by_answer(url, fetched);
        self.for_now(decided)
    }

    fn by_answer(&mut self, url: &str, fetched: &dyn Fetched) -> Option<Status> {
        let Inquiry { certificate, issuer, at, .. } = *self.inquiry;
        let status = match fetched.ocsp(&CertId::of(certificate, issuer)) {
            Lookup::Found(status) => status,
            Lookup::Unasked => return Some(self.needed(Vec::new(), certificate.ocsp_urls().to_vec())),
            Lookup::Failed { why, until } => {
                self.unreachable(url, why, until);
                return None;
            }
        };
        let is_current = at <= status.until();
        match status.status() {
            CertStatus::Revoked { at, reason } => {
                let source = format!("{} as of {}", status.responder(), time::rfc3339(status.this_update()));
                let refusal = self.revoked(at, reason, &source).with("ocsp", source);
                let until = if is_current { status.until() } else { UnixSeconds::MAX };
                return Some(Status::Refused { refusal, until: until.min(self.until) });
            }
            CertStatus::Good if is_current => {
                return Some(Status::Good { until: status.until().min(self.until) });
            }
            CertStatus::Good => self.stale_since = self.stale_since.max(Some(status.until())),
            CertStatus::Unknown => {
                if is_current {
                    self.until = self.until.min(status.until());
                }
                self.passed_over.push(PassedOver::UnknownToResponder);
            }
        }
        None
    }

    fn unreachable(&mut self, url: &str, why: String, until: UnixSeconds) {
        self.until = self.until.min(until.max(self.inquiry.at));
        self.passed_over.push(PassedOver::Unreachable { url: url.to_owned(), why });
    }

    fn needed(&self, crl_urls: Vec<String>, ocsp_urls: Vec<String>) -> Status {
        let (certificate, issuer) = (Arc::clone(self.inquiry.certificate), Arc::clone(self.inquiry.issuer));
        Status::Needed(StatusRequest { certificate, issuer, crl_urls, ocsp_urls })
    }

    fn revoked(&self, at: UnixSeconds, reason: Reason, source: &str) -> Refusal {
        let certificate = self.inquiry.certificate;
        let (serial, at) = (certificate.serial_number(), time::rfc3339(at));
        let detail = format!(
            "{} (serial number {serial}) was revoked on {at} ({reason}), says {source}",
            quoted(certificate.subject())
        );
        Refusal::new(Code::ClientCertCrlHit, detail)
            .with("certificate", certificate.subject().to_owned())
            .with("serial", serial)
            .with("revoked_at", at)
            .with("reason", reason.to_string())
    }

    /// Nothing current was found.
    fn unknown(&self, rules: &RevocationRules) -> Status {
        let (fallback, tag) = match self.stale_since {
            Some(_) => (rules.on_stale, "countersign:revocation-on-stale"),
            None => (rules.on_missing, "countersign:revocation-on-missing"),
        };
        if fallback == Fallback::Allow {
            return Status::Good { until: self.until };
        }
        let Inquiry { certificate, issuer, .. } = *self.inquiry;
        let wanted = quoted(issuer.subject());
        let known = match self.stale_since {
            Some(since) => format!("what is known of it is out of date since {}", time::rfc3339(since)),
            None => format!("there is no revocation list of {wanted}, or none that can be used"),
        };
        let detail = format!("whether {} is revoked is not known: {known}", quoted(certificate.subject()));
        let fix = format!(
            "Give a current list of {wanted} (tag countersign:crl; on the command line --crl), have it fetched where \
             the certificate says (tag countersign:revocation-fetch), or let such certificates in (tag {tag}=allow)."
        );
        let mut refusal = Refusal::new(Code::ClientCertCrlProcessingError, detail)
            .with("certificate", certificate.subject().to_owned())
            .with("serial", certificate.serial_number())
            .with("crl_issuer_wanted", issuer.subject().to_owned());
        if let Some(since) = self.stale_since {
            refusal = refusal.with("stale_since", time::rfc3339(since));
        }
        for passed_over in &self.passed_over {
            refusal = refusal.with("passed_over", passed_over.text());
        }
        refusal.fix = Some(fix);
        Status::Refused { refusal, until: self.until }
    }
}

impl PassedOver {
    fn text(&self) -> String {
        match self {
            Self::List(list, unfit) => format!("the list of {}: {unfit}", time::rfc3339(list.this_update())),
            Self::Unreachable { url, why } => format!("{url}: {why}"),
            Self::UnknownToResponder => "its OCSP responder does not know it".to_owned(),
        }
    }
}
