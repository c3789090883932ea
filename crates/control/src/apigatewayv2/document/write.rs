//! An HTTP API as an OpenAPI document, which makes the same API when it is imported.

use std::collections::BTreeMap;

use model::resource::{Api, Authorization, Authorizer, AuthorizerKind, Deployment, Integration, Route};
use serde_json::{Map, Value, json};

use crate::apigatewayv2::integration;
use crate::openapi::{created, method_key, path_variables};

/// What is exported.
pub(super) struct Export<'a> {
    pub(super) api: &'a Api,
    /// Of the API, without a stage.
    pub(super) endpoint: String,
    pub(super) stage: Option<&'a str>,
    /// The API as it is, or as it is deployed.
    pub(super) parts: &'a Deployment,
    /// `x-amazon-apigateway-…`
    pub(super) extensions: bool,
}

impl Export<'_> {
    pub(super) fn document(&self) -> Value {
        let api = self.api;
        let mut document = Map::new();
        let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
        put("openapi", json!("3.0.1"));
        let mut info =
            json!({"title": api.name, "version": api.version.clone().unwrap_or_else(|| created(api.created))});
        if let Some(description) = &api.description {
            info["description"] = json!(description);
        }
        put("info", info);
        put("servers", json!([self.server()]));
        if self.extensions && !api.tags.is_empty() {
            let tags =
                api.tags.iter().map(|(name, value)| json!({"name": name, "x-amazon-apigateway-tag-value": value}));
            put("tags", tags.collect());
        }
        put("paths", self.paths());
        if let Some(components) = self.components() {
            put("components", components);
        }
        if self.extensions {
            if let Some(cors) = &self.parts.cors {
                put("x-amazon-apigateway-cors", json!(crate::apigatewayv2::api::show_cors(cors.clone())));
            }
            put("x-amazon-apigateway-importexport-version", json!("1.0"));
        }
        Value::Object(document)
    }

    fn server(&self) -> Value {
        let stage = self.stage.filter(|stage| *stage != "$default").unwrap_or_default();
        let mut server = json!({
            "url": format!("{}/{{basePath}}", self.endpoint),
            "variables": {"basePath": {"default": stage}},
        });
        if self.extensions {
            let disabled = self.parts.disable_execute_api_endpoint;
            server["x-amazon-apigateway-endpoint-configuration"] = json!({"disableExecuteApiEndpoint": disabled});
        }
        server
    }

    fn paths(&self) -> Value {
        let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for route in &self.parts.routes {
            let (method, path) = route.route_key.split_once(' ').unwrap_or(("ANY", "/$default"));
            paths.entry(path).or_default().insert(method_key(method).to_owned(), self.operation(route, path));
        }
        json!(paths)
    }

    fn operation(&self, route: &Route, path: &str) -> Value {
        let key = &route.route_key;
        let mut operation = json!({"responses": {"default": {"description": format!("Default response for {key}")}}});
        if let Some(name) = &route.operation_name {
            operation["operationId"] = json!(name);
        }
        let variables: Vec<Value> = path_variables(path)
            .map(|name| {
                let description = "Generated path parameter";
                json!({"name": name, "in": "path", "description": description, "required": true, "schema": {"type": "string"}})
            })
            .collect();
        if !variables.is_empty() {
            operation["parameters"] = json!(variables);
        }
        if let Some((name, scopes)) = self.security(&route.authorization) {
            operation["security"] = json!([{name: scopes}]);
        }
        if self.extensions {
            if route.route_key == "$default" {
                operation["isDefaultRoute"] = json!(true);
            }
            if route.authorization == Authorization::AwsIam {
                operation["x-amazon-apigateway-auth"] = json!({"type": "AWS_IAM"});
            }
            if let Some(integration) = self.integration_of(route) {
                operation["x-amazon-apigateway-integration"] = integration;
            }
        }
        operation
    }

    fn security<'r>(&'r self, authorization: &'r Authorization) -> Option<(&'r String, &'r [String])> {
        let id = authorization.authorizer_id()?;
        let authorizer = self.parts.authorizers.iter().find(|authorizer| authorizer.id == id)?;
        let scopes = if let Authorization::Jwt { scopes, .. } = authorization { &scopes[..] } else { &[][..] };
        Some((&authorizer.name, scopes))
    }

    /// Itself, or where it stands, if it is not this route's alone.
    fn integration_of(&self, route: &Route) -> Option<Value> {
        let id = route.integration_id.as_deref()?;
        let integration = self.parts.integrations.iter().find(|integration| integration.id == id)?;
        Some(match self.is_component(integration) {
            true => json!({"$ref": format!("#/components/x-amazon-apigateway-integrations/{}", integration.id)}),
            false => described(integration),
        })
    }

    /// Whether several routes have it, or none.
    fn is_component(&self, integration: &Integration) -> bool {
        let named = |route: &&Route| route.integration_id.as_deref() == Some(&integration.id);
        self.parts.routes.iter().filter(named).count() != 1
    }

    fn components(&self) -> Option<Value> {
        let mut components = Map::new();
        if !self.parts.authorizers.is_empty() {
            let schemes = self.parts.authorizers.iter().map(|of| (of.name.clone(), scheme(of, self.extensions)));
            components.insert("securitySchemes".to_owned(), Value::Object(schemes.collect()));
        }
        let shared = self.parts.integrations.iter().filter(|integration| self.is_component(integration));
        let shared: Map<String, Value> = shared.map(|of| (of.id.clone(), described(of))).collect();
        if self.extensions && !shared.is_empty() {
            components.insert("x-amazon-apigateway-integrations".to_owned(), Value::Object(shared));
        }
        (!components.is_empty()).then_some(Value::Object(components))
    }
}

fn described(of: &Integration) -> Value {
    let shown = integration::show(of);
    let mut members = json!({
        "payloadFormatVersion": shown.payload_format_version,
        "type": shown.integration_type.map(|kind| kind.as_str().to_ascii_lowercase()),
        "httpMethod": shown.integration_method,
        "uri": shown.integration_uri,
        "connectionType": shown.connection_type,
        "timeoutInMillis": shown.timeout_in_millis,
    });
    if let Some(id) = shown.connection_id {
        members["connectionId"] = json!(id);
    }
    if let Some(parameters) = shown.request_parameters {
        members["requestParameters"] = json!(parameters);
    }
    if let Some(parameters) = shown.response_parameters {
        members["responseParameters"] = json!(parameters);
    }
    if let Some(tls) = shown.tls_config {
        members["tlsConfig"] = json!(tls);
    }
    members
}

fn scheme(authorizer: &Authorizer, extensions: bool) -> Value {
    let mut scheme = match authorizer.kind {
        AuthorizerKind::Jwt { .. } => json!({"type": "oauth2", "flows": {}}),
        AuthorizerKind::Request { .. } => json!({"type": "apiKey", "name": "Unused", "in": "header"}),
    };
    if extensions {
        scheme["x-amazon-apigateway-authorizer"] = match &authorizer.kind {
            AuthorizerKind::Jwt { issuer, audience } => json!({
                "type": "jwt",
                "identitySource": authorizer.identity_source.join(","),
                "jwtConfiguration": {"issuer": issuer, "audience": audience},
            }),
            AuthorizerKind::Request { uri, payload_format_version, result_ttl_seconds, simple_responses } => json!({
                "type": "request",
                "identitySource": authorizer.identity_source.join(","),
                "authorizerUri": uri,
                "authorizerPayloadFormatVersion": payload_format_version,
                "authorizerResultTtlInSeconds": result_ttl_seconds,
                "enableSimpleResponses": simple_responses,
            }),
        };
    }
    scheme
}
