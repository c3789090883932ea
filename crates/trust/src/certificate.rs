//! One X.509 certificate, parsed once.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::digest;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::constraints::NameConstraints;
use crate::der::{self, Element, Malformed, Reader};
use crate::extensions::Extensions;
use crate::key::{PublicKey, SignatureAlgorithm};
use crate::{UnixSeconds, name, time};

/// A parsed certificate (X.509 v1, v2 or v3). Holds its DER and what the judge and the log need of it.
pub struct Certificate {
    der: Box<[u8]>,
    version: u8,
    tbs: Span,
    serial: Span,
    issuer: Span,
    subject: Span,
    spki: Span,
    signature_algorithm_id: Span,
    signature: Span,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    subject_text: String,
    issuer_text: String,
    key: PublicKey,
    signature_algorithm: SignatureAlgorithm,
    extensions: Extensions,
    fingerprint: [u8; 32],
}

/// What `$context.identity.clientCert` holds, in AWS's forms.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientCert {
    /// PEM with a line feed after each line.
    pub client_cert_pem: String,
    /// The certificate's own order, comma, no space, escaped: `C=US,ST=Washington,O=Acme\, Inc.,CN=My Client`.
    #[serde(rename = "subjectDN")]
    pub subject_dn: String,
    /// As `subject_dn`.
    #[serde(rename = "issuerDN")]
    pub issuer_dn: String,
    /// Decimal where it fits a signed 64-bit integer, else lowercase hexadecimal `a1:b2:…`.
    pub serial_number: String,
    /// `Aug  5 00:28:21 2120 GMT`
    pub validity: Validity,
    /// An extension of ours: SHA-256 of the certificate, lowercase hexadecimal.
    #[serde(skip)]
    pub sha256_fingerprint: String,
    /// An extension of ours: the alternative names with commas between, `DNS:a.test,URI:spiffe://a.test/b`; a comma or backslash
    /// in one is escaped as in a name. Empty where there are none.
    #[serde(skip)]
    pub subject_alternative_names: String,
}

/// Of a [`ClientCert`].
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Validity {
    /// `%b %e %H:%M:%S %Y GMT`
    pub not_before: String,
    /// `%b %e %H:%M:%S %Y GMT`
    pub not_after: String,
}

/// A name besides the subject (RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubjectAltName {
    /// `dNSName`
    Dns(String),
    /// `rfc822Name`
    Email(String),
    /// `uniformResourceIdentifier`, e.g. a SPIFFE id.
    Uri(String),
    /// `iPAddress`
    Ip(IpAddr),
    /// `directoryName`, its `Name` in DER.
    Directory(Vec<u8>),
    /// Another form, by its identifier octet.
    Other(u8),
}

/// Bytes that are no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an X.509 certificate: {0}")]
pub struct CertificateError(pub String);

/// The SubjectPublicKeyInfo (its whole TLV) of a certificate in DER, X.509 v1 included, without parsing the rest.
///
/// Total, and of one mind with [`Certificate::public_key_der`] on every certificate that parses.
pub fn public_key(der: &[u8]) -> Option<&[u8]> {
    fn walk(der: &[u8]) -> Result<&[u8], Malformed> {
        let mut tbs = Reader::new(der).expect(der::SEQUENCE)?.inside().expect(der::SEQUENCE)?.inside();
        tbs.optional(der::constructed(0))?;
        tbs.expect(der::INTEGER)?;
        for _ in ["signature", "issuer", "validity", "subject"] {
            tbs.expect(der::SEQUENCE)?;
        }
        Ok(tbs.expect(der::SEQUENCE)?.whole)
    }
    walk(der).ok()
}

