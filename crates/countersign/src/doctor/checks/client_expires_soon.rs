//! The client's certificate expires soon.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, days, soon, when};

pub(super) const CHECK: Check = Check {
    id: "client-expires-soon",
    severity: Severity::Warning,
    about: "The client's certificate expires soon",
    why: "When it has, the client is refused.",
    needs: Need::Client,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(leaf) = facts.files.client.as_ref().and_then(|client| client.leaf()) else { return Vec::new() };
    let left = leaf.not_after() - facts.now;
    if !(0..soon(leaf.not_before(), leaf.not_after())).contains(&left) {
        return Vec::new();
    }
    vec![Seen::new(
        format!("{} expires on {}, in {}.", leaf.subject(), when(leaf.not_after()), days(left)),
        "Renew it.",
    )]
}
