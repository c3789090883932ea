//! The server's certificate is not for servers.

use trust::Code;

use super::super::facts::Facts;
use super::super::judge;
use super::{Check, Need, Seen, Severity};

const FIX: &str = "Have it issued again with the extended key usage serverAuth.";

pub(super) const CHECK: Check = Check {
    id: "server-purpose",
    severity: Severity::Error,
    about: "The server's certificate is not for servers",
    why: "Clients that verify the server ask for the extended key usage serverAuth.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    match judge::server(facts) {
        Err((Code::ClientCertPurposeInvalid, detail)) => {
            vec![Seen::new(format!("{detail}."), FIX)]
        }
        _ => Vec::new(),
    }
}
