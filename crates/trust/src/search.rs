//! The search for a path from a leaf to an anchor, and the rules on the way.

use std::fmt::{self, Display};
use std::sync::Arc;

use self::leaf::LeafFault;
use crate::conformance::Standing;
use crate::constraints::Violation;
use crate::effort::{Cost, Effort};
use crate::judge::{MAX_CHAIN_BYTES, Path, Policy, Profile, Refusal, Step, Verdict};
use crate::revocation::{Inquiry, Revocation, Status, StatusRequest};
use crate::truststore::{Inner, key_id_mismatch};
use crate::{Certificate, Code, UnixSeconds, conformance, key, policies, rules, time};

mod leaf;

/// Certificates that are read of what the client sent besides its own.
const MAX_SENT: usize = 128;
/// Steps that are kept for people, and octets of their texts.
const MAX_TRAIL: usize = 64;
const MAX_TRAIL_OCTETS: usize = 32 * 1024;
/// Characters that are shown of a name.
const MAX_SHOWN: usize = 512;

/// One judgement on its way.
pub(crate) struct Search<'a> {
    truststore: &'a Inner,
    policy: &'a Policy,
    revocation: &'a dyn Revocation,
    at: UnixSeconds,
    /// Intermediates that the client sent, where the profile uses them.
    sent: Vec<Arc<Certificate>>,
    effort: Effort,
    checked: Vec<Checked>,
    nearest: Option<NearMiss>,
    /// What has to be fetched for the first path that is good otherwise.
    needed: Vec<StatusRequest>,
    pub trail: Vec<Step>,
    trail_octets: usize,
    pub holds_until: UnixSeconds,
}

/// A certificate of the path under construction.
#[derive(Clone)]
struct Link {
    certificate: Arc<Certificate>,
    /// Where in the truststore, if it is from there.
    place: Option<u32>,
}

/// What was found out about a signature.
struct Checked {
    certificate: Arc<Certificate>,
    issuer: Arc<Certificate>,
    result: Result<(), LeafFault>,
}

/// The best reason so far.
struct NearMiss {
    rank: u8,
    refusal: Refusal,
}

#[derive(PartialEq, Eq)]
enum When {
    Before,
    Within,
    After,
}

impl<'a> Search<'a> {
    pub(crate) fn new(
        truststore: &'a Inner,
        policy: &'a Policy,
        revocation: &'a dyn Revocation,
        at: UnixSeconds,
    ) -> Self {
        Self {
            truststore,
            policy,
            revocation,
            at,
            sent: Vec::new(),
            effort: Effort::default(),
            checked: Vec::new(),
            nearest: None,
            needed: Vec::new(),
            trail: Vec::with_capacity(8),
            trail_octets: 0,
            holds_until: UnixSeconds::MAX,
        }
    }

    pub(crate) fn cost(&self) -> Cost {
        self.effort.cost()
    }

    /// Decides on a leaf; `sent` are the certificates that came with it.
    pub(crate) fn decide(&mut self, leaf: Certificate, sent: &[&[u8]]) -> Verdict {
        let leaf = Arc::new(leaf);
        if let Err(refusal) = self.check_leaf(&leaf) {
            return Verdict::Refused(refusal);
        }
        if let Some(place) = self.truststore.listed(leaf.der()) {
            return self.decide_listed(place);
        }
        if leaf.is_ca() {
            return Verdict::Refused(if is_self_signed(&leaf) { self_signed(&leaf) } else { ca_as_leaf(&leaf) });
        }
        if self.policy.profile == Profile::Rfc5280 {
            self.sent = read(sent, MAX_CHAIN_BYTES - leaf.der().len());
        }
        let mut path = vec![Link { certificate: Arc::clone(&leaf), place: None }];
        if self.extend(&mut path) {
            return Verdict::Accepted(Path(path.into_iter().map(|link| link.certificate).collect()));
        }
        if !self.needed.is_empty() {
            return self.undecided();
        }
        Verdict::Refused(self.refusal(&leaf))
    }

