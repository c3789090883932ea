//! A change of a setting, whether it came about or not.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Truststore, is_zero};

/// Bytes of a text from outside that are kept.
const MAX_TEXT_BYTES: usize = 512;
/// Names of resources that are kept of one change.
const MAX_CHANGED: usize = 100;

/// A change of a setting. One that is about to be made is recorded twice, with the same `request_id`: its intent before it is made, and
/// what became of it before that is answered. What was denied, or changed nothing, is recorded once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsRecord<'a> {
    /// When it is recorded, in milliseconds since 1970-01-01T00:00:00Z.
    pub time_ms: i64,
    /// [`SETTINGS_GROUP`](crate::SETTINGS_GROUP)
    pub group: Cow<'a, str>,
    /// The service, as in `service`.
    pub stream: Cow<'a, str>,
    /// What is known of the change by now.
    #[serde(flatten)]
    pub outcome: Outcome<'a>,
    /// Who: an ARN, `countersign` for the server itself, empty where nobody proved who they are.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub principal: Cow<'a, str>,
    /// The access key that signed the call; of one that was refused, the one that it claims.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub access_key_id: Cow<'a, str>,
    /// Where the call came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// `User-Agent` of the call.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub user_agent: Cow<'a, str>,
    /// `apigateway`, `acm`, `s3`, `logs`, … or `countersign`.
    pub service: Cow<'a, str>,
    /// AWS's name of the operation, or what the server does by itself.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub operation: Cow<'a, str>,
    /// What the call names: an ARN, or `*`.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub resource: Cow<'a, str>,
    /// Region of the call.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub region: Cow<'a, str>,
    /// The id that the caller has of the answer.
    pub request_id: Cow<'a, str>,
    /// Revision of the settings before.
    pub revision_before: u64,
    /// Revision of the settings after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_after: Option<u64>,
    /// What is put and deleted, as the store names it (`domains/api.example.com`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<Cow<'a, str>>,
    /// How many more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed_more: u64,
    /// Truststores of domains that become others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub truststores: Vec<TruststoreChange<'a>>,
    /// Rules of domains that become others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RulesChange>,
    /// How many calls this stands for, where it is not one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
}

/// What is known of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome<'a> {
    /// It is about to be made.
    Intent,
    /// It was made, or there was nothing left to make.
    Allowed,
    /// It was not made, because of who asked or what they asked for.
    Denied {
        /// AWS's code.
        code: Cow<'a, str>,
        /// What the caller was told.
        message: Cow<'a, str>,
    },
    /// It was not made, or that is unknown, because of this server's own trouble.
    Failed {
        /// AWS's code.
        code: Cow<'a, str>,
        /// What the caller was told.
        message: Cow<'a, str>,
    },
}

/// A domain's truststore becomes another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruststoreChange<'a> {
    /// The domain.
    pub domain: Cow<'a, str>,
    /// None: clients were not asked for certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Truststore<'a>>,
    /// None: clients are not asked for certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Truststore<'a>>,
}

/// The `countersign:` tags of a domain become others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesChange {
    /// The domain.
    pub domain: String,
    /// As they were.
    pub before: BTreeMap<String, String>,
    /// As they are.
    pub after: BTreeMap<String, String>,
}

impl SettingsRecord<'_> {
    /// With every text from outside cut to what is kept of it.
    pub(crate) fn bounded(mut self) -> Self {
        for text in [
            &mut self.principal,
            &mut self.access_key_id,
            &mut self.user_agent,
            &mut self.operation,
            &mut self.resource,
            &mut self.region,
            &mut self.request_id,
        ] {
            cut(text);
        }
        if let Outcome::Denied { code, message } | Outcome::Failed { code, message } = &mut self.outcome {
            cut(code);
            cut(message);
        }
        let more = self.changed.len().saturating_sub(MAX_CHANGED);
        self.changed.truncate(MAX_CHANGED);
        self.changed_more += more as u64;
        self.changed.iter_mut().for_each(cut);
        self.truststores.truncate(MAX_CHANGED);
        self.rules.truncate(MAX_CHANGED);
        self
    }
}

fn cut(text: &mut Cow<'_, str>) {
    if text.len() > MAX_TEXT_BYTES {
        let end = text.floor_char_boundary(MAX_TEXT_BYTES - '…'.len_utf8());
        *text = Cow::Owned(format!("{}…", &text[..end]));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Record, SETTINGS_GROUP};
    use super::*;

    pub(in super::super) fn least() -> SettingsRecord<'static> {
        SettingsRecord {
            time_ms: 7,
            group: SETTINGS_GROUP.into(),
            stream: "acm".into(),
            outcome: Outcome::Intent,
            principal: "".into(),
            access_key_id: "".into(),
            source: None,
            user_agent: "".into(),
            service: "acm".into(),
            operation: "".into(),
            resource: "".into(),
            region: "".into(),
            request_id: "i".into(),
            revision_before: 3,
            revision_after: None,
            changed: vec![],
            changed_more: 0,
            truststores: vec![],
            rules: vec![],
            calls: None,
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was_and_bounded() {
        let long = "é".repeat(MAX_TEXT_BYTES);
        let most = SettingsRecord {
            outcome: Outcome::Denied { code: "c".into(), message: long.clone().into() },
            user_agent: long.clone().into(),
            source: Some([192, 0, 2, 1].into()),
            revision_after: Some(4),
            changed: vec![long.into(); MAX_CHANGED + 3],
            truststores: vec![TruststoreChange {
                domain: "d".into(),
                before: None,
                after: Some(Truststore { digest: "ab".into(), version: None }),
            }],
            rules: vec![RulesChange {
                domain: "d".into(),
                before: BTreeMap::new(),
                after: BTreeMap::from([("countersign:eku".into(), "any".into())]),
            }],
            calls: Some(2),
            ..least()
        };
        let bounded = most.bounded();
        assert_eq!((bounded.changed.len(), bounded.changed_more), (MAX_CHANGED, 3));
        assert!(bounded.user_agent.len() <= MAX_TEXT_BYTES && bounded.user_agent.ends_with("é…"));
        for record in [least(), bounded] {
            let mut out = Vec::new();
            Record::Settings(&record).write(&mut out).unwrap();
            let json = std::str::from_utf8(&out).unwrap();
            assert!(json.starts_with(r#"{"kind":"settings","time_ms":7,"group":"/countersign/settings","#), "{json}");
            assert_eq!(serde_json::from_slice::<SettingsRecord<'_>>(&out).unwrap(), record);
        }
    }
}
