//! The extensions of an X.509 v3 certificate (RFC 5280 section 4.2), those that the judge understands.

use std::net::IpAddr;
use std::sync::OnceLock;

use crate::certificate::{CertificateError, InField, SubjectAltName};
use crate::constraints::NameConstraints;
use crate::der::{self, Element, Malformed, Reader};
use crate::policies::Policies;

/// What a certificate's extensions say.
#[derive(Debug, Default)]
pub(crate) struct Extensions {
    pub basic_constraints: Option<BasicConstraints>,
    pub key_usage: Option<KeyUsage>,
    pub extended_key_usage: Option<ExtendedKeyUsage>,
    pub subject_key_id: Option<Box<[u8]>>,
    pub authority_key_id: Option<Box<[u8]>>,
    pub subject_alt_names: Vec<SubjectAltName>,
    /// Whether a DNS name among them is not in the preferred syntax; found out when a profile asks.
    pub bad_dns_name: OnceLock<bool>,
    pub name_constraints: Option<NameConstraints>,
    pub issuer_urls: Vec<String>,
    pub policies: Policies,
    pub ocsp_urls: Vec<String>,
    pub distribution_points: DistributionPoints,
    /// OIDs of critical extensions that are not understood, the first [`MAX_SHOWN`].
    pub unknown_critical: Vec<String>,
    /// Which of the extensions above (and policies) are there, and which are critical, for profiles that ask.
    pub marks: Marks,
}

/// Section 4.2.1.9.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BasicConstraints {
    pub ca: bool,
    /// Saturated at 255.
    pub path_len: Option<u8>,
}

/// Section 4.2.1.3; the first octet of its bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyUsage(u8);

/// Section 4.2.1.12.
#[derive(Debug, Default)]
pub(crate) struct ExtendedKeyUsage {
    pub server_auth: bool,
    pub client_auth: bool,
    pub ocsp_signing: bool,
    /// The first [`MAX_SHOWN`] of them, as names or dotted OIDs, for people.
    pub purposes: Vec<String>,
}

/// How extensions are written, where RFC 5280 has an opinion.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    pub authority_key_id: Option<Mark>,
    pub subject_key_id: Option<Mark>,
    pub subject_alt_name: Option<Mark>,
    pub basic_constraints: Option<Mark>,
    pub policy_constraints: Option<Mark>,
    pub inhibit_any_policy: Option<Mark>,
    pub name_constraints: Option<Mark>,
    pub authority_info_access: Option<Mark>,
}

/// Of an extension that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Critical,
    NonCritical,
}

/// Purposes, and critical extensions that are not understood, of which the names are kept.
const MAX_SHOWN: usize = 16;
/// More extensions than any honest certificate has; duplicates are looked for pairwise.
const MAX_EXTENSIONS: usize = 64;

impl Extensions {
    /// Reads what follows the public key in a TBSCertificate.
    pub(crate) fn parse(fields: &mut Reader<'_>, version: u8) -> Result<Self, CertificateError> {
        for unique_id in [der::context(1), der::context(2)] {
            if fields.optional(unique_id).in_field("unique identifiers")?.is_some() && version == 1 {
                return Err(CertificateError("it is X.509 v1 and has unique identifiers".to_owned()));
            }
        }
        let Some(explicit) = fields.optional(der::constructed(3)).in_field("extensions")? else {
            return Ok(Self::default());
        };
        if version != 3 {
            return Err(CertificateError(format!("it is X.509 v{version} and has extensions")));
        }
        let mut list = der::only(explicit.value, der::SEQUENCE).in_field("extensions")?.inside();
        let mut extensions = Self::default();
        let mut seen: Vec<&[u8]> = Vec::new();
        while !list.is_empty() {
            let (oid, critical, value) = extension(&mut list).in_field("extensions")?;
            if seen.contains(&oid) {
                return Err(CertificateError("it has the same extension twice".to_owned()));
            }
            if seen.len() == MAX_EXTENSIONS {
                return Err(CertificateError(format!("it has more than {MAX_EXTENSIONS} extensions")));
            }
            seen.push(oid);
            extensions.remember(oid, critical, value)?;
        }
        Ok(extensions)
    }

