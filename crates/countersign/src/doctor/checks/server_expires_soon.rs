//! The server's certificate expires soon.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, days, soon, when};

pub(super) const CHECK: Check = Check {
    id: "server-expires-soon",
    severity: Severity::Warning,
    about: "The server's certificate expires soon",
    why: "When it has, no client that verifies the server can connect.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(server) = facts.server() else { return Vec::new() };
    let left = server.not_after() - facts.now;
    if !(0..soon(server.not_before(), server.not_after())).contains(&left) {
        return Vec::new();
    }
    vec![Seen::new(
        format!("{} expires on {}, in {}.", server.subject(), when(server.not_after()), days(left)),
        "Renew it, and see to it that it is renewed by itself.",
    )]
}
