//! Gateway responses: what a REST API answers by itself.

use std::collections::BTreeMap;

use aws::Error;
use aws::apigateway as wire;
use model::resource::{GatewayResponse, RestApi};
use model::{GatewayAnswer, State};

use super::patch::Patch;
use super::{Draft, rest_api};
use crate::apigatewayv2::integration::sample_variables;
use crate::apigatewayv2::page;

const MAX_PARAMETERS: usize = 100;
const MAX_TEMPLATES: usize = 20;
const PATHS: &str = "/statusCode, /responseParameters/{parameter}, /responseTemplates/{mediaType}";

/// Response types with their statuses on AWS; the first two have the status of the case.
const DEFAULTS: [(wire::GatewayResponseType, Option<u16>); 21] = {
    use wire::GatewayResponseType as Type;
    [
        (Type::Default4xx, None),
        (Type::Default5xx, None),
        (Type::AccessDenied, Some(403)),
        (Type::ApiConfigurationError, Some(500)),
        (Type::AuthorizerConfigurationError, Some(500)),
        (Type::AuthorizerFailure, Some(500)),
        (Type::BadRequestBody, Some(400)),
        (Type::BadRequestParameters, Some(400)),
        (Type::ExpiredToken, Some(403)),
        (Type::IntegrationFailure, Some(504)),
        (Type::IntegrationTimeout, Some(504)),
        (Type::InvalidApiKey, Some(403)),
        (Type::InvalidSignature, Some(403)),
        (Type::MissingAuthenticationToken, Some(403)),
        (Type::QuotaExceeded, Some(429)),
        (Type::RequestTooLarge, Some(413)),
        (Type::ResourceNotFound, Some(404)),
        (Type::Throttled, Some(429)),
        (Type::Unauthorized, Some(401)),
        (Type::UnsupportedMediaType, Some(415)),
        (Type::WafFiltered, Some(403)),
    ]
};

pub(super) fn put(
    draft: &mut Draft<'_>,
    input: &wire::PutGatewayResponseRequest,
) -> Result<wire::GatewayResponse, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let response = GatewayResponse {
        status_code: input.status_code.as_deref().map(status).transpose()?,
        response_parameters: input.response_parameters.clone().unwrap_or_default(),
        response_templates: input.response_templates.clone().unwrap_or_default(),
        ..unset(&api, input.response_type)
    };
    set(draft, input.response_type, &response)
}

/// What is not set yet is set by its first patch.
pub(super) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateGatewayResponseRequest,
) -> Result<wire::GatewayResponse, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let mut response = find(draft, &api, input.response_type).unwrap_or_else(|| unset(&api, input.response_type));
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Remove, ["statusCode"]) => response.status_code = None,
            (_, ["statusCode"]) => response.status_code = Some(status(&patch.value)?),
            (wire::Op::Remove, ["responseParameters", name]) => drop(response.response_parameters.remove(*name)),
            (_, ["responseParameters", name]) => {
                response.response_parameters.insert((*name).to_owned(), patch.value.clone());
            }
            (wire::Op::Remove, ["responseTemplates", name]) => drop(response.response_templates.remove(*name)),
            (_, ["responseTemplates", name]) => {
                response.response_templates.insert((*name).to_owned(), patch.value.clone());
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    set(draft, input.response_type, &response)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteGatewayResponseRequest) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let response = find(draft, &api, input.response_type);
    draft.delete(&response.ok_or_else(|| Error::not_found("Gateway response type not defined on api"))?)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetGatewayResponseRequest) -> Result<wire::GatewayResponse, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    Ok(show(input.response_type, find(draft, &api, input.response_type).as_ref()))
}

/// Those that are set and those that are not.
pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetGatewayResponsesRequest,
) -> Result<wire::GatewayResponses, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let limit = input.limit.map(|limit| limit.to_string());
    let mut kinds: Vec<wire::GatewayResponseType> = DEFAULTS.iter().map(|(kind, _)| *kind).collect();
    kinds.sort_by_key(ToString::to_string);
    let (items, position) = page::page(
        kinds.into_iter(),
        ToString::to_string,
        |kind| show(*kind, find(draft, &api, *kind).as_ref()),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::GatewayResponses { items, position })
}

fn find(draft: &Draft<'_>, api: &RestApi, kind: wire::GatewayResponseType) -> Option<GatewayResponse> {
    State::one(&draft.state.gateway_responses, &api.id, &kind.to_string()).map(|found| (**found).clone())
}

fn unset(api: &RestApi, kind: wire::GatewayResponseType) -> GatewayResponse {
    GatewayResponse {
        api_id: api.id.clone(),
        response_type: kind.to_string(),
        status_code: None,
        response_parameters: BTreeMap::new(),
        response_templates: BTreeMap::new(),
    }
}

/// Sets it, if it is good as a whole. Stage variables are not known yet.
fn set(
    draft: &mut Draft<'_>,
    kind: wire::GatewayResponseType,
    response: &GatewayResponse,
) -> Result<wire::GatewayResponse, Error> {
    if response.response_parameters.len() > MAX_PARAMETERS || response.response_templates.len() > MAX_TEMPLATES {
        let message = format!(
            "A gateway response has at most {MAX_PARAMETERS} response parameters and {MAX_TEMPLATES} response templates"
        );
        return Err(Error::bad_request(message));
    }
    let sample = response.response_parameters.values().flat_map(|value| sample_variables(value)).collect();
    let wrong = |error: model::GatewayResponseError| Error::bad_request(error.to_string());
    // Only one of several templates is used, but each may be that one after another is taken away.
    for (media_type, template) in &response.response_templates {
        let alone = BTreeMap::from([(media_type.clone(), template.clone())]);
        let alone = GatewayResponse { response_templates: alone, ..response.clone() };
        GatewayAnswer::of(&alone, &sample).map_err(wrong)?;
    }
    GatewayAnswer::of(response, &sample).map_err(wrong)?;
    draft.put(response)?;
    Ok(show(kind, Some(response)))
}

fn status(text: &str) -> Result<u16, Error> {
    text.parse().map_err(|_| Error::bad_request(format!("Invalid statusCode {text}: a number is expected")))
}

fn show(kind: wire::GatewayResponseType, response: Option<&GatewayResponse>) -> wire::GatewayResponse {
    let default = DEFAULTS.iter().find(|(known, _)| *known == kind).and_then(|(_, status)| *status);
    let template = || {
        let text = r#"{"message":$context.error.messageString}"#.to_owned();
        BTreeMap::from([("application/json".to_owned(), text)])
    };
    wire::GatewayResponse {
        default_response: Some(response.is_none()),
        response_parameters: Some(response.map(|found| found.response_parameters.clone()).unwrap_or_default()),
        response_templates: Some(response.map_or_else(template, |found| found.response_templates.clone())),
        response_type: Some(kind),
        status_code: response.and_then(|found| found.status_code).or(default).map(|code| code.to_string()),
    }
}
