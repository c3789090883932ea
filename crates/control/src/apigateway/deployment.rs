//! Deployments: what a REST API was when it was deployed.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws::apigateway as wire;
use aws::{Error, Timestamp};
use model::State;
use model::resource::{Deployment, RestApi, RestMethod, RestResource, Stage};

use super::patch::Patch;
use super::{Draft, rest_api, stage};
use crate::apigatewayv2::check::{NOT_HERE, optional, refuse};
use crate::apigatewayv2::page;

const MAX_DEPLOYMENTS: usize = 1000;
const MAX_DESCRIPTION_CHARS: usize = 1024;

/// Deploys the API as it is now; to a stage if one is named, which is made if there is none.
pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateDeploymentRequest) -> Result<wire::Deployment, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    stage::refuse_cache(input.cache_cluster_enabled, input.cache_cluster_size.is_some())?;
    refuse(input.canary_settings.is_some(), "canarySettings", NOT_HERE)?;
    refuse(input.tracing_enabled == Some(true), "tracingEnabled", NOT_HERE)?;
    let resources = State::of(&draft.state.rest_resources, &api.id);
    let resources: Vec<RestResource> = resources.map(|resource| copy(draft, resource)).collect();
    check(&resources)?;
    if State::of(&draft.state.deployments, &api.id).count() >= MAX_DEPLOYMENTS {
        let message = "Maximum number of Deployments for this API has been reached.";
        return Err(Error::too_many_requests("MaxDeployments", message));
    }
    let taken = |state: &State, id: &str| State::one(&state.deployments, &api.id, id).is_some();
    let deployment = Deployment {
        id: draft.fresh_id(6, taken)?,
        api_id: api.id.clone(),
        description: optional("description", input.description.clone(), MAX_DESCRIPTION_CHARS)?,
        created: draft.at,
        auto_deployed: false,
        disable_execute_api_endpoint: api.disable_execute_api_endpoint,
        cors: None,
        routes: Vec::new(),
        integrations: Vec::new(),
        authorizers: Vec::new(),
        resources,
        rest_authorizers: State::of(&draft.state.rest_authorizers, &api.id).map(|found| (**found).clone()).collect(),
        gateway_responses: State::of(&draft.state.gateway_responses, &api.id).map(|found| (**found).clone()).collect(),
        binary_media_types: api.binary_media_types.clone(),
        models: State::of(&draft.state.models, &api.id).map(|found| (**found).clone()).collect(),
        request_validators: State::of(&draft.state.request_validators, &api.id)
            .map(|found| (**found).clone())
            .collect(),
    };
    draft.put(&deployment)?;
    if let Some(name) = input.stage_name.as_ref().filter(|name| !name.is_empty()) {
        stage::deploy(draft, &api, name, &deployment, input)?;
    }
    Ok(show(&deployment))
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateDeploymentRequest) -> Result<wire::Deployment, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let mut deployment = find(draft, &api, &input.deployment_id)?.clone();
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["description"]) => {
                deployment.description = optional("description", Some(patch.value), MAX_DESCRIPTION_CHARS)?;
            }
            _ => return Err(patch.unknown("/description")),
        }
    }
    draft.put(&deployment)?;
    Ok(show(&deployment))
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteDeploymentRequest) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let deployment = find(draft, &api, &input.deployment_id)?.clone();
    let points_at_it = |stage: &Arc<Stage>| stage.deployment_id.as_ref() == Some(&deployment.id);
    if State::of(&draft.state.stages, &api.id).any(points_at_it) {
        return Err(Error::bad_request("Active stages pointing to this deployment must be moved or deleted"));
    }
    draft.delete(&deployment)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetDeploymentRequest) -> Result<wire::Deployment, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let deployment = find(draft, &api, &input.deployment_id)?;
    let summary =
        input.embed.as_ref().is_some_and(|embed| embed.iter().any(|what| what.eq_ignore_ascii_case("apisummary")));
    Ok(wire::Deployment { api_summary: summary.then(|| api_summary(deployment)), ..show(deployment) })
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetDeploymentsRequest) -> Result<wire::Deployments, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        State::of(&draft.state.deployments, &api.id),
        |deployment| deployment.id.clone(),
        |deployment| show(deployment),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::Deployments { items, position })
}

pub(super) fn find<'d>(draft: &'d Draft<'_>, api: &RestApi, id: &str) -> Result<&'d Deployment, Error> {
    let deployment = State::one(&draft.state.deployments, &api.id, id);
    deployment.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid Deployment identifier specified"))
}

/// A resource as it is deployed, with what its methods' validators say now.
fn copy(draft: &Draft<'_>, resource: &RestResource) -> RestResource {
    let mut copy = resource.clone();
    for method in copy.methods.values_mut() {
        let id = method.request_validator_id.as_deref();
        let validator = id.and_then(|id| State::one(&draft.state.request_validators, &resource.api_id, id));
        method.asks_for_parameters = validator.is_some_and(|validator| validator.parameters);
        method.asks_for_body = validator.is_some_and(|validator| validator.body);
    }
    copy
}

fn check(resources: &[RestResource]) -> Result<(), Error> {
    let mut methods = resources.iter().flat_map(|resource| resource.methods.values()).peekable();
    if methods.peek().is_none() {
        return Err(Error::bad_request("The REST API doesn't contain any methods"));
    }
    match methods.all(|method| method.integration.is_some()) {
        true => Ok(()),
        false => Err(Error::bad_request("No integration defined for method")),
    }
}

/// Path, then method.
fn api_summary(deployment: &Deployment) -> BTreeMap<String, BTreeMap<String, wire::MethodSnapshot>> {
    let snapshot = |method: &RestMethod| wire::MethodSnapshot {
        api_key_required: Some(method.api_key_required),
        authorization_type: Some(method.authorization.as_str().to_owned()),
    };
    let with_methods = deployment.resources.iter().filter(|resource| !resource.methods.is_empty());
    let of = |resource: &RestResource| {
        resource.methods.iter().map(|(name, method)| (name.clone(), snapshot(method))).collect()
    };
    with_methods.map(|resource| (resource.path.clone(), of(resource))).collect()
}

fn show(deployment: &Deployment) -> wire::Deployment {
    wire::Deployment {
        api_summary: None,
        created_date: Some(Timestamp(deployment.created)),
        description: deployment.description.clone(),
        id: Some(deployment.id.clone()),
    }
}
