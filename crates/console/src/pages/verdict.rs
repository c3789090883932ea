//! Trying a certificate: what would it meet?

use std::collections::BTreeMap;

use askama::Template;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::request::Step;
use super::{Certificate, Shell, given, rendered};
use crate::api::{Api, Problem, get, view};
use crate::show;
use crate::{Answer, Page};

#[derive(Template)]
#[template(path = "try.html")]
struct Try<'a> {
    shell: Shell<'a>,
    domains: Vec<String>,
    domain: String,
    pem: &'a str,
    outcome: Option<Result<View, String>>,
    csrf: &'a str,
    now: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    verdict: String,
    code: Option<String>,
    detail: Option<String>,
    path: Option<Vec<String>>,
    steps: Vec<Step>,
    explanation: Option<String>,
    fix: Option<String>,
    truststore: Truststore,
    certificate: Option<Certificate>,
    shadow: Option<Shadow>,
    status_not_fetched: bool,
}

#[derive(Deserialize)]
struct Truststore {
    uri: String,
    version: String,
}

#[derive(Deserialize)]
struct Shadow {
    version: String,
    code: Option<String>,
}

/// Domains that are offered; others can be typed.
const OFFERED: &str = "500";

pub(super) async fn ask(page: &Page, api: &dyn Api) -> Result<Answer, Problem> {
    let domains = domains(api).await?;
    let data = json!({ "domains": domains });
    rendered(page, data, || {
        Ok(Try {
            shell: Shell::of(page, "try"),
            domain: given(&page.query, "domain").or(domains.first().map(String::as_str)).unwrap_or_default().to_owned(),
            domains,
            pem: "",
            outcome: None,
            csrf: &page.who.csrf,
            now: page.at,
        })
    })
}

pub(super) async fn judge(page: &Page, form: &BTreeMap<String, String>, api: &dyn Api) -> Result<Answer, Problem> {
    let missing = |what: &str| Problem::bad_request(what);
    let domain = given(form, "domain").ok_or_else(|| missing("Choose a domain."))?;
    let pem = given(form, "pem").ok_or_else(|| missing("There is no certificate: drop a PEM file, or paste one."))?;
    let body = json!({ "certificatePem": pem });
    let verdict = api.ask(Method::POST, &["domains", domain, "verdict"], BTreeMap::new(), body).await;
    let outcome = match verdict {
        Ok(answer) if page.wants_json => return rendered(page, answer, || Err::<Try<'_>, _>(Problem::not_found())),
        Ok(answer) => Ok(view(&answer)?),
        Err(problem) if problem.is_denied() || problem.status.is_server_error() || page.wants_json => {
            return Err(problem);
        }
        Err(problem) => Err(problem.message),
    };
    let domains = domains(api).await?;
    rendered(page, Value::Null, || {
        Ok(Try {
            shell: Shell::of(page, "try"),
            domains,
            domain: domain.to_owned(),
            pem,
            outcome: Some(outcome),
            csrf: &page.who.csrf,
            now: page.at,
        })
    })
}

async fn domains(api: &dyn Api) -> Result<Vec<String>, Problem> {
    #[derive(Deserialize)]
    struct Listed {
        domains: Vec<Domain>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Domain {
        name: String,
        mutual_tls: Option<Value>,
    }
    let query = [("limit".to_owned(), OFFERED.to_owned())].into();
    let listed: Listed = view(&get(api, &["domains"], query).await?)?;
    Ok(listed.domains.into_iter().filter(|domain| domain.mutual_tls.is_some()).map(|domain| domain.name).collect())
}
