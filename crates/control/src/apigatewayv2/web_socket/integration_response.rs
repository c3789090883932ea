//! What becomes of what integrations of WebSocket APIs answer.

use std::collections::BTreeMap;

use aws::Error;
use aws::apigatewayv2 as wire;
use model::resource::{WebSocketIntegration, WebSocketIntegrationResponse};

use super::{integration, show_map};
use crate::apigatewayv2::check::{merge, optional};
use crate::apigatewayv2::draft::{Draft, not_found};
use crate::apigatewayv2::page;

pub(in crate::apigatewayv2) fn create(
    draft: &mut Draft<'_>,
    input: wire::CreateIntegrationResponseRequest,
) -> Result<wire::IntegrationResponse, Error> {
    let integration = WebSocketIntegration::clone(&*integration::find(draft, &input.api_id, &input.integration_id)?);
    let id = draft.fresh_id(7, |_, id| integration.responses.contains_key(id))?;
    let empty = WebSocketIntegrationResponse {
        key: String::new(),
        content_handling: None,
        parameters: BTreeMap::new(),
        templates: BTreeMap::new(),
        template_selection: None,
    };
    let patch = Patch {
        key: Some(input.integration_response_key),
        content_handling: input.content_handling_strategy,
        parameters: input.response_parameters,
        templates: input.response_templates,
        template_selection: input.template_selection_expression,
    };
    put(draft, integration, id, empty, patch)
}

pub(in crate::apigatewayv2) fn update(
    draft: &mut Draft<'_>,
    input: wire::UpdateIntegrationResponseRequest,
) -> Result<wire::IntegrationResponse, Error> {
    let integration = WebSocketIntegration::clone(&*integration::find(draft, &input.api_id, &input.integration_id)?);
    let now = find(&integration, &input.integration_response_id)?.clone();
    let patch = Patch {
        key: input.integration_response_key,
        content_handling: input.content_handling_strategy,
        parameters: input.response_parameters,
        templates: input.response_templates,
        template_selection: input.template_selection_expression,
    };
    put(draft, integration, input.integration_response_id, now, patch)
}

pub(in crate::apigatewayv2) fn delete(
    draft: &mut Draft<'_>,
    input: &wire::DeleteIntegrationResponseRequest,
) -> Result<(), Error> {
    let mut integration =
        WebSocketIntegration::clone(&*integration::find(draft, &input.api_id, &input.integration_id)?);
    find(&integration, &input.integration_response_id)?;
    integration.responses.remove(&input.integration_response_id);
    draft.put(&integration)
}

pub(in crate::apigatewayv2) fn get(
    draft: &Draft<'_>,
    input: &wire::GetIntegrationResponseRequest,
) -> Result<wire::IntegrationResponse, Error> {
    let integration = integration::find(draft, &input.api_id, &input.integration_id)?;
    Ok(show(&input.integration_response_id, find(&integration, &input.integration_response_id)?))
}

pub(in crate::apigatewayv2) fn list(
    draft: &Draft<'_>,
    input: &wire::GetIntegrationResponsesRequest,
) -> Result<wire::GetIntegrationResponsesResponse, Error> {
    let integration = integration::find(draft, &input.api_id, &input.integration_id)?;
    let (items, next_token) = page::page(
        integration.responses.iter(),
        |(id, _)| (*id).clone(),
        |(id, response)| show(id, response),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetIntegrationResponsesResponse { items, next_token })
}

struct Patch {
    key: Option<String>,
    content_handling: Option<wire::ContentHandlingStrategy>,
    parameters: Option<BTreeMap<String, String>>,
    templates: Option<BTreeMap<String, String>>,
    template_selection: Option<String>,
}

fn put(
    draft: &mut Draft<'_>,
    mut integration: WebSocketIntegration,
    id: String,
    mut response: WebSocketIntegrationResponse,
    patch: Patch,
) -> Result<wire::IntegrationResponse, Error> {
    if let Some(key) = patch.key {
        let is_pattern = key.len() > 2 && key.starts_with('/') && key.ends_with('/');
        if key != "$default" && !is_pattern {
            let message =
                format!("Invalid integration response key {key}: it is $default, or a pattern between slashes");
            return Err(Error::bad_request(message));
        }
        if integration.responses.iter().any(|(other, of)| *other != id && of.key == key) {
            let message = format!("Integration response with key {key} already exists for this integration");
            return Err(Error::conflict(message));
        }
        response.key = key;
    }
    if let Some(handling) = patch.content_handling {
        response.content_handling = Some(handling.as_str().to_owned());
    }
    merge(&mut response.parameters, patch.parameters);
    merge(&mut response.templates, patch.templates);
    if patch.template_selection.is_some() {
        response.template_selection = optional("templateSelectionExpression", patch.template_selection, 128)?;
    }
    let shown = show(&id, &response);
    integration.responses.insert(id, response);
    draft.put(&integration)?;
    Ok(shown)
}

fn find<'i>(integration: &'i WebSocketIntegration, id: &str) -> Result<&'i WebSocketIntegrationResponse, Error> {
    let response = integration.responses.get(id);
    response.ok_or_else(|| not_found("IntegrationResponse", "Invalid IntegrationResponse identifier specified"))
}

fn show(id: &str, response: &WebSocketIntegrationResponse) -> wire::IntegrationResponse {
    wire::IntegrationResponse {
        content_handling_strategy: response.content_handling.as_deref().and_then(wire::ContentHandlingStrategy::parse),
        integration_response_id: Some(id.to_owned()),
        integration_response_key: Some(response.key.clone()),
        response_parameters: show_map(&response.parameters),
        response_templates: show_map(&response.templates),
        template_selection_expression: response.template_selection.clone(),
    }
}
