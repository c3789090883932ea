//! The resources, as they are stored. Names and values are AWS's; what AWS has no field for travels in tags.
//!
//! Ids are unique over all regions, so keys and references need no region; `region` says where a resource is listed.

mod acme;
mod certificate;
mod dns;
mod iam;
mod logs;
mod rest;
mod vpc_link;
mod web_socket;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{EndpointAccessMode, Revision, SecurityPolicy, UnixMillis};

pub use acme::{AcmeAccount, AcmeAnswer, AcmeClaim, AcmeFailure, AcmeOrder, PlacedOrder};
pub use certificate::{
    Certificate, CertificateLife, CertificateOrigin, CertificateRevocation, CertificateValidation, ClientCertificate,
    Endpoint, LocalCa, RevokedSerial,
};
pub use dns::{HostedZone, RecordAnswer, RecordSet, ZoneChange};
pub use iam::{AccessKey, Attachments, Group, ManagedPolicy, PolicyVersion, Role, User};
pub use logs::{
    LogGroup, LogLevel, LogResourcePolicy, MetricFilter, MetricTransformation, QueryDefinition, QueryParameter,
    SubscriptionFilter,
};
pub use rest::{
    Account, ApiKey, DocumentationLocation, DocumentationPart, DocumentationVersion, GatewayResponse,
    IntegrationResponse, MethodResponse, Model, Passthrough, PlanStage, PlanThrottle, RequestValidator, RestApi,
    RestAuthorization, RestAuthorizer, RestAuthorizerKind, RestIntegration, RestIntegrationKind, RestMethod,
    RestResource, UsagePlan, UsagePlanKey,
};
pub use vpc_link::VpcLink;
pub use web_socket::{
    RouteResponse, WebSocketApi, WebSocketIntegration, WebSocketIntegrationResponse, WebSocketModel, WebSocketRoute,
};

/// Tags of a resource.
pub type Tags = BTreeMap<String, String>;

/// An API of API Gateway v2: an HTTP API, or a WebSocket API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Api {
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
    /// `corsConfiguration`
    pub cors: Option<Cors>,
    /// `createdDate`
    pub created: UnixMillis,
    /// `tags`
    #[serde(default)]
    pub tags: Tags,
    /// What a WebSocket API has besides; none: it is an HTTP API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web_socket: Option<WebSocketApi>,
    /// `importInfo`: what was left out of the document that the API was made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub import_info: Vec<String>,
    /// `warnings` about that document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub import_warnings: Vec<String>,
}

/// `corsConfiguration` of an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// `allowCredentials`
    pub allow_credentials: Option<bool>,
    /// `allowHeaders`
    #[serde(default)]
    pub allow_headers: Vec<String>,
    /// `allowMethods`
    #[serde(default)]
    pub allow_methods: Vec<String>,
    /// `allowOrigins`
    #[serde(default)]
    pub allow_origins: Vec<String>,
    /// `exposeHeaders`
    #[serde(default)]
    pub expose_headers: Vec<String>,
    /// `maxAge`, seconds.
    pub max_age: Option<i32>,
}

/// How requests of a route reach a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integration {
    /// Seven lowercase letters and digits.
    pub id: String,
    /// Its API.
    pub api_id: String,
    /// `integrationType`
    pub kind: IntegrationKind,
    /// `integrationMethod`; `ANY` passes the client's method on.
    pub method: Option<String>,
    /// `integrationUri`: `http://127.0.0.1:9000/{proxy}`, or what names a Lambda function, or what is behind a VPC link.
    pub uri: String,
    /// `connectionId`, where `connectionType` is `VPC_LINK`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vpc_link_id: Option<String>,
    /// `timeoutInMillis`, 50 to 30,000.
    pub timeout_ms: u32,
    /// `payloadFormatVersion`
    pub payload_format_version: String,
    /// `requestParameters`, parameter mapping.
    #[serde(default)]
    pub request_parameters: BTreeMap<String, String>,
    /// `responseParameters`, by status code.
    #[serde(default)]
    pub response_parameters: BTreeMap<String, BTreeMap<String, String>>,
    /// `tlsConfig.serverNameToVerify`
    pub server_name_to_verify: Option<String>,
    /// `description`
    pub description: Option<String>,
    /// Made by quick create.
    pub api_gateway_managed: bool,
}

