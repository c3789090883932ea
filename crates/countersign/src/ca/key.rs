//! Private keys, from their making to their file, wiped behind us.

use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::{Zeroize, Zeroizing};

use super::failed;
use crate::answer::Failure;
use crate::pem;

/// A private key; what it was read from or is written as is wiped when it goes.
pub(super) struct Key(KeyPair);

/// Which kind of key to make.
#[derive(Default, clap::Args)]
pub(super) struct Kind {
    /// An RSA key instead of one on P-256; of 3072 bits unless 2048 or 4096 are wanted
    #[arg(long, value_name = "BITS", num_args = 0..=1, default_missing_value = "3072", value_parser = ["2048", "3072", "4096"])]
    pub(super) rsa: Option<String>,
}

impl Key {
    pub(super) fn generate(kind: &Kind) -> Result<Self, Failure> {
        let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
        let pair = match kind.rsa.as_deref() {
            None => KeyPair::generate(),
            Some("2048") => rsa(RsaKeySize::_2048),
            Some("4096") => rsa(RsaKeySize::_4096),
            Some(_) => rsa(RsaKeySize::_3072),
        };
        pair.map(Self).map_err(failed)
    }

    /// Reads PEM: PKCS#8, PKCS#1 or SEC 1, not encrypted.
    pub(super) fn from_pem(text: &[u8]) -> Option<Self> {
        let der = Zeroizing::new(PrivateKeyDer::from_pem_slice(text).ok()?);
        KeyPair::try_from(&*der).ok().map(Self)
    }

    /// PKCS#8.
    pub(super) fn pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem::write("PRIVATE KEY", self.0.serialized_der()))
    }
}

impl rcgen::PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.0.sign(message)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
