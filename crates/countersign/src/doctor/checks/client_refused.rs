//! The server refuses the given certificate.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, WHY_REFUSED};

pub(super) const CHECK: Check = Check {
    id: "client-refused",
    severity: Severity::Error,
    about: "The server refuses the given certificate",
    why: "The client cannot call.",
    needs: Need::ClientAndTls,
    causes: WHY_REFUSED,
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(given) = facts.given().filter(|given| given.is_refused()) else { return Vec::new() };
    // Who is not asked is refused for something else.
    if facts.live.request().is_none() {
        return Vec::new();
    }
    vec![Seen::new(
        format!("With the certificate it {}.", given.ended.words()),
        "Look at the server's log; give --truststore, or let the doctor read the settings, to learn why.",
    )]
}
