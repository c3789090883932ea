//! Methods of resources, and their integrations.

use aws::Error;
use aws::apigateway as wire;
use model::mapping::RestMapping;
use model::resource::{RestApi, RestAuthorization, RestIntegration, RestMethod, RestResource};

use super::patch::Patch;
use super::{Draft, request_validator, resource, rest_api};
use crate::apigatewayv2::check::{NOT_HERE, refuse};
use crate::apigatewayv2::integration::{checked_uri, sample_variables};

const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
const TIMEOUT_MS: std::ops::RangeInclusive<i32> = 50..=29_000;
const DEFAULT_TIMEOUT_MS: u32 = 29_000;
const MAX_PARAMETERS: usize = 100;
const PATHS: &str = "/authorizationType, /apiKeyRequired, /operationName, /requestValidatorId, \
                     /requestParameters/{requestParameter}";
const INTEGRATION_PATHS: &str = "/httpMethod, /uri, /timeoutInMillis, /requestParameters/{requestParameter}";

pub(super) fn put(draft: &mut Draft<'_>, input: &wire::PutMethodRequest) -> Result<wire::Method, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let mut resource = resource::find(draft, &api, &input.resource_id)?.clone();
    check_method(&input.http_method)?;
    if resource.methods.contains_key(&input.http_method) {
        return Err(Error::conflict("Method already exists for this resource"));
    }
    refuse(input.authorizer_id.is_some(), "authorizerId", NOT_HERE)?;
    refuse(input.request_models.as_ref().is_some_and(|models| !models.is_empty()), "requestModels", NOT_HERE)?;
    refuse(
        input.authorization_scopes.as_ref().is_some_and(|scopes| !scopes.is_empty()),
        "authorizationScopes",
        NOT_HERE,
    )?;
    let method = RestMethod {
        operation_name: input.operation_name.clone(),
        request_parameters: input.request_parameters.clone().unwrap_or_default(),
        authorization: authorization(&input.authorization_type)?,
        api_key_required: input.api_key_required.unwrap_or(false),
        request_validator_id: input.request_validator_id.clone().filter(|id| !id.is_empty()),
        asks_for_parameters: false,
        integration: None,
    };
    check(draft, &api, &method)?;
    let shown = show(&resource, &input.http_method, &method);
    resource.methods.insert(input.http_method.clone(), method);
    draft.put(&resource)?;
    Ok(shown)
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateMethodRequest) -> Result<wire::Method, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let method = &mut found.method;
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["authorizationType"]) => method.authorization = authorization(&patch.value)?,
            (wire::Op::Replace, ["apiKeyRequired"]) => method.api_key_required = patch.flag()?,
            (_, ["operationName"]) => {
                method.operation_name = Some(patch.value_or_empty()).filter(|name| !name.is_empty());
            }
            (_, ["requestValidatorId"]) => {
                method.request_validator_id = Some(patch.value_or_empty()).filter(|id| !id.is_empty());
            }
            (wire::Op::Remove, ["requestParameters", name]) => drop(method.request_parameters.remove(*name)),
            (_, ["requestParameters", name]) => {
                let required = !patch.value.is_empty() && patch.flag()?;
                method.request_parameters.insert((*name).to_owned(), required);
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    let api = rest_api::find(draft, &input.rest_api_id)?;
    check(draft, &api, &found.method)?;
    if let Some(integration) = &found.method.integration {
        check_mapping(&found.method, integration)?;
    }
    let shown = show(&found.resource, &input.http_method, &found.method);
    found.resource.methods.insert(input.http_method.clone(), found.method);
    draft.put(&found.resource)?;
    Ok(shown)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteMethodRequest) -> Result<(), Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    found.resource.methods.remove(&input.http_method);
    draft.put(&found.resource)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetMethodRequest) -> Result<wire::Method, Error> {
    let found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    Ok(show(&found.resource, &input.http_method, &found.method))
}

