//! The kinds of records, a file each, and what they have in common. A line's JSON names its kind first.

mod access;
mod admission;
mod connection;
mod event;
mod parts;
mod refusals;
mod settings;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use access::AccessRecord;
pub use admission::{AdmissionRecord, Admitted};
pub use connection::{ConnectionRecord, End, Validity};
pub(crate) use event::EventRecord;
pub use parts::{Client, Denial, Refusal, Shadow, Truststore};
pub use refusals::RefusalsRecord;
pub use settings::{Outcome, RulesChange, SettingsRecord, TruststoreChange};

/// Bytes of a message that are kept; CloudWatch Logs' limit on an event. What is longer is cut and ends in `…`.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// The log group, in no region, of changes of settings.
pub const SETTINGS_GROUP: &str = "/countersign/settings";
/// The log group, in no region, of connections and counted refusals.
pub const CONNECTIONS_GROUP: &str = "/countersign/connections";

/// Any record, as it is written.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Record<'a> {
    Access(&'a AccessRecord<'a>),
    Admission(&'a AdmissionRecord<'a>),
    Connection(&'a ConnectionRecord<'a>),
    Refusals(&'a RefusalsRecord<'a>),
    Settings(&'a SettingsRecord<'a>),
    /// Put by a caller of `PutLogEvents`.
    Event(EventRecord<'a>),
    /// Records were lost because the disk did not keep up.
    Dropped {
        time_ms: i64,
        records: u64,
    },
    /// Records are not kept any longer: from the first up to the one before the last number.
    Pruned {
        time_ms: i64,
        first: u64,
        end: u64,
    },
}

impl Record<'_> {
    /// Writes its JSON: by hand what comes with every request.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Access(record) => record.write(out),
            Self::Admission(record) => record.write(out),
            other => serde_json::to_writer(out, other),
        }
    }

    /// What every kind has to say to a reader of log groups.
    pub(crate) fn head(&self) -> Head<'_> {
        let in_none = |time_ms| Head { time_ms, ..Head::default() };
        let in_own = |time_ms, (group, stream): (&'static str, &'static str)| Head {
            time_ms,
            group: group.into(),
            stream: stream.into(),
            ..Head::default()
        };
        match self {
            Self::Access(r) => Head {
                time_ms: r.time_ms,
                region: (&*r.region).into(),
                group: (&*r.group).into(),
                stream: (&*r.stream).into(),
                ..Head::default()
            },
            Self::Event(r) => Head {
                time_ms: r.time_ms,
                ingested_ms: Some(r.ingested_ms),
                region: r.region.into(),
                group: r.group.into(),
                stream: r.stream.into(),
                ..Head::default()
            },
            Self::Admission(r) => in_none(r.time_ms),
            Self::Connection(r) => in_own(r.time_ms, CONNECTIONS),
            Self::Refusals(r) => in_own(r.time_ms, REFUSALS),
            Self::Settings(r) => Head {
                time_ms: r.time_ms,
                group: SETTINGS_GROUP.into(),
                stream: (&*r.stream).into(),
                ..Head::default()
            },
            Self::Dropped { time_ms, .. } | Self::Pruned { time_ms, .. } => in_none(*time_ms),
        }
    }
}

/// Log group and stream of kinds that do not name theirs.
const CONNECTIONS: (&str, &str) = (CONNECTIONS_GROUP, "connections");
const REFUSALS: (&str, &str) = (CONNECTIONS_GROUP, "refusals");

/// What every kind of record has to say to a reader of log groups. Unknown members and kinds are left alone.
#[derive(Default, Deserialize)]
pub(crate) struct Head<'a> {
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    pub time_ms: i64,
    pub ingested_ms: Option<i64>,
    #[serde(borrow, default)]
    pub region: Cow<'a, str>,
    #[serde(borrow, default)]
    pub group: Cow<'a, str>,
    #[serde(borrow, default)]
    pub stream: Cow<'a, str>,
    #[serde(borrow, default)]
    pub message: Cow<'a, str>,
}

impl<'a> Head<'a> {
    /// Of a record's JSON. What is in a log group of the gateway's own has the JSON for its message.
    pub(crate) fn of(json: &'a [u8]) -> Option<Self> {
        let mut head: Self = serde_json::from_slice(json).ok()?;
        let own = match &*head.kind {
            "connection" => Some(CONNECTIONS),
            "refusals" => Some(REFUSALS),
            _ => None,
        };
        if let Some((group, stream)) = own {
            (head.group, head.stream) = (group.into(), stream.into());
        }
        if own.is_some() || head.kind == "settings" {
            // The region that it names is that of a call.
            head.region = "".into();
            head.message = String::from_utf8_lossy(json);
        }
        Some(head)
    }

    /// When it came in; a request is recorded as it ends.
    pub(crate) fn ingested_ms(&self) -> i64 {
        self.ingested_ms.unwrap_or(self.time_ms)
    }
}

/// Cuts a message to what is kept of it.
pub(crate) fn bounded(message: &str) -> Cow<'_, str> {
    if message.len() <= MAX_MESSAGE_BYTES {
        return Cow::Borrowed(message);
    }
    let end = message.floor_char_boundary(MAX_MESSAGE_BYTES - '…'.len_utf8());
    Cow::Owned(format!("{}…", &message[..end]))
}

/// For members that are left out where they say nothing.
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by hand, and by serde_json.
    pub(super) fn written(record: &Record<'_>) -> (String, String) {
        let mut out = Vec::new();
        record.write(&mut out).unwrap();
        (String::from_utf8(out).unwrap(), serde_json::to_string(record).unwrap())
    }

    pub(super) fn truststore() -> Truststore<'static> {
        Truststore { digest: "ab".into(), version: Some("v\"1".into()) }
    }

    pub(super) fn client() -> Client<'static> {
        Client { subject: "CN=\"x\",O=y\\,z".into(), issuer: "i".into(), serial: "1".into(), fingerprint: "f".into() }
    }

    #[test]
    fn a_line_names_its_kind_first() {
        let access: AccessRecord<'_> =
            serde_json::from_str(r#"{"time_ms":1,"request_id":"","status":0,"revision":0,"source":"[::1]:1"}"#)
                .unwrap();
        let event = EventRecord { time_ms: 1, ingested_ms: 2, region: "", group: "", stream: "", message: "" };
        let (connection, admission, refusals, settings) =
            (connection::tests::least(), admission::tests::least(), refusals::tests::one(), settings::tests::least());
        for (record, kind) in [
            (Record::Access(&access), "access"),
            (Record::Admission(&admission), "admission"),
            (Record::Connection(&connection), "connection"),
            (Record::Refusals(&refusals), "refusals"),
            (Record::Settings(&settings), "settings"),
            (Record::Event(event), "event"),
            (Record::Dropped { time_ms: 1, records: 1 }, "dropped"),
        ] {
            let (ours, _) = written(&record);
            assert!(ours.starts_with(&format!(r#"{{"kind":"{kind}","time_ms":{},"#, record.head().time_ms)), "{ours}");
            assert!(serde_json::from_str::<Head<'_>>(&ours).is_ok(), "{ours}");
        }
    }
}
