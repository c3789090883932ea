//! `countersign truststore preview`: which clients a change would shut out, asked before it is made.

use std::fs;
use std::path::{Path, PathBuf};

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{domain_path, read};
use crate::answer::{self, Answer, Failure, Outcome, printable};
use crate::client::ServerArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The custom domain name
    #[arg(long, value_name = "DOMAIN")]
    domain: String,
    /// A truststore to try, PEM
    #[arg(long, value_name = "FILE", conflicts_with_all = ["version", "uri"])]
    truststore: Option<PathBuf>,
    /// A version of the truststore's object to try: any in S3, or one that the domain had
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Another object to try: s3://bucket/key
    #[arg(long, value_name = "URI")]
    uri: Option<String>,
    /// Revocation lists to try in the place of those that are set: a file in PEM or DER, or s3://bucket/key
    #[arg(long, value_name = "FILE|URI")]
    crl: Option<String>,
    /// Value of the tag countersign:profile to try
    #[arg(long)]
    profile: Option<String>,
    /// Value of the tag countersign:eku to try
    #[arg(long)]
    eku: Option<String>,
    /// How far back clients are looked for
    #[arg(long, default_value_t = 30)]
    days: u32,
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// What a server says; of its answer what is printed.
#[derive(Debug, Deserialize)]
struct Preview {
    summary: String,
    notes: Vec<String>,
    comparison: Comparison,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comparison {
    would_be_refused: Changed,
    would_be_accepted: Changed,
}

#[derive(Debug, Deserialize)]
struct Changed {
    count: usize,
    clients: Vec<Client>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    subject: String,
    fingerprint: String,
    last_seen: i64,
    requests: u64,
    code: String,
    explanation: String,
}

pub(super) fn run(args: &Args) -> Outcome {
    let path = format!("{}/preview", domain_path(&args.domain));
    let candidate = args.candidate()?;
    let answer = args.server.ask(async |client| client.json("countersign", Method::POST, &path, &candidate).await)?;
    let preview: Preview = serde_json::from_value(answer.clone())
        .map_err(|e| Failure::new(format!("the server's answer cannot be read: {e}")))?;
    answer::print(&match args.json {
        true => serde_json::to_string_pretty(&answer).expect("JSON that was read"),
        false => preview.text(),
    });
    Ok(if preview.comparison.would_be_refused.count == 0 { Answer::Yes } else { Answer::No })
}

impl Args {
    fn candidate(&self) -> Result<Value, Failure> {
        let truststore = self.truststore.as_ref().map(|file| text(file, read(file)?)).transpose()?;
        let is_uri = |crl: &&String| crl.starts_with("s3://");
        let crl = self.crl.as_ref().filter(|crl| !is_uri(crl)).map(|file| lists(Path::new(file))).transpose()?;
        Ok(json!({
            "truststorePem": truststore,
            "truststoreUri": self.uri,
            "truststoreVersion": self.version,
            "crlPem": crl,
            "crlUri": self.crl.as_ref().filter(is_uri),
            "profile": self.profile,
            "eku": self.eku,
            "days": self.days,
        }))
    }
}

fn lists(file: &Path) -> Result<String, Failure> {
    let bytes = fs::read(file).map_err(|e| Failure::new(format!("cannot read {}: {e}", file.display())))?;
    // What is no PEM is taken for DER; the server tells whether it is.
    match bytes.windows(5).any(|window| window == b"-----") {
        true => text(file, bytes),
        false => Ok(crate::pem::write("X509 CRL", &bytes)),
    }
}

fn text(file: &Path, bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| Failure::new(format!("{}: it is not PEM", file.display())))
}

impl Preview {
    fn text(&self) -> String {
        let mut lines = vec![self.summary.clone()];
        self.comparison.would_be_refused.describe("would be refused", '-', &mut lines);
        self.comparison.would_be_accepted.describe("would be accepted", '+', &mut lines);
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
    }
}

impl Changed {
    fn describe(&self, what: &str, mark: char, lines: &mut Vec<String>) {
        if self.count > 0 {
            lines.push(format!("{what}:"));
        }
        for Client { subject, fingerprint, last_seen, requests, code, explanation } in &self.clients {
            let seen = trust::rfc3339(last_seen.div_euclid(1000));
            lines
                .push(format!("{mark} {subject}, last seen {seen}, {}", super::counted(*requests as usize, "request")));
            lines.push(format!("  SHA-256 {fingerprint}"));
            lines.push(format!("  {code}: {explanation}"));
        }
        if self.count > self.clients.len() {
            lines.push(format!("  and {} more", self.count - self.clients.len()));
        }
    }
}
