//! Changing whom a domain trusts, safely: see what is wrong with a candidate, what it changes, who would be refused; try it in the
//! shadow; promote it; go back.

use std::collections::BTreeMap;

use askama::Template;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::domains::{Finding, Version};
use super::{Shell, given, rendered};
use crate::api::{Api, Call, Problem, get, view};
use crate::show;
use crate::{Answer, Page};

#[derive(Template)]
#[template(path = "change.html")]
struct Change<'a> {
    shell: Shell<'a>,
    name: String,
    view: Domain,
    candidate: Option<Candidate>,
    csrf: &'a str,
    days: &'a str,
}

/// What is tried, and what comes of it.
struct Candidate {
    uri: String,
    version: String,
    /// It is no version yet.
    pem: Option<String>,
    outcome: Result<Outcome, String>,
}

#[derive(Deserialize)]
struct Domain {
    versions: Vec<Version>,
    truststore: Option<Named>,
    shadow: Option<Named>,
    arn: String,
}

#[derive(Deserialize)]
struct Named {
    uri: String,
    version: String,
}

/// The server's preview.
#[derive(Deserialize)]
struct Outcome {
    summary: String,
    notes: Vec<String>,
    comparison: Comparison,
    lint: Vec<Finding>,
    diff: Diff,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Comparison {
    would_be_refused: Changed,
    would_be_accepted: Changed,
}

#[derive(Deserialize)]
struct Changed {
    count: u64,
    clients: Vec<Client>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    id: String,
    subject: String,
    last_seen: i64,
    requests: u64,
    code: String,
    explanation: String,
    fix: String,
}

#[derive(Deserialize)]
struct Diff {
    same: bool,
    added: Vec<Certificate>,
    removed: Vec<Certificate>,
    renewed: Vec<Renewed>,
    meaning: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renewed {
    same_key: bool,
    before: Certificate,
    after: Certificate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    subject: String,
    fingerprint: String,
    not_before: show::Stamp,
    not_after: show::Stamp,
}

#[derive(Template)]
#[template(path = "diff.html")]
struct DiffPage<'a> {
    shell: Shell<'a>,
    name: &'a str,
    from: String,
    to: String,
    uri: Option<&'a str>,
    diff: Diff,
}

#[derive(Template)]
#[template(path = "shadow.html")]
struct Watch<'a> {
    shell: Shell<'a>,
    name: &'a str,
    shadow: Option<Named>,
    clients: Vec<Differing>,
    more: bool,
    csrf: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Differing {
    id: String,
    certificate: Option<super::clients::Identity>,
    state: String,
    shadow: Option<ShadowSeen>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShadowSeen {
    differences: u64,
    refusal: Option<String>,
    last_seen: show::Stamp,
}

/// Days that a preview looks back where nothing else is asked for.
const DAYS: &str = "30";
/// Clients of whom the shadow's differences are listed.
const LISTED: &str = "200";

pub(super) async fn show(page: &Page, api: &dyn Api, name: &str) -> Result<Answer, Problem> {
    let domain = get(api, &["domains", name], BTreeMap::new()).await?;
    let view: Domain = view(&domain)?;
    let days = given(&page.query, "days").unwrap_or(DAYS);
    let Some(version) = given(&page.query, "version") else {
        return rendered(page, domain.clone(), || Ok(Change::of(page, name, view, None, days)));
    };
    let enforced = view.truststore.as_ref().map(|truststore| truststore.uri.clone()).unwrap_or_default();
    // The form's list names both at once.
    let (version, listed) = version.split_once(' ').map_or((version, None), |(version, uri)| (version, Some(uri)));
    let uri = listed.or(given(&page.query, "uri")).map_or(enforced, str::to_owned);
    let body = json!({"truststoreUri": uri, "truststoreVersion": version, "days": number(days)?});
    let previewed = api.ask(Method::POST, &["domains", name, "preview"], BTreeMap::new(), body).await;
    if page.wants_json {
        return rendered(page, previewed?, || Ok(Change::of(page, name, view, None, days)));
    }
    let outcome = outcome(previewed)?;
    let candidate = Candidate { uri, version: version.to_owned(), pem: None, outcome };
    rendered(page, Value::Null, || Ok(Change::of(page, name, view, Some(candidate), days)))
}

/// A truststore that is nowhere yet.
pub(super) async fn try_pem(
    page: &Page,
    form: &BTreeMap<String, String>,
    api: &dyn Api,
    name: &str,
) -> Result<Answer, Problem> {
    let domain: Domain = view(&get(api, &["domains", name], BTreeMap::new()).await?)?;
    let days = given(form, "days").unwrap_or(DAYS);
    let pem = given(form, "pem")
        .ok_or_else(|| Problem::bad_request("There is no truststore: drop a PEM file, or paste one."))?;
    let body = json!({"truststorePem": pem, "days": number(days)?});
    let previewed = api.ask(Method::POST, &["domains", name, "preview"], BTreeMap::new(), body).await;
    if page.wants_json {
        return rendered(page, previewed?, || Err::<Change<'_>, _>(Problem::not_found()));
    }
    let uri = domain.truststore.as_ref().map(|truststore| truststore.uri.clone()).unwrap_or_default();
    let candidate = Candidate { uri, version: String::new(), pem: Some(pem.to_owned()), outcome: outcome(previewed)? };
    rendered(page, Value::Null, || Ok(Change::of(page, name, domain, Some(candidate), days)))
}

/// A truststore that cannot be used is an answer; that somebody may not ask is none.
fn outcome(previewed: Result<Value, Problem>) -> Result<Result<Outcome, String>, Problem> {
    match previewed {
        Ok(answer) => view(&answer).map(Ok),
        Err(problem) if problem.is_denied() || problem.status.is_server_error() => Err(problem),
        Err(problem) => Ok(Err(problem.message)),
    }
}

fn number(days: &str) -> Result<u32, Problem> {
    days.parse().map_err(|_| Problem::bad_request("How far to look back is a number of days."))
}

pub(super) async fn diff(page: &Page, api: &dyn Api, name: &str) -> Result<Answer, Problem> {
    #[derive(Deserialize)]
    struct Answered {
        from: String,
        to: String,
        diff: Diff,
    }
    let answer = get(api, &["domains", name, "diff"], page.query.clone()).await?;
    rendered(page, answer.clone(), || {
        let Answered { from, to, diff } = view(&answer)?;
        Ok(DiffPage { shell: Shell::of(page, "domains"), name, from, to, uri: given(&page.query, "to-uri"), diff })
    })
}

/// Puts a truststore into the bucket, as a new version of the enforced one's object.
pub(super) async fn upload(form: &BTreeMap<String, String>, api: &dyn Api, name: &str) -> Result<Answer, Problem> {
    let domain: Domain = view(&get(api, &["domains", name], BTreeMap::new()).await?)?;
    let uri = domain.truststore.map(|truststore| truststore.uri).unwrap_or_default();
    if given(form, "uri") != Some(&uri) {
        return Err(Problem::bad_request("The domain's truststore is another object by now: look at it again."));
    }
    let place = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    let (bucket, key) = place.ok_or_else(|| Problem::bad_request("The domain has no truststore in a bucket."))?;
    let pem = given(form, "pem").ok_or_else(|| Problem::bad_request("There is no truststore to upload."))?;
    let reply = api
        .aws(Call {
            service: "s3",
            method: Method::PUT,
            path: format!("/{}/{}", show::encoded(bucket), show::encoded_key(key)),
            headers: vec![("content-type", "application/x-pem-file".to_owned())],
            body: format!("{}\n", pem.replace("\r\n", "\n")).into_bytes(),
        })
        .await?;
    let version = reply.headers.get("x-amz-version-id").and_then(|version| version.to_str().ok()).unwrap_or("null");
    let (name, uri, version) = (show::encoded(name), show::encoded(&uri), show::encoded(version));
    Ok(Answer::see_other(&format!("/domains/{name}/change?uri={uri}&version={version}&done=uploaded")))
}

/// Makes a version the enforced one.
pub(super) async fn promote(form: &BTreeMap<String, String>, api: &dyn Api, name: &str) -> Result<Answer, Problem> {
    let (uri, version) = named(form)?;
    // API Gateway v1 changes what is named and nothing else; v2 wants the certificate as well, which may change meanwhile.
    let replace = |what: &str, value: &str| json!({"op": "replace", "path": format!("/mutualTlsAuthentication/{what}"), "value": value});
    let body = json!({"patchOperations": [replace("truststoreUri", uri), replace("truststoreVersion", version)]});
    api.aws(Call::json(Method::PATCH, format!("/domainnames/{}", show::encoded(name)), &body)).await?;
    Ok(Answer::see_other(&format!("/domains/{}?done=promoted", show::encoded(name))))
}

/// Has a version judged beside the enforced one.
pub(super) async fn shadow(form: &BTreeMap<String, String>, api: &dyn Api, name: &str) -> Result<Answer, Problem> {
    let (uri, version) = named(form)?;
    let domain: Domain = view(&get(api, &["domains", name], BTreeMap::new()).await?)?;
    let body = json!({"tags": {
        "countersign:shadow-truststore": uri, "countersign:shadow-truststore-version": version,
    }});
    api.aws(Call::json(Method::POST, format!("/v2/tags/{}", show::encoded(&domain.arn)), &body)).await?;
    Ok(Answer::see_other(&format!("/domains/{}/shadow?done=shadowed", show::encoded(name))))
}

pub(super) async fn unshadow(api: &dyn Api, name: &str) -> Result<Answer, Problem> {
    let domain: Domain = view(&get(api, &["domains", name], BTreeMap::new()).await?)?;
    let tags = "tagKeys=countersign%3Ashadow-truststore&tagKeys=countersign%3Ashadow-truststore-version";
    api.aws(Call::json(Method::DELETE, format!("/v2/tags/{}?{tags}", show::encoded(&domain.arn)), &Value::Null))
        .await?;
    Ok(Answer::see_other(&format!("/domains/{}?done=unshadowed", show::encoded(name))))
}

/// Where the shadow truststore differs from the enforced one.
pub(super) async fn watch(page: &Page, api: &dyn Api, name: &str) -> Result<Answer, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answered {
        clients: Vec<Differing>,
        next_token: Option<String>,
    }
    let domain: Domain = view(&get(api, &["domains", name], BTreeMap::new()).await?)?;
    let query = [("domain", name), ("shadow", "differs"), ("maxResults", LISTED)];
    let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let answer = get(api, &["clients"], query).await?;
    rendered(page, answer.clone(), || {
        let Answered { clients, next_token } = view(&answer)?;
        let (shell, csrf) = (Shell::of(page, "domains"), page.who.csrf.as_str());
        Ok(Watch { shell, name, shadow: domain.shadow, clients, more: next_token.is_some(), csrf })
    })
}

fn named(form: &BTreeMap<String, String>) -> Result<(&str, &str), Problem> {
    let (uri, version) = (given(form, "uri"), given(form, "version"));
    uri.zip(version).ok_or_else(|| Problem::bad_request("The form names no version of a truststore."))
}

impl<'a> Change<'a> {
    fn of(page: &'a Page, name: &str, view: Domain, candidate: Option<Candidate>, days: &'a str) -> Self {
        let (shell, csrf) = (Shell::of(page, "domains"), page.who.csrf.as_str());
        Self { shell, name: name.to_owned(), view, candidate, csrf, days }
    }
}

impl Candidate {
    /// What the buttons say.
    fn promotes(&self, view: &Domain) -> &'static str {
        let is_it = |version: &&Version| version.version == self.version && version.uri == self.uri;
        let is_earlier = view.versions.iter().find(is_it).is_some_and(|version| version.was.is_some());
        if is_earlier { "Roll back to it" } else { "Promote it" }
    }

    fn is_enforced(&self, view: &Domain) -> bool {
        view.truststore.as_ref().is_some_and(|now| now.uri == self.uri && now.version == self.version)
    }

    fn is_shadow(&self, view: &Domain) -> bool {
        view.shadow.as_ref().is_some_and(|now| now.uri == self.uri && now.version == self.version)
    }
}

impl Call {
    fn json(method: Method, path: String, body: &Value) -> Self {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { service: "apigateway", method, path, headers, body }
    }
}
