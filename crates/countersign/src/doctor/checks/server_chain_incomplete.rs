//! The server does not send its intermediate certificates.

use trust::Code;

use super::super::facts::Facts;
use super::super::judge;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "server-chain-incomplete",
    severity: Severity::Error,
    about: "The server does not send its intermediate certificates",
    why: "Clients know roots only: they cannot verify a server that leaves out what is between. Browsers often \
        hide it, since they fetch or remember what is missing.",
    needs: Need::Tls,
    causes: &["server-expired", "server-not-yet-valid"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    match judge::server(facts) {
        Err((Code::ClientCertUntrusted, _)) if lacks_issuer(facts) => {
            let issuer = facts.server().map(|server| server.issuer().to_owned()).unwrap_or_default();
            vec![Seen::new(
                format!("It sends its own certificate only, and the issuer, {issuer}, is no root that is known here."),
                "Append the intermediate certificates to the server's certificate file, its own first; in \
                 ACM, give --certificate-chain.",
            )]
        }
        _ => Vec::new(),
    }
}

/// Nothing above the leaf was sent; and where the leaf says where its issuer's certificate can be had, that is no root.
pub(super) fn lacks_issuer(facts: &Facts) -> bool {
    let is_alone = facts.live.server_chain.len() == 1;
    is_alone && facts.server().is_some_and(|server| !server.is_self_issued() && !server.issuer_urls().is_empty())
}
