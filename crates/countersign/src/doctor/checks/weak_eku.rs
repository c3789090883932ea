//! Certificates that are not for clients are accepted.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "weak-eku",
    severity: Severity::Warning,
    about: "Certificates that are not for clients are accepted",
    why: "With countersign:eku=any the certificate of any server that one of the trusted authorities has issued \
        opens the door.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = facts.settings.as_ref().filter(|settings| settings.tags().any_eku) else { return Vec::new() };
    let domain = &settings.domain;
    vec![
        Seen::new(
            format!("{} has the tag countersign:eku=any.", domain.name),
            "Take the tag away once clients have certificates with clientAuth.",
        )
            .command(format!("countersign truststore preview --domain {} --eku client", domain.name))
            .command(format!("aws apigatewayv2 untag-resource --resource-arn {} --tag-keys countersign:eku", domain.arn)),
    ]
}
