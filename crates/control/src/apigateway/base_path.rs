//! Base path mappings: v2's API mappings under other names.

use aws::Error;
use aws::apigateway as wire;
use aws::apigatewayv2::CreateApiMappingRequest;
use model::State;
use model::resource::ApiMapping;

use super::Draft;
use crate::apigatewayv2::check::{NOT_HERE, refuse};
use crate::apigatewayv2::{mapping, page};

/// What the empty base path is called.
const NONE: &str = "(none)";

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
    let key = input.base_path.clone().filter(|path| path != NONE).unwrap_or_default();
    if key.contains('/') {
        let message = "API Gateway V1 doesn't support the slash character (/) in base path mappings. To create a multi-level base path \
                       mapping, use API Gateway V2.";
        return Err(Error::bad_request(message));
    }
    let domain = draft.domain(&input.domain_name)?;
    if State::of(&draft.state.mappings, &domain.name).any(|other| other.key == key) {
        return Err(Error::conflict("Base path already exists for this domain name"));
    }
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