impl Certificate {
    /// Parses DER; trailing bytes are an error.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if u32::try_from(der.len()).is_err() {
            return Err(CertificateError("it is larger than 4 GiB".to_owned()));
        }
        let outer = der::only(der, der::SEQUENCE).map_err(|_| match Reader::new(der).expect(der::SEQUENCE) {
            Ok(_) => CertificateError("bytes follow its end".to_owned()),
            Err(_) => CertificateError("it is no DER sequence, or it is cut short".to_owned()),
        })?;
        let mut outer = outer.inside();
        let tbs = outer.expect(der::SEQUENCE).in_field("tbsCertificate")?;
        let algorithm = outer.expect(der::SEQUENCE).in_field("signatureAlgorithm")?;
        let signature = outer.expect(der::BIT_STRING).in_field("signatureValue")?;
        let signature_bits = signature.octet_aligned_bits().in_field("signatureValue")?;
        outer.finish().in_field("end")?;

        let mut fields = tbs.inside();
        let version = version(&mut fields).in_field("version")?;
        let serial = fields.expect(der::INTEGER).in_field("serialNumber")?;
        let inner_algorithm = fields.expect(der::SEQUENCE).in_field("signature")?;
        let issuer = fields.expect(der::SEQUENCE).in_field("issuer")?;
        let validity = fields.expect(der::SEQUENCE).in_field("validity")?;
        let subject = fields.expect(der::SEQUENCE).in_field("subject")?;
        let spki = fields.expect(der::SEQUENCE).in_field("subjectPublicKeyInfo")?;
        let extensions = Extensions::parse(&mut fields, version)?;
        fields.finish().in_field("tbsCertificate")?;

        if serial.value.is_empty() {
            return Err(Malformed).in_field("serialNumber");
        }
        if inner_algorithm.whole != algorithm.whole {
            return Err(CertificateError("its two signature algorithms differ".to_owned()));
        }
        let (not_before, not_after) = time::validity(validity).in_field("validity")?;
        Ok(Self {
            version,
            tbs: Span::of(tbs),
            serial: Span::inside(serial),
            issuer: Span::of(issuer),
            subject: Span::of(subject),
            spki: Span::of(spki),
            signature_algorithm_id: Span::inside(algorithm),
            signature: Span::of_last(signature, signature_bits.len()),
            not_before,
            not_after,
            subject_text: name::text(subject.value).in_field("subject")?,
            issuer_text: name::text(issuer.value).in_field("issuer")?,
            key: PublicKey::parse(spki).in_field("subjectPublicKeyInfo")?,
            signature_algorithm: SignatureAlgorithm::of(algorithm.value).in_field("signatureAlgorithm")?,
            extensions,
            fingerprint: sha256(der),
            der: der.into(),
        })
    }

    /// The bytes it was parsed from.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Subject in AWS's form.
    pub fn subject(&self) -> &str {
        &self.subject_text
    }

    /// Values of the subject's attributes of that short name (`CN`, `O`, `OU` …), in order and unescaped; one that is no text is
    /// `#` and its DER, hexadecimal.
    pub fn subject_attributes(&self, name: &str) -> Vec<String> {
        // It was read before.
        name::values(self.subject_der(), name).unwrap_or_default()
    }

    /// Issuer in AWS's form.
    pub fn issuer(&self) -> &str {
        &self.issuer_text
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Lowercase hexadecimal of [`Certificate::fingerprint`].
    pub fn fingerprint_hex(&self) -> String {
        HEXLOWER.encode(&self.fingerprint)
    }

    /// The confirmation claim `x5t#S256` of RFC 8705 section 3.1: base64url of the fingerprint.
    pub fn x5t_s256(&self) -> String {
        BASE64URL_NOPAD.encode(&self.fingerprint)
    }

    /// First second of its validity.
    pub fn not_before(&self) -> UnixSeconds {
        self.not_before
    }

    /// Last second of its validity.
    pub fn not_after(&self) -> UnixSeconds {
        self.not_after
    }

    /// X.509 version: 1, 2 or 3.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The serial number as AWS prints it: decimal where it fits a signed 64-bit integer, else lowercase `a1:b2:…`.
    pub fn serial_number(&self) -> String {
        serial_text(self.serial_bytes())
    }

    /// The serial number's content octets (two's complement, as in the certificate).
    pub fn serial_bytes(&self) -> &[u8] {
        self.slice(self.serial)
    }

    /// SubjectPublicKeyInfo, the whole TLV.
    pub fn public_key_der(&self) -> &[u8] {
        self.slice(self.spki)
    }

    /// The issuer's `Name`, the whole TLV.
    pub fn issuer_der(&self) -> &[u8] {
        self.slice(self.issuer)
    }

    /// The subject's `Name`, the whole TLV.
    pub fn subject_der(&self) -> &[u8] {
        self.slice(self.subject)
    }

    /// The subject alternative names, in the certificate's order.
    pub fn subject_alt_names(&self) -> &[SubjectAltName] {
        &self.extensions.subject_alt_names
    }

    /// Subject key identifier.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.extensions.subject_key_id.as_deref()
    }

    /// Key identifier of the authority key identifier.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.extensions.authority_key_id.as_deref()
    }

    /// Where the issuer's certificate can be had (`caIssuers` of the authority information access).
    pub fn issuer_urls(&self) -> &[String] {
        &self.extensions.issuer_urls
    }

    /// Where its issuer's revocation lists can be had (the http and https URIs of the distribution points), at most 8.
    pub fn crl_urls(&self) -> &[String] {
        &self.extensions.distribution_points.urls
    }

    /// Where its status can be asked for (the http and https URIs of `ocsp` in the authority information access), at
    /// most 8.
    pub fn ocsp_urls(&self) -> &[String] {
        &self.extensions.ocsp_urls
    }

    /// Kind and size of the key, e.g. `RSA 2048`, `P-256`.
    pub fn key_name(&self) -> String {
        self.key.to_string()
    }

    /// Name of the algorithm that it is signed with, e.g. `ecdsa-with-SHA256`.
    pub fn signature_name(&self) -> String {
        self.signature_algorithm.to_string()
    }

    /// Whether the key of `issuer` made its signature: nothing is said about names, time or what `issuer` may do. False
    /// too for signatures that are not accepted (SHA-1, RSA below 2048 bits).
    pub fn is_signed_by(&self, issuer: &Certificate) -> bool {
        crate::key::signed_by(self, issuer)
    }

    /// Whether subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        self.subject_der() == self.issuer_der()
    }

    /// Whether basic constraints say that it is a CA. False for X.509 v1, which cannot say.
    pub fn is_ca(&self) -> bool {
        self.extensions.basic_constraints.is_some_and(|constraints| constraints.ca)
    }

    /// In AWS's forms.
    pub fn client_cert(&self) -> ClientCert {
        ClientCert {
            client_cert_pem: self.pem(),
            subject_dn: self.subject_text.clone(),
            issuer_dn: self.issuer_text.clone(),
            serial_number: self.serial_number(),
            validity: Validity { not_before: time::openssl(self.not_before), not_after: time::openssl(self.not_after) },
            sha256_fingerprint: self.fingerprint_hex(),
            subject_alternative_names: name::list(self.subject_alt_names()),
        }
    }

    /// The first certificate of a PEM text; none where there is none that can be read.
    pub fn first_of_pem(pem: &str) -> Option<Self> {
        let der = CertificateDer::pem_slice_iter(pem.as_bytes()).next()?.ok()?;
        Self::from_der(&der).ok()
    }

    /// PEM with 64 characters a line and a line feed after each (RFC 7468).
    pub fn pem(&self) -> String {
        let base64 = BASE64.encode(&self.der);
        let mut pem = String::with_capacity(base64.len() + base64.len() / 64 + 64);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = base64.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    pub(crate) fn signature_algorithm(&self) -> &SignatureAlgorithm {
        &self.signature_algorithm
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Names of the points where its issuer's revocation lists are: `GeneralName`s, whole.
    pub(crate) fn distribution_points(&self) -> impl Iterator<Item = &[u8]> {
        self.extensions.distribution_points.names.iter().map(|name| &**name)
    }

    pub(crate) fn name_constraints(&self) -> Option<&NameConstraints> {
        self.extensions.name_constraints.as_ref()
    }

    /// What the signature is over.
    pub(crate) fn signed_bytes(&self) -> &[u8] {
        self.slice(self.tbs)
    }

    pub(crate) fn signature(&self) -> &[u8] {
        self.slice(self.signature)
    }

    /// Content of the `AlgorithmIdentifier` that it is signed with.
    pub(crate) fn signature_algorithm_id(&self) -> &[u8] {
        self.slice(self.signature_algorithm_id)
    }

    /// Content of the subject's SEQUENCE.
    pub(crate) fn subject_value(&self) -> &[u8] {
        content(self.subject_der())
    }

    /// Content of the SubjectPublicKeyInfo's SEQUENCE.
    pub(crate) fn public_key_value(&self) -> &[u8] {
        content(self.public_key_der())
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.der[span.start as usize..span.end as usize]
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject_text)
            .field("issuer", &self.issuer_text)
            .field("serial", &self.serial_number())
            .field("sha256", &self.fingerprint_hex())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl fmt::Display for SubjectAltName {
    /// As OpenSSL writes them: `DNS:a.example`, `URI:spiffe://…`, `email:a@b`, `IP Address:10.0.0.1`, `DirName:CN=x`. Commas,
    /// backslashes and what cannot be printed are escaped as in names: in a list, one cannot pass for two.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{}", name::escaped(name)),
            Self::Email(name) => write!(f, "email:{}", name::escaped(name)),
            Self::Uri(name) => write!(f, "URI:{}", name::escaped(name)),
            Self::Ip(address) => write!(f, "IP Address:{address}"),
            Self::Directory(der) => match name::text(content(der)) {
                Ok(name) => write!(f, "DirName:{name}"),
                Err(Malformed) => f.write_str("DirName:?"),
            },
            Self::Other(tag) => write!(f, "othername:[{}]", tag & 0x1f),
        }
    }
}

