//! Certificates as the guide's openssl commands make them, without openssl.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Issuer, KeyPair, KeyUsagePurpose, RsaKeySize,
    SerialNumber, SigningKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;
use x509_cert::certificate::Version;
use x509_cert::der::asn1::{Any, BitString};
use x509_cert::der::{self, Decode, Encode, Header, Reader, SliceReader, Tag, TagNumber};

use crate::answer::Failure;
use crate::pem;

/// A certificate and its key.
pub(super) struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    key: KeyPair,
}

/// A certificate authority.
pub(super) struct Authority {
    pub(super) pem: String,
    params: CertificateParams,
    key: KeyPair,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Authority {
    /// `openssl genrsa` and `openssl req -new -x509 -days 3650`.
    pub(super) fn new(name: &str) -> Result<Self, Failure> {
        let key = rsa_key()?;
        let mut params = params(name, 3650);
        params.is_ca = rcgen::IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { pem, params, key })
    }

    /// `openssl genrsa`, `openssl req -new` and `openssl x509 -req -days 365`: without an extensions file, OpenSSL 3.0 makes
    /// X.509 v1.
    pub(super) fn issue_v1(&self, name: &str) -> Result<Identity, Failure> {
        let key = rsa_key()?;
        let mut params = params(name, 365);
        params.serial_number = Some(SerialNumber::from(1));
        let issuer = Issuer::from_params(&self.params, &self.key);
        let v3 = params.signed_by(&key, &issuer).map_err(failed)?;
        let tbs = tbs_of_v1(v3.der()).map_err(failed)?;
        let signature = self.key.sign(&tbs).map_err(failed)?;
        let certificate = assemble(v3.der(), &tbs, &signature).map_err(failed)?;
        Ok(Identity { certificate: certificate.into(), key })
    }
}

impl Identity {
    /// `openssl req -new -x509 -newkey rsa:2048 -nodes`
    pub(super) fn self_signed(name: &str) -> Result<Self, Failure> {
        let key = rsa_key()?;
        let certificate = params(name, 30).self_signed(&key).map_err(failed)?.into();
        Ok(Self { certificate, key })
    }

    pub(super) fn key(&self) -> Result<PrivateKeyDer<'static>, Failure> {
        PrivateKeyDer::try_from(self.key.serialize_der()).map_err(failed)
    }

    /// Whether the certificate is X.509 version 1.
    pub(super) fn is_v1(&self) -> bool {
        let read = x509_cert::Certificate::from_der(&self.certificate);
        read.is_ok_and(|read| read.tbs_certificate().version() == Version::V1)
    }

    pub(super) fn certificate_pem(&self) -> String {
        pem::write("CERTIFICATE", &self.certificate)
    }

    pub(super) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }
}

fn rsa_key() -> Result<KeyPair, Failure> {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(failed)
}

fn params(name: &str, days: u32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "US");
    params.distinguished_name.push(DnType::OrganizationName, "Your Company");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::now_utc();
    params.not_after = params.not_before + DAY * days;
    params
}

/// What is signed of an X.509 v1 certificate (RFC 5280 section 4.1): no version, no extensions; the rest is the same.
fn tbs_of_v1(v3: &[u8]) -> der::Result<Vec<u8>> {
    let [tbs, ..] = parts(v3)?;
    let mut content = SliceReader::new(tbs)?;
    let mut kept = Vec::new();
    Header::peek(&content)?;
    let mut inside = SliceReader::new(value(&mut content)?)?;
    while !inside.is_finished() {
        let tag = Header::peek(&inside)?.tag();
        let element = inside.tlv_bytes()?;
        let version = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
        let extensions = Tag::ContextSpecific { constructed: true, number: TagNumber(3) };
        if tag != version && tag != extensions {
            kept.extend_from_slice(element);
        }
    }
    Any::new(Tag::Sequence, kept)?.to_der()
}

/// A certificate of what is signed, the algorithm of another one of the same issuer, and the signature.
fn assemble(of_same_issuer: &[u8], tbs: &[u8], signature: &[u8]) -> der::Result<Vec<u8>> {
    let [_, algorithm, _] = parts(of_same_issuer)?;
    let signature = BitString::from_bytes(signature)?.to_der()?;
    Any::new(Tag::Sequence, [tbs, algorithm, &signature].concat())?.to_der()
}

/// A certificate's three elements.
fn parts(certificate: &[u8]) -> der::Result<[&[u8]; 3]> {
    let mut outer = SliceReader::new(certificate)?;
    let mut inside = SliceReader::new(value(&mut outer)?)?;
    Ok([inside.tlv_bytes()?, inside.tlv_bytes()?, inside.tlv_bytes()?])
}

fn value<'a>(reader: &mut SliceReader<'a>) -> der::Result<&'a [u8]> {
    let header = Header::peek(reader)?;
    let element = reader.tlv_bytes()?;
    let length = usize::try_from(header.length())?;
    Ok(&element[element.len() - length..])
}

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("cannot make a certificate: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_v1_certificates() {
        let authority = Authority::new("CA").unwrap();
        let identity = authority.issue_v1("Client").unwrap();
        let read = x509_cert::Certificate::from_der(&identity.certificate).unwrap();
        let tbs = read.tbs_certificate();
        assert_eq!(tbs.version(), Version::V1);
        assert!(tbs.extensions().is_none());
        assert_eq!(tbs.issuer(), x509_cert_of(&authority.pem).tbs_certificate().subject());
        let key = aws_lc_rs::signature::UnparsedPublicKey::new(
            &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256,
            authority.key.public_key_raw(),
        );
        key.verify(&tbs.to_der().unwrap(), read.signature().raw_bytes()).unwrap();
    }

    fn x509_cert_of(pem: &str) -> x509_cert::Certificate {
        use x509_cert::der::DecodePem;
        x509_cert::Certificate::from_pem(pem).unwrap()
    }
}
