//! Routes of WebSocket APIs.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws::Error;
use aws::apigatewayv2 as wire;
use model::State;
use model::resource::{Authorization, AuthorizerKind, WebSocketRoute};

use super::{expression, find as find_api, put_expression, put_models, put_parameters, show_map, show_parameters};
use crate::apigatewayv2::check::{NOT_FOR_WEB_SOCKETS, optional, refuse};
use crate::apigatewayv2::draft::{Draft, not_found};
use crate::apigatewayv2::page;
use crate::apigatewayv2::route::authorization_type;

const MAX_ROUTES: usize = 300;
const MAX_KEY_CHARS: usize = 128;
const MAX_OPERATION_NAME_CHARS: usize = 64;
const CONNECT: &str = "$connect";
/// Those that API Gateway itself gives a meaning.
const PREDEFINED: [&str; 3] = [CONNECT, "$disconnect", "$default"];

pub(in crate::apigatewayv2) fn create(
    draft: &mut Draft<'_>,
    input: &wire::CreateRouteRequest,
) -> Result<wire::Route, Error> {
    let api = find_api(draft, &input.api_id)?;
    if State::of(&draft.state.web_socket_routes, &api.id).count() >= MAX_ROUTES {
        return Err(Error::too_many_requests("MaxRoutes", "Maximum number of Routes for this API has been reached."));
    }
    let taken = |state: &State, id: &str| State::one(&state.web_socket_routes, &api.id, id).is_some();
    let empty = WebSocketRoute {
        id: draft.fresh_id(7, taken)?,
        api_id: api.id.clone(),
        route_key: String::new(),
        integration_id: None,
        operation_name: None,
        authorization: Authorization::None,
        api_key_required: false,
        model_selection: None,
        request_models: BTreeMap::new(),
        request_parameters: BTreeMap::new(),
        response_selection: None,
        responses: BTreeMap::new(),
    };
    put(draft, empty, input.clone().into())
}

pub(in crate::apigatewayv2) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateRouteRequest,
) -> Result<wire::Route, Error> {
    let route = WebSocketRoute::clone(&*find(draft, &input.api_id, &input.route_id)?);
    put(draft, route, input.clone().into())
}

pub(in crate::apigatewayv2) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteRouteRequest) -> Result<(), Error> {
    let route = find(draft, &input.api_id, &input.route_id)?;
    draft.delete::<WebSocketRoute>(&route)
}

pub(in crate::apigatewayv2) fn delete_parameter(
    draft: &mut Draft<'_>,
    input: &wire::DeleteRouteRequestParameterRequest,
) -> Result<(), Error> {
    let mut route = WebSocketRoute::clone(&*find(draft, &input.api_id, &input.route_id)?);
    if route.request_parameters.remove(&input.request_parameter_key).is_none() {
        return Err(not_found("RouteRequestParameter", "Invalid request parameter key specified"));
    }
    draft.put(&route)
}

pub(in crate::apigatewayv2) fn get(draft: &Draft<'_>, input: &wire::GetRouteRequest) -> Result<wire::Route, Error> {
    find(draft, &input.api_id, &input.route_id).map(|route| show(&route))
}

pub(in crate::apigatewayv2) fn list(
    draft: &Draft<'_>,
    input: &wire::GetRoutesRequest,
) -> Result<wire::GetRoutesResponse, Error> {
    let (items, next_token) = page::page(
        State::of(&draft.state.web_socket_routes, &input.api_id),
        |route| route.id.clone(),
        |route| show(route),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetRoutesResponse { items, next_token })
}

pub(super) fn find(draft: &Draft<'_>, api_id: &str, id: &str) -> Result<Arc<WebSocketRoute>, Error> {
    let api = find_api(draft, api_id)?;
    let route = State::one(&draft.state.web_socket_routes, &api.id, id).cloned();
    route.ok_or_else(|| not_found("Route", "Invalid Route identifier specified"))
}

/// A patch of a route.
struct Patch {
    authorization_type: Option<wire::AuthorizationType>,
    authorizer_id: Option<String>,
    scopes: Option<Vec<String>>,
    route_key: Option<String>,
    target: Option<String>,
    operation_name: Option<String>,
    api_key_required: Option<bool>,
    model_selection: Option<String>,
    request_models: Option<BTreeMap<String, String>>,
    request_parameters: Option<BTreeMap<String, wire::ParameterConstraints>>,
    response_selection: Option<String>,
}

/// Create and update take the same members, but as two types of the wire.
macro_rules! patch_from {
    ($input:ty, $route_key:expr) => {
        impl From<$input> for Patch {
            fn from(input: $input) -> Self {
                let route_key: fn(_) -> Option<String> = $route_key;
                Self {
                    authorization_type: input.authorization_type,
                    authorizer_id: input.authorizer_id,
                    scopes: input.authorization_scopes,
                    route_key: route_key(input.route_key),
                    target: input.target,
                    operation_name: input.operation_name,
                    api_key_required: input.api_key_required,
                    model_selection: input.model_selection_expression,
                    request_models: input.request_models,
                    request_parameters: input.request_parameters,
                    response_selection: input.route_response_selection_expression,
                }
            }
        }
    };
}

patch_from!(wire::CreateRouteRequest, Some);
patch_from!(wire::UpdateRouteRequest, |key| key);

