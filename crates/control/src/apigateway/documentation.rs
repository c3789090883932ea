//! Documentation of REST APIs: parts, each about a place of the API, and versions of all of them. Both are only kept; what is published
//! of them goes into exported documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws::apigateway as wire;
use aws::{Error, Timestamp};
use model::State;
use model::resource::{DocumentationLocation, DocumentationPart, DocumentationVersion, RestApi, Stage};
use serde_json::Value;

use super::patch::Patch;
use super::{Draft, rest_api, stage};
use crate::apigatewayv2::check::{length, optional};
use crate::apigatewayv2::page;
use crate::openapi::{Document, Node};

const MAX_PARTS: usize = 2000;
const MAX_VERSIONS: usize = 100;
const MAX_PROPERTIES_BYTES: usize = 32 * 1024;
const MAX_VERSION_CHARS: usize = 64;
const MAX_DESCRIPTION_CHARS: usize = 1024;
/// A path, a method or a status code of all.
const ALL: &str = "*";

/// Which members a location of a type has: path, method, status code, name.
fn members(kind: wire::DocumentationPartType) -> [bool; 4] {
    use wire::DocumentationPartType as Type;
    match kind {
        Type::Api => [false; 4],
        Type::Authorizer | Type::Model => [false, false, false, true],
        Type::Resource => [true, false, false, false],
        Type::Method | Type::RequestBody => [true, true, false, false],
        Type::PathParameter | Type::QueryParameter | Type::RequestHeader => [true, true, false, true],
        Type::Response | Type::ResponseBody => [true, true, true, false],
        Type::ResponseHeader => [true; 4],
    }
}

pub(super) fn create(
    draft: &mut Draft<'_>,
    input: &wire::CreateDocumentationPartRequest,
) -> Result<wire::DocumentationPart, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let location = checked_location(&input.location)?;
    if at(draft, &api, &location).is_some() {
        let message = format!("Documentation part already exists for the specified location: type '{}'", location.kind);
        return Err(Error::conflict(message));
    }
    let id = fresh_id(draft, &api)?;
    put(draft, DocumentationPart { api_id: api.id.clone(), id, location, properties: input.properties.clone() })
}

pub(super) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateDocumentationPartRequest,
) -> Result<wire::DocumentationPart, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let mut part = find(draft, &api, &input.documentation_part_id)?.clone();
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["properties"]) => part.properties = patch.value,
            _ => return Err(patch.unknown("/properties")),
        }
    }
    put(draft, part)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteDocumentationPartRequest) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let part = find(draft, &api, &input.documentation_part_id)?.clone();
    draft.delete(&part)
}

pub(super) fn get(
    draft: &Draft<'_>,
    input: &wire::GetDocumentationPartRequest,
) -> Result<wire::DocumentationPart, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    find(draft, &api, &input.documentation_part_id).map(show)
}

/// What is not documented is not listed: `UNDOCUMENTED` finds nothing.
pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetDocumentationPartsRequest,
) -> Result<wire::DocumentationParts, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let is_wanted = |part: &&Arc<DocumentationPart>| {
        let location = &part.location;
        let is_named = |name: &String| location.name.as_ref().is_some_and(|own| own.contains(name.as_str()));
        input.location_status != Some(wire::LocationStatusType::Undocumented)
            && input.r#type.is_none_or(|kind| kind.to_string() == location.kind)
            && input.name_query.as_ref().is_none_or(is_named)
            && input.path.as_ref().is_none_or(|path| location.path.as_ref() == Some(path))
    };
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        State::of(&draft.state.documentation_parts, &api.id).filter(is_wanted),
        |part| part.id.clone(),
        |part| show(part),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::DocumentationParts { items, position })
}

/// Parts of a document's `x-amazon-apigateway-documentation`.
pub(super) fn import(
    draft: &mut Draft<'_>,
    input: &wire::ImportDocumentationPartsRequest,
) -> Result<wire::DocumentationPartIds, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let document = Document::parse(&input.body.0)?;
    if input.mode == Some(wire::PutMode::Overwrite) {
        clear(draft, &api)?;
    }
    let ids = import_from(draft, &api, &document.node())?;
    Ok(wire::DocumentationPartIds { ids: Some(ids), warnings: None })
}

