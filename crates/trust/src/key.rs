//! Keys and signatures: what they are, whether they are strong enough, and whether one made the other.

use std::fmt;

use aws_lc_rs::digest::{self, Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::signature as aws_lc;
use rustls_pki_types::SignatureVerificationAlgorithm;

use crate::Certificate;
use crate::der::{self, Element, Malformed};

/// A public key's kind and size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicKey {
    Rsa {
        /// Of the modulus.
        bits: usize,
        /// Of the public exponent: 17 for 65537. A check takes time by it.
        exponent_bits: usize,
    },
    P256,
    P384,
    P521,
    Ed25519,
    /// Another kind or curve, by name or OID.
    Other(String),
}

/// What a certificate is signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignatureAlgorithm {
    /// SHA-256 or more, and can be verified here.
    Strong(&'static str),
    /// SHA-1, MD5, or one that is not known, by name or OID.
    Refused(String),
}

/// What can be verified: RSA from 2048 bits, the three NIST curves and Ed25519, SHA-256 or more. Policies narrow this
/// down by the kind of the keys.
pub(crate) const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::aws_lc_rs::ECDSA_P256_SHA256,
    webpki::aws_lc_rs::ECDSA_P256_SHA384,
    webpki::aws_lc_rs::ECDSA_P256_SHA512,
    webpki::aws_lc_rs::ECDSA_P384_SHA256,
    webpki::aws_lc_rs::ECDSA_P384_SHA384,
    webpki::aws_lc_rs::ECDSA_P384_SHA512,
    webpki::aws_lc_rs::ECDSA_P521_SHA256,
    webpki::aws_lc_rs::ECDSA_P521_SHA384,
    webpki::aws_lc_rs::ECDSA_P521_SHA512,
    webpki::aws_lc_rs::ED25519,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA384,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA512,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// Whether `issuer`'s key made the signature of `certificate`. False too where the algorithm is not in [`ALGORITHMS`].
pub(crate) fn signed_by(certificate: &Certificate, issuer: &Certificate) -> bool {
    let (algorithm, signature) = (certificate.signature_algorithm_id(), certificate.signature());
    verifies(issuer.public_key_value(), algorithm, certificate.signed_bytes(), signature)
}

/// Whether the key of a SubjectPublicKeyInfo (its content) made a signature of `message` by the algorithm with this
/// AlgorithmIdentifier (its content). False too where that is not in [`ALGORITHMS`].
pub(crate) fn verifies(spki: &[u8], algorithm_id: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok((key_algorithm, key)) = algorithm_and_key(spki) else { return false };
    ALGORITHMS
        .iter()
        .filter(|algorithm| {
            algorithm.signature_alg_id().as_ref() == algorithm_id
                && algorithm.public_key_alg_id().as_ref() == key_algorithm
        })
        .any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
}

/// As [`verifies`], of a message of which only the digest by [`digest_algorithm`] is at hand.
pub(crate) fn verifies_digest(spki: &[u8], algorithm_id: &[u8], digest: &Digest, signature: &[u8]) -> bool {
    let Ok((key_algorithm, key)) = algorithm_and_key(spki) else { return false };
    PREHASHED
        .iter()
        .filter(|(algorithm, _, _)| {
            algorithm.signature_alg_id().as_ref() == algorithm_id
                && algorithm.public_key_alg_id().as_ref() == key_algorithm
        })
        .any(|(_, algorithm, _)| {
            aws_lc::UnparsedPublicKey::new(*algorithm, key).verify_digest(digest, signature).is_ok()
        })
}

/// What the algorithm with this AlgorithmIdentifier (its content) makes of a message before it signs. None for Ed25519,
/// which signs the message itself, and for what is not in [`ALGORITHMS`].
pub(crate) fn digest_algorithm(algorithm_id: &[u8]) -> Option<&'static digest::Algorithm> {
    let found = PREHASHED.iter().find(|(algorithm, _, _)| algorithm.signature_alg_id().as_ref() == algorithm_id);
    found.map(|(_, _, digest)| *digest)
}

