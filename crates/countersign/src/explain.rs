//! `countersign explain`: why a request was refused, and what to do.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use journal::AccessRecord;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::answer::{self, Answer, Failure, Outcome};
use crate::client::{Client, ServerArgs};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the client was told in apigw-requestid
    request_id: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// A request, and what puts right what was wrong with it.
#[derive(Debug, Serialize)]
pub(crate) struct Found {
    record: AccessRecord<'static>,
    /// The refusal explained again, with what is known now; else what the record says is all.
    explained: Option<Explained>,
    /// Where there are some: for a shell.
    commands: Vec<String>,
}

/// The server's answer.
#[derive(Deserialize)]
struct Answered {
    record: AccessRecord<'static>,
    explained: Option<Explained>,
    commands: Vec<String>,
}

/// A refusal, with what is known now.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    explanation: String,
    fix: String,
    evidence: Vec<(String, String)>,
    /// The truststore in which the issuer was found.
    found_in: Option<serde_json::Value>,
    /// `accepted`, or a code.
    now: Option<String>,
    client_id: Option<String>,
    /// Of the judgement, in order.
    #[serde(default)]
    steps: Vec<Step>,
    /// The `countersign:` tags under which it was judged.
    #[serde(default)]
    rules: BTreeMap<String, String>,
    /// Whether they are others now.
    #[serde(default)]
    rules_changed: bool,
}

/// A step of the judgement.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Step {
    /// Whose certificate was looked at.
    subject: String,
    /// What for.
    check: String,
    held: bool,
    detail: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let found = args.server.ask(async |client| find(client, &args.request_id).await)?;
    if args.json {
        answer::print(&serde_json::to_string_pretty(&found).expect("plain data with string keys"));
    } else {
        answer::print(&found.text());
    }
    Ok(Answer::Yes)
}

/// Finds the record of a request.
pub(crate) async fn find(client: &Client, request_id: &str) -> Result<Found, Failure> {
    let path = format!("/_countersign/api/v1/requests/{}", utf8_percent_encode(request_id, NON_ALPHANUMERIC));
    let reply = client.send("countersign", Method::GET, &path, &[], Vec::new()).await?;
    if reply.status == StatusCode::NOT_FOUND {
        return Err(Failure::new(format!(
            "no request {request_id} is recorded here: is the id whole, and this its server?"
        )));
    }
    let reply = reply.success()?;
    let answered: Answered = serde_json::from_slice(&reply.body)
        .map_err(|e| Failure::new(format!("the server's answer cannot be read: {e}")))?;
    let Answered { record, explained, commands } = answered;
    Ok(Found { record, explained, commands })
}

impl Found {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let record = &self.record;
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(record.time_ms) * 1_000_000);
        let time = time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
        let mut lines = vec![format!("{} {} from {}, {time}", record.status, record.domain, record.source)];
        match &record.client {
            None => lines.push("certificate: none was sent".to_owned()),
            Some(client) => {
                lines.push(format!("certificate: {}", client.subject));
                lines.push(format!("  issued by {}, serial number {}", client.issuer, client.serial));
                lines.push(format!("  SHA-256 {}", client.fingerprint));
            }
        }
        if let Some(truststore) = &record.truststore {
            let version = truststore.version.as_deref().unwrap_or("without version");
            lines.push(format!("truststore: version {version}, settings revision {}", record.revision));
            lines.push(format!("  SHA-256 {}", truststore.digest));
        }
        match &record.refusal {
            None => {
                lines.push("the client was trusted".to_owned());
                let denied = |denial: &journal::Denial<'_>| format!("denied: {}: {}", denial.code, denial.detail);
                lines.extend(record.denial.as_ref().map(denied));
            }
            Some(refusal) => {
                lines.push(format!("reason: {:?}: {}", refusal.code, refusal.detail));
                self.explain(refusal, &mut lines);
            }
        }
        lines.extend(self.commands.iter().map(|command| format!("$ {command}")));
        lines.iter().map(|line| answer::printable(line)).collect::<Vec<_>>().join("\n")
    }

    /// What was nearly right, what to do, and the facts that are not in these sentences.
    fn explain(&self, refusal: &journal::Refusal<'_>, lines: &mut Vec<String>) {
        if let Some(explained) = &self.explained {
            explained.judged(lines);
        }
        let (explanation, fix): (&str, &str) = match &self.explained {
            Some(explained) => (&explained.explanation, &explained.fix),
            None => (&refusal.explanation, &refusal.fix),
        };
        let texts = [("nearest miss", explanation), ("fix", fix)].into_iter().filter(|(_, text)| !text.is_empty());
        lines.extend(texts.map(|(name, text)| format!("{name}: {text}")));
        let facts: Vec<(&str, &str)> = match &self.explained {
            Some(explained) => explained.evidence.iter().map(|(name, value)| (&**name, &**value)).collect(),
            None => refusal.evidence.iter().map(|(name, value)| (&**name, &**value)).collect(),
        };
        let said = lines.join("\n");
        lines.extend(
            facts.iter().filter(|(_, value)| !said.contains(value)).map(|(name, value)| format!("  {name}: {value}")),
        );
        match self.explained.as_ref().and_then(|explained| explained.now.as_deref()) {
            Some("accepted") => lines.push("now: the same certificate would be accepted".to_owned()),
            Some(code) => lines.push(format!("now: the same certificate would be refused: {code}")),
            None => {}
        }
        if self.explained.is_none() && refusal.chain_sha256.is_some() {
            lines.push("this was found when it was refused; the client's chain is not kept, to look again".to_owned());
        }
    }
}

