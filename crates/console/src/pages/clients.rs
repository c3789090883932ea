//! The clients that were seen.

use std::collections::BTreeMap;

use askama::Template;
use serde::Deserialize;
use serde_json::json;

use super::records::Record;
use super::{Certificate, Shell, given, rendered};
use crate::api::{Api, Problem, get, view};
use crate::show;
use crate::{Answer, Page};

#[derive(Template)]
#[template(path = "clients.html")]
struct List<'a> {
    shell: Shell<'a>,
    view: Listed,
    search: &'a str,
    domain: &'a str,
    state: &'a str,
    expiring: &'a str,
    next: Option<String>,
    now: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    clients: Vec<Client>,
    next_token: Option<String>,
    completeness: Completeness,
}

#[derive(Deserialize)]
struct Completeness {
    since: show::Stamp,
    clients: u64,
    lost: Option<Span>,
}

#[derive(Deserialize)]
struct Span {
    count: u64,
}

/// A client of a domain.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    id: String,
    domain: String,
    certificate: Option<Identity>,
    state: String,
    refusal: Option<String>,
    first_seen: show::Stamp,
    last_seen: show::Stamp,
    last_accepted: Option<show::Stamp>,
    accepted: u64,
    refused: u64,
    source: String,
    renewed_by: Option<String>,
}

/// What a client's certificate says of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identity {
    pub(super) subject: String,
    issuer: String,
    serial_number: String,
    fingerprint: String,
    alternative_names: Vec<String>,
    not_before: show::Stamp,
    not_after: show::Stamp,
}

#[derive(Template)]
#[template(path = "client.html")]
struct Shown<'a> {
    shell: Shell<'a>,
    client: Client,
    certificates: Vec<Certificate>,
    pem: String,
    records: Vec<Record>,
    now: i64,
}

/// Records of a client that are shown.
const RECORDS: &str = "50";

pub(super) async fn list(page: &Page, api: &dyn Api) -> Result<Answer, Problem> {
    let names = ["search", "domain", "state", "days", "expiring-days", "shadow", "maxResults", "nextToken"];
    let given_ones = names.iter().filter_map(|name| Some(((*name).to_owned(), given(&page.query, name)?.to_owned())));
    let query: BTreeMap<String, String> = given_ones.collect();
    let listed = get(api, &["clients"], query.clone()).await?;
    rendered(page, listed.clone(), || {
        let view: Listed = view(&listed)?;
        let next = view.next_token.as_ref().map(|token| {
            let others = query.iter().filter(|(name, _)| *name != "nextToken");
            let mut parts: Vec<String> =
                others.map(|(name, value)| format!("{}={}", show::encoded(name), show::encoded(value))).collect();
            parts.push(format!("nextToken={}", show::encoded(token)));
            format!("?{}", parts.join("&"))
        });
        let value = |name| given(&page.query, name).unwrap_or_default();
        Ok(List {
            shell: Shell::of(page, "clients"),
            view,
            search: value("search"),
            domain: value("domain"),
            state: value("state"),
            expiring: value("expiring-days"),
            next,
            now: page.at,
        })
    })
}

pub(super) async fn show(page: &Page, api: &dyn Api, id: &str) -> Result<Answer, Problem> {
    #[derive(Deserialize)]
    struct Answered {
        client: Client,
        chain: Vec<String>,
        certificates: Vec<Certificate>,
    }
    #[derive(Deserialize)]
    struct Recorded {
        records: Vec<Record>,
    }
    let answer = get(api, &["clients", id], BTreeMap::new()).await?;
    let Answered { client, chain, certificates } = view(&answer)?;
    let recorded = match &client.certificate {
        Some(certificate) => {
            let query = [
                ("client", certificate.fingerprint.as_str()),
                ("domain", &client.domain),
                ("kind", "access,connection"),
                ("newest-first", "true"),
                ("limit", RECORDS),
            ];
            let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
            get(api, &["records"], query).await
        }
        None => Ok(json!({"records": []})),
    };
    // Who may see clients may not be allowed to see records: then there are none.
    let recorded = match recorded {
        Err(problem) if problem.is_denied() => json!({"records": []}),
        recorded => recorded?,
    };
    let data = json!({"client": answer["client"], "chain": answer["chain"], "records": recorded["records"]});
    let Recorded { records } = view::<Recorded>(&recorded)?;
    rendered(page, data, || {
        Ok(Shown {
            shell: Shell::of(page, "clients"),
            client,
            certificates,
            pem: chain.concat(),
            records,
            now: page.at,
        })
    })
}

impl Client {
    fn name(&self) -> &str {
        match &self.certificate {
            Some(certificate) if !certificate.subject.is_empty() => &certificate.subject,
            Some(certificate) => certificate.alternative_names.first().map_or("(no subject)", String::as_str),
            None => "(not a certificate)",
        }
    }
}
