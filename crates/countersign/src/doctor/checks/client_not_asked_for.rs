//! The authorities that the server names are not those of the client.

use super::super::facts::Facts;
use super::super::probe::name_text;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "client-not-asked-for",
    severity: Severity::Warning,
    about: "The authorities that the server names are not those of the client",
    why: "Browsers, Java and Windows choose a certificate by these names, and send none where none fits.",
    needs: Need::ClientAndTls,
    causes: &[
        "client-file-unusable",
        "client-chain-order",
        "truststore-stale",
        "truststore-differs",
        "client-untrusted",
        "client-self-signed",
        "client-signature-invalid",
        "client-chain-incomplete",
    ],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    if facts.is_asked_for() != Some(false) {
        return Vec::new();
    }
    let names = facts.live.request().map(|request| request.names.iter().take(5).map(|name| name_text(name)).collect());
    let names: Vec<String> = names.unwrap_or_default();
    let issuer = facts.files.client.as_ref().and_then(|client| client.leaf()).map(|leaf| leaf.issuer().to_owned());
    vec![Seen::new(
        format!(
            "The server asks for certificates of {}; the client's is of {}.",
            names.join("; "),
            issuer.unwrap_or_default()
        ),
        "Let the client send its intermediate certificates, or the server name their authorities.",
    )]
}
