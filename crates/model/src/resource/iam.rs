//! Who may do what: users, groups, roles, their policies and access keys. Names are unique over the account without regard to case.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::{Sealed, UnixMillis};

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `UserName`
    pub name: String,
    /// `Path`: `/`, or more between slashes.
    pub path: String,
    /// `UserId`: `AIDA…`
    pub id: String,
    /// `CreateDate`
    pub created: UnixMillis,
    /// Names of the groups that the user is in.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Its own policies.
    #[serde(flatten)]
    pub attachments: Attachments,
    /// ARN of the policy that bounds what the others allow.
    pub permissions_boundary: Option<String>,
    /// `Tags`
    #[serde(default)]
    pub tags: Tags,
}

/// A group of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// `GroupName`
    pub name: String,
    /// `Path`
    pub path: String,
    /// `GroupId`: `AGPA…`
    pub id: String,
    /// `CreateDate`
    pub created: UnixMillis,
    /// The policies of whoever is in it.
    #[serde(flatten)]
    pub attachments: Attachments,
}

/// A role, which others take on for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// `RoleName`
    pub name: String,
    /// `Path`
    pub path: String,
    /// `RoleId`: `AROA…`
    pub id: String,
    /// `CreateDate`
    pub created: UnixMillis,
    /// `Description`
    pub description: Option<String>,
    /// `AssumeRolePolicyDocument`: who may take it on; checked when set.
    pub trust: String,
    /// `MaxSessionDuration`, seconds.
    pub max_session_seconds: u32,
    /// Its policies.
    #[serde(flatten)]
    pub attachments: Attachments,
    /// ARN of the policy that bounds what the others allow.
    pub permissions_boundary: Option<String>,
    /// `Tags`
    #[serde(default)]
    pub tags: Tags,
}

/// The policies of a user, a group or a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachments {
    /// Inline policies: documents by name; checked when set.
    #[serde(default)]
    pub inline: BTreeMap<String, String>,
    /// ARNs of managed policies.
    #[serde(default)]
    pub managed: BTreeSet<String>,
}

/// A policy that can be attached to several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    /// `arn:aws:iam::{account}:policy{path}{name}`
    pub arn: String,
    /// `PolicyName`
    pub name: String,
    /// `Path`
    pub path: String,
    /// `PolicyId`: `ANPA…`
    pub id: String,
    /// `Description`
    pub description: Option<String>,
    /// `CreateDate`
    pub created: UnixMillis,
    /// `UpdateDate`
    pub updated: UnixMillis,
    /// By number; there is one at least.
    pub versions: BTreeMap<u32, PolicyVersion>,
    /// The version that is in force.
    pub default_version: u32,
    /// Number of the next version.
    pub next_version: u32,
    /// `Tags`
    #[serde(default)]
    pub tags: Tags,
}

/// A version of a managed policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// `Document`; checked when set.
    pub document: String,
    /// `CreateDate`
    pub created: UnixMillis,
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA…`
    pub id: String,
    /// The secret, sealed with `access-keys/{id}`.
    pub secret: Sealed,
    /// ARN of whom it belongs to.
    pub principal_arn: String,
    /// `UserId` in GetCallerIdentity.
    pub user_id: String,
    /// When it was made.
    pub created: UnixMillis,
    /// Name of the user whose it is; none: the administrator's, who may do everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `Status` is `Inactive`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inactive: bool,
}

impl ManagedPolicy {
    /// The document that is in force.
    pub fn document(&self) -> Option<&str> {
        self.versions.get(&self.default_version).map(|version| version.document.as_str())
    }
}

impl AccessKey {
    /// The additional data that the secret of the key with this id is sealed with.
    pub fn sealed_for(id: &str) -> String {
        format!("access-keys/{id}")
    }
}
