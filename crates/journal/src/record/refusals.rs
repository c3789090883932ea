//! Strangers of whom only a count is kept.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::is_zero;

/// Refused clients that are beyond what strangers may have recorded of them one by one: how many, of one network, for one reason
/// and of one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusalsRecord<'a> {
    /// The end of the span in which they were counted, in milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: i64,
    /// Its beginning.
    pub began_ms: i64,
    /// Their network, `192.0.2.0/24`; empty where there were too many to tell apart.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub network: Cow<'a, str>,
    /// Why: a [`trust::Code`], or how the connection ended ([`End`](super::End)); empty where there were too many to tell apart.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub reason: Cow<'a, str>,
    /// The domain that answers for the name that they asked for; empty where there is none, or there were too many to tell apart.
    #[serde(default)]
    pub domain: Cow<'a, str>,
    /// Refusals that have no access record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requests: u64,
    /// Connections that have no record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub connections: u64,
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Record;
    use super::super::tests::written;
    use super::*;

    pub(in super::super) fn one() -> RefusalsRecord<'static> {
        RefusalsRecord {
            time_ms: 60_000,
            began_ms: 0,
            network: "192.0.2.0/24".into(),
            reason: "ClientCertMissing".into(),
            domain: "api.example.com".into(),
            requests: 3,
            connections: 5,
        }
    }

    #[test]
    fn it_comes_back() {
        let (written, _) = written(&Record::Refusals(&one()));
        assert_eq!(serde_json::from_str::<RefusalsRecord<'_>>(&written).unwrap(), one());
    }
}
