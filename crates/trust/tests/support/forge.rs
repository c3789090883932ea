//! Certificates octet by octet: versions, names, keys and extensions that no tool makes, as many as one likes.

#![allow(dead_code)]

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};

/// A certificate to be made. `new` gives a plain v3 leaf without extensions, valid from 2020 to 2040.
#[derive(Clone)]
pub struct Forge<'a> {
    pub version: u8,
    /// Content octets of the serial number.
    pub serial: Vec<u8>,
    /// Subject and issuer, each a whole `Name`.
    pub subject: Vec<u8>,
    pub issuer: Vec<u8>,
    /// GeneralizedTime.
    pub not_before: &'static str,
    pub not_after: &'static str,
    pub key: &'a Key,
    /// Each the whole `Extension`.
    pub extensions: Vec<Vec<u8>>,
}

impl<'a> Forge<'a> {
    pub fn new(subject: &str, issuer: &str, key: &'a Key) -> Self {
        Self {
            version: 3,
            serial: vec![1],
            subject: name(subject),
            issuer: name(issuer),
            not_before: "20200101000000Z",
            not_after: "20400101000000Z",
            key,
            extensions: Vec::new(),
        }
    }

    /// With basic constraints that make it a CA, keyCertSign and both key identifiers, as the profile rfc5280 wants it.
    pub fn authority(self, issuer_key: &Key, path_len: Option<u8>) -> Self {
        let subject_key_id = extension(&[0x55, 0x1d, 14], false, &tlv(4, &[&self.key.id()]));
        self.with(basic_constraints(true, path_len))
            .with(extension(&[0x55, 0x1d, 15], true, &[3, 2, 2, 4]))
            .with(subject_key_id)
            .with(authority_key_id(&issuer_key.id()))
    }

    /// With clientAuth and the issuer's key identifier.
    pub fn client(self, issuer_key: &Key) -> Self {
        self.with(extended_key_usage(&[2])).with(authority_key_id(&issuer_key.id()))
    }

    pub fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    /// DER.
    pub fn signed_by(&self, key: &Key) -> Vec<u8> {
        let tbs = self.to_be_signed(key);
        let signature = key.sign(&tbs);
        tlv(0x30, &[&tbs, key.algorithm, &tlv(3, &[&[0], &signature])])
    }

    fn to_be_signed(&self, key: &Key) -> Vec<u8> {
        let version = if self.version > 1 { tlv(0xa0, &[&[2, 1, self.version - 1]]) } else { Vec::new() };
        let validity =
            tlv(0x30, &[&tlv(0x18, &[self.not_before.as_bytes()]), &tlv(0x18, &[self.not_after.as_bytes()])]);
        let extensions = match self.extensions.is_empty() {
            true => Vec::new(),
            false => tlv(0xa3, &[&tlv(0x30, &[&self.extensions.concat()])]),
        };
        let serial = tlv(2, &[&self.serial]);
        let parts: [&[u8]; 8] =
            [&version, &serial, key.algorithm, &self.issuer, &validity, &self.subject, &self.key.public, &extensions];
        tlv(0x30, &parts)
    }
}

/// A key and the algorithm that it signs with.
pub struct Key {
    /// SubjectPublicKeyInfo.
    public: Vec<u8>,
    /// AlgorithmIdentifier of its signatures.
    algorithm: &'static [u8],
    signer: Signer,
}

enum Signer {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    /// Its signatures have the right size and are wrong.
    Nobody(usize),
}

const ECDSA_SHA256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ECDSA_SHA384: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
const ECDSA_SHA512: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4];
const RSA_SHA256: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];
const RSA_SHA512: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13, 5, 0];
const RSA: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
const EC: [u8; 9] = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 34];
const P521: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 35];

