//! The server refuses the given certificate.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "client-refused",
    severity: Severity::Error,
    about: "The server refuses the given certificate",
    why: "The client cannot call.",
    needs: Need::ClientAndTls,
    causes: &["client-file-unusable", "key-unusable", "key-mismatch", "client-chain-order", "truststore-unusable", "truststore-stale", "client-invalid", "client-untrusted", "client-signature-invalid", "client-self-signed", "client-chain-incomplete", "client-expired", "client-not-yet-valid", "client-issuer-expired", "client-weak-signature", "client-weak-key", "client-purpose", "client-chain-too-long", "client-chain-too-large", "client-path-invalid", "client-path-too-complex", "client-version", "client-revoked", "client-revocation-unknown", "client-key-not-asked-for", "host-refused", "truststore-differs"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(given) = facts.given().filter(|given| given.is_refused()) else { return Vec::new() };
    // Who is not asked is refused for something else.
    if facts.live.request().is_none() {
        return Vec::new();
    }
    vec![Seen::new(
        format!("With the certificate it {}.", given.ended.words()),
        "Look at the server's log; give --truststore, or let the doctor read the settings, to learn why.",
    )]
}
