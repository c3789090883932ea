//! Revocation is checked, and who cannot be checked is let in.

use trust::Fallback;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "weak-revocation",
    severity: Severity::Warning,
    about: "Revocation is checked, and who cannot be checked is let in",
    why: "Whoever can keep the list from being fetched, or lets it grow old, is not revoked.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let Some(rules) = settings.tags().revocation() else { return Vec::new() };
    let lenient = [("on-missing", rules.on_missing), ("on-stale", rules.on_stale)];
    let lenient = lenient.into_iter().filter(|(_, fallback)| *fallback == Fallback::Allow).map(|(name, _)| name);
    let lenient: Vec<String> = lenient.map(|name| format!("countersign:revocation-{name}")).collect();
    if lenient.is_empty() {
        return Vec::new();
    }
    let domain = &settings.domain;
    vec![
        Seen::new(
            format!("{} has {} set to allow.", domain.name, lenient.join(" and ")),
            "Take the tags away once lists come reliably.",
        )
        .command(format!("aws apigatewayv2 untag-resource --resource-arn {} --tag-keys {}", domain.arn, lenient.join(" "))),
    ]
}
