//! TLS-ALPN-01 (RFC 8737): an issuer makes a handshake for `acme-tls/1`, and is shown a certificate that proves who answers for a name.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// What issuers are shown who ask by that protocol, and nobody else ever is. Cheap to clone.
#[derive(Clone, Default)]
pub struct AlpnChallenges {
    /// By name, lowercase.
    proofs: Arc<Mutex<HashMap<String, AlpnProof>>>,
}

/// What is shown for one name. Cheap to clone.
#[derive(Clone)]
pub struct AlpnProof(Arc<ServerConfig>);

/// The protocol's name.
const ACME_TLS: &[u8] = b"acme-tls/1";

impl AlpnChallenges {
    /// From now on these are shown, by name (lowercase), and no others.
    pub fn show(&self, proofs: HashMap<String, AlpnProof>) {
        *self.lock() = proofs;
    }

    /// What a client is to be shown that asks for this protocol alone; none where it does not, or nothing is to be proven.
    pub(super) fn asked<'a>(
        &self,
        name: Option<&str>,
        protocols: Option<impl Iterator<Item = &'a [u8]>>,
    ) -> Option<Arc<ServerConfig>> {
        let mut protocols = protocols?;
        // For all others it ends here.
        if protocols.next() != Some(ACME_TLS) || protocols.next().is_some() {
            return None;
        }
        let proof = self.lock().get(&name?.to_ascii_lowercase()).cloned()?;
        Some(proof.0)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, AlpnProof>> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AlpnProof {
    /// Of a certificate and its key, both in DER, the key as PKCS#8.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Self, rustls::Error> {
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
        let provider = super::provider();
        // `with_single_cert` reads the certificate, and refuses its extension: critical, and meant for issuers alone.
        let shown = CertifiedKey::new(chain, provider.key_provider.load_private_key(key)?);
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for AlpnChallenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlpnChallenges")
    }
}

impl fmt::Debug for AlpnProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlpnProof")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_for_this_alone_is_shown_something() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(&[0; 32])];
        let proof = AlpnProof::new(params.self_signed(&key).unwrap().der(), &key.serialize_der()).unwrap();
        let challenges = AlpnChallenges::default();
        challenges.show(HashMap::from([("a.example".to_owned(), proof)]));
        let asked = |name, protocols: Option<&str>| {
            challenges.asked(name, protocols.map(|all| all.split_whitespace().map(str::as_bytes))).is_some()
        };
        assert!(asked(Some("a.example"), Some("acme-tls/1")));
        assert!(asked(Some("A.Example"), Some("acme-tls/1")));
        for (name, protocols) in [
            (Some("b.example"), Some("acme-tls/1")),
            (None, Some("acme-tls/1")),
            (Some("a.example"), Some("h2")),
            (Some("a.example"), Some("acme-tls/1 h2")),
            (Some("a.example"), Some("h2 acme-tls/1")),
            (Some("a.example"), Some("")),
            (Some("a.example"), None),
        ] {
            assert!(!asked(name, protocols), "{name:?} {protocols:?}");
        }
        challenges.show(HashMap::new());
        assert!(!asked(Some("a.example"), Some("acme-tls/1")));
    }
}
