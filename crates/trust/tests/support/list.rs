//! Revocation lists and OCSP answers for the tests, octet by octet, so that any rule can be broken.

use rcgen::SigningKey;
use trust::Certificate;

use super::{Authority, NOW};

pub const DAY: i64 = 86_400;

/// One element in DER.
pub fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = (content.len() as u32).to_be_bytes();
    match content.len() {
        0..=0x7f => [&[tag, content.len() as u8][..], &content].concat(),
        0x80..=0xff => [&[tag, 0x81][..], &length[3..], &content].concat(),
        0x100..=0xffff => [&[tag, 0x82][..], &length[2..], &content].concat(),
        _ => [&[tag, 0x84][..], &length, &content].concat(),
    }
}

pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    der(0x30, parts)
}

/// A GeneralizedTime.
pub fn time(at: i64) -> Vec<u8> {
    let at = time::OffsetDateTime::from_unix_timestamp(at).expect("a time in years with four digits");
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let text = format!("{year:04}{:02}{day:02}{hour:02}{minute:02}{second:02}Z", u8::from(month));
    der(0x18, &[text.as_bytes()])
}

/// An extension of id-ce, by its last arc.
pub fn extension(arc: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { der(0x01, &[&[0xff]]) } else { Vec::new() };
    sequence(&[&der(0x06, &[&[0x55, 0x1d, arc]]), &flag, &der(0x04, &[value])])
}

/// A revoked certificate, a day ago.
pub fn entry(serial: &[u8], extensions: &[&[u8]]) -> Vec<u8> {
    let extensions = if extensions.is_empty() { Vec::new() } else { sequence(extensions) };
    sequence(&[&der(0x02, &[serial]), &time(NOW - DAY), &extensions])
}

pub fn reason(code: u8) -> Vec<u8> {
    extension(21, false, &der(0x0a, &[&[code]]))
}

/// The distribution point of a list: a URI, and the flags.
pub fn issuing_distribution_point(url: Option<&str>, flags: &[u8]) -> Vec<u8> {
    let name = url.map(|url| der(0xa0, &[&der(0xa0, &[&der(0x86, &[url.as_bytes()])])])).unwrap_or_default();
    let flags: Vec<u8> = flags.iter().flat_map(|number| [0x80 | number, 1, 0xff]).collect();
    extension(28, true, &sequence(&[&name, &flags]))
}

/// A list to be made. As it is: v2 with a number, of a day ago and for ten days, with nobody on it.
#[derive(Clone)]
pub struct List {
    pub version: Option<u8>,
    pub this_update: i64,
    pub next_update: Option<i64>,
    pub entries: Vec<Vec<u8>>,
    pub extensions: Vec<Vec<u8>>,
    /// Content of the AlgorithmIdentifier; by default it is that of the signature.
    pub algorithm: Option<Vec<u8>>,
}

impl Default for List {
    fn default() -> Self {
        Self {
            version: Some(1),
            this_update: NOW - DAY,
            next_update: Some(NOW + 9 * DAY),
            entries: Vec::new(),
            extensions: vec![extension(20, false, &[0x02, 1, 7])],
            algorithm: None,
        }
    }
}

impl List {
    /// With these serial numbers.
    pub fn of(serials: &[&[u8]]) -> Self {
        Self { entries: serials.iter().map(|serial| entry(serial, &[])).collect(), ..Self::default() }
    }

    pub fn dated(self, this_update: i64, next_update: impl Into<Option<i64>>) -> Self {
        Self { this_update, next_update: next_update.into(), ..self }
    }

    pub fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    /// DER.
    pub fn by(&self, authority: &Authority) -> Vec<u8> {
        let issuer = Certificate::from_der(authority.der()).expect("rcgen makes certificates");
        let algorithm = sequence(&[self.algorithm.as_deref().unwrap_or(algorithm(authority))]);
        let version = self.version.map(|version| der(0x02, &[&[version]])).unwrap_or_default();
        let parts = |parts: &[Vec<u8>]| parts.concat();
        let entries = if self.entries.is_empty() { Vec::new() } else { sequence(&[&parts(&self.entries)]) };
        let extensions = match self.extensions.is_empty() {
            true => Vec::new(),
            false => der(0xa0, &[&sequence(&[&parts(&self.extensions)])]),
        };
        let next_update = self.next_update.map(time).unwrap_or_default();
        let tbs = sequence(&[
            &version,
            &algorithm,
            issuer.subject_der(),
            &time(self.this_update),
            &next_update,
            &entries,
            &extensions,
        ]);
        sequence(&[&tbs, &algorithm, &signature(authority, &tbs)])
    }

    pub fn pem_by(&self, authority: &Authority) -> String {
        let base64 = data_encoding::BASE64.encode(&self.by(authority));
        format!("-----BEGIN X509 CRL-----\n{base64}\n-----END X509 CRL-----\n")
    }
}

/// Content of the AlgorithmIdentifier of an authority's signatures.
pub fn algorithm(authority: &Authority) -> &'static [u8] {
    let key = authority.issuer.key();
    if key.algorithm() == &rcgen::PKCS_ED25519 {
        &[0x06, 3, 0x2b, 0x65, 0x70]
    } else if key.algorithm() == &rcgen::PKCS_ECDSA_P384_SHA384 {
        &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]
    } else {
        &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]
    }
}