pub(super) fn put_integration(
    draft: &mut Draft<'_>,
    input: &wire::PutIntegrationRequest,
) -> Result<wire::Integration, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    if input.r#type != wire::IntegrationType::HttpProxy {
        let message = format!("Integration type {} {NOT_HERE}: HTTP_PROXY is the type that is served", input.r#type);
        return Err(Error::bad_request(message));
    }
    unsupported(input)?;
    let method = input.integration_http_method.clone();
    let method = method.ok_or_else(|| Error::bad_request("Enumeration value for HttpMethod must be non-empty"))?;
    check_method(&method)?;
    let uri = input.uri.as_deref().ok_or_else(|| Error::bad_request("Invalid HTTP endpoint specified for URI"))?;
    let timeout = input.timeout_in_millis.map_or(Ok(DEFAULT_TIMEOUT_MS), checked_timeout)?;
    let integration = RestIntegration {
        method,
        uri: checked_uri(uri)?,
        timeout_ms: timeout,
        request_parameters: input.request_parameters.clone().unwrap_or_default(),
    };
    check_mapping(&found.method, &integration)?;
    let shown = show_integration(&found.resource, &integration);
    found.method.integration = Some(integration);
    found.resource.methods.insert(input.http_method.clone(), found.method);
    draft.put(&found.resource)?;
    Ok(shown)
}

pub(super) fn update_integration(
    draft: &mut Draft<'_>,
    input: &wire::UpdateIntegrationRequest,
) -> Result<wire::Integration, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let mut integration = found.method.integration.take().ok_or_else(no_integration)?;
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["httpMethod"]) => {
                check_method(&patch.value)?;
                integration.method = patch.value;
            }
            (wire::Op::Replace, ["uri"]) => integration.uri = checked_uri(&patch.value)?,
            (wire::Op::Replace, ["timeoutInMillis"]) => {
                integration.timeout_ms = checked_timeout(patch.parse(|text| text.parse().ok())?)?;
            }
            (wire::Op::Remove, ["requestParameters", name]) => drop(integration.request_parameters.remove(*name)),
            (_, ["requestParameters", name]) => {
                integration.request_parameters.insert((*name).to_owned(), patch.value.clone());
            }
            _ => return Err(patch.unknown(INTEGRATION_PATHS)),
        }
    }
    check_mapping(&found.method, &integration)?;
    let shown = show_integration(&found.resource, &integration);
    found.method.integration = Some(integration);
    found.resource.methods.insert(input.http_method.clone(), found.method);
    draft.put(&found.resource)?;
    Ok(shown)
}

pub(super) fn delete_integration(draft: &mut Draft<'_>, input: &wire::DeleteIntegrationRequest) -> Result<(), Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    found.method.integration.take().ok_or_else(no_integration)?;
    found.resource.methods.insert(input.http_method.clone(), found.method);
    draft.put(&found.resource)
}

pub(super) fn get_integration(
    draft: &Draft<'_>,
    input: &wire::GetIntegrationRequest,
) -> Result<wire::Integration, Error> {
    let found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let integration = found.method.integration.as_ref().ok_or_else(no_integration)?;
    Ok(show_integration(&found.resource, integration))
}

/// A method with the resource that it is of.
struct Found {
    resource: RestResource,
    method: RestMethod,
}

impl Found {
    fn find(draft: &Draft<'_>, api_id: &str, resource_id: &str, name: &str) -> Result<Self, Error> {
        let api: &RestApi = &*rest_api::find(draft, api_id)?;
        let resource = resource::find(draft, api, resource_id)?.clone();
        let method = resource.methods.get(name).cloned();
        let method = method.ok_or_else(|| Error::not_found("Invalid Method identifier specified"))?;
        Ok(Self { resource, method })
    }
}

/// Of those that are served.
fn authorization(name: &str) -> Result<RestAuthorization, Error> {
    let unknown = || Error::bad_request(format!("authorizationType {name} {NOT_HERE}"));
    RestAuthorization::parse(name).ok_or_else(unknown)
}

fn check(draft: &Draft<'_>, api: &RestApi, method: &RestMethod) -> Result<(), Error> {
    if method.request_parameters.len() > MAX_PARAMETERS {
        return Err(Error::bad_request(format!("A method has at most {MAX_PARAMETERS} request parameters")));
    }
    if let Some(wrong) = method.request_parameters.keys().find(|name| !is_parameter(name)) {
        return Err(mapping_error(wrong));
    }
    let validator = method.request_validator_id.as_deref();
    validator.map_or(Ok(()), |id| request_validator::find(draft, api, id).map(drop))
}

