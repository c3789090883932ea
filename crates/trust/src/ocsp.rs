//! The Online Certificate Status Protocol (RFC 6960): the bytes to send, and what the answer says.

use aws_lc_rs::digest;

use crate::crl::Reason;
use crate::der::{self, Element, Malformed};
use crate::key::{self, SignatureAlgorithm};
use crate::revocation::SKEW;
use crate::search::quoted;
use crate::{Certificate, UnixSeconds, extensions, rules, time};

/// Largest response that is read. One is hardly larger than the certificate that comes with it.
pub const MAX_OCSP_BYTES: usize = 64 * 1024;
/// Certificates that are read of a response.
const MAX_CERTIFICATES: usize = 8;
/// How long a status holds that says of itself that there is always a newer one (section 4.2.2.1: it has no
/// nextUpdate). Whoever sits between may play back an old one for as long.
const WITHOUT_NEXT_UPDATE: UnixSeconds = 3_600;

/// Names one certificate to a responder (section 4.1.1), by SHA-1 as all of them know it. Nothing rests on the hash: the
/// answer is signed, and told from others of the same issuer by the serial number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertId {
    issuer_name_hash: [u8; 20],
    issuer_key_hash: [u8; 20],
    serial: Box<[u8]>,
}

/// What a responder says of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspStatus {
    status: CertStatus,
    this_update: UnixSeconds,
    until: UnixSeconds,
    responder: String,
}

/// `CertStatus` of section 4.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertStatus {
    /// Not revoked.
    Good,
    /// Revoked, for good or for a while.
    Revoked {
        /// Since when.
        at: UnixSeconds,
        /// Why.
        reason: Reason,
    },
    /// The responder does not know it.
    Unknown,
}

/// Why an answer tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OcspError {
    /// More than [`MAX_OCSP_BYTES`].
    #[error("the OCSP response has {0} bytes; at most {MAX_OCSP_BYTES} are read")]
    TooLarge(usize),
    /// Not the DER of section 4.2.1.
    #[error("the OCSP response cannot be read: its {0} is malformed")]
    Malformed(&'static str),
    /// `responseStatus` is not `successful`.
    #[error("the OCSP responder answers {0}")]
    Unsuccessful(&'static str),
    /// Not id-pkix-ocsp-basic.
    #[error("the OCSP response is not a basic one")]
    NotBasic,
    /// SHA-1, MD5, or unknown.
    #[error("the OCSP response is signed with {0}; SHA-256 or stronger is needed")]
    WeakSignature(String),
    /// An extension.
    #[error("the OCSP response has a critical extension that is not understood: {0}")]
    UnknownCritical(String),
    /// Neither the issuer's key signed it, nor that of a certificate in it that the issuer made for this purpose and
    /// that is within its validity (section 4.2.2.2).
    #[error("the OCSP response is signed neither by the certificate's issuer nor by a responder that it appointed")]
    Unauthorized,
    /// It is of other certificates.
    #[error("the OCSP response is not about the certificate")]
    OtherCertificate,
    /// `thisUpdate` is of the future.
    #[error("the OCSP response is of the future ({})", time::rfc3339(*.0))]
    NotYetValid(UnixSeconds),
    /// `nextUpdate` has passed.
    #[error("the OCSP response is out of date since {}", time::rfc3339(*.0))]
    Stale(UnixSeconds),
}

impl CertId {
    /// Of a certificate and its issuer.
    pub fn of(certificate: &Certificate, issuer: &Certificate) -> Self {
        let sha1 = |bytes: &[u8]| {
            let mut hash = [0; 20];
            hash.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref());
            hash
        };
        Self {
            issuer_name_hash: sha1(issuer.subject_der()),
            issuer_key_hash: sha1(key_bits(issuer)),
            serial: certificate.serial_bytes().into(),
        }
    }
}

impl OcspStatus {
    /// The DER of a request for one certificate (section 4.1), without a nonce, so that answers can come from a cache.
    pub fn request(id: &CertId) -> Vec<u8> {
        const SHA1: [u8; 11] = [0x30, 9, 0x06, 5, 0x2b, 14, 3, 2, 26, 0x05, 0];
        let hash = |hash: &[u8; 20]| element(der::OCTET_STRING, hash);
        let serial = element(der::INTEGER, &id.serial);
        let id = [&SHA1[..], &hash(&id.issuer_name_hash), &hash(&id.issuer_key_hash), &serial].concat();
        // CertID in Request in requestList in TBSRequest in OCSPRequest.
        (0..5).fold(id, |inner, _| element(der::SEQUENCE, &inner))
    }

