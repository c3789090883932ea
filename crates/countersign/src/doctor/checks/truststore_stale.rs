//! The domain is pinned to a version of the truststore that is older than what the client needs.

use super::super::facts::Facts;
use super::super::judge;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "truststore-stale",
    severity: Severity::Error,
    about: "The domain is pinned to a version of the truststore that is older than what the client needs",
    why: "A new version of the object changes nothing until the domain is updated: the commonest surprise on AWS, \
        too.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let by_record = facts.recorded().and_then(|recorded| recorded.newer_version.clone());
    let is_refused = facts.verdict.as_ref().is_some_and(|verdict| verdict.refused().is_some());
    let newest = settings.newest.as_ref().filter(|newest| is_refused && judge::would_accept(facts, newest));
    let Some(newer) = by_record.or_else(|| newest.and(settings.newest_version.clone())) else { return Vec::new() };
    let domain = &settings.domain;
    let uri = domain.truststore_uri.clone().unwrap_or_default();
    let in_force = settings.version_in_force.clone().unwrap_or_else(|| "an older version".to_owned());
    vec![
        Seen::new(
            format!("{uri} has version {newer}, by which the client is accepted; {in_force} is enforced."),
            "Update the domain to the newer version, once you know whom else that lets in.",
        )
        .command(format!("countersign truststore diff --domain {} --from {in_force} --to {newer}", domain.name))
        .command(format!(
            "aws apigatewayv2 update-domain-name --domain-name {} --domain-name-configurations {} \
             --mutual-tls-authentication TruststoreUri={uri},TruststoreVersion={newer}",
            domain.name,
            domain.configurations()
        )),
    ]
}