    /// A leaf that is an entry of the truststore is trusted as itself; only a revocation by its issuer can matter.
    fn decide_listed(&mut self, place: u32) -> Verdict {
        let entry = self.truststore.entry(place);
        let leaf = Arc::clone(&entry.certificate);
        if let Some(&issuer) = entry.issuers.first() {
            let issuer = Arc::clone(&self.truststore.entry(issuer).certificate);
            if let Err(refusal) = self.check_status(&leaf, &issuer, 0) {
                return Verdict::Refused(refusal);
            }
            if !self.needed.is_empty() {
                return self.undecided();
            }
        }
        self.step(&leaf, "truststore", true, &"is itself an entry of the truststore");
        Verdict::Accepted(Path(vec![leaf]))
    }

    /// Climbs from the end of `path` to an anchor, depth first. True when `path` is complete and good.
    fn extend(&mut self, path: &mut Vec<Link>) -> bool {
        let top = path[path.len() - 1].clone();
        if self.is_anchor(&top) {
            return self.accepts(path);
        }
        let Some(candidates) = self.issuers_of(&top) else { return false };
        if candidates.is_empty() {
            self.note_no_issuer(path, &top);
            return false;
        }
        for candidate in candidates {
            if !self.effort.visit(path.len(), candidate.certificate.subject_der().len()) {
                return false;
            }
            if path.iter().any(|link| is_same_authority(&link.certificate, &candidate.certificate)) {
                continue;
            }
            if !self.check_issuer(path, &top, &candidate) {
                continue;
            }
            path.push(candidate);
            if self.extend(path) {
                return true;
            }
            path.pop();
            if self.effort.is_exhausted() {
                return false;
            }
        }
        false
    }

    /// Profile aws: a path ends at a self-signed root. Profile rfc5280: wherever the truststore begins.
    fn is_anchor(&self, link: &Link) -> bool {
        link.place.is_some_and(|place| match self.policy.profile {
            Profile::Aws => self.truststore.entry(place).self_signed,
            Profile::Rfc5280 => true,
        })
    }

    fn standing(&self, link: &Link) -> Standing {
        match link.place {
            Some(place) if self.is_anchor(link) => {
                Standing::Anchor { self_signed: self.truststore.entry(place).self_signed }
            }
            _ => Standing::Below,
        }
    }

    /// Those whose name is that of the issuer, the likeliest first. Within the truststore only those whose signature
    /// was found good when it was compiled. `None` if the list would be too long.
    fn issuers_of(&mut self, link: &Link) -> Option<Vec<Link>> {
        if let Some(place) = link.place {
            let issuers = &self.truststore.entry(place).issuers;
            return self
                .effort
                .list(issuers.len(), 0, 0)
                .then(|| issuers.iter().map(|&issuer| self.listed(issuer)).collect());
        }
        let child = &link.certificate;
        let named = self.truststore.named(child.issuer_der());
        if !self.effort.list(named.len(), self.sent.len(), child.issuer_der().len()) {
            return None;
        }
        let mut candidates: Vec<Link> = named.iter().map(|&place| self.listed(place)).collect();
        let sent = self.sent.iter().filter(|sent| sent.subject_der() == child.issuer_der());
        candidates.extend(sent.map(|sent| Link { certificate: Arc::clone(sent), place: None }));
        candidates.sort_by_key(|candidate| key_id_mismatch(child, &candidate.certificate));
        Some(candidates)
    }

    fn listed(&self, place: u32) -> Link {
        Link { certificate: Arc::clone(&self.truststore.entry(place).certificate), place: Some(place) }
    }