    fn remember(&mut self, oid: &[u8], critical: bool, value: &[u8]) -> Result<(), CertificateError> {
        let mark = Some(if critical { Mark::Critical } else { Mark::NonCritical });
        match oid {
            [0x55, 0x1d, 14] => {
                self.marks.subject_key_id = mark;
                let id = der::only(value, der::OCTET_STRING).in_field("subjectKeyIdentifier")?;
                self.subject_key_id = Some(id.value.into());
            }
            [0x55, 0x1d, 15] => self.key_usage = Some(key_usage(value).in_field("keyUsage")?),
            [0x55, 0x1d, 17] => {
                self.marks.subject_alt_name = mark;
                self.subject_alt_names = subject_alt_names(value).in_field("subjectAltName")?;
            }
            [0x55, 0x1d, 19] => {
                self.marks.basic_constraints = mark;
                self.basic_constraints = Some(basic_constraints(value).in_field("basicConstraints")?);
            }
            [0x55, 0x1d, 30] => {
                self.marks.name_constraints = mark;
                self.name_constraints = Some(NameConstraints::parse(value).in_field("nameConstraints")?);
            }
            [0x55, 0x1d, 31] => {
                self.distribution_points = DistributionPoints::parse(value).in_field("cRLDistributionPoints")?;
            }
            [0x55, 0x1d, 35] => {
                self.marks.authority_key_id = mark;
                self.authority_key_id = authority_key_id(value).in_field("authorityKeyIdentifier")?;
            }
            [0x55, 0x1d, last @ (32 | 33 | 36 | 54)] => self.remember_policy(*last, mark, value),
            [0x55, 0x1d, 37] => {
                self.extended_key_usage = Some(extended_key_usage(value).in_field("extKeyUsage")?);
            }
            [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01] => {
                self.marks.authority_info_access = mark;
                (self.issuer_urls, self.ocsp_urls) = access_urls(value).in_field("authorityInfoAccess")?;
            }
            other => {
                if critical && self.unknown_critical.len() < MAX_SHOWN {
                    self.unknown_critical.push(der::dotted(other).in_field("extensions")?);
                }
            }
        }
        Ok(())
    }

    /// Policies that cannot be read are no reason to refuse a certificate that would be as good without them; critical
    /// ones count as not understood.
    fn remember_policy(&mut self, last: u8, mark: Option<Mark>, value: &[u8]) {
        match last {
            36 => self.marks.policy_constraints = mark,
            54 => self.marks.inhibit_any_policy = mark,
            _ => {}
        }
        if self.policies.remember(last, value).is_err() {
            self.policies.malformed = true;
            if mark == Some(Mark::Critical) {
                self.unknown_critical.push(format!("2.5.29.{last} (malformed)"));
            }
        }
    }
}

impl KeyUsage {
    pub(crate) fn digital_signature(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// digitalSignature or nonRepudiation.
    pub(crate) fn signs_data(self) -> bool {
        self.0 & 0xc0 != 0
    }

    pub(crate) fn key_cert_sign(self) -> bool {
        self.0 & 0x04 != 0
    }

    pub(crate) fn crl_sign(self) -> bool {
        self.0 & 0x02 != 0
    }
}

/// The next of some Extensions: OID, whether it is critical, content of its OCTET STRING.
pub(crate) fn extension<'a>(list: &mut Reader<'a>) -> Result<(&'a [u8], bool, &'a [u8]), Malformed> {
    let mut fields = list.expect(der::SEQUENCE)?.inside();
    let oid = fields.expect(der::OID)?.value;
    let critical = fields.optional(der::BOOLEAN)?.map(|critical| critical.boolean()).transpose()?.unwrap_or(false);
    let value = fields.expect(der::OCTET_STRING)?.value;
    fields.finish()?;
    Ok((oid, critical, value))
}

fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, Malformed> {
    let mut fields = der::only(value, der::SEQUENCE)?.inside();
    let ca = fields.optional(der::BOOLEAN)?.map(|ca| ca.boolean()).transpose()?.unwrap_or(false);
    let path_len = match fields.optional(der::INTEGER)?.map(|integer| integer.value) {
        None => None,
        Some([first, ..]) if first & 0x80 != 0 => return Err(Malformed),
        Some([octet] | [0, octet]) => Some(*octet),
        Some([]) => return Err(Malformed),
        Some(_) => Some(u8::MAX),
    };
    fields.finish()?;
    Ok(BasicConstraints { ca, path_len })
}

fn key_usage(value: &[u8]) -> Result<KeyUsage, Malformed> {
    match der::only(value, der::BIT_STRING)?.value {
        [unused @ 0..=7, bits @ ..] if bits.len() <= 2 && (*unused == 0 || !bits.is_empty()) => {
            Ok(KeyUsage(bits.first().copied().unwrap_or(0)))
        }
        _ => Err(Malformed),
    }
}

/// 1.3.6.1.5.5.7.3
const ID_KP: [u8; 7] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03];

fn extended_key_usage(value: &[u8]) -> Result<ExtendedKeyUsage, Malformed> {
    let mut list = der::only(value, der::SEQUENCE)?.inside();
    let mut usage = ExtendedKeyUsage::default();
    loop {
        let oid = list.expect(der::OID)?.value;
        match oid.strip_prefix(&ID_KP) {
            Some([1]) => usage.server_auth = true,
            Some([2]) => usage.client_auth = true,
            Some([9]) => usage.ocsp_signing = true,
            _ => {}
        }
        if usage.purposes.len() < MAX_SHOWN {
            usage.purposes.push(purpose(oid)?);
        }
        if list.is_empty() {
            return Ok(usage);
        }
    }
}

fn purpose(oid: &[u8]) -> Result<String, Malformed> {
    let name = match oid.strip_prefix(&ID_KP) {
        Some([1]) => "serverAuth",
        Some([2]) => "clientAuth",
        Some([3]) => "codeSigning",
        Some([4]) => "emailProtection",
        Some([9]) => "OCSPSigning",
        _ if oid == [0x55, 0x1d, 37, 0] => "anyExtendedKeyUsage",
        _ => return der::dotted(oid),
    };
    Ok(name.to_owned())
}

