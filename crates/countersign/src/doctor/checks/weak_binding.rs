//! What tokens say about certificates is not looked at.

use model::BoundTokens;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "weak-binding",
    severity: Severity::Warning,
    about: "What tokens say about certificates is not looked at",
    why: "A stolen token that is bound to a certificate (RFC 8705) works with any other.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    if settings.tags().bound_tokens != Some(BoundTokens::Off) {
        return Vec::new();
    }
    let domain = &settings.domain;
    vec![
        Seen::new(format!("{} has the tag countersign:bound-tokens=off.", domain.name), "Take the tag away.")
            .command(format!(
                "aws apigatewayv2 untag-resource --resource-arn {} --tag-keys countersign:bound-tokens",
                domain.arn
            )),
    ]
}
