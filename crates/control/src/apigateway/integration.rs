//! Integrations of methods: HTTP services (HTTP, HTTP_PROXY), Lambda functions (AWS, AWS_PROXY), and the gateway itself (MOCK).

use std::collections::BTreeMap;

use aws::Error;
use aws::apigateway as wire;
use model::mapping::{MappingError, RestMapping};
use model::resource::{Passthrough, RestIntegration, RestIntegrationKind, RestMethod, RestResource};
use model::snapshot::{TemplateError, Templates};

use super::method::{Found, MAX_PARAMETERS, check_method, mapping_error};
use super::patch::Patch;
use super::{Draft, integration_response};
use crate::apigatewayv2::check::{NO_ROLES, NOT_HERE, refuse};
use crate::apigatewayv2::integration::{checked_function, checked_uri, sample_variables};

const TIMEOUT_MS: std::ops::RangeInclusive<i32> = 50..=29_000;
const DEFAULT_TIMEOUT_MS: u32 = 29_000;
const MAX_TEMPLATES: usize = 20;
const MAX_CACHE_KEYS: usize = 100;
const PATHS: &str = "/httpMethod, /uri, /timeoutInMillis, /passthroughBehavior, /requestParameters/{requestParameter}, \
                     /requestTemplates/{mediaType}, /cacheNamespace, /cacheKeyParameters/{parameter}";

/// What the integration before said of answers goes with it.
pub(super) fn put(draft: &mut Draft<'_>, input: &wire::PutIntegrationRequest) -> Result<wire::Integration, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let shown = add(&mut found, input)?;
    found.put(draft, &input.http_method)?;
    Ok(shown)
}

/// Gives a method the integration that a request describes.
pub(super) fn add(found: &mut Found, input: &wire::PutIntegrationRequest) -> Result<wire::Integration, Error> {
    unsupported(input)?;
    let passthrough = input.passthrough_behavior.as_deref();
    let integration = RestIntegration {
        kind: kind(input.r#type),
        method: input.integration_http_method.clone().filter(|method| !method.is_empty()),
        uri: input.uri.clone().filter(|uri| !uri.is_empty()),
        timeout_ms: input.timeout_in_millis.map_or(Ok(DEFAULT_TIMEOUT_MS), checked_timeout)?,
        request_parameters: input.request_parameters.clone().unwrap_or_default(),
        request_templates: input.request_templates.clone().unwrap_or_default(),
        passthrough: passthrough.map(checked_passthrough).transpose()?.unwrap_or_default(),
        vpc_link_id: None,
        cache_namespace: input.cache_namespace.clone().filter(|name| !name.is_empty()),
        cache_key_parameters: input.cache_key_parameters.clone().unwrap_or_default(),
        responses: BTreeMap::new(),
    };
    set(found, integration)
}

pub(super) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateIntegrationRequest,
) -> Result<wire::Integration, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let mut integration = found.method.integration.take().ok_or_else(none)?;
    for patch in Patch::read(input.patch_operations.as_deref())? {
        change(&mut integration, &patch)?;
    }
    let shown = set(&mut found, integration)?;
    found.put(draft, &input.http_method)?;
    Ok(shown)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteIntegrationRequest) -> Result<(), Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    found.method.integration.take().ok_or_else(none)?;
    found.put(draft, &input.http_method)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetIntegrationRequest) -> Result<wire::Integration, Error> {
    let found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let integration = found.method.integration.as_ref().ok_or_else(none)?;
    Ok(show(&found.resource, integration))
}

fn change(integration: &mut RestIntegration, patch: &Patch) -> Result<(), Error> {
    let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
    match (patch.op, &path[..]) {
        (wire::Op::Replace, ["httpMethod"]) => integration.method = Some(patch.value.clone()),
        (wire::Op::Replace, ["uri"]) => integration.uri = Some(patch.value.clone()),
        (wire::Op::Replace, ["timeoutInMillis"]) => {
            integration.timeout_ms = checked_timeout(patch.parse(|text| text.parse().ok())?)?;
        }
        (wire::Op::Replace, ["passthroughBehavior"]) => integration.passthrough = checked_passthrough(&patch.value)?,
        (_, ["cacheNamespace"]) => {
            integration.cache_namespace = Some(patch.value_or_empty()).filter(|name| !name.is_empty());
        }
        (wire::Op::Remove, ["cacheKeyParameters", name]) => {
            integration.cache_key_parameters.retain(|known| known != name);
        }
        (wire::Op::Add, ["cacheKeyParameters", name]) => {
            integration.cache_key_parameters.retain(|known| known != name);
            integration.cache_key_parameters.push((*name).to_owned());
        }
        (wire::Op::Remove, ["requestParameters", name]) => drop(integration.request_parameters.remove(*name)),
        (_, ["requestParameters", name]) => {
            integration.request_parameters.insert((*name).to_owned(), patch.value.clone());
        }
        (wire::Op::Remove, ["requestTemplates", name]) => drop(integration.request_templates.remove(*name)),
        (_, ["requestTemplates", name]) => {
            integration.request_templates.insert((*name).to_owned(), patch.value.clone());
        }
        _ => return Err(patch.unknown(PATHS)),
    }
    Ok(())
}

