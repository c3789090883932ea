//! A Host that is not the server name's is served.

use super::super::facts::Facts;
use super::super::probe::FOREIGN_HOST;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "foreign-host-served",
    severity: Severity::Warning,
    about: "A Host that is not the server name's is served",
    why: "One who is trusted for this name may reach content of another name, whose truststore may not trust him. \
        RFC 9110 section 15.5.20 has 421 for it.",
    needs: Need::Tls,
    causes: &["mutual-tls-off", "no-client-auth"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(visit) = facts.live.foreign_host.as_ref().filter(|visit| visit.is_served()) else { return Vec::new() };
    vec![Seen::new(
        format!("Under the server name {} and with Host: {FOREIGN_HOST} it {}.", facts.target.host, visit.ended.words()),
        "Refuse requests whose Host is not the handshake's server name (421).",
    )]
}
