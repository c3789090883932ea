//! TLS-ALPN-01 (RFC 8737): an issuer makes a handshake for `acme-tls/1`, and is shown a certificate that proves who answers for a name.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The protocol's name.
const ACME_TLS: &[u8] = b"acme-tls/1";

/// What issuers are shown who ask by that protocol, and nobody else ever is. Cheap to clone.
#[derive(Clone, Default)]
pub struct AlpnChallenges {
    answers: Arc<Mutex<HashMap<String, Arc<ServerConfig>>>>,
}

/// An answer that is given until this is dropped.
pub struct AlpnAnswer {
    challenges: AlpnChallenges,
    name: String,
}

impl AlpnChallenges {
    /// Shows a certificate for a name; both in DER, the key as PKCS#8.
    pub fn answer(&self, name: &str, certificate: &[u8], key: &[u8]) -> Result<AlpnAnswer, String> {
        let name = name.to_ascii_lowercase();
        let chain = vec![CertificateDer::from(certificate.to_vec())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
        let builder = ServerConfig::builder_with_provider(super::provider().clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(|e| e.to_string())?.with_no_client_auth();
        let mut config = builder.with_single_cert(chain, key).map_err(|e| e.to_string())?;
        // Whoever agrees upon another protocol, or none, is shown nothing.
        config.alpn_protocols = vec![ACME_TLS.to_vec()];
        config.send_tls13_tickets = 0;
        self.lock().insert(name.clone(), Arc::new(config));
        Ok(AlpnAnswer { challenges: self.clone(), name })
    }

    /// What a client is shown that asks for this protocol alone; none where it does not, or nothing is to be proven.
    pub(crate) fn asked<'a>(&self, name: &str, mut protocols: impl Iterator<Item = &'a [u8]>) -> Option<Arc<ServerConfig>> {
        let only = protocols.next() == Some(ACME_TLS) && protocols.next().is_none();
        if only { self.lock().get(name).cloned() } else { None }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<ServerConfig>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AlpnChallenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlpnChallenges")
    }
}

impl Drop for AlpnAnswer {
    fn drop(&mut self) {
        self.challenges.lock().remove(&self.name);
    }
}
