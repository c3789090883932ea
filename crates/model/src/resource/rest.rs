//! Resources of REST APIs (API Gateway v1). Stages, deployments and mappings are those of HTTP APIs: ids are unique over both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::{Quota, Sealed, UnixMillis};

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
    /// `binaryMediaTypes`: payloads of these types reach functions in base64. Takes effect with the stage's next deployment.
    #[serde(default)]
    pub binary_media_types: Vec<String>,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestMethod {
    /// `operationName`
    pub operation_name: Option<String>,
    /// `requestParameters`: what an integration may refer to, and whether a request has to have it.
    #[serde(default)]
    pub request_parameters: BTreeMap<String, bool>,
    /// `authorizationType`
    #[serde(default)]
    pub authorization: RestAuthorization,
    /// `apiKeyRequired`
    #[serde(default)]
    pub api_key_required: bool,
    /// `requestValidatorId`
    #[serde(default)]
    pub request_validator_id: Option<String>,
    /// In a deployment: whether its validator asks for the required parameters.
    #[serde(default)]
    pub asks_for_parameters: bool,
    /// `requestModels`: names of models, by media type.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_models: BTreeMap<String, String>,
    /// In a deployment: whether its validator holds payloads against the models.
    #[serde(default)]
    pub asks_for_body: bool,
    /// `methodResponses`, by status code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub responses: BTreeMap<String, MethodResponse>,
    /// `methodIntegration`
    pub integration: Option<RestIntegration>,
}

/// What a method says of its answers with one status code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodResponse {
    /// `responseParameters`, e.g. `method.response.header.x`: the headers that integration responses may set. Whether one is
    /// required means nothing, on AWS neither.
    #[serde(default)]
    pub parameters: BTreeMap<String, bool>,
    /// `responseModels`: names of models, by media type; for documentation.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
}

/// `authorizationType` of a method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestAuthorization {
    /// Everybody who is admitted.
    #[default]
    None,
    /// Who has signed the request with an access key.
    AwsIam,
    /// Whom a function lets in.
    Custom {
        /// `authorizerId`
        authorizer_id: String,
    },
}

impl RestAuthorization {
    /// As AWS names it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::AwsIam => "AWS_IAM",
            Self::Custom { .. } => "CUSTOM",
        }
    }

    /// `authorizerId`
    pub fn authorizer_id(&self) -> Option<&str> {
        match self {
            Self::Custom { authorizer_id } => Some(authorizer_id),
            Self::None | Self::AwsIam => None,
        }
    }
}

/// A Lambda function that decides who may call the methods that name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestAuthorizer {
    /// Six lowercase letters and digits.
    pub id: String,
    /// Its API.
    pub api_id: String,
    /// `name`
    pub name: String,
    /// `type`
    pub kind: RestAuthorizerKind,
    /// `authorizerUri`: that of the function's invocations.
    pub uri: String,
    /// `identitySource`: expressions between commas, e.g. `method.request.header.Authorization`; checked when set.
    pub identity_source: Option<String>,
    /// `identityValidationExpression` of a token; checked when set.
    pub identity_validation_expression: Option<String>,
    /// `authorizerResultTtlInSeconds`; 0: nothing is remembered.
    pub result_ttl_seconds: u32,
    /// `authType`, which means nothing.
    pub auth_type: String,
}

/// `type` of an authorizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestAuthorizerKind {
    /// The function is told a token, and nothing else.
    Token,
    /// It is told all of the request but the payload.
    Request,
}

/// Says whether requests of a method have to have what it requires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestValidator {
    /// Six lowercase letters and digits.
    pub id: String,
    /// Its API.
    pub api_id: String,
    /// `name`
    pub name: String,
    /// `validateRequestBody`: by the method's `requestModels`.
    pub body: bool,
    /// `validateRequestParameters`
    pub parameters: bool,
}

/// What a REST API answers by itself in a case, where it is not AWS's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayResponse {
    /// Its API.
    pub api_id: String,
    /// `responseType`, e.g. `THROTTLED` or `DEFAULT_4XX`.
    pub response_type: String,
    /// `statusCode`; none: the one that it has anyway.
    pub status_code: Option<u16>,
    /// `responseParameters`, e.g. `gatewayresponse.header.x` = `'text'`.
    pub response_parameters: BTreeMap<String, String>,
    /// `responseTemplates`, by media type.
    pub response_templates: BTreeMap<String, String>,
}

/// What is said of a part of a REST API, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentationPart {
    /// Its API.
    pub api_id: String,
    /// Six lowercase letters and digits.
    pub id: String,
    /// `location`: of no other part of the API.
    pub location: DocumentationLocation,
    /// `properties`: a JSON object.
    pub properties: String,
}

/// What a part of a documentation is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DocumentationLocation {
    /// `type`, e.g. `METHOD`.
    pub kind: String,
    /// `path`
    pub path: Option<String>,
    /// `method`; `*`: all.
    pub method: Option<String>,
    /// `statusCode`; `*`: all.
    pub status_code: Option<String>,
    /// `name`
    pub name: Option<String>,
}

/// All parts of a documentation as they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentationVersion {
    /// Its API.
    pub api_id: String,
    /// `version`
    pub version: String,
    /// `createdDate`
    pub created: UnixMillis,
    /// `description`
    pub description: Option<String>,
    /// The parts.
    pub parts: Vec<DocumentationPart>,
}

/// What is set for the account in a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The region.
    pub region: String,
    /// `cloudwatchRoleArn`
    pub cloudwatch_role_arn: Option<String>,
    /// `DaysBeforeExpiry` of ACM's `ExpiryEvents`; none: AWS's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_before_expiry: Option<u32>,
}

