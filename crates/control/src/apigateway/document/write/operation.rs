//! A method as an operation of a document.

use std::collections::BTreeMap;

use model::resource::{MethodResponse, RestAuthorization, RestIntegration, RestIntegrationKind, RestMethod};
use serde_json::{Map, Value, json};

use super::super::read::OTHERS;
use super::components::{API_KEY, SIGNATURE};
use super::{Export, Format};
use crate::apigateway::integration::{integration_type, passthrough_name};
use crate::openapi::method_key;

impl Export<'_> {
    pub(super) fn operation(&self, method: &RestMethod) -> Value {
        let mut operation = Map::new();
        let mut put = |name: &str, value: Value| drop(operation.insert(name.to_owned(), value));
        if let Some(name) = &method.operation_name {
            put("operationId", json!(name));
        }
        let parameters = self.parameters(method);
        if !parameters.is_empty() {
            put("parameters", json!(parameters));
        }
        let types_of = |models: &BTreeMap<String, String>| json!(models.keys().collect::<Vec<_>>());
        if !method.request_models.is_empty() {
            match self.format {
                Format::OpenApi3 => {
                    put("requestBody", json!({"content": self.content(&method.request_models), "required": true}));
                }
                Format::Swagger2 => put("consumes", types_of(&method.request_models)),
            }
        }
        if self.format == Format::Swagger2 {
            let mut produced = method.responses.values().flat_map(|response| response.models.clone());
            let produced: BTreeMap<String, String> = produced.by_ref().collect();
            if !produced.is_empty() {
                put("produces", types_of(&produced));
            }
        }
        let responses = method.responses.iter().map(|(status, found)| (status.clone(), self.response(status, found)));
        put("responses", Value::Object(responses.collect()));
        let security = self.security(method);
        if !security.is_empty() {
            put("security", json!(security));
        }
        if self.extensions.others
            && let Some(id) = &method.request_validator_id
            && let Some(validator) = self.deployed.request_validators.iter().find(|known| known.id == *id)
        {
            put("x-amazon-apigateway-request-validator", json!(self.validator_name(validator)));
        }
        if self.extensions.integrations
            && let Some(integration) = &method.integration
        {
            put("x-amazon-apigateway-integration", described(method, integration));
        }
        Value::Object(operation)
    }

    fn parameters(&self, method: &RestMethod) -> Vec<Value> {
        let parameter = |(name, required): (&String, &bool)| {
            let (place, name) = name.strip_prefix("method.request.")?.split_once('.')?;
            let place = if place == "querystring" { "query" } else { place };
            let mut parameter = json!({"name": name, "in": place, "required": required});
            self.typed(&mut parameter);
            Some(parameter)
        };
        let mut parameters: Vec<Value> = method.request_parameters.iter().filter_map(parameter).collect();
        if self.format == Format::Swagger2
            && let Some(name) = method.request_models.values().next()
        {
            // All media types of an operation have one schema there.
            let schema = json!({"$ref": format!("{}{name}", self.schemas_at())});
            parameters.push(json!({"in": "body", "name": name, "required": true, "schema": schema}));
        }
        parameters
    }

    /// Everything in a request's head is a text.
    fn typed(&self, described: &mut Value) {
        match self.format {
            Format::OpenApi3 => described["schema"] = json!({"type": "string"}),
            Format::Swagger2 => described["type"] = json!("string"),
        }
    }

    fn content(&self, models: &BTreeMap<String, String>) -> Value {
        let schema = |name: &String| json!({"schema": {"$ref": format!("{}{name}", self.schemas_at())}});
        models.iter().map(|(media_type, name)| (media_type.clone(), schema(name))).collect::<Map<_, _>>().into()
    }

    fn response(&self, status: &str, response: &MethodResponse) -> Value {
        let mut members = json!({"description": format!("{status} response")});
        let headers: Map<String, Value> = response
            .parameters
            .iter()
            .filter_map(|(name, required)| {
                let mut header = json!({});
                if *required && self.format == Format::OpenApi3 {
                    header["required"] = json!(true);
                }
                self.typed(&mut header);
                Some((name.strip_prefix("method.response.header.")?.to_owned(), header))
            })
            .collect();
        if !headers.is_empty() {
            members["headers"] = Value::Object(headers);
        }
        match self.format {
            Format::OpenApi3 if !response.models.is_empty() => members["content"] = self.content(&response.models),
            Format::OpenApi3 => {}
            Format::Swagger2 => {
                if let Some(name) = response.models.values().next() {
                    members["schema"] = json!({"$ref": format!("{}{name}", self.schemas_at())});
                }
            }
        }
        members
    }

    fn security(&self, method: &RestMethod) -> Vec<Value> {
        let requirement = |name: &str| json!({name: []});
        let of_authorization = match &method.authorization {
            RestAuthorization::None => None,
            RestAuthorization::AwsIam => Some(self.own_scheme(SIGNATURE)),
            RestAuthorization::Custom { authorizer_id } => {
                let known = self.deployed.rest_authorizers.iter().find(|known| known.id == *authorizer_id);
                known.map(|authorizer| authorizer.name.clone())
            }
        };
        let of_key = method.api_key_required.then(|| self.own_scheme(API_KEY));
        of_authorization.iter().chain(&of_key).map(|name| requirement(name)).collect()
    }
}

fn described(method: &RestMethod, integration: &RestIntegration) -> Value {
    let kind = integration_type(integration.kind).to_string().to_ascii_lowercase();
    let mut members = json!({
        "type": kind,
        "timeoutInMillis": integration.timeout_ms,
        "passthroughBehavior": passthrough_name(integration.passthrough).to_ascii_lowercase(),
    });
    let method_name = integration.method.as_ref().map(|name| if name == "ANY" { method_key(name) } else { name });
    for (name, value) in [
        ("uri", integration.uri.as_deref()),
        ("httpMethod", method_name),
        ("cacheNamespace", integration.cache_namespace.as_deref()),
    ] {
        if let Some(value) = value {
            members[name] = json!(value);
        }
    }
    if integration.kind != RestIntegrationKind::Mock {
        members["connectionType"] = json!("INTERNET");
    }
    for (name, map) in
        [("requestParameters", &integration.request_parameters), ("requestTemplates", &integration.request_templates)]
    {
        if !map.is_empty() {
            members[name] = json!(map);
        }
    }
    if !integration.cache_key_parameters.is_empty() {
        members["cacheKeyParameters"] = json!(integration.cache_key_parameters);
    }
    let responses = responses(method, integration);
    if !responses.is_empty() {
        members["responses"] = Value::Object(responses);
    }
    members
}

/// By pattern. Of several with the same one the first is used, and none that the method does not declare.
fn responses(method: &RestMethod, integration: &RestIntegration) -> Map<String, Value> {
    let mut all = Map::new();
    for (status, response) in integration.responses.iter().filter(|(status, _)| method.responses.contains_key(*status))
    {
        let mut members = json!({"statusCode": status});
        for (name, map) in [("responseParameters", &response.parameters), ("responseTemplates", &response.templates)] {
            if !map.is_empty() {
                members[name] = json!(map);
            }
        }
        let pattern = response.selection_pattern.clone().unwrap_or_else(|| OTHERS.to_owned());
        all.entry(pattern).or_insert(members);
    }
    all
}
