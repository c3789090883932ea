//! Integration responses: what is made of a backend's answer.

use aws::Error;
use aws::apigateway as wire;
use model::WholePattern;
use model::mapping::rest_response_mapping;
use model::resource::{IntegrationResponse, RestIntegrationKind};

use super::method::{Found, MAX_PARAMETERS, mapping_error};
use super::patch::Patch;
use super::{Draft, integration, method_response};
use crate::apigatewayv2::check::{NOT_HERE, refuse};
use crate::apigatewayv2::integration::sample_variables;

const PATHS: &str = "/selectionPattern, /responseParameters/{parameter}, /responseTemplates/{mediaType}";

/// Puts one, or replaces the one that is there.
pub(super) fn put(
    draft: &mut Draft<'_>,
    input: &wire::PutIntegrationResponseRequest,
) -> Result<wire::IntegrationResponse, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let shown = add(&mut found, input)?;
    found.put(draft, &input.http_method)?;
    Ok(shown)
}

/// Gives a method's integration the response that a request describes.
pub(super) fn add(
    found: &mut Found,
    input: &wire::PutIntegrationResponseRequest,
) -> Result<wire::IntegrationResponse, Error> {
    refuse(input.content_handling.is_some(), "contentHandling", NOT_HERE)?;
    let response = IntegrationResponse {
        selection_pattern: input.selection_pattern.clone().filter(|pattern| !pattern.is_empty()),
        parameters: input.response_parameters.clone().unwrap_or_default(),
        templates: input.response_templates.clone().unwrap_or_default(),
    };
    set(found, &input.status_code, response)
}

pub(super) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateIntegrationResponseRequest,
) -> Result<wire::IntegrationResponse, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let mut response = find(&found, &input.status_code)?.clone();
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (_, ["selectionPattern"]) => {
                response.selection_pattern = Some(patch.value_or_empty()).filter(|pattern| !pattern.is_empty());
            }
            (wire::Op::Remove, ["responseParameters", name]) => drop(response.parameters.remove(*name)),
            (_, ["responseParameters", name]) => {
                response.parameters.insert((*name).to_owned(), patch.value.clone());
            }
            (wire::Op::Remove, ["responseTemplates", media_type]) => drop(response.templates.remove(*media_type)),
            (_, ["responseTemplates", media_type]) => {
                response.templates.insert((*media_type).to_owned(), patch.value.clone());
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    let shown = set(&mut found, &input.status_code, response)?;
    found.put(draft, &input.http_method)?;
    Ok(shown)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteIntegrationResponseRequest) -> Result<(), Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    find(&found, &input.status_code)?;
    let mut integration = found.method.integration.take().ok_or_else(integration::none)?;
    integration.responses.remove(&input.status_code);
    found.method.integration = Some(integration);
    found.put(draft, &input.http_method)
}

pub(super) fn get(
    draft: &Draft<'_>,
    input: &wire::GetIntegrationResponseRequest,
) -> Result<wire::IntegrationResponse, Error> {
    let found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    Ok(show(&input.status_code, find(&found, &input.status_code)?))
}

pub(super) fn show(status: &str, response: &IntegrationResponse) -> wire::IntegrationResponse {
    wire::IntegrationResponse {
        content_handling: None,
        response_parameters: Some(response.parameters.clone()).filter(|parameters| !parameters.is_empty()),
        response_templates: Some(response.templates.clone()).filter(|templates| !templates.is_empty()),
        selection_pattern: response.selection_pattern.clone(),
        status_code: Some(status.to_owned()),
    }
}

fn find<'f>(found: &'f Found, status: &str) -> Result<&'f IntegrationResponse, Error> {
    let integration = found.method.integration.as_ref().ok_or_else(integration::none)?;
    integration.responses.get(status).ok_or_else(method_response::no_status)
}

/// Gives the integration the response, if it is good as a whole.
fn set(found: &mut Found, status: &str, response: IntegrationResponse) -> Result<wire::IntegrationResponse, Error> {
    let kind = found.method.integration.as_ref().ok_or_else(integration::none)?.kind;
    check(found, kind, status, &response)?;
    let shown = show(status, &response);
    let integration = found.method.integration.as_mut().ok_or_else(integration::none)?;
    integration.responses.insert(status.to_owned(), response);
    Ok(shown)
}

/// An integration response says more about a method response that there is. Stage variables are not known yet.
fn check(found: &Found, kind: RestIntegrationKind, status: &str, response: &IntegrationResponse) -> Result<(), Error> {
    let declared = method_response::find(found, status)?;
    if response.parameters.len() > MAX_PARAMETERS {
        let message = format!("An integration response has at most {MAX_PARAMETERS} response parameters");
        return Err(Error::bad_request(message));
    }
    if let Some(unknown) = response.parameters.keys().find(|name| !declared.parameters.contains_key(*name)) {
        return Err(mapping_error(unknown));
    }
    let sample = response.parameters.values().flat_map(|value| sample_variables(value)).collect();
    rest_response_mapping(&response.parameters, &sample).map_err(integration::mapping_errors)?;
    let pattern = response.selection_pattern.as_deref().map(WholePattern::parse).transpose();
    pattern.map_err(|error| Error::bad_request(format!("Invalid selectionPattern: {error}")))?;
    integration::check_templates(kind, &response.templates)
}
