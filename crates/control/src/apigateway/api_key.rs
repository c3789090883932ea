//! API keys. A value is a secret: it is sealed before it is stored, and shown where AWS shows it.

use aws::apigateway as wire;
use aws::{Error, Timestamp};
use model::resource::{ApiKey, UsagePlanKey};
use model::{Keyring, State};

use super::patch::Patch;
use super::usage_plan::add_key;
use super::{Draft, csv};
use crate::apigatewayv2::check::{NOT_HERE, length, optional, other_tags, refuse};
use crate::apigatewayv2::page;
use crate::ids;

const MAX_KEYS: usize = 10_000;
const MAX_NAME_CHARS: usize = 1024;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const VALUE_CHARS: std::ops::RangeInclusive<usize> = 20..=128;
/// Of values that are made here.
const MADE_CHARS: usize = 40;
const PATHS: &str = "/customerId, /description, /enabled, /name";

/// What a new key is to be.
#[derive(Default)]
struct Wanted {
    name: String,
    description: Option<String>,
    customer_id: Option<String>,
    enabled: bool,
    /// None: one is made.
    value: Option<String>,
    tags: model::resource::Tags,
}

pub(super) fn create(
    draft: &mut Draft<'_>,
    keyring: &Keyring,
    input: &wire::CreateApiKeyRequest,
) -> Result<wire::ApiKey, Error> {
    refuse(input.generate_distinct_id == Some(false), "generateDistinctId false", NOT_HERE)?;
    let stage_keys = input.stage_keys.as_ref().is_some_and(|keys| !keys.is_empty());
    refuse(stage_keys, "stageKeys, which usage plans have replaced,", NOT_HERE)?;
    let wanted = Wanted {
        name: input.name.clone().unwrap_or_default(),
        description: input.description.clone(),
        customer_id: input.customer_id.clone(),
        enabled: input.enabled.unwrap_or(false),
        value: input.value.clone(),
        tags: input.tags.clone().unwrap_or_default(),
    };
    let (key, value) = make(draft, keyring, wanted)?;
    Ok(wire::ApiKey { value: Some(value), ..show(&key) })
}

/// Makes all keys of a CSV file or none: `name,key,description,enabled,usageplanIds`, in the order that its first line says.
pub(super) fn import(
    draft: &mut Draft<'_>,
    keyring: &Keyring,
    input: &wire::ImportApiKeysRequest,
) -> Result<wire::ApiKeyIds, Error> {
    let text = std::str::from_utf8(&input.body.0).map_err(|_| Error::bad_request("The file is no UTF-8"))?;
    let rows = csv::read(text).map_err(Error::bad_request)?;
    let mut ids = Vec::with_capacity(rows.len());
    for row in rows {
        let field = |name: &str| row.get(name).cloned().filter(|text| !text.is_empty());
        let wanted = Wanted {
            name: field("name").unwrap_or_default(),
            description: field("description"),
            enabled: field("enabled").is_none_or(|text| text.eq_ignore_ascii_case("true")),
            value: Some(field("key").ok_or_else(|| Error::bad_request("An API key of the file has no key"))?),
            ..Wanted::default()
        };
        let (key, _) = make(draft, keyring, wanted)?;
        for plan in field("usageplanids").unwrap_or_default().split(',').filter(|id| !id.trim().is_empty()) {
            add_key(draft, plan.trim(), &key.id)?;
        }
        ids.push(key.id);
    }
    Ok(wire::ApiKeyIds { ids: Some(ids), warnings: Some(Vec::new()) })
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateApiKeyRequest) -> Result<wire::ApiKey, Error> {
    let mut key = ApiKey { updated: draft.at, ..find(draft, &input.api_key)?.clone() };
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["name"]) => {
                length("name", &patch.value, 0, MAX_NAME_CHARS)?;
                key.name = patch.value;
            }
            (wire::Op::Replace, ["enabled"]) => key.enabled = patch.flag()?,
            (_, ["description"]) => {
                key.description = optional("description", Some(patch.value_or_empty()), MAX_DESCRIPTION_CHARS)?;
            }
            (_, ["customerId"]) => {
                key.customer_id = optional("customerId", Some(patch.value_or_empty()), MAX_NAME_CHARS)?;
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    draft.put(&key)?;
    Ok(show(&key))
}

/// With its places in usage plans.
pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteApiKeyRequest) -> Result<(), Error> {
    let key = find(draft, &input.api_key)?.clone();
    let all = draft.state.usage_plan_keys.clone();
    let of_key = all.values().filter_map(|of_plan| of_plan.get(&key.id));
    of_key.into_iter().try_for_each(|of_plan| draft.delete::<UsagePlanKey>(of_plan))?;
    draft.delete(&key)
}

