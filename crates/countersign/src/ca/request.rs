//! A certificate signing request (PKCS #10, RFC 2986): whoever made it shows that they hold the key.

use std::path::Path;

use rcgen::{
    Certificate, DistinguishedName, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData,
    SignatureAlgorithm,
};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_cert::der::asn1::{AnyRef, BitString};
use x509_cert::der::oid::AssociatedOid;
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::request::{CertReq, ExtensionReq};

use super::{failed, files, names};
use crate::answer::Failure;

/// A request whose signature is good, for a key that the gateway takes.
#[derive(Debug)]
pub(super) struct Request {
    request: CertReq,
    algorithm: &'static SignatureAlgorithm,
    /// Extensions that it asks for, for people.
    pub(super) not_granted: Vec<String>,
}

/// Bytes of a request; honest ones have a few thousand.
const MAX_BYTES: usize = 64 * 1024;

impl Request {
    /// PEM or DER.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(&files::read(path)?).map_err(|why| Failure::new(format!("{}: {why}", path.display())))
    }

    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        const MALFORMED: &str = "it is no certificate signing request (PKCS #10, in PEM or DER)";
        if bytes.len() > MAX_BYTES {
            return Err(MALFORMED);
        }
        let der = CertificateSigningRequestDer::from_pem_slice(bytes).unwrap_or_else(|_| bytes.into());
        let request = CertReq::from_der(&der).map_err(|_| MALFORMED)?;
        let spki = request.info.public_key.to_der().map_err(|_| MALFORMED)?;
        let algorithm = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_RSA_SHA256]
            .into_iter()
            // What is signed has to hold the key as it was sent, byte for byte.
            .find(|algorithm| Key(&request, algorithm).subject_public_key_info() == spki)
            .ok_or("its key is not one on P-256 or P-384, nor an RSA key: the gateway would not accept it")?;
        if !is_signed(&der, &request).ok_or(MALFORMED)? {
            return Err(
                "its signature is not one of its key, the key is RSA below 2048 bits, or the signature is with SHA-1",
            );
        }
        let not_granted = asked_for(&request);
        Ok(Self { request, algorithm, not_granted })
    }

    /// The subject that it asks for. To be compared with what was written, see [`Request::check_subject_of`].
    pub(super) fn subject(&self) -> Result<DistinguishedName, Failure> {
        names::distinguished(&self.request.info.subject).ok_or_else(unwritable)
    }

    /// Of that subject.
    pub(super) fn common_name(&self) -> Result<String, Failure> {
        let name = self.request.info.subject.common_name().ok().flatten().map(|name| name.value().into_owned());
        name.ok_or_else(|| Failure::new("the request's subject has no common name: give a NAME, which takes its place"))
    }

    /// Whether the subject came out as it was asked for, byte for byte.
    pub(super) fn check_subject_of(&self, certificate: &Certificate) -> Result<(), Failure> {
        let certificate = trust::Certificate::from_der(certificate.der()).map_err(failed)?;
        match certificate.subject_der() == self.request.info.subject.to_der().map_err(failed)? {
            true => Ok(()),
            false => Err(unwritable()),
        }
    }
}

impl PublicKeyData for Request {
    fn der_bytes(&self) -> &[u8] {
        self.request.info.public_key.subject_public_key.raw_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// A request's key, taken for one of an algorithm.
struct Key<'a>(&'a CertReq, &'static SignatureAlgorithm);

impl PublicKeyData for Key<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.info.public_key.subject_public_key.raw_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.1
    }
}

/// Whether its own key signed it, as it was sent.
fn is_signed(der: &[u8], request: &CertReq) -> Option<bool> {
    let info = SliceReader::new(AnyRef::from_der(der).ok()?.value()).ok()?.tlv_bytes().ok()?;
    let identifier = |algorithm: &x509_cert::spki::AlgorithmIdentifierOwned| {
        let der = algorithm.to_der().ok()?;
        Some(AnyRef::from_der(&der).ok()?.value().to_vec())
    };
    let key = identifier(&request.info.public_key.algorithm)?;
    let signature = identifier(&request.algorithm)?;
    let bits = |bits: &BitString| bits.as_bytes().map(<[u8]>::to_vec);
    let (public_key, signed) = (bits(&request.info.public_key.subject_public_key)?, bits(&request.signature)?);
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
    Some(algorithms.iter().any(|algorithm| {
        algorithm.public_key_alg_id().as_ref() == key
            && algorithm.signature_alg_id().as_ref() == signature
            && algorithm.verify_signature(&public_key, info, &signed).is_ok()
    }))
}

fn asked_for(request: &CertReq) -> Vec<String> {
    let attributes = request.info.attributes.iter().filter(|attribute| attribute.oid == ExtensionReq::OID);
    let extensions = attributes
        .flat_map(|attribute| attribute.values.iter())
        .filter_map(|value| value.decode_as::<Vec<x509_cert::ext::Extension>>().ok())
        .flatten();
    let name = |extension: x509_cert::ext::Extension| match extension.extn_id {
        BasicConstraints::OID => "basicConstraints".to_owned(),
        SubjectAltName::OID => "subjectAltName".to_owned(),
        x509_cert::ext::pkix::KeyUsage::OID => "keyUsage".to_owned(),
        x509_cert::ext::pkix::ExtendedKeyUsage::OID => "extendedKeyUsage".to_owned(),
        other => other.to_string(),
    };
    extensions.map(name).collect()
}

fn unwritable() -> Failure {
    Failure::new(
        "the request's subject has a form that is not supported here (two attributes of one kind, or an odd string): give a \
         NAME, which takes its place, or issue with openssl",
    )
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn no_bit_of_a_request_can_be_changed() {
        let key = KeyPair::generate().unwrap();
        let request = CertificateParams::new(vec!["a.test".to_owned()]).unwrap().serialize_request(&key).unwrap();
        assert_eq!(Request::parse(request.der()).unwrap().not_granted, ["subjectAltName"]);
        assert!(Request::parse(request.pem().unwrap().as_bytes()).is_ok());
        let mut der = request.der().to_vec();
        for bit in 0..der.len() * 8 {
            der[bit / 8] ^= 1 << (bit % 8);
            assert!(Request::parse(&der).is_err(), "bit {bit}");
            der[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..der.len() {
            assert!(Request::parse(&der[..length]).is_err(), "{length} bytes");
        }
    }
}
