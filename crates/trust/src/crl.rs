//! Certificate revocation lists (RFC 5280 section 5).
//!
//! Complete lists by the issuer itself. Delta lists, indirect ones and those for some reasons only are refused when
//! they are read, and so is what has a critical extension that is not understood.

use std::cmp::Ordering;
use std::fmt;

use self::entries::Entries;
use self::signature::Signature;
use crate::certificate::{self, serial_text};
use crate::der::{self, Element, Malformed, Reader};
use crate::key::SignatureAlgorithm;
use crate::revocation::SKEW;
use crate::{Certificate, Digest, Profile, UnixSeconds, name, pem, time};

mod entries;
mod signature;

/// Largest input of [`Crl::read`]: a list of three million certificates.
pub const MAX_CRL_BYTES: usize = 128 * 1024 * 1024;
/// Lists in one PEM text.
const MAX_CRLS: usize = 1_000;
/// More extensions than any list has.
const MAX_EXTENSIONS: usize = 64;

/// One list, read and compact; its signature is checked against a key that it is held to, once.
pub struct Crl {
    digest: Digest,
    issuer: Box<[u8]>,
    issuer_text: String,
    this_update: UnixSeconds,
    next_update: Option<UnixSeconds>,
    extensions: Extensions,
    /// A must of RFC 5280 that it breaks and that does not make it unusable.
    lapse: Option<&'static str>,
    entries: Entries,
    signature: Signature,
}

/// What a list says of a certificate that is on it: from now on, whatever the date is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Since when; dates before 1970 and after 2106 are the nearest in between.
    pub at: UnixSeconds,
    /// Why.
    pub reason: Reason,
}

/// `CRLReason` (section 5.3.1), without removeFromCRL: an entry with that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reason {
    Unspecified,
    KeyCompromise,
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    CertificateHold,
    PrivilegeWithdrawn,
    AaCompromise,
}

/// Why bytes give no lists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlError {
    /// More than [`MAX_CRL_BYTES`].
    #[error("the revocation list has {0} bytes; at most {MAX_CRL_BYTES} are read")]
    TooLarge(usize),
    /// More lists than are read from one text.
    #[error("there are {0} revocation lists; at most {MAX_CRLS} are read")]
    TooMany(usize),
    /// Neither DER nor a PEM block of that name.
    #[error("there is no revocation list in it; expected DER, or PEM (-----BEGIN X509 CRL-----)")]
    Empty,
    /// A PEM block that cannot be decoded.
    #[error("the PEM block in line {line} is broken")]
    Pem {
        /// Of its BEGIN marker, from 1.
        line: usize,
    },
    /// A list that cannot be used.
    #[error("the revocation list{} {fault}", in_line(*line))]
    Unusable {
        /// Of its BEGIN marker, from 1; none for DER.
        line: Option<usize>,
        /// Why not.
        fault: CrlFault,
    },
}

/// Why one list cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrlFault {
    /// Not the DER of section 5.1.
    #[error("cannot be read: its {0} is malformed")]
    Malformed(&'static str),
    /// Its two algorithm identifiers differ.
    #[error("has two different signature algorithms")]
    AlgorithmsDiffer,
    /// SHA-1, MD5, or unknown.
    #[error("is signed with {0}; SHA-256 or stronger is needed")]
    WeakSignature(String),
    /// Section 5.2.4: it needs the list that it completes.
    #[error("is a delta list; give the complete one")]
    Delta,
    /// Section 5.2.5: it lists certificates of other issuers.
    #[error("is an indirect one (it lists certificates of other issuers), which is not supported")]
    Indirect,
    /// Section 5.2.5: a certificate may be revoked although it is not on it.
    #[error("is for some reasons only, which is not supported")]
    SomeReasons,
    /// Section 5.2.5: it lists no certificates that are judged here.
    #[error("is for attribute certificates only")]
    AttributeCertificates,
    /// Section 5.2.5: its distribution point is named relative to an issuer.
    #[error("has a distribution point with a relative name, which is not supported")]
    RelativeName,
    /// An extension of the list or of an entry.
    #[error("has a critical extension that is not understood: {0}")]
    UnknownCritical(String),
}

