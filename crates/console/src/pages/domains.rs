//! The domains: all of them, and each with whom it trusts.

use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Shell, given, rendered};
use crate::api::{Api, Problem, get, view};
use crate::show::{self, Number};
use crate::{Answer, Page};

#[derive(Template)]
#[template(path = "domains.html")]
struct List<'a> {
    shell: Shell<'a>,
    view: Listed,
    search: &'a str,
    now: i64,
}

#[derive(Deserialize)]
struct Listed {
    domains: Vec<Row>,
    next: Option<String>,
    total: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    mutual_tls: Option<MutualTls>,
    shadow: bool,
    certificate_not_after: Option<i64>,
    status: String,
    warnings: Vec<String>,
    served: bool,
}

#[derive(Deserialize)]
struct MutualTls {
    uri: String,
    version: String,
    newer: Option<String>,
    certificates: Option<u64>,
}

#[derive(Template)]
#[template(path = "domain.html")]
struct Shown<'a> {
    shell: Shell<'a>,
    view: View,
    now: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    name: String,
    arn: String,
    status: String,
    warnings: Vec<String>,
    faults: Vec<String>,
    security_policy: String,
    routing_mode: String,
    certificate: Option<Certificate>,
    truststore: Option<Truststore>,
    shadow: Option<Truststore>,
    versions: Vec<Version>,
    mappings: Vec<Mapping>,
    rules: u64,
    crls: Vec<Object>,
    tags: Map<String, Value>,
    revision: u64,
    applied: u64,
    served: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    arn: String,
    subject: Option<String>,
    issuer: Option<String>,
    names: Vec<String>,
    not_after: Option<i64>,
    key: String,
}

/// Whom a domain trusts.
#[derive(Deserialize)]
pub(super) struct Truststore {
    uri: String,
    pinned: Option<String>,
    version: String,
    digest: String,
    since: i64,
    error: Option<String>,
    #[serde(default)]
    certificates: Vec<Ca>,
    #[serde(default)]
    count: u64,
    #[serde(default)]
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ca {
    subject: String,
    fingerprint: String,
    not_before: i64,
    not_after: i64,
    key: String,
    signature: String,
    depth: u64,
    kind: String,
    findings: Vec<Finding>,
}

/// Something about a truststore.
#[derive(Deserialize)]
pub(super) struct Finding {
    pub(super) code: String,
    pub(super) severity: String,
    pub(super) subject: Option<String>,
    pub(super) explanation: String,
    pub(super) fix: String,
}

/// A version of a truststore's object.
#[derive(Deserialize)]
pub(super) struct Version {
    pub(super) uri: String,
    pub(super) version: String,
    pub(super) at: i64,
    pub(super) size: Option<u64>,
    pub(super) enforced: bool,
    pub(super) shadow: bool,
    pub(super) newest: bool,
    pub(super) deleted: bool,
    pub(super) was: Option<(i64, i64)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    path: String,
    api_id: String,
    stage: String,
    api: Option<String>,
}

#[derive(Deserialize)]
struct Object {
    uri: String,
    version: String,
}

/// Width of the picture of when certificates are valid.
const SPAN: i64 = 200;

pub(super) async fn list(page: &Page, api: &dyn Api) -> Result<Answer, Problem> {
    let mut query = page.query.clone();
    query.retain(|name, _| ["search", "after", "limit"].contains(&name.as_str()));
    let listed = get(api, &["domains"], query).await?;
    let search = given(&page.query, "search").unwrap_or_default();
    rendered(page, listed.clone(), || {
        Ok(List { shell: Shell::of(page, "domains"), view: view(&listed)?, search, now: page.at })
    })
}

pub(super) async fn show(page: &Page, api: &dyn Api, name: &str) -> Result<Answer, Problem> {
    let domain = get(api, &["domains", name], Default::default()).await?;
    rendered(page, domain.clone(), || {
        Ok(Shown { shell: Shell::of(page, "domains"), view: view(&domain)?, now: page.at })
    })
}

impl Truststore {
    /// First and last second of all that is drawn.
    fn span(&self, now: i64) -> (i64, i64) {
        let now = now.div_euclid(1000);
        let first = self.certificates.iter().map(|ca| ca.not_before).chain([now]).min().unwrap_or(now);
        let last = self.certificates.iter().map(|ca| ca.not_after).chain([now]).max().unwrap_or(now);
        (first, last.max(first + 1))
    }

    /// Where a time is in the picture.
    fn place(&self, at: impl Number<i64>, now: impl Number<i64>) -> i64 {
        let (at, now) = (at.value(), now.value());
        let (first, last) = self.span(now);
        let part =
            i128::from(at.saturating_sub(first)) * i128::from(SPAN) / i128::from(last.saturating_sub(first).max(1));
        i64::try_from(part).unwrap_or(SPAN).clamp(0, SPAN)
    }

    /// How wide a certificate's validity is in the picture.
    fn width(&self, ca: &Ca, now: impl Number<i64>) -> i64 {
        let now = now.value();
        (self.place(ca.not_after, now) - self.place(ca.not_before, now)).max(1)
    }
}

impl View {
    fn enforced(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.enforced)
    }

    fn tags(&self) -> impl Iterator<Item = (&String, &str)> {
        self.tags.iter().map(|(name, value)| (name, value.as_str().unwrap_or_default()))
    }
}

impl Version {
    /// A version id is long; its beginning tells it from the others of one object.
    pub(super) fn short(&self) -> &str {
        short(&self.version)
    }
}

/// The beginning of an id.
pub(super) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
