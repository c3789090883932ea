//! `countersign verify`: the judge on files.

mod batch;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::{
    Code, Crl, Explanation, Fallback, Fetch, NothingFetched, Policy, Profile, Purpose, Refusal, RevocationRules,
    Revocations, Scope, Surroundings, Truststore, UnixSeconds, Unrevoked, Verdict,
};

use crate::answer::{self, Answer, Failure, Outcome};

#[derive(Default, clap::Args)]
pub(crate) struct Args {
    /// Certificates that are trusted, PEM
    #[arg(long, value_name = "FILE", required_unless_present = "batch")]
    truststore: Option<PathBuf>,
    /// What the client sends, PEM, leaf first
    #[arg(long, value_name = "FILE", required_unless_present = "batch")]
    chain: Option<PathBuf>,
    /// More certificates that the client sends, PEM
    #[arg(long, value_name = "FILE")]
    intermediates: Option<PathBuf>,
    /// Revocation lists, PEM or DER; may be given several times. Without it revocation is not checked
    #[arg(long = "crl", value_name = "FILE")]
    crls: Vec<PathBuf>,
    /// Whose revocation is checked: chain or leaf
    #[arg(long, value_name = "NAME", default_value = "chain", value_parser = parse_scope)]
    revocation_scope: Scope,
    /// What to do with a certificate whose issuer's list is not given: deny or allow
    #[arg(long, value_name = "NAME", default_value = "deny", value_parser = parse_fallback)]
    on_missing: Fallback,
    /// What to do with a certificate whose issuer's list is out of date and does not name it: deny or allow
    #[arg(long, value_name = "NAME", default_value = "deny", value_parser = parse_fallback)]
    on_stale: Fallback,
    /// Judge as of this time instead of now: RFC 3339, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<UnixSeconds>,
    /// Set of rules
    #[arg(long, value_name = "NAME", default_value = "aws", value_parser = parse_profile)]
    profile: Profile,
    /// What the certificate is for
    #[arg(long, value_name = "NAME", default_value = "client", value_parser = parse_purpose)]
    purpose: Purpose,
    /// CAs allowed above the leaf [default: 4 with aws, 10 with rfc5280]
    #[arg(long, value_name = "N")]
    max_depth: Option<u8>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    /// Judge one JSON object a line from stdin, and answer one line each; other options are for lines that do not say
    #[arg(long, conflicts_with_all = ["truststore", "chain", "intermediates", "crls", "at"])]
    batch: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    if args.batch {
        return batch::run(args, io::stdin().lock(), &mut io::stdout().lock());
    }
    let (Some(truststore), Some(chain)) = (&args.truststore, &args.chain) else {
        return Err(Failure::new("give --truststore FILE and --chain FILE"));
    };
    let mut question = Question {
        truststore: read(truststore)?,
        chain: certificates(&read(chain)?).map_err(|e| Failure::new(format!("{}: {e}", chain.display())))?,
        policy: policy(args.profile, args.purpose, args.max_depth),
        revocations: Revocations { rules: args.revocation_rules(), crls: Vec::new() },
        at: args.at.unwrap_or_else(|| OffsetDateTime::now_utc().unix_timestamp()),
    };
    if let Some(more) = &args.intermediates {
        let found = certificates(&read(more)?).map_err(|e| Failure::new(format!("{}: {e}", more.display())))?;
        question.chain.extend(found);
    }
    for path in &args.crls {
        let lists = Crl::read(&read(path)?).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        question.revocations.crls.extend(lists.into_iter().map(Arc::new));
    }
    let report = question.judge().map_err(|e| Failure::new(format!("{}: {e}", truststore.display())))?;
    if args.json {
        answer::print(&serde_json::to_string_pretty(&report).expect("plain data with string keys"));
    } else {
        answer::print(&report.text());
    }
    Ok(report.answer())
}

/// A chain to judge.
struct Question {
    /// PEM.
    truststore: Vec<u8>,
    /// DER, leaf first, then what else the client sends.
    chain: Vec<Vec<u8>>,
    policy: Policy,
    /// Without lists nothing is checked.
    revocations: Revocations,
    at: UnixSeconds,
}

/// What the judge says of it.
#[derive(Debug, Serialize)]
struct Report {
    verdict: &'static str,
    reason: Option<Code>,
    path: Vec<String>,
    explanation: Option<String>,
    fix: Option<String>,
    evidence: serde_json::Map<String, serde_json::Value>,
}

impl Question {
    fn judge(&self) -> Result<Report, trust::TruststoreError> {
        let (truststore, _) = Truststore::compile(&self.truststore, self.at)?;
        let chain: Vec<&[u8]> = self.chain.iter().map(Vec::as_slice).collect();
        let judgment = if self.revocations.crls.is_empty() {
            truststore.judge(&chain, &self.policy, &Unrevoked, self.at)
        } else {
            truststore.judge(&chain, &self.policy, &self.revocations.view(&NothingFetched), self.at)
        };
        let explanation =
            trust::explain(&judgment, &chain, &truststore, &Surroundings::default(), &self.policy, self.at);
        Ok(match judgment.verdict {
            Verdict::Accepted(path) => Report {
                verdict: "accepted",
                reason: None,
                path: path.0.iter().map(|certificate| certificate.subject().to_owned()).collect(),
                explanation: None,
                fix: None,
                evidence: serde_json::Map::new(),
            },
            Verdict::Refused(refusal) => Report::refused(refusal, explanation),
            Verdict::NeedsStatus(_) => {
                let code = Code::ClientCertCrlProcessingError;
                Report::refused(Refusal::new(code, code.summary().to_owned()), None)
            }
        })
    }
}