fn put(draft: &mut Draft<'_>, mut route: WebSocketRoute, patch: Patch) -> Result<wire::Route, Error> {
    let scopes = patch.scopes.is_some_and(|scopes| !scopes.is_empty());
    refuse(scopes, "authorizationScopes", NOT_FOR_WEB_SOCKETS)?;
    if let Some(key) = patch.route_key {
        check_key(draft, &route, &key)?;
        route.route_key = key;
    }
    if let Some(target) = patch.target {
        route.integration_id = checked_target(draft, &route.api_id, &target)?;
    }
    if patch.operation_name.is_some() {
        route.operation_name = optional("operationName", patch.operation_name, MAX_OPERATION_NAME_CHARS)?;
    }
    route.authorization = authorization(draft, &route, patch.authorization_type, patch.authorizer_id)?;
    route.api_key_required = patch.api_key_required.unwrap_or(route.api_key_required);
    let is_connect = route.route_key == CONNECT;
    refuse(route.api_key_required && !is_connect, "apiKeyRequired", "is supported for the $connect route only")?;
    put_expression("modelSelectionExpression", &mut route.model_selection, patch.model_selection)?;
    put_models(draft, &route.api_id, &mut route.request_models, patch.request_models)?;
    let places = ["route.request.querystring.", "route.request.header."];
    put_parameters(&places, &mut route.request_parameters, patch.request_parameters)?;
    if let Some(given) = patch.response_selection {
        route.response_selection = expression("routeResponseSelectionExpression", Some(given))?;
        let other = route.response_selection.as_deref().is_some_and(|given| given != "$default");
        refuse(other, "A routeResponseSelectionExpression other than $default", NOT_FOR_WEB_SOCKETS)?;
    }
    draft.put(&route)?;
    Ok(show(&route))
}

fn check_key(draft: &Draft<'_>, route: &WebSocketRoute, key: &str) -> Result<(), Error> {
    let known = !key.starts_with('$') || PREDEFINED.contains(&key);
    let length = key.chars().count();
    if !known || length == 0 || length > MAX_KEY_CHARS || key.chars().any(char::is_control) {
        return Err(Error::bad_request(format!(
            "The provided route key is not formatted properly for WEBSOCKET protocol: {key}. It is $connect, $disconnect, \
             $default, or what the routeSelectionExpression finds"
        )));
    }
    let mut others = State::of(&draft.state.web_socket_routes, &route.api_id).filter(|other| other.id != route.id);
    match others.any(|other| other.route_key == key) {
        true => Err(Error::conflict(format!("Route with key {key} already exists for this API"))),
        false => Ok(()),
    }
}

fn authorization(
    draft: &Draft<'_>,
    route: &WebSocketRoute,
    kind: Option<wire::AuthorizationType>,
    authorizer_id: Option<String>,
) -> Result<Authorization, Error> {
    let now = &route.authorization;
    let kind = kind.unwrap_or_else(|| authorization_type(now));
    let elsewhere = kind != wire::AuthorizationType::None && route.route_key != CONNECT;
    refuse(elsewhere, "Currently, authorization", "is restricted to the $connect route only")?;
    let given = authorizer_id.filter(|id| !id.is_empty());
    match kind {
        wire::AuthorizationType::None | wire::AuthorizationType::AwsIam => {
            let why = format!("is not supported for the authorization type {kind}");
            refuse(given.is_some(), "authorizerId", &why)?;
            Ok(if kind == wire::AuthorizationType::None { Authorization::None } else { Authorization::AwsIam })
        }
        wire::AuthorizationType::Jwt => Err(Error::bad_request(format!("authorizationType JWT {NOT_FOR_WEB_SOCKETS}"))),
        wire::AuthorizationType::Custom => {
            let id = given.or_else(|| now.authorizer_id().map(str::to_owned)).unwrap_or_default();
            let found = State::one(&draft.state.authorizers, &route.api_id, &id);
            let is_usable = found.is_some_and(|found| matches!(found.kind, AuthorizerKind::Request { .. }));
            match is_usable {
                true => Ok(Authorization::Custom { authorizer_id: id }),
                false => Err(Error::bad_request(
                    "Invalid authorizer ID specified. Setting the authorization type to CUSTOM requires a valid authorizer.",
                )),
            }
        }
    }
}

/// `integrations/{id}`; nothing takes the target away.
fn checked_target(draft: &Draft<'_>, api_id: &str, target: &str) -> Result<Option<String>, Error> {
    if target.is_empty() {
        return Ok(None);
    }
    let id = target.strip_prefix("integrations/");
    let found = id.and_then(|id| State::one(&draft.state.web_socket_integrations, api_id, id));
    let found =
        found.ok_or_else(|| Error::bad_request(format!("Invalid target {target}: expected integrations/{{id}}")));
    Ok(Some(found?.id.clone()))
}

fn show(route: &WebSocketRoute) -> wire::Route {
    wire::Route {
        api_gateway_managed: None,
        api_key_required: Some(route.api_key_required),
        authorization_scopes: None,
        authorization_type: Some(authorization_type(&route.authorization)),
        authorizer_id: route.authorization.authorizer_id().map(str::to_owned),
        model_selection_expression: route.model_selection.clone(),
        operation_name: route.operation_name.clone(),
        request_models: show_map(&route.request_models),
        request_parameters: show_parameters(&route.request_parameters),
        route_id: Some(route.id.clone()),
        route_key: Some(route.route_key.clone()),
        route_response_selection_expression: route.response_selection.clone(),
        target: route.integration_id.as_ref().map(|id| format!("integrations/{id}")),
    }
}
