//! Models: JSON schemas of messages.

use std::sync::Arc;

use aws::Error;
use aws::apigatewayv2 as wire;
use model::State;
use model::resource::WebSocketModel;

use super::find as find_api;
use crate::apigateway::sketched;
use crate::apigatewayv2::check::{length, optional};
use crate::apigatewayv2::draft::{Draft, not_found};
use crate::apigatewayv2::page;

const MAX_MODELS: usize = 60;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const MAX_SCHEMA_CHARS: usize = 32 * 1024;
const JSON: &str = "application/json";

pub(in crate::apigatewayv2) fn create(
    draft: &mut Draft<'_>,
    input: &wire::CreateModelRequest,
) -> Result<wire::Model, Error> {
    let api = find_api(draft, &input.api_id)?;
    if State::of(&draft.state.web_socket_models, &api.id).count() >= MAX_MODELS {
        return Err(Error::too_many_requests("MaxModels", "Maximum number of Models for this API has been reached."));
    }
    let taken = |state: &State, id: &str| State::one(&state.web_socket_models, &api.id, id).is_some();
    let model = WebSocketModel {
        id: draft.fresh_id(6, taken)?,
        api_id: api.id.clone(),
        name: String::new(),
        content_type: JSON.to_owned(),
        description: None,
        schema: String::new(),
    };
    let patch = Patch {
        name: Some(input.name.clone()),
        content_type: input.content_type.clone(),
        description: input.description.clone(),
        schema: Some(input.schema.clone()),
    };
    put(draft, model, patch)
}

pub(in crate::apigatewayv2) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateModelRequest,
) -> Result<wire::Model, Error> {
    let model = WebSocketModel::clone(&*find(draft, &input.api_id, &input.model_id)?);
    let patch = Patch {
        name: input.name.clone(),
        content_type: input.content_type.clone(),
        description: input.description.clone(),
        schema: input.schema.clone(),
    };
    put(draft, model, patch)
}

pub(in crate::apigatewayv2) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteModelRequest) -> Result<(), Error> {
    let model = find(draft, &input.api_id, &input.model_id)?;
    refuse_used(draft, &model, "deleted")?;
    draft.delete::<WebSocketModel>(&model)
}

pub(in crate::apigatewayv2) fn get(draft: &Draft<'_>, input: &wire::GetModelRequest) -> Result<wire::Model, Error> {
    find(draft, &input.api_id, &input.model_id).map(|model| show(&model))
}

/// A template to begin with: it writes what the model describes.
pub(in crate::apigatewayv2) fn template(
    draft: &Draft<'_>,
    input: &wire::GetModelTemplateRequest,
) -> Result<wire::GetModelTemplateResponse, Error> {
    let model = find(draft, &input.api_id, &input.model_id)?;
    Ok(wire::GetModelTemplateResponse { value: Some(sketched(&model.schema)) })
}

pub(in crate::apigatewayv2) fn list(
    draft: &Draft<'_>,
    input: &wire::GetModelsRequest,
) -> Result<wire::GetModelsResponse, Error> {
    let api = find_api(draft, &input.api_id)?;
    let (items, next_token) = page::page(
        State::of(&draft.state.web_socket_models, &api.id),
        |model| model.id.clone(),
        |model| show(model),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetModelsResponse { items, next_token })
}

struct Patch {
    name: Option<String>,
    content_type: Option<String>,
    description: Option<String>,
    schema: Option<String>,
}

fn put(draft: &mut Draft<'_>, mut model: WebSocketModel, patch: Patch) -> Result<wire::Model, Error> {
    if let Some(name) = patch.name.filter(|name| *name != model.name) {
        check_name(draft, &model, &name)?;
        model.name = name;
    }
    if let Some(content_type) = patch.content_type {
        length("contentType", &content_type, 1, 256)?;
        model.content_type = content_type;
    }
    if patch.description.is_some() {
        model.description = optional("description", patch.description, MAX_DESCRIPTION_CHARS)?;
    }
    if let Some(schema) = patch.schema {
        length("schema", &schema, 1, MAX_SCHEMA_CHARS)?;
        model.schema = schema;
    }
    if model.content_type == JSON
        && let Err(error) = serde_json::from_str::<serde_json::Value>(&model.schema)
    {
        return Err(Error::bad_request(format!("Invalid model schema specified: it is no JSON: {error}")));
    }
    draft.put(&model)?;
    Ok(show(&model))
}

fn check_name(draft: &Draft<'_>, model: &WebSocketModel, name: &str) -> Result<(), Error> {
    if !(1..=128).contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Error::bad_request("Model name must be alphanumeric"));
    }
    if State::of(&draft.state.web_socket_models, &model.api_id).any(|other| other.name == name) {
        return Err(Error::conflict(format!("Model with name {name} already exists for this API")));
    }
    refuse_used(draft, model, "renamed")
}

fn refuse_used(draft: &Draft<'_>, model: &WebSocketModel, what: &str) -> Result<(), Error> {
    let mut routes = State::of(&draft.state.web_socket_routes, &model.api_id);
    let user = routes.find(|route| {
        let of_responses = route.responses.values().flat_map(|response| response.models.values());
        route.request_models.values().chain(of_responses).any(|name| *name == model.name)
    });
    match user {
        Some(route) => Err(Error::conflict(format!(
            "Model {} cannot be {what} because it is referenced by the Route with Id: {}",
            model.name, route.id
        ))),
        None => Ok(()),
    }
}

fn find(draft: &Draft<'_>, api_id: &str, id: &str) -> Result<Arc<WebSocketModel>, Error> {
    let api = find_api(draft, api_id)?;
    let model = State::one(&draft.state.web_socket_models, &api.id, id).cloned();
    model.ok_or_else(|| not_found("Model", "Invalid Model identifier specified"))
}

fn show(model: &WebSocketModel) -> wire::Model {
    wire::Model {
        content_type: Some(model.content_type.clone()),
        description: model.description.clone(),
        model_id: Some(model.id.clone()),
        name: Some(model.name.clone()),
        schema: Some(model.schema.clone()),
    }
}