pub(super) fn get(draft: &Draft<'_>, keyring: &Keyring, input: &wire::GetApiKeyRequest) -> Result<wire::ApiKey, Error> {
    let key = find(draft, &input.api_key)?;
    show_with(key, input.include_value == Some(true), keyring)
}

pub(super) fn list(
    draft: &Draft<'_>,
    keyring: &Keyring,
    input: &wire::GetApiKeysRequest,
) -> Result<wire::ApiKeys, Error> {
    let wanted = |key: &&std::sync::Arc<ApiKey>| {
        key.region == draft.region
            && input.name_query.as_ref().is_none_or(|start| key.name.starts_with(start))
            && input.customer_id.as_ref().is_none_or(|id| key.customer_id.as_ref() == Some(id))
    };
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        draft.state.api_keys.values().filter(wanted),
        |key| key.id.clone(),
        |key| show_with(key, input.include_values == Some(true), keyring),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    let items = items.map(|items| items.into_iter().collect::<Result<Vec<_>, Error>>()).transpose()?;
    Ok(wire::ApiKeys { items, position, warnings: None })
}

/// An API key of the region.
pub(crate) fn find<'d>(draft: &'d Draft<'_>, id: &str) -> Result<&'d ApiKey, Error> {
    let key = draft.state.api_keys.get(id).filter(|key| key.region == draft.region);
    key.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid API Key identifier specified"))
}

/// The value of a key.
pub(super) fn open(key: &ApiKey, keyring: &Keyring) -> Result<String, Error> {
    let value = keyring.open(&ApiKey::sealed_for(&key.id), &key.value);
    let value = value.map_err(|error| Error::internal(error.to_string()))?;
    String::from_utf8(value.to_vec()).map_err(|_| Error::internal("The API key is no text."))
}

fn make(draft: &mut Draft<'_>, keyring: &Keyring, wanted: Wanted) -> Result<(ApiKey, String), Error> {
    length("name", &wanted.name, 0, MAX_NAME_CHARS)?;
    other_tags(&wanted.tags)?;
    if draft.state.api_keys.len() >= MAX_KEYS {
        return Err(Error::too_many_requests(
            "MaxApiKeys",
            "Maximum number of API Keys for this account has been reached.",
        ));
    }
    let value = match wanted.value {
        Some(value) => checked(draft, keyring, value)?,
        None => ids::short(MADE_CHARS)?,
    };
    let id = draft.fresh_id(10, |state: &State, id| state.api_keys.contains_key(id))?;
    let sealed = keyring.seal(&ApiKey::sealed_for(&id), value.as_bytes());
    let key = ApiKey {
        region: draft.region.to_owned(),
        name: wanted.name,
        description: optional("description", wanted.description, MAX_DESCRIPTION_CHARS)?,
        customer_id: optional("customerId", wanted.customer_id, MAX_NAME_CHARS)?,
        enabled: wanted.enabled,
        value: sealed.map_err(|error| Error::internal(error.to_string()))?,
        created: draft.at,
        updated: draft.at,
        tags: wanted.tags,
        id,
    };
    draft.put(&key)?;
    Ok((key, value))
}

/// A value that can be sent in a header and that no other key has.
fn checked(draft: &Draft<'_>, keyring: &Keyring, value: String) -> Result<String, Error> {
    if value.len() < *VALUE_CHARS.start() {
        return Err(Error::bad_request("API Key value should be at least 20 characters"));
    }
    if value.len() > *VALUE_CHARS.end() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::bad_request("API Key value should be at most 128 visible ASCII characters"));
    }
    for other in draft.state.api_keys.values() {
        if open(other, keyring)? == value {
            return Err(Error::conflict("API Key already exists"));
        }
    }
    Ok(value)
}

fn show_with(key: &ApiKey, with_value: bool, keyring: &Keyring) -> Result<wire::ApiKey, Error> {
    let value = with_value.then(|| open(key, keyring)).transpose()?;
    Ok(wire::ApiKey { value, ..show(key) })
}

fn show(key: &ApiKey) -> wire::ApiKey {
    wire::ApiKey {
        created_date: Some(Timestamp(key.created)),
        customer_id: key.customer_id.clone(),
        description: key.description.clone(),
        enabled: Some(key.enabled),
        id: Some(key.id.clone()),
        last_updated_date: Some(Timestamp(key.updated)),
        name: Some(key.name.clone()),
        stage_keys: Some(Vec::new()),
        tags: Some(key.tags.clone()),
        value: None,
    }
}
