//! Request validators: whether requests of a method have to have its required parameters.

use aws::Error;
use aws::apigateway as wire;
use model::State;
use model::resource::{RequestValidator, RestApi, RestResource};

use super::patch::Patch;
use super::{Draft, rest_api};
use crate::apigatewayv2::check::length;
use crate::apigatewayv2::page;

const MAX_NAME_CHARS: usize = 128;
const MAX_VALIDATORS: usize = 20;
const PATHS: &str = "/name, /validateRequestBody, /validateRequestParameters";

pub(super) fn create(
    draft: &mut Draft<'_>,
    input: &wire::CreateRequestValidatorRequest,
) -> Result<wire::RequestValidator, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    add(draft, &api, input).map(|validator| show(&validator))
}

/// Makes one of an API.
pub(super) fn add(
    draft: &mut Draft<'_>,
    api: &RestApi,
    input: &wire::CreateRequestValidatorRequest,
) -> Result<RequestValidator, Error> {
    if State::of(&draft.state.request_validators, &api.id).count() >= MAX_VALIDATORS {
        let message = "Maximum number of Request Validators for this API has been reached.";
        return Err(Error::too_many_requests("MaxRequestValidators", message));
    }
    let taken = |state: &State, id: &str| State::one(&state.request_validators, &api.id, id).is_some();
    let id = draft.fresh_id(6, taken)?;
    set(draft, api, id, input)
}

/// Makes the one with an id what a request says.
pub(super) fn set(
    draft: &mut Draft<'_>,
    api: &RestApi,
    id: String,
    input: &wire::CreateRequestValidatorRequest,
) -> Result<RequestValidator, Error> {
    let validator = RequestValidator {
        id,
        api_id: api.id.clone(),
        name: input.name.clone().unwrap_or_default(),
        body: input.validate_request_body.unwrap_or(false),
        parameters: input.validate_request_parameters.unwrap_or(false),
    };
    put(draft, &validator)?;
    Ok(validator)
}

pub(super) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateRequestValidatorRequest,
) -> Result<wire::RequestValidator, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let mut validator = find(draft, &api, &input.request_validator_id)?.clone();
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["name"]) => validator.name = patch.value,
            (wire::Op::Replace, ["validateRequestBody"]) => validator.body = patch.flag()?,
            (wire::Op::Replace, ["validateRequestParameters"]) => validator.parameters = patch.flag()?,
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    put(draft, &validator)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteRequestValidatorRequest) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let validator = find(draft, &api, &input.request_validator_id)?.clone();
    let named = |resource: &std::sync::Arc<RestResource>| {
        resource.methods.values().any(|method| method.request_validator_id.as_ref() == Some(&validator.id))
    };
    let is_named = State::of(&draft.state.rest_resources, &api.id).any(named);
    if is_named {
        let message = format!("Cannot delete request validator '{}', is referenced in method", validator.name);
        return Err(Error::conflict(message));
    }
    draft.delete(&validator)
}

pub(super) fn get(
    draft: &Draft<'_>,
    input: &wire::GetRequestValidatorRequest,
) -> Result<wire::RequestValidator, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    find(draft, &api, &input.request_validator_id).map(show)
}

pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetRequestValidatorsRequest,
) -> Result<wire::RequestValidators, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        State::of(&draft.state.request_validators, &api.id),
        |validator| validator.id.clone(),
        |validator| show(validator),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::RequestValidators { items, position })
}

pub(super) fn find<'d>(draft: &'d Draft<'_>, api: &RestApi, id: &str) -> Result<&'d RequestValidator, Error> {
    let validator = State::one(&draft.state.request_validators, &api.id, id);
    validator.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid Request Validator identifier specified"))
}

fn put(draft: &mut Draft<'_>, validator: &RequestValidator) -> Result<wire::RequestValidator, Error> {
    length("name", &validator.name, 0, MAX_NAME_CHARS)?;
    draft.put(validator)?;
    Ok(show(validator))
}

pub(super) fn show(validator: &RequestValidator) -> wire::RequestValidator {
    wire::RequestValidator {
        id: Some(validator.id.clone()),
        name: Some(validator.name.clone()),
        validate_request_body: Some(validator.body),
        validate_request_parameters: Some(validator.parameters),
    }
}
