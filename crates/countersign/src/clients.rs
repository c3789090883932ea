//! `countersign clients`: who was seen, how often, until when their certificates last.

use std::fmt::Write;

use clap::{Parser, Subcommand, ValueEnum};
use http::{Method, StatusCode};
use journal::ledger::{Completeness, Entry, Query, ShadowSeen, State};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::answer::{self, Answer, Failure, Outcome, printable};
use crate::client::{Client, ServerArgs};

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Show one client, and the certificates that it sent
    Show(ShowArgs),
}

#[derive(clap::Args)]
struct ListArgs {
    /// Of this domain only
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Only those whose names, serial number, fingerprint, address or id contain this
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// What their last request met
    #[arg(long, value_enum, default_value_t)]
    state: Wanted,
    /// Only those that were seen in the last so many days
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    /// Only those that were accepted once and whose certificates end within so many days, the soonest first: 30d
    #[arg(long, value_name = "DAYS", value_parser = days)]
    expiring: Option<u32>,
    /// Only those about whom the shadow truststore differs from the enforced one
    #[arg(long)]
    shadow_differs: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    max: usize,
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Parser)]
struct ShowArgs {
    /// As the list has it in its last column
    id: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Wanted {
    #[default]
    All,
    Accepted,
    Refused,
}

/// One page of the server's answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    clients: Vec<Entry>,
    next_token: Option<String>,
    completeness: Completeness,
}

/// All pages.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List {
    clients: Vec<Entry>,
    /// Not all that there are.
    truncated: bool,
    completeness: Completeness,
}

/// One client.
#[derive(Deserialize, Serialize)]
struct Shown {
    client: Entry,
    /// PEM, leaf first.
    chain: Vec<String>,
}

const PATH: &str = "/_countersign/api/v1/clients";

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Some(Command::Show(args)) => show(args),
        None => list(&args.list),
    }
}

fn list(args: &ListArgs) -> Outcome {
    let list = args.server.ask(async |client| args.fetch(client).await)?;
    if args.json {
        answer::print(&serde_json::to_string_pretty(&list).expect("plain data with string keys"));
    } else {
        answer::print(list.text().trim_end());
    }
    Ok(Answer::Yes)
}

fn show(args: &ShowArgs) -> Outcome {
    let shown = args.server.ask(async |client| {
        let path = format!("{PATH}/{}", utf8_percent_encode(&args.id, NON_ALPHANUMERIC));
        let reply = client.send("countersign", Method::GET, &path, &[], Vec::new()).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Err(Failure::new(format!("no client {} was seen here; countersign clients lists them", args.id)));
        }
        reply.into_json().and_then(|answer| read::<Shown>(&answer))
    })?;
    if args.json {
        answer::print(&serde_json::to_string_pretty(&shown).expect("plain data with string keys"));
    } else {
        answer::print(shown.text().trim_end());
    }
    Ok(Answer::Yes)
}

impl ListArgs {
    async fn fetch(&self, client: &Client) -> Result<List, Failure> {
        let mut clients = Vec::new();
        let mut token = None;
        loop {
            let path = self.path(self.max.saturating_sub(clients.len()), token.as_deref());
            let answer = client.json("countersign", Method::GET, &path, &serde_json::Value::Null).await?;
            let page: Page = read(&answer)?;
            clients.extend(page.clients);
            token = page.next_token;
            if token.is_none() || clients.len() >= self.max {
                clients.truncate(self.max);
                return Ok(List { clients, truncated: token.is_some(), completeness: page.completeness });
            }
        }
    }

    fn path(&self, left: usize, token: Option<&str>) -> String {
        let mut path = format!("{PATH}?maxResults={}", left.clamp(1, Query::MAX_PAGE));
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                let _ = write!(path, "&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
            }
        };
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        add("domain", self.domain.as_deref());
        add("search", self.search.as_deref());
        add("state", Some(self.state).filter(|state| *state != Wanted::All).map(Wanted::name));
        add("days", number(self.days).as_deref());
        add("expiring-days", number(self.expiring).as_deref());
        add("shadow", self.shadow_differs.then_some("differs"));
        add("nextToken", token);
        path
    }
}

