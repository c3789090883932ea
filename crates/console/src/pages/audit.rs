//! Whether the records are what they were, and who changed what.

use std::collections::BTreeMap;

use askama::Template;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shell, given, rendered};
use crate::api::{Api, Problem, get, view};
use crate::show;
use crate::{Answer, Content, Page};

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit<'a> {
    shell: Shell<'a>,
    log: Log,
    changes: Vec<Change>,
    next: Option<u64>,
    report: Option<Report>,
    csrf: &'a str,
}

/// The log of all records.
#[derive(Deserialize)]
struct Log {
    verifier: String,
    checkpoint: Option<String>,
    witness: bool,
}

/// A change of settings, or a call that was to make one.
#[derive(Deserialize)]
struct Change {
    number: u64,
    time_ms: i64,
    outcome: String,
    #[serde(default)]
    principal: String,
    #[serde(default)]
    source: Option<String>,
    service: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    changed: Vec<String>,
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Report {
    records: u64,
    pruned: u64,
    held_elsewhere: Option<u64>,
    signed: Option<u64>,
    findings: Vec<Finding>,
    more: u64,
}

#[derive(Deserialize)]
struct Finding {
    records: Range,
    file: String,
    what: String,
}

#[derive(Deserialize)]
struct Range {
    start: u64,
    end: u64,
}

/// Changes of a page.
const PAGE: &str = "50";
/// Records of one export.
const EXPORTED: &str = "10000";

pub(super) async fn show(page: &Page, api: &dyn Api) -> Result<Answer, Problem> {
    let (data, log, changes, next) = gathered(page, api).await?;
    rendered(page, data, || {
        Ok(Audit { shell: Shell::of(page, "audit"), log, changes, next, report: None, csrf: &page.who.csrf })
    })
}

/// Reads all records, and holds them to their hashes and the newest checkpoint.
pub(super) async fn verify(page: &Page, api: &dyn Api) -> Result<Answer, Problem> {
    let body = json!({"against": []});
    let report = api.ask(Method::POST, &["audit", "verify"], BTreeMap::new(), body).await?;
    let (_, log, changes, next) = gathered(page, api).await?;
    rendered(page, report.clone(), || {
        let report = Some(view(&report)?);
        Ok(Audit { shell: Shell::of(page, "audit"), log, changes, next, report, csrf: &page.who.csrf })
    })
}

/// A checkpoint about all records that there are, to be kept elsewhere.
pub(super) async fn checkpoint(api: &dyn Api) -> Result<Answer, Problem> {
    #[derive(Deserialize)]
    struct Answered {
        checkpoint: Option<String>,
    }
    let Answered { checkpoint } = view(&get(api, &["audit", "checkpoint"], BTreeMap::new()).await?)?;
    let text = checkpoint.ok_or_else(|| Problem::bad_request("Nothing is recorded yet that could be signed for."))?;
    let file_name = Some("countersign.checkpoint".to_owned());
    Ok(Answer { content: Content::Text(text), file_name, ..Answer::html(String::new()) })
}

/// Records, a line of JSON each, the oldest first; from the number `after` on.
pub(super) async fn export(page: &Page, api: &dyn Api) -> Result<Answer, Problem> {
    let names = ["kind", "domain", "client", "since", "until", "after", "refused"];
    let mut query: BTreeMap<String, String> =
        names.iter().filter_map(|name| Some(((*name).to_owned(), given(&page.query, name)?.to_owned()))).collect();
    query.insert("limit".to_owned(), EXPORTED.to_owned());
    query.entry("kind".to_owned()).or_insert_with(|| "settings".to_owned());
    let answer = get(api, &["records"], query).await?;
    let records = answer.get("records").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    if let Some(next) = answer.get("next") {
        lines += &format!("{}\n", json!({ "next": next }));
    }
    let file_name = Some("countersign-records.ndjson".to_owned());
    Ok(Answer { content: Content::Text(lines), file_name, ..Answer::html(String::new()) })
}

async fn gathered(page: &Page, api: &dyn Api) -> Result<(Value, Log, Vec<Change>, Option<u64>), Problem> {
    #[derive(Deserialize)]
    struct Listed {
        records: Vec<Change>,
        next: Option<u64>,
    }
    let log = get(api, &["audit"], BTreeMap::new()).await?;
    let mut query: BTreeMap<String, String> = [("kind", "settings"), ("newest-first", "true"), ("limit", PAGE)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    if let Some(before) = given(&page.query, "before") {
        query.insert("after".to_owned(), before.to_owned());
    }
    let recorded = get(api, &["records"], query).await?;
    let Listed { records, next } = view(&recorded)?;
    let data = json!({"audit": log, "changes": recorded["records"], "next": next});
    // What was done is told by the second record of it.
    let changes = records.into_iter().filter(|change| change.outcome != "intent").collect();
    Ok((data, view(&log)?, changes, next))
}

impl Change {
    fn who(&self) -> &str {
        match self.principal.as_str() {
            "" => "(nobody who proved it)",
            principal => principal.rsplit_once(':').map_or(principal, |(_, name)| name),
        }
    }
}