/// Part of a certificate's DER.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of(element: Element<'_>) -> Self {
        Self::of_last(element, element.whole.len())
    }

    fn inside(element: Element<'_>) -> Self {
        Self::of_last(element, element.value.len())
    }

    /// The last `length` octets of an element. Offsets fit: the certificate's length was checked to.
    fn of_last(element: Element<'_>, length: usize) -> Self {
        let end = element.at + element.whole.len();
        Self { start: (end - length) as u32, end: end as u32 }
    }
}

/// Content of an element that was parsed before.
fn content(whole: &[u8]) -> &[u8] {
    Reader::new(whole).any().map_or(&[], |element| element.value)
}

fn version(fields: &mut Reader<'_>) -> Result<u8, Malformed> {
    let Some(explicit) = fields.optional(der::constructed(0))? else { return Ok(1) };
    match der::only(explicit.value, der::INTEGER)?.value {
        // A default that is written out is not DER, but is harmless here.
        [0] => Ok(1),
        [1] => Ok(2),
        [2] => Ok(3),
        _ => Err(Malformed),
    }
}

/// An INTEGER's content as AWS prints serial numbers.
pub(crate) fn serial_text(bytes: &[u8]) -> String {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let filler = if negative { 0xff } else { 0x00 };
    let skipped = bytes.iter().take_while(|&&b| b == filler).count();
    let significant = &bytes[skipped..];
    let sign_fits = significant.first().is_none_or(|first| (first & 0x80 != 0) == negative);
    if significant.len() < 8 || (significant.len() == 8 && sign_fits) {
        let start = if negative { -1_i64 } else { 0 };
        return significant.iter().fold(start, |n, &b| n << 8 | i64::from(b)).to_string();
    }
    let magnitude = if negative { negated(significant) } else { significant.to_vec() };
    let hex: Vec<String> = magnitude.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}{}", if negative { "-" } else { "" }, hex.join(":"))
}

