//! What a caller of `PutLogEvents` put into a log stream.

use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct EventRecord<'a> {
    pub time_ms: i64,
    pub ingested_ms: i64,
    pub region: &'a str,
    pub group: &'a str,
    pub stream: &'a str,
    pub message: &'a str,
}
