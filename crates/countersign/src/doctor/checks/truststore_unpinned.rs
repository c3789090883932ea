//! The domain is not pinned to a version of its truststore.

use super::super::facts::Facts;
use super::{Check, Need, Remedy, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "truststore-unpinned",
    severity: Severity::Warning,
    about: "The domain is not pinned to a version of its truststore",
    why: "What is enforced is what the object was at the last update; nobody sees which, and the next update takes \
        whatever is there.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let domain = &settings.domain;
    let Some(uri) = domain.truststore_uri.as_ref().filter(|_| domain.truststore_version.is_none()) else { return Vec::new() };
    let version = settings.version_in_force.as_ref().filter(|version| *version != "null");
    let seen = Seen::new(
        format!("{} has TruststoreUri={uri} and no TruststoreVersion.", domain.name),
        "Name the version that is meant; the bucket has to have versioning enabled.",
    );
    let pin = version.map_or("VERSION", String::as_str);
    let seen = seen.command(format!(
        "aws apigatewayv2 update-domain-name --domain-name {} --domain-name-configurations {} \
         --mutual-tls-authentication TruststoreUri={uri},TruststoreVersion={pin}",
        domain.name,
        domain.configurations()
    ));
    vec![match version {
        Some(version) => seen.remedy(Remedy::Pin { domain: domain.name.clone(), version: version.clone() }),
        None => seen,
    }]
}
