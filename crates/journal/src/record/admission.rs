//! A request that is about to be forwarded.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Client, Truststore};
use crate::json::Object;

/// A request that is about to be forwarded, where the domain wants that on disk before it is. Its
/// [`AccessRecord`](super::AccessRecord) follows when it has ended; where a crash comes between the two, there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdmissionRecord<'a> {
    /// When it is recorded, in milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: i64,
    /// `$context.requestId`
    pub request_id: Cow<'a, str>,
    /// The connection on which it came: [`ConnectionRecord::id`](super::ConnectionRecord::id).
    pub connection: Cow<'a, str>,
    /// Domain that the client asked for.
    pub domain: Cow<'a, str>,
    /// API that the request was mapped to.
    pub api_id: Cow<'a, str>,
    /// Stage that the request was mapped to.
    pub stage: Cow<'a, str>,
    /// Its method.
    pub method: Cow<'a, str>,
    /// The key of the route, or the path of the REST API's resource, that takes it.
    pub route: Cow<'a, str>,
    /// As whom the client is let in.
    pub admitted: Admitted,
    /// Revision of the settings that are enforced.
    pub revision: u64,
    /// Truststore that is enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truststore: Option<Truststore<'a>>,
    /// Certificate that the client sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Client<'a>>,
    /// The client's address and port.
    pub source: SocketAddr,
}

/// As whom a client is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admitted {
    /// Its certificate is trusted.
    Trusted,
    /// The domain asks for none.
    Anonymous,
}

impl Admitted {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Anonymous => "anonymous",
        }
    }
}

impl AdmissionRecord<'_> {
    /// Writes what serde_json would write of [`Record::Admission`](super::Record::Admission), in a fraction of its time.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut record = Object::new(out);
        record.string("kind", "admission");
        record.number("time_ms", self.time_ms);
        record.string("request_id", &self.request_id);
        record.string("connection", &self.connection);
        record.string("domain", &self.domain);
        record.string("api_id", &self.api_id);
        record.string("stage", &self.stage);
        record.string("method", &self.method);
        record.string("route", &self.route);
        record.string("admitted", self.admitted.as_str());
        record.number("revision", self.revision);
        if let Some(truststore) = &self.truststore {
            truststore.write(&mut record);
        }
        if let Some(client) = &self.client {
            client.write(&mut record);
        }
        record.address("source", self.source);
        record.end();
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Record;
    use super::super::tests::{client, truststore, written};
    use super::*;

    pub(in super::super) fn least() -> AdmissionRecord<'static> {
        AdmissionRecord {
            time_ms: 1,
            request_id: "i".into(),
            connection: "c".into(),
            domain: "d".into(),
            api_id: "a".into(),
            stage: "$default".into(),
            method: "GET".into(),
            route: "GET /{id}".into(),
            admitted: Admitted::Anonymous,
            revision: 7,
            truststore: None,
            client: None,
            source: "[2001:db8::1]:443".parse().unwrap(),
        }
    }

    #[test]
    fn it_is_written_as_serde_json_would() {
        let most = AdmissionRecord {
            admitted: Admitted::Trusted,
            truststore: Some(truststore()),
            client: Some(client()),
            ..least()
        };
        for record in [&least(), &most] {
            let (ours, theirs) = written(&Record::Admission(record));
            assert_eq!(ours, theirs);
            assert_eq!(&serde_json::from_str::<AdmissionRecord<'_>>(&ours).unwrap(), record);
        }
    }
}
