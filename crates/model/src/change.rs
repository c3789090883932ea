//! Changes of the settings: resources put or deleted, as the store keeps them.

use serde::{Serialize, de::DeserializeOwned};

use crate::resource::{
    AccessKey, Account, AcmeAccount, AcmeOrder, Api, ApiKey, ApiMapping, ApiPolicy, Authorizer, Certificate,
    ClientCertificate, Deployment, DocumentationPart, DocumentationVersion, Domain, Endpoint, GatewayResponse, Group,
    HostedZone, Integration, LocalCa, LogGroup, LogResourcePolicy, ManagedPolicy, Model, QueryDefinition, RecordSet,
    RequestValidator, RestApi, RestAuthorizer, RestResource, Role, Route, RoutingRule, Stage, UpstreamCa, UsagePlan,
    UsagePlanKey, User, VpcLink, WebSocketIntegration, WebSocketModel, WebSocketRoute, ZoneChange,
};

/// One resource put (`value` is its JSON) or deleted (`None`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub key: Key,
    /// The resource's JSON; `None` deletes.
    pub value: Option<Vec<u8>>,
}

/// The name of a resource in the store: segments joined by `/`, the first of which is the kind. Segments are
/// percent-encoded where they contain `/` or `%`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// A resource that is stored under a key of its own.
pub trait Resource: Serialize + DeserializeOwned {
    /// First segment of the key.
    const KIND: &'static str;
    /// The other segments.
    fn path(&self) -> Vec<&str>;
}

impl Change {
    /// Puts a resource.
    pub fn put<R: Resource>(resource: &R) -> Self {
        let value = serde_json::to_vec(resource).expect("resources are plain data with string keys");
        Self { key: Key::of(resource), value: Some(value) }
    }

    /// Deletes a resource.
    pub fn delete<R: Resource>(resource: &R) -> Self {
        Self { key: Key::of(resource), value: None }
    }
}

impl Key {
    fn of<R: Resource>(resource: &R) -> Self {
        let mut key = R::KIND.to_owned();
        for segment in resource.path() {
            key.push('/');
            for c in segment.chars() {
                match c {
                    '/' => key.push_str("%2F"),
                    '%' => key.push_str("%25"),
                    c => key.push(c),
                }
            }
        }
        Self(key)
    }

    /// The first segment.
    pub fn kind(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Key {
    fn from(key: String) -> Self {
        Self(key)
    }
}

macro_rules! resources {
    ($($type:ty = $kind:literal [$($segment:ident),*];)*) => {
        $(impl Resource for $type {
            const KIND: &'static str = $kind;
            fn path(&self) -> Vec<&str> {
                vec![$(self.$segment.as_str()),*]
            }
        })*
    };
}

resources! {
    AccessKey = "access-keys" [id];
    Account = "accounts" [region];
    AcmeAccount = "acme-accounts" [directory];
    AcmeOrder = "acme-orders" [arn];
    Api = "apis" [id];
    ApiKey = "api-keys" [id];
    ApiPolicy = "api-policies" [api_id];
    ApiMapping = "mappings" [domain, id];
    Authorizer = "authorizers" [api_id, id];
    Certificate = "certificates" [arn];
    ClientCertificate = "client-certificates" [id];
    Deployment = "deployments" [api_id, id];
    DocumentationPart = "documentation-parts" [api_id, id];
    DocumentationVersion = "documentation-versions" [api_id, version];
    Domain = "domains" [name];
    Endpoint = "endpoints" [region];
    GatewayResponse = "gateway-responses" [api_id, response_type];
    Group = "groups" [name];
    HostedZone = "hosted-zones" [id];
    Integration = "integrations" [api_id, id];
    LocalCa = "local-ca" [id];
    LogGroup = "log-groups" [region, name];
    ManagedPolicy = "managed-policies" [arn];
    Model = "models" [api_id, name];
    RecordSet = "record-sets" [zone_id, key];
    LogResourcePolicy = "log-resource-policies" [region, name];
    QueryDefinition = "query-definitions" [region, id];
    Role = "roles" [name];
    Route = "routes" [api_id, id];
    RequestValidator = "request-validators" [api_id, id];
    RestApi = "rest-apis" [id];
    RestAuthorizer = "rest-authorizers" [api_id, id];
    RestResource = "rest-resources" [api_id, id];
    RoutingRule = "routing-rules" [domain, id];
    Stage = "stages" [api_id, name];
    UpstreamCa = "upstream-cas" [api_id];
    UsagePlan = "usage-plans" [id];
    UsagePlanKey = "usage-plan-keys" [plan_id, key_id];
    User = "users" [name];
    VpcLink = "vpc-links" [id];
    WebSocketIntegration = "web-socket-integrations" [api_id, id];
    WebSocketModel = "web-socket-models" [api_id, id];
    WebSocketRoute = "web-socket-routes" [api_id, id];
    ZoneChange = "zone-changes" [id];
}
