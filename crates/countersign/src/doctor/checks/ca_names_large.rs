//! The server names many authorities when it asks for a certificate.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

/// What this gateway would send at most.
const MAX_NAMES_BYTES: usize = 16 * 1024;

pub(super) const CHECK: Check = Check {
    id: "ca-names-large",
    severity: Severity::Warning,
    about: "The server names many authorities when it asks for a certificate",
    why: "The names go with every handshake, and beyond 64 KiB no handshake succeeds; who connects learns whom you \
        trust.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(request) = facts.live.request().filter(|request| request.names_bytes() > MAX_NAMES_BYTES) else {
        return Vec::new();
    };
    vec![Seen::new(
        format!("{} names take {} bytes.", request.names.len(), request.names_bytes()),
        "Name none, or few (nginx: ssl_trusted_certificate for what is trusted, \
         ssl_client_certificate for what is named).",
    )]
}
