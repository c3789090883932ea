//! The truststore's object is newer than what is enforced.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "truststore-drifted",
    severity: Severity::Warning,
    about: "The truststore's object is newer than what is enforced",
    why: "Somebody has uploaded a truststore that nobody enforces.",
    needs: Need::Settings,
    causes: &["truststore-stale"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let (Some(newest), Some(in_force)) = (&settings.newest_version, &settings.version_in_force) else { return Vec::new() };
    if newest == in_force {
        return Vec::new();
    }
    let domain = &settings.domain;
    let uri = domain.truststore_uri.clone().unwrap_or_default();
    vec![
        Seen::new(
            format!("{uri} has version {newest}; {in_force} is enforced."),
            "See what the newer one would change, then update the domain.",
        )
        .command(format!("countersign truststore preview --domain {} --version {newest}", domain.name))
        .command(format!(
            "aws apigatewayv2 update-domain-name --domain-name {} --domain-name-configurations {} \
             --mutual-tls-authentication TruststoreUri={uri},TruststoreVersion={newest}",
            domain.name,
            domain.configurations()
        )),
    ]
}
