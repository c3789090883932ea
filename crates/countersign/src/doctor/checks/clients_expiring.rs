//! Certificates of known clients end soon.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

const MAX_SHOWN: usize = 10;

pub(super) const CHECK: Check = Check {
    id: "clients-expiring",
    severity: Severity::Warning,
    about: "Certificates of known clients end soon",
    why: "When they have, those clients are refused.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = facts.settings.as_ref().filter(|settings| !settings.expiring.is_empty()) else { return Vec::new() };
    let shown: Vec<&str> = settings.expiring.iter().take(MAX_SHOWN).map(String::as_str).collect();
    let more = settings.expiring.len() - shown.len();
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    vec![
        Seen::new(
            format!("Within 30 days, not renewed: {}{more}.", shown.join("; ")),
            "Remind their owners.",
        )
        .command(format!("countersign clients --domain {} --expiring 30d", settings.domain.name)),
    ]
}
