//! The server's certificate is not in good standing in ACM.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "certificate-status",
    severity: Severity::Warning,
    about: "The server's certificate is not in good standing in ACM",
    why: "ACM renews and serves only what is ISSUED.",
    needs: Need::Settings,
    causes: &["server-expired"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(settings) = &facts.settings else { return Vec::new() };
    let is_odd = |status: &str| status != "ISSUED" && !status.is_empty();
    let Some(certificate) = settings.certificate.as_ref().filter(|found| is_odd(&found.status)) else {
        return Vec::new();
    };
    vec![
        Seen::new(
            format!("{} is {}.", settings.domain.certificate_arn, certificate.status),
            "Validate it, renew it, or import another.",
        )
        .command(format!("aws acm describe-certificate --certificate-arn {}", settings.domain.certificate_arn)),
    ]
}
