//! TLS 1.0 or 1.1 is accepted.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "old-tls",
    severity: Severity::Warning,
    about: "TLS 1.0 or 1.1 is accepted",
    why: "Both are broken and withdrawn (RFC 8996); auditors look for them.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let old: Vec<&str> = facts.live.old_versions.iter().map(|hello| hello.version_name()).collect();
    if old.is_empty() {
        return Vec::new();
    }
    vec![Seen::new(format!("The server answers a ClientHello of {}.", old.join(" and ")), "Accept TLS 1.2 and 1.3 only.")]
}
