//! REST APIs.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws::apigateway as wire;
use aws::{Error, Timestamp};
use model::State;
use model::resource::{
    Deployment, GatewayResponse, Model, RequestValidator, RestApi, RestAuthorizer, RestResource, Stage,
};

use super::patch::Patch;
use super::{Draft, documentation, models, usage_plan};
use crate::apigatewayv2::check::{NOT_HERE, api_tags, length, optional, refuse};
use crate::apigatewayv2::draft::api_id_is_taken;
use crate::apigatewayv2::{of_api, page};

const MAX_NAME_CHARS: usize = 1024;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const MAX_VERSION_CHARS: usize = 64;
const MAX_BINARY_MEDIA_TYPES: usize = 100;
const PATHS: &str = "/name, /description, /disableExecuteApiEndpoint, /binaryMediaTypes/{mediaType}";

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateRestApiRequest) -> Result<wire::RestApi, Error> {
    let api = add(draft, input)?;
    models::put_defaults(draft, &api)?;
    Ok(show(draft, &api))
}

/// Makes an API that has its root, but no models yet.
pub(super) fn add(draft: &mut Draft<'_>, input: &wire::CreateRestApiRequest) -> Result<RestApi, Error> {
    let api = RestApi {
        id: draft.fresh_id(10, api_id_is_taken)?,
        root_resource_id: draft.fresh_id(10, |_, _| false)?,
        ..described(draft, input)?
    };
    of_api::read_tagged(draft, &api.id, &api.tags)?;
    draft.put(&api)?;
    draft.put(&RestResource {
        id: api.root_resource_id.clone(),
        api_id: api.id.clone(),
        parent_id: None,
        path_part: None,
        path: "/".to_owned(),
        methods: BTreeMap::new(),
    })?;
    Ok(api)
}

/// What a request says of an API, without its ids.
pub(super) fn described(draft: &Draft<'_>, input: &wire::CreateRestApiRequest) -> Result<RestApi, Error> {
    length("name", &input.name, 1, MAX_NAME_CHARS)?;
    unsupported(input)?;
    let tags = input.tags.clone().unwrap_or_default();
    api_tags(&tags)?;
    let mut api = RestApi {
        id: String::new(),
        root_resource_id: String::new(),
        region: draft.region.to_owned(),
        name: input.name.clone(),
        description: optional("description", input.description.clone(), MAX_DESCRIPTION_CHARS)?,
        version: optional("version", input.version.clone(), MAX_VERSION_CHARS)?,
        disable_execute_api_endpoint: input.disable_execute_api_endpoint.unwrap_or(false),
        created: draft.at,
        binary_media_types: Vec::new(),
        tags,
    };
    let types = input.binary_media_types.iter().flatten();
    types.into_iter().try_for_each(|media_type| add_binary(&mut api, media_type))?;
    Ok(api)
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateRestApiRequest) -> Result<wire::RestApi, Error> {
    let mut api = RestApi::clone(&*find(draft, &input.rest_api_id)?);
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["name"]) => {
                length("name", &patch.value, 1, MAX_NAME_CHARS)?;
                api.name = patch.value;
            }
            (wire::Op::Replace, ["description"]) => {
                api.description = optional("description", Some(patch.value), MAX_DESCRIPTION_CHARS)?;
            }
            (wire::Op::Replace, ["disableExecuteApiEndpoint"]) => api.disable_execute_api_endpoint = patch.flag()?,
            (wire::Op::Add, ["binaryMediaTypes", media_type]) => add_binary(&mut api, media_type)?,
            (wire::Op::Remove, ["binaryMediaTypes", media_type]) => {
                api.binary_media_types.retain(|known| known != media_type);
            }
            (wire::Op::Replace, ["binaryMediaTypes", media_type]) => {
                api.binary_media_types.retain(|known| known != media_type);
                add_binary(&mut api, &patch.value)?;
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    draft.put(&api)?;
    Ok(show(draft, &api))
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteRestApiRequest) -> Result<(), Error> {
    let api = find(draft, &input.rest_api_id)?;
    let state = draft.state.clone();
    if state.mappings.values().flat_map(|of_domain| of_domain.values()).any(|mapping| mapping.api_id == api.id) {
        let message = "Deleting API failed. Please remove all base path mappings related to the API in your domains";
        return Err(Error::bad_request(message));
    }
    if state.routing_rules.values().flat_map(|of_domain| of_domain.values()).any(|rule| rule.api_id == api.id) {
        let message = "Deleting API failed. Please remove all routing rules related to the API in your domains";
        return Err(Error::bad_request(message));
    }
    usage_plan::forget(draft, &api.id, None)?;
    State::of(&state.stages, &api.id).try_for_each(|stage| draft.delete::<Stage>(stage))?;
    State::of(&state.deployments, &api.id).try_for_each(|deployment| draft.delete::<Deployment>(deployment))?;
    State::of(&state.rest_resources, &api.id).try_for_each(|resource| draft.delete::<RestResource>(resource))?;
    clear(draft, &api)?;
    documentation::forget(draft, &api)?;
    of_api::forget(draft, &api.id)?;
    draft.delete::<RestApi>(&api)
}

