//! The domain leads to no API.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "no-mapping",
    severity: Severity::Error,
    about: "The domain leads to no API",
    why: "Who is let in gets 403 or 404 for every path.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = facts.settings.as_ref().filter(|settings| settings.apis.is_empty() && !settings.has_rules) else {
        return Vec::new();
    };
    let name = &settings.domain.name;
    vec![
        Seen::new(format!("{name} has no API mapping and no routing rule."), "Map an API's stage to it.")
            .command(format!("aws apigatewayv2 create-api-mapping --domain-name {name} --api-id API_ID --stage STAGE")),
    ]
}