/// `integrationType`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IntegrationKind {
    /// The request goes to an HTTP backend as it is.
    #[default]
    HttpProxy,
    /// The request becomes the event of a Lambda function, and what that returns the answer.
    AwsProxy,
}

/// Which requests go to which integration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Seven lowercase letters and digits.
    pub id: String,
    /// Its API.
    pub api_id: String,
    /// `routeKey`: `GET /pets/{id}`, `ANY /{proxy+}` or `$default`; checked when set.
    pub route_key: String,
    /// `target`'s id (`integrations/{id}`), if set.
    pub integration_id: Option<String>,
    /// `operationName`
    pub operation_name: Option<String>,
    /// `authorizationType`, with what belongs to it.
    #[serde(default)]
    pub authorization: Authorization,
    /// Made by quick create.
    pub api_gateway_managed: bool,
}

/// `authorizationType` of a route, with what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Authorization {
    /// Everybody who is admitted.
    #[default]
    None,
    /// Who has a token of the authorizer's issuer.
    Jwt {
        /// `authorizerId`, of a [`AuthorizerKind::Jwt`].
        authorizer_id: String,
        /// `authorizationScopes`: the token needs one of them, where there are some.
        #[serde(default)]
        scopes: Vec<String>,
    },
    /// Who has signed the request with an access key.
    AwsIam,
    /// Whom a function lets in.
    Custom {
        /// `authorizerId`, of a [`AuthorizerKind::Request`].
        authorizer_id: String,
    },
}

impl Authorization {
    /// `authorizerId`
    pub fn authorizer_id(&self) -> Option<&str> {
        match self {
            Self::None | Self::AwsIam => None,
            Self::Jwt { authorizer_id, .. } | Self::Custom { authorizer_id } => Some(authorizer_id),
        }
    }
}

/// Decides who may call the routes that name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorizer {
    /// Six lowercase letters and digits.
    pub id: String,
    /// Its API.
    pub api_id: String,
    /// `name`
    pub name: String,
    /// `identitySource`, e.g. `$request.header.Authorization`; checked when set.
    pub identity_source: Vec<String>,
    /// `authorizerType`, with what belongs to it.
    pub kind: AuthorizerKind,
}

/// `authorizerType`, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthorizerKind {
    /// Tokens of an issuer.
    Jwt {
        /// `jwtConfiguration.issuer`: a URL, as it stands in tokens.
        issuer: String,
        /// `jwtConfiguration.audience`: a token needs one of them.
        audience: Vec<String>,
    },
    /// A Lambda function that is asked.
    Request {
        /// `authorizerUri`
        uri: String,
        /// `authorizerPayloadFormatVersion`: `1.0` or `2.0`.
        payload_format_version: String,
        /// `authorizerResultTtlInSeconds`; 0: nothing is remembered.
        result_ttl_seconds: u32,
        /// `enableSimpleResponses`
        simple_responses: bool,
    },
}

/// A named deployment of an API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Its API.
    pub api_id: String,
    /// `stageName`; `$default` is served at the root.
    pub name: String,
    /// `description`
    pub description: Option<String>,
    /// `deploymentId`; none until the first deployment.
    pub deployment_id: Option<String>,
    /// `autoDeploy`
    pub auto_deploy: bool,
    /// `accessLogSettings`
    pub access_log: Option<AccessLog>,
    /// `stageVariables`
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// `defaultRouteSettings`
    #[serde(default)]
    pub default_route_settings: RouteSettings,
    /// `routeSettings`, by route key.
    #[serde(default)]
    pub route_settings: BTreeMap<String, RouteSettings>,
    /// `createdDate`
    pub created: UnixMillis,
    /// `lastUpdatedDate`
    pub updated: UnixMillis,
    /// `clientCertificateId` of a REST API's stage: what it shows to backends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_id: Option<String>,
    /// How often all that authorizers had said was to be forgotten.
    #[serde(default)]
    pub authorizers_flushed: u64,
    /// `documentationVersion`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation_version: Option<String>,
    /// `lastDeploymentStatusMessage`
    pub last_deployment_status_message: Option<String>,
    /// Made by quick create.
    pub api_gateway_managed: bool,
    /// `tags`
    #[serde(default)]
    pub tags: Tags,
}

