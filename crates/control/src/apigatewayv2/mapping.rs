//! API mappings: which stage a custom domain's base path leads to.

use aws::Error;
use aws::apigatewayv2 as wire;
use model::State;
use model::resource::{ApiMapping, Domain};

use super::draft::{Draft, not_found};
use super::{domain, page};

const MAX_MAPPINGS: usize = 200;
const MAX_KEY_CHARS: usize = 300;

pub(crate) fn create(draft: &mut Draft<'_>, input: &wire::CreateApiMappingRequest) -> Result<wire::ApiMapping, Error> {
    let domain = draft.domain(&input.domain_name)?;
    if State::of(&draft.state.mappings, &domain.name).count() >= MAX_MAPPINGS {
        let message = "Maximum number of API mappings for this domain name has been reached.";
        return Err(Error::too_many_requests("MaxApiMappings", message));
    }
    let taken = |state: &State, id: &str| State::one(&state.mappings, &domain.name, id).is_some();
    let mapping = ApiMapping {
        id: draft.fresh_id(6, taken)?,
        domain: domain.name.clone(),
        key: input.api_mapping_key.clone().unwrap_or_default(),
        api_id: input.api_id.clone(),
        stage: input.stage.clone(),
    };
    put(draft, mapping)
}

pub(crate) fn update(draft: &mut Draft<'_>, input: &wire::UpdateApiMappingRequest) -> Result<wire::ApiMapping, Error> {
    let domain = draft.domain(&input.domain_name)?;
    let mut mapping = find(draft, &domain, &input.api_mapping_id)?.clone();
    mapping.api_id = input.api_id.clone();
    mapping.key = input.api_mapping_key.clone().unwrap_or(mapping.key);
    mapping.stage = input.stage.clone().unwrap_or(mapping.stage);
    put(draft, mapping)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteApiMappingRequest) -> Result<(), Error> {
    let domain = draft.domain(&input.domain_name)?;
    let mapping = find(draft, &domain, &input.api_mapping_id)?.clone();
    draft.delete(&mapping)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetApiMappingRequest) -> Result<wire::ApiMapping, Error> {
    let domain = draft.domain(&input.domain_name)?;
    find(draft, &domain, &input.api_mapping_id).map(show)
}

pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetApiMappingsRequest,
) -> Result<wire::GetApiMappingsResponse, Error> {
    let domain = draft.domain(&input.domain_name)?;
    let (items, next_token) = page::page(
        State::of(&draft.state.mappings, &domain.name),
        |mapping| mapping.id.clone(),
        |mapping| show(mapping),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetApiMappingsResponse { items, next_token })
}

fn put(draft: &mut Draft<'_>, mapping: ApiMapping) -> Result<wire::ApiMapping, Error> {
    draft.any_api(&mapping.api_id)?;
    domain::check_api(draft, &*draft.domain(&mapping.domain)?, &mapping.api_id)?;
    if State::one(&draft.state.stages, &mapping.api_id, &mapping.stage).is_none() {
        return Err(Error::bad_request("Invalid stage identifier specified"));
    }
    check_key(&mapping.key)?;
    let same = |other: &ApiMapping| other.id != mapping.id && other.key == mapping.key;
    if State::of(&draft.state.mappings, &mapping.domain).any(|other| same(other)) {
        return Err(Error::conflict("ApiMapping key already exists for this domain name"));
    }
    draft.put(&mapping)?;
    Ok(show(&mapping))
}

/// Empty, or segments between single slashes, none of them at an end.
pub(super) fn check_key(key: &str) -> Result<(), Error> {
    let plain = |segment: &str| {
        !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"$-_.+!*'()".contains(&b))
    };
    if key.is_empty() || key.len() <= MAX_KEY_CHARS && key.split('/').all(plain) {
        return Ok(());
    }
    let message = "API mapping key should only contain a-z, A-Z, 0-9, $-_.+!*'() and single slashes between them, at most 300 characters";
    Err(Error::bad_request(message))
}

fn find<'d>(draft: &'d Draft<'_>, domain: &Domain, id: &str) -> Result<&'d ApiMapping, Error> {
    let mapping = State::one(&draft.state.mappings, &domain.name, id);
    mapping.map(|found| &**found).ok_or_else(|| not_found("ApiMapping", "Invalid API mapping identifier specified"))
}

fn show(mapping: &ApiMapping) -> wire::ApiMapping {
    wire::ApiMapping {
        api_id: Some(mapping.api_id.clone()),
        api_mapping_id: Some(mapping.id.clone()),
        api_mapping_key: Some(mapping.key.clone()),
        stage: Some(mapping.stage.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_paths_without_slashes_around() {
        for (key, good) in [
            ("", true),
            ("orders", true),
            ("v1/orders", true),
            ("a.b-c_d$+!*'()", true),
            ("/orders", false),
            ("orders/", false),
            ("a//b", false),
            ("a b", false),
            ("a%20b", false),
        ] {
            assert_eq!(check_key(key).is_ok(), good, "{key}");
        }
        assert!(check_key(&"k".repeat(301)).is_err());
    }
}