impl Report {
    fn refused(refusal: Refusal, explanation: Option<Explanation>) -> Self {
        let found = explanation.unwrap_or_else(|| Explanation {
            explanation: refusal.detail,
            fix: refusal.code.fix().to_owned(),
            evidence: refusal.evidence.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        });
        let mut evidence = serde_json::Map::new();
        for (name, value) in found.evidence {
            // A name may come more than once.
            match evidence.get_mut(&name) {
                Some(serde_json::Value::String(known)) => *known += &format!(", {value}"),
                _ => drop(evidence.insert(name, value.into())),
            }
        }
        Self {
            verdict: "rejected",
            reason: Some(refusal.code),
            path: Vec::new(),
            explanation: Some(found.explanation),
            fix: Some(found.fix),
            evidence,
        }
    }

    fn answer(&self) -> Answer {
        if self.reason.is_none() { Answer::Yes } else { Answer::No }
    }

    fn text(&self) -> String {
        let Some(reason) = self.reason else {
            let path: Vec<_> = self.path.iter().map(|subject| answer::printable(subject)).collect();
            return format!("accepted\n  {}", path.join("\n  issued by "));
        };
        let mut text = format!("rejected: {reason:?}");
        for part in self.explanation.iter() {
            text += &format!("\n  {}", answer::printable(part));
        }
        for fix in self.fix.iter() {
            text += &format!("\n  fix: {fix}");
        }
        for (name, value) in &self.evidence {
            text += &format!("\n  {name}: {}", answer::printable(value.as_str().unwrap_or_default()));
        }
        text
    }
}

impl Args {
    fn revocation_rules(&self) -> RevocationRules {
        let (on_missing, on_stale) = (self.on_missing, self.on_stale);
        RevocationRules { scope: self.revocation_scope, on_missing, on_stale, fetch: Fetch::None }
    }
}

fn policy(profile: Profile, purpose: Purpose, max_depth: Option<u8>) -> Policy {
    let defaults = Policy::of(profile);
    Policy { purpose, max_depth: max_depth.unwrap_or(defaults.max_depth), ..defaults }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))
}

/// The certificates of a PEM text, or one in DER. Whether they are well formed is the judge's question.
fn certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    const DER_SEQUENCE: u8 = 0x30;
    if bytes.first() == Some(&DER_SEQUENCE) {
        return Ok(vec![bytes.to_vec()]);
    }
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(bytes).map(|der| der.map(|der| der.to_vec())).collect();
    match found {
        Ok(found) if found.is_empty() => Err("no certificate in it; expected PEM (-----BEGIN CERTIFICATE-----)"),
        Ok(found) => Ok(found),
        Err(_) => Err("its PEM is broken"),
    }
}

fn parse_time(text: &str) -> Result<UnixSeconds, String> {
    let unix = || text.parse().ok();
    let rfc3339 = || OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp);
    unix().or_else(rfc3339).ok_or_else(|| "expected RFC 3339 (2027-01-31T00:00:00Z) or seconds since 1970".to_owned())
}

pub(crate) fn parse_profile(name: &str) -> Result<Profile, String> {
    match name {
        "aws" => Ok(Profile::Aws),
        "rfc5280" => Ok(Profile::Rfc5280),
        _ => Err("expected aws or rfc5280".to_owned()),
    }
}

fn parse_purpose(name: &str) -> Result<Purpose, String> {
    match name {
        "client" => Ok(Purpose::Client),
        "server" => Ok(Purpose::Server),
        _ => Err("expected client or server".to_owned()),
    }
}

fn parse_scope(name: &str) -> Result<Scope, String> {
    Scope::parse(name).ok_or_else(|| format!("expected one of {}", Scope::VALUES))
}

fn parse_fallback(name: &str) -> Result<Fallback, String> {
    Fallback::parse(name).ok_or_else(|| format!("expected one of {}", Fallback::VALUES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_both_forms() {
        assert_eq!(parse_time("1800000000"), Ok(1_800_000_000));
        assert_eq!(parse_time("-1"), Ok(-1));
        assert_eq!(parse_time("2027-01-15T08:00:00Z"), Ok(1_800_000_000));
        assert_eq!(parse_time("2027-01-15T09:00:00.5+01:00"), Ok(1_800_000_000));
        assert!(parse_time("tomorrow").is_err());
    }

    #[test]
    fn certificates_of_pem_and_der() {
        let made = rcgen::generate_simple_self_signed(vec!["x.test".into()]).unwrap().cert;
        let der = made.der().to_vec();
        let two = format!("# first\n{}\n{}", made.pem(), made.pem());
        assert_eq!(certificates(&der).unwrap(), std::slice::from_ref(&der));
        assert_eq!(certificates(two.as_bytes()).unwrap(), [der.clone(), der]);
        assert!(certificates(b"").is_err());
        assert!(certificates(b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n").is_err());
    }
}
