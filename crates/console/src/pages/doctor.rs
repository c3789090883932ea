//! The doctor: what it finds of a domain from outside, and what it found before.

use std::collections::BTreeMap;

use askama::Template;
use http::Method;
use serde::Deserialize;

use super::{Shell, given, rendered};
use crate::api::{Api, Problem, get, view};
use crate::show;
use crate::{Answer, Page};

#[derive(Template)]
#[template(path = "doctor.html")]
struct List<'a> {
    shell: Shell<'a>,
    runs: Vec<Run>,
    domain: &'a str,
    csrf: &'a str,
}

#[derive(Template)]
#[template(path = "doctor_run.html")]
struct Shown<'a> {
    shell: Shell<'a>,
    run: Run,
    csrf: &'a str,
}

#[derive(Deserialize)]
struct Run {
    id: String,
    at: i64,
    domain: String,
    by: String,
    diagnosis: Diagnosis,
}

#[derive(Deserialize)]
struct Diagnosis {
    url: String,
    address: String,
    findings: Vec<Cause>,
    skipped: Vec<Skipped>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(flatten)]
    finding: Finding,
    consequences: Vec<Finding>,
}

#[derive(Deserialize)]
struct Finding {
    id: String,
    severity: String,
    about: String,
    seen: String,
    why: String,
    fix: String,
    commands: Vec<String>,
}

#[derive(Deserialize)]
struct Skipped {
    id: String,
    why: String,
}

pub(super) async fn list(page: &Page, api: &dyn Api) -> Result<Answer, Problem> {
    #[derive(Deserialize)]
    struct Listed {
        runs: Vec<Run>,
    }
    let domain = given(&page.query, "domain");
    let query = domain.map(|domain| ("domain".to_owned(), domain.to_owned())).into_iter().collect();
    let listed = get(api, &["doctor"], query).await?;
    rendered(page, listed.clone(), || {
        let Listed { runs } = view(&listed)?;
        let (shell, csrf) = (Shell::of(page, "doctor"), page.who.csrf.as_str());
        Ok(List { shell, runs, domain: domain.unwrap_or_default(), csrf })
    })
}

pub(super) async fn run(form: &BTreeMap<String, String>, api: &dyn Api) -> Result<Answer, Problem> {
    #[derive(Deserialize)]
    struct Answered {
        run: Run,
    }
    let domain =
        given(form, "domain").ok_or_else(|| Problem::bad_request("Name a domain that the doctor is to look at."))?;
    let answer =
        api.ask(Method::POST, &["domains", domain, "doctor"], BTreeMap::new(), serde_json::Value::Null).await?;
    let Answered { run } = view(&answer)?;
    Ok(Answer::see_other(&format!("/doctor/{}", show::encoded(&run.id))))
}

pub(super) async fn show(page: &Page, api: &dyn Api, id: &str) -> Result<Answer, Problem> {
    #[derive(Deserialize)]
    struct Answered {
        run: Run,
    }
    let found = get(api, &["doctor", id], BTreeMap::new()).await?;
    rendered(page, found.clone(), || {
        let Answered { run } = view(&found)?;
        Ok(Shown { shell: Shell::of(page, "doctor"), run, csrf: &page.who.csrf })
    })
}

impl Diagnosis {
    fn count(&self, severity: &str) -> usize {
        let all = self.findings.iter().flat_map(|cause| std::iter::once(&cause.finding).chain(&cause.consequences));
        all.filter(|finding| finding.severity == severity).count()
    }
}