impl Key {
    pub fn p256() -> Self {
        Self::ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, P256, ECDSA_SHA256)
    }

    pub fn p384() -> Self {
        Self::ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING, P384, ECDSA_SHA384)
    }

    pub fn p521() -> Self {
        Self::ecdsa(&signature::ECDSA_P521_SHA512_ASN1_SIGNING, P521, ECDSA_SHA512)
    }

    pub fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().expect("keys can be made");
        let public = public_key(ED25519, pair.public_key().as_ref());
        Self { public, algorithm: ED25519, signer: Signer::Ed25519(pair) }
    }

    /// Slow: a tenth of a second and more.
    pub fn rsa(size: KeySize) -> Self {
        let pair = RsaKeyPair::generate(size).expect("keys can be made");
        let public = public_key(RSA, pair.public_key().as_ref());
        Self { public, algorithm: RSA_SHA256, signer: Signer::Rsa(pair) }
    }

    /// An RSA public key of any size that belongs to nobody, with the exponent that takes longest to apply of those that
    /// are accepted.
    pub fn nobodys_rsa(bits: usize, seed: u8) -> Self {
        let mut modulus = vec![0, 0xc1 ^ (seed & 0x3f)];
        modulus.extend((2..bits / 8).map(|n| (n as u8).wrapping_mul(37).wrapping_add(seed)));
        modulus.push(0xff);
        let exponent = [1, 0xff, 0xff, 0xff, 0xff];
        let key = tlv(0x30, &[&tlv(2, &[&modulus]), &tlv(2, &[&exponent])]);
        Self { public: public_key(RSA, &key), algorithm: RSA_SHA512, signer: Signer::Nobody(bits / 8) }
    }

    /// The AlgorithmIdentifier of its signatures.
    pub fn algorithm(&self) -> &'static [u8] {
        self.algorithm
    }

    fn ecdsa(algorithm: &'static signature::EcdsaSigningAlgorithm, curve: &[u8], signing: &'static [u8]) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).expect("keys can be made");
        let public = public_key(&tlv(0x30, &[&EC, curve]), pair.public_key().as_ref());
        Self { public, algorithm: signing, signer: Signer::Ecdsa(pair) }
    }

    /// Key identifier: the last octets of the key.
    pub fn id(&self) -> Vec<u8> {
        self.public[self.public.len() - 20..].to_vec()
    }

    /// A signature by its algorithm, as it stands in a BIT STRING.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.signer {
            Signer::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).expect("it signs").as_ref().to_vec(),
            Signer::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Signer::Rsa(pair) => {
                let mut octets = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut octets).expect("it signs");
                octets
            }
            Signer::Nobody(length) => vec![0x55; *length],
        }
    }
}

/// Ten keys of each quick kind, made once.
pub static P256_KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| (0..10).map(|_| Key::p256()).collect());

/// `CN=text`; empty for no name.
pub fn name(text: &str) -> Vec<u8> {
    match text {
        "" => vec![0x30, 0],
        text => tlv(0x30, &[&attribute(3, text)]),
    }
}

/// One relative name: an attribute `2.5.4.LAST`.
pub fn attribute(last: u8, text: &str) -> Vec<u8> {
    tlv(0x31, &[&tlv(0x30, &[&[6, 3, 0x55, 4, last], &tlv(0x0c, &[text.as_bytes()])])])
}

/// An `Extension`; `oid` and `value` are content octets.
pub fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
    tlv(0x30, &[&tlv(6, &[oid]), critical, &tlv(4, &[value])])
}

pub fn basic_constraints(ca: bool, path_len: Option<u8>) -> Vec<u8> {
    let ca: &[u8] = if ca { &[1, 1, 0xff] } else { &[] };
    let path_len = path_len.map_or_else(Vec::new, |length| vec![2, 1, length]);
    extension(&[0x55, 0x1d, 19], true, &tlv(0x30, &[ca, &path_len]))
}

/// Of `id-kp` by their last numbers: 1 serverAuth, 2 clientAuth.
pub fn extended_key_usage(purposes: &[u8]) -> Vec<u8> {
    let oids: Vec<_> = purposes.iter().flat_map(|&p| [6, 8, 0x2b, 6, 1, 5, 5, 7, 3, p]).collect();
    extension(&[0x55, 0x1d, 37], false, &tlv(0x30, &[&oids]))
}

pub fn authority_key_id(id: &[u8]) -> Vec<u8> {
    extension(&[0x55, 0x1d, 35], false, &tlv(0x30, &[&tlv(0x80, &[id])]))
}

/// Whole `GeneralName`s.
pub fn subject_alt_names(names: &[Vec<u8>]) -> Vec<u8> {
    extension(&[0x55, 0x1d, 17], false, &tlv(0x30, &[&names.concat()]))
}

/// Whole `GeneralName`s.
pub fn name_constraints(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Vec<u8> {
    let subtrees = |tag, names: &[Vec<u8>]| match names.is_empty() {
        true => Vec::new(),
        false => tlv(tag, &[&names.iter().flat_map(|name| tlv(0x30, &[name])).collect::<Vec<_>>()]),
    };
    let content = [subtrees(0xa0, permitted), subtrees(0xa1, excluded)].concat();
    extension(&[0x55, 0x1d, 30], true, &tlv(0x30, &[&content]))
}

/// Tag, length and what is inside.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len()).expect("less than 4 GiB").to_be_bytes();
    let mut whole = vec![tag];
    match content.len() {
        0..0x80 => whole.push(length[3]),
        0x80..0x100 => whole.extend([0x81, length[3]]),
        0x100..0x1_0000 => whole.extend([0x82, length[2], length[3]]),
        _ => whole.extend([0x83, length[1], length[2], length[3]]),
    }
    whole.extend(content);
    whole
}

fn public_key(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    tlv(0x30, &[algorithm, &tlv(3, &[&[0], key])])
}
