//! `countersign logs`: records, by what they are about.

pub(crate) mod fhir;
mod line;

use std::time::Duration;

use clap::ValueEnum;
use http::Method;
use journal::{AccessRecord, ConnectionRecord};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::answer::{self, Answer, Failure, Outcome};
use crate::client::{Client, ServerArgs};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print records, the oldest first
    Query(Query),
    /// Print the newest records
    Tail(Tail),
}

#[derive(clap::Args)]
struct Query {
    #[command(flatten)]
    wanted: Wanted,
    /// Not before: a time (2026-11-30T08:00:00Z), or how long ago (90s, 15m, 24h, 30d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<i64>,
    /// Before
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<i64>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max: usize,
}

#[derive(clap::Args)]
struct Tail {
    #[command(flatten)]
    wanted: Wanted,
    /// So many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    number: usize,
    /// Go on with those that come
    #[arg(short, long)]
    follow: bool,
}

/// Which records, and how they are printed.
#[derive(clap::Args)]
struct Wanted {
    /// Of a client: its certificate's SHA-256, its subject, or an attribute of that (CN=partner)
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// Of a domain
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Of these kinds
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',', value_parser = journal::Kind::NAMES)]
    kinds: Vec<String>,
    /// Of clients that were not trusted
    #[arg(long)]
    refused: bool,
    /// How they are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// As --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for people
    #[default]
    Text,
    /// Each record as it was written
    Json,
    /// Connections as AWS's load balancers log them; no others are printed
    Alb,
    /// Requests as FHIR R4 AuditEvents (IHE BALP), a line each, of the --domain, else of those with the tag
    /// countersign:audit-event=fhir; no others are printed
    Fhir,
}

/// The server's answer.
#[derive(Deserialize)]
struct Page {
    records: Vec<Value>,
    next: Option<u64>,
    end: u64,
}

const PATH: &str = "/_countersign/api/v1/records";
/// Records that are asked for at a time.
const PAGE: usize = 1000;
/// Between two looks for records that have come.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Query(query) => query.wanted.server.ask(async |client| query.run(client).await),
        Command::Tail(tail) => tail.wanted.server.ask(async |client| tail.run(client).await),
    }
}

impl Query {
    async fn run(&self, client: &Client) -> Outcome {
        let times = [("since", self.since), ("until", self.until)];
        let times = times.into_iter().filter_map(|(name, time)| Some((name, time?.to_string())));
        let parameters: Vec<_> = self.wanted.parameters().chain(times).collect();
        let (mut left, mut after) = (self.max, None);
        while left > 0 {
            let page = page(client, &parameters, after, left.min(PAGE)).await?;
            left -= page.records.len().min(left);
            page.records.iter().for_each(|record| self.wanted.print(record));
            after = page.next;
            if after.is_none() {
                return Ok(Answer::Yes);
            }
        }
        answer::warn(&format!("there are more than {}: --max N", self.max));
        Ok(Answer::Yes)
    }
}

impl Tail {
    async fn run(&self, client: &Client) -> Outcome {
        let parameters: Vec<_> = self.wanted.parameters().collect();
        let newest: Vec<_> = parameters.iter().cloned().chain([("newest-first", "true".to_owned())]).collect();
        let (mut records, mut after, mut end) = (Vec::new(), None, None);
        loop {
            let wanted = (self.number - records.len()).clamp(1, PAGE);
            let page = page(client, &newest, after, wanted).await?;
            end.get_or_insert(page.end);
            records.extend(page.records);
            records.truncate(self.number);
            after = page.next;
            if after.is_none() || records.len() == self.number {
                break;
            }
        }
        records.iter().rev().for_each(|record| self.wanted.print(record));
        if !self.follow {
            return Ok(Answer::Yes);
        }
        loop {
            let page = page(client, &parameters, end, PAGE).await?;
            page.records.iter().for_each(|record| self.wanted.print(record));
            if page.next.is_none() {
                tokio::time::sleep(PAUSE).await;
            }
            end = Some(page.next.unwrap_or(page.end));
        }
    }
}

impl Wanted {
    fn parameters(&self) -> impl Iterator<Item = (&'static str, String)> {
        let kinds = (!self.kinds.is_empty()).then(|| self.kinds.join(","));
        let only = match self.format {
            Format::Alb => Some("connection".to_owned()),
            Format::Fhir => Some("access".to_owned()),
            Format::Text | Format::Json => None,
        };
        let refused = self.refused.then(|| "true".to_owned());
        let tagged = (self.format == Format::Fhir && self.domain.is_none()).then(|| "fhir".to_owned());
        let all = [
            ("audit-event", tagged),
            ("client", self.client.clone()),
            ("domain", self.domain.clone()),
            ("kind", only.or(kinds)),
            ("refused", refused),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    fn print(&self, record: &Value) {
        match self.format {
            _ if self.json => answer::print(&record.to_string()),
            Format::Json => answer::print(&record.to_string()),
            Format::Text => answer::print(&answer::printable(&line::text(record))),
            Format::Alb => {
                if let Ok(connection) = ConnectionRecord::deserialize(record) {
                    answer::print(&connection.alb_line());
                }
            }
            Format::Fhir => {
                if let Ok(access) = AccessRecord::deserialize(record) {
                    answer::print(&fhir::audit_event(&access).to_string());
                }
            }
        }
    }
}

async fn page(
    client: &Client,
    parameters: &[(&str, String)],
    after: Option<u64>,
    limit: usize,
) -> Result<Page, Failure> {
    let mut path = format!("{PATH}?limit={limit}");
    if let Some(after) = after {
        path += &format!("&after={after}");
    }
    for (name, value) in parameters {
        path += &format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    let page = client.json("countersign", Method::GET, &path, &Value::Null).await?;
    serde_json::from_value(page).map_err(|e| Failure::new(format!("the server's answer cannot be read: {e}")))
}

/// Milliseconds since 1970-01-01T00:00:00Z.
fn moment(text: &str) -> Result<i64, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok((time.unix_timestamp_nanos() / 1_000_000) as i64);
    }
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        number.parse::<u32>().ok().map(|number| i64::from(number) * seconds * 1000)
    };
    let now = (OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000) as i64;
    ago()
        .map(|ago| now - ago)
        .ok_or_else(|| "expected a time like 2026-11-30T08:00:00Z, or 90s, 15m, 24h, 30d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment("2026-11-30T08:00:00Z"), Ok(1_796_025_600_000));
        assert_eq!(moment("2026-11-30T09:00:00.5+01:00"), Ok(1_796_025_600_500));
        let ago = |text| moment("0s").unwrap() - moment(text).unwrap();
        for (text, seconds) in [("90s", 90), ("15m", 900), ("24h", 86_400), ("30d", 2_592_000)] {
            assert!((0..1000).contains(&(ago(text) - seconds * 1000 + 500)), "{text}");
        }
        for text in ["", "h", "24", "24w", "-1h", "yesterday", "2026-11-30", "é"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