/// Those of [`ALGORITHMS`] that sign a digest, in aws-lc's terms.
const PREHASHED: &[(&dyn SignatureVerificationAlgorithm, &dyn aws_lc::VerificationAlgorithm, &digest::Algorithm)] = &[
    (webpki::aws_lc_rs::ECDSA_P256_SHA256, &aws_lc::ECDSA_P256_SHA256_ASN1, &SHA256),
    (webpki::aws_lc_rs::ECDSA_P256_SHA384, &aws_lc::ECDSA_P256_SHA384_ASN1, &SHA384),
    (webpki::aws_lc_rs::ECDSA_P256_SHA512, &aws_lc::ECDSA_P256_SHA512_ASN1, &SHA512),
    (webpki::aws_lc_rs::ECDSA_P384_SHA256, &aws_lc::ECDSA_P384_SHA256_ASN1, &SHA256),
    (webpki::aws_lc_rs::ECDSA_P384_SHA384, &aws_lc::ECDSA_P384_SHA384_ASN1, &SHA384),
    (webpki::aws_lc_rs::ECDSA_P384_SHA512, &aws_lc::ECDSA_P384_SHA512_ASN1, &SHA512),
    (webpki::aws_lc_rs::ECDSA_P521_SHA256, &aws_lc::ECDSA_P521_SHA256_ASN1, &SHA256),
    (webpki::aws_lc_rs::ECDSA_P521_SHA384, &aws_lc::ECDSA_P521_SHA384_ASN1, &SHA384),
    (webpki::aws_lc_rs::ECDSA_P521_SHA512, &aws_lc::ECDSA_P521_SHA512_ASN1, &SHA512),
    (webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256, &aws_lc::RSA_PKCS1_2048_8192_SHA256, &SHA256),
    (webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA384, &aws_lc::RSA_PKCS1_2048_8192_SHA384, &SHA384),
    (webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA512, &aws_lc::RSA_PKCS1_2048_8192_SHA512, &SHA512),
    (webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS, &aws_lc::RSA_PKCS1_2048_8192_SHA256, &SHA256),
    (webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS, &aws_lc::RSA_PKCS1_2048_8192_SHA384, &SHA384),
    (webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS, &aws_lc::RSA_PKCS1_2048_8192_SHA512, &SHA512),
    (webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA256_LEGACY_KEY, &aws_lc::RSA_PSS_2048_8192_SHA256, &SHA256),
    (webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA384_LEGACY_KEY, &aws_lc::RSA_PSS_2048_8192_SHA384, &SHA384),
    (webpki::aws_lc_rs::RSA_PSS_2048_8192_SHA512_LEGACY_KEY, &aws_lc::RSA_PSS_2048_8192_SHA512, &SHA512),
];

/// Whether a certificate of a truststore is signed by its own key. Weak RSA counts here, because the signature of an
/// anchor on itself proves nothing that the truststore does not say already; it only tells a root from an intermediate.
pub(crate) fn is_self_signed(certificate: &Certificate) -> bool {
    if !certificate.is_self_issued() {
        return false;
    }
    if signed_by(certificate, certificate) {
        return true;
    }
    let Ok((_, key)) = algorithm_and_key(certificate.public_key_value()) else { return false };
    WEAK_RSA.iter().any(|(id, algorithm)| {
        certificate.signature_algorithm_id() == *id
            && aws_lc::UnparsedPublicKey::new(*algorithm, key)
                .verify(certificate.signed_bytes(), certificate.signature())
                .is_ok()
    })
}

/// RSA with SHA-1, and with keys from 1024 bits, by the AlgorithmIdentifier's content.
const WEAK_RSA: &[(&[u8], &aws_lc::RsaParameters)] = &[
    (&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0], &aws_lc::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
    (
        &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0],
        &aws_lc::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    ),
];

impl PublicKey {
    /// What a signature check with this key costs, in checks with P-256 (measured, rounded up).
    pub(crate) fn verification_cost(&self) -> u32 {
        match self {
            Self::Rsa { bits, exponent_bits } => {
                let usual = match bits {
                    ..=3072 => 1,
                    ..=4096 => 2,
                    ..=6144 => 4,
                    _ => 7,
                };
                // As many squarings as the exponent has bits, and as many multiplications as it has ones; aws-lc
                // refuses more than 33 bits.
                if *exponent_bits > 17 { 4 * usual } else { usual }
            }
            Self::P384 => 5,
            Self::P521 => 13,
            Self::P256 | Self::Ed25519 | Self::Other(_) => 1,
        }
    }

