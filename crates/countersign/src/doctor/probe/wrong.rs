//! Certificates that nobody should accept, made for this run only.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SigningKey};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use trust::Certificate;
use x509_cert::der::asn1::{Any, BitString};
use x509_cert::der::{self, Encode, Header, Reader, SliceReader, Tag};

const NAME: &str = "countersign doctor: to be refused";

/// Signed by nobody but itself.
pub(super) fn stranger() -> Option<CertifiedKey> {
    let key = KeyPair::generate().ok()?;
    let certificate = params().self_signed(&key).ok()?;
    certified(certificate.der().to_vec(), &key)
}

/// A client whose issuer has this name (DER), and a key that nobody knows.
pub(super) fn impostor(issuer: &[u8]) -> Option<(CertifiedKey, Certificate)> {
    let (key, authority) = (KeyPair::generate().ok()?, KeyPair::generate().ok()?);
    let params = params();
    let made = params.self_signed(&key).ok()?;
    let der = reissued(made.der(), issuer, &authority).ok()??;
    let certificate = Certificate::from_der(&der).ok()?;
    Some((certified(der, &key)?, certificate))
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = params.not_before + Duration::days(1);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn certified(der: Vec<u8>, key: &KeyPair) -> Option<CertifiedKey> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).ok()?;
    Some(CertifiedKey::new(vec![CertificateDer::from(der)], key))
}

/// The same certificate with another issuer, signed by `authority`: rcgen makes names of its own forms only, and the issuer's
/// has to be the same octet by octet.
fn reissued(certificate: &[u8], issuer: &[u8], authority: &KeyPair) -> der::Result<Option<Vec<u8>>> {
    let parts = elements(certificate)?;
    let [tbs, algorithm, _] = parts[..] else { return Ok(None) };
    let mut fields = elements(tbs)?;
    // version, serial number, signature, issuer (RFC 5280 section 4.1)
    let Some(place) = fields.get_mut(3) else { return Ok(None) };
    *place = issuer;
    let tbs = Any::new(Tag::Sequence, fields.concat())?.to_der()?;
    let Ok(signature) = authority.sign(&tbs) else { return Ok(None) };
    let signature = BitString::from_bytes(&signature)?.to_der()?;
    Any::new(Tag::Sequence, [&tbs, algorithm, &signature].concat())?.to_der().map(Some)
}

/// What stands in a SEQUENCE, each with its tag and length.
fn elements(sequence: &[u8]) -> der::Result<Vec<&[u8]>> {
    let mut outer = SliceReader::new(sequence)?;
    let header = Header::peek(&outer)?;
    let whole = outer.tlv_bytes()?;
    let content = &whole[whole.len() - usize::try_from(header.length())?..];
    let mut inside = SliceReader::new(content)?;
    let mut found = Vec::new();
    while !inside.is_finished() {
        found.push(inside.tlv_bytes()?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impostor_has_the_name_and_not_the_key() {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::OrganizationName, "Acme, Inc.");
        let authority = Certificate::from_der(authority.self_signed(&authority_key).unwrap().der()).unwrap();
        let (_, certificate) = impostor(authority.subject_der()).unwrap();
        assert_eq!(certificate.issuer_der(), authority.subject_der());
        assert!(!certificate.is_signed_by(&authority));
    }

    #[test]
    fn what_is_no_name_makes_no_impostor() {
        assert!(impostor(b"").is_none());
        assert!(impostor(b"\x30\x05x").is_none());
    }
}
