//! The TLS handshake fails before any certificate is shown.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "handshake-fails",
    severity: Severity::Error,
    about: "The TLS handshake fails before any certificate is shown",
    why: "Nobody can connect, with or without a client certificate.",
    needs: Need::Nothing,
    causes: &["unreachable", "not-tls", "old-tls-only", "unknown-name"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    if facts.live.is_tls() || !facts.live.anonymous.ended.is_reachable() {
        return Vec::new();
    }
    vec![Seen::new(
        format!("The server {}.", facts.live.anonymous.ended.words()),
        "Look at the server's log: it lacks a certificate for the name, shares no version, cipher suite or signature \
         algorithm, or its CertificateRequest is too large (more than about a thousand CA names).",
    )]
}