    /// Of a SubjectPublicKeyInfo.
    pub(crate) fn parse(spki: Element<'_>) -> Result<Self, Malformed> {
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
        const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
        const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
        let (algorithm, key) = algorithm_and_key(spki.value)?;
        let mut algorithm = der::Reader::new(algorithm);
        let oid = algorithm.expect(der::OID)?.value;
        Ok(match oid {
            RSA => {
                let (bits, exponent_bits) = rsa_bits(key)?;
                Self::Rsa { bits, exponent_bits }
            }
            EC => match algorithm.optional(der::OID)?.map(|curve| curve.value) {
                Some([0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]) => Self::P256,
                Some([0x2b, 0x81, 4, 0, 34]) => Self::P384,
                Some([0x2b, 0x81, 4, 0, 35]) => Self::P521,
                Some(curve) => Self::Other(format!("elliptic curve {}", der::dotted(curve)?)),
                None => Self::Other("elliptic curve with explicit parameters".to_owned()),
            },
            ED25519 => Self::Ed25519,
            [0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1] => Self::Other("DSA".to_owned()),
            [0x2b, 0x65, 0x71] => Self::Other("Ed448".to_owned()),
            other => Self::Other(der::dotted(other)?),
        })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits, .. } => write!(f, "RSA {bits}"),
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::P521 => f.write_str("P-521"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

impl SignatureAlgorithm {
    /// Of an AlgorithmIdentifier's content.
    pub(crate) fn of(identifier: &[u8]) -> Result<Self, Malformed> {
        const PKCS1: [u8; 8] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1];
        const ECDSA_SHA2: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3];
        let oid = der::Reader::new(identifier).expect(der::OID)?.value;
        let name = match oid {
            [prefix @ .., 4] if prefix == PKCS1 => "md5WithRSAEncryption",
            [prefix @ .., 5] if prefix == PKCS1 => "sha1WithRSAEncryption",
            [prefix @ .., 10] if prefix == PKCS1 => "rsassaPss",
            [prefix @ .., 11] if prefix == PKCS1 => "sha256WithRSAEncryption",
            [prefix @ .., 12] if prefix == PKCS1 => "sha384WithRSAEncryption",
            [prefix @ .., 13] if prefix == PKCS1 => "sha512WithRSAEncryption",
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1] => "ecdsa-with-SHA1",
            [prefix @ .., 2] if prefix == ECDSA_SHA2 => "ecdsa-with-SHA256",
            [prefix @ .., 3] if prefix == ECDSA_SHA2 => "ecdsa-with-SHA384",
            [prefix @ .., 4] if prefix == ECDSA_SHA2 => "ecdsa-with-SHA512",
            [0x2b, 0x65, 0x70] => "ED25519",
            [0x2b, 0x65, 0x71] => "ED448",
            other => return Ok(Self::Refused(der::dotted(other)?)),
        };
        let verifiable = ALGORITHMS.iter().any(|algorithm| algorithm.signature_alg_id().as_ref() == identifier);
        Ok(if verifiable { Self::Strong(name) } else { Self::Refused(name.to_owned()) })
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strong(name) => f.write_str(name),
            Self::Refused(name) => f.write_str(name),
        }
    }
}

/// Content of the AlgorithmIdentifier, and the key's bits, of a SubjectPublicKeyInfo's content.
pub(crate) fn algorithm_and_key(spki: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut fields = der::Reader::new(spki);
    let algorithm = fields.expect(der::SEQUENCE)?.value;
    let key = fields.expect(der::BIT_STRING)?.octet_aligned_bits()?;
    fields.finish()?;
    Ok((algorithm, key))
}

/// Bits of an RSAPublicKey's modulus and public exponent.
fn rsa_bits(rsa_public_key: &[u8]) -> Result<(usize, usize), Malformed> {
    let mut fields = der::only(rsa_public_key, der::SEQUENCE)?.inside();
    let modulus = fields.expect(der::INTEGER)?.value;
    let exponent = fields.expect(der::INTEGER)?.value;
    fields.finish()?;
    Ok((bits(modulus), bits(exponent)))
}

fn bits(integer: &[u8]) -> usize {
    let significant = &integer[integer.iter().take_while(|&&b| b == 0).count()..];
    significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize)
}
