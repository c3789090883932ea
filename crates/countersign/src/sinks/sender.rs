//! The other side of a sink, whatever it is.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use journal::Line;
use tokio::task::spawn_blocking;

use super::file::{self, Lines};
use super::logs::Logs;
use super::objects::Objects;
use super::otlp::Otlp;
use super::outgoing::Outgoing;
use super::webhook::Webhook;
use crate::answer::Failure;
use crate::config::{Format, Target};

/// Takes records. Cheap to clone.
#[derive(Clone)]
pub(super) enum Sender {
    File(Arc<Mutex<Lines>>, Format),
    Stdout(Format),
    Webhook(Arc<Webhook>),
    Otlp(Arc<Otlp>),
    Logs(Arc<Logs>),
    /// Takes segments instead.
    S3(Arc<Objects>),
}

/// For how long records are gathered that go over the network together.
const GATHERING: Duration = Duration::from_millis(500);
/// Where a collector takes logs (OTLP 1.x, "OTLP/HTTP Request").
const OTLP_PATH: &str = "/v1/logs";

/// What became of the first so many records that were sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// They need not be sent again.
    pub(super) records: usize,
    /// So many of them were not taken at all.
    pub(super) rejected: u64,
    /// Why, where there are any.
    pub(super) why: String,
}

/// Nothing was taken, as far as is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Try again; the other side may have said when.
    Later { why: String, after: Option<Duration> },
    /// It does not take so much at a time.
    TooMuch(String),
}

impl Sender {
    /// `instance` is this server's name among others.
    pub(super) fn new(target: &Target, instance: &str) -> Result<Self, Failure> {
        Ok(match target {
            Target::File { path, format } => Self::File(Arc::new(Mutex::new(Lines::new(path.clone()))), *format),
            Target::Stdout { format } => Self::Stdout(*format),
            Target::Webhook { url, format, http } => {
                let outgoing = Outgoing::new(http.ca_file.as_deref(), http.headers_file.clone())?;
                Self::Webhook(Arc::new(Webhook { url: url.clone(), format: *format, outgoing }))
            }
            Target::Otlp { endpoint, http } => {
                let outgoing = Outgoing::new(http.ca_file.as_deref(), http.headers_file.clone())?;
                let url = format!("{}{OTLP_PATH}", endpoint.trim_end_matches('/'));
                Self::Otlp(Arc::new(Otlp { url, instance: instance.to_owned(), outgoing }))
            }
            Target::CloudwatchLogs { aws, group, stream } => {
                let outgoing = Outgoing::new(aws.ca_file.as_deref(), None)?;
                let (group, stream) = (group.clone(), stream.clone());
                Self::Logs(Arc::new(Logs { aws: aws.clone(), group, stream, outgoing }))
            }
            Target::S3(bucket) => Self::S3(Arc::new(Objects::new(bucket, instance)?)),
        })
    }

    /// Whether it takes segments, and no records.
    pub(super) fn takes_segments(&self) -> bool {
        matches!(self, Self::S3(_))
    }

    /// For how long records are gathered, so that they can be sent together.
    pub(super) fn gathers_for(&self) -> Duration {
        match self {
            Self::File(..) | Self::Stdout(_) | Self::S3(_) => Duration::ZERO,
            Self::Webhook(_) | Self::Otlp(_) | Self::Logs(_) => GATHERING,
        }
    }

    /// Sends some records, the first of them at least, and returns once the other side has taken them.
    pub(super) async fn send(&self, records: Arc<[Line]>) -> Result<Taken, Trouble> {
        match self {
            Self::File(lines, format) => {
                let (lines, format) = (lines.clone(), *format);
                let append = move |bytes: &[u8]| lines.lock().unwrap_or_else(PoisonError::into_inner).append(bytes);
                written(records, format, append).await
            }
            Self::Stdout(format) => written(records, *format, file::print).await,
            Self::Webhook(webhook) => webhook.send(&records).await,
            Self::Otlp(otlp) => otlp.send(&records).await,
            Self::Logs(logs) => logs.send(&records).await,
            // It is given segments.
            Self::S3(_) => Ok(Taken::all_but(records.len(), 0)),
        }
    }
}

impl Taken {
    /// All of them, but those that have no line in a format.
    pub(super) fn all_but(records: usize, left_out: u64) -> Self {
        let why = if left_out > 0 { "they have no line in this format".to_owned() } else { String::new() };
        Self { records, rejected: left_out, why }
    }
}

impl Trouble {
    pub(super) fn later(why: impl Into<String>) -> Self {
        Self::Later { why: why.into(), after: None }
    }

    /// For a person.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Later { why, .. } | Self::TooMuch(why) => why,
        }
    }

    /// For how long the other side wants to be left alone, if it says.
    pub(super) fn after(&self) -> Option<Duration> {
        match self {
            Self::Later { after, .. } => *after,
            Self::TooMuch(_) => None,
        }
    }
}

async fn written(
    records: Arc<[Line]>,
    format: Format,
    mut write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static,
) -> Result<Taken, Trouble> {
    let write = move || {
        let (lines, left_out) = format.lines(&records);
        write(&lines).map(|()| Taken::all_but(records.len(), left_out))
    };
    let written = spawn_blocking(write).await.unwrap_or_else(|e| Err(io::Error::other(e)));
    written.map_err(|e| Trouble::later(e.to_string()))
}
