//! `ExportCertificate`: the private key leaves only encrypted, in the form that OpenSSL reads (PKCS#8, RFC 5958; PBES2, RFC 8018).

use std::num::NonZeroU32;

use aws::Error;
use aws_lc_rs::cipher::{AES_256, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::pbkdf2;
use data_encoding::BASE64;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::validation;
use crate::ids;

/// OWASP's number for PBKDF2 with HMAC-SHA256.
const ITERATIONS: u32 = 600_000;
const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

// Tags of DER (X.690) and the identifiers of RFC 8018, in DER.
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const PBES2: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d";
const PBKDF2: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c";
/// With its parameters, which are NULL.
const HMAC_WITH_SHA256: &[u8] = b"\x06\x08\x2a\x86\x48\x86\xf7\x0d\x02\x09\x05\x00";
const AES_256_CBC: &[u8] = b"\x06\x09\x60\x86\x48\x01\x65\x03\x04\x01\x2a";

/// A key in PEM (PKCS#8), encrypted under a passphrase: `ENCRYPTED PRIVATE KEY` in PEM.
pub(super) fn encrypted(pem: &[u8], passphrase: &[u8]) -> Result<Zeroizing<String>, Error> {
    // The characters that ACM's documentation rules out.
    let allowed = |byte: &u8| byte.is_ascii() && !b"#$%".contains(byte);
    if !passphrase.iter().all(allowed) {
        return Err(validation("The passphrase may have any ASCII character except #, $ and %."));
    }
    let failed = || Error::internal("The private key could not be encrypted.");
    let key = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| failed())?;
    let mut salt = [0; SALT_BYTES];
    ids::fill(&mut salt)?;
    let iterations = NonZeroU32::new(ITERATIONS).ok_or_else(failed)?;
    let mut derived = Zeroizing::new([0; KEY_BYTES]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, passphrase, &mut *derived);
    let cipher = UnboundCipherKey::new(&AES_256, &*derived).and_then(PaddedBlockEncryptingKey::cbc_pkcs7);
    // Room for the padding, so that the plain bytes are never moved.
    let mut bytes = Zeroizing::new(Vec::with_capacity(key.secret_pkcs8_der().len() + 16));
    bytes.extend_from_slice(key.secret_pkcs8_der());
    let context = cipher.map_err(|_| failed())?.encrypt(&mut *bytes).map_err(|_| failed())?;
    let iv: &[u8] = (&context).try_into().map_err(|_| failed())?;
    let derivation = [tlv(OCTET_STRING, &salt), tlv(INTEGER, &number(ITERATIONS)), tlv(SEQUENCE, HMAC_WITH_SHA256)];
    let derivation = [PBKDF2, &tlv(SEQUENCE, &derivation.concat())].concat();
    let scheme = [AES_256_CBC, &tlv(OCTET_STRING, iv)].concat();
    let parameters = [tlv(SEQUENCE, &derivation), tlv(SEQUENCE, &scheme)].concat();
    let algorithm = [PBES2, &tlv(SEQUENCE, &parameters)].concat();
    let info = tlv(SEQUENCE, &[tlv(SEQUENCE, &algorithm), tlv(OCTET_STRING, &bytes)].concat());
    Ok(Zeroizing::new(in_pem(&info)))
}

/// An element of DER.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut element = vec![tag];
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    match content.len() {
        short @ 0..0x80 => element.push(short as u8),
        _ => {
            element.push(0x80 | length.len() as u8);
            element.extend_from_slice(length);
        }
    }
    element.extend_from_slice(content);
    element
}

/// A positive INTEGER's content: as short as it goes, and without a sign.
fn number(value: u32) -> Vec<u8> {
    let bytes = [&[0][..], &value.to_be_bytes()].concat();
    let skip = bytes.windows(2).take_while(|pair| pair[0] == 0 && pair[1] < 0x80).count();
    bytes[skip..].to_vec()
}

fn in_pem(der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + "-----END ENCRYPTED PRIVATE KEY-----\n"
}

#[cfg(test)]
mod tests {
    use x509_cert::der::{AnyRef, Decode};

    use super::*;

    #[test]
    fn lengths_and_numbers() {
        for (length, head) in [(0, &[4, 0][..]), (127, &[4, 127]), (128, &[4, 0x81, 128]), (1218, &[4, 0x82, 4, 0xc2])]
        {
            assert!(tlv(4, &vec![7; length]).starts_with(head), "{length}");
        }
        for (value, bytes) in [(0, &[0][..]), (127, &[127]), (128, &[0, 128]), (600_000, &[9, 0x27, 0xc0])] {
            assert_eq!(number(value), bytes, "{value}");
        }
    }

    #[test]
    fn what_comes_out_is_der_and_no_key() {
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = encrypted(key.serialize_pem().as_bytes(), b"a passphrase").unwrap();
        let (label, der) = x509_cert::der::pem::decode_vec(pem.as_bytes()).unwrap();
        assert_eq!(label, "ENCRYPTED PRIVATE KEY");
        AnyRef::from_der(&der).unwrap();
        let plain = key.serialize_der();
        assert!(!der.windows(16).any(|window| plain.windows(16).any(|other| other == window)));
        assert_eq!(encrypted(b"", b"pass").unwrap_err().code, "InternalFailure");
        assert_eq!(encrypted(key.serialize_pem().as_bytes(), b"a$b1").unwrap_err().code, "ValidationException");
    }
}
