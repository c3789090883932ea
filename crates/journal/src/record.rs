//! The kinds of records. A line's JSON names its kind first.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::json::Object;

/// Bytes of a message that are kept; CloudWatch Logs' limit on an event. What is longer is cut and ends in `…`.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// One request and its answer. Borrows when it is written; an owned one (`AccessRecord<'static>`) comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessRecord<'a> {
    /// When it is recorded, that is when the request ends, in milliseconds since 1970-01-01T00:00:00Z. Not when it came:
    /// who follows a log (`aws logs tail`) asks for what is newer than the newest that it has seen.
    pub time_ms: i64,
    /// Region of the log group.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub region: Cow<'a, str>,
    /// Name of the CloudWatch log group; empty for a record that is in none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub group: Cow<'a, str>,
    /// Name of the log stream.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub stream: Cow<'a, str>,
    /// The line in the stage's own format; at most [`MAX_MESSAGE_BYTES`] are kept.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub message: Cow<'a, str>,
    /// `$context.requestId`
    pub request_id: Cow<'a, str>,
    /// Domain that the client asked for.
    #[serde(default)]
    pub domain: Cow<'a, str>,
    /// API that the request was mapped to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_id: Option<Cow<'a, str>>,
    /// Stage that the request was mapped to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Cow<'a, str>>,
    /// HTTP status of the answer.
    pub status: u16,
    /// Why the client was not trusted, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal<'a>>,
    /// Why a trusted client was not let through to the route, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denial: Option<Denial<'a>>,
    /// Revision of the settings that were enforced.
    pub revision: u64,
    /// Truststore that was enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truststore: Option<Truststore<'a>>,
    /// Certificate that the client sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Client<'a>>,
    /// What the domain's shadow truststore would have done otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow<'a>>,
    /// The client's address and port.
    pub source: SocketAddr,
}

impl AccessRecord<'_> {
    /// Writes what serde_json would write of [`Record::Access`], in a fraction of its time.
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut record = Object::new(out);
        record.string("kind", "access");
        record.number("time_ms", self.time_ms);
        record.non_empty("region", &self.region);
        record.non_empty("group", &self.group);
        record.non_empty("stream", &self.stream);
        record.non_empty("message", &self.message);
        record.string("request_id", &self.request_id);
        record.string("domain", &self.domain);
        record.optional("api_id", self.api_id.as_deref());
        record.optional("stage", self.stage.as_deref());
        record.number("status", self.status);
        record.rare("refusal", self.refusal.as_ref())?;
        record.rare("denial", self.denial.as_ref())?;
        record.number("revision", self.revision);
        if let Some(truststore) = &self.truststore {
            let mut object = record.object("truststore");
            object.string("digest", &truststore.digest);
            object.optional("version", truststore.version.as_deref());
            object.end();
        }
        if let Some(client) = &self.client {
            let mut object = record.object("client");
            object.string("subject", &client.subject);
            object.string("issuer", &client.issuer);
            object.string("serial", &client.serial);
            object.string("fingerprint", &client.fingerprint);
            object.end();
        }
        record.rare("shadow", self.shadow.as_ref())?;
        record.rare("source", Some(&self.source))?;
        record.end();
        Ok(())
    }
}

/// Why a client was not trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal<'a> {
    /// In the common vocabulary.
    pub code: trust::Code,
    /// The judge's sentence.
    pub detail: Cow<'a, str>,
    /// The explainer's: what was nearly right.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub explanation: Cow<'a, str>,
    /// What to do.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub fix: Cow<'a, str>,
    /// Facts by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// What the client sent, as the ledger knows it ([`crate::ledger::ClientChain::digest_hex`]); none where it sent nothing, or
    /// too much to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_sha256: Option<Cow<'a, str>>,
}

/// Why a trusted client's request was not authorized.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial<'a> {
    /// E.g. `TokenExpired`.
    pub code: Cow<'a, str>,
    /// The same in a sentence.
    pub detail: Cow<'a, str>,
}

/// The shadow truststore came to another verdict than the one that was enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow<'a> {
    /// The shadow truststore.
    pub truststore: Truststore<'a>,
    /// Why it would have refused; none: it would have accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<trust::Code>,
    /// The judge's sentence.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub detail: Cow<'a, str>,
}

/// Names the bytes of a truststore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truststore<'a> {
    /// SHA-256, lowercase hexadecimal.
    pub digest: Cow<'a, str>,
    /// Version of the S3 object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Cow<'a, str>>,
}

/// Names a client's certificate, in AWS's forms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client<'a> {
    /// Subject.
    pub subject: Cow<'a, str>,
    /// Issuer.
    pub issuer: Cow<'a, str>,
    /// Serial number.
    pub serial: Cow<'a, str>,
    /// SHA-256 of the DER, lowercase hexadecimal.
    pub fingerprint: Cow<'a, str>,
}

/// Any record, as it is written.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Record<'a> {
    Access(&'a AccessRecord<'a>),
    /// Put by a caller of `PutLogEvents`.
    Event(EventRecord<'a>),
    /// Records were lost because the disk did not keep up.
    Dropped {
        time_ms: i64,
        records: u64,
    },
}

impl Record<'_> {
    /// Writes its JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Access(record) => record.write(out),
            other => serde_json::to_writer(out, other),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct EventRecord<'a> {
    pub time_ms: i64,
    pub ingested_ms: i64,
    pub region: &'a str,
    pub group: &'a str,
    pub stream: &'a str,
    pub message: &'a str,
}

/// What every kind of record has to say to a reader of log groups. Unknown members and kinds are left alone.
#[derive(Deserialize)]
pub(crate) struct Head<'a> {
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

impl Head<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(record: &AccessRecord<'_>) -> (String, String) {
        let mut out = Vec::new();
        Record::Access(record).write(&mut out).unwrap();
        (String::from_utf8(out).unwrap(), serde_json::to_string(&Record::Access(record)).unwrap())
    }

    #[test]
    fn an_access_record_is_written_as_serde_json_would() {
        let least: AccessRecord<'_> =
            serde_json::from_str(r#"{"time_ms":-1,"request_id":"","status":0,"revision":0,"source":"[::1]:1"}"#)
                .unwrap();
        let truststore = || Truststore { digest: "ab".into(), version: Some("v\"1".into()) };
        let most = AccessRecord {
            time_ms: i64::MAX,
            region: "r".into(),
            group: "g".into(),
            stream: "s".into(),
            message: "{\"a\":\"\u{7}é\n\"}".into(),
            request_id: "i".into(),
            domain: "d".into(),
            api_id: Some("a".into()),
            stage: Some("$default".into()),
            status: 403,
            refusal: Some(Refusal {
                code: trust::Code::ClientCertExpired,
                detail: "\\".into(),
                explanation: "e".into(),
                fix: "f".into(),
                evidence: vec![("n".into(), "v".into())],
                chain_sha256: Some("c".into()),
            }),
            denial: Some(Denial { code: "c".into(), detail: "d".into() }),
            revision: u64::MAX,
            truststore: Some(truststore()),
            client: Some(Client {
                subject: "CN=\"x\",O=y\\,z".into(),
                issuer: "i".into(),
                serial: "1".into(),
                fingerprint: "f".into(),
            }),
            shadow: Some(Shadow { truststore: truststore(), refusal: None, detail: "d".into() }),
            source: "192.0.2.1:443".parse().unwrap(),
        };
        let bare = AccessRecord { truststore: Some(Truststore { version: None, ..truststore() }), ..least.clone() };
        for record in [&least, &most, &bare] {
            let (ours, theirs) = written(record);
            assert_eq!(ours, theirs);
        }
    }
}
