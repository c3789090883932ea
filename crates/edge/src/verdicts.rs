//! What the judge said of clients' chains, remembered per runtime (that is: per thread).
//!
//! A verdict is of one chain under one [`Trust`], for as long as it holds by the clock. Accepted and refused chains are
//! remembered apart, so that strangers cannot push out clients.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use journal::ledger::ClientChain;
use model::IdentityHeaders;
use model::snapshot::Trust;
use model::template::{Line, Template};
use policy::Principal;
use trust::{
    Certificate, ClientCert, Code, Fetch, Fetched, Judgment, Neighbour, NeighbourKind, Revocation, StatusRequest,
    Surroundings, UnixSeconds, Unrevoked, Verdict,
};

use crate::identity;
use crate::shadow::{self, Difference};
use crate::sightings::Tally;
use crate::status::Pending;

/// Certificates that are judged; a longer chain is refused unread.
const MAX_CHAIN: usize = 10;
/// Bytes that are judged, of all certificates together.
const MAX_CHAIN_BYTES: usize = 64 * 1024;
/// Bytes of a leaf of which anything is read: it stands several times in a line of the log, escaped, and a line that had to be
/// cut would not be what its format says.
const MAX_LEAF_BYTES: usize = 16 * 1024;
/// Seconds after which a verdict is given again that may rest on something fetched.
const ASKED_AGAIN: UnixSeconds = 3600;
/// Accepted chains that a runtime remembers.
const ACCEPTED: usize = 4096;
/// Refused chains that a runtime remembers.
const REFUSED: usize = 1024;
/// Bytes of a chain that is remembered: what clients like to send besides is not to fill the memory, and to judge a chain again
/// costs less than its handshake.
const REMEMBERED_BYTES: usize = 16 * 1024;
/// Access log formats for which a chain's part of the line is kept.
const LINES: usize = 8;

/// One chain as one client sent it, and what it says of the client; parsed when somebody asks.
pub(crate) struct Chain {
    sent: Arc<ClientChain>,
    identity: OnceCell<Option<Identity>>,
    lines: RefCell<Vec<Line>>,
}

/// Whom a leaf certificate names.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: ClientCert,
    /// SHA-256 of the leaf, lowercase hexadecimal.
    pub(crate) fingerprint: String,
    /// From when until when.
    pub(crate) validity: journal::Validity,
    sha256: [u8; 32],
}

/// A chain with its verdict.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) chain: Rc<Chain>,
    /// Under what it was judged; none where clients are not asked for certificates.
    pub(crate) trust: Option<Arc<Trust>>,
    /// Digest of its truststore, hexadecimal.
    pub(crate) truststore: String,
    /// None: accepted.
    pub(crate) refusal: Option<Refusal>,
    /// What the ledger is to be told of it.
    pub(crate) tally: Tally,
    /// Where the shadow truststore comes to another verdict.
    pub(crate) shadow: Option<Difference>,
    /// By whom the leaf was found to be issued, the next one up first; none where it was refused.
    issuers: Issuers,
    identity_headers: OnceCell<identity::Headers>,
    principal: OnceCell<Option<Principal>>,
    judged_at: UnixSeconds,
    holds_until: UnixSeconds,
}

/// Why not, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) detail: String,
    pub(crate) explanation: String,
    pub(crate) fix: String,
    pub(crate) evidence: Vec<(String, String)>,
}

thread_local! {
    static VERDICTS: RefCell<Verdicts> = RefCell::default();
}

/// What is known of `chain` under `trust` at `at`, judged if it is not remembered; or what has to be fetched before.
pub(crate) fn judge(
    trust: &Arc<Trust>,
    chain: &Rc<Chain>,
    fetched: &dyn Fetched,
    at: UnixSeconds,
) -> Result<Rc<Client>, Pending> {
    VERDICTS.with_borrow_mut(|verdicts| match verdicts.recall(trust, &chain.sent.digest(), at) {
        Some(client) => Ok(client),
        None => {
            let client = Client::judge(trust, chain, fetched, at);
            let pending = |requests| Pending { trust: trust.clone(), chain: chain.clone(), requests };
            client.map(|client| verdicts.remember(trust, client)).map_err(pending)
        }
    })
}

/// As [`judge`], where nobody waits any longer.
pub(crate) fn judge_so_far(trust: &Arc<Trust>, chain: &Rc<Chain>, so_far: &dyn Fetched, at: UnixSeconds) -> Rc<Client> {
    judge(trust, chain, so_far, at).unwrap_or_else(|_| {
        // It should have said that it failed.
        let refusal = Refusal::of_code(Code::ClientCertCrlProcessingError);
        Rc::new(Client::new(trust, chain, refusal, at, at))
    })
}

