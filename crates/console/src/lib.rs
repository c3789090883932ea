//! The console's pages: who comes in, and why others do not.
//!
//! A page asks the server's APIs ([`Api`]) with the rights of whoever is signed in, and shows what they say; it knows nothing that a
//! script could not ask for as well. Each page is a file of [`pages`], with its template beside it in `templates/`, where everything is
//! escaped; what is not ([`show`]) is made of numbers.
//!
//! What must not live here: sessions, cookies, sockets; decisions.

mod api;
mod assets;
mod pages;
mod show;

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

pub use api::{Api, Call, Problem, Reply};
pub use assets::{Asset, asset};
pub use pages::{live, not_here, refused, rows, signed_in, signed_out, token_used};

/// Where the pages are.
pub(crate) const PREFIX: &str = "/_countersign/console";

/// A page that is asked for.
#[derive(Clone)]
pub struct Page {
    /// Below the console's own path, decoded.
    pub path: Vec<String>,
    /// Its parameters, decoded.
    pub query: BTreeMap<String, String>,
    /// What a form sends, if one does.
    pub form: Option<BTreeMap<String, String>>,
    /// The data is wanted, not the page.
    pub wants_json: bool,
    /// Who is signed in.
    pub who: Who,
    /// The time, in milliseconds since 1970.
    pub at: i64,
}

/// Who is signed in.
#[derive(Clone)]
pub struct Who {
    /// An ARN.
    pub name: String,
    /// Whose resources are shown.
    pub region: String,
    /// Stands in each form.
    pub csrf: String,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Of HTTP.
    pub status: StatusCode,
    /// The body.
    pub content: Content,
    /// Where to go on, with a status that says so.
    pub location: Option<String>,
    /// To be kept as a file of this name.
    pub file_name: Option<String>,
}

/// A body.
#[derive(Clone, Debug)]
pub enum Content {
    /// A page.
    Html(String),
    /// What a page is made of.
    Json(Value),
    /// Plain text.
    Text(String),
}

/// Answers a page, or a form.
pub async fn answer(page: &Page, api: &dyn Api) -> Answer {
    match pages::answer(page, api).await {
        Ok(answer) => answer,
        Err(problem) => pages::problem(page, &problem),
    }
}

impl Answer {
    pub(crate) fn html(html: String) -> Self {
        Self { status: StatusCode::OK, content: Content::Html(html), location: None, file_name: None }
    }

    /// On to another page, below the console's own path.
    pub(crate) fn see_other(path: &str) -> Self {
        let location = Some(format!("{PREFIX}{path}"));
        Self { status: StatusCode::SEE_OTHER, content: Content::Text(String::new()), location, file_name: None }
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}
