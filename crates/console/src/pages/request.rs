//! One request, and why it was refused.

use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Shell, rendered};
use crate::api::{Api, Problem, get, view};
use crate::show;
use crate::{Answer, Page};

#[derive(Template)]
#[template(path = "request.html")]
struct Shown<'a> {
    shell: Shell<'a>,
    view: View,
}

#[derive(Deserialize)]
struct View {
    record: Record,
    explained: Option<Explained>,
    #[serde(default)]
    commands: Vec<String>,
}

#[derive(Deserialize)]
struct Record {
    request_id: String,
    time_ms: i64,
    #[serde(default)]
    took_us: u64,
    #[serde(default)]
    domain: String,
    #[serde(default)]
    method: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    route: String,
    status: u16,
    #[serde(default)]
    bytes_in: u64,
    #[serde(default)]
    bytes_out: u64,
    source: String,
    revision: u64,
    #[serde(default)]
    connection: String,
    #[serde(default)]
    message: String,
    refusal: Option<Refusal>,
    denial: Option<Denial>,
    truststore: Option<Truststore>,
    client: Option<Client>,
}

#[derive(Deserialize)]
struct Refusal {
    code: String,
    detail: String,
    #[serde(default)]
    explanation: String,
    #[serde(default)]
    fix: String,
    #[serde(default)]
    evidence: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct Denial {
    code: String,
    detail: String,
}

#[derive(Deserialize)]
struct Truststore {
    digest: String,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Client {
    subject: String,
    issuer: String,
    serial: String,
    fingerprint: String,
}

/// A refusal explained again.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Explained {
    explanation: String,
    fix: String,
    evidence: Vec<(String, String)>,
    now: Option<String>,
    client_id: Option<String>,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    rules: Map<String, Value>,
    #[serde(default)]
    rules_changed: bool,
}

/// A step of a judgement.
#[derive(Deserialize)]
pub(super) struct Step {
    pub(super) subject: String,
    pub(super) check: String,
    pub(super) held: bool,
    pub(super) detail: String,
}

pub(super) async fn show(page: &Page, api: &dyn Api, id: &str) -> Result<Answer, Problem> {
    let found = get(api, &["requests", id], Default::default()).await?;
    rendered(page, found.clone(), || Ok(Shown { shell: Shell::of(page, "records"), view: view(&found)? }))
}

impl View {
    /// What is known now, else what was found when it was refused.
    fn explanation(&self) -> (&str, &str, &[(String, String)]) {
        match (&self.explained, &self.record.refusal) {
            (Some(explained), _) => (&explained.explanation, &explained.fix, &explained.evidence),
            (None, Some(refusal)) => (&refusal.explanation, &refusal.fix, &refusal.evidence),
            (None, None) => ("", "", &[]),
        }
    }
}
