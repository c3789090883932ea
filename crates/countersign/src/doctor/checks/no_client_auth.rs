//! The server asks for no client certificate.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "no-client-auth",
    severity: Severity::Error,
    about: "The server asks for no client certificate",
    why: "Who is not asked cannot be known: everybody is let in.",
    needs: Need::Tls,
    causes: &["mutual-tls-off"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let is_asked = facts.live.request().is_some();
    let is_seen = facts.live.anonymous.handshake.is_some();
    if is_asked || !is_seen {
        return Vec::new();
    }
    vec![Seen::new(
        format!(
            "The handshake has no CertificateRequest, and without a certificate the server {}. (One that asks only \
             after it has read the path, by renegotiation, is not seen here.)",
            facts.live.anonymous.ended.words()
        ),
        "Switch mutual TLS on: the domain's truststore; in nginx ssl_verify_client on, in Apache \
         SSLVerifyClient require.",
    )]
}
