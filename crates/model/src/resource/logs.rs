//! CloudWatch Logs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::UnixMillis;

/// A group of CloudWatch Logs: a view on the records since its creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGroup {
    /// Where it is listed.
    pub region: String,
    /// `logGroupName`
    pub name: String,
    /// `creationTime`; older records are not shown.
    pub created: UnixMillis,
    /// `retentionInDays`
    pub retention_days: Option<u32>,
    /// Streams made by `create-log-stream`; those of access logs need none. Name to creation time.
    #[serde(default)]
    pub streams: BTreeMap<String, UnixMillis>,
    /// Streams that `delete-log-stream` was asked to delete: what came into them until then is not shown.
    #[serde(default)]
    pub deleted_streams: BTreeMap<String, UnixMillis>,
    /// `tags`
    #[serde(default)]
    pub tags: Tags,
    /// `deletionProtectionEnabled`
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deletion_protection: bool,
    /// Metric filters by name; they are kept only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metric_filters: BTreeMap<String, MetricFilter>,
    /// Subscription filters by name; they are kept only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub subscription_filters: BTreeMap<String, SubscriptionFilter>,
}

impl LogGroup {
    /// A new one.
    pub fn new(region: impl Into<String>, name: impl Into<String>, created: UnixMillis) -> Self {
        Self {
            region: region.into(),
            name: name.into(),
            created,
            retention_days: None,
            streams: BTreeMap::new(),
            deleted_streams: BTreeMap::new(),
            tags: Tags::new(),
            deletion_protection: false,
            metric_filters: BTreeMap::new(),
            subscription_filters: BTreeMap::new(),
        }
    }
}

/// A metric that would be made of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricFilter {
    /// `filterPattern`
    pub pattern: String,
    /// `metricTransformations`
    pub transformation: MetricTransformation,
    /// `creationTime`
    pub created: UnixMillis,
}

/// How a metric would be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricTransformation {
    /// `metricName`
    pub name: String,
    /// `metricNamespace`
    pub namespace: String,
    /// `metricValue`
    pub value: String,
    /// `defaultValue`
    pub default: Option<f64>,
    /// `dimensions`
    #[serde(default)]
    pub dimensions: BTreeMap<String, String>,
    /// `unit`
    pub unit: Option<String>,
}

impl Eq for MetricTransformation {}

/// Where events would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionFilter {
    /// `filterPattern`
    pub pattern: String,
    /// `destinationArn`
    pub destination_arn: String,
    /// `roleArn`
    pub role_arn: Option<String>,
    /// `distribution`
    pub distribution: String,
    /// `creationTime`
    pub created: UnixMillis,
}

/// A query that somebody wants to ask again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryDefinition {
    /// Where it is listed.
    pub region: String,
    /// `queryDefinitionId`
    pub id: String,
    /// `name`
    pub name: String,
    /// `queryString`
    pub query: String,
    /// `logGroupNames`
    #[serde(default)]
    pub log_groups: Vec<String>,
    /// `parameters`
    #[serde(default)]
    pub parameters: Vec<QueryParameter>,
    /// `lastModified`
    pub modified: UnixMillis,
}

/// What is to be filled into a query definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryParameter {
    /// `name`
    pub name: String,
    /// `defaultValue`
    pub default: Option<String>,
    /// `description`
    pub description: Option<String>,
}

/// Who else would be let to log groups; it is kept only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogResourcePolicy {
    /// Where it is listed.
    pub region: String,
    /// `policyName`
    pub name: String,
    /// `policyDocument`
    pub document: String,
    /// `lastUpdatedTime`
    pub updated: UnixMillis,
}

/// How much the execution log of a REST API tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// Nothing.
    #[default]
    Off,
    /// What fails.
    Error,
    /// Everything.
    Info,
}

impl LogLevel {
    /// AWS's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Error => "ERROR",
            Self::Info => "INFO",
        }
    }
}
