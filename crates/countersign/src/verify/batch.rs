//! `countersign verify --batch`: one question a line, one answer a line.

use std::io::{BufRead, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use trust::{Crl, Revocations, UnixSeconds};

use super::{Args, Question, Report, certificates, parse_profile, parse_purpose, parse_time, policy};
use crate::answer::{Answer, Failure, Outcome};

/// A line of input. Several questions go through one process, as published test suites ask thousands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    id: Value,
    truststore: Vec<String>,
    chain: Vec<String>,
    #[serde(default)]
    intermediates: Vec<String>,
    #[serde(default)]
    crls: Vec<String>,
    at: Option<Value>,
    profile: Option<String>,
    purpose: Option<String>,
    max_depth: Option<u8>,
}

/// A line of output.
#[derive(Serialize)]
struct Reply {
    id: Value,
    #[serde(flatten)]
    outcome: Outcomes,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcomes {
    Judged(Report),
    Unusable { error: Unusable },
}

/// A question that cannot be judged.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Unusable {
    /// Member of the line that is at fault; none where the line is no such object at all.
    member: Option<&'static str>,
    message: String,
}

/// Answers every line. The answers are in the lines, so having answered all of them is good.
pub(super) fn run(args: &Args, input: impl BufRead, output: &mut impl Write) -> Outcome {
    for line in input.split(b'\n') {
        let line = line.map_err(|e| Failure::new(format!("cannot read stdin: {e}")))?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let mut text = serde_json::to_vec(&reply(args, &line)).expect("plain data with string keys");
        text.push(b'\n');
        output.write_all(&text).map_err(|e| Failure::new(format!("cannot write stdout: {e}")))?;
    }
    output.flush().map_err(|e| Failure::new(format!("cannot write stdout: {e}")))?;
    Ok(Answer::Yes)
}

fn reply(args: &Args, line: &[u8]) -> Reply {
    let line: Line = match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(e) => {
            let id = serde_json::from_slice::<Value>(line).ok().and_then(|mut any| Some(any.get_mut("id")?.take()));
            let error = Unusable { member: None, message: e.to_string() };
            return Reply { id: id.unwrap_or_default(), outcome: Outcomes::Unusable { error } };
        }
    };
    let judged = question(args, &line).and_then(|question| question.judge().map_err(|e| unusable("truststore", e)));
    let outcome = judged.map_or_else(|error| Outcomes::Unusable { error }, Outcomes::Judged);
    Reply { id: line.id, outcome }
}

fn question(args: &Args, line: &Line) -> Result<Question, Unusable> {
    let mut revocations = Revocations { rules: args.revocation_rules(), crls: Vec::new() };
    for pem in &line.crls {
        let lists = Crl::read(pem.as_bytes()).map_err(|e| unusable("crls", e))?;
        revocations.crls.extend(lists.into_iter().map(Arc::new));
    }
    let mut chain = Vec::new();
    for (member, texts) in [("chain", &line.chain), ("intermediates", &line.intermediates)] {
        for pem in texts {
            chain.extend(certificates(pem.as_bytes()).map_err(|e| unusable(member, e))?);
        }
    }
    let at = match &line.at {
        None | Some(Value::Null) => OffsetDateTime::now_utc().unix_timestamp(),
        Some(at) => time(at).ok_or_else(|| unusable("at", "expected RFC 3339 or seconds since 1970"))?,
    };
    let profile = line.profile.as_deref().map_or(Ok(args.profile), parse_profile);
    let purpose = line.purpose.as_deref().map_or(Ok(args.purpose), parse_purpose);
    Ok(Question {
        truststore: line.truststore.join("\n").into_bytes(),
        chain,
        policy: policy(
            profile.map_err(|e| unusable("profile", e))?,
            purpose.map_err(|e| unusable("purpose", e))?,
            line.max_depth.or(args.max_depth),
        ),
        revocations,
        at,
    })
}

fn time(at: &Value) -> Option<UnixSeconds> {
    at.as_i64().or_else(|| parse_time(at.as_str()?).ok())
}

fn unusable(member: &'static str, message: impl ToString) -> Unusable {
    Unusable { member: Some(member), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use serde_json::json;

    use super::*;

    /// A CA and a client that it vouches for, PEM.
    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(rcgen::DnType::CommonName, "CA");
        let pem = ca.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(ca, key);
        let client = CertificateParams::default().signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        (pem, client.pem())
    }

    fn ask(lines: &[String]) -> Vec<Value> {
        ask_with(&Args::default(), lines)
    }

    fn ask_with(args: &Args, lines: &[String]) -> Vec<Value> {
        let mut out = Vec::new();
        assert_eq!(run(args, lines.join("\n").as_bytes(), &mut out), Ok(Answer::Yes));
        String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn answers_in_order_each_with_its_id() {
        let (ca, client) = pair();
        let (other, _) = pair();
        let base = json!({"truststore": [ca], "chain": [client]});
        let with = |id: Value, more: Value| {
            let mut line = base.clone();
            line["id"] = id;
            line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            line.to_string()
        };
        let answers = ask(&[
            with(json!("good"), json!({})),
            String::new(),
            with(json!(2), json!({"at": 0})),
            with(json!("other"), json!({"truststore": [other], "at": null})),
            with(json!("crl"), json!({"crls": ["x"]})),
            with(json!("at"), json!({"at": "tomorrow"})),
            with(json!("unknown"), json!({"profil": "aws"})),
            with(json!("broken"), json!({"chain": ["junk"]})),
            "not json".to_owned(),
        ]);
        let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
        assert_eq!(json!(ids), json!(["good", 2, "other", "crl", "at", "unknown", "broken", null]));
        assert_eq!(answers[0]["verdict"], "accepted", "{}", answers[0]);
        assert_eq!(answers[0]["reason"], Value::Null);
        assert_eq!(answers[1]["reason"], "ClientCertNotYetValid");
        assert_eq!(answers[2]["verdict"], "rejected");
        assert!(answers[2]["explanation"].is_string() && answers[2]["evidence"].is_object());
        for (at, member) in
            [(3, json!("crls")), (4, json!("at")), (5, json!(null)), (6, json!("chain")), (7, json!(null))]
        {
            assert_eq!(answers[at]["error"]["member"], member, "{}", answers[at]);
            assert!(answers[at].get("verdict").is_none());
        }
    }

    #[test]
    fn options_hold_for_lines_that_do_not_say() {
        let (ca, client) = pair();
        let line = json!({"truststore": [ca], "chain": [client]});
        let mut lenient = line.clone();
        lenient["profile"] = json!("aws");
        // The profile wants an extended key usage, which this client's certificate does not have.
        let strict = Args { profile: trust::Profile::Rfc5280, ..Args::default() };
        let answers = ask_with(&strict, &[line.to_string(), lenient.to_string()]);
        assert_eq!((&answers[0]["verdict"], &answers[1]["verdict"]), (&json!("rejected"), &json!("accepted")));
    }
}