fn checked_timeout(timeout: i32) -> Result<u32, Error> {
    let timeout = Some(timeout).filter(|timeout| TIMEOUT_MS.contains(timeout)).map(i32::cast_unsigned);
    timeout.ok_or_else(|| Error::bad_request("Timeout should be between 50 ms and 29000 ms"))
}

fn no_integration() -> Error {
    Error::not_found("Invalid Integration identifier specified")
}

fn check_method(name: &str) -> Result<(), Error> {
    match METHODS.contains(&name) {
        true => Ok(()),
        false => Err(Error::bad_request(
            "Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY",
        )),
    }
}

/// `method.request.LOCATION.NAME`
fn is_parameter(name: &str) -> bool {
    let location = name.strip_prefix("method.request.").and_then(|name| name.split_once('.'));
    location.is_some_and(|(location, name)| matches!(location, "header" | "querystring" | "path") && !name.is_empty())
}

/// What a mapping refers to has to be a parameter of the method.
fn check_mapping(method: &RestMethod, integration: &RestIntegration) -> Result<(), Error> {
    let parameters = &integration.request_parameters;
    if parameters.len() > MAX_PARAMETERS {
        return Err(Error::bad_request(format!("An integration has at most {MAX_PARAMETERS} request parameters")));
    }
    let sample = parameters.values().flat_map(|value| sample_variables(value)).collect();
    RestMapping::parse(parameters, &sample).map_err(|error| {
        let message =
            format!("Invalid mapping expression specified: Validation Result: warnings : [], errors : [{error}]");
        Error::bad_request(message)
    })?;
    let of_method = |value: &&String| value.starts_with("method.request.");
    let unknown = parameters.values().filter(of_method).find(|value| !method.request_parameters.contains_key(*value));
    unknown.map_or(Ok(()), |value| Err(mapping_error(value)))
}

fn mapping_error(parameter: &str) -> Error {
    Error::bad_request(format!(
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression \
         parameter specified: {parameter}]"
    ))
}

fn unsupported(input: &wire::PutIntegrationRequest) -> Result<(), Error> {
    let empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    let insecure = input.tls_config.as_ref().is_some_and(|tls| tls.insecure_skip_verification == Some(true));
    [
        (input.connection_type == Some(wire::ConnectionType::VpcLink), "connectionType VPC_LINK"),
        (input.connection_id.is_some(), "connectionId"),
        (input.credentials.is_some(), "credentials"),
        (input.integration_target.is_some(), "integrationTarget"),
        (input.request_templates.as_ref().is_some_and(|templates| !templates.is_empty()), "requestTemplates"),
        (input.content_handling.is_some(), "contentHandling"),
        (!empty(&input.cache_key_parameters), "cacheKeyParameters"),
        (input.cache_namespace.is_some(), "cacheNamespace"),
        (insecure, "insecureSkipVerification"),
        (input.passthrough_behavior.as_deref().is_some_and(|how| how != "WHEN_NO_MATCH"), "passthroughBehavior"),
    ]
    .iter()
    .try_for_each(|(given, what)| refuse(*given, what, NOT_HERE))
}

pub(super) fn show(resource: &RestResource, name: &str, method: &RestMethod) -> wire::Method {
    wire::Method {
        api_key_required: Some(method.api_key_required),
        authorization_type: Some(method.authorization.as_str().to_owned()),
        http_method: Some(name.to_owned()),
        method_integration: method.integration.as_ref().map(|integration| show_integration(resource, integration)),
        operation_name: method.operation_name.clone(),
        request_validator_id: method.request_validator_id.clone(),
        request_parameters: Some(method.request_parameters.clone()).filter(|parameters| !parameters.is_empty()),
        ..Default::default()
    }
}

fn show_integration(resource: &RestResource, integration: &RestIntegration) -> wire::Integration {
    wire::Integration {
        cache_key_parameters: Some(Vec::new()),
        cache_namespace: Some(resource.id.clone()),
        connection_type: Some(wire::ConnectionType::Internet),
        http_method: Some(integration.method.clone()),
        passthrough_behavior: Some("WHEN_NO_MATCH".to_owned()),
        request_parameters: Some(integration.request_parameters.clone()).filter(|found| !found.is_empty()),
        timeout_in_millis: i32::try_from(integration.timeout_ms).ok(),
        r#type: Some(wire::IntegrationType::HttpProxy),
        uri: Some(integration.uri.clone()),
        ..Default::default()
    }
}
