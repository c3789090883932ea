//! What the ledger says of a client, and what it is told of one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use trust::{Certificate, Code, SubjectAltName, UnixSeconds};

use super::rfc3339;

/// The certificates that a client sent, leaf first, in DER; known by their digest.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientChain {
    digest: [u8; 32],
    certificates: Box<[Box<[u8]>]>,
}

/// Names a client of a domain: 32 hexadecimal digits, made of the domain's name and the chain's digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub(super) [u8; 16]);

/// What was seen of one client since it was told last.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Name of the domain's resource: `*.example.com` where that is what the client's server name led to.
    pub domain: String,
    /// What the client sent. Who sent nothing is not in the ledger.
    pub chain: Arc<ClientChain>,
    /// The last time that it was seen, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: i64,
    /// From where, then.
    pub source: IpAddr,
    /// What the judge said, then; `None`: accepted.
    pub refusal: Option<Code>,
    /// Requests that were let in.
    pub accepted: u64,
    /// Requests and handshakes that were refused.
    pub refused: u64,
    /// What the domain's shadow truststore would have done otherwise, if there is one and it would have.
    pub shadow: Option<ShadowSighting>,
}

/// Of a [`Sighting`]: the shadow truststore came to another verdict than the one enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowSighting {
    /// Digest of the shadow truststore, hexadecimal.
    pub truststore: String,
    /// Requests about which they differ.
    pub differences: u64,
    /// What the judge said under the shadow, the last time; `None`: accepted.
    pub refusal: Option<Code>,
}

/// One chain that presented itself to one domain. Times are milliseconds since 1970-01-01T00:00:00Z; in JSON, RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Of this chain in this domain.
    pub id: Id,
    /// Name of the domain.
    pub domain: String,
    /// Digest of the chain, hexadecimal; see [`ClientChain::digest`].
    pub chain: String,
    /// What the leaf says; none where it cannot be read.
    pub certificate: Option<Identity>,
    /// What the last request met.
    pub state: State,
    /// Why the last one that was refused was refused.
    pub refusal: Option<Code>,
    /// Whether it was ever accepted. Those that never were are bounded apart, and go sooner.
    pub ever_accepted: bool,
    /// First time that it was seen.
    #[serde(with = "rfc3339::of_ms")]
    pub first_seen: i64,
    /// Last time that it was seen.
    #[serde(with = "rfc3339::of_ms")]
    pub last_seen: i64,
    /// Last time that it was accepted.
    #[serde(with = "rfc3339::of_ms_if_any")]
    pub last_accepted: Option<i64>,
    /// Requests that were let in.
    pub accepted: u64,
    /// Requests and handshakes that were refused.
    pub refused: u64,
    /// Address that it came from last.
    pub source: IpAddr,
    /// What a shadow truststore would have done otherwise.
    pub shadow: Option<ShadowSeen>,
    /// Who has a certificate of the same subject that ends later, and is seen in this one's stead: since this one was seen
    /// last, or still a day after it.
    pub renewed_by: Option<Id>,
}

/// What the judge said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Let in.
    Accepted,
    /// Not.
    Refused,
}

/// Of an [`Entry`]: differences between a shadow truststore and the one enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShadowSeen {
    /// Digest of the shadow truststore; differences under another one are forgotten.
    pub truststore: String,
    /// Requests about which they differ.
    pub differences: u64,
    /// What the judge said under the shadow, the last time; none: accepted.
    pub refusal: Option<Code>,
    /// The last time, in milliseconds since 1970-01-01T00:00:00Z; in JSON, RFC 3339.
    #[serde(with = "rfc3339::of_ms")]
    pub last_seen: i64,
}

/// Whom a leaf certificate names. In JSON, times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// In AWS's form.
    pub subject: String,
    /// In AWS's form.
    pub issuer: String,
    /// In AWS's form.
    pub serial_number: String,
    /// SHA-256 of the leaf, lowercase hexadecimal.
    pub fingerprint: String,
    /// `DNS:…`, `URI:…`, `email:…`, `IP:…`, in the certificate's order.
    pub alternative_names: Vec<String>,
    /// First second of its validity.
    #[serde(with = "rfc3339::of_seconds")]
    pub not_before: UnixSeconds,
    /// Last second of its validity.
    #[serde(with = "rfc3339::of_seconds")]
    pub not_after: UnixSeconds,
}

/// How often something happened to the ledger, and in which time (milliseconds since 1970-01-01T00:00:00Z; in JSON, RFC 3339).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// How often.
    pub count: u64,
    /// The first time.
    #[serde(with = "rfc3339::of_ms")]
    pub first: i64,
    /// The last time.
    #[serde(with = "rfc3339::of_ms")]
    pub last: i64,
}

/// Sightings of one client in one batch.
#[derive(Debug)]
pub(super) struct Seen {
    /// The last of them, with the counts of all.
    pub last: Sighting,
    pub first_ms: i64,
    /// When it was accepted last.
    pub accepted_ms: Option<i64>,
}