impl Account {
    /// Of which nothing is set.
    pub fn new(region: String) -> Self {
        Self { region, cloudwatch_role_arn: None, days_before_expiry: None }
    }
}

/// What payloads look like, for validators and for documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its API.
    pub api_id: String,
    /// `name`: letters and digits.
    pub name: String,
    /// Six lowercase letters and digits.
    pub id: String,
    /// `description`
    pub description: Option<String>,
    /// `contentType`, e.g. `application/json`.
    pub content_type: String,
    /// `schema`: of JSON a JSON schema, draft 4.
    pub schema: String,
}

/// What answers the requests of a method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestIntegration {
    /// `type`
    #[serde(default)]
    pub kind: RestIntegrationKind,
    /// `httpMethod`; `ANY` passes the client's method on. Of a function always `POST`, of [`RestIntegrationKind::Mock`] none needed.
    pub method: Option<String>,
    /// `uri`, e.g. `http://127.0.0.1:9000/{proxy}`, or that of a function's invocations. Of [`RestIntegrationKind::Mock`] none.
    pub uri: Option<String>,
    /// `timeoutInMillis`, 50 to 29,000.
    pub timeout_ms: u32,
    /// `requestParameters`, parameter mapping.
    #[serde(default)]
    pub request_parameters: BTreeMap<String, String>,
    /// `requestTemplates`, by media type. They mean nothing where the kind is a proxy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub request_templates: BTreeMap<String, String>,
    /// `passthroughBehavior`. It means nothing where the kind is a proxy.
    #[serde(default)]
    pub passthrough: Passthrough,
    /// `connectionId` of `connectionType` `VPC_LINK`; none: `INTERNET`. The URI leads to the backend in either case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc_link_id: Option<String>,
    /// `cacheNamespace`; none: the resource's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_namespace: Option<String>,
    /// `cacheKeyParameters`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cache_key_parameters: Vec<String>,
    /// `integrationResponses`, by status code. They mean nothing where the kind is a proxy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub responses: BTreeMap<String, IntegrationResponse>,
}

/// `type` of a REST API's integration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RestIntegrationKind {
    /// An HTTP service whose requests and answers are mapped.
    Http,
    /// An HTTP service to which requests and answers go as they are.
    #[default]
    HttpProxy,
    /// Nobody: the gateway itself answers.
    Mock,
    /// A Lambda function whose event and answer are mapped.
    Aws,
    /// A Lambda function that is told of the request, and answers.
    AwsProxy,
}

impl RestIntegrationKind {
    /// Whether requests and answers pass as they are.
    pub fn is_proxy(self) -> bool {
        matches!(self, Self::HttpProxy | Self::AwsProxy)
    }
}

/// `passthroughBehavior`: what becomes of payloads for whose media type there is no template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Passthrough {
    /// They pass as they are.
    #[default]
    WhenNoMatch,
    /// They pass if there is no template at all.
    WhenNoTemplates,
    /// They are refused with 415.
    Never,
}

/// What is made of a backend's answer, under one status code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrationResponse {
    /// `selectionPattern`: a regular expression for the backend's status, or a function's error; none: of all others.
    #[serde(default)]
    pub selection_pattern: Option<String>,
    /// `responseParameters`, e.g. `method.response.header.x` = `integration.response.header.y`.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// `responseTemplates`, by media type.
    #[serde(default)]
    pub templates: BTreeMap<String, String>,
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Ten lowercase letters and digits; no secret.
    pub id: String,
    /// Where it is listed.
    pub region: String,
    /// `name`
    pub name: String,
    /// `description`
    pub description: Option<String>,
    /// `customerId`
    pub customer_id: Option<String>,
    /// `enabled`: one that is not lets nobody in.
    pub enabled: bool,
    /// `value`, sealed with [`ApiKey::sealed_for`].
    pub value: Sealed,
    /// `createdDate`
    pub created: UnixMillis,
    /// `lastUpdatedDate`
    pub updated: UnixMillis,
    /// `tags`
    #[serde(default)]
    pub tags: Tags,
}

impl ApiKey {
    /// The additional data that the value of the key with this id is sealed with.
    pub fn sealed_for(id: &str) -> String {
        format!("api-keys/{id}")
    }
}

/// A usage plan: how much those who have its keys may ask of its stages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsagePlan {
    /// Six lowercase letters and digits.
    pub id: String,
    /// Where it is listed.
    pub region: String,
    /// `name`
    pub name: String,
    /// `description`
    pub description: Option<String>,
    /// `productCode`
    pub product_code: Option<String>,
    /// `apiStages`; no stage stands here twice.
    pub stages: Vec<PlanStage>,
    /// `throttle`, of each key over all stages.
    pub throttle: Option<PlanThrottle>,
    /// `quota`, of each key over all stages.
    pub quota: Option<Quota>,
    /// `tags`
    #[serde(default)]
    pub tags: Tags,
}

/// A stage that a usage plan is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStage {
    /// `apiId`
    pub api_id: String,
    /// `stage`
    pub stage: String,
    /// `throttle`, of each key, by resource path and method: `/pets/{id}/GET`.
    #[serde(default)]
    pub throttle: BTreeMap<String, PlanThrottle>,
}

/// `throttle` of a usage plan, or of a method in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanThrottle {
    /// `burstLimit`, requests.
    pub burst: Option<u32>,
    /// `rateLimit`, requests a second.
    pub rate: Option<f64>,
}

impl Eq for PlanThrottle {}

/// That an API key is of a usage plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsagePlanKey {
    /// `usagePlanId`
    pub plan_id: String,
    /// `keyId`
    pub key_id: String,
}
