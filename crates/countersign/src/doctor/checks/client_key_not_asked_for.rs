//! The server takes no signature that the client's key can make.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "client-key-not-asked-for",
    severity: Severity::Error,
    about: "The server takes no signature that the client's key can make",
    why: "The CertificateRequest lists signature algorithms; a client with none of them sends no certificate.",
    needs: Need::ClientAndTls,
    causes: &["client-file-unusable", "key-unusable"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let (Some(client), Some(request)) = (&facts.files.client, facts.live.request()) else { return Vec::new() };
    let Ok(key) = &client.key else { return Vec::new() };
    if request.schemes.is_empty() || key.choose_scheme(&request.schemes).is_some() {
        return Vec::new();
    }
    let schemes: Vec<String> = request.schemes.iter().map(|scheme| format!("{scheme:?}")).collect();
    vec![Seen::new(
        format!("The key in {} is {:?}; the server asks for {}.", client.key_file, key.algorithm(), schemes.join(", ")),
        "Use a key of a kind that the server takes, or allow more signature algorithms there.",
    )]
}
