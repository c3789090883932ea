//! A REST API, as it is deployed, as an OpenAPI document, which makes the same API when it is imported.

mod components;
mod operation;

use std::collections::BTreeMap;

use aws::Error;
use model::resource::{Deployment, DocumentationVersion, RestApi};
use serde_json::{Map, Value, json};

use crate::apigateway::documentation;
use crate::openapi::{created, method_key};

/// What is exported.
pub(super) struct Export<'a> {
    pub(super) api: &'a RestApi,
    /// With the port.
    pub(super) host: String,
    pub(super) stage: &'a str,
    pub(super) deployed: &'a Deployment,
    /// The stage's.
    pub(super) documentation: Option<&'a DocumentationVersion>,
    pub(super) format: Format,
    pub(super) extensions: Extensions,
}

/// The specification that a document follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Swagger 2.0.
    Swagger2,
    /// OpenAPI 3.0.
    OpenApi3,
}

/// Which of `x-amazon-apigateway-…` are written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extensions {
    /// Integrations.
    integrations: bool,
    /// Authorizers.
    authorizers: bool,
    /// The documentation.
    documentation: bool,
    /// All others.
    others: bool,
}

impl Extensions {
    /// `extensions` of a request: several with commas between them.
    pub(super) fn parse(text: Option<&String>) -> Result<Self, Error> {
        let mut wanted = Self::default();
        for name in text.into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "integrations" => wanted.integrations = true,
                "authorizers" => wanted.authorizers = true,
                "documentation" => wanted.documentation = true,
                "apigateway" => {
                    wanted = Self { integrations: true, authorizers: true, documentation: true, others: true };
                }
                other => {
                    let message = format!(
                        "Invalid extensions {other}: integrations, authorizers, documentation and apigateway are available"
                    );
                    return Err(Error::bad_request(message));
                }
            }
        }
        Ok(wanted)
    }
}

impl Export<'_> {
    pub(super) fn document(&self) -> Value {
        let mut document = Map::new();
        let mut put = |name: &str, value: Value| drop(document.insert(name.to_owned(), value));
        let version = self.api.version.clone().unwrap_or_else(|| created(self.api.created));
        let mut info = json!({"title": self.api.name, "version": version});
        if let Some(description) = &self.api.description {
            info["description"] = json!(description);
        }
        put("info", info);
        match self.format {
            Format::OpenApi3 => {
                put("openapi", json!("3.0.1"));
                put("servers", json!([self.server()]));
                put("components", self.components());
            }
            Format::Swagger2 => {
                put("swagger", json!("2.0"));
                put("host", json!(self.host));
                put("basePath", json!(format!("/{}", self.stage)));
                put("schemes", json!(["https"]));
                put("securityDefinitions", self.schemes());
                put("definitions", self.schemas());
            }
        }
        put("paths", self.paths());
        if let Some(version) = self.documentation.filter(|_| self.extensions.documentation) {
            put("x-amazon-apigateway-documentation", documentation::extension(version));
        }
        if self.extensions.others {
            self.root_extensions(&mut put);
        }
        Value::Object(document)
    }

    fn server(&self) -> Value {
        let mut server = json!({
            "url": format!("https://{}/{{basePath}}", self.host),
            "variables": {"basePath": {"default": self.stage}},
        });
        if self.extensions.others {
            server["x-amazon-apigateway-endpoint-configuration"] = self.endpoint();
        }
        server
    }

    fn endpoint(&self) -> Value {
        json!({"disableExecuteApiEndpoint": self.deployed.disable_execute_api_endpoint})
    }

    fn root_extensions(&self, put: &mut impl FnMut(&str, Value)) {
        if self.format == Format::Swagger2 {
            put("x-amazon-apigateway-endpoint-configuration", self.endpoint());
        }
        if !self.api.tags.is_empty() {
            let tag = |(name, value)| json!({"name": name, "x-amazon-apigateway-tag-value": value});
            put("tags", self.api.tags.iter().map(tag).collect());
        }
        if !self.deployed.request_validators.is_empty() {
            let described = |validator: &model::resource::RequestValidator| {
                let flags =
                    json!({"validateRequestBody": validator.body, "validateRequestParameters": validator.parameters});
                (self.validator_name(validator), flags)
            };
            let all = self.deployed.request_validators.iter().map(described).collect();
            put("x-amazon-apigateway-request-validators", Value::Object(all));
        }
        if !self.deployed.gateway_responses.is_empty() {
            let described = |response: &model::resource::GatewayResponse| {
                let mut members = json!({});
                if let Some(status) = response.status_code {
                    members["statusCode"] = json!(status);
                }
                for (name, map) in [
                    ("responseParameters", &response.response_parameters),
                    ("responseTemplates", &response.response_templates),
                ] {
                    if !map.is_empty() {
                        members[name] = json!(map);
                    }
                }
                (response.response_type.clone(), members)
            };
            let all = self.deployed.gateway_responses.iter().map(described).collect();
            put("x-amazon-apigateway-gateway-responses", Value::Object(all));
        }
        if !self.deployed.binary_media_types.is_empty() {
            put("x-amazon-apigateway-binary-media-types", json!(self.deployed.binary_media_types));
        }
    }

    /// Its name, if it has one that no other has.
    fn validator_name(&self, validator: &model::resource::RequestValidator) -> String {
        let mut others = self.deployed.request_validators.iter().filter(|other| other.id != validator.id);
        match validator.name.is_empty() || others.any(|other| other.name == validator.name) {
            true => format!("{} {}", validator.name, validator.id).trim_start().to_owned(),
            false => validator.name.clone(),
        }
    }

    fn paths(&self) -> Value {
        let with_methods = self.deployed.resources.iter().filter(|resource| !resource.methods.is_empty());
        let paths: BTreeMap<&str, Map<String, Value>> = with_methods
            .map(|resource| {
                let methods = resource.methods.iter();
                let methods = methods.map(|(name, method)| (method_key(name).to_owned(), self.operation(method)));
                (resource.path.as_str(), methods.collect())
            })
            .collect();
        json!(paths)
    }
}