    /// Whether `issuer` may stand above `path`, whose end is `child`.
    fn check_issuer(&mut self, path: &[Link], child: &Link, issuer: &Link) -> bool {
        let certificate = &issuer.certificate;
        let self_signed = issuer.place.is_some_and(|place| self.truststore.entry(place).self_signed);
        if let Some(defect) = rules::issuing_defect(certificate, self_signed) {
            self.note(45, issuer, "CA", Code::ClientCertPathInvalid, &defect);
            return false;
        }
        if let Some(defect) = rules::key_defect(certificate, self.policy.profile) {
            self.note(45, issuer, "key", Code::ClientCertWeakKey, &defect);
            return false;
        }
        let linked = child.place.is_some();
        if !linked && !self.check_signature(path, child, issuer) {
            return false;
        }
        self.check_authority(path, issuer, self_signed) && self.check_depth(path, issuer)
    }

    /// Spends a signature check, unless the same was found out before.
    fn check_signature(&mut self, path: &[Link], child: &Link, issuer: &Link) -> bool {
        let known = self.checked.iter().find(|known| {
            Arc::ptr_eq(&known.certificate, &child.certificate)
                && known.issuer.public_key_der() == issuer.certificate.public_key_der()
        });
        let result = match known {
            Some(known) => known.result.clone(),
            None => {
                let weight = issuer.certificate.key().verification_cost();
                if !self.effort.signature_check(weight, child.certificate.der().len()) {
                    return false;
                }
                let result = match path.len() {
                    1 => leaf::verify(&child.certificate, &issuer.certificate, self.policy, self.at),
                    _ if key::signed_by(&child.certificate, &issuer.certificate) => Ok(()),
                    _ => Err(LeafFault::Signature),
                };
                self.checked.push(Checked {
                    certificate: Arc::clone(&child.certificate),
                    issuer: Arc::clone(&issuer.certificate),
                    result: result.clone(),
                });
                result
            }
        };
        match result {
            Ok(()) => {
                let by = shown(&issuer.certificate);
                self.step(&child.certificate, "signature", true, &format_args!("is by {by}"));
                true
            }
            Err(LeafFault::Unfit(code, detail)) => {
                self.note(85, child, "form", code, &detail);
                false
            }
            Err(LeafFault::Signature) => {
                let whose = shown(&issuer.certificate);
                let detail = format_args!("its signature is not by the key of {whose} in the truststore");
                self.note(40, child, "signature", Code::ClientCertSignatureInvalid, &detail);
                false
            }
        }
    }

    /// The rules for a CA above `path`, whose key made the signature at the path's end.
    fn check_authority(&mut self, path: &[Link], issuer: &Link, self_signed: bool) -> bool {
        let certificate = &issuer.certificate;
        match self.when(certificate) {
            When::Within => {}
            When::After => {
                let detail = format!("it expired on {}", time::rfc3339(certificate.not_after()));
                self.note(90, issuer, "validity", Code::ClientCertIssuerExpired, &detail);
                return false;
            }
            When::Before => {
                let detail = format!("it is valid from {} on", time::rfc3339(certificate.not_before()));
                self.note(90, issuer, "validity", Code::ClientCertIssuerExpired, &detail);
                return false;
            }
        }
        if let Some(defect) = rules::extension_defect(certificate) {
            self.note(80, issuer, "extensions", Code::ClientCertPathInvalid, &defect);
            return false;
        }
        if self.policy.profile == Profile::Rfc5280
            && let Some(defect) = conformance::defect(certificate, self.standing(issuer))
        {
            self.note(80, issuer, "RFC 5280", Code::ClientCertPathInvalid, &defect);
            return false;
        }
        if !self.is_anchor(issuer)
            && let Some(defect) = rules::signature_defect(certificate)
        {
            self.note(75, issuer, "signature algorithm", Code::ClientCertWeakSignature, &defect);
            return false;
        }
        if !self_signed && let Some(defect) = rules::purpose_defect(certificate, self.policy) {
            self.note(78, issuer, "extended key usage", Code::ClientCertPurposeInvalid, &defect);
            return false;
        }
        let below = path.iter().skip(1).filter(|link| !link.certificate.is_self_issued()).count();
        if let Some(allowed) = certificate.extensions().basic_constraints.and_then(|constraints| constraints.path_len)
            && below > usize::from(allowed)
        {
            let detail = format_args!("its path length allows {allowed} CAs below it, and there are {below}");
            self.note(80, issuer, "path length", Code::ClientCertPathInvalid, &detail);
            return false;
        }
        self.step(certificate, "CA", true, &"may issue, and is within its validity");
        true
    }