    /// Reads the answer to such a request: signed by `issuer` or by whom it appointed, about `certificate`, and current
    /// at `at` (five minutes are allowed for clocks).
    pub fn read(
        response: &[u8],
        certificate: &Certificate,
        issuer: &Certificate,
        at: UnixSeconds,
    ) -> Result<Self, OcspError> {
        if response.len() > MAX_OCSP_BYTES {
            return Err(OcspError::TooLarge(response.len()));
        }
        let basic = Basic::parse(basic_response(response)?)?;
        let data = Data::parse(basic.data)?;
        let responder = basic.responder(&data, issuer, at).ok_or(OcspError::Unauthorized)?;
        let single = data.newest(certificate, issuer)?.ok_or(OcspError::OtherCertificate)?;
        if at < single.this_update.saturating_sub(SKEW) {
            return Err(OcspError::NotYetValid(single.this_update));
        }
        let until = match single.next_update {
            Some(next_update) => next_update.saturating_add(SKEW),
            None => single.this_update.saturating_add(WITHOUT_NEXT_UPDATE),
        };
        if at > until {
            return Err(OcspError::Stale(until));
        }
        Ok(Self { status: single.status, this_update: single.this_update, until, responder })
    }

    /// What it says.
    pub fn status(&self) -> CertStatus {
        self.status
    }

    /// When the responder knew that.
    pub fn this_update(&self) -> UnixSeconds {
        self.this_update
    }

    /// The last second at which it is current.
    pub fn until(&self) -> UnixSeconds {
        self.until
    }

    /// Who says it, for people: `the OCSP responder "CN=OCSP"`.
    pub fn responder(&self) -> &str {
        &self.responder
    }
}

/// The `BasicOCSPResponse` of an `OCSPResponse`.
fn basic_response(response: &[u8]) -> Result<&[u8], OcspError> {
    const ENUMERATED: u8 = 0x0a;
    const BASIC: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
    let mut outer = der::only(response, der::SEQUENCE).of("DER")?.inside();
    match outer.expect(ENUMERATED).of("responseStatus")?.value {
        [0] => {}
        [1] => return Err(OcspError::Unsuccessful("malformedRequest")),
        [2] => return Err(OcspError::Unsuccessful("internalError")),
        [3] => return Err(OcspError::Unsuccessful("tryLater")),
        [5] => return Err(OcspError::Unsuccessful("sigRequired")),
        [6] => return Err(OcspError::Unsuccessful("unauthorized")),
        _ => return Err(OcspError::Malformed("responseStatus")),
    }
    let explicit = outer.expect(der::constructed(0)).of("responseBytes")?;
    outer.finish().of("end")?;
    let mut bytes = der::only(explicit.value, der::SEQUENCE).of("responseBytes")?.inside();
    let kind = bytes.expect(der::OID).of("responseType")?.value;
    let basic = bytes.expect(der::OCTET_STRING).of("response")?.value;
    bytes.finish().of("responseBytes")?;
    if kind == BASIC { Ok(basic) } else { Err(OcspError::NotBasic) }
}

/// A `BasicOCSPResponse`.
struct Basic<'a> {
    data: Element<'a>,
    algorithm_id: &'a [u8],
    signature: &'a [u8],
    certificates: Vec<Certificate>,
}

impl<'a> Basic<'a> {
    fn parse(der: &'a [u8]) -> Result<Self, OcspError> {
        let mut fields = der::only(der, der::SEQUENCE).of("response")?.inside();
        let data = fields.expect(der::SEQUENCE).of("tbsResponseData")?;
        let algorithm_id = fields.expect(der::SEQUENCE).of("signatureAlgorithm")?.value;
        let signature = fields.expect(der::BIT_STRING).of("signature")?.octet_aligned_bits().of("signature")?;
        let certificates = fields.optional(der::constructed(0)).of("certs")?;
        fields.finish().of("response")?;
        if let SignatureAlgorithm::Refused(name) = SignatureAlgorithm::of(algorithm_id).of("signatureAlgorithm")? {
            return Err(OcspError::WeakSignature(name));
        }
        let certificates =
            certificates.map(|explicit| appointed(explicit).of("certs")).transpose()?.unwrap_or_default();
        Ok(Self { data, algorithm_id, signature, certificates })
    }

