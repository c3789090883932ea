//! Secret keys, and what is derived from them.

use std::fmt;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::{Scope, TERMINATOR};

/// A secret access key. Not printed by `Debug`, overwritten when it is dropped.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<String>);

/// An access key with its secret, and the session token of temporary credentials.
#[derive(Clone)]
pub struct Credentials {
    /// `AKIA…`
    pub access_key_id: String,
    /// Its secret.
    pub secret: SecretKey,
    /// Goes with the request as `X-Amz-Security-Token`.
    pub session_token: Option<String>,
}

impl SecretKey {
    /// Takes the secret as AWS shows it.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }

    /// HMAC of `string_to_sign` under the key derived for the scope.
    pub(crate) fn signature(&self, scope: &Scope, string_to_sign: &str) -> [u8; 32] {
        let seed = Zeroizing::new(format!("AWS4{}", self.0.as_str()));
        let mut key = hmac::Key::new(hmac::HMAC_SHA256, seed.as_bytes());
        for part in [&scope.date, &scope.region, &scope.service, TERMINATOR] {
            key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref());
        }
        let mut signature = [0; 32];
        signature.copy_from_slice(hmac::sign(&key, string_to_sign.as_bytes()).as_ref());
        signature
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(***)")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let secret = SecretKey::new("wJalrXUtnFEMI");
        let credentials = Credentials {
            access_key_id: "AKID".to_owned(),
            secret: secret.clone(),
            session_token: Some("FwoGZXIvYXdz".to_owned()),
        };
        let printed = format!("{secret:?} {credentials:?}");
        assert!(!printed.contains("wJal") && !printed.contains("FwoG"), "{printed}");
    }
}
