//! Deployments: what an API was when it was deployed. Stages serve from them, never from the API itself.

use std::collections::BTreeSet;

use aws::apigatewayv2 as wire;
use aws::{Error, Timestamp};
use model::State;
use model::resource::{Api, Deployment, Stage};

use super::check::optional;
use super::draft::{Draft, not_found};
use super::{page, web_socket};

const MAX_DEPLOYMENTS: usize = 1000;
const MAX_DESCRIPTION_CHARS: usize = 1024;

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateDeploymentRequest) -> Result<wire::Deployment, Error> {
    let api = draft.api(&input.api_id)?;
    web_socket::refuse_deployment(&api)?;
    let stage = input.stage_name.as_ref().map(|name| draft.stage(&api.id, name)).transpose()?;
    if State::of(&draft.state.routes, &api.id).next().is_none() {
        return Err(Error::bad_request("Unable to deploy API because no routes exist in this API"));
    }
    if State::of(&draft.state.deployments, &api.id).count() >= MAX_DEPLOYMENTS {
        let message = "Maximum number of Deployments for this API has been reached.";
        return Err(Error::too_many_requests("MaxDeployments", message));
    }
    let description = optional("description", input.description.clone(), MAX_DESCRIPTION_CHARS)?;
    let deployment = Deployment { description, ..snapshot(draft, &api)? };
    draft.put(&deployment)?;
    if let Some(stage) = stage {
        point(draft, &stage, &deployment)?;
        drop_unused(draft, &api.id)?;
    }
    Ok(show(&deployment))
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateDeploymentRequest) -> Result<wire::Deployment, Error> {
    let api = draft.api(&input.api_id)?;
    let mut deployment = Deployment::clone(find(draft, &api.id, &input.deployment_id)?);
    if input.description.is_some() {
        deployment.description = optional("description", input.description.clone(), MAX_DESCRIPTION_CHARS)?;
    }
    draft.put(&deployment)?;
    Ok(show(&deployment))
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteDeploymentRequest) -> Result<(), Error> {
    let api = draft.api(&input.api_id)?;
    let deployment = Deployment::clone(find(draft, &api.id, &input.deployment_id)?);
    if used(&draft.state, &api.id).contains(&deployment.id) {
        return Err(Error::bad_request("Active stages pointing to this deployment must be moved or deleted"));
    }
    draft.delete(&deployment)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetDeploymentRequest) -> Result<wire::Deployment, Error> {
    let api = draft.api(&input.api_id)?;
    find(draft, &api.id, &input.deployment_id).map(show)
}

pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetDeploymentsRequest,
) -> Result<wire::GetDeploymentsResponse, Error> {
    let api = draft.api(&input.api_id)?;
    let (items, next_token) = page::page(
        State::of(&draft.state.deployments, &api.id),
        |deployment| deployment.id.clone(),
        |deployment| show(deployment),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetDeploymentsResponse { items, next_token })
}

/// Deploys an API as it is now to its stages that deploy by themselves and are behind. Called after each change of the
/// API, its routes, its integrations or a stage's `autoDeploy`.
pub(super) fn auto_deploy(draft: &mut Draft<'_>, api_id: &str) -> Result<(), Error> {
    let state = draft.state.clone();
    let Some(api) = state.apis.get(api_id) else { return Ok(()) };
    let next = Deployment { auto_deployed: true, ..snapshot(draft, api)? };
    let behind = State::of(&state.stages, api_id).filter(|stage| stage.auto_deploy && !serves(&state, stage, &next));
    let behind: Vec<_> = behind.collect();
    if behind.is_empty() {
        return Ok(());
    }
    if next.routes.is_empty() {
        let message = "Deployment attempt failed: Unable to deploy API because no routes exist in this API";
        for stage in behind {
            draft.put(&Stage { last_deployment_status_message: Some(message.to_owned()), ..Stage::clone(stage) })?;
        }
        return Ok(());
    }
    draft.put(&next)?;
    for stage in behind {
        point(draft, stage, &next)?;
    }
    drop_unused(draft, api_id)
}

/// Points a stage at a deployment.
pub(super) fn point(draft: &mut Draft<'_>, stage: &Stage, deployment: &Deployment) -> Result<(), Error> {
    let message = format!("Successfully deployed stage with deployment ID '{}'", deployment.id);
    draft.put(&Stage {
        deployment_id: Some(deployment.id.clone()),
        last_deployment_status_message: Some(message),
        updated: draft.at,
        ..stage.clone()
    })
}

/// Deletes the deployments that were made by themselves and that no stage refers to any more.
pub(super) fn drop_unused(draft: &mut Draft<'_>, api_id: &str) -> Result<(), Error> {
    let state = draft.state.clone();
    let used = used(&state, api_id);
    let unused = State::of(&state.deployments, api_id).filter(|old| old.auto_deployed && !used.contains(&old.id));
    unused.into_iter().try_for_each(|old| draft.delete::<Deployment>(old))
}

pub(super) fn find<'d>(draft: &'d Draft<'_>, api_id: &str, id: &str) -> Result<&'d Deployment, Error> {
    let deployment = State::one(&draft.state.deployments, api_id, id);
    deployment.map(|found| &**found).ok_or_else(|| not_found("Deployment", "Invalid Deployment identifier specified"))
}

/// The API as it is now.
pub(super) fn snapshot(draft: &Draft<'_>, api: &Api) -> Result<Deployment, Error> {
    let taken = |state: &State, id: &str| State::one(&state.deployments, &api.id, id).is_some();
    Ok(Deployment {
        id: draft.fresh_id(6, taken)?,
        api_id: api.id.clone(),
        description: None,
        created: draft.at,
        auto_deployed: false,
        disable_execute_api_endpoint: api.disable_execute_api_endpoint,
        cors: api.cors.clone(),
        routes: State::of(&draft.state.routes, &api.id).map(|route| (**route).clone()).collect(),
        integrations: State::of(&draft.state.integrations, &api.id).map(|found| (**found).clone()).collect(),
        authorizers: State::of(&draft.state.authorizers, &api.id).map(|found| (**found).clone()).collect(),
        resources: Vec::new(),
        rest_authorizers: Vec::new(),
        gateway_responses: Vec::new(),
        binary_media_types: Vec::new(),
        models: Vec::new(),
        request_validators: Vec::new(),
    })
}

/// Whether what `stage` serves is the same as `next`.
fn serves(state: &State, stage: &Stage, next: &Deployment) -> bool {
    let current = stage.deployment_id.as_ref().and_then(|id| State::one(&state.deployments, &stage.api_id, id));
    current.is_some_and(|current| {
        current.disable_execute_api_endpoint == next.disable_execute_api_endpoint
            && current.cors == next.cors
            && current.routes == next.routes
            && current.integrations == next.integrations
            && current.authorizers == next.authorizers
    })
}

fn used(state: &State, api_id: &str) -> BTreeSet<String> {
    State::of(&state.stages, api_id).filter_map(|stage| stage.deployment_id.clone()).collect()
}

fn show(deployment: &Deployment) -> wire::Deployment {
    wire::Deployment {
        auto_deployed: Some(deployment.auto_deployed),
        created_date: Some(Timestamp(deployment.created)),
        deployment_id: Some(deployment.id.clone()),
        deployment_status: Some(wire::DeploymentStatus::Deployed),
        deployment_status_message: None,
        description: deployment.description.clone(),
    }
}