    /// Bounds the CAs above the leaf; in the truststore the way to the root is known, so a climb that cannot end well
    /// is not begun.
    fn check_depth(&mut self, path: &[Link], issuer: &Link) -> bool {
        let counts = |link: &&Link| self.policy.profile == Profile::Aws || !link.certificate.is_self_issued();
        let below = path.iter().skip(1).filter(counts).count();
        let above = match (self.policy.profile, issuer.place) {
            (Profile::Aws, Some(place)) => match self.truststore.entry(place).distance {
                Some(distance) => distance as usize,
                None => {
                    self.note_dead_end(place);
                    return false;
                }
            },
            (Profile::Rfc5280, None) if issuer.certificate.is_self_issued() => 0,
            _ => 1,
        };
        let depth = below + above;
        let allowed = usize::from(self.policy.max_depth);
        if depth <= allowed {
            return true;
        }
        let detail = format_args!("the path through it has at least {depth} CAs; {allowed} are allowed");
        self.note(70, issuer, "depth", Code::ClientCertMaxChainDepthExceeded, &detail);
        self.add_evidence(Code::ClientCertMaxChainDepthExceeded, "depth", depth.to_string());
        false
    }

    /// The rules that need the whole path: name constraints, policies and revocation.
    fn accepts(&mut self, path: &[Link]) -> bool {
        self.effort.path() && self.names_are_allowed(path) && self.policy_is_valid(path) && self.statuses_are_good(path)
    }

    fn names_are_allowed(&mut self, path: &[Link]) -> bool {
        for (index, authority) in path.iter().enumerate().skip(1) {
            let Some(constraints) = authority.certificate.name_constraints() else { continue };
            for (below, link) in path[..index].iter().enumerate() {
                if below > 0 && link.certificate.is_self_issued() {
                    continue;
                }
                let Err(violation) = constraints.allow(&link.certificate, &mut self.effort) else { continue };
                let of = shown(&link.certificate);
                let detail = match violation {
                    Violation::Name(name) => format!("its name constraints do not allow the name {name} of {of}"),
                    Violation::Incomparable(what) => format!("its name constraints cannot be applied to {of}: {what}"),
                    Violation::TooMany => return false,
                };
                self.note(82, authority, "name constraints", Code::ClientCertPathInvalid, &detail);
                return false;
            }
        }
        true
    }

    fn policy_is_valid(&mut self, path: &[Link]) -> bool {
        let certificates: Vec<&Certificate> = path.iter().map(|link| &*link.certificate).collect();
        if !self.effort.follow_policies(policies::number(&certificates)) {
            return false;
        }
        let Some(defect) = policies::defect(&certificates) else { return true };
        self.note(82, &path[defect.place], "policies", Code::ClientCertPathInvalid, &defect.what);
        false
    }

    fn statuses_are_good(&mut self, path: &[Link]) -> bool {
        let needed_elsewhere = std::mem::take(&mut self.needed);
        for (depth, pair) in path.windows(2).enumerate() {
            if let Err(refusal) = self.check_status(&pair[0].certificate, &pair[1].certificate, depth) {
                let rank = if refusal.code == Code::ClientCertCrlHit { 100 } else { 95 };
                self.keep(rank, refusal);
                self.needed = needed_elsewhere;
                return false;
            }
        }
        let is_known = self.needed.is_empty();
        if !needed_elsewhere.is_empty() {
            self.needed = needed_elsewhere;
        }
        is_known
    }