/// Gives a method the integration, if it is good as a whole.
fn set(found: &mut Found, integration: RestIntegration) -> Result<wire::Integration, Error> {
    check(&integration)?;
    check_mapping(&found.method, &integration)?;
    check_templates(integration.kind, &integration.request_templates)?;
    let shown = show(&found.resource, &integration);
    found.method.integration = Some(integration);
    Ok(shown)
}

/// Whom it is with.
fn check(integration: &RestIntegration) -> Result<(), Error> {
    let kind = integration.kind;
    let method = integration.method.as_deref();
    if kind == RestIntegrationKind::Mock {
        return method.map_or(Ok(()), check_method);
    }
    let method = method.ok_or_else(|| Error::bad_request("Enumeration value for HttpMethod must be non-empty"))?;
    check_method(method)?;
    let uri = integration.uri.as_deref();
    let uri = uri.ok_or_else(|| Error::bad_request("Invalid HTTP endpoint specified for URI"))?;
    match kind {
        RestIntegrationKind::Aws | RestIntegrationKind::AwsProxy => check_invocations(kind, uri, method),
        RestIntegrationKind::Http | RestIntegrationKind::HttpProxy | RestIntegrationKind::Mock => {
            checked_uri(uri).map(drop)
        }
    }
}

/// Unlike HTTP APIs, REST APIs name a function by the URI of its invocations only, and say how it is called.
fn check_invocations(kind: RestIntegrationKind, uri: &str, method: &str) -> Result<(), Error> {
    let wrong = |message: &str| Err(Error::bad_request(message));
    if !uri.starts_with("arn:") {
        return wrong("Invalid ARN specified in the request");
    }
    // `arn:aws:apigateway:REGION:SERVICE:path/…`
    let [gateway, service, how] = [2, 4, 5].map(|part| uri.split(':').nth(part).unwrap_or_default());
    if gateway != "apigateway" || !(how.starts_with("path/") || how.starts_with("action/")) {
        return wrong("AWS ARN for integration must contain path or action");
    }
    if service != "lambda" {
        refuse(kind == RestIntegrationKind::Aws, "Another AWS service than Lambda", NOT_HERE)?;
        return wrong(
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.",
        );
    }
    refuse(method != "POST", "An httpMethod other than POST", "does not invoke Lambda functions")?;
    checked_function(uri).map(drop).or_else(|_| wrong("Invalid lambda function"))
}

/// What a mapping refers to has to be a parameter of the method.
pub(super) fn check_mapping(method: &RestMethod, integration: &RestIntegration) -> Result<(), Error> {
    let parameters = &integration.request_parameters;
    if parameters.len() > MAX_PARAMETERS {
        return Err(Error::bad_request(format!("An integration has at most {MAX_PARAMETERS} request parameters")));
    }
    if integration.cache_key_parameters.len() > MAX_CACHE_KEYS {
        return Err(Error::bad_request(format!("An integration has at most {MAX_CACHE_KEYS} cache key parameters")));
    }
    let sample = parameters.values().flat_map(|value| sample_variables(value)).collect();
    RestMapping::parse(parameters, &sample).map_err(mapping_errors)?;
    let of_method = |value: &&String| value.starts_with("method.request.");
    let is_there = |value: &str| method.request_parameters.contains_key(value) || is_of_body(value);
    let unknown = parameters.values().filter(of_method).find(|value| !is_there(value));
    unknown.map_or(Ok(()), |value| Err(mapping_error(value)))
}

/// Payloads are declared by models, if at all.
fn is_of_body(value: &str) -> bool {
    value.starts_with("method.request.body.")
}

/// Proxies do not use them, so that theirs may say anything.
pub(super) fn check_templates(kind: RestIntegrationKind, templates: &BTreeMap<String, String>) -> Result<(), Error> {
    if templates.len() > MAX_TEMPLATES {
        return Err(Error::bad_request(format!("There are at most {MAX_TEMPLATES} templates, by media type")));
    }
    let is_media_type = |name: &&String| http::HeaderValue::try_from(*name).is_ok_and(|value| !value.is_empty());
    if let Some(wrong) = templates.keys().find(|name| !is_media_type(name)) {
        return Err(Error::bad_request(format!("Invalid media type of a template: {wrong}")));
    }
    if kind.is_proxy() {
        return Ok(());
    }
    Templates::parse(templates).map(drop).map_err(|TemplateError { media_type, error }| {
        Error::bad_request(format!("Invalid mapping template for {media_type}: {error}"))
    })
}

