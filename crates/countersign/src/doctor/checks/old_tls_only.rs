//! The server speaks nothing newer than TLS 1.1.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "old-tls-only",
    severity: Severity::Error,
    about: "The server speaks nothing newer than TLS 1.1",
    why: "Current clients refuse TLS 1.0 and 1.1 (RFC 8996), so nobody can connect.",
    needs: Need::Nothing,
    causes: &["unreachable", "not-tls"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let old: Vec<&str> = facts.live.old_versions.iter().map(|hello| hello.version_name()).collect();
    if facts.live.is_tls() || old.is_empty() {
        return Vec::new();
    }
    vec![Seen::new(
        format!("A handshake in TLS 1.2 or 1.3 fails; {} is accepted.", old.join(", ")),
        "Switch TLS 1.2 and 1.3 on, and what is older off.",
    )]
}
