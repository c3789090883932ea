//! SARIF 2.1.0 (OASIS), for code scanning.

use serde_json::{Value, json};

use super::super::checks::{ALL, Check, Severity};
use super::super::diagnosis::{Diagnosis, Finding};
use super::super::facts::Facts;

pub(super) fn render(facts: &Facts, diagnosis: &Diagnosis) -> String {
    let rules: Vec<Value> = ALL.iter().map(|check| rule(check)).collect();
    let results: Vec<Value> = diagnosis.findings().map(|finding| result(finding, facts)).collect();
    let run = json!({
        "tool": {"driver": {
            "name": "countersign doctor",
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": rules,
        }},
        "columnKind": "unicodeCodePoints",
        "results": results,
    });
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    });
    serde_json::to_string_pretty(&log).expect("JSON")
}

fn rule(check: &Check) -> Value {
    json!({
        "id": check.id,
        "name": pascal(check.id),
        "shortDescription": {"text": format!("{}.", check.about)},
        "fullDescription": {"text": check.why},
        "help": {"text": format!("See docs/doctor.md#{}", check.id)},
        "defaultConfiguration": {"level": level(check.severity)},
    })
}

fn result(finding: &Finding, facts: &Facts) -> Value {
    let place = ALL.iter().position(|check| check.id == finding.id);
    let mut text = format!("{} Fix: {}", sentence(&finding.seen), sentence(&finding.fix));
    if let Some(cause) = finding.because_of {
        text += &format!(" Because of: {cause}.");
    }
    json!({
        "ruleId": finding.id,
        "ruleIndex": place,
        "level": level(finding.severity),
        "message": {"text": text},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": facts.target.url}},
            "logicalLocations": [{"fullyQualifiedName": facts.target.host, "kind": "resource"}],
        }],
        "partialFingerprints": {"endpointAndFinding/v1": format!("{}:{}", facts.target.host, finding.id)},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

fn pascal(id: &str) -> String {
    let word = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    id.split('-').filter(|part| !part.is_empty()).map(word).collect()
}

fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}
