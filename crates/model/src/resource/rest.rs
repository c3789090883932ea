//! Resources of REST APIs (API Gateway v1). Stages, deployments and mappings are those of HTTP APIs: ids are unique over both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::UnixMillis;

/// A REST API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestApi {
    /// Ten lowercase letters and digits.
    pub id: String,
    /// Where it is listed.
    pub region: String,
    /// `name`
    pub name: String,
    /// `description`
    pub description: Option<String>,
    /// `version`
    pub version: Option<String>,
    /// `disableExecuteApiEndpoint`: takes effect with the stage's next deployment.
    pub disable_execute_api_endpoint: bool,
    /// `rootResourceId`: the resource of `/`.
    pub root_resource_id: String,
    /// `createdDate`
    pub created: UnixMillis,
    /// `tags`
    #[serde(default)]
    pub tags: Tags,
}

/// A path of a REST API, with its methods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestResource {
    /// Six lowercase letters and digits; ten of a root.
    pub id: String,
    /// Its API.
    pub api_id: String,
    /// `parentId`; none: the root.
    pub parent_id: Option<String>,
    /// `pathPart`; none: the root.
    pub path_part: Option<String>,
    /// `path`: all parts down to it, e.g. `/pets/{id}`.
    pub path: String,
    /// `resourceMethods`, by HTTP method or `ANY`.
    #[serde(default)]
    pub methods: BTreeMap<String, RestMethod>,
}

/// A method of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestMethod {
    /// `operationName`
    pub operation_name: Option<String>,
    /// `requestParameters`: what an integration may refer to, and whether a request has to have it.
    #[serde(default)]
    pub request_parameters: BTreeMap<String, bool>,
    /// `methodIntegration`
    pub integration: Option<RestIntegration>,
}

/// How requests of a method reach a backend: `HTTP_PROXY`, the type that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestIntegration {
    /// `httpMethod`; `ANY` passes the client's method on.
    pub method: String,
    /// `uri`, e.g. `http://127.0.0.1:9000/{proxy}`.
    pub uri: String,
    /// `timeoutInMillis`, 50 to 29,000.
    pub timeout_ms: u32,
    /// `requestParameters`, parameter mapping.
    #[serde(default)]
    pub request_parameters: BTreeMap<String, String>,
}
