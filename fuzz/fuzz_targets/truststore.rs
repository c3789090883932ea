//! Whatever is read as a truststore has findings that can be shown, and judges its own certificates.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trust::{Policy, Profile, Truststore, Unrevoked};

const NOW: i64 = 1_795_305_600;

fuzz_target!(|bytes: &[u8]| {
    let Ok((truststore, findings)) = Truststore::compile(bytes, NOW) else { return };
    for finding in &findings {
        assert!(!finding.explanation.is_empty() && finding.line <= bytes.len() + 1);
    }
    let again = Truststore::compile(bytes, NOW).expect("it was read before").0;
    assert_eq!(truststore.digest(), again.digest());
    for certificate in truststore.certificates().take(8) {
        for profile in [Profile::Aws, Profile::Rfc5280] {
            let judgment = truststore.judge(&[certificate.der()], &Policy::of(profile), &Unrevoked, NOW);
            assert!(judgment.cost.signature_checks <= 64 && judgment.cost.steps <= 25_000);
        }
    }
});