/// What of a client is on disk; the rest is in its chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    pub domain: String,
    pub chain: String,
    pub ever_accepted: bool,
    pub refused_last: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Code>,
    pub first_ms: i64,
    pub last_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_ms: Option<i64>,
    pub accepted: u64,
    pub refused: u64,
    pub source: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowSeen>,
}

impl ClientChain {
    /// Of certificates in DER, leaf first.
    pub fn new<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let certificates: Box<[Box<[u8]>]> = certificates.into_iter().map(Box::from).collect();
        let mut context = Context::new(&SHA256);
        for certificate in &certificates {
            context.update(&(certificate.len() as u64).to_be_bytes());
            context.update(certificate);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self { digest, certificates }
    }

    /// SHA-256 of each certificate's length (eight octets, big-endian) and its DER, one after the other.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Lowercase hexadecimal of [`digest`](Self::digest).
    pub fn digest_hex(&self) -> String {
        HEXLOWER.encode(&self.digest)
    }

    /// In DER, leaf first.
    pub fn certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.certificates.iter().map(AsRef::as_ref)
    }

    /// What the leaf says; `None` where there is none, or it cannot be read.
    pub fn identity(&self) -> Option<Identity> {
        Certificate::from_der(self.certificates.first()?).ok().map(|leaf| Identity::of(&leaf))
    }

    /// Of all certificates together.
    pub fn bytes(&self) -> usize {
        self.certificates.iter().map(|certificate| certificate.len()).sum()
    }

    /// Length (four octets, big-endian) and DER of each.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut encoded = Vec::with_capacity(self.bytes() + 4 * self.certificates.len());
        for certificate in &self.certificates {
            // The edge judges 64 KiB at most, so a length always fits.
            encoded.extend_from_slice(&u32::try_from(certificate.len()).unwrap_or(u32::MAX).to_be_bytes());
            encoded.extend_from_slice(certificate);
        }
        encoded
    }

    /// `None`: the bytes are damaged.
    pub(super) fn decode(mut encoded: &[u8]) -> Option<Self> {
        let mut certificates = Vec::new();
        while let Some((length, rest)) = encoded.split_first_chunk::<4>() {
            let (certificate, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            certificates.push(certificate);
            encoded = rest;
        }
        encoded.is_empty().then(|| Self::new(certificates))
    }
}

impl Id {
    /// The first of all.
    pub(super) const FIRST: Self = Self([0; 16]);
    /// The last of all.
    pub(super) const LAST: Self = Self([0xff; 16]);

    /// Of a chain in a domain.
    pub fn of(domain: &str, chain: &[u8; 32]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(domain.as_bytes());
        context.update(&[0]);
        context.update(chain);
        let mut id = [0; 16];
        id.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(id)
    }
}

impl Sighting {
    /// Whether the client was let in, or would have been had it asked for something.
    pub(super) fn is_trusted(&self) -> bool {
        self.refusal.is_none() || self.accepted > 0
    }
}

impl Seen {
    pub(super) fn new(sighting: Sighting) -> Self {
        let accepted_ms = sighting.is_trusted().then_some(sighting.at_ms);
        Self { first_ms: sighting.at_ms, accepted_ms, last: sighting }
    }

    /// Takes in what another core, or another moment, saw of the same client.
    pub(super) fn merge(&mut self, other: Self) {
        let (last, other_last) = (&mut self.last, other.last);
        self.first_ms = self.first_ms.min(other.first_ms);
        self.accepted_ms = self.accepted_ms.max(other.accepted_ms);
        last.accepted += other_last.accepted;
        last.refused += other_last.refused;
        if other_last.at_ms >= last.at_ms {
            (last.at_ms, last.source) = (other_last.at_ms, other_last.source);
            last.refusal = other_last.refusal;
        }
        match (&mut last.shadow, other_last.shadow) {
            (Some(mine), Some(other)) if mine.truststore == other.truststore => {
                mine.differences += other.differences;
                mine.refusal = other.refusal;
            }
            (mine, other) => *mine = other.or(mine.take()),
        }
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.accepted_ms.is_some()
    }
}

impl Stored {
    pub(super) fn new(seen: &Seen) -> Self {
        let mut stored = Self {
            domain: seen.last.domain.clone(),
            chain: seen.last.chain.digest_hex(),
            ever_accepted: false,
            refused_last: false,
            refusal: None,
            first_ms: seen.first_ms,
            last_ms: seen.first_ms,
            accepted_ms: None,
            accepted: 0,
            refused: 0,
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            shadow: None,
        };
        stored.update(seen);
        stored
    }

    /// All but `ever_accepted`, which decides where it is kept.
    pub(super) fn update(&mut self, seen: &Seen) {
        let last = &seen.last;
        if last.at_ms >= self.last_ms {
            self.last_ms = last.at_ms;
            self.source = last.source.to_canonical();
            self.refused_last = last.refusal.is_some();
        }
        self.first_ms = self.first_ms.min(seen.first_ms);
        self.accepted_ms = self.accepted_ms.max(seen.accepted_ms);
        self.accepted = self.accepted.saturating_add(last.accepted);
        self.refused = self.refused.saturating_add(last.refused);
        self.refusal = last.refusal.or(self.refusal);
        if let Some(shadow) = &last.shadow {
            let known = self.shadow.take().filter(|known| known.truststore == shadow.truststore);
            self.shadow = Some(ShadowSeen {
                truststore: shadow.truststore.clone(),
                differences: shadow.differences.saturating_add(known.map_or(0, |known| known.differences)),
                refusal: shadow.refusal,
                last_seen: last.at_ms,
            });
        }
    }