/// `accessLogSettings` of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessLog {
    /// ARN of a CloudWatch Logs group.
    pub destination_arn: String,
    /// Checked when set: at most 3 KB, contains `$context.requestId`.
    pub format: String,
}

/// Throttling of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteSettings {
    /// `throttlingBurstLimit`, requests.
    pub throttling_burst_limit: Option<u32>,
    /// `throttlingRateLimit`, requests a second.
    pub throttling_rate_limit: Option<f64>,
    /// `detailedMetricsEnabled`
    pub detailed_metrics_enabled: Option<bool>,
    /// `loggingLevel` of a REST API's method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logging_level: Option<LogLevel>,
    /// `dataTraceEnabled` of a REST API's method.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub data_trace: bool,
}

impl Eq for RouteSettings {}

/// What an API was at one time: routes and integrations are served from here, never from the API itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Six lowercase letters and digits.
    pub id: String,
    /// Its API.
    pub api_id: String,
    /// `description`
    pub description: Option<String>,
    /// `createdDate`
    pub created: UnixMillis,
    /// `autoDeployed`
    pub auto_deployed: bool,
    /// The API's setting when it was deployed.
    pub disable_execute_api_endpoint: bool,
    /// The API's setting when it was deployed.
    pub cors: Option<Cors>,
    /// The API's routes when it was deployed.
    pub routes: Vec<Route>,
    /// The API's integrations when it was deployed.
    pub integrations: Vec<Integration>,
    /// The API's authorizers when it was deployed.
    #[serde(default)]
    pub authorizers: Vec<Authorizer>,
    /// A REST API's resources when it was deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<RestResource>,
    /// A REST API's authorizers when it was deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rest_authorizers: Vec<RestAuthorizer>,
    /// A REST API's gateway responses when it was deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateway_responses: Vec<GatewayResponse>,
    /// A REST API's `binaryMediaTypes` when it was deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub binary_media_types: Vec<String>,
    /// A REST API's models when it was deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Model>,
    /// A REST API's request validators when it was deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_validators: Vec<RequestValidator>,
}

/// A custom domain name, unique over the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Lowercase; the first label may be `*`.
    pub name: String,
    /// Where it is listed.
    pub region: String,
    /// `certificateArn`
    pub certificate_arn: String,
    /// `securityPolicy`
    pub security_policy: SecurityPolicy,
    /// `endpointAccessMode`, which all security policies but `TLS_1_2` come with.
    #[serde(default)]
    pub endpoint_access_mode: Option<EndpointAccessMode>,
    /// `endpointType`: `REGIONAL`.
    pub endpoint_type: String,
    /// `ownershipVerificationCertificateArn`
    pub ownership_certificate_arn: Option<String>,
    /// `hostedZoneId`
    pub hosted_zone_id: String,
    /// First label of `apiGatewayDomainName` (`d-…`).
    pub target_id: String,
    /// `mutualTlsAuthentication`; none: clients are not asked for certificates.
    pub mutual_tls: Option<NamedObject>,
    /// Truststores that it had before, the latest first.
    #[serde(default)]
    pub history: Vec<EarlierTruststore>,
    /// `countersign:shadow-truststore`: judged beside the truststore, never enforced.
    #[serde(default)]
    pub shadow: Option<NamedObject>,
    /// `countersign:crl`, in the tag's order.
    #[serde(default)]
    pub crls: Vec<NamedObject>,
    /// `routingMode`
    pub routing_mode: String,
    /// The commit that set it last: its status is `UPDATING` until every live node has applied this.
    pub revision: Revision,
    /// Creation time.
    pub created: UnixMillis,
    /// `tags`, with the `countersign:` ones; checked when set.
    #[serde(default)]
    pub tags: Tags,
}

