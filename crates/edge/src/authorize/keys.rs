//! Keys of issuers: read from JWK sets (RFC 7517), and what they verify (RFC 7515, RFC 7518 section 3).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use model::Issuer;
use serde_json::Value;

/// Keys of one issuer that are looked at; more are left out.
const MAX_KEYS: usize = 100;
/// Bytes of a key's name.
const MAX_KID_BYTES: usize = 1024;
/// Bytes of an RSA modulus: 2,048 to 8,192 bits.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// Bytes of an RSA exponent, which is 65,537 nearly always; a large one only makes verification slow.
const MAX_RSA_EXPONENT_BYTES: usize = 4;

/// Finds the keys of issuers, outside of the data plane.
pub trait IssuerKeys: fmt::Debug + Send + Sync {
    /// What is known now; none where nothing could be fetched yet, or too long ago.
    fn known(&self, issuer: &Issuer) -> Option<Arc<KeySet>>;

    /// Fetches them, once however many ask, and not at all where that was just done. Ends when they are there, or cannot be had.
    fn fetch(&self, issuer: &Issuer) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Nobody's keys are known.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoIssuers;

impl IssuerKeys for NoIssuers {
    fn known(&self, _: &Issuer) -> Option<Arc<KeySet>> {
        None
    }

    fn fetch(&self, _: &Issuer) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

/// The keys that an issuer signs with.
#[derive(Debug, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
}

/// Not a JWK set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is not JSON, or has no `keys`.
    #[error("it is no JWK set")]
    Form,
    /// There is no key in it that could verify a token: RSA of 2,048 bits or more, or EC on P-256 or P-384, with a `kid`.
    #[error("none of its keys can be used: RSA from 2,048 bits, P-256 and P-384 can, with a kid")]
    NoKeys,
}

/// A signature algorithm (RFC 7518 section 3.1). There are no others: no `none`, and no HMAC, whose keys verifiers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    kid: Box<str>,
    /// The one that it is for, where it says.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, PartialEq, Eq)]
enum Material {
    Rsa {
        n: Box<[u8]>,
        e: Box<[u8]>,
    },
    /// An uncompressed point.
    P256(Box<[u8]>),
    P384(Box<[u8]>),
}

impl KeySet {
    /// Reads a JWK set. Keys that cannot be used are left out, as RFC 7517 section 5 says: they are for somebody else.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        let set: Value = serde_json::from_slice(bytes).map_err(|_| KeySetError::Form)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(KeySetError::Form)?;
        let keys: Vec<Key> = listed.iter().filter_map(Key::parse).take(MAX_KEYS).collect();
        if keys.is_empty() { Err(KeySetError::NoKeys) } else { Ok(Self { keys }) }
    }

    /// The key of that name which may have signed with that algorithm.
    pub(crate) fn find(&self, kid: &str, algorithm: Algorithm) -> Option<&Key> {
        self.keys.iter().find(|key| &*key.kid == kid && key.may_sign(algorithm))
    }

    /// Whether there is a key of that name.
    pub(crate) fn has(&self, kid: &str) -> bool {
        self.keys.iter().any(|key| &*key.kid == kid)
    }
}

impl Key {
    fn parse(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let kid = text("kid").filter(|kid| !kid.is_empty() && kid.len() <= MAX_KID_BYTES)?;
        if jwk.get("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        let verifies = |operations: &Value| operations.as_array().is_some_and(|all| all.contains(&"verify".into()));
        if jwk.get("key_ops").is_some_and(|operations| !verifies(operations)) {
            return None;
        }
        let bytes = |name: &str| text(name).and_then(|text| BASE64URL_NOPAD.decode(text.as_bytes()).ok());
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::rsa(&bytes("n")?, &bytes("e")?)?,
            ("EC", Some("P-256")) => Material::P256(point(32, &bytes("x")?, &bytes("y")?)?),
            ("EC", Some("P-384")) => Material::P384(point(48, &bytes("x")?, &bytes("y")?)?),
            _ => return None,
        };
        let algorithm = match jwk.get("alg") {
            None => None,
            // One that we do not have is not replaced by one that we do.
            Some(name) => Some(name.as_str().and_then(Algorithm::parse).filter(|alg| material.can(*alg))?),
        };
        Some(Self { kid: kid.into(), algorithm, material })
    }

    /// The key says what it is for, not the token: its type at least, and its `alg` where it has one.
    fn may_sign(&self, algorithm: Algorithm) -> bool {
        self.material.can(algorithm) && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// Whether `signature` is one of `message` by this key.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { n, e } => match algorithm.rsa() {
                Some(parameters) => RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok(),
                None => false,
            },
            Material::P256(point) => verifies(&ECDSA_P256_SHA256_FIXED, point, message, signature),
            Material::P384(point) => verifies(&ECDSA_P384_SHA384_FIXED, point, message, signature),
        }
    }
}

