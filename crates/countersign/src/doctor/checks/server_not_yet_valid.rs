//! The server's certificate is not valid yet.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, when};

pub(super) const CHECK: Check = Check {
    id: "server-not-yet-valid",
    severity: Severity::Error,
    about: "The server's certificate is not valid yet",
    why: "Clients that verify the server end the handshake.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(server) = facts.server().filter(|server| server.not_before() > facts.now) else { return Vec::new() };
    vec![Seen::new(
        format!("{} is valid from {} on.", server.subject(), when(server.not_before())),
        "Wait, issue it again, or correct the clock of whoever issued it.",
    )]
}
