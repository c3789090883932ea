//! The pages, one a file; here is which one answers what, and what all of them have.

mod audit;
mod change;
mod clients;
mod doctor;
mod domains;
mod overview;
mod records;
mod request;
mod verdict;

use std::collections::BTreeMap;

use askama::Template;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, Problem};
use crate::assets::{css_name, icon_name, js_name};
use crate::show::encoded;
use crate::{Answer, Content, PREFIX, Page, Who};

pub use overview::live;
pub use records::rows;

/// Parts of the console: their paths, and what they are called.
pub(crate) const SECTIONS: &[(&str, &str)] = &[
    ("", "Overview"),
    ("domains", "Domains"),
    ("clients", "Clients"),
    ("records", "Requests"),
    ("try", "Try a certificate"),
    ("doctor", "Doctor"),
    ("audit", "Audit"),
];

pub(crate) async fn answer(page: &Page, api: &dyn Api) -> Result<Answer, Problem> {
    let path: Vec<&str> = page.path.iter().map(String::as_str).collect();
    match (&page.form, &path[..]) {
        (None, []) => overview::show(page, api).await,
        (None, ["domains"]) => domains::list(page, api).await,
        (None, ["domains", name]) => domains::show(page, api, name).await,
        (None, ["domains", name, "diff"]) => change::diff(page, api, name).await,
        (None, ["domains", name, "change"]) => change::show(page, api, name).await,
        (Some(form), ["domains", name, "change"]) => change::try_pem(page, form, api, name).await,
        (Some(form), ["domains", name, "upload"]) => change::upload(form, api, name).await,
        (Some(form), ["domains", name, "promote"]) => change::promote(form, api, name).await,
        (Some(form), ["domains", name, "shadow"]) => change::shadow(form, api, name).await,
        (Some(_), ["domains", name, "unshadow"]) => change::unshadow(api, name).await,
        (None, ["domains", name, "shadow"]) => change::watch(page, api, name).await,
        (None, ["clients"]) => clients::list(page, api).await,
        (None, ["clients", id]) => clients::show(page, api, id).await,
        (None, ["records"]) => records::list(page, api).await,
        (None, ["requests", id]) => request::show(page, api, id).await,
        (None, ["try"]) => verdict::ask(page, api).await,
        (Some(form), ["try"]) => verdict::judge(page, form, api).await,
        (None, ["doctor"]) => doctor::list(page, api).await,
        (Some(form), ["doctor"]) => doctor::run(form, api).await,
        (None, ["doctor", id]) => doctor::show(page, api, id).await,
        (None, ["audit"]) => audit::show(page, api).await,
        (Some(_), ["audit", "verify"]) => audit::verify(page, api).await,
        (None, ["audit", "checkpoint"]) => audit::checkpoint(api).await,
        (None, ["audit", "export"]) => audit::export(page, api).await,
        _ => Err(Problem::not_found()),
    }
}

/// What stands around each page.
pub(crate) struct Shell<'a> {
    section: &'static str,
    who: Option<&'a Who>,
    /// What was just done, in a sentence.
    done: Option<&'static str>,
    json: Option<String>,
    css: String,
    js: String,
    icon: String,
}

impl<'a> Shell<'a> {
    /// Of a page of a section.
    pub(crate) fn of(page: &'a Page, section: &'static str) -> Self {
        let done = page.query.get("done").and_then(|code| sentence(code));
        let mut query: Vec<String> = page
            .query
            .iter()
            .filter(|(name, _)| !["format", "done"].contains(&name.as_str()))
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        query.push("format=json".to_owned());
        let path: String = page.path.iter().map(|part| format!("/{}", encoded(part))).collect();
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let json = page.form.is_none().then(|| format!("{PREFIX}{path}?{}", query.join("&")));
        Self { section, who: Some(&page.who), done, json, ..Self::bare() }
    }

    fn bare() -> Self {
        Self { section: "-", who: None, done: None, json: None, css: css_name(), js: js_name(), icon: icon_name() }
    }

    fn is_in(&self, section: &str) -> bool {
        self.section == section
    }

    /// `user/alice`
    fn short_name(&self) -> &str {
        self.who.map_or("", |who| who.name.rsplit_once(':').map_or(who.name.as_str(), |(_, name)| name))
    }
}

