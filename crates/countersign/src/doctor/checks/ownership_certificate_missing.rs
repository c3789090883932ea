//! AWS would demand an ownership verification certificate.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "ownership-certificate-missing",
    severity: Severity::Warning,
    about: "AWS would demand an ownership verification certificate",
    why: "For an imported or private certificate on a domain with mutual TLS, AWS wants a public one of ACM that \
        proves whose name it is; the same template fails there.",
    needs: Need::Settings,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let domain = &settings.domain;
    let is_own = settings.certificate.as_ref().is_some_and(|certificate| certificate.kind != "AMAZON_ISSUED");
    if !is_own || domain.ownership_arn.is_some() || domain.truststore_uri.is_none() {
        return Vec::new();
    }
    let kind = settings.certificate.as_ref().map(|certificate| certificate.kind.clone()).unwrap_or_default();
    vec![
        Seen::new(
            format!(
                "{} of {} is {kind}, and there is no OwnershipVerificationCertificateArn.",
                domain.certificate_arn, domain.name
            ),
            "If the template is to work on AWS, request a certificate for the name and give its ARN. Here \
             nothing is missing.",
        )
        .command(format!("aws acm request-certificate --domain-name {} --validation-method DNS", domain.name)),
    ]
}