/// A BIT STRING.
pub fn signature(authority: &Authority, message: &[u8]) -> Vec<u8> {
    let signature = authority.issuer.key().sign(message).expect("keys of rcgen sign");
    der(0x03, &[&[0], &signature])
}

/// `certStatus`, as it stands in an answer.
pub fn good() -> Vec<u8> {
    der(0x80, &[])
}

/// A day ago.
pub fn revoked(reason: Option<u8>) -> Vec<u8> {
    let reason = reason.map(|code| der(0xa0, &[&der(0x0a, &[&[code]])])).unwrap_or_default();
    der(0xa1, &[&time(NOW - DAY), &reason])
}

pub fn unknown() -> Vec<u8> {
    der(0x82, &[])
}

/// An OCSP answer to be made. As it is: good since an hour ago, for an hour from now, from a responder named by its key.
#[derive(Clone)]
pub struct Answer {
    pub status: Vec<u8>,
    pub this_update: i64,
    pub next_update: Option<i64>,
    /// Name instead of key hash.
    pub by_name: bool,
    /// What stands before the single response in question.
    pub others: Vec<Vec<u8>>,
    /// Inside `[1]`: of the single response, of all.
    pub extensions: [Vec<u8>; 2],
    /// DER of the certificates that come along.
    pub certificates: Vec<Vec<u8>>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: good(),
            this_update: NOW - 3600,
            next_update: Some(NOW + 3600),
            by_name: false,
            others: Vec::new(),
            extensions: [Vec::new(), Vec::new()],
            certificates: Vec::new(),
        }
    }
}

impl Answer {
    pub fn of(status: Vec<u8>) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn dated(self, this_update: i64, next_update: impl Into<Option<i64>>) -> Self {
        Self { this_update, next_update: next_update.into(), ..self }
    }

    /// The single response about a certificate.
    pub fn single(&self, leaf: &[u8], issuer: &Authority) -> Vec<u8> {
        let next_update = self.next_update.map(|at| der(0xa0, &[&time(at)])).unwrap_or_default();
        let extensions = match &self.extensions[0][..] {
            [] => Vec::new(),
            extension => der(0xa1, &[&sequence(&[extension])]),
        };
        sequence(&[&cert_id(leaf, issuer), &self.status, &time(self.this_update), &next_update, &extensions])
    }

    /// DER of the whole response about `leaf`, which `issuer` issued.
    pub fn by(&self, responder: &Authority, leaf: &[u8], issuer: &Authority) -> Vec<u8> {
        let certificate = Certificate::from_der(responder.der()).expect("rcgen makes certificates");
        let id = match self.by_name {
            true => der(0xa1, &[certificate.subject_der()]),
            false => der(0xa2, &[&der(0x04, &[&sha1(key_bits(&certificate))])]),
        };
        let responses = sequence(&[&self.others.concat(), &self.single(leaf, issuer)]);
        let extensions = match &self.extensions[1][..] {
            [] => Vec::new(),
            extension => der(0xa1, &[&sequence(&[extension])]),
        };
        let data = sequence(&[&id, &time(self.this_update), &responses, &extensions]);
        let certificates = match self.certificates.is_empty() {
            true => Vec::new(),
            false => der(0xa0, &[&sequence(&[&self.certificates.concat()])]),
        };
        let algorithm = sequence(&[algorithm(responder)]);
        basic_response(&sequence(&[&data, &algorithm, &signature(responder, &data), &certificates]))
    }
}

/// A successful OCSPResponse.
pub fn basic_response(basic: &[u8]) -> Vec<u8> {
    let kind = der(0x06, &[&[0x2b, 6, 1, 5, 5, 7, 48, 1, 1]]);
    sequence(&[&der(0x0a, &[&[0]]), &der(0xa0, &[&sequence(&[&kind, &der(0x04, &[basic])])])])
}

/// The CertID of a leaf, by SHA-1.
pub fn cert_id(leaf: &[u8], issuer: &Authority) -> Vec<u8> {
    let leaf = Certificate::from_der(leaf).expect("a certificate");
    let issuer = Certificate::from_der(issuer.der()).expect("a certificate");
    let algorithm = sequence(&[&der(0x06, &[&[0x2b, 14, 3, 2, 26]]), &[5, 0]]);
    sequence(&[
        &algorithm,
        &der(0x04, &[&sha1(issuer.subject_der())]),
        &der(0x04, &[&sha1(key_bits(&issuer))]),
        &der(0x02, &[leaf.serial_bytes()]),
    ])
}

fn sha1(bytes: &[u8]) -> Vec<u8> {
    let algorithm = &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
    aws_lc_rs::digest::digest(algorithm, bytes).as_ref().to_vec()
}

/// The end of the SubjectPublicKeyInfo: uncompressed points of P-256.
fn key_bits(certificate: &Certificate) -> &[u8] {
    let spki = certificate.public_key_der();
    &spki[spki.len() - 65..]
}
