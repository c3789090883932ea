//! An API behind the domain is reached by another domain that asks for no certificate.

use super::super::facts::Facts;
use super::super::settings::Api;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "open-domain",
    severity: Severity::Warning,
    about: "An API behind the domain is reached by another domain that asks for no certificate",
    why: "Mutual TLS belongs to a domain name, not to an API: each name that leads there is a door.",
    needs: Need::Settings,
    causes: &["mutual-tls-off"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let seen = |api: &Api| {
        Seen::new(
            format!("{} ({}) is mapped to {}, too, without mutual TLS.", api.name, api.id, api.other_doors.join(", ")),
            "Take that mapping away, or give that domain a truststore.",
        )
        .command(format!("aws apigatewayv2 get-api-mappings --domain-name {}", api.other_doors[0]))
    };
    settings.apis.iter().filter(|api| !api.other_doors.is_empty()).map(seen).collect()
}