/// What is at a place already becomes what is said.
pub(super) fn import_from(draft: &mut Draft<'_>, api: &RestApi, root: &Node<'_>) -> Result<Vec<String>, Error> {
    let parts = root.get("x-amazon-apigateway-documentation")?;
    let parts = parts.map(|documentation| documentation.get("documentationParts")).transpose()?.flatten();
    let mut ids = Vec::new();
    for node in parts.map(|parts| parts.items()).transpose()?.unwrap_or_default() {
        let location = node.get("location")?.ok_or_else(|| node.wrong("location is missing"))?;
        let location = checked_location(&location.parse()?)?;
        let properties = node.get("properties")?.ok_or_else(|| node.wrong("properties is missing"))?;
        let properties = match properties.value() {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let id = match at(draft, api, &location) {
            Some(known) => known.id.clone(),
            None => fresh_id(draft, api)?,
        };
        put(draft, DocumentationPart { api_id: api.id.clone(), id: id.clone(), location, properties })?;
        ids.push(id);
    }
    Ok(ids)
}

/// As a document has it.
pub(super) fn extension(version: &DocumentationVersion) -> Value {
    let part = |part: &DocumentationPart| {
        let location: serde_json::Map<String, Value> = located(&part.location)
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?.clone()))))
            .collect();
        let properties: Value = serde_json::from_str(&part.properties).unwrap_or_default();
        serde_json::json!({"location": location, "properties": properties})
    };
    let parts: Vec<Value> = version.parts.iter().map(part).collect();
    serde_json::json!({"version": version.version, "documentationParts": parts})
}

/// All of an API.
pub(super) fn clear(draft: &mut Draft<'_>, api: &RestApi) -> Result<(), Error> {
    let parts = draft.state.documentation_parts.clone();
    State::of(&parts, &api.id).try_for_each(|part| draft.delete::<DocumentationPart>(part))
}

/// Of an API that is gone.
pub(super) fn forget(draft: &mut Draft<'_>, api: &RestApi) -> Result<(), Error> {
    clear(draft, api)?;
    let versions = draft.state.documentation_versions.clone();
    State::of(&versions, &api.id).try_for_each(|version| draft.delete::<DocumentationVersion>(version))
}

/// All parts as they are now; for a stage, if one is named.
pub(super) fn create_version(
    draft: &mut Draft<'_>,
    input: &wire::CreateDocumentationVersionRequest,
) -> Result<wire::DocumentationVersion, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    length("documentationVersion", &input.documentation_version, 1, MAX_VERSION_CHARS)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !input.documentation_version.bytes().all(is_plain) {
        return Err(Error::bad_request("Documentation version only allows a-zA-Z0-9._-"));
    }
    let versions = &draft.state.documentation_versions;
    if State::one(versions, &api.id, &input.documentation_version).is_some() {
        return Err(Error::conflict("Documentation version already exists"));
    }
    if State::of(versions, &api.id).count() >= MAX_VERSIONS {
        let message = "Maximum number of Documentation Versions for this API has been reached.";
        return Err(Error::too_many_requests("MaxDocumentationVersions", message));
    }
    let version = DocumentationVersion {
        api_id: api.id.clone(),
        version: input.documentation_version.clone(),
        created: draft.at,
        description: optional("description", input.description.clone(), MAX_DESCRIPTION_CHARS)?,
        parts: State::of(&draft.state.documentation_parts, &api.id).map(|part| (**part).clone()).collect(),
    };
    draft.put(&version)?;
    if let Some(name) = input.stage_name.as_ref().filter(|name| !name.is_empty()) {
        let stage = stage::find(draft, &api, name)?.clone();
        draft.put(&Stage { documentation_version: Some(version.version.clone()), updated: draft.at, ..stage })?;
    }
    Ok(show_version(&version))
}

pub(super) fn update_version(
    draft: &mut Draft<'_>,
    input: &wire::UpdateDocumentationVersionRequest,
) -> Result<wire::DocumentationVersion, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let mut version = find_version(draft, &api, &input.documentation_version)?.clone();
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["description"]) => {
                version.description = optional("description", Some(patch.value), MAX_DESCRIPTION_CHARS)?;
            }
            _ => return Err(patch.unknown("/description")),
        }
    }
    draft.put(&version)?;
    Ok(show_version(&version))
}

pub(super) fn delete_version(
    draft: &mut Draft<'_>,
    input: &wire::DeleteDocumentationVersionRequest,
) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let version = find_version(draft, &api, &input.documentation_version)?.clone();
    let names = |stage: &&Arc<Stage>| stage.documentation_version.as_ref() == Some(&version.version);
    if let Some(stage) = State::of(&draft.state.stages, &api.id).find(names) {
        let message = format!("Documentation version '{}' is associated with stage '{}'", version.version, stage.name);
        return Err(Error::conflict(message));
    }
    draft.delete(&version)
}

pub(super) fn get_version(
    draft: &Draft<'_>,
    input: &wire::GetDocumentationVersionRequest,
) -> Result<wire::DocumentationVersion, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    find_version(draft, &api, &input.documentation_version).map(show_version)
}

