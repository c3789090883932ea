//! Secrets at rest: AES-256-GCM under a key that never enters the store.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Seals and opens secrets under one key.
pub struct Keyring {
    key: RandomizedNonceKey,
    /// Other keys are derived from it (HKDF, RFC 5869).
    root: Prk,
}

/// A secret, encrypted: base64 of nonce (12 bytes), ciphertext and tag (16 bytes). The resource that it belongs to is bound to it as
/// additional data, so that a sealed value moved to another resource does not open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// Why a secret does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// Another key, another resource, or damaged.
    #[error("a sealed secret does not open: it is damaged, or was sealed under another key")]
    Unopened,
    /// The key is not 32 bytes.
    #[error("a sealing key has 32 bytes")]
    KeyLength,
    /// The system gave no random bytes, or the cipher failed.
    #[error("sealing failed")]
    Seal,
}

impl Keyring {
    /// Of a key of 32 random bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyringError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| KeyringError::KeyLength)?;
        Ok(Self { key, root: Prk::new_less_safe(HKDF_SHA256, bytes) })
    }

    /// One with another key, which is for this purpose only.
    pub fn derived(&self, purpose: &str) -> Result<Self, KeyringError> {
        let info = [purpose.as_bytes()];
        let mut key = Zeroizing::new([0; 32]);
        let derived = self.root.expand(&info, HKDF_SHA256).and_then(|okm| okm.fill(&mut *key));
        derived.map_err(|_| KeyringError::Seal)?;
        Self::new(&*key)
    }

    /// By which the key is known from others, and which tells nothing of it: 32 hexadecimal digits.
    pub fn fingerprint(&self) -> Result<String, KeyringError> {
        let mut fingerprint = [0; 16];
        let derived = self.root.expand(&[b"fingerprint"], Bytes16).and_then(|okm| okm.fill(&mut fingerprint));
        derived.map_err(|_| KeyringError::Seal)?;
        Ok(HEXLOWER.encode(&fingerprint))
    }

    /// Seals `secret` for the resource with this id.
    pub fn seal(&self, resource: &str, secret: &[u8]) -> Result<Sealed, KeyringError> {
        let mut text = Zeroizing::new(secret.to_vec());
        let nonce =
            self.key.seal_in_place_append_tag(Aad::from(resource), &mut *text).map_err(|_| KeyringError::Seal)?;
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend_from_slice(&text);
        Ok(Sealed(BASE64.encode(&sealed)))
    }

    /// Opens what was sealed for the resource with this id.
    pub fn open(&self, resource: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
        let unopened = KeyringError::Unopened;
        let bytes = BASE64.decode(sealed.0.as_bytes()).map_err(|_| unopened)?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN).ok_or(unopened)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unopened)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.key.open_in_place(nonce, Aad::from(resource), &mut text).map_err(|_| unopened)?.len();
        text.truncate(length);
        Ok(text)
    }
}

/// So many are derived.
struct Bytes16;

impl KeyType for Bytes16 {
    fn len(&self) -> usize {
        16
    }
}

impl Sealed {
    /// The base64.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Sealed {
    fn from(base64: String) -> Self {
        Self(base64)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_for_the_same_resource_and_key() {
        let keyring = Keyring::new(&[7; 32]).unwrap();
        let sealed = keyring.seal("a", b"secret").unwrap();
        assert_eq!(keyring.open("a", &sealed).unwrap().as_slice(), b"secret");
        assert!(keyring.open("b", &sealed).is_err());
        assert!(Keyring::new(&[8; 32]).unwrap().open("a", &sealed).is_err());
        assert_ne!(keyring.seal("a", b"secret").unwrap(), sealed, "nonces are random");
        let fingerprint = |byte| Keyring::new(&[byte; 32]).unwrap().fingerprint().unwrap();
        assert_eq!(fingerprint(7).len(), 32);
        assert_eq!(fingerprint(7), fingerprint(7));
        assert_ne!(fingerprint(7), fingerprint(8));
    }

    #[test]
    fn damage_is_an_error() {
        let keyring = Keyring::new(&[7; 32]).unwrap();
        let Sealed(text) = keyring.seal("a", b"secret").unwrap();
        for broken in ["", "AAAA", "?", &text[4..], &text[..text.len() - 4]] {
            assert!(keyring.open("a", &Sealed(broken.to_owned())).is_err(), "{broken}");
        }
        assert_eq!(Keyring::new(b"short").unwrap_err(), KeyringError::KeyLength);
    }
}
