//! `countersign truststore`: truststore files.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;
use time::OffsetDateTime;
use trust::{Finding, Severity, Truststore};

use crate::answer::{self, Answer, Failure, Outcome, printable};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what is wrong with a truststore; answers no when a certificate in it cannot be used
    Lint {
        /// PEM
        file: PathBuf,
        /// Answer in JSON
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Lint { file, json } => {
            let pem = fs::read(file).map_err(|e| Failure::new(format!("cannot read {}: {e}", file.display())))?;
            let lint = Lint::of(&pem, OffsetDateTime::now_utc().unix_timestamp());
            match json {
                true => answer::print(&serde_json::to_string_pretty(&lint).expect("plain data with string keys")),
                false => answer::print(&lint.text(&file.display().to_string())),
            }
            Ok(lint.answer())
        }
    }
}

/// What is to be said of a truststore.
#[derive(Serialize)]
struct Lint {
    /// SHA-256 of the file, hexadecimal; none where it cannot be a truststore at all, and `error` says why.
    digest: Option<String>,
    certificates: usize,
    error: Option<String>,
    findings: Vec<Finding>,
}

impl Lint {
    fn of(pem: &[u8], at: trust::UnixSeconds) -> Self {
        match Truststore::compile(pem, at) {
            Ok((truststore, findings)) => Self {
                digest: Some(truststore.digest().to_string()),
                certificates: truststore.certificates().count(),
                error: None,
                findings,
            },
            Err(e) => Self { digest: None, certificates: 0, error: Some(e.to_string()), findings: Vec::new() },
        }
    }

    fn answer(&self) -> Answer {
        let bad = self.error.is_some() || self.findings.iter().any(|finding| finding.severity == Severity::Error);
        if bad { Answer::No } else { Answer::Yes }
    }

    fn text(&self, file: &str) -> String {
        if let Some(error) = &self.error {
            return format!("{file}: {error}");
        }
        let certificates = counted(self.certificates, "usable certificate");
        let mut text = format!("{file}: {certificates}, {}", counted(self.findings.len(), "finding"));
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            let subject = finding.subject.as_deref().unwrap_or("a certificate that cannot be read");
            text += &format!("\n{file}:{}: {severity}[{}]: {}", finding.line, finding.code, printable(subject));
            text += &format!("\n  {}\n  fix: {}", printable(&finding.explanation), printable(&finding.fix));
        }
        text
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
