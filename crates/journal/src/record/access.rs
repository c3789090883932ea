//! One request and its answer.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Client, Denial, Refusal, Shadow, Truststore, is_zero};
use crate::json::Object;

/// One request and its answer. Borrows when it is written; an owned one (`AccessRecord<'static>`) comes back. Those of earlier
/// versions lack some members, which are empty, 0 or none then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessRecord<'a> {
    /// When it is recorded, that is when the request ends, in milliseconds since 1970-01-01T00:00:00Z. Not when it came:
    /// who follows a log (`aws logs tail`) asks for what is newer than the newest that it has seen.
    pub time_ms: i64,
    /// Microseconds from the request's head to the end of its answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub took_us: u64,
    /// Region of the log group.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub region: Cow<'a, str>,
    /// Name of the CloudWatch log group; empty for a record that is in none.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub group: Cow<'a, str>,
    /// Name of the log stream.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub stream: Cow<'a, str>,
    /// The line in the stage's own format; at most [`MAX_MESSAGE_BYTES`](super::MAX_MESSAGE_BYTES) are kept.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub message: Cow<'a, str>,
    /// `$context.requestId`
    pub request_id: Cow<'a, str>,
    /// The connection on which it came: [`ConnectionRecord::id`](super::ConnectionRecord::id).
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub connection: Cow<'a, str>,
    /// Trace that the request is part of (W3C Trace Context), 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub trace: Cow<'a, str>,
    /// Its own part of the trace, as the backend is told of it, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub span: Cow<'a, str>,
    /// The part that the client named, the same; empty where the trace begins here.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub parent_span: Cow<'a, str>,
    /// Domain that the client asked for.
    #[serde(default)]
    pub domain: Cow<'a, str>,
    /// API that the request was mapped to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_id: Option<Cow<'a, str>>,
    /// Stage that the request was mapped to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Cow<'a, str>>,
    /// Its method; empty where there was no request.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub method: Cow<'a, str>,
    /// The key of the route, or the path of the REST API's resource, that took it; empty where none did.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub route: Cow<'a, str>,
    /// `$context.path`: without what the domain keeps out of its records.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub path: Cow<'a, str>,
    /// HTTP status of the answer.
    pub status: u16,
    /// Bytes of the request's payload that went to the backend.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_in: u64,
    /// Bytes of the answer's payload that went to the client.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_out: u64,
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
    /// When the request's head had come, in milliseconds since 1970-01-01T00:00:00Z.
    pub fn began_ms(&self) -> i64 {
        self.time_ms.saturating_sub_unsigned(self.took_us / 1000)
    }

    /// Writes what serde_json would write of [`Record::Access`](super::Record::Access), in a fraction of its time.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut record = Object::new(out);
        record.string("kind", "access");
        record.number("time_ms", self.time_ms);
        record.non_zero("took_us", self.took_us);
        record.non_empty("region", &self.region);
        record.non_empty("group", &self.group);
        record.non_empty("stream", &self.stream);
        record.non_empty("message", &self.message);
        record.string("request_id", &self.request_id);
        record.non_empty("connection", &self.connection);
        record.non_empty("trace", &self.trace);
        record.non_empty("span", &self.span);
        record.non_empty("parent_span", &self.parent_span);
        record.string("domain", &self.domain);
        record.optional("api_id", self.api_id.as_deref());
        record.optional("stage", self.stage.as_deref());
        record.non_empty("method", &self.method);
        record.non_empty("route", &self.route);
        record.non_empty("path", &self.path);
        record.number("status", self.status);
        record.non_zero("bytes_in", self.bytes_in);
        record.non_zero("bytes_out", self.bytes_out);
        record.rare("refusal", self.refusal.as_ref())?;
        record.rare("denial", self.denial.as_ref())?;
        record.number("revision", self.revision);
        if let Some(truststore) = &self.truststore {
            truststore.write(&mut record);
        }
        if let Some(client) = &self.client {
            client.write(&mut record);
        }
        record.rare("shadow", self.shadow.as_ref())?;
        record.address("source", self.source);
        record.end();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::super::tests::{client, truststore, written};
    use super::*;

    #[test]
    fn it_is_written_as_serde_json_would() {
        let least: AccessRecord<'_> =
            serde_json::from_str(r#"{"time_ms":-1,"request_id":"","status":0,"revision":0,"source":"[::1]:1"}"#)
                .unwrap();
        let most = AccessRecord {
            time_ms: i64::MAX,
            took_us: 1_500,
            region: "r".into(),
            group: "g".into(),
            stream: "s".into(),
            message: "{\"a\":\"\u{7}é\n\"}".into(),
            request_id: "i".into(),
            connection: "c".into(),
            trace: "t".into(),
            span: "s".into(),
            parent_span: "p".into(),
            domain: "d".into(),
            api_id: Some("a".into()),
            stage: Some("$default".into()),
            method: "GET".into(),
            route: "GET /{id}".into(),
            path: "/\"".into(),
            status: 403,
            bytes_in: 1,
            bytes_out: u64::MAX,
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
            client: Some(client()),
            shadow: Some(Shadow { truststore: truststore(), refusal: None, detail: "d".into() }),
            source: "192.0.2.1:443".parse().unwrap(),
        };
        let bare = AccessRecord { truststore: Some(Truststore { version: None, ..truststore() }), ..least.clone() };
        let mapped = AccessRecord { source: "[::ffff:192.0.2.1]:443".parse().unwrap(), ..least.clone() };
        for record in [&least, &most, &bare, &mapped] {
            let (ours, theirs) = written(&Record::Access(record));
            assert_eq!(ours, theirs);
            assert_eq!(&serde_json::from_str::<AccessRecord<'_>>(&ours).unwrap(), record);
        }
        assert_eq!(most.began_ms(), i64::MAX - 1);
    }

    /// As they were written before connections had records.
    #[test]
    fn those_of_earlier_versions_are_read() {
        let old = r#"{"kind":"access","time_ms":5,"region":"r","group":"g","stream":"s","message":"m","request_id":"i",
            "domain":"d","api_id":"a","stage":"$default","status":200,"revision":7,"truststore":{"digest":"ab","version":"v"},
            "client":{"subject":"CN=x","issuer":"CN=y","serial":"1","fingerprint":"cd"},"source":"192.0.2.1:5","later":{}}"#;
        let read: AccessRecord<'_> = serde_json::from_str(old).unwrap();
        assert_eq!((read.began_ms(), &*read.connection, &*read.route, read.bytes_out), (5, "", "", 0));
    }
}
