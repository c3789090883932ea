//! What is imported: a certificate, its key and the certificates above it, checked against one another.

use aws::Error;
use data_encoding::BASE64;
use model::resource::{self, CertificateLife, CertificateOrigin, Tags};
use model::{Keyring, UnixMillis};
use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use trust::{Certificate, SubjectAltName};
use x509_cert::der::Decode;
use zeroize::Zeroizing;

use super::validation;

/// An import that holds together.
pub(super) struct Material {
    /// The common name, or the first alternative name, lowercase.
    pub(super) domain_name: String,
    pub(super) alternative_names: Vec<String>,
    /// PEM, without what stood around it.
    pub(super) certificate: String,
    /// PEM, without what stood around it.
    pub(super) chain: Option<String>,
    /// PEM, as it was encoded.
    pub(super) private_key: Zeroizing<String>,
    /// ACM's name.
    pub(super) key_algorithm: &'static str,
}

const NOT_PEM: &str = "The certificate body/chain provided is not in a valid PEM format, InternalFailure, or Unable to parse certificate. Please ensure the certificate is in PEM format.";
const BROKEN_CHAIN: &str = "Could not validate the certificate with the certificate chain.";

impl Material {
    pub(super) fn read(
        certificate: &[u8],
        private_key: &[u8],
        chain: Option<&[u8]>,
        at: UnixMillis,
    ) -> Result<Self, Error> {
        let leaf = match certificates(certificate)?.as_slice() {
            [der] => parsed(der)?,
            _ => {
                return Err(validation(
                    "The certificate field contains more than one certificate. You must specify only one certificate in this field.",
                ));
            }
        };
        let above: Vec<Certificate> = certificates(chain.unwrap_or_default())
            .or_else(|e| if chain.is_none() { Ok(Vec::new()) } else { Err(e) })?
            .iter()
            .map(|der| parsed(der))
            .collect::<Result<_, _>>()?;
        let key_algorithm = key_algorithm(&leaf).ok_or_else(|| {
            validation(format!("The key algorithm of the certificate, {}, is not supported.", leaf.key_name()))
        })?;
        let private_key = matching_key(private_key, &leaf)?;
        check_chain(&leaf, &above)?;
        check_time(&leaf, at)?;
        let (domain_name, alternative_names) = names(&leaf)?;
        Ok(Self {
            domain_name,
            alternative_names,
            certificate: leaf.pem(),
            chain: (!above.is_empty()).then(|| above.iter().map(Certificate::pem).collect()),
            private_key,
            key_algorithm,
        })
    }

    /// The certificate that is made of it, its key sealed.
    pub(super) fn into_certificate(
        self,
        keyring: &Keyring,
        arn: String,
        region: String,
        tags: Tags,
        at: UnixMillis,
    ) -> Result<resource::Certificate, Error> {
        let sealed = keyring.seal(&arn, self.private_key.as_bytes());
        Ok(resource::Certificate {
            region,
            domain_name: self.domain_name,
            alternative_names: self.alternative_names,
            certificate: self.certificate,
            chain: self.chain,
            private_key: sealed.map_err(|e| Error::internal(e.to_string()))?,
            origin: CertificateOrigin::Imported,
            key_algorithm: self.key_algorithm.to_owned(),
            created: at,
            life: CertificateLife::default(),
            tags,
            arn,
        })
    }
}

/// ACM's name of a certificate's key.
pub(super) fn key_algorithm(certificate: &Certificate) -> Option<&'static str> {
    Some(match certificate.key_name().as_str() {
        "RSA 2048" => "RSA_2048",
        "RSA 3072" => "RSA_3072",
        "RSA 4096" => "RSA_4096",
        "P-256" => "EC_prime256v1",
        "P-384" => "EC_secp384r1",
        "P-521" => "EC_secp521r1",
        _ => return None,
    })
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| validation(NOT_PEM))
}

fn parsed(der: &[u8]) -> Result<Certificate, Error> {
    Certificate::from_der(der).map_err(|_| validation(NOT_PEM))
}

/// The private key, if the certificate is about it.
fn matching_key(pem: &[u8], leaf: &Certificate) -> Result<Zeroizing<String>, Error> {
    if pem.windows(9).any(|window| window == b"ENCRYPTED") {
        return Err(validation("The private key is encrypted. Please provide it without a passphrase."));
    }
    let unsupported = || validation("The private key is not supported.");
    let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| unsupported())?;
    let key = KeyPair::try_from(&der).map_err(|_| unsupported())?;
    let spki = x509_cert::spki::SubjectPublicKeyInfoOwned::from_der(leaf.public_key_der());
    if spki.map_err(|_| validation(NOT_PEM))?.subject_public_key.raw_bytes() != key.der_bytes() {
        return Err(validation("The private key does not match the certificate."));
    }
    let label = match &der {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    let text = Zeroizing::new(BASE64.encode(der.secret_der()));
    let mut pem = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for line in text.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).unwrap_or_default());
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    Ok(pem)
}

/// Each signed by the next. A leaf may come without a chain (AWS takes only self-signed ones so): clients may know the
/// issuer.
fn check_chain(leaf: &Certificate, above: &[Certificate]) -> Result<(), Error> {
    let lower = std::iter::once(leaf).chain(above);
    match lower.zip(above).all(|(certificate, issuer)| certificate.is_signed_by(issuer)) {
        true => Ok(()),
        false => Err(validation(BROKEN_CHAIN)),
    }
}

fn check_time(leaf: &Certificate, at: UnixMillis) -> Result<(), Error> {
    let now = at.div_euclid(1000);
    if now > leaf.not_after() {
        return Err(validation("The certificate has expired."));
    }
    if now < leaf.not_before() {
        return Err(validation("The certificate is not valid yet."));
    }
    Ok(())
}

fn names(leaf: &Certificate) -> Result<(String, Vec<String>), Error> {
    let certificate = x509_cert::Certificate::from_der(leaf.der()).map_err(|_| validation(NOT_PEM))?;
    let common_name = certificate.tbs_certificate().subject().common_name().ok().flatten();
    let common_name = common_name.map(|name| name.value().to_lowercase());
    let mut alternative: Vec<String> = Vec::new();
    for name in leaf.subject_alt_names() {
        if let SubjectAltName::Dns(name) = name {
            let name = name.to_ascii_lowercase();
            if !alternative.contains(&name) {
                alternative.push(name);
            }
        }
    }
    let domain_name = common_name.or_else(|| alternative.first().cloned());
    let domain_name = domain_name.ok_or_else(|| validation("The certificate names no domain."))?;
    if alternative.is_empty() {
        alternative.push(domain_name.clone());
    }
    Ok((domain_name, alternative))
}
