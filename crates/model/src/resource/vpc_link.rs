//! VPC links: how integrations reach what stands in a private network.

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::UnixMillis;

/// A VPC link. What is behind it is named by ARN, which says nothing here: where it leads is in
/// [`VpcLinkTags`](crate::VpcLinkTags).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcLink {
    /// `vpcLinkId`: six lowercase letters and digits.
    pub id: String,
    /// Where it is listed.
    pub region: String,
    /// `name`
    pub name: String,
    /// `subnetIds`
    pub subnet_ids: Vec<String>,
    /// `securityGroupIds`
    pub security_group_ids: Vec<String>,
    /// `createdDate`
    pub created: UnixMillis,
    /// `tags`, with the `countersign:` ones; checked when set.
    #[serde(default)]
    pub tags: Tags,
}
