//! Integrations of methods: HTTP services (HTTP_PROXY) and Lambda functions (AWS_PROXY).

use aws::Error;
use aws::apigateway as wire;
use model::mapping::RestMapping;
use model::resource::{IntegrationKind, RestIntegration, RestMethod, RestResource};

use super::Draft;
use super::method::{Found, MAX_PARAMETERS, check_method, mapping_error};
use super::patch::Patch;
use crate::apigatewayv2::check::{NO_ROLES, NOT_HERE, refuse};
use crate::apigatewayv2::integration::{checked_function, checked_uri, sample_variables};

const TIMEOUT_MS: std::ops::RangeInclusive<i32> = 50..=29_000;
const DEFAULT_TIMEOUT_MS: u32 = 29_000;
const PATHS: &str = "/httpMethod, /uri, /timeoutInMillis, /requestParameters/{requestParameter}";

pub(super) fn put(draft: &mut Draft<'_>, input: &wire::PutIntegrationRequest) -> Result<wire::Integration, Error> {
    let found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let kind = served(input.r#type)?;
    unsupported(input)?;
    let method = input.integration_http_method.clone();
    let method = method.ok_or_else(|| Error::bad_request("Enumeration value for HttpMethod must be non-empty"))?;
    let uri = input.uri.clone().ok_or_else(|| Error::bad_request("Invalid HTTP endpoint specified for URI"))?;
    let timeout = input.timeout_in_millis.map_or(Ok(DEFAULT_TIMEOUT_MS), checked_timeout)?;
    let request_parameters = input.request_parameters.clone().unwrap_or_default();
    let integration = RestIntegration { kind, method, uri, timeout_ms: timeout, request_parameters };
    set(draft, found, input.http_method.clone(), integration)
}

pub(super) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateIntegrationRequest,
) -> Result<wire::Integration, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let mut integration = found.method.integration.take().ok_or_else(none)?;
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["httpMethod"]) => integration.method = patch.value,
            (wire::Op::Replace, ["uri"]) => integration.uri = patch.value,
            (wire::Op::Replace, ["timeoutInMillis"]) => {
                integration.timeout_ms = checked_timeout(patch.parse(|text| text.parse().ok())?)?;
            }
            (wire::Op::Remove, ["requestParameters", name]) => drop(integration.request_parameters.remove(*name)),
            (_, ["requestParameters", name]) => {
                integration.request_parameters.insert((*name).to_owned(), patch.value.clone());
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    set(draft, found, input.http_method.clone(), integration)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteIntegrationRequest) -> Result<(), Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    found.method.integration.take().ok_or_else(none)?;
    found.resource.methods.insert(input.http_method.clone(), found.method);
    draft.put(&found.resource)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetIntegrationRequest) -> Result<wire::Integration, Error> {
    let found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let integration = found.method.integration.as_ref().ok_or_else(none)?;
    Ok(show(&found.resource, integration))
}

/// Gives a method the integration, if it is good as a whole.
fn set(
    draft: &mut Draft<'_>,
    mut found: Found,
    method: String,
    integration: RestIntegration,
) -> Result<wire::Integration, Error> {
    check_method(&integration.method)?;
    match integration.kind {
        IntegrationKind::HttpProxy => drop(checked_uri(&integration.uri)?),
        IntegrationKind::AwsProxy => check_invocations(&integration)?,
    }
    check_mapping(&found.method, &integration)?;
    let shown = show(&found.resource, &integration);
    found.method.integration = Some(integration);
    found.resource.methods.insert(method, found.method);
    draft.put(&found.resource)?;
    Ok(shown)
}

fn served(kind: wire::IntegrationType) -> Result<IntegrationKind, Error> {
    match kind {
        wire::IntegrationType::HttpProxy => Ok(IntegrationKind::HttpProxy),
        wire::IntegrationType::AwsProxy => Ok(IntegrationKind::AwsProxy),
        other => Err(Error::bad_request(format!(
            "Integration type {other} {NOT_HERE}: HTTP_PROXY and AWS_PROXY are the types that are served"
        ))),
    }
}

/// Unlike HTTP APIs, REST APIs name a function by the URI of its invocations only, and say how it is called.
fn check_invocations(integration: &RestIntegration) -> Result<(), Error> {
    let uri = integration.uri.as_str();
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
        return wrong(
            "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.",
        );
    }
    refuse(integration.method != "POST", "An httpMethod other than POST", "does not invoke Lambda functions")?;
    checked_function(uri).map(drop).or_else(|_| wrong("Invalid lambda function"))
}

/// What a mapping refers to has to be a parameter of the method.
pub(super) fn check_mapping(method: &RestMethod, integration: &RestIntegration) -> Result<(), Error> {
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

fn checked_timeout(timeout: i32) -> Result<u32, Error> {
    let timeout = Some(timeout).filter(|timeout| TIMEOUT_MS.contains(timeout)).map(i32::cast_unsigned);
    timeout.ok_or_else(|| Error::bad_request("Timeout should be between 50 ms and 29000 ms"))
}

fn none() -> Error {
    Error::not_found("Invalid Integration identifier specified")
}

fn unsupported(input: &wire::PutIntegrationRequest) -> Result<(), Error> {
    let empty = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
    let insecure = input.tls_config.as_ref().is_some_and(|tls| tls.insecure_skip_verification == Some(true));
    let is_function = input.r#type == wire::IntegrationType::AwsProxy;
    let streams = is_function && input.response_transfer_mode == Some(wire::ResponseTransferMode::Stream);
    refuse(is_function && input.credentials.is_some(), "credentials", NO_ROLES)?;
    [
        (input.connection_type == Some(wire::ConnectionType::VpcLink), "connectionType VPC_LINK"),
        (input.connection_id.is_some(), "connectionId"),
        (input.credentials.is_some(), "credentials"),
        (input.integration_target.is_some(), "integrationTarget"),
        (streams, "responseTransferMode STREAM of functions"),
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

pub(super) fn show(resource: &RestResource, integration: &RestIntegration) -> wire::Integration {
    wire::Integration {
        cache_key_parameters: Some(Vec::new()),
        cache_namespace: Some(resource.id.clone()),
        connection_type: Some(wire::ConnectionType::Internet),
        http_method: Some(integration.method.clone()),
        passthrough_behavior: Some("WHEN_NO_MATCH".to_owned()),
        request_parameters: Some(integration.request_parameters.clone()).filter(|found| !found.is_empty()),
        timeout_in_millis: i32::try_from(integration.timeout_ms).ok(),
        r#type: Some(match integration.kind {
            IntegrationKind::HttpProxy => wire::IntegrationType::HttpProxy,
            IntegrationKind::AwsProxy => wire::IntegrationType::AwsProxy,
        }),
        uri: Some(integration.uri.clone()),
        ..Default::default()
    }
}
