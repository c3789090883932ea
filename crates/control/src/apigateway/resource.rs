//! Resources: the paths of a REST API, as a tree.

use std::collections::BTreeMap;

use aws::Error;
use aws::apigateway as wire;
use model::resource::{RestApi, RestResource};
use model::{RouteKey, State};

use super::patch::Patch;
use super::{Draft, method, rest_api};
use crate::apigatewayv2::page;

const MAX_RESOURCES: usize = 300;

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateResourceRequest) -> Result<wire::Resource, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let parent = find(draft, &api, &input.parent_id)?.clone();
    add(draft, &api, &parent, &input.path_part).map(|resource| show(&resource, false))
}

fn add(draft: &mut Draft<'_>, api: &RestApi, parent: &RestResource, part: &str) -> Result<RestResource, Error> {
    if State::of(&draft.state.rest_resources, &api.id).count() >= MAX_RESOURCES {
        let message = "Maximum number of Resources for this API has been reached.";
        return Err(Error::too_many_requests("MaxResources", message));
    }
    let path = checked_path(draft, parent, part)?;
    let taken = |state: &State, id: &str| State::one(&state.rest_resources, &api.id, id).is_some();
    let resource = RestResource {
        id: draft.fresh_id(6, taken)?,
        api_id: api.id.clone(),
        parent_id: Some(parent.id.clone()),
        path_part: Some(part.to_owned()),
        path,
        methods: BTreeMap::new(),
    };
    draft.put(&resource)?;
    Ok(resource)
}

/// Renames a resource, or puts it under another one; all below goes with it.
pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateResourceRequest) -> Result<wire::Resource, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let mut resource = find(draft, &api, &input.resource_id)?.clone();
    let (Some(mut parent), Some(mut part)) = (resource.parent_id.clone(), resource.path_part.clone()) else {
        return Err(Error::bad_request("Root resource cannot be updated"));
    };
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["pathPart"]) => part = patch.value,
            (wire::Op::Replace, ["parentId"]) => parent = patch.value,
            _ => return Err(patch.unknown("/parentId, /pathPart")),
        }
    }
    let above = find(draft, &api, &parent)?.clone();
    let below = format!("{}/", resource.path);
    if above.id == resource.id || above.path.starts_with(&below) {
        return Err(Error::bad_request("A resource cannot be under itself"));
    }
    if (resource.parent_id.as_ref(), resource.path_part.as_ref()) == (Some(&parent), Some(&part)) {
        return Ok(show(&resource, false));
    }
    let path = checked_path(draft, &above, &part)?;
    let all = draft.state.rest_resources.clone();
    for other in State::of(&all, &api.id).filter(|other| other.path.starts_with(&below)) {
        let moved = format!("{path}/{}", &other.path[below.len()..]);
        if RouteKey::parse(&format!("ANY {moved}")).is_err() {
            return Err(Error::bad_request(format!(
                "The path {moved} cannot be: a variable is there twice, or greedy"
            )));
        }
        draft.put(&RestResource { path: moved, ..RestResource::clone(other) })?;
    }
    resource = RestResource { parent_id: Some(parent), path_part: Some(part), path, ..resource };
    draft.put(&resource)?;
    Ok(show(&resource, false))
}

/// Deletes a resource and all below it.
pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteResourceRequest) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let resource = find(draft, &api, &input.resource_id)?.clone();
    if resource.parent_id.is_none() {
        return Err(Error::bad_request("Root resource cannot be deleted"));
    }
    let below = format!("{}/", resource.path);
    let all = draft.state.rest_resources.clone();
    let gone = State::of(&all, &api.id).filter(|other| other.id == resource.id || other.path.starts_with(&below));
    gone.into_iter().try_for_each(|other| draft.delete::<RestResource>(other))
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetResourceRequest) -> Result<wire::Resource, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let resource = find(draft, &api, &input.resource_id)?;
    Ok(show(resource, embeds_methods(input.embed.as_deref())))
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetResourcesRequest) -> Result<wire::Resources, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let embed = embeds_methods(input.embed.as_deref());
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        State::of(&draft.state.rest_resources, &api.id),
        |resource| resource.id.clone(),
        |resource| show(resource, embed),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::Resources { items, position })
}

/// The resource of a path, which is made with all above it if it is not there.
pub(super) fn at(draft: &mut Draft<'_>, api: &RestApi, path: &str) -> Result<RestResource, Error> {
    let mut resource = find(draft, api, &api.root_resource_id)?.clone();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let known = State::of(&draft.state.rest_resources, &api.id)
            .find(|known| known.parent_id.as_ref() == Some(&resource.id) && known.path_part.as_deref() == Some(part));
        resource = match known {
            Some(known) => RestResource::clone(known),
            None => add(draft, api, &resource, part)?,
        };
    }
    Ok(resource)
}

pub(super) fn find<'d>(draft: &'d Draft<'_>, api: &RestApi, id: &str) -> Result<&'d RestResource, Error> {
    let resource = State::one(&draft.state.rest_resources, &api.id, id);
    resource.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid Resource identifier specified"))
}

/// The path of a part below a resource, if it can be and is not there yet.
fn checked_path(draft: &Draft<'_>, parent: &RestResource, part: &str) -> Result<String, Error> {
    let path = format!("{}/{part}", parent.path.trim_end_matches('/'));
    if parent.path.ends_with("+}") {
        return Err(Error::bad_request(format!(
            "Cannot create a child of a resource with a greedy path variable: {}",
            parent.path
        )));
    }
    if part.is_empty() || part.contains('/') || RouteKey::parse(&format!("ANY {path}")).is_err() {
        let message = "Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the beginning and the end.";
        return Err(Error::bad_request(message));
    }
    match State::of(&draft.state.rest_resources, &parent.api_id).any(|other| other.path == path) {
        true => Err(Error::conflict(format!("Another resource with the same parent already has this name: {part}"))),
        false => Ok(path),
    }
}

fn embeds_methods(embed: Option<&[String]>) -> bool {
    embed.unwrap_or_default().iter().any(|what| what == "methods")
}

/// Without `embed`, of the methods only their names are shown.
fn show(resource: &RestResource, embed: bool) -> wire::Resource {
    let methods = resource.methods.iter().map(|(name, found)| {
        let shown = if embed { method::show(resource, name, found) } else { wire::Method::default() };
        (name.clone(), shown)
    });
    wire::Resource {
        id: Some(resource.id.clone()),
        parent_id: resource.parent_id.clone(),
        path: Some(resource.path.clone()),
        path_part: resource.path_part.clone(),
        resource_methods: Some(methods.collect()).filter(|_| !resource.methods.is_empty()),
    }
}