impl Explained {
    /// How it was judged, step by step, and by what rules where they are others now.
    fn judged(&self, lines: &mut Vec<String>) {
        if self.rules_changed {
            let rules: Vec<String> = self.rules.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let rules = if rules.is_empty() { "no countersign: tags".to_owned() } else { rules.join(" ") };
            lines.push(format!("judged by the rules of then, which are others now: {rules}"));
        }
        if !self.steps.is_empty() {
            lines.push("judged step by step:".to_owned());
            let mark = |step: &Step| if step.held { "yes" } else { "no" };
            let text = |step: &Step| format!("  {}: {} of {}: {}", mark(step), step.check, step.subject, step.detail);
            lines.extend(self.steps.iter().map(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use journal::{Client as Certificate, Refusal, Truststore};
    use trust::Code;

    use super::*;

    fn record(code: Code, found_in: Option<&'static str>) -> AccessRecord<'static> {
        AccessRecord {
            time_ms: 1_800_000_000_000,
            took_us: 0,
            region: "us-east-1".into(),
            group: "g".into(),
            stream: "s".into(),
            message: "".into(),
            request_id: "Mc7UVioPPHcEKPA=".into(),
            connection: "".into(),
            trace: "".into(),
            span: "".into(),
            parent_span: "".into(),
            domain: "api.example.com".into(),
            api_id: None,
            stage: None,
            method: "GET".into(),
            route: "".into(),
            path: "".into(),
            status: 403,
            bytes_in: 0,
            bytes_out: 0,
            refusal: Some(Refusal {
                code,
                detail: "the reason".into(),
                explanation: "almost".into(),
                fix: "do this".into(),
                evidence: found_in.map(|place| ("found_in".into(), place.into())).into_iter().collect(),
                chain_sha256: None,
            }),
            denial: None,
            revision: 7,
            truststore: Some(Truststore { digest: "aa".into(), version: Some("v1".into()) }),
            client: Some(Certificate {
                subject: "CN=x\u{1b}[2J".into(),
                issuer: "CN=Partner CA".into(),
                serial: "1".into(),
                fingerprint: "bb".into(),
            }),
            shadow: None,
            source: ([127, 0, 0, 1], 5).into(),
        }
    }

    #[test]
    fn what_is_known_now_is_said() {
        let explained = Explained {
            explanation: "it was renewed".into(),
            fix: "install it".into(),
            evidence: vec![("renewed_sha256".into(), "cc".into()), ("said".into(), "renewed".into())],
            now: Some("accepted".into()),
            ..Explained::default()
        };
        let found =
            Found { record: record(Code::ClientCertExpired, None), explained: Some(explained), commands: vec![] };
        let text = found.text();
        assert!(
            text.ends_with(
                "nearest miss: it was renewed\nfix: install it\n  renewed_sha256: cc\nnow: the same certificate would be \
                 accepted"
            ),
            "{text}"
        );
        assert!(!text.contains("almost"), "what the record says is superseded: {text}");
    }

    #[test]
    fn the_text_says_it_all_and_is_safe_to_print() {
        let commands = vec!["run this".into()];
        let found = Found { record: record(Code::ClientCertUntrusted, None), explained: None, commands };
        let text = found.text();
        for part in [
            "403 api.example.com from 127.0.0.1:5, 2027-01-15T08:00:00Z",
            "certificate: CN=x\\u{1b}[2J",
            "issued by CN=Partner CA, serial number 1",
            "truststore: version v1, settings revision 7",
            "reason: ClientCertUntrusted: the reason",
            "nearest miss: almost",
            "fix: do this",
            "$ run this",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
