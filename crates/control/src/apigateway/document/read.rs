//! What an OpenAPI document says of a REST API: the requests that make it.
//!
//! Source: "Develop REST APIs using OpenAPI in API Gateway" and "OpenAPI extensions for API Gateway", API Gateway developer guide.

mod integration;
mod payload;
mod security;

use std::collections::BTreeMap;

use aws::Error;
use aws::apigateway as wire;
use model::resource::RestApi;
use serde_json::Value;

pub(super) use self::integration::OTHERS;
use self::security::Scheme;
use super::schema;
use crate::openapi::{Document, Node, Operation, Version, disable_endpoint, operations, tags};

const VALIDATOR: &str = "x-amazon-apigateway-request-validator";
/// What there is not here, at the root of a document.
const IGNORED: [(&str, &str); 4] = [
    ("x-amazon-apigateway-policy", "resource policies are not available in Countersign"),
    ("x-amazon-apigateway-minimum-compression-size", "payloads are not compressed in Countersign"),
    ("x-amazon-apigateway-cors", "it is for HTTP APIs"),
    ("x-amazon-apigateway-security-policy", "an API has no security policy in Countersign"),
];

/// A REST API as a document describes it. Ids are filled in when there are some.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) api: wire::CreateRestApiRequest,
    /// By name, with the references of the document.
    schemas: BTreeMap<String, Value>,
    pub(super) validators: Vec<wire::CreateRequestValidatorRequest>,
    pub(super) authorizers: Vec<wire::CreateAuthorizerRequest>,
    pub(super) gateway_responses: Vec<wire::PutGatewayResponseRequest>,
    /// By path.
    pub(super) methods: BTreeMap<String, Vec<DescribedMethod>>,
    /// What is not as the document says.
    pub(super) warnings: Vec<String>,
}

/// A method, without the ids of what it names.
#[derive(Debug, Default)]
pub(super) struct DescribedMethod {
    pub(super) method: wire::PutMethodRequest,
    /// By name.
    pub(super) authorizer: Option<String>,
    /// By name.
    pub(super) validator: Option<String>,
    pub(super) responses: Vec<wire::PutMethodResponseRequest>,
    pub(super) integration: Option<wire::PutIntegrationRequest>,
    pub(super) integration_responses: Vec<wire::PutIntegrationResponseRequest>,
}

/// What has been read so far, and what holds where an operation says nothing of it.
struct Reading<'d> {
    version: Version,
    definition: Definition,
    schemes: BTreeMap<String, Scheme>,
    security: Option<Node<'d>>,
    validator: Option<String>,
    consumes: Vec<String>,
    produces: Vec<String>,
}

impl Definition {
    /// Reads a document. `prefix` stands before each path.
    pub(super) fn read(document: &Document, prefix: &str) -> Result<Self, Error> {
        let root = document.node();
        let definition = Self {
            api: api(&root)?,
            schemas: BTreeMap::new(),
            validators: validators(&root)?,
            authorizers: Vec::new(),
            gateway_responses: gateway_responses(&root)?,
            methods: BTreeMap::new(),
            warnings: Vec::new(),
        };
        let mut reading = Reading {
            version: document.version(),
            definition,
            schemes: BTreeMap::new(),
            security: root.get("security")?,
            validator: root.text_of(VALIDATOR)?,
            consumes: payload::media_types(&root, "consumes")?,
            produces: payload::media_types(&root, "produces")?,
        };
        for (name, why) in IGNORED {
            if root.get(name)?.is_some() {
                reading.warn(format!("{name}: {why}, ignoring."));
            }
        }
        reading.schemas(&root)?;
        reading.schemes(&root)?;
        for operation in operations(document)? {
            reading.method(&operation, prefix)?;
        }
        Ok(reading.definition)
    }

    /// The models of an API.
    pub(super) fn models(&self, api: &RestApi) -> Vec<wire::CreateModelRequest> {
        let model = |(name, described): (&String, &Value)| wire::CreateModelRequest {
            content_type: "application/json".to_owned(),
            description: None,
            name: name.clone(),
            rest_api_id: api.id.clone(),
            schema: serde_json::to_string_pretty(&schema::to_model(described, &api.id, name)).ok(),
        };
        self.schemas.iter().map(model).collect()
    }
}

impl<'d> Reading<'d> {
    fn schemas(&mut self, root: &Node<'d>) -> Result<(), Error> {
        let schemas = match self.version {
            Version::Swagger2 => root.get("definitions")?,
            Version::OpenApi3 => {
                root.get("components")?.map(|components| components.get("schemas")).transpose()?.flatten()
            }
        };
        let Some(Value::Object(schemas)) = schemas.map(|schemas| schemas.value()) else { return Ok(()) };
        self.definition.schemas.extend(schemas.iter().map(|(name, schema)| (name.clone(), schema.clone())));
        Ok(())
    }

