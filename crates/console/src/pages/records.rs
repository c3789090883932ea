//! Connections and requests, as they come and as they came.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Shell, given, rendered};
use crate::api::{Api, Problem, get, view};
use crate::show;
use crate::{Answer, Page};

#[derive(Template)]
#[template(path = "records.html")]
struct List<'a> {
    shell: Shell<'a>,
    records: Vec<Record>,
    filters: Filters<'a>,
    next: Option<String>,
    tail: String,
}

struct Filters<'a> {
    domain: &'a str,
    client: &'a str,
    kind: &'a str,
    refused: bool,
}

/// The rows of a table.
#[derive(Template)]
#[template(path = "rows.html")]
struct Rows {
    records: Vec<Record>,
}

/// A record, of whatever kind.
#[derive(Deserialize)]
pub(super) struct Record {
    pub(super) kind: String,
    pub(super) number: u64,
    #[serde(default)]
    pub(super) time_ms: i64,
    #[serde(flatten)]
    members: Map<String, Value>,
}

/// Kinds that are shown where nothing else is asked for.
const KINDS: &str = "access,connection,refusals";
const PAGE: &str = "100";
/// Kinds that can be asked for, and what they are called.
const OFFERED: &[(&str, &str)] = &[
    (KINDS, "requests and connections"),
    ("access", "requests"),
    ("connection", "connections"),
    ("refusals", "refusals that were only counted"),
    ("admission", "admissions"),
    ("settings", "changes of settings"),
];

pub(super) async fn list(page: &Page, api: &dyn Api) -> Result<Answer, Problem> {
    #[derive(Deserialize)]
    struct Listed {
        records: Vec<Record>,
        next: Option<u64>,
        end: u64,
    }
    let filters = filters(&page.query);
    let mut query = filters.clone();
    query.insert("newest-first".to_owned(), "true".to_owned());
    query.insert("limit".to_owned(), given(&page.query, "limit").unwrap_or(PAGE).to_owned());
    if let Some(after) = given(&page.query, "before") {
        query.insert("after".to_owned(), after.to_owned());
    }
    let listed = get(api, &["records"], query).await?;
    rendered(page, listed.clone(), || {
        let Listed { records, next, end } = view(&listed)?;
        let with = |name: &str, number: u64| {
            let pairs = filters.iter().map(|(name, value)| format!("{}={}", show::encoded(name), show::encoded(value)));
            pairs.chain([format!("{name}={number}")]).collect::<Vec<_>>().join("&")
        };
        let value = |name| given(&page.query, name).unwrap_or_default();
        Ok(List {
            shell: Shell::of(page, "records"),
            records,
            next: next.map(|next| format!("?{}", with("before", next))),
            // Who looks at earlier pages is not disturbed by new records.
            tail: if page.query.contains_key("before") { String::new() } else { with("after", end) },
            filters: Filters {
                domain: value("domain"),
                client: value("client"),
                kind: given(&page.query, "kind").unwrap_or(KINDS),
                refused: value("refused") == "true",
            },
        })
    })
}

/// Rows of the records in the server's own `records`, the newest first; empty where there are none.
pub fn rows(answer: &Value) -> String {
    let records = answer.get("records").cloned().unwrap_or_default();
    let records = serde_json::from_value::<Vec<Record>>(records).unwrap_or_default();
    if records.is_empty() {
        return String::new();
    }
    Rows { records: records.into_iter().rev().collect() }.render().unwrap_or_default()
}

fn filters(query: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let names = ["domain", "client", "kind", "refused", "since", "until"];
    let mut filters: BTreeMap<String, String> =
        names.iter().filter_map(|name| Some(((*name).to_owned(), given(query, name)?.to_owned()))).collect();
    filters.entry("kind".to_owned()).or_insert_with(|| KINDS.to_owned());
    filters
}

impl Filters<'_> {
    fn has_kind(&self, kind: &str) -> bool {
        self.kind == kind
    }
}

impl Record {
    pub(super) fn text(&self, name: &str) -> &str {
        self.members.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn number_of(&self, name: &str) -> u64 {
        self.members.get(name).and_then(Value::as_u64).unwrap_or_default()
    }

    pub(super) fn member(&self, object: &str, name: &str) -> &str {
        self.members.get(object).and_then(|object| object.get(name)?.as_str()).unwrap_or_default()
    }

    pub(super) fn domain(&self) -> &str {
        match self.text("domain") {
            "" => self.text("server_name"),
            domain => domain,
        }
    }

    /// What it tells of, in a line.
    pub(super) fn what(&self) -> String {
        match self.kind.as_str() {
            "access" if self.text("method").is_empty() => "no request".to_owned(),
            "access" => format!("{} {}", self.text("method"), self.text("path")),
            "connection" => {
                let resumed =
                    if self.members.get("resumed").is_some_and(|resumed| resumed == true) { ", resumed" } else { "" };
                let protocol = match self.text("protocol") {
                    "" => "no handshake",
                    protocol => protocol,
                };
                format!("{protocol}{resumed}, {}, {}", counted(self.number_of("requests"), "request"), self.text("end"))
            }
            "settings" => {
                format!("{} {} {}", self.text("service"), self.text("operation"), self.text("resource"))
            }
            "refusals" => format!(
                "{} and {} of {}",
                counted(self.number_of("requests"), "request"),
                counted(self.number_of("connections"), "connection"),
                match self.text("network") {
                    "" => "many networks",
                    network => network,
                }
            ),
            _ => self.text("message").to_owned(),
        }
    }

    /// Status or verdict.
    pub(super) fn outcome(&self) -> String {
        match self.kind.as_str() {
            "access" => self.number_of("status").to_string(),
            "connection" if !self.code().is_empty() => "refused".to_owned(),
            "settings" => self.text("outcome").to_owned(),
            _ => String::new(),
        }
    }

    /// Why somebody was not let through, if so.
    pub(super) fn code(&self) -> &str {
        [self.member("refusal", "code"), self.text("verdict"), self.member("denial", "code"), self.text("reason")]
            .into_iter()
            .find(|code| !code.is_empty())
            .unwrap_or_default()
    }

    pub(super) fn is_bad(&self) -> bool {
        let status = self.number_of("status");
        !self.code().is_empty() || status >= 400 || ["denied", "failed"].contains(&self.text("outcome"))
    }

    /// Whose it is.
    pub(super) fn client(&self) -> &str {
        match self.member("client", "subject") {
            "" => self.text("principal"),
            subject => subject,
        }
    }

    pub(super) fn took(&self) -> u64 {
        match self.kind.as_str() {
            "connection" => self.number_of("handshake_us"),
            _ => self.number_of("took_us"),
        }
    }

    /// The request that can be explained.
    pub(super) fn request(&self) -> Option<&str> {
        Some(self.text("request_id")).filter(|id| self.kind == "access" && !id.is_empty())
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
