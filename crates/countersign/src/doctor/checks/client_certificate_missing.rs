//! The server wants a client certificate, and none was given.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "client-certificate-missing",
    severity: Severity::Info,
    about: "The server wants a client certificate, and none was given",
    why: "That is mutual TLS at work. With --cert and --key it is seen whether yours is accepted.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    if facts.files.client.is_some() || facts.live.request().is_none() || !facts.live.anonymous.is_refused() {
        return Vec::new();
    }
    vec![
        Seen::new(
            format!("Without a certificate it {} (ClientCertMissing).", facts.live.anonymous.ended.words()),
            "Give a certificate of an authority that the server trusts, and its key.",
        )
        .command(format!("countersign doctor {} --cert client.pem --key client.key", facts.target.url)),
    ]
}
