//! The private key is not that of the certificate.

use control::shell::quote;
use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "key-mismatch",
    severity: Severity::Error,
    about: "The private key is not that of the certificate",
    why: "The client cannot sign the handshake: its TLS library refuses the pair, or the server the signature.",
    needs: Need::Client,
    causes: &["client-file-unusable", "client-chain-order"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(client) = &facts.files.client else { return Vec::new() };
    let fits = |certificate| client.is_of_key(certificate) == Some(true);
    let Some(leaf) = client.leaf() else { return Vec::new() };
    if client.is_of_key(leaf) != Some(false) || client.certificates.iter().any(|(_, certificate)| fits(certificate)) {
        return Vec::new();
    }
    vec![
        Seen::new(
            format!("{} is not the key of {} in {}.", client.key_file, leaf.subject(), client.cert_file),
            "Name the key with which the certificate was requested; both commands have to print the same.",
        )
        .command(format!("openssl x509 -in {} -noout -pubkey", quote(&client.cert_file)))
        .command(format!("openssl pkey -in {} -pubout", quote(&client.key_file))),
    ]
}
