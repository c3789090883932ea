//! A list's signature, which is checked once for each key that it is held to.

use std::sync::{Mutex, OnceLock, PoisonError};

use aws_lc_rs::digest::{self, Digest};

use crate::der::Element;
use crate::{Certificate, key};

/// Keys of which it is remembered that they did not sign: more authorities of one name hardly take turns.
const MAX_REFUTED: usize = 16;

/// The signature, and what was found out about it.
pub(super) struct Signature {
    /// Content of the AlgorithmIdentifier.
    algorithm_id: Box<[u8]>,
    value: Box<[u8]>,
    /// SubjectPublicKeyInfo of the key that made it. From then on nothing is locked and nothing computed.
    signer: OnceLock<Box<[u8]>>,
    open: Mutex<Open>,
}

/// What is needed as long as the signer is not known.
struct Open {
    message: Message,
    /// SubjectPublicKeyInfos of keys that did not make it.
    refuted: Vec<Box<[u8]>>,
}

/// What was signed. Where the algorithm signs a digest, that is all that is kept; the bytes themselves are as large as
/// the list.
enum Message {
    Digest(Digest),
    /// For Ed25519, which signs no digest; dropped when the signer is found.
    Whole(Box<[u8]>),
}

impl Signature {
    /// Of `tbs` by the algorithm with this AlgorithmIdentifier.
    pub(super) fn new(tbs: Element<'_>, algorithm: Element<'_>, value: &[u8]) -> Self {
        let message = match key::digest_algorithm(algorithm.value) {
            Some(algorithm) => Message::Digest(digest::digest(algorithm, tbs.whole)),
            None => Message::Whole(tbs.whole.into()),
        };
        Self {
            algorithm_id: algorithm.value.into(),
            value: value.into(),
            signer: OnceLock::new(),
            open: Mutex::new(Open { message, refuted: Vec::new() }),
        }
    }

    /// Whether the key of `issuer` made it.
    pub(super) fn is_by(&self, issuer: &Certificate) -> bool {
        let key = issuer.public_key_der();
        if let Some(signer) = self.signer.get() {
            return **signer == *key;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have found it meanwhile.
        if let Some(signer) = self.signer.get() {
            return **signer == *key;
        }
        if open.refuted.iter().any(|refuted| **refuted == *key) {
            return false;
        }
        let spki = issuer.public_key_value();
        let is_signer = match &open.message {
            Message::Digest(digest) => key::verifies_digest(spki, &self.algorithm_id, digest, &self.value),
            Message::Whole(message) => key::verifies(spki, &self.algorithm_id, message, &self.value),
        };
        if is_signer {
            self.signer.get_or_init(|| key.into());
            *open = Open { message: Message::Whole(Box::default()), refuted: Vec::new() };
        } else {
            if open.refuted.len() == MAX_REFUTED {
                open.refuted.remove(0);
            }
            open.refuted.push(key.into());
        }
        is_signer
    }
}
