//! Method responses: with which status codes and headers a method answers.

use aws::Error;
use aws::apigateway as wire;
use model::resource::MethodResponse;

use super::method::{Found, MAX_PARAMETERS, mapping_error};
use super::patch::Patch;
use super::{Draft, models, rest_api};

const PATHS: &str = "/responseParameters/{parameter}, /responseModels/{mediaType}";

pub(super) fn put(
    draft: &mut Draft<'_>,
    input: &wire::PutMethodResponseRequest,
) -> Result<wire::MethodResponse, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let shown = add(draft, &mut found, input)?;
    found.put(draft, &input.http_method)?;
    Ok(shown)
}

/// Gives a method the response that a request describes.
pub(super) fn add(
    draft: &Draft<'_>,
    found: &mut Found,
    input: &wire::PutMethodResponseRequest,
) -> Result<wire::MethodResponse, Error> {
    checked_status(&input.status_code)?;
    if found.method.responses.contains_key(&input.status_code) {
        return Err(Error::conflict("Response already exists for this resource"));
    }
    let response = MethodResponse {
        parameters: input.response_parameters.clone().unwrap_or_default(),
        models: input.response_models.clone().unwrap_or_default(),
    };
    set(draft, found, &input.status_code, response)
}

pub(super) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateMethodResponseRequest,
) -> Result<wire::MethodResponse, Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    let mut response = find(&found, &input.status_code)?.clone();
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Remove, ["responseParameters", name]) => drop(response.parameters.remove(*name)),
            (_, ["responseParameters", name]) => {
                let required = !patch.value.is_empty() && patch.flag()?;
                response.parameters.insert((*name).to_owned(), required);
            }
            (wire::Op::Remove, ["responseModels", media_type]) => drop(response.models.remove(*media_type)),
            (_, ["responseModels", media_type]) => {
                response.models.insert((*media_type).to_owned(), patch.value.clone());
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    let shown = set(draft, &mut found, &input.status_code, response)?;
    found.put(draft, &input.http_method)?;
    Ok(shown)
}

/// What integration responses say under this status code stays, and is used no more.
pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteMethodResponseRequest) -> Result<(), Error> {
    let mut found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    find(&found, &input.status_code)?;
    found.method.responses.remove(&input.status_code);
    found.put(draft, &input.http_method)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetMethodResponseRequest) -> Result<wire::MethodResponse, Error> {
    let found = Found::find(draft, &input.rest_api_id, &input.resource_id, &input.http_method)?;
    Ok(show(&input.status_code, find(&found, &input.status_code)?))
}

pub(super) fn show(status: &str, response: &MethodResponse) -> wire::MethodResponse {
    wire::MethodResponse {
        response_models: Some(response.models.clone()).filter(|models| !models.is_empty()),
        response_parameters: Some(response.parameters.clone()).filter(|parameters| !parameters.is_empty()),
        status_code: Some(status.to_owned()),
    }
}

/// Of a method that has it.
pub(super) fn find<'f>(found: &'f Found, status: &str) -> Result<&'f MethodResponse, Error> {
    found.method.responses.get(status).ok_or_else(no_status)
}

pub(super) fn no_status() -> Error {
    Error::not_found("Invalid Response status code specified")
}

/// Gives the method the response, if it is good as a whole.
fn set(
    draft: &Draft<'_>,
    found: &mut Found,
    status: &str,
    response: MethodResponse,
) -> Result<wire::MethodResponse, Error> {
    if response.parameters.len() > MAX_PARAMETERS {
        return Err(Error::bad_request(format!("A method response has at most {MAX_PARAMETERS} response parameters")));
    }
    let is_header = |name: &&String| header(name).is_some();
    if let Some(wrong) = response.parameters.keys().find(|name| !is_header(name)) {
        return Err(mapping_error(wrong));
    }
    let api = rest_api::find(draft, &found.resource.api_id)?;
    models::check_named(draft, &api, &response.models)?;
    let shown = show(status, &response);
    found.method.responses.insert(status.to_owned(), response);
    Ok(shown)
}

/// `method.response.header.NAME`
pub(super) fn header(parameter: &str) -> Option<http::HeaderName> {
    http::HeaderName::try_from(parameter.strip_prefix("method.response.header.")?).ok()
}

fn checked_status(status: &str) -> Result<(), Error> {
    let is_status = status.len() == 3 && status.parse().is_ok_and(|code: u16| (100..600).contains(&code));
    match is_status {
        true => Ok(()),
        false => Err(Error::bad_request(format!("Invalid status code: {status}. Expected a number from 100 to 599"))),
    }
}