/// Whether a signature of this certificate's key can be checked; not where the key cannot be read, or is RSA below the
/// 2048 bits from which on aws-lc verifies RSA-PSS.
pub(crate) fn can_prove_possession(leaf: &[u8]) -> bool {
    trust::public_key(leaf).is_some_and(|key| rsa_bits(key).is_none_or(|bits| bits >= 2048))
}

impl Chain {
    pub(crate) fn new<'a>(certificates: impl Iterator<Item = &'a [u8]>) -> Self {
        let sent = Arc::new(ClientChain::new(certificates));
        Self { sent, identity: OnceCell::new(), lines: RefCell::default() }
    }

    /// Of a client that was not asked.
    pub(crate) fn none() -> Self {
        Self::new(std::iter::empty())
    }

    /// `None` where nothing was sent, or its leaf cannot be read or is too large.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        let read = || {
            let leaf = self.leaf()?;
            let (fingerprint, sha256) = (leaf.fingerprint_hex(), leaf.fingerprint());
            let validity = journal::Validity { not_before: leaf.not_before(), not_after: leaf.not_after() };
            Some(Identity { certificate: leaf.client_cert(), fingerprint, validity, sha256 })
        };
        self.identity.get_or_init(read).as_ref()
    }

    /// As records name its leaf.
    pub(crate) fn named(&self) -> Option<journal::Client<'_>> {
        self.identity().map(|identity| journal::Client {
            subject: identity.certificate.subject_dn.as_str().into(),
            issuer: identity.certificate.issuer_dn.as_str().into(),
            serial: identity.certificate.serial_number.as_str().into(),
            fingerprint: identity.fingerprint.as_str().into(),
        })
    }

    /// SHA-256 of the leaf, to which tokens may be bound (RFC 8705 section 3.1).
    pub(crate) fn leaf_sha256(&self) -> Option<[u8; 32]> {
        self.identity().map(|identity| identity.sha256)
    }

    /// Read anew each time.
    pub(crate) fn leaf(&self) -> Option<Certificate> {
        let leaf = self.sent.certificates().next().filter(|leaf| leaf.len() <= MAX_LEAF_BYTES)?;
        Certificate::from_der(leaf).ok()
    }

    /// Calls `render` with the line of `template` in which this client's certificate already stands.
    pub(crate) fn with_line<R>(&self, template: &Template, render: impl FnOnce(&Line) -> R) -> R {
        let mut lines = self.lines.borrow_mut();
        if let Some(line) = lines.iter().find(|line| line.is_of(template)) {
            return render(line);
        }
        if lines.len() == LINES {
            lines.remove(0);
        }
        let line = template.bind(self.identity().map(|identity| &identity.certificate));
        let result = render(&line);
        lines.push(line);
        result
    }

    /// What the client sent.
    pub(crate) fn sent(&self) -> &Arc<ClientChain> {
        &self.sent
    }

    /// Whether there is a chain, and it is not too large to be kept.
    pub(crate) fn can_be_kept(&self) -> bool {
        self.sent.certificates().len() > 0 && !self.is_too_large()
    }

    fn is_too_large(&self) -> bool {
        self.sent.certificates().len() > MAX_CHAIN
            || self.sent.certificates().next().is_some_and(|leaf| leaf.len() > MAX_LEAF_BYTES)
            || self.sent.bytes() > MAX_CHAIN_BYTES
    }
}

impl Client {
    /// Somebody who is not asked.
    pub(crate) fn anonymous() -> Self {
        Self {
            chain: Rc::new(Chain::none()),
            trust: None,
            truststore: String::new(),
            refusal: None,
            tally: Tally::default(),
            shadow: None,
            issuers: Box::default(),
            identity_headers: OnceCell::new(),
            principal: OnceCell::new(),
            judged_at: UnixSeconds::MIN,
            holds_until: UnixSeconds::MAX,
        }
    }