impl Material {
    fn rsa(n: &[u8], e: &[u8]) -> Option<Self> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        let usable = RSA_MODULUS_BYTES.contains(&n.len()) && (1..=MAX_RSA_EXPONENT_BYTES).contains(&e.len());
        usable.then(|| Self::Rsa { n: n.into(), e: e.into() })
    }

    fn can(&self, algorithm: Algorithm) -> bool {
        match self {
            Self::Rsa { .. } => algorithm.rsa().is_some(),
            Self::P256(_) => algorithm == Algorithm::Es256,
            Self::P384(_) => algorithm == Algorithm::Es384,
        }
    }
}

impl Algorithm {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "RS384" => Self::Rs384,
            "RS512" => Self::Rs512,
            "PS256" => Self::Ps256,
            "PS384" => Self::Ps384,
            "PS512" => Self::Ps512,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            _ => return None,
        })
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
            Self::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
            Self::Ps256 => &RSA_PSS_2048_8192_SHA256,
            Self::Ps384 => &RSA_PSS_2048_8192_SHA384,
            Self::Ps512 => &RSA_PSS_2048_8192_SHA512,
            Self::Es256 | Self::Es384 => return None,
        })
    }
}

fn verifies(algorithm: &'static EcdsaVerificationAlgorithm, point: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
}

/// RFC 7518 section 6.2.1.2: both coordinates have the curve's full length.
fn point(length: usize, x: &[u8], y: &[u8]) -> Option<Box<[u8]>> {
    (x.len() == length && y.len() == length).then(|| [&[4], x, y].concat().into())
}

/// Some issuers write a zero before a number whose first bit is set.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    const X: &str = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4";
    const Y: &str = "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM";

    fn set(keys: Value) -> Result<KeySet, KeySetError> {
        KeySet::parse(serde_json::json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn keys_say_what_they_are_for() {
        let rsa = serde_json::json!({"kty": "RSA", "kid": "a", "n": N, "e": "AQAB"});
        let ec = serde_json::json!({"kty": "EC", "kid": "b", "crv": "P-256", "x": X, "y": Y, "use": "sig"});
        let pinned = serde_json::json!({"kty": "RSA", "kid": "c", "n": N, "e": "AQAB", "alg": "RS256"});
        let keys = set(serde_json::json!([rsa, ec, pinned])).unwrap();
        for (kid, algorithm, found) in [
            ("a", Algorithm::Rs256, true),
            ("a", Algorithm::Ps512, true),
            ("a", Algorithm::Es256, false),
            ("b", Algorithm::Es256, true),
            ("b", Algorithm::Es384, false),
            ("b", Algorithm::Rs256, false),
            ("c", Algorithm::Rs256, true),
            ("c", Algorithm::Rs512, false),
            ("d", Algorithm::Rs256, false),
        ] {
            assert_eq!(keys.find(kid, algorithm).is_some(), found, "{kid} {algorithm:?}");
        }
    }

    #[test]
    fn keys_that_cannot_be_used_are_left_out() {
        let short = BASE64URL_NOPAD.encode(&[0xff; 128]);
        for key in [
            serde_json::json!({"kty": "RSA", "n": N, "e": "AQAB"}),
            serde_json::json!({"kty": "RSA", "kid": "", "n": N, "e": "AQAB"}),
            serde_json::json!({"kty": "RSA", "kid": "a", "n": N, "e": "AQAB", "use": "enc"}),
            serde_json::json!({"kty": "RSA", "kid": "a", "n": N, "e": "AQAB", "key_ops": ["encrypt"]}),
            serde_json::json!({"kty": "RSA", "kid": "a", "n": N, "e": "AQAB", "alg": "HS256"}),
            serde_json::json!({"kty": "RSA", "kid": "a", "n": N, "e": "AQAB", "alg": "none"}),
            serde_json::json!({"kty": "RSA", "kid": "a", "n": N, "e": "AQAB", "alg": "ES256"}),
            serde_json::json!({"kty": "RSA", "kid": "a", "n": short, "e": "AQAB"}),
            serde_json::json!({"kty": "RSA", "kid": "a", "n": N, "e": BASE64URL_NOPAD.encode(&[1; 5])}),
            serde_json::json!({"kty": "RSA", "kid": "a", "n": N, "e": "AA"}),
            serde_json::json!({"kty": "oct", "kid": "a", "k": N}),
            serde_json::json!({"kty": "EC", "kid": "a", "crv": "P-521", "x": X, "y": Y}),
            serde_json::json!({"kty": "EC", "kid": "a", "crv": "P-384", "x": X, "y": Y}),
            serde_json::json!({"kty": "OKP", "kid": "a", "crv": "Ed25519", "x": X}),
            serde_json::json!("text"),
        ] {
            assert_eq!(set(serde_json::json!([key])), Err(KeySetError::NoKeys), "{key}");
        }
        for form in ["", "{}", "[]", r#"{"keys":{}}"#, "\u{0}"] {
            assert_eq!(KeySet::parse(form.as_bytes()), Err(KeySetError::Form), "{form}");
        }
    }
}
