//! Nobody else is told what the server's records are.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "records-without-witness",
    severity: Severity::Warning,
    about: "Nobody else is told what the server's records are",
    why: "Whoever can write to the server's disk can forge the past and sign for it: audit verify then says self-consistent only.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let is_missing = facts.settings.as_ref().is_some_and(|settings| settings.has_witness == Some(false));
    let seen = is_missing.then(|| {
        Seen::new(
            "audit.witness is not set.",
            "Set audit.witness in countersign.toml to a file, a webhook or a bucket that its administrators cannot change.",
        )
    });
    seen.into_iter().collect()
}
