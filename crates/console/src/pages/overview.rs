//! The first page: how it goes.

use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use super::{Shell, rendered};
use crate::api::{Api, Problem, get, view};
use crate::show;
use crate::{Answer, Page};

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    shell: Shell<'a>,
    view: View,
    now: i64,
}

/// The part of it that is sent again each second.
#[derive(Template)]
#[template(path = "live.html")]
struct Live {
    view: View,
    now: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    traffic: Traffic,
    attention: Attention,
    settings: Settings,
    records: Records,
    health: Health,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Traffic {
    requests_per_second: f64,
    refusals_per_second: f64,
    connections: u64,
    requests: Vec<u64>,
    refusals: Vec<u64>,
    recent_reasons: Vec<Reason>,
    total_requests: u64,
    total_reasons: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    code: String,
    summary: String,
    count: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attention {
    domains: u64,
    domains_concerned: u64,
    concerns: Vec<Concern>,
    ending: Vec<Ending>,
    ending_count: u64,
    drifting: u64,
    ending_clients: Vec<EndingClient>,
    ending_client_count: u64,
    more_clients: bool,
    ledger_error: Option<String>,
}

#[derive(Deserialize)]
struct Concern {
    domain: String,
    severity: String,
    what: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ending {
    kind: String,
    domain: String,
    subject: String,
    not_after: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndingClient {
    id: String,
    domain: String,
    subject: String,
    not_after: i64,
}

#[derive(Deserialize)]
struct Settings {
    revision: u64,
    applied: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Records {
    waiting_bytes: u64,
    dropped: u64,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Health {
    status: String,
    faults: Vec<String>,
}

/// Width and height of the picture, in its own units.
const WIDTH: u64 = 300;
const HEIGHT: u64 = 60;

pub(super) async fn show(page: &Page, api: &dyn Api) -> Result<Answer, Problem> {
    let overview = get(api, &["overview"], Default::default()).await?;
    rendered(page, overview.clone(), || {
        Ok(Overview { shell: Shell::of(page, ""), view: view(&overview)?, now: page.at })
    })
}

/// What changes from second to second, of the server's own `overview`; `now` is in milliseconds since 1970.
pub fn live(overview: &Value, now: i64) -> String {
    // What cannot be shown this second may be the next.
    let live = view(overview).ok().map(|view| Live { view, now });
    live.and_then(|live| live.render().ok()).unwrap_or_default()
}

impl Traffic {
    /// The highest of all seconds.
    fn peak(&self) -> u64 {
        self.requests.iter().chain(&self.refusals).copied().max().unwrap_or(0)
    }

    /// Points of a line: the newest second is at the right.
    fn points(&self, seconds: &[u64]) -> String {
        let peak = self.peak().max(1);
        let first = WIDTH - seconds.len() as u64;
        let point = |(place, count): (usize, &u64)| {
            let height = HEIGHT - (count.saturating_mul(HEIGHT - 2) / peak) - 1;
            format!("{},{height}", first + place as u64)
        };
        seconds.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
    }
}

impl Settings {
    fn lag(&self) -> u64 {
        self.revision.saturating_sub(self.applied)
    }
}

impl Reason {
    /// Of the most frequent one, in percent, for a bar.
    fn share(&self, all: &[Reason]) -> u64 {
        let most = all.iter().map(|reason| reason.count).max().unwrap_or(1).max(1);
        self.count.saturating_mul(100) / most
    }
}