    /// Whether a certificate of a path that is good otherwise may be used; what has to be fetched for the answer is
    /// noted.
    fn check_status(
        &mut self,
        certificate: &Arc<Certificate>,
        issuer: &Arc<Certificate>,
        depth: usize,
    ) -> Result<(), Refusal> {
        let inquiry = Inquiry { certificate, issuer, depth, profile: self.policy.profile, at: self.at };
        match self.revocation.status(&inquiry) {
            Status::Good { until } => self.holds_until = self.holds_until.min(until),
            Status::Needed(request) => self.needed.push(request),
            Status::Refused { refusal, until } => {
                self.holds_until = self.holds_until.min(until);
                self.step(certificate, "revocation", false, &refusal.detail);
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// No path is known to be good, and one may be.
    fn undecided(&mut self) -> Verdict {
        self.holds_until = self.at;
        Verdict::NeedsStatus(std::mem::take(&mut self.needed))
    }

    fn note_no_issuer(&mut self, path: &[Link], top: &Link) {
        if let Some(place) = top.place {
            self.note_dead_end(place);
            return;
        }
        let wanted = top.certificate.issuer().to_owned();
        let (rank, code, detail) = match path.len() {
            1 => (0, Code::ClientCertUntrusted, format!("no CA of the truststore is named {}", quoted(&wanted))),
            _ => (
                60,
                Code::ClientCertChainIncomplete,
                format!("its issuer {} is in neither truststore nor chain", quoted(&wanted)),
            ),
        };
        self.note(rank, top, "issuer name", code, &detail);
        self.add_evidence(code, "issuer_wanted", wanted);
    }

    /// The path cannot get from `place` to a root: says what is missing where the climb ends.
    fn note_dead_end(&mut self, place: u32) {
        // One is enough, and finding it takes a while in a truststore full of namesakes.
        if !self.is_nearer(60) {
            return;
        }
        let entry = self.truststore.dead_end(place);
        let certificate = &entry.certificate;
        let link = Link { certificate: Arc::clone(certificate), place: Some(place) };
        if let Some(defect) = rules::signature_defect(certificate) {
            self.note(75, &link, "signature algorithm", Code::ClientCertWeakSignature, &defect);
            return;
        }
        let wanted = certificate.issuer().to_owned();
        let namesakes = self.truststore.named(certificate.issuer_der()).iter().any(|&other| other != place);
        let detail = if namesakes {
            format!("no CA named {} in the truststore signed it, so no path reaches a root", quoted(&wanted))
        } else {
            format!("its issuer {} is not in the truststore, so no path reaches a root", quoted(&wanted))
        };
        self.note(60, &link, "issuer name", Code::ClientCertChainIncomplete, &detail);
        self.add_evidence(Code::ClientCertChainIncomplete, "issuer_wanted", wanted);
    }

    /// Remembers why this way failed, if it came nearer than what failed before.
    fn note(&mut self, rank: u8, link: &Link, check: &'static str, code: Code, defect: &dyn Display) {
        self.step(&link.certificate, check, false, defect);
        if self.is_nearer(rank) {
            let detail = format!("{}: {defect}", shown(&link.certificate));
            let refusal = Refusal::new(code, detail).with("certificate", link.certificate.subject().to_owned());
            self.keep(rank, refusal);
        }
    }

    fn is_nearer(&self, rank: u8) -> bool {
        self.nearest.as_ref().is_none_or(|near| rank > near.rank)
    }

    fn keep(&mut self, rank: u8, refusal: Refusal) {
        if self.is_nearer(rank) {
            self.nearest = Some(NearMiss { rank, refusal });
        }
    }

    fn add_evidence(&mut self, code: Code, name: &'static str, value: String) {
        if let Some(near) = &mut self.nearest
            && near.refusal.code == code
            && near.refusal.evidence.iter().all(|(known, _)| *known != name)
        {
            near.refusal.evidence.push((name, value));
        }
    }

    /// The reason to give when no path was found.
    fn refusal(&mut self, leaf: &Certificate) -> Refusal {
        if self.effort.is_exhausted() {
            let detail = format!("the search for a path from {} took too many steps", shown(leaf));
            return Refusal::new(Code::ClientCertPathTooComplex, detail);
        }
        let nearest = self.nearest.take();
        // Up to here nobody's key was found to have signed it.
        let stranger = nearest.as_ref().is_none_or(|near| near.rank <= 45);
        if stranger && is_self_signed(leaf) {
            return self_signed(leaf);
        }
        nearest.map(|near| near.refusal).unwrap_or_else(|| {
            // Every candidate was on the path already: a leaf that is named and keyed like its issuer.
            let detail = format!("no path leads from {} to the truststore", shown(leaf));
            Refusal::new(Code::ClientCertUntrusted, detail).with("issuer_wanted", leaf.issuer().to_owned())
        })
    }

    /// Where the judgement's time stands to a certificate's validity; notes until when that stays so.
    fn when(&mut self, certificate: &Certificate) -> When {
        let (when, until) = if self.at > certificate.not_after() {
            (When::After, UnixSeconds::MAX)
        } else if self.at < certificate.not_before() {
            (When::Before, certificate.not_before() - 1)
        } else {
            (When::Within, certificate.not_after())
        };
        self.holds_until = self.holds_until.min(until);
        when
    }

    /// For people. Formats nothing once there is enough to read.
    fn step(&mut self, certificate: &Certificate, check: &'static str, held: bool, detail: &dyn Display) {
        if self.trail.len() < MAX_TRAIL && self.trail_octets < MAX_TRAIL_OCTETS {
            let step = Step { subject: certificate.subject().to_owned(), check, held, detail: detail.to_string() };
            self.trail_octets += step.subject.len() + step.detail.len();
            self.trail.push(step);
        }
    }
}

/// The certificates of the client besides its own, as far as they can be read.
fn read(sent: &[&[u8]], octets: usize) -> Vec<Arc<Certificate>> {
    let mut left = octets;
    sent.iter()
        .take(MAX_SENT)
        .take_while(|der| {
            let fits = left.checked_sub(der.len());
            left = fits.unwrap_or(0);
            fits.is_some()
        })
        .filter_map(|der| Certificate::from_der(der).ok().map(Arc::new))
        .collect()
}

/// By its names and key identifiers; its signature proves nothing that matters here.
fn is_self_signed(leaf: &Certificate) -> bool {
    leaf.is_self_issued() && key_id_mismatch(leaf, leaf) < 2
}

fn self_signed(leaf: &Certificate) -> Refusal {
    let detail = format!("{} is self-signed and not an entry of the truststore", shown(leaf));
    Refusal::new(Code::ClientCertSelfSigned, detail)
        .with("certificate", leaf.subject().to_owned())
        .with("sha256", leaf.fingerprint_hex())
}

fn ca_as_leaf(leaf: &Certificate) -> Refusal {
    let detail = format!("{} is the certificate of a CA, not of a client", shown(leaf));
    Refusal::new(Code::ClientCertPurposeInvalid, detail).with("certificate", leaf.subject().to_owned())
}

/// RFC 4158 section 5.2: the same name and the same key twice on a path is a loop.
fn is_same_authority(a: &Certificate, b: &Certificate) -> bool {
    a.subject_der() == b.subject_der() && a.public_key_der() == b.public_key_der()
}

fn shown(certificate: &Certificate) -> Shown<'_> {
    quoted(certificate.subject())
}

/// A name in a sentence.
pub(crate) fn quoted(name: &str) -> Shown<'_> {
    Shown(name)
}

pub(crate) struct Shown<'a>(&'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(MAX_SHOWN) {
            _ if self.0.is_empty() => f.write_str("a certificate without a name"),
            None => write!(f, "\"{}\"", self.0),
            Some((end, _)) => write!(f, "\"{}…\"", &self.0[..end]),
        }
    }
}