/// Why a list says nothing of a certificate, although its issuer's name is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("it is of the future")]
    NotYetValid,
    #[error("it is for certificates of CAs only")]
    OnlyAuthorities,
    #[error("it is for certificates of end entities only")]
    OnlyUsers,
    #[error("it is for another distribution point than the certificate names")]
    OtherDistributionPoint,
    #[error("the issuer's key usage lacks cRLSign")]
    NoCrlSign,
    #[error("RFC 5280 forbids it: {0}")]
    Lapse(&'static str),
    #[error("the issuer's key did not sign it")]
    OtherKey,
}

impl Crl {
    /// Reads one list in DER, or those of a PEM text, which may hold other things besides.
    pub fn read(bytes: &[u8]) -> Result<Vec<Self>, CrlError> {
        if bytes.len() > MAX_CRL_BYTES {
            return Err(CrlError::TooLarge(bytes.len()));
        }
        let unusable = |line| move |fault| CrlError::Unusable { line, fault };
        if bytes.first() == Some(&der::SEQUENCE) {
            return Ok(vec![Self::from_der(bytes).map_err(unusable(None))?]);
        }
        let mut blocks = pem::blocks(bytes);
        blocks.retain(|block| matches!(block.label, "X509 CRL" | "CRL"));
        match blocks.len() {
            0 => return Err(CrlError::Empty),
            count if count > MAX_CRLS => return Err(CrlError::TooMany(count)),
            _ => {}
        }
        let list = |block: pem::Block<'_>| {
            let der = block.body.map_err(|_| CrlError::Pem { line: block.line })?;
            Self::from_der(&der).map_err(unusable(Some(block.line)))
        };
        blocks.into_iter().map(list).collect()
    }

    /// SHA-256 of its DER.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The issuer in AWS's form.
    pub fn issuer(&self) -> &str {
        &self.issuer_text
    }

    /// The issuer's `Name`, the whole TLV.
    pub fn issuer_der(&self) -> &[u8] {
        &self.issuer
    }

    /// When it was made.
    pub fn this_update(&self) -> UnixSeconds {
        self.this_update
    }

    /// Until when it is current. Without it, as long as there is no newer one.
    pub fn next_update(&self) -> Option<UnixSeconds> {
        self.next_update
    }

    /// The CRL number, in the form of a certificate's serial number.
    pub fn number(&self) -> Option<String> {
        self.extensions.number.as_deref().map(serial_text)
    }

    /// How many certificates are on it.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no certificate is on it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it says of the certificate with this serial number (content octets, as in the certificate).
    pub fn find(&self, serial: &[u8]) -> Option<Revoked> {
        self.entries.find(serial)
    }

    /// Whether a certificate is on it that is not on `other`: whoever was let in by that one may not be by this one.
    pub fn revokes_more_than(&self, other: &Self) -> bool {
        self.entries.has_more_than(&other.entries)
    }

    /// Whether the key of `issuer` made its signature; the names are not compared. Asked a second time, the answer is
    /// at hand.
    pub fn is_signed_by(&self, issuer: &Certificate) -> bool {
        self.signature.is_by(issuer)
    }

    /// Whether it can say something of `certificate` at `at` by the rules of sections 5 and 6.3.3. The names of the
    /// two issuers are the same already. The signature comes last, because it costs most.
    pub(crate) fn fitness(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        profile: Profile,
        at: UnixSeconds,
    ) -> Result<(), Unfit> {
        if at < self.this_update.saturating_sub(SKEW) {
            return Err(Unfit::NotYetValid);
        }
        match self.extensions.only {
            Only::Users if certificate.is_ca() => return Err(Unfit::OnlyUsers),
            Only::Authorities if !certificate.is_ca() => return Err(Unfit::OnlyAuthorities),
            _ => {}
        }
        if let Some(names) = &self.extensions.distribution_point
            && !certificate.distribution_points().any(|point| names.iter().any(|name| **name == *point))
        {
            return Err(Unfit::OtherDistributionPoint);
        }
        if issuer.extensions().key_usage.is_some_and(|usage| !usage.crl_sign()) {
            return Err(Unfit::NoCrlSign);
        }
        if profile == Profile::Rfc5280
            && let Some(lapse) = self.lapse
        {
            return Err(Unfit::Lapse(lapse));
        }
        if self.is_signed_by(issuer) { Ok(()) } else { Err(Unfit::OtherKey) }
    }

    /// Which is the older: by date, then by number.
    pub(crate) fn cmp_age(&self, other: &Self) -> Ordering {
        let by_number = || by_number(self.extensions.number.as_deref(), other.extensions.number.as_deref());
        self.this_update.cmp(&other.this_update).then_with(by_number)
    }

    fn from_der(der: &[u8]) -> Result<Self, CrlFault> {
        let mut outer = der::only(der, der::SEQUENCE).of("DER")?.inside();
        let tbs = outer.expect(der::SEQUENCE).of("tbsCertList")?;
        let algorithm = outer.expect(der::SEQUENCE).of("signatureAlgorithm")?;
        let signature = outer.expect(der::BIT_STRING).of("signatureValue")?;
        let signature = signature.octet_aligned_bits().of("signatureValue")?;
        outer.finish().of("end")?;

        let mut fields = tbs.inside();
        let version = version(&mut fields).of("version")?;
        let inner_algorithm = fields.expect(der::SEQUENCE).of("signature")?;
        let issuer = fields.expect(der::SEQUENCE).of("issuer")?;
        let this_update = fields.any().and_then(time::unix).of("thisUpdate")?;
        let next_update = next_update(&mut fields).of("nextUpdate")?;
        let revoked = fields.optional(der::SEQUENCE).of("revokedCertificates")?;
        let extensions = fields.optional(der::constructed(0)).of("crlExtensions")?;
        fields.finish().of("tbsCertList")?;

        if inner_algorithm.whole != algorithm.whole {
            return Err(CrlFault::AlgorithmsDiffer);
        }
        if let SignatureAlgorithm::Refused(name) = SignatureAlgorithm::of(algorithm.value).of("signatureAlgorithm")? {
            return Err(CrlFault::WeakSignature(name));
        }
        if extensions.is_some() && version == 1 {
            return Err(CrlFault::Malformed("version"));
        }
        let extensions = extensions.map(Extensions::parse).transpose()?.unwrap_or_default();
        let entries = revoked.map(|revoked| Entries::parse(revoked, version)).transpose()?.unwrap_or_default();
        Ok(Self {
            digest: Digest(certificate::sha256(der)),
            issuer: issuer.whole.into(),
            issuer_text: name::text(issuer.value).of("issuer")?,
            this_update,
            next_update,
            lapse: lapse(version, next_update, &extensions),
            extensions,
            entries,
            signature: Signature::new(tbs, algorithm, signature),
        })
    }
}