    pub(super) fn into_entry(self, id: Id, certificate: Option<Identity>) -> Entry {
        Entry {
            id,
            domain: self.domain,
            chain: self.chain,
            certificate,
            state: if self.refused_last { State::Refused } else { State::Accepted },
            refusal: self.refusal,
            ever_accepted: self.ever_accepted,
            first_seen: self.first_ms,
            last_seen: self.last_ms,
            last_accepted: self.accepted_ms,
            accepted: self.accepted,
            refused: self.refused,
            source: self.source,
            shadow: self.shadow,
            renewed_by: None,
        }
    }
}

impl Identity {
    fn of(leaf: &Certificate) -> Self {
        let name = |name: &SubjectAltName| match name {
            SubjectAltName::Dns(name) => Some(format!("DNS:{name}")),
            SubjectAltName::Uri(name) => Some(format!("URI:{name}")),
            SubjectAltName::Email(name) => Some(format!("email:{name}")),
            SubjectAltName::Ip(address) => Some(format!("IP:{address}")),
            _ => None,
        };
        Self {
            subject: leaf.subject().to_owned(),
            issuer: leaf.issuer().to_owned(),
            serial_number: leaf.serial_number(),
            fingerprint: leaf.fingerprint_hex(),
            alternative_names: leaf.subject_alt_names().iter().filter_map(name).collect(),
            not_before: leaf.not_before(),
            not_after: leaf.not_after(),
        }
    }
}

impl Span {
    /// Adds what happened `count` times, the last time at `at_ms`.
    pub(super) fn add(span: &mut Option<Self>, count: u64, at_ms: i64) {
        if count > 0 {
            let span = span.get_or_insert(Self { count: 0, first: at_ms, last: at_ms });
            span.count = span.count.saturating_add(count);
            (span.first, span.last) = (span.first.min(at_ms), span.last.max(at_ms));
        }
    }
}

impl fmt::Debug for ClientChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientChain({})", self.digest_hex())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Id {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| NotAnId)?;
        bytes.try_into().map(Self).map_err(|_| NotAnId)
    }
}

/// A text that names no client: expected 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no id of a client: expected 32 hexadecimal digits")]
pub struct NotAnId;

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chain(certificates: &[Vec<u8>]) -> ClientChain {
        ClientChain::new(certificates.iter().map(Vec::as_slice))
    }

    proptest! {
        #[test]
        fn chains_come_back(certificates: Vec<Vec<u8>>) {
            let chain = chain(&certificates);
            prop_assert_eq!(ClientChain::decode(&chain.encode()), Some(chain));
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            if let Some(chain) = ClientChain::decode(&bytes) {
                let _ = chain.identity();
            }
        }

        #[test]
        fn only_what_is_equal_has_one_digest(one: Vec<Vec<u8>>, other: Vec<Vec<u8>>) {
            prop_assert_eq!(chain(&one).digest() == chain(&other).digest(), one == other);
        }
    }

    #[test]
    fn ids_are_of_domain_and_chain_and_readable() {
        let id = Id::of("a", &[1; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, Id::of("b", &[1; 32]));
        assert_ne!(id, Id::of("a", &[2; 32]));
        for text in ["", "00", "zz", &"0".repeat(31), &"0".repeat(33), &"G".repeat(32)] {
            assert_eq!(text.parse::<Id>(), Err(NotAnId), "{text}");
        }
    }

    #[test]
    fn differences_are_of_one_shadow() {
        let shadow = |truststore: &str, differences| {
            Some(ShadowSighting { truststore: truststore.to_owned(), differences, refusal: None })
        };
        let sighting = |at_ms, refusal: Option<Code>, shadow| {
            let chain = Arc::new(chain(&[]));
            let source = [192, 0, 2, 1].into();
            let accepted = u64::from(refusal.is_none());
            Seen::new(Sighting { domain: "d".to_owned(), chain, at_ms, source, refusal, accepted, refused: 0, shadow })
        };
        let mut stored = Stored::new(&sighting(5, None, shadow("a", 2)));
        stored.update(&sighting(5, None, shadow("a", 2)));
        assert_eq!(stored.shadow.as_ref().map(|shadow| shadow.differences), Some(4));
        let mut seen = sighting(5, None, shadow("a", 2));
        seen.merge(sighting(4, Some(Code::ClientCertExpired), shadow("a", 1)));
        assert_eq!((seen.first_ms, seen.last.at_ms, seen.last.refusal, seen.last.accepted), (4, 5, None, 1));
        assert_eq!(seen.last.shadow, shadow("a", 3));
        stored.update(&sighting(6, None, shadow("b", 1)));
        assert_eq!(stored.shadow.map(|shadow| (shadow.truststore, shadow.differences)), Some(("b".to_owned(), 1)));
    }
}
