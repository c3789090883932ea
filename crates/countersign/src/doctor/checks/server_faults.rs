//! The server says that something is wrong with it.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "server-faults",
    severity: Severity::Warning,
    about: "The server says that something is wrong with it",
    why: "Clients are served meanwhile; what is wrong comes out later, as a change or a record that is lost.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = facts.settings.as_ref().filter(|settings| !settings.faults.is_empty()) else { return Vec::new() };
    vec![Seen::new(
        format!("Its health names: {}.", settings.faults.join(", ")),
        "Look at its stderr; docs/operations.md says what each means.",
    )]
}
