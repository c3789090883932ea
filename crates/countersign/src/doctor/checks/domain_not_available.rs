//! The domain is not available.

use super::super::facts::Facts;
use super::super::settings::Domain;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "domain-not-available",
    severity: Severity::Warning,
    about: "The domain is not available",
    why: "What was set last is not enforced everywhere yet.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let Domain { name, status, .. } = &settings.domain;
    if status == "AVAILABLE" || status.is_empty() {
        return Vec::new();
    }
    vec![
        Seen::new(
            format!("{name} is {status}."),
            "Wait until it is AVAILABLE; on AWS PENDING states want a certificate of you.",
        )
            .command(format!("aws apigatewayv2 get-domain-name --domain-name {name}")),
    ]
}
