//! WebSocket APIs: what they have instead of an HTTP API's routes and integrations. They are kept, and not deployed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Authorization;

/// What a WebSocket API has besides what every API has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSocketApi {
    /// `routeSelectionExpression`, e.g. `$request.body.action`.
    pub route_selection: String,
    /// `apiKeySelectionExpression`
    pub api_key_selection: String,
    /// `disableSchemaValidation`
    pub disable_schema_validation: Option<bool>,
}

/// A route of a WebSocket API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSocketRoute {
    /// Seven lowercase letters and digits.
    pub id: String,
    /// Its API.
    pub api_id: String,
    /// `routeKey`: `$connect`, `$disconnect`, `$default`, or what the API's selection expression finds.
    pub route_key: String,
    /// `target`'s id (`integrations/{id}`), if set.
    pub integration_id: Option<String>,
    /// `operationName`
    pub operation_name: Option<String>,
    /// `authorizationType`, of `$connect` only.
    #[serde(default)]
    pub authorization: Authorization,
    /// `apiKeyRequired`
    pub api_key_required: bool,
    /// `modelSelectionExpression`
    pub model_selection: Option<String>,
    /// `requestModels`: names of models, by what the selection expression finds.
    #[serde(default)]
    pub request_models: BTreeMap<String, String>,
    /// `requestParameters`: whether each is required.
    #[serde(default)]
    pub request_parameters: BTreeMap<String, bool>,
    /// `routeResponseSelectionExpression`
    pub response_selection: Option<String>,
    /// By `routeResponseId`.
    #[serde(default)]
    pub responses: BTreeMap<String, RouteResponse>,
}

/// A response of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteResponse {
    /// `routeResponseKey`: `$default`.
    pub key: String,
    /// `modelSelectionExpression`
    pub model_selection: Option<String>,
    /// `responseModels`
    #[serde(default)]
    pub models: BTreeMap<String, String>,
    /// `responseParameters`: whether each is required.
    #[serde(default)]
    pub parameters: BTreeMap<String, bool>,
}

/// An integration of a WebSocket API. Values are AWS's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSocketIntegration {
    /// Seven lowercase letters and digits.
    pub id: String,
    /// Its API.
    pub api_id: String,
    /// `integrationType`: `AWS`, `AWS_PROXY`, `HTTP`, `HTTP_PROXY` or `MOCK`.
    pub kind: String,
    /// `integrationMethod`
    pub method: Option<String>,
    /// `integrationUri`
    pub uri: Option<String>,
    /// `credentialsArn`
    pub credentials_arn: Option<String>,
    /// `contentHandlingStrategy`
    pub content_handling: Option<String>,
    /// `passthroughBehavior`
    pub passthrough: Option<String>,
    /// `timeoutInMillis`, 50 to 29,000.
    pub timeout_ms: u32,
    /// `requestParameters`
    #[serde(default)]
    pub request_parameters: BTreeMap<String, String>,
    /// `requestTemplates`
    #[serde(default)]
    pub request_templates: BTreeMap<String, String>,
    /// `templateSelectionExpression`
    pub template_selection: Option<String>,
    /// `tlsConfig.serverNameToVerify`
    pub server_name_to_verify: Option<String>,
    /// `description`
    pub description: Option<String>,
    /// By `integrationResponseId`.
    #[serde(default)]
    pub responses: BTreeMap<String, WebSocketIntegrationResponse>,
}

/// A response of a WebSocket API's integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSocketIntegrationResponse {
    /// `integrationResponseKey`: `$default`, or `/200/`, `/4\d\d/`.
    pub key: String,
    /// `contentHandlingStrategy`
    pub content_handling: Option<String>,
    /// `responseParameters`
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// `responseTemplates`
    #[serde(default)]
    pub templates: BTreeMap<String, String>,
    /// `templateSelectionExpression`
    pub template_selection: Option<String>,
}

/// A model of a WebSocket API: what messages look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSocketModel {
    /// Six lowercase letters and digits.
    pub id: String,
    /// Its API.
    pub api_id: String,
    /// `name`
    pub name: String,
    /// `contentType`
    pub content_type: String,
    /// `description`
    pub description: Option<String>,
    /// `schema`, a JSON schema; checked to be JSON when set.
    pub schema: String,
}
