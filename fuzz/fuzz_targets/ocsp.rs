//! Answers of OCSP responders: as they come, and as the content of one whose signature is good.
#![no_main]

#[path = "../../crates/trust/tests/support/forge.rs"]
#[allow(dead_code)]
mod forge;

use std::sync::LazyLock;

use forge::{Forge, P256_KEYS, tlv};
use libfuzzer_sys::fuzz_target;
use trust::{CertId, Certificate, OcspStatus};

const NOW: i64 = 1_795_305_600;
/// 1.3.6.1.5.5.7.48.1.1
const BASIC: &[u8] = &[6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];

static PAIR: LazyLock<(Certificate, Certificate)> = LazyLock::new(|| {
    let key = &P256_KEYS[0];
    let read = |der: Vec<u8>| Certificate::from_der(&der).expect("it is one");
    let issuer = read(Forge::new("CA", "CA", key).authority(key, None).signed_by(key));
    (read(Forge::new("client", "CA", &P256_KEYS[1]).client(key).signed_by(key)), issuer)
});

fuzz_target!(|bytes: &[u8]| {
    let (certificate, issuer) = &*PAIR;
    let key = &P256_KEYS[0];
    let basic = tlv(0x30, &[bytes, key.algorithm(), &tlv(3, &[&[0], &key.sign(bytes)])]);
    let signed = tlv(0x30, &[&[10, 1, 0], &tlv(0xa0, &[&tlv(0x30, &[BASIC, &tlv(4, &[&basic])])])]);
    for response in [bytes, &signed] {
        if let Ok(status) = OcspStatus::read(response, certificate, issuer, NOW) {
            assert!(status.until() >= NOW && !status.responder().is_empty());
            let _ = status.status();
        }
    }
    let _ = OcspStatus::request(&CertId::of(certificate, issuer));
});