/// Takes from an API what is neither its resources nor where they are served.
pub(super) fn clear(draft: &mut Draft<'_>, api: &RestApi) -> Result<(), Error> {
    let state = draft.state.clone();
    let validators = State::of(&state.request_validators, &api.id);
    validators.into_iter().try_for_each(|validator| draft.delete::<RequestValidator>(validator))?;
    let authorizers = State::of(&state.rest_authorizers, &api.id);
    authorizers.into_iter().try_for_each(|authorizer| draft.delete::<RestAuthorizer>(authorizer))?;
    State::of(&state.models, &api.id).try_for_each(|model| draft.delete::<Model>(model))?;
    let responses = State::of(&state.gateway_responses, &api.id);
    responses.into_iter().try_for_each(|response| draft.delete::<GatewayResponse>(response))
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetRestApiRequest) -> Result<wire::RestApi, Error> {
    Ok(show(draft, &*find(draft, &input.rest_api_id)?))
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetRestApisRequest) -> Result<wire::RestApis, Error> {
    let apis = draft.state.rest_apis.values().filter(|api| api.region == draft.region);
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) =
        page::page(apis, |api| api.id.clone(), |api| show(draft, api), limit.as_deref(), input.position.as_deref())?;
    Ok(wire::RestApis { items, position })
}

/// A REST API of the region.
pub(crate) fn find(draft: &Draft<'_>, id: &str) -> Result<Arc<RestApi>, Error> {
    let api = draft.state.rest_apis.get(id).filter(|api| api.region == draft.region);
    let message = || format!("Invalid API identifier specified {}:{id}", draft.config.account);
    api.cloned().ok_or_else(|| Error::not_found(message()))
}

/// `type/subtype`, or `*/*` for all.
pub(super) fn add_binary(api: &mut RestApi, media_type: &str) -> Result<(), Error> {
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"/;,\"".contains(&b));
    if !media_type.split_once('/').is_some_and(|(name, subtype)| is_name(name) && is_name(subtype)) {
        return Err(Error::bad_request(format!(
            "Invalid binary media type specified: {media_type}. Expected type/subtype, or */* for all"
        )));
    }
    if api.binary_media_types.iter().any(|known| known == media_type) {
        return Ok(());
    }
    if api.binary_media_types.len() >= MAX_BINARY_MEDIA_TYPES {
        return Err(Error::bad_request(format!("An API has at most {MAX_BINARY_MEDIA_TYPES} binary media types")));
    }
    api.binary_media_types.push(media_type.to_owned());
    Ok(())
}

fn unsupported(input: &wire::CreateRestApiRequest) -> Result<(), Error> {
    refuse(input.clone_from.is_some(), "cloneFrom", NOT_HERE)?;
    refuse(input.policy.is_some(), "A resource policy", NOT_HERE)?;
    refuse(input.minimum_compression_size.is_some(), "minimumCompressionSize", NOT_HERE)?;
    refuse(input.api_key_source == Some(wire::ApiKeySourceType::Authorizer), "apiKeySource AUTHORIZER", NOT_HERE)?;
    refuse(
        input.security_policy.is_some() || input.endpoint_access_mode.is_some(),
        "An API's securityPolicy",
        NOT_HERE,
    )?;
    // EDGE is what the CLI asks for by saying nothing; there are regional endpoints only, which serve the same.
    let configuration = input.endpoint_configuration.as_ref();
    let types = configuration.and_then(|configuration| configuration.types.as_deref()).unwrap_or_default();
    refuse(
        types.iter().any(|kind| *kind != wire::EndpointType::Regional),
        "An endpoint type other than REGIONAL",
        NOT_HERE,
    )?;
    let dualstack = configuration.and_then(|found| found.ip_address_type) == Some(wire::IpAddressType::Dualstack);
    refuse(dualstack, "ipAddressType dualstack", NOT_HERE)
}

pub(super) fn show(draft: &Draft<'_>, api: &RestApi) -> wire::RestApi {
    wire::RestApi {
        api_key_source: Some(wire::ApiKeySourceType::Header),
        api_status: Some(wire::ApiStatus::Available),
        binary_media_types: Some(api.binary_media_types.clone()).filter(|types| !types.is_empty()),
        created_date: Some(Timestamp(api.created)),
        description: api.description.clone(),
        disable_execute_api_endpoint: Some(api.disable_execute_api_endpoint),
        endpoint_configuration: Some(wire::EndpointConfiguration {
            types: Some(vec![wire::EndpointType::Regional]),
            ip_address_type: Some(wire::IpAddressType::Ipv4),
            vpc_endpoint_ids: None,
        }),
        id: Some(api.id.clone()),
        name: Some(api.name.clone()),
        root_resource_id: Some(api.root_resource_id.clone()),
        tags: Some(api.tags.clone()),
        version: api.version.clone(),
        warnings: of_api::warnings(&draft.state, &api.id),
        ..Default::default()
    }
}
