//! `countersign truststore lint`: what is wrong with a file.

use std::path::PathBuf;

use serde::Serialize;
use trust::{Finding, Severity, Truststore, UnixSeconds};

use super::{counted, now, read};
use crate::answer::{self, Answer, Outcome, printable};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// PEM
    file: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let name = args.file.display().to_string();
    let lint = Lint::of(&read(&args.file)?, now());
    match args.json {
        true => answer::print(&serde_json::to_string_pretty(&lint).expect("plain data with string keys")),
        false => answer::print(&lint.text(&name)),
    }
    Ok(lint.answer())
}

/// What is to be said of a truststore.
#[derive(Serialize)]
pub(super) struct Lint {
    /// SHA-256 of the file, hexadecimal; none where it cannot be a truststore at all, and `error` says why.
    digest: Option<String>,
    certificates: usize,
    error: Option<String>,
    findings: Vec<Finding>,
}

impl Lint {
    pub(super) fn of(pem: &[u8], at: UnixSeconds) -> Self {
        match Truststore::compile(pem, at) {
            Ok((truststore, findings)) => Self {
                digest: Some(truststore.digest().to_string()),
                certificates: truststore.certificates().count(),
                error: None,
                findings,
            },
            Err(e) => Self { digest: None, certificates: 0, error: Some(e.to_string()), findings: e.findings() },
        }
    }

    /// Why it cannot be a truststore at all.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub(super) fn answer(&self) -> Answer {
        let bad = self.error.is_some() || self.findings.iter().any(|finding| finding.severity == Severity::Error);
        if bad { Answer::No } else { Answer::Yes }
    }

    pub(super) fn text(&self, file: &str) -> String {
        let findings = counted(self.findings.len(), "finding");
        let mut text = match &self.error {
            Some(_) => format!("{file}: this cannot be a truststore, {findings}"),
            None => format!("{file}: {}, {findings}", counted(self.certificates, "usable certificate")),
        };
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            text += &format!("\n{file}:{}: {severity}[{}]: ", finding.line, finding.code);
            if let Some(subject) = &finding.subject {
                text += &format!("{}\n  ", printable(subject));
            }
            text += &format!("{}\n  fix: {}", printable(&finding.explanation), printable(&finding.fix));
        }
        text
    }
}
