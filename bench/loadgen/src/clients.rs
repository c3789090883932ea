//! Clients that a server has never seen: one key, and a certificate for every connection.

use crate::tls::fail;
use rcgen::{CertificateParams, DnType, DnValue, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use time::{Duration, OffsetDateTime};

#[derive(Debug)]
struct EachAnother {
    clients: Vec<Arc<CertifiedKey>>,
    next: AtomicUsize,
}

/// Certificates of `ca` (a PEM file, its key beside it as `.key`), one a connection. Their names and serial numbers are of
/// this run, so that no run before has shown them.
pub fn each_another(ca: &Path, count: usize) -> Arc<dyn ResolvesClientCert> {
    let read =
        |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|e| fail(&format!("{}: {e}", path.display())));
    let signer = KeyPair::from_pem(&read(&ca.with_extension("key"))).expect("the CA's key");
    let issuer = Issuer::from_ca_cert_pem(&read(ca), signer).expect("the CA's certificate");
    let key = KeyPair::generate().expect("a key");
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = any_supported_type(&der).expect("a P-256 key");
    let now = OffsetDateTime::now_utc();
    let run = now.unix_timestamp_nanos() / 1000;
    let one = |number: usize| {
        let certificate = params(run, number, now).signed_by(&key, &issuer).expect("a certificate");
        Arc::new(CertifiedKey::new(vec![certificate.der().clone()], signing.clone()))
    };
    let clients: Vec<_> = (0..count.max(1)).map(one).collect();
    eprintln!("issued {}", clients.len());
    Arc::new(EachAnother { clients, next: AtomicUsize::new(0) })
}

/// As those that pki.py makes.
fn params(run: i128, number: usize, now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, DnValue::PrintableString("JP".try_into().expect("printable")));
    params.distinguished_name.push(DnType::OrganizationName, "Example Corp");
    params.distinguished_name.push(DnType::OrganizationalUnitName, "Platform");
    params.distinguished_name.push(DnType::CommonName, format!("client-{run:x}-{number:04}"));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(365);
    params
}

impl ResolvesClientCert for EachAnother {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Some(self.clients[number % self.clients.len()].clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
