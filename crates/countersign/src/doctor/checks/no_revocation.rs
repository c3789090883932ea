//! Revocation is not checked.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "no-revocation",
    severity: Severity::Info,
    about: "Revocation is not checked",
    why: "A stolen key works until its certificate ends, or its authority is taken out. AWS never checks.",
    needs: Need::Settings,
    causes: &["mutual-tls-off"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    if settings.tags().revocation().is_some() || settings.domain.truststore_uri.is_none() {
        return Vec::new();
    }
    let domain = &settings.domain;
    vec![
        Seen::new(
            format!("{} has neither countersign:crl nor countersign:revocation-fetch.", domain.name),
            "Name the authority's list, or let it be fetched.",
        )
        .command(format!(
            "aws apigatewayv2 tag-resource --resource-arn {} --tags countersign:crl=s3://BUCKET/ca.crl",
            domain.arn
        )),
    ]
}
