//! Revocation lists: as they come, and as the content of one whose signature is good.
#![no_main]

#[path = "../../crates/trust/tests/support/forge.rs"]
#[allow(dead_code)]
mod forge;

use std::sync::LazyLock;

use forge::{Forge, Key, P256_KEYS, tlv};
use libfuzzer_sys::fuzz_target;
use trust::{Certificate, Crl};

static ISSUER: LazyLock<Certificate> = LazyLock::new(|| {
    let key: &Key = &P256_KEYS[0];
    let der = Forge::new("CA", "CA", key).authority(key, None).signed_by(key);
    Certificate::from_der(&der).expect("it is one")
});

fuzz_target!(|bytes: &[u8]| {
    look(bytes);
    let key = &P256_KEYS[0];
    look(&tlv(0x30, &[bytes, key.algorithm(), &tlv(3, &[&[0], &key.sign(bytes)])]));
});

fn look(bytes: &[u8]) {
    for crl in Crl::read(bytes).unwrap_or_default() {
        for serial in [&[1][..], &[0, 0x80], &[]] {
            let _ = crl.find(serial);
        }
        let _ = (crl.is_signed_by(&ISSUER), crl.number(), crl.next_update(), crl.len());
        assert!(!crl.revokes_more_than(&crl));
    }
}
