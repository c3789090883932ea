//! The server serves who has no certificate.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "certificate-optional",
    severity: Severity::Error,
    about: "The server serves who has no certificate",
    why: "A certificate that is asked for and not needed keeps nobody out, unless what is behind looks for it.",
    needs: Need::Tls,
    causes: &["mutual-tls-off", "no-client-auth", "stranger-accepted"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    if facts.live.request().is_none() || !facts.live.anonymous.is_served() {
        return Vec::new();
    }
    vec![Seen::new(
        format!("It asks for a certificate, and without one it {}.", facts.live.anonymous.ended.words()),
        "Require it (nginx: ssl_verify_client on; Apache: SSLVerifyClient require), or refuse in the \
         service behind.",
    )]
}