    /// As records name the truststore under which it was judged.
    pub(crate) fn truststore_named(&self) -> Option<journal::Truststore<'_>> {
        self.trust.as_ref().map(|trust| journal::Truststore {
            digest: self.truststore.as_str().into(),
            version: Some(trust.version.as_str().into()),
        })
    }

    /// Whether this is what the judge would say now.
    pub(crate) fn holds(&self, trust: Option<&Arc<Trust>>, at: UnixSeconds) -> bool {
        self.is_under(trust) && self.holds_at(at)
    }

    /// Whether it was judged under just this.
    pub(crate) fn is_under(&self, trust: Option<&Arc<Trust>>) -> bool {
        match (&self.trust, trust) {
            (Some(mine), Some(trust)) => Arc::ptr_eq(mine, trust),
            (None, None) => true,
            _ => false,
        }
    }

    /// What its requests tell the backend of it, as the domain has it; formatted when first asked for.
    pub(crate) fn identity_headers(&self) -> &[(HeaderName, HeaderValue)] {
        let style = self.trust.as_ref().map(|trust| trust.identity_headers).unwrap_or_default();
        if style == IdentityHeaders::None || self.refusal.is_some() {
            return &[];
        }
        self.identity_headers.get_or_init(|| match self.chain.leaf() {
            Some(leaf) => identity::headers(style, &leaf, &self.issuers),
            None => Box::default(),
        })
    }

    /// Whom policies are asked about; made when the first one is. None: nobody whom they could be asked about.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        let principal = || match &self.trust {
            None => Some(Principal::anonymous()),
            Some(_) if self.refusal.is_some() => None,
            Some(_) => Principal::of(&self.chain.leaf()?, self.issuers.iter().map(|issuer| &**issuer)),
        };
        self.principal.get_or_init(principal).as_ref()
    }

    /// The last second at which the verdict is sure to be the same.
    pub(crate) fn holds_until(&self) -> UnixSeconds {
        self.holds_until
    }

    fn holds_at(&self, at: UnixSeconds) -> bool {
        self.judged_at <= at && at <= self.holds_until
    }

    fn new(
        trust: &Arc<Trust>,
        chain: &Rc<Chain>,
        refusal: Option<Refusal>,
        at: UnixSeconds,
        holds_until: UnixSeconds,
    ) -> Self {
        Self {
            chain: chain.clone(),
            trust: Some(trust.clone()),
            truststore: trust.truststore.digest().to_string(),
            refusal,
            issuers: Box::default(),
            identity_headers: OnceCell::new(),
            principal: OnceCell::new(),
            tally: Tally::default(),
            shadow: None,
            judged_at: at,
            holds_until,
        }
    }

    /// Whom the judge makes of a chain; or what has to be fetched before.
    fn judge(
        trust: &Arc<Trust>,
        chain: &Rc<Chain>,
        fetched: &dyn Fetched,
        at: UnixSeconds,
    ) -> Result<Self, Vec<StatusRequest>> {
        if chain.is_too_large() {
            let refusal = Refusal::of_code(Code::ClientCertMaxSizeExceeded);
            return Ok(Self::new(trust, chain, refusal, at, UnixSeconds::MAX));
        }
        let certificates: Vec<&[u8]> = chain.sent.certificates().collect();
        let view = trust.revocations.as_ref().map(|revocations| revocations.view(fetched));
        let revocation: &dyn Revocation = view.as_ref().map_or(&Unrevoked, |view| view);
        let judgment = trust.truststore.judge(&certificates, &trust.policy, revocation, at);
        // Such a handshake was let pass without a proof, so that the answer can be a 403.
        let unproven = || certificates.first().is_some_and(|leaf| !can_prove_possession(leaf));
        let refusal = match &judgment.verdict {
            Verdict::Refused(_) => explained(trust, &certificates, &judgment, at),
            _ if unproven() => Refusal::of_code(Code::ClientCertWeakKey),
            Verdict::NeedsStatus(requests) => return Err(requests.clone()),
            Verdict::Accepted(_) => None,
        };
        let (shadow, also_until) = shadow::compare(trust, &certificates, refusal.is_none(), revocation, at);
        let issuers = judgment.path().and_then(|path| path.0.get(1..)).unwrap_or_default().into();
        let until = judgment.holds_until.min(also_until).min(asked_again(trust, at));
        let client = Self::new(trust, chain, refusal, at, until);
        Ok(Self { issuers, shadow, ..client })
    }
}

/// When a verdict that may rest on something fetched is given again at the latest: the fetcher keeps current what is asked for.
fn asked_again(trust: &Trust, at: UnixSeconds) -> UnixSeconds {
    let fetches = trust.revocations.as_ref().is_some_and(|revocations| revocations.rules.fetch != Fetch::None);
    if fetches { at.saturating_add(ASKED_AGAIN) } else { UnixSeconds::MAX }
}