    fn method(&mut self, operation: &Operation<'d>, prefix: &str) -> Result<(), Error> {
        let node = &operation.node;
        let segments = [prefix, operation.path].into_iter().flat_map(|path| path.split('/'));
        let path =
            segments.filter(|segment| !segment.is_empty()).map(|segment| format!("/{segment}")).collect::<String>();
        let path = if path.is_empty() { "/".to_owned() } else { path };
        let access = self.access(node, &format!("{} {path}", operation.method))?;
        let (parameters, models) = self.request(operation)?;
        let responses = self.responses(node)?;
        let (integration, integration_responses) = self.integration(node, &responses)?;
        let validator = node.text_of(VALIDATOR)?.or_else(|| self.validator.clone()).filter(|name| !name.is_empty());
        if let Some(name) = &validator
            && !self.definition.validators.iter().any(|known| known.name.as_ref() == Some(name))
        {
            return Err(node.wrong(&format!("{VALIDATOR} {name} is not among x-amazon-apigateway-request-validators")));
        }
        let method = wire::PutMethodRequest {
            api_key_required: Some(access.api_key),
            authorization_type: access.authorization.to_owned(),
            http_method: operation.method.to_owned(),
            operation_name: node.text_of("operationId")?.filter(|name| !name.is_empty()),
            request_models: Some(models),
            request_parameters: Some(parameters),
            ..Default::default()
        };
        let at_path = self.definition.methods.entry(path).or_default();
        if at_path.iter().any(|known| known.method.http_method == operation.method) {
            return Err(node.wrong("the path is there twice, with a slash at its end and without"));
        }
        let authorizer = access.authorizer;
        at_path.push(DescribedMethod { method, authorizer, validator, responses, integration, integration_responses });
        Ok(())
    }

    fn warn(&mut self, warning: String) {
        self.definition.warnings.push(warning);
    }
}

fn api(root: &Node<'_>) -> Result<wire::CreateRestApiRequest, Error> {
    let info = root.get("info")?.ok_or_else(|| root.wrong("info is missing"))?;
    let name = info.text_of("title")?.filter(|title| !title.is_empty());
    let key_source = root.get("x-amazon-apigateway-api-key-source")?.map(|source| {
        let text = source.text()?.to_ascii_uppercase();
        wire::ApiKeySourceType::parse(&text).ok_or_else(|| source.wrong("HEADER or AUTHORIZER is expected"))
    });
    let binary = root.get("x-amazon-apigateway-binary-media-types")?;
    Ok(wire::CreateRestApiRequest {
        api_key_source: key_source.transpose()?,
        binary_media_types: binary.map(|types| types.texts()).transpose()?,
        description: info.text_of("description")?,
        disable_execute_api_endpoint: disable_endpoint(root)?,
        name: name.ok_or_else(|| info.wrong("title is missing, which is the API's name"))?,
        tags: Some(tags(root)?).filter(|tags| !tags.is_empty()),
        version: info.text_of("version")?,
        ..Default::default()
    })
}

fn validators(root: &Node<'_>) -> Result<Vec<wire::CreateRequestValidatorRequest>, Error> {
    let Some(node) = root.get("x-amazon-apigateway-request-validators")? else { return Ok(Vec::new()) };
    let validator = |(name, node): (&str, Node<'_>)| {
        let flag = |member: &str| node.get(member)?.map(|flag| flag.boolean()).transpose();
        Ok(wire::CreateRequestValidatorRequest {
            name: Some(name.to_owned()),
            validate_request_body: flag("validateRequestBody")?,
            validate_request_parameters: flag("validateRequestParameters")?,
            ..Default::default()
        })
    };
    node.entries()?.into_iter().map(validator).collect()
}

fn gateway_responses(root: &Node<'_>) -> Result<Vec<wire::PutGatewayResponseRequest>, Error> {
    let Some(node) = root.get("x-amazon-apigateway-gateway-responses")? else { return Ok(Vec::new()) };
    let response = |(name, node): (&str, Node<'_>)| {
        let map = |member: &str| node.get(member)?.map(|map| map.text_map()).transpose();
        Ok(wire::PutGatewayResponseRequest {
            response_parameters: map("responseParameters")?,
            response_templates: map("responseTemplates")?,
            response_type: wire::GatewayResponseType::parse(name)
                .ok_or_else(|| node.wrong("it is no type of gateway responses"))?,
            rest_api_id: String::new(),
            status_code: node.get("statusCode")?.map(|code| code.text()).transpose()?,
        })
    };
    node.entries()?.into_iter().map(response).collect()
}
