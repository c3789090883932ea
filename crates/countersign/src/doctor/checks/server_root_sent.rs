//! The server sends a root along.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "server-root-sent",
    severity: Severity::Info,
    about: "The server sends a root along",
    why: "Clients trust the root that they have, never one that is sent: it costs bytes in each handshake.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let [_, .., top] = &facts.live.server_chain[..] else { return Vec::new() };
    if !top.is_self_issued() {
        return Vec::new();
    }
    vec![Seen::new(
        format!("The last certificate that it sends is {}, self-signed.", top.subject()),
        "Leave it out of the server's chain.",
    )]
}