/// The certificates above an accepted leaf, the next one up first.
type Issuers = Box<[Arc<Certificate>]>;

/// Why the judge refuses, and what was nearly right.
fn explained(trust: &Trust, certificates: &[&[u8]], judgment: &Judgment, at: UnixSeconds) -> Option<Refusal> {
    let refused = judgment.refusal()?;
    let newer =
        trust.newer.as_ref().map(|(version, truststore)| (format!("version {version} of {}", trust.uri), truststore));
    let kind = NeighbourKind::NewerVersion;
    let neighbours: Vec<Neighbour<'_>> =
        newer.iter().map(|(name, truststore)| Neighbour { name, kind, truststore }).collect();
    let around = Surroundings { neighbours: &neighbours, seen: None };
    trust::explain(judgment, certificates, &trust.truststore, &around, &trust.policy, at)
        .map(|explained| Refusal {
            code: refused.code,
            detail: refused.detail.clone(),
            explanation: explained.explanation,
            fix: explained.fix,
            evidence: explained.evidence,
        })
        .or_else(|| Refusal::of_code(refused.code))
}

impl Refusal {
    fn of_code(code: Code) -> Option<Self> {
        Some(Self {
            code,
            detail: code.summary().to_owned(),
            explanation: code.summary().to_owned(),
            fix: code.fix().to_owned(),
            evidence: Vec::new(),
        })
    }
}

struct Verdicts {
    accepted: Memory,
    refused: Memory,
}

impl Verdicts {
    fn recall(&mut self, trust: &Arc<Trust>, digest: &[u8; 32], at: UnixSeconds) -> Option<Rc<Client>> {
        let key = Key { digest: *digest, trust: Arc::as_ptr(trust) as usize };
        // One that holds no more may still be in the other's memory.
        let mut known = [&mut self.accepted, &mut self.refused].into_iter().filter_map(|memory| memory.find(&key));
        known.find(|client| client.holds(Some(trust), at)).cloned()
    }

    fn remember(&mut self, trust: &Arc<Trust>, client: Client) -> Rc<Client> {
        let key = Key { digest: client.chain.sent.digest(), trust: Arc::as_ptr(trust) as usize };
        let memory = if client.refusal.is_none() { &mut self.accepted } else { &mut self.refused };
        let client = Rc::new(client);
        if client.chain.sent.bytes() <= REMEMBERED_BYTES {
            memory.insert(key, client.clone());
        }
        client
    }
}

impl Default for Verdicts {
    fn default() -> Self {
        Self { accepted: Memory::new(ACCEPTED), refused: Memory::new(REFUSED) }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    digest: [u8; 32],
    /// Where the [`Trust`] is: it lives while a verdict under it is remembered, so that its place is its name.
    trust: usize,
}

/// A bounded map that forgets by the clock algorithm: first what was not found since the hand last came by.
struct Memory {
    limit: usize,
    places: HashMap<Key, usize>,
    slots: Vec<Slot>,
    hand: usize,
}

struct Slot {
    key: Key,
    client: Rc<Client>,
    found: bool,
}

impl Memory {
    fn new(limit: usize) -> Self {
        Self { limit, places: HashMap::new(), slots: Vec::new(), hand: 0 }
    }

    fn find(&mut self, key: &Key) -> Option<&Rc<Client>> {
        let slot = &mut self.slots[*self.places.get(key)?];
        slot.found = true;
        Some(&slot.client)
    }

    fn insert(&mut self, key: Key, client: Rc<Client>) {
        let slot = Slot { key: key.clone(), client, found: false };
        if let Some(&place) = self.places.get(&key) {
            self.slots[place] = slot;
        } else if self.slots.len() < self.limit {
            self.places.insert(key, self.slots.len());
            self.slots.push(slot);
        } else {
            while std::mem::take(&mut self.slots[self.hand].found) {
                self.hand = (self.hand + 1) % self.limit;
            }
            self.places.remove(&self.slots[self.hand].key);
            self.places.insert(key, self.hand);
            self.slots[self.hand] = slot;
            self.hand = (self.hand + 1) % self.limit;
        }
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Bits of an RSA modulus; `None` where the SubjectPublicKeyInfo holds no RSA key (RFC 3279 section 2.3.1).
fn rsa_bits(spki: &[u8]) -> Option<usize> {
    const RSA_ENCRYPTION: [u8; 11] = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    let (inner, _) = der_value(0x30, spki)?;
    let (algorithm, rest) = der_value(0x30, inner)?;
    if !algorithm.starts_with(&RSA_ENCRYPTION) {
        return None;
    }
    let (key, _) = der_value(0x03, rest)?;
    let Some((modulus, _)) =
        der_value(0x30, key.get(1..).unwrap_or_default()).and_then(|(key, _)| der_value(0x02, key))
    else {
        return Some(0);
    };
    let significant = &modulus[modulus.iter().take_while(|&&byte| byte == 0).count()..];
    Some(significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize))
}

/// The value of an element with this tag, and what follows it.
fn der_value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Rc<Client> {
        Rc::new(Client::anonymous())
    }

