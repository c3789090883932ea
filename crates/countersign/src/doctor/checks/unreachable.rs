//! Nobody listens at the endpoint's address.

use super::super::facts::Facts;
use super::super::probe::Ended;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "unreachable",
    severity: Severity::Error,
    about: "Nobody listens at the endpoint's address",
    why: "Nothing else can be looked at.",
    needs: Need::Nothing,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    match &facts.live.anonymous.ended {
        Ended::Unreachable(why) => vec![Seen::new(
            format!("Connecting to {} failed: {why}.", facts.address),
            "Start the server, correct the address (--connect HOST:PORT goes past DNS), or open the firewall.",
        )],
        Ended::TimedOut if !facts.live.is_tls() => vec![Seen::new(
            format!("{} took the connection, if at all, and said nothing within 5 s.", facts.address),
            "Look whether a firewall drops packets, and whether the server is overloaded.",
        )],
        _ => Vec::new(),
    }
}
