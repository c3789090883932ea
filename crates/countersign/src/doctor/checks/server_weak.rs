//! The server's certificate has a weak key or signature.

use trust::Code;

use super::super::facts::Facts;
use super::super::judge;
use super::{Check, Need, Seen, Severity};

const FIX: &str = "Have it issued again with RSA 2048 or more, P-256 or P-384, and SHA-256.";

pub(super) const CHECK: Check = Check {
    id: "server-weak",
    severity: Severity::Error,
    about: "The server's certificate has a weak key or signature",
    why: "Current clients refuse RSA below 2048 bits, SHA-1 and MD5.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    match judge::server(facts) {
        Err((Code::ClientCertWeakKey | Code::ClientCertWeakSignature, detail)) => {
            vec![Seen::new(format!("{detail}."), FIX)]
        }
        _ => Vec::new(),
    }
}