/// Magnitude of a negative two's complement number whose leading 0xff octets are gone.
fn negated(significant: &[u8]) -> Vec<u8> {
    let mut magnitude: Vec<u8> = significant.iter().map(|b| !b).collect();
    for octet in magnitude.iter_mut().rev() {
        let (sum, carry) = octet.overflowing_add(1);
        *octet = sum;
        if !carry {
            return magnitude;
        }
    }
    magnitude.insert(0, 1);
    magnitude
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// Names the field in which something malformed was found.
pub(crate) trait InField<T> {
    fn in_field(self, field: &str) -> Result<T, CertificateError>;
}

impl<T> InField<T> for Result<T, Malformed> {
    fn in_field(self, field: &str) -> Result<T, CertificateError> {
        self.map_err(|Malformed| CertificateError(format!("its {field} cannot be read")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials() {
        for (bytes, text) in [
            (&[0x00][..], "0"),
            (&[0x7f], "127"),
            (&[0x00, 0xff], "255"),
            (&[0xff], "-1"),
            (&[0x80], "-128"),
            (&[0xff, 0x7f], "-129"),
            (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "9223372036854775807"),
            (&[0x80, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808"),
            (&[0x00, 0x80, 0, 0, 0, 0, 0, 0, 0], "80:00:00:00:00:00:00:00"),
            (&[0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "-80:00:00:00:00:00:00:01"),
            (&[0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0], "-01:00:00:00:00:00:00:00:00:00"),
            (&[0x00, 0xa1, 0xb2, 3, 4, 5, 6, 7, 8, 9], "a1:b2:03:04:05:06:07:08:09"),
            (&[0x00, 0x00, 0x01], "1"),
        ] {
            assert_eq!(serial_text(bytes), text, "{bytes:02x?}");
        }
    }
}
