//! Route 53's resources: hosted zones, what is in them, and what became of changes.

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::{Revision, UnixMillis};

/// A hosted zone. Its records are [`RecordSet`]s.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedZone {
    /// `Z…`, without `/hostedzone/`.
    pub id: String,
    /// `Name`, as [`crate::dns::Name`] writes it.
    pub name: String,
    /// `CallerReference`: no two zones have the same one.
    pub caller_reference: String,
    /// `Config.Comment`
    pub comment: Option<String>,
    /// `DelegationSet.NameServers`, without the last dot.
    pub name_servers: Vec<String>,
    /// When it was made.
    pub created: UnixMillis,
    /// Tags.
    #[serde(default)]
    pub tags: Tags,
}

/// A resource record set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    /// The hosted zone's id.
    pub zone_id: String,
    /// Where it stands in its zone: [`crate::dns::Name::key_of`].
    pub key: String,
    /// `Name`, as [`crate::dns::Name`] writes it.
    pub name: String,
    /// `Type`, e.g. `AAAA`.
    pub record_type: String,
    /// What it answers.
    pub answer: RecordAnswer,
}

/// What a record set answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordAnswer {
    /// `TTL` and `ResourceRecords`
    Records {
        /// Seconds.
        ttl: u32,
        /// As they were written, in the form of a zone file.
        values: Vec<String>,
    },
    /// `AliasTarget`
    Alias {
        /// `HostedZoneId`
        zone_id: String,
        /// `DNSName`, as [`crate::dns::Name`] writes it.
        name: String,
        /// `EvaluateTargetHealth`; nothing here is checked for its health.
        evaluate_target_health: bool,
    },
}

/// What `GetChange` tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneChange {
    /// `C…`, without `/change/`.
    pub id: String,
    /// The commit that it is; in sync once that is served.
    pub revision: Revision,
    /// `SubmittedAt`
    pub submitted: UnixMillis,
    /// `Comment`
    pub comment: Option<String>,
}