pub(super) fn list_versions(
    draft: &Draft<'_>,
    input: &wire::GetDocumentationVersionsRequest,
) -> Result<wire::DocumentationVersions, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        State::of(&draft.state.documentation_versions, &api.id),
        |version| version.version.clone(),
        |version| show_version(version),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::DocumentationVersions { items, position })
}

pub(super) fn find_version<'d>(
    draft: &'d Draft<'_>,
    api: &RestApi,
    version: &str,
) -> Result<&'d DocumentationVersion, Error> {
    let found = State::one(&draft.state.documentation_versions, &api.id, version);
    found.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid Documentation version specified"))
}

fn find<'d>(draft: &'d Draft<'_>, api: &RestApi, id: &str) -> Result<&'d DocumentationPart, Error> {
    let part = State::one(&draft.state.documentation_parts, &api.id, id);
    part.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid Documentation part identifier specified"))
}

fn at<'d>(draft: &'d Draft<'_>, api: &RestApi, location: &DocumentationLocation) -> Option<&'d Arc<DocumentationPart>> {
    State::of(&draft.state.documentation_parts, &api.id).find(|part| part.location == *location)
}

fn fresh_id(draft: &Draft<'_>, api: &RestApi) -> Result<String, Error> {
    draft.fresh_id(6, |state, id| State::one(&state.documentation_parts, &api.id, id).is_some())
}

/// Keeps a part, if it is good as a whole and there is room.
fn put(draft: &mut Draft<'_>, part: DocumentationPart) -> Result<wire::DocumentationPart, Error> {
    let parts = &draft.state.documentation_parts;
    if State::one(parts, &part.api_id, &part.id).is_none() && State::of(parts, &part.api_id).count() >= MAX_PARTS {
        let message = "Maximum number of Documentation Parts for this API has been reached.";
        return Err(Error::too_many_requests("MaxDocumentationParts", message));
    }
    let is_object = serde_json::from_str::<BTreeMap<String, Value>>(&part.properties).is_ok();
    if !is_object || part.properties.len() > MAX_PROPERTIES_BYTES {
        let message =
            format!("Documentation part properties must be a JSON object of {MAX_PROPERTIES_BYTES} bytes at most");
        return Err(Error::bad_request(message));
    }
    draft.put(&part)?;
    Ok(show(&part))
}

/// With what is meant where nothing is said.
fn checked_location(location: &wire::DocumentationPartLocation) -> Result<DocumentationLocation, Error> {
    let [path, method, status_code, name] = members(location.r#type);
    let kind = location.r#type.to_string();
    let unexpected = [
        (location.path.is_some() && !path, "path"),
        (location.method.is_some() && !method, "method"),
        (location.status_code.is_some() && !status_code, "statusCode"),
        (location.name.is_some() && !name, "name"),
    ];
    if let Some((_, what)) = unexpected.iter().find(|(is_wrong, _)| *is_wrong) {
        return Err(Error::bad_request(format!("Invalid location: a part of type {kind} has no {what}")));
    }
    if name && location.name.as_ref().is_none_or(String::is_empty) {
        return Err(Error::bad_request(format!("Invalid location: a part of type {kind} needs a name")));
    }
    let or = |is_there: bool, given: &Option<String>, usual: &str| {
        is_there.then(|| given.clone().unwrap_or_else(|| usual.to_owned()))
    };
    Ok(DocumentationLocation {
        kind,
        path: or(path, &location.path, "/"),
        method: or(method, &location.method, ALL),
        status_code: or(status_code, &location.status_code, ALL),
        name: location.name.clone(),
    })
}

fn located(location: &DocumentationLocation) -> [(&'static str, Option<&String>); 5] {
    [
        ("type", Some(&location.kind)),
        ("path", location.path.as_ref()),
        ("method", location.method.as_ref()),
        ("statusCode", location.status_code.as_ref()),
        ("name", location.name.as_ref()),
    ]
}

fn show(part: &DocumentationPart) -> wire::DocumentationPart {
    let location = &part.location;
    wire::DocumentationPart {
        id: Some(part.id.clone()),
        location: wire::DocumentationPartType::parse(&location.kind).map(|kind| wire::DocumentationPartLocation {
            r#type: kind,
            path: location.path.clone(),
            method: location.method.clone(),
            status_code: location.status_code.clone(),
            name: location.name.clone(),
        }),
        properties: Some(part.properties.clone()),
    }
}

fn show_version(version: &DocumentationVersion) -> wire::DocumentationVersion {
    wire::DocumentationVersion {
        created_date: Some(Timestamp(version.created)),
        description: version.description.clone(),
        version: Some(version.version.clone()),
    }
}