    /// Who signed it, if that may: for people.
    fn responder(&self, data: &Data<'_>, issuer: &Certificate, at: UnixSeconds) -> Option<String> {
        if data.responder.is(issuer) && self.is_signed_by(issuer) {
            return Some(format!("the OCSP responder of {}", quoted(issuer.subject())));
        }
        let delegate = self.certificates.iter().find(|delegate| {
            data.responder.is(delegate) && may_respond(delegate, issuer, at) && self.is_signed_by(delegate)
        })?;
        Some(format!("the OCSP responder {}", quoted(delegate.subject())))
    }

    fn is_signed_by(&self, signer: &Certificate) -> bool {
        key::verifies(signer.public_key_value(), self.algorithm_id, self.data.whole, self.signature)
    }
}

/// The certificates that come along; what cannot be read as one is left out.
fn appointed(explicit: Element<'_>) -> Result<Vec<Certificate>, Malformed> {
    let mut list = der::only(explicit.value, der::SEQUENCE)?.inside();
    let mut certificates = Vec::new();
    while !list.is_empty() && certificates.len() < MAX_CERTIFICATES {
        certificates.extend(Certificate::from_der(list.any()?.whole));
    }
    Ok(certificates)
}

/// Section 4.2.2.2: `issuer` itself made the delegate's certificate, for this purpose. That it is revoked in turn is not
/// looked for: those certificates live for days, or say that nobody should.
fn may_respond(delegate: &Certificate, issuer: &Certificate, at: UnixSeconds) -> bool {
    let extensions = delegate.extensions();
    delegate.issuer_der() == issuer.subject_der()
        && (delegate.not_before()..=delegate.not_after()).contains(&at)
        && extensions.extended_key_usage.as_ref().is_some_and(|usage| usage.ocsp_signing)
        && extensions.key_usage.is_none_or(|usage| usage.signs_data())
        && rules::extension_defect(delegate).is_none()
        && delegate.is_signed_by(issuer)
}

/// A `ResponseData`.
struct Data<'a> {
    responder: ResponderId<'a>,
    /// Of `SingleResponse`s.
    responses: Element<'a>,
}

enum ResponderId<'a> {
    /// A `Name`, whole.
    Name(&'a [u8]),
    /// SHA-1 of the key's bits.
    Key(&'a [u8]),
}

impl<'a> Data<'a> {
    fn parse(data: Element<'a>) -> Result<Self, OcspError> {
        let mut fields = data.inside();
        if let Some(version) = fields.optional(der::constructed(0)).of("version")? {
            match der::only(version.value, der::INTEGER).of("version")?.value {
                [0] => {}
                _ => return Err(OcspError::Malformed("version")),
            }
        }
        let id = fields.any().of("responderID")?;
        let responder = match id.tag {
            0xa1 => ResponderId::Name(der::only(id.value, der::SEQUENCE).of("responderID")?.whole),
            0xa2 => ResponderId::Key(der::only(id.value, der::OCTET_STRING).of("responderID")?.value),
            _ => return Err(OcspError::Malformed("responderID")),
        };
        fields.expect(der::GENERALIZED_TIME).and_then(time::unix).of("producedAt")?;
        let responses = fields.expect(der::SEQUENCE).of("responses")?;
        refuse_critical(fields.optional(der::constructed(1)).of("responseExtensions")?)?;
        fields.finish().of("tbsResponseData")?;
        Ok(Self { responder, responses })
    }

    /// The newest that it says of a certificate.
    fn newest(&self, certificate: &Certificate, issuer: &Certificate) -> Result<Option<Single>, OcspError> {
        let mut newest: Option<Single> = None;
        let mut list = self.responses.inside();
        while !list.is_empty() {
            let single = list.expect(der::SEQUENCE).of("responses")?;
            if let Some(single) = Single::parse(single, certificate, issuer)?
                && newest.as_ref().is_none_or(|newest| newest.this_update < single.this_update)
            {
                newest = Some(single);
            }
        }
        Ok(newest)
    }
}

impl ResponderId<'_> {
    fn is(&self, signer: &Certificate) -> bool {
        match self {
            Self::Name(name) => *name == signer.subject_der(),
            Self::Key(hash) => *hash == digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, key_bits(signer)).as_ref(),
        }
    }
}

/// A `SingleResponse`.
struct Single {
    status: CertStatus,
    this_update: UnixSeconds,
    next_update: Option<UnixSeconds>,
}

