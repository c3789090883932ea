//! A cipher suite without forward secrecy, or a broken one, is accepted.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "weak-cipher",
    severity: Severity::Warning,
    about: "A cipher suite without forward secrecy, or a broken one, is accepted",
    why: "Recorded traffic is read once the server's key is known, or at once.",
    needs: Need::Tls,
    causes: &["old-tls"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(hello) = &facts.live.weak_cipher else { return Vec::new() };
    vec![Seen::new(
        format!("In {} the server takes {}.", hello.version_name(), hello.cipher_name()),
        "Accept suites with ECDHE and AES-GCM or ChaCha20-Poly1305 only.",
    )]
}
