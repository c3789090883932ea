//! Base path mappings: v2's API mappings under other names.

use aws::Error;
use aws::apigateway as wire;
use aws::apigatewayv2::{CreateApiMappingRequest, UpdateApiMappingRequest};
use model::State;
use model::resource::ApiMapping;

use super::Draft;
use super::patch::Patch;
use crate::apigatewayv2::check::{NOT_HERE, refuse};
use crate::apigatewayv2::{mapping, page};

/// What the empty base path is called.
const NONE: &str = "(none)";
const PATHS: &str = "/basePath, /restapiId, /stage";

pub(super) fn create(
    draft: &mut Draft<'_>,
    input: &wire::CreateBasePathMappingRequest,
) -> Result<wire::BasePathMapping, Error> {
    refuse(
        input.domain_name_id.is_some(),
        "domainNameId",
        "is of private domain names, which are not available in Countersign",
    )?;
    let stage = input.stage.clone().filter(|stage| !stage.is_empty());
    refuse(stage.is_none(), "A base path mapping without a stage", NOT_HERE)?;
    let key = checked_key(input.base_path.clone())?;
    refuse_taken(draft, &input.domain_name, &key, None)?;
    mapping::create(
        draft,
        &CreateApiMappingRequest {
            domain_name: input.domain_name.clone(),
            api_id: input.rest_api_id.clone(),
            api_mapping_key: Some(key.clone()),
            stage: stage.unwrap_or_default(),
        },
    )?;
    Ok(show(find(draft, &input.domain_name, &key)?))
}

pub(super) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateBasePathMappingRequest,
) -> Result<wire::BasePathMapping, Error> {
    let mapping = find(draft, &input.domain_name, &input.base_path)?;
    let (id, mut key) = (mapping.id.clone(), mapping.key.clone());
    let (mut api_id, mut stage) = (mapping.api_id.clone(), mapping.stage.clone());
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["basePath"]) => key = checked_key(Some(patch.value))?,
            (wire::Op::Replace, ["restapiId" | "restApiId"]) => api_id = patch.value,
            (wire::Op::Replace, ["stage"]) => stage = patch.value,
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    refuse_taken(draft, &input.domain_name, &key, Some(&id))?;
    mapping::update(
        draft,
        &UpdateApiMappingRequest {
            domain_name: input.domain_name.clone(),
            api_mapping_id: id,
            api_id,
            api_mapping_key: Some(key.clone()),
            stage: Some(stage),
        },
    )?;
    Ok(show(find(draft, &input.domain_name, &key)?))
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteBasePathMappingRequest) -> Result<(), Error> {
    let mapping = find(draft, &input.domain_name, &input.base_path)?.clone();
    draft.delete(&mapping)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetBasePathMappingRequest) -> Result<wire::BasePathMapping, Error> {
    find(draft, &input.domain_name, &input.base_path).map(show)
}

pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetBasePathMappingsRequest,
) -> Result<wire::BasePathMappings, Error> {
    let domain = draft.domain(&input.domain_name)?;
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        State::of(&draft.state.mappings, &domain.name),
        |mapping| mapping.id.clone(),
        |mapping| show(mapping),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::BasePathMappings { items, position })
}

fn checked_key(base_path: Option<String>) -> Result<String, Error> {
    let key = base_path.filter(|path| path != NONE).unwrap_or_default();
    if key.contains('/') {
        let message = "API Gateway V1 doesn't support the slash character (/) in base path mappings. To create a multi-level base path \
                       mapping, use API Gateway V2.";
        return Err(Error::bad_request(message));
    }
    Ok(key)
}

/// `but` may have it.
fn refuse_taken(draft: &Draft<'_>, domain: &str, key: &str, but: Option<&str>) -> Result<(), Error> {
    let domain = draft.domain(domain)?;
    let mut others = State::of(&draft.state.mappings, &domain.name).filter(|other| but.is_none_or(|id| other.id != id));
    match others.any(|other| other.key == key) {
        true => Err(Error::conflict("Base path already exists for this domain name")),
        false => Ok(()),
    }
}

fn find<'d>(draft: &'d Draft<'_>, domain: &str, base_path: &str) -> Result<&'d ApiMapping, Error> {
    let domain = draft.domain(domain)?;
    let key = if base_path == NONE { "" } else { base_path };
    let mapping = State::of(&draft.state.mappings, &domain.name).find(|mapping| mapping.key == key);
    mapping.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid base path mapping identifier specified"))
}

fn show(mapping: &ApiMapping) -> wire::BasePathMapping {
    wire::BasePathMapping {
        base_path: Some(if mapping.key.is_empty() { NONE.to_owned() } else { mapping.key.clone() }),
        rest_api_id: Some(mapping.api_id.clone()),
        stage: Some(mapping.stage.clone()),
    }
}