fn authority_key_id(value: &[u8]) -> Result<Option<Box<[u8]>>, Malformed> {
    let mut fields = der::only(value, der::SEQUENCE)?.inside();
    let id = fields.optional(der::context(0))?.map(|id| id.value.into());
    fields.optional(der::constructed(1))?;
    fields.optional(der::context(2))?;
    fields.finish()?;
    Ok(id)
}

fn subject_alt_names(value: &[u8]) -> Result<Vec<SubjectAltName>, Malformed> {
    const EMAIL: u8 = der::context(1);
    const DNS: u8 = der::context(2);
    const DIRECTORY: u8 = der::constructed(4);
    const URI: u8 = der::context(6);
    const IP: u8 = der::context(7);
    let mut list = der::only(value, der::SEQUENCE)?.inside();
    let mut names = Vec::new();
    while !list.is_empty() {
        let name = list.any()?;
        // IA5String by the letter; some CAs write UTF-8, which harms nobody here.
        let text = || std::str::from_utf8(name.value).map(str::to_owned).map_err(|_| Malformed);
        names.push(match name.tag {
            EMAIL => SubjectAltName::Email(text()?),
            DNS => SubjectAltName::Dns(text()?),
            URI => SubjectAltName::Uri(text()?),
            IP => SubjectAltName::Ip(ip(name.value)?),
            DIRECTORY => SubjectAltName::Directory(der::only(name.value, der::SEQUENCE)?.whole.to_vec()),
            // The other five forms of a GeneralName: otherName, x400Address, ediPartyName, registeredID.
            0xa0 | 0xa3 | 0xa5 | 0x88 => SubjectAltName::Other(name.tag),
            _ => return Err(Malformed),
        });
    }
    // "…MUST contain at least one entry."
    if names.is_empty() { Err(Malformed) } else { Ok(names) }
}

fn ip(octets: &[u8]) -> Result<IpAddr, Malformed> {
    if let Ok(v4) = <[u8; 4]>::try_from(octets) {
        return Ok(v4.into());
    }
    <[u8; 16]>::try_from(octets).map(IpAddr::from).map_err(|_| Malformed)
}

/// The `caIssuers` and the `ocsp` URIs of section 4.2.2.1.
fn access_urls(value: &[u8]) -> Result<(Vec<String>, Vec<String>), Malformed> {
    const ID_AD: [u8; 7] = [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30];
    let mut list = der::only(value, der::SEQUENCE)?.inside();
    let (mut issuers, mut ocsp) = (Vec::new(), Vec::new());
    while !list.is_empty() {
        let mut fields = list.expect(der::SEQUENCE)?.inside();
        let method = fields.expect(der::OID)?.value;
        let location = fields.any()?;
        fields.finish()?;
        let Some(url) = uri(location) else { continue };
        match method {
            [prefix @ .., 1] if prefix == ID_AD && is_http(&url) && ocsp.len() < MAX_URLS => ocsp.push(url),
            [prefix @ .., 2] if prefix == ID_AD => issuers.push(url),
            _ => {}
        }
    }
    Ok((issuers, ocsp))
}

/// Where revocation lists can be had (section 4.2.1.13). Points that are for some reasons only, or for lists of another
/// issuer, are left out: such lists are not used.
#[derive(Debug, Default)]
pub(crate) struct DistributionPoints {
    /// Their names, as far as they are not relative: `GeneralName`s, whole.
    pub names: Vec<Box<[u8]>>,
    /// Those of the names that are http and https URIs.
    pub urls: Vec<String>,
}

/// URLs of one kind that are read of a certificate; more are nobody's honest wish.
const MAX_URLS: usize = 8;

impl DistributionPoints {
    fn parse(value: &[u8]) -> Result<Self, Malformed> {
        let mut points = Self::default();
        let mut list = der::only(value, der::SEQUENCE)?.inside();
        while !list.is_empty() {
            let mut fields = list.expect(der::SEQUENCE)?.inside();
            let name = fields.optional(der::constructed(0))?;
            let reasons = fields.optional(der::context(1))?;
            let issuer = fields.optional(der::constructed(2))?;
            fields.finish()?;
            let Some(name) = name else { continue };
            let Some(full_name) = name.inside().optional(der::constructed(0))? else { continue };
            let mut names = full_name.inside();
            while !names.is_empty() {
                let name = names.any()?;
                if reasons.is_none() && issuer.is_none() {
                    points.names.push(name.whole.into());
                    points.urls.extend(uri(name).filter(|url| is_http(url) && points.urls.len() < MAX_URLS));
                }
            }
        }
        Ok(points)
    }
}

/// A `GeneralName` that is a URI, without control characters.
fn uri(name: Element<'_>) -> Option<String> {
    const URI: u8 = der::context(6);
    let text = std::str::from_utf8(name.value).ok().filter(|_| name.tag == URI)?;
    Some(text.chars().filter(|c| !c.is_control()).collect())
}

fn is_http(url: &str) -> bool {
    let starts = |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    starts("http://") || starts("https://")
}