impl Wanted {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

impl List {
    /// A table for people, and what can be missing from it.
    fn text(&self) -> String {
        let mut rows = vec![
            ["LAST SEEN", "STATE", "DOMAIN", "SUBJECT", "ENDS", "REQUESTS", "REFUSED", "FROM", "ID"].map(str::to_owned),
        ];
        rows.extend(self.clients.iter().map(row));
        let mut text = if self.clients.is_empty() { String::new() } else { table(&rows) };
        let found = match self.clients.len() {
            0 => "No such client was seen".to_owned(),
            1 => "1 client".to_owned(),
            many => format!("{many} clients"),
        };
        let more = if self.truncated { ", and there are more: see --max" } else { "" };
        let _ = writeln!(text, "{found}{more}. {}", told(&self.completeness));
        text
    }
}

fn row(client: &Entry) -> [String; 9] {
    let certificate = client.certificate.as_ref();
    let renewed = if client.renewed_by.is_some() { " renewed" } else { "" };
    let state = match (client.state, client.refusal) {
        (State::Accepted, _) => "accepted".to_owned(),
        (State::Refused, None) => "refused".to_owned(),
        (State::Refused, Some(code)) => code.as_str().to_owned(),
    };
    [
        minute(client.last_seen),
        state,
        client.domain.clone(),
        certificate.map_or("(not readable)", |certificate| &certificate.subject).to_owned(),
        certificate.map(|certificate| day(certificate.not_after) + renewed).unwrap_or_default(),
        client.accepted.to_string(),
        client.refused.to_string(),
        client.source.to_string(),
        client.id.to_string(),
    ]
}

/// Columns as wide as they must be, within reason: a stranger's name may be long.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    const WIDEST: usize = 60;
    let short = |cell: &str| {
        let cell = printable(cell);
        match cell.char_indices().nth(WIDEST) {
            Some((end, _)) => format!("{}…", &cell[..end]),
            None => cell.into_owned(),
        }
    };
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| short(cell))).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// How complete the list can be.
fn told(completeness: &Completeness) -> String {
    let mut text = format!("Clients are noted since {}.", minute(completeness.since));
    let spans = [
        (completeness.lost, "accepted clients found no room or had to make it"),
        (completeness.dropped, "sightings were lost: the disk did not keep up"),
        (completeness.sampled_out, "sightings of strangers were left out: too many"),
    ];
    for (span, what) in spans {
        if let Some(span) = span {
            let _ = write!(text, " {} {what} ({} to {}).", span.count, minute(span.first), minute(span.last));
        }
    }
    text
}

impl Shown {
    fn text(&self) -> String {
        let client = &self.client;
        let mut lines = vec![("id", client.id.to_string()), ("domain", client.domain.clone())];
        if let Some(certificate) = &client.certificate {
            lines.push(("subject", certificate.subject.clone()));
            lines.push(("issuer", certificate.issuer.clone()));
            lines.push(("serial", certificate.serial_number.clone()));
            lines.push(("fingerprint", certificate.fingerprint.clone()));
            if !certificate.alternative_names.is_empty() {
                lines.push(("names", certificate.alternative_names.join(", ")));
            }
            lines.push(("valid", format!("{} to {}", day(certificate.not_before), day(certificate.not_after))));
        }
        if let Some(id) = &client.renewed_by {
            lines.push(("renewed", format!("a later certificate of this subject is used instead: {id}")));
        }
        lines.push(("seen", format!("{} to {}", minute(client.first_seen), minute(client.last_seen))));
        lines.push(("from", client.source.to_string()));
        lines.push(("requests", format!("{} let in, {} refused", client.accepted, client.refused)));
        let accepted = client.last_accepted.map_or("never".to_owned(), minute);
        lines.push(("accepted", accepted));
        if let Some(code) = client.refusal {
            lines.push(("refused", format!("{}: {}", code.as_str(), code.summary())));
        }
        if let Some(shadow) = &client.shadow {
            lines.push(("shadow", differs(shadow)));
        }
        let mut text = String::new();
        for (name, value) in lines {
            let _ = writeln!(text, "{:13}{}", format!("{name}:"), printable(&value));
        }
        text.extend(self.chain.iter().map(String::as_str));
        text
    }
}

fn differs(shadow: &ShadowSeen) -> String {
    let would = match shadow.refusal {
        None => "would accept it".to_owned(),
        Some(code) => format!("would refuse it: {}", code.as_str()),
    };
    format!("the shadow truststore {would} ({} requests, last {})", shadow.differences, minute(shadow.last_seen))
}

/// `30d`, or `30`.
fn days(text: &str) -> Result<u32, String> {
    text.strip_suffix('d').unwrap_or(text).parse().map_err(|_| "expected a number of days, as in 30d".to_owned())
}

/// `2026-11-22 21:05`, UTC.
fn minute(ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000));
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]Z");
    at.ok().and_then(|at| at.format(&format).ok()).unwrap_or_default()
}

/// `2026-11-22`
fn day(seconds: i64) -> String {
    minute(seconds.saturating_mul(1000)).split(' ').next().unwrap_or_default().to_owned()
}

fn read<T: for<'de> Deserialize<'de>>(answer: &serde_json::Value) -> Result<T, Failure> {
    T::deserialize(answer).map_err(|e| Failure::new(format!("the server's answer cannot be read: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_one_another_whatever_strangers_are_called() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let long = "x".repeat(1000);
        let text = table(&[row(["A", "B", "C"]), row(["1", "é\u{1b}[2J", "z"]), row(["22", &long, ""])]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].chars().position(|c| c == 'z'), lines[0].chars().position(|c| c == 'C'));
        assert!(lines[1].contains(r"é\u{1b}[2J") && lines[2].ends_with("x…"), "{text}");
    }

    #[test]
    fn reads_days_and_shows_times() {
        assert_eq!((days("30d"), days("7")), (Ok(30), Ok(7)));
        assert!(days("d").is_err() && days("-1").is_err() && days("1w").is_err());
        assert_eq!(
            (minute(1_763_830_859_999), day(1_763_830_800)),
            ("2025-11-22 17:00Z".to_owned(), "2025-11-22".to_owned())
        );
        assert_eq!(day(i64::MAX), "");
    }
}