/// What is said on the page that a form leads to. A URL names one of these; nobody's text comes from a URL.
fn sentence(code: &str) -> Option<&'static str> {
    Some(match code {
        "promoted" => "The truststore is enforced: it decides about every request from now on.",
        "shadowed" => "The truststore is judged beside the enforced one from now on. Nobody is refused by it.",
        "unshadowed" => "The truststore is judged no more.",
        "uploaded" => "It is a version of the object now. Nothing is enforced differently yet.",
        _ => return None,
    })
}

/// What the server says of a certificate.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Certificate {
    subject: String,
    issuer: String,
    serial_number: String,
    fingerprint: String,
    not_before: i64,
    not_after: i64,
    key: String,
}

/// The page, or what it is made of.
pub(crate) fn rendered<T: Template>(
    page: &Page,
    data: Value,
    html: impl FnOnce() -> Result<T, Problem>,
) -> Result<Answer, Problem> {
    match page.wants_json {
        true => Ok(Answer { content: Content::Json(data), ..Answer::html(String::new()) }),
        false => Ok(Answer::html(text(&html()?)?)),
    }
}

pub(crate) fn text(template: &impl Template) -> Result<String, Problem> {
    template.render().map_err(|error| Problem {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "InternalServerErrorException".to_owned(),
        message: format!("The page cannot be shown: {error}"),
    })
}

/// A parameter that is not empty.
pub(crate) fn given<'a>(parameters: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    parameters.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    shell: Shell<'a>,
    title: &'a str,
    lines: Vec<String>,
    command: Option<&'a str>,
    back: Option<&'a str>,
}

impl Message<'_> {
    fn answer(&self, status: StatusCode) -> Answer {
        Answer::html(self.render().unwrap_or_default()).with_status(status)
    }
}

/// What went wrong, as the page or as JSON.
pub(crate) fn problem(page: &Page, problem: &Problem) -> Answer {
    if page.wants_json {
        let content = Content::Json(serde_json::json!({"code": problem.code, "message": problem.message}));
        return Answer { content, ..Answer::html(String::new()).with_status(problem.status) };
    }
    let title = match problem.status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        status if status.is_server_error() => "This did not work",
        _ => "This cannot be done",
    };
    let mut lines = vec![problem.message.clone()];
    if problem.is_denied() {
        lines.push("The console can do what the access key may do that it was opened with.".to_owned());
    }
    Message { shell: Shell::of(page, "-"), title, lines, command: None, back: Some("/_countersign/console/") }
        .answer(problem.status)
}

/// To browsers that may not open it.
pub fn not_here() -> Answer {
    let lines = vec![
        "The console is open to browsers on the server's own machine only. Its configuration can open it to others: \
         control.console = \"network\"."
            .to_owned(),
    ];
    Message { shell: Shell::bare(), title: "Not here", lines, command: None, back: None }.answer(StatusCode::FORBIDDEN)
}

/// To whoever is not signed in.
pub fn signed_out() -> Answer {
    let lines = vec![
        "Run this where the server's access key is, and open the URL that it prints. It signs in once, within a minute.".to_owned(),
    ];
    let command = Some("countersign console");
    Message { shell: Shell::bare(), title: "Sign in", lines, command, back: None }.answer(StatusCode::UNAUTHORIZED)
}

/// To whoever comes with a URL that signs nobody in any more.
pub fn token_used() -> Answer {
    let lines = vec!["This URL was used, or is older than a minute. Ask for another:".to_owned()];
    let command = Some("countersign console");
    Message { shell: Shell::bare(), title: "Sign in again", lines, command, back: None }
        .answer(StatusCode::UNAUTHORIZED)
}

/// A request that no page answers.
pub fn refused(status: StatusCode, what: &str) -> Answer {
    let lines = vec![what.to_owned()];
    Message {
        shell: Shell::bare(),
        title: "This cannot be done",
        lines,
        command: None,
        back: Some("/_countersign/console/"),
    }
    .answer(status)
}

#[derive(Template)]
#[template(path = "signed_in.html")]
struct SignedIn;

/// Leads on to the console.
pub fn signed_in() -> Answer {
    Answer::html(SignedIn.render().unwrap_or_default())
}