/// An object of S3 that a domain names, and what was read of it. Its bytes are kept as a [`crate::Blob`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedObject {
    /// `s3://bucket/key`
    #[serde(alias = "truststore_uri")] // as format 1 of the store has it
    pub uri: String,
    /// The version as it was given; none: not pinned.
    #[serde(alias = "truststore_version")]
    pub version: Option<String>,
    /// The object's version that was read (`null` where the bucket keeps none).
    pub read_version: String,
    /// SHA-256 of the bytes that were read, hexadecimal.
    pub digest: String,
    /// When they were read.
    #[serde(default)]
    pub read: UnixMillis,
    /// What is to be said of them, one sentence each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// When the revocation lists in it were made (seconds since 1970), the newest of each issuer, by the SHA-256 of its name.
    #[serde(default)]
    pub lists: BTreeMap<String, i64>,
    /// The newest version of the object, where it is not the one that was read.
    pub newest: Option<NewerVersion>,
}

/// A version of an object that is newer than the one in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewerVersion {
    /// S3 version id.
    pub version: String,
    /// SHA-256 of its bytes, hexadecimal; none where they are not usable (too large, deleted).
    pub digest: Option<String>,
    /// When it was seen.
    pub seen: UnixMillis,
}

/// A truststore that a domain had before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierTruststore {
    /// `s3://bucket/key`
    pub uri: String,
    /// The object's version that was read.
    pub version: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub digest: String,
    /// When it was set.
    pub from: UnixMillis,
    /// When another took its place, or mutual TLS was switched off.
    pub until: UnixMillis,
}

impl NamedObject {
    /// Digests of its bytes, and of those of the newest version.
    pub fn blobs(&self) -> impl Iterator<Item = &str> {
        let newest = self.newest.as_ref().and_then(|newest| newest.digest.as_deref());
        std::iter::once(self.digest.as_str()).chain(newest)
    }
}

impl Domain {
    /// Digests of the bytes that it needs, or may need again.
    pub fn blobs(&self) -> impl Iterator<Item = &str> {
        let named = self.mutual_tls.iter().chain(&self.shadow).chain(&self.crls);
        let named = named.flat_map(NamedObject::blobs);
        named.chain(self.history.iter().map(|earlier| earlier.digest.as_str()))
    }
}

/// Ties a domain's base path to a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiMapping {
    /// Six lowercase letters and digits.
    pub id: String,
    /// `domainName`
    pub domain: String,
    /// `apiMappingKey`: base path without slashes around it; empty is the root.
    pub key: String,
    /// `apiId`
    pub api_id: String,
    /// `stage`
    pub stage: String,
}

/// Sends the requests of a custom domain that meet all its conditions to a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingRule {
    /// Six lowercase letters and digits.
    pub id: String,
    /// `domainName`
    pub domain: String,
    /// `priority`, 1 to 1,000,000: the lowest is asked first. No two rules of a domain have the same.
    pub priority: u32,
    /// `conditions`; none: every request meets them.
    pub conditions: Vec<RuleCondition>,
    /// `apiId` of its one action, `invokeApi`.
    pub api_id: String,
    /// `stage` of its action.
    pub stage: String,
    /// `stripBasePath` of its action: the API sees the path below the base path that matched.
    pub strip_base_path: bool,
}

/// A condition of a routing rule: met by any one of its members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RuleCondition {
    /// `matchBasePaths.anyOf`: first segments of the path, without slashes around them; case matters.
    BasePaths(Vec<String>),
    /// `matchHeaders.anyOf`
    Headers(Vec<HeaderMatch>),
}

/// A header that a routing rule asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// `header`; case does not matter.
    pub header: String,
    /// `valueGlob`: the value, with `*` for anything at its start, its end or both; case matters.
    pub value_glob: String,
}

/// What `countersign:policy` of an API names: the Cedar policies that its requests are held against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiPolicy {
    /// The API, of either kind.
    pub api_id: String,
    /// Policies in Cedar's own form.
    pub object: NamedObject,
}

/// What `countersign:upstream-ca` of an API names: the CAs by which its https backends are certified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamCa {
    /// The API, of either kind.
    pub api_id: String,
    /// PEM.
    pub object: NamedObject,
}

/// The log group of what is refused under a domain name before a stage is known: `/countersign/domains/{name}`, where `_`
/// stands for the `*` of a wildcard, which CloudWatch Logs has not in its names.
pub fn domain_log_group(name: &str) -> String {
    format!("/countersign/domains/{}", name.replace('*', "_"))
}
