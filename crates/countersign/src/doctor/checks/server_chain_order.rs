//! The server's chain is out of order.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "server-chain-order",
    severity: Severity::Warning,
    about: "The server's chain is out of order",
    why: "TLS 1.2 asks for each certificate to be followed by its issuer (RFC 5246 section 7.4.2); some clients \
        read no other order.",
    needs: Need::Tls,
    causes: &["server-chain-incomplete"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let chain = &facts.live.server_chain;
    let broken = chain.windows(2).find(|pair| pair[0].issuer_der() != pair[1].subject_der());
    let Some([before, after]) = broken else { return Vec::new() };
    vec![Seen::new(
        format!("{}, which {} issued, is followed by {}.", before.subject(), before.issuer(), after.subject()),
        "Put the server's own certificate first in the file, then the one that issued it, and so on up.",
    )]
}