impl Single {
    /// `None` if it is of another certificate.
    fn parse(
        response: Element<'_>,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<Option<Self>, OcspError> {
        let mut fields = response.inside();
        let id = fields.expect(der::SEQUENCE).of("certID")?;
        let status = fields.any().and_then(cert_status).of("certStatus")?;
        let this_update = fields.expect(der::GENERALIZED_TIME).and_then(time::unix).of("thisUpdate")?;
        let next_update = fields.optional(der::constructed(0)).of("nextUpdate")?;
        let next_update = next_update.map(|time| der::only(time.value, der::GENERALIZED_TIME).and_then(time::unix));
        let next_update = next_update.transpose().of("nextUpdate")?;
        let extensions = fields.optional(der::constructed(1)).of("singleExtensions")?;
        fields.finish().of("responses")?;
        if !is_of(id, certificate, issuer).of("certID")? {
            return Ok(None);
        }
        refuse_critical(extensions)?;
        Ok(Some(Self { status, this_update, next_update }))
    }
}

fn cert_status(status: Element<'_>) -> Result<CertStatus, Malformed> {
    const GOOD: u8 = der::context(0);
    const REVOKED: u8 = der::constructed(1);
    const UNKNOWN: u8 = der::context(2);
    match (status.tag, status.value) {
        (GOOD, []) => Ok(CertStatus::Good),
        (UNKNOWN, []) => Ok(CertStatus::Unknown),
        (REVOKED, _) => {
            const ENUMERATED: u8 = 0x0a;
            let mut fields = status.inside();
            let at = fields.expect(der::GENERALIZED_TIME).and_then(time::unix)?;
            let reason = match fields.optional(der::constructed(0))? {
                // An answer that says "revoked" for the reason that it is not is no answer.
                Some(reason) => Reason::of(der::only(reason.value, ENUMERATED)?.value)?.ok_or(Malformed)?,
                None => Reason::Unspecified,
            };
            fields.finish()?;
            Ok(CertStatus::Revoked { at, reason })
        }
        _ => Err(Malformed),
    }
}

/// Whether a `CertID` means this certificate; by whatever hash it says so.
fn is_of(id: Element<'_>, certificate: &Certificate, issuer: &Certificate) -> Result<bool, Malformed> {
    let mut fields = id.inside();
    let algorithm = fields.expect(der::SEQUENCE)?.inside().expect(der::OID)?.value;
    let name_hash = fields.expect(der::OCTET_STRING)?.value;
    let key_hash = fields.expect(der::OCTET_STRING)?.value;
    let serial = fields.expect(der::INTEGER)?.value;
    fields.finish()?;
    let algorithm = match algorithm {
        [0x2b, 14, 3, 2, 26] => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1] => &digest::SHA256,
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2] => &digest::SHA384,
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3] => &digest::SHA512,
        _ => return Ok(false),
    };
    Ok(serial == certificate.serial_bytes()
        && name_hash == digest::digest(algorithm, issuer.subject_der()).as_ref()
        && key_hash == digest::digest(algorithm, key_bits(issuer)).as_ref())
}

fn refuse_critical(explicit: Option<Element<'_>>) -> Result<(), OcspError> {
    const FIELD: &str = "extensions";
    let Some(explicit) = explicit else { return Ok(()) };
    let mut list = der::only(explicit.value, der::SEQUENCE).of(FIELD)?.inside();
    while !list.is_empty() {
        let (oid, critical, _) = extensions::extension(&mut list).of(FIELD)?;
        if critical {
            return Err(OcspError::UnknownCritical(der::dotted(oid).of(FIELD)?));
        }
    }
    Ok(())
}

/// The bits of a certificate's key, which were read when it was parsed.
fn key_bits(certificate: &Certificate) -> &[u8] {
    key::algorithm_and_key(certificate.public_key_value()).map_or(&[], |(_, key)| key)
}

/// One element in DER.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|&&octet| octet == 0).count()..];
    let mut whole = vec![tag];
    match content.len() {
        0..=0x7f => whole.push(content.len() as u8),
        _ => {
            whole.push(0x80 | significant.len() as u8);
            whole.extend(significant);
        }
    }
    whole.extend(content);
    whole
}

/// Names the field in which something malformed was found.
trait Of<T> {
    fn of(self, field: &'static str) -> Result<T, OcspError>;
}

impl<T> Of<T> for Result<T, Malformed> {
    fn of(self, field: &'static str) -> Result<T, OcspError> {
        self.map_err(|Malformed| OcspError::Malformed(field))
    }
}