impl fmt::Debug for Crl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crl")
            .field("issuer", &self.issuer_text)
            .field("this_update", &time::rfc3339(self.this_update))
            .field("len", &self.len())
            .field("sha256", &self.digest)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Crl {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Crl {}

impl fmt::Display for Reason {
    /// As RFC 5280 writes it, e.g. `keyCompromise`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        })
    }
}

impl Reason {
    /// Of an ENUMERATED's content; `None` inside for removeFromCRL.
    pub(crate) fn of(value: &[u8]) -> Result<Option<Self>, Malformed> {
        Ok(Some(match value {
            [0] => Self::Unspecified,
            [1] => Self::KeyCompromise,
            [2] => Self::CaCompromise,
            [3] => Self::AffiliationChanged,
            [4] => Self::Superseded,
            [5] => Self::CessationOfOperation,
            [6] => Self::CertificateHold,
            [8] => return Ok(None),
            [9] => Self::PrivilegeWithdrawn,
            [10] => Self::AaCompromise,
            _ => return Err(Malformed),
        }))
    }
}

/// What a list's extensions (section 5.2) say.
#[derive(Default)]
struct Extensions {
    /// Content octets of an INTEGER.
    number: Option<Box<[u8]>>,
    number_is_critical: bool,
    only: Only,
    /// Names of the issuing distribution point, if it has one: `GeneralName`s, whole.
    distribution_point: Option<Vec<Box<[u8]>>>,
}

/// Whose certificates a list is for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Only {
    #[default]
    All,
    Users,
    Authorities,
}

impl Extensions {
    fn parse(explicit: Element<'_>) -> Result<Self, CrlFault> {
        let mut list = der::only(explicit.value, der::SEQUENCE).of("crlExtensions")?.inside();
        let mut extensions = Self::default();
        let mut seen: Vec<&[u8]> = Vec::new();
        while !list.is_empty() {
            let (oid, critical, value) = crate::extensions::extension(&mut list).of("crlExtensions")?;
            if seen.contains(&oid) || seen.len() == MAX_EXTENSIONS {
                return Err(CrlFault::Malformed("crlExtensions"));
            }
            seen.push(oid);
            extensions.remember(oid, critical, value)?;
        }
        Ok(extensions)
    }

