//! Findings about a truststore: one a rule.

use serde::Serialize;

/// Something about a truststore that its owner should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable code in kebab case, e.g. `expired`, `not-a-ca`, `issuer-missing`.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Subject of the certificate concerned (AWS form), if it could be read.
    pub subject: Option<String>,
    /// Line of its BEGIN marker in the PEM, from 1.
    pub line: usize,
    /// What is wrong, in one sentence.
    pub explanation: String,
    /// What to do, in one sentence.
    pub fix: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Will matter, or matters to some clients.
    Warning,
    /// The certificate is not used.
    Error,
}
