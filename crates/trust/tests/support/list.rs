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