    fn key(n: usize) -> Key {
        Key { digest: [0; 32], trust: n }
    }

    #[test]
    fn forgets_what_was_not_asked_for_first() {
        let mut memory = Memory::new(3);
        for n in 0..3 {
            memory.insert(key(n), client());
        }
        assert!(memory.find(&key(0)).is_some());
        memory.insert(key(3), client());
        memory.insert(key(4), client());
        let known: Vec<usize> = (0..5).filter(|n| memory.find(&key(*n)).is_some()).collect();
        assert_eq!(known, [0, 3, 4]);
        assert_eq!(memory.places.len(), 3);
    }

    fn trust() -> Arc<Trust> {
        let root = rcgen::CertificateParams::default().self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        Arc::new(Trust {
            truststore: trust::Truststore::compile(root.pem().as_bytes(), 0).unwrap().0,
            uri: String::new(),
            version: String::new(),
            policy: trust::Policy::default(),
            rejection: model::Rejection::default(),
            newer: None,
            revocations: None,
            shadow: None,
            identity_headers: IdentityHeaders::None,
            client_limits: None,
        })
    }

    #[test]
    fn what_holds_no_more_hides_nothing_and_large_chains_are_forgotten() {
        let trust = trust();
        let chain = |bytes: usize| Rc::new(Chain::new([&vec![7; bytes][..]].into_iter()));
        let client = |chain: &Rc<Chain>, refusal, at, until| Client::new(&trust, chain, refusal, at, until);
        let refused = || Refusal::of_code(Code::ClientCertExpired);
        let mut verdicts = Verdicts::default();
        let small = chain(REMEMBERED_BYTES);
        verdicts.remember(&trust, client(&small, None, 10, 20));
        assert!(verdicts.recall(&trust, &small.sent.digest(), 20).is_some_and(|known| known.refusal.is_none()));
        assert!(verdicts.recall(&trust, &small.sent.digest(), 21).is_none());
        verdicts.remember(&trust, client(&small, refused(), 21, i64::MAX));
        assert!(verdicts.recall(&trust, &small.sent.digest(), 30).is_some_and(|known| known.refusal.is_some()));
        let large = chain(REMEMBERED_BYTES + 1);
        verdicts.remember(&trust, client(&large, refused(), 10, i64::MAX));
        assert!(verdicts.recall(&trust, &large.sent.digest(), 10).is_none());
        verdicts.remember(&trust, client(&large, None, 10, i64::MAX));
        assert!(verdicts.recall(&trust, &large.sent.digest(), 10).is_none());
    }

    #[test]
    fn reads_the_size_of_rsa_keys_and_nothing_else() {
        let rsa = |modulus: &[u8]| {
            let element = |tag: u8, value: &[u8]| {
                let length = value.len() as u16;
                [&[tag, 0x82][..], &length.to_be_bytes(), value].concat()
            };
            let key = element(0x30, &[element(2, modulus), vec![2, 1, 3]].concat());
            let algorithm = [0x30, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
            element(0x30, &[&algorithm[..], &element(3, &[&[0][..], &key].concat())].concat())
        };
        let mut modulus = vec![0];
        modulus.extend([0xff; 128]);
        assert_eq!(rsa_bits(&rsa(&modulus)), Some(1024));
        modulus.extend([0; 128]);
        assert_eq!(rsa_bits(&rsa(&modulus)), Some(2048));
        assert_eq!(rsa_bits(&rsa(&[0x7f])), Some(7));
        assert_eq!(rsa_bits(&rsa(&[])), Some(0));
        assert_eq!(rsa_bits(&[0x30, 2, 0x30, 0]), None);
        for length in 0..20 {
            assert_eq!(rsa_bits(&rsa(&modulus)[..length]), None, "cut to {length}");
        }
    }
}
