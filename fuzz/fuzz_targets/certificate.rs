//! Whatever is read as a certificate can be told about, and is read alike by whoever reads only a part of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trust::{Certificate, public_key};

fuzz_target!(|bytes: &[u8]| {
    let key = public_key(bytes);
    let Ok(certificate) = Certificate::from_der(bytes) else { return };
    assert_eq!(key, Some(certificate.public_key_der()));
    assert_eq!(Certificate::from_der(certificate.der()).as_ref(), Ok(&certificate));
    let told = certificate.client_cert();
    assert!(told.subject_dn.chars().chain(told.issuer_dn.chars()).all(|c| !c.is_control()));
    for name in certificate.subject_alt_names() {
        let _ = name.to_string();
    }
    let _ = (certificate.is_signed_by(&certificate), certificate.key_name(), certificate.signature_name());
});