/// AWS's words around what is wrong with a mapping.
pub(super) fn mapping_errors(error: MappingError) -> Error {
    Error::bad_request(format!(
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : [{error}]"
    ))
}

fn checked_timeout(timeout: i32) -> Result<u32, Error> {
    let timeout = Some(timeout).filter(|timeout| TIMEOUT_MS.contains(timeout)).map(i32::cast_unsigned);
    timeout.ok_or_else(|| Error::bad_request("Timeout should be between 50 ms and 29000 ms"))
}

const PASSTHROUGHS: [(Passthrough, &str); 3] = [
    (Passthrough::WhenNoMatch, "WHEN_NO_MATCH"),
    (Passthrough::WhenNoTemplates, "WHEN_NO_TEMPLATES"),
    (Passthrough::Never, "NEVER"),
];

fn checked_passthrough(name: &str) -> Result<Passthrough, Error> {
    let found = PASSTHROUGHS.iter().find(|(_, known)| *known == name).map(|(passthrough, _)| *passthrough);
    found.ok_or_else(|| {
        Error::bad_request("Invalid passthrough behavior. Expected one of: WHEN_NO_MATCH, WHEN_NO_TEMPLATES, NEVER")
    })
}

pub(super) fn passthrough_name(passthrough: Passthrough) -> &'static str {
    PASSTHROUGHS.iter().find(|(known, _)| *known == passthrough).map_or("", |(_, name)| name)
}

pub(super) fn none() -> Error {
    Error::not_found("Invalid Integration identifier specified")
}

fn unsupported(input: &wire::PutIntegrationRequest) -> Result<(), Error> {
    let insecure = input.tls_config.as_ref().is_some_and(|tls| tls.insecure_skip_verification == Some(true));
    let is_function = matches!(input.r#type, wire::IntegrationType::AwsProxy | wire::IntegrationType::Aws);
    let streams = is_function && input.response_transfer_mode == Some(wire::ResponseTransferMode::Stream);
    refuse(is_function && input.credentials.is_some(), "credentials", NO_ROLES)?;
    [
        (input.connection_type == Some(wire::ConnectionType::VpcLink), "connectionType VPC_LINK"),
        (input.connection_id.is_some(), "connectionId"),
        (input.credentials.is_some(), "credentials"),
        (input.integration_target.is_some(), "integrationTarget"),
        (streams, "responseTransferMode STREAM of functions"),
        (input.content_handling.is_some(), "contentHandling"),
        (insecure, "insecureSkipVerification"),
    ]
    .iter()
    .try_for_each(|(given, what)| refuse(*given, what, NOT_HERE))
}

fn kind(r#type: wire::IntegrationType) -> RestIntegrationKind {
    match r#type {
        wire::IntegrationType::Http => RestIntegrationKind::Http,
        wire::IntegrationType::HttpProxy => RestIntegrationKind::HttpProxy,
        wire::IntegrationType::Mock => RestIntegrationKind::Mock,
        wire::IntegrationType::Aws => RestIntegrationKind::Aws,
        wire::IntegrationType::AwsProxy => RestIntegrationKind::AwsProxy,
    }
}

pub(super) fn integration_type(kind: RestIntegrationKind) -> wire::IntegrationType {
    match kind {
        RestIntegrationKind::Http => wire::IntegrationType::Http,
        RestIntegrationKind::HttpProxy => wire::IntegrationType::HttpProxy,
        RestIntegrationKind::Mock => wire::IntegrationType::Mock,
        RestIntegrationKind::Aws => wire::IntegrationType::Aws,
        RestIntegrationKind::AwsProxy => wire::IntegrationType::AwsProxy,
    }
}

pub(super) fn show(resource: &RestResource, integration: &RestIntegration) -> wire::Integration {
    let namespace = integration.cache_namespace.as_ref().unwrap_or(&resource.id);
    let responses = integration.responses.iter();
    let responses =
        responses.map(|(status, found)| (status.clone(), integration_response::show(status, found))).collect();
    let is_mock = integration.kind == RestIntegrationKind::Mock;
    wire::Integration {
        cache_key_parameters: Some(integration.cache_key_parameters.clone()),
        cache_namespace: Some(namespace.clone()),
        connection_type: (!is_mock).then_some(wire::ConnectionType::Internet),
        http_method: integration.method.clone(),
        integration_responses: Some(responses).filter(|_| !integration.responses.is_empty()),
        passthrough_behavior: Some(passthrough_name(integration.passthrough).to_owned()),
        request_parameters: Some(integration.request_parameters.clone()).filter(|found| !found.is_empty()),
        request_templates: Some(integration.request_templates.clone()).filter(|found| !found.is_empty()),
        timeout_in_millis: i32::try_from(integration.timeout_ms).ok(),
        r#type: Some(integration_type(integration.kind)),
        uri: integration.uri.clone(),
        ..Default::default()
    }
}
