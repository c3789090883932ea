//! Something is wrong with a certificate in the truststore.

use trust::Finding;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

/// Of one truststore.
const MAX_FINDINGS: usize = 20;

pub(super) const CHECK: Check = Check {
    id: "truststore-lint",
    severity: Severity::Warning,
    about: "Something is wrong with a certificate in the truststore",
    why: "A certificate that cannot be used, or not for long, shuts out the clients that need it.",
    needs: Need::Truststore,
    causes: &[
        "truststore-unusable",
        "client-issuer-expired",
        "client-chain-incomplete",
        "client-weak-key",
        "client-weak-signature",
        "client-path-invalid",
    ],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(file) = facts.truststore().filter(|file| file.compiled.is_ok()) else { return Vec::new() };
    let seen = |finding: &Finding| {
        let subject = finding.subject.as_ref().map(|subject| format!("{subject}: ")).unwrap_or_default();
        let what = format!("{}, line {}: {}: {subject}{}", file.name, finding.line, finding.code, finding.explanation);
        Seen::new(what, finding.fix.clone()).severity(match finding.severity {
            trust::Severity::Error => Severity::Error,
            trust::Severity::Warning => Severity::Warning,
            trust::Severity::Note => Severity::Info,
        })
    };
    file.findings.iter().take(MAX_FINDINGS).map(seen).collect()
}
