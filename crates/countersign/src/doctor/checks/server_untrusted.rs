//! The server's certificate leads to no CA that is trusted here.

use trust::Code;

use super::server_chain_incomplete::lacks_issuer;
use super::super::facts::Facts;
use super::super::judge;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "server-untrusted",
    severity: Severity::Error,
    about: "The server's certificate leads to no CA that is trusted here",
    why: "Clients that verify the server end the handshake.",
    needs: Need::Tls,
    causes: &["server-expired", "server-not-yet-valid", "server-weak", "server-purpose", "server-chain-incomplete"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(cas) = &facts.files.server_cas else { return Vec::new() };
    let Err((code, detail)) = judge::server(facts) else { return Vec::new() };
    let is_told = matches!(
        code,
        Code::ClientCertExpired
            | Code::ClientCertNotYetValid
            | Code::ClientCertWeakKey
            | Code::ClientCertWeakSignature
            | Code::ClientCertPurposeInvalid
    );
    if is_told || code == Code::ClientCertUntrusted && lacks_issuer(facts) {
        return Vec::new();
    }
    let seen = Seen::new(
        format!("Judged by {}: {detail}.", cas.name),
        "Give clients the CA that issued it, or use a certificate of a CA that they know. Here \
         --ca-file names the CA.",
    );
    // The system's CAs are a guess at what clients trust.
    vec![if cas.named { seen } else { seen.severity(Severity::Warning) }]
}
