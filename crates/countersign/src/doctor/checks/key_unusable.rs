//! The client's private key cannot be used.

use control::shell::quote;
use super::super::facts::Facts;
use super::super::files::KeyFault;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "key-unusable",
    severity: Severity::Error,
    about: "The client's private key cannot be used",
    why: "Who does not prove to hold the key has no certificate.",
    needs: Need::Client,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(client) = &facts.files.client else { return Vec::new() };
    let Err(fault) = &client.key else { return Vec::new() };
    if *fault == KeyFault::Unsupported && facts.reason() == Some(trust::Code::ClientCertWeakKey) {
        // That is said of the certificate.
        return Vec::new();
    }
    let file = &client.key_file;
    vec![match fault {
        KeyFault::Encrypted => Seen::new(
            format!("{file}: the key is encrypted."),
            "Decrypt it for a program that cannot ask for a passphrase.",
        )
            .command(format!("openssl pkey -in {} -out plain.key", quote(file))),
        KeyFault::None(why) => {
            Seen::new(format!("{file}: {why}."), "Name the file with the private key (PEM: -----BEGIN PRIVATE KEY-----).")
        }
        KeyFault::Unsupported => Seen::new(
            format!("{file}: a key of a kind or size that TLS libraries do not sign with."),
            "Use RSA of 2048 bits or more, P-256 or P-384, and have a certificate issued for it.",
        ),
    }]
}