    fn remember(&mut self, oid: &[u8], critical: bool, value: &[u8]) -> Result<(), CrlFault> {
        match oid {
            [0x55, 0x1d, 20] => {
                let number = der::only(value, der::INTEGER).of("cRLNumber")?;
                self.number = Some(number.value.into());
                self.number_is_critical = critical;
            }
            [0x55, 0x1d, 27] => return Err(CrlFault::Delta),
            [0x55, 0x1d, 28] => self.issuing_distribution_point(value)?,
            // The authority key identifier helps to choose among keys; here the signature tells.
            [0x55, 0x1d, 35] => drop(der::only(value, der::SEQUENCE).of("authorityKeyIdentifier")?),
            other if critical => {
                return Err(CrlFault::UnknownCritical(der::dotted(other).of("crlExtensions")?));
            }
            _ => {}
        }
        Ok(())
    }

    /// Section 5.2.5.
    fn issuing_distribution_point(&mut self, value: &[u8]) -> Result<(), CrlFault> {
        const FIELD: &str = "issuingDistributionPoint";
        let mut fields = der::only(value, der::SEQUENCE).of(FIELD)?.inside();
        if let Some(point) = fields.optional(der::constructed(0)).of(FIELD)? {
            let mut choice = point.inside();
            let Some(names) = choice.optional(der::constructed(0)).of(FIELD)? else {
                return Err(CrlFault::RelativeName);
            };
            let mut names = names.inside();
            let mut known = Vec::new();
            while !names.is_empty() {
                known.push(names.any().of(FIELD)?.whole.into());
            }
            self.distribution_point = Some(known);
        }
        let (mut flags, mut some_reasons) = ([false; 6], false);
        for number in 1..=5 {
            let Some(field) = fields.optional(der::context(number)).of(FIELD)? else { continue };
            match number {
                3 => some_reasons = true,
                _ => flags[usize::from(number)] = field.boolean().of(FIELD)?,
            }
        }
        let [_, users, authorities, _, indirect, attributes] = flags;
        fields.finish().of(FIELD)?;
        self.only = match (users, authorities, attributes) {
            (false, false, false) => Only::All,
            (true, false, false) => Only::Users,
            (false, true, false) => Only::Authorities,
            (false, false, true) => return Err(CrlFault::AttributeCertificates),
            _ => return Err(CrlFault::Malformed(FIELD)),
        };
        match (indirect, some_reasons) {
            (true, _) => Err(CrlFault::Indirect),
            (_, true) => Err(CrlFault::SomeReasons),
            _ => Ok(()),
        }
    }
}

/// Names the field in which something malformed was found.
trait Of<T> {
    fn of(self, field: &'static str) -> Result<T, CrlFault>;
}

impl<T> Of<T> for Result<T, Malformed> {
    fn of(self, field: &'static str) -> Result<T, CrlFault> {
        self.map_err(|Malformed| CrlFault::Malformed(field))
    }
}

fn version(fields: &mut Reader<'_>) -> Result<u8, Malformed> {
    match fields.optional(der::INTEGER)?.map(|version| version.value) {
        None => Ok(1),
        Some([1]) => Ok(2),
        Some(_) => Err(Malformed),
    }
}

fn next_update(fields: &mut Reader<'_>) -> Result<Option<UnixSeconds>, Malformed> {
    for tag in [der::UTC_TIME, der::GENERALIZED_TIME] {
        if let Some(time) = fields.optional(tag)? {
            return time::unix(time).map(Some);
        }
    }
    Ok(None)
}

/// Sections 5.1.2.5 and 5.2.3. Lists that break these are common; they are used where the profile does not ask.
fn lapse(version: u8, next_update: Option<UnixSeconds>, extensions: &Extensions) -> Option<&'static str> {
    match &extensions.number {
        _ if next_update.is_none() => Some("it has no nextUpdate"),
        None if version > 1 => Some("it has no CRL number"),
        Some(_) if extensions.number_is_critical => Some("its CRL number is marked critical"),
        _ => None,
    }
}

/// Of the content octets of two INTEGERs that are not negative.
fn by_number(one: Option<&[u8]>, other: Option<&[u8]>) -> Ordering {
    fn significant(number: &[u8]) -> (usize, &[u8]) {
        let number = &number[number.iter().take_while(|&&octet| octet == 0).count()..];
        (number.len(), number)
    }
    one.map(significant).cmp(&other.map(significant))
}

fn in_line(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(" in line {line}"))
}
