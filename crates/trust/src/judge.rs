//! The judge: does a chain lead to this truststore, under this policy, at this time?

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::search::Search;
use crate::{Certificate, Code, Cost, Revocation, StatusRequest, Truststore, UnixSeconds};

/// What a judgement found, how, and until when it stands.
#[derive(Clone, Debug)]
pub struct Judgment {
    /// Accepted by which path, or refused and why.
    pub verdict: Verdict,
    /// What was looked at, in order; for people and for `explain`.
    pub trail: Vec<Step>,
    /// The judgement is the same at every time from `at` up to and including this second, as long as truststore,
    /// policy and what is known of revocations stay the same. `i64::MAX` where time plays no part.
    pub holds_until: UnixSeconds,
    /// What it cost, which is bounded.
    pub cost: Cost,
}

/// The answer.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Trusted.
    Accepted(Path),
    /// Not trusted.
    Refused(Refusal),
    /// Trusted if these certificates are not revoked, which somebody has to find out first: a path is good otherwise.
    /// Then it is judged again. Such a judgement is not to be remembered.
    NeedsStatus(Vec<StatusRequest>),
}

/// The certificates from the leaf to the anchor; a leaf that is itself an entry of the truststore is alone.
#[derive(Clone, Debug)]
pub struct Path(pub Vec<Arc<Certificate>>);

/// Why not.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The reason in the common vocabulary.
    pub code: Code,
    /// One sentence for an operator, with names and dates; AWS-exported texts come from [`Code::aws_text`].
    pub detail: String,
    /// Facts by name, e.g. `issuer_wanted`, `not_after`, `depth`; for JSON output.
    pub evidence: Vec<(&'static str, String)>,
    /// What to do, where more can be said than [`Code::fix`] does.
    pub fix: Option<String>,
}

/// One thing that the judge looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Subject of the certificate looked at (AWS form).
    pub subject: String,
    /// What was checked, e.g. `issuer name`, `signature`, `validity`.
    pub check: &'static str,
    /// Whether it held.
    pub held: bool,
    /// One short sentence.
    pub detail: String,
}

/// The rules of a domain. Part of the key under which judgements are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Which set of rules.
    pub profile: Profile,
    /// What the leaf is for. `Client` everywhere but in `verify --purpose server`.
    pub purpose: Purpose,
    /// Accept a leaf whose extended key usage excludes the purpose (`countersign:eku=any`).
    pub any_eku: bool,
    /// CAs allowed above the leaf, the root counted. Profile rfc5280 does not count self-issued intermediates.
    pub max_depth: u8,
}

/// A set of rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// What AWS API Gateway does: v1 leaves, issuers from the truststore only, up to four CAs.
    #[default]
    Aws,
    /// RFC 5280: v3 only, intermediates of the client are used, extended key usage is required of clients, certificates
    /// keep the musts of section 4, and every CA in the truststore is an anchor, self-signed or not.
    Rfc5280,
}

/// What a leaf is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// TLS client authentication.
    #[default]
    Client,
    /// TLS server authentication.
    Server,
}

/// Octets that are read in one judgement, of all certificates together; further certificates are not looked at.
pub(crate) const MAX_CHAIN_BYTES: usize = 64 * 1024;

impl Truststore {
    /// Decides whether `chain` (DER, leaf first, as the client sent it; empty when it sent none) is trusted.
    ///
    /// At most 64 signature checks, and one for each revocation list of an authority on a path that is good otherwise
    /// whose signature was not checked before; no panic whatever the bytes are.
    pub fn judge(&self, chain: &[&[u8]], policy: &Policy, revocation: &dyn Revocation, at: UnixSeconds) -> Judgment {
        let mut search = Search::new(self.inner(), policy, revocation, at);
        let verdict = match chain.split_first() {
            None => {
                let refusal = Refusal::new(Code::ClientCertMissing, "the client sent no certificate".to_owned());
                Verdict::Refused(refusal)
            }
            Some((leaf, _)) if leaf.len() > MAX_CHAIN_BYTES => {
                let detail = format!("the certificate has {} octets; {MAX_CHAIN_BYTES} are read", leaf.len());
                Verdict::Refused(Refusal::new(Code::ClientCertMaxSizeExceeded, detail))
            }
            Some((leaf, sent)) => match Certificate::from_der(leaf) {
                Ok(leaf) => search.decide(leaf, sent),
                Err(error) => Verdict::Refused(Refusal::new(Code::ClientCertInvalid, error.to_string())),
            },
        };
        Judgment { verdict, cost: search.cost(), trail: search.trail, holds_until: search.holds_until }
    }
}

impl Judgment {
    /// Whether the verdict is "trusted".
    pub fn is_accepted(&self) -> bool {
        matches!(self.verdict, Verdict::Accepted(_))
    }

    /// The path, if trusted.
    pub fn path(&self) -> Option<&Path> {
        match &self.verdict {
            Verdict::Accepted(path) => Some(path),
            Verdict::Refused(_) | Verdict::NeedsStatus(_) => None,
        }
    }

    /// The reason, if not trusted.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.verdict {
            Verdict::Refused(refusal) => Some(refusal),
            Verdict::Accepted(_) | Verdict::NeedsStatus(_) => None,
        }
    }
}

impl Refusal {
    /// Without evidence.
    pub fn new(code: Code, detail: String) -> Self {
        Self { code, detail, evidence: Vec::new(), fix: None }
    }

    /// With one more fact.
    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.evidence.push((name, value));
        self
    }
}

impl Policy {
    /// CAs allowed above the leaf unless a policy says otherwise: what AWS API Gateway accepts.
    pub const DEFAULT_MAX_DEPTH: u8 = 4;

    /// The defaults of a profile. RFC 5280 bounds no depth; ten CAs are more than any hierarchy in use has.
    pub fn of(profile: Profile) -> Self {
        let max_depth = match profile {
            Profile::Aws => Self::DEFAULT_MAX_DEPTH,
            Profile::Rfc5280 => 10,
        };
        Self { profile, purpose: Purpose::default(), any_eku: false, max_depth }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::of(Profile::default())
    }
}
