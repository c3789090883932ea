//! The domain's truststore has warnings.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "truststore-warnings",
    severity: Severity::Warning,
    about: "The domain's truststore has warnings",
    why: "get-domain-name says what of truststore and revocation lists does not work.",
    needs: Need::Settings,
    causes: &["truststore-stale", "truststore-drifted", "truststore-lint"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let seen = |warning: &String| Seen::new(warning.clone(), "Do what the warning says.");
    settings.domain.warnings.iter().map(seen).collect()
}
