//! Quick create: an API with its integration, a catch-all route and a stage that deploys by itself, from one target.

use aws::Error;
use aws::apigatewayv2 as wire;
use model::State;
use model::resource::{Api, Authorization, Integration, Route, RouteSettings, Stage};

use super::draft::Draft;
use super::{deployment, integration, route};

const STAGE: &str = "$default";

/// Makes what `create-api --target` asks for.
pub(super) fn quick_create(draft: &mut Draft<'_>, api: &Api, target: String, key: &str) -> Result<(), Error> {
    let integration = integration::create(draft, &proxy(&api.id, target))?;
    let id = integration.integration_id.unwrap_or_default();
    mark_integration(draft, &api.id, &id)?;
    let route = Route {
        id: route::fresh_id(draft, &api.id)?,
        api_id: api.id.clone(),
        route_key: route::checked_key(draft, &api.id, None, key)?,
        integration_id: Some(id),
        operation_name: None,
        authorization: Authorization::None,
        api_gateway_managed: true,
    };
    draft.put(&route)?;
    draft.put(&Stage {
        api_id: api.id.clone(),
        name: STAGE.to_owned(),
        description: None,
        deployment_id: None,
        auto_deploy: true,
        access_log: None,
        variables: Default::default(),
        default_route_settings: RouteSettings::default(),
        route_settings: Default::default(),
        created: draft.at,
        updated: draft.at,
        client_certificate_id: None,
        authorizers_flushed: 0,
        documentation_version: None,
        last_deployment_status_message: None,
        api_gateway_managed: true,
        tags: Default::default(),
    })?;
    deployment::auto_deploy(draft, &api.id)
}

/// Changes target and route key of what quick create made.
pub(super) fn quick_update(
    draft: &mut Draft<'_>,
    api: &Api,
    target: Option<String>,
    key: Option<String>,
) -> Result<(), Error> {
    let state = draft.state.clone();
    let missing = || Error::bad_request("target and routeKey are for APIs that quick create made");
    if let Some(target) = target {
        let managed = State::of(&state.integrations, &api.id).find(|integration| integration.api_gateway_managed);
        let made = Integration::clone(managed.ok_or_else(missing)?);
        draft.put(&integration::retargeted(made, &target)?)?;
    }
    if let Some(key) = key {
        let managed = State::of(&state.routes, &api.id).find(|route| route.api_gateway_managed).ok_or_else(missing)?;
        let route_key = route::checked_key(draft, &api.id, Some(&managed.id), &key)?;
        draft.put(&Route { route_key, ..Route::clone(managed) })?;
    }
    Ok(())
}

/// AWS's own defaults: the newest format for functions.
fn proxy(api_id: &str, target: String) -> wire::CreateIntegrationRequest {
    let (integration_type, method, payload_format_version) = integration::of_target(&target);
    wire::CreateIntegrationRequest {
        api_id: api_id.to_owned(),
        connection_id: None,
        connection_type: None,
        content_handling_strategy: None,
        credentials_arn: None,
        description: None,
        integration_method: Some(method.to_owned()),
        integration_subtype: None,
        integration_type,
        integration_uri: Some(target),
        passthrough_behavior: None,
        payload_format_version: Some(payload_format_version.to_owned()),
        request_parameters: None,
        request_templates: None,
        response_parameters: None,
        template_selection_expression: None,
        timeout_in_millis: None,
        tls_config: None,
    }
}

fn mark_integration(draft: &mut Draft<'_>, api_id: &str, id: &str) -> Result<(), Error> {
    let made = Integration::clone(&*draft.integration(api_id, id)?);
    draft.put(&Integration { api_gateway_managed: true, ..made })
}
