//! Routes: which requests go to which integration.

use aws::Error;
use aws::apigatewayv2 as wire;
use model::resource::{Authorization, AuthorizerKind, Route};
use model::{RouteKey, State};

use super::check::{NOT_FOR_HTTP, optional, refuse};
use super::draft::{Draft, not_found};
use super::{deployment, page, web_socket};

const MAX_ROUTES: usize = 300;
const MAX_OPERATION_NAME_CHARS: usize = 64;
const MAX_SCOPES: usize = 10;

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateRouteRequest) -> Result<wire::Route, Error> {
    if web_socket::is_one(draft, &input.api_id)? {
        return web_socket::route::create(draft, input);
    }
    let route = add(draft, input.clone())?;
    deployment::auto_deploy(draft, &route.api_id)?;
    Ok(show(&route))
}

/// Makes a route; nothing is deployed.
pub(super) fn add(draft: &mut Draft<'_>, input: wire::CreateRouteRequest) -> Result<Route, Error> {
    let api_id = draft.api(&input.api_id)?.id.clone();
    if State::of(&draft.state.routes, &api_id).count() >= MAX_ROUTES {
        return Err(Error::too_many_requests("MaxRoutes", "Maximum number of Routes for this API has been reached."));
    }
    let empty = Route {
        id: fresh_id(draft, &api_id)?,
        api_id,
        route_key: String::new(),
        integration_id: None,
        operation_name: None,
        authorization: Authorization::None,
        api_gateway_managed: false,
    };
    put(draft, empty, input.into())
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateRouteRequest) -> Result<wire::Route, Error> {
    let api = draft.api(&input.api_id)?;
    if api.web_socket.is_some() {
        return web_socket::route::update(draft, input);
    }
    let route = Route::clone(find(draft, &api.id, &input.route_id)?);
    let route = put(draft, route, input.clone().into())?;
    deployment::auto_deploy(draft, &api.id)?;
    Ok(show(&route))
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteRouteRequest) -> Result<(), Error> {
    let api = draft.api(&input.api_id)?;
    if api.web_socket.is_some() {
        return web_socket::route::delete(draft, input);
    }
    let route = Route::clone(find(draft, &api.id, &input.route_id)?);
    draft.delete(&route)?;
    deployment::auto_deploy(draft, &api.id)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetRouteRequest) -> Result<wire::Route, Error> {
    let api = draft.api(&input.api_id)?;
    if api.web_socket.is_some() {
        return web_socket::route::get(draft, input);
    }
    find(draft, &api.id, &input.route_id).map(show)
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetRoutesRequest) -> Result<wire::GetRoutesResponse, Error> {
    let api = draft.api(&input.api_id)?;
    if api.web_socket.is_some() {
        return web_socket::route::list(draft, input);
    }
    let (items, next_token) = page::page(
        State::of(&draft.state.routes, &api.id),
        |route| route.id.clone(),
        |route| show(route),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetRoutesResponse { items, next_token })
}

/// An id for a new route of an API.
pub(super) fn fresh_id(draft: &Draft<'_>, api_id: &str) -> Result<String, Error> {
    draft.fresh_id(7, |state, id| State::one(&state.routes, api_id, id).is_some())
}

/// Checks a route key: its form, and that no route of the API but `own` has it.
pub(super) fn checked_key(draft: &Draft<'_>, api_id: &str, own: Option<&str>, key: &str) -> Result<String, Error> {
    RouteKey::parse(key).map_err(|error| Error::bad_request(error.to_string()))?;
    let mut others = State::of(&draft.state.routes, api_id).filter(|route| own != Some(route.id.as_str()));
    if others.any(|route| route.route_key == key) {
        return Err(Error::conflict(format!("Route with key {key} already exists for this API")));
    }
    Ok(key.to_owned())
}

/// A patch of a route, and all that it may hold but we do not have.
struct Patch {
    unavailable: [(bool, &'static str, &'static str); 5],
    authorization_type: Option<wire::AuthorizationType>,
    authorizer_id: Option<String>,
    authorization_scopes: Option<Vec<String>>,
    route_key: Option<String>,
    target: Option<String>,
    operation_name: Option<String>,
}

/// Create and update take the same members, but as two types of the wire.
macro_rules! patch_from {
    ($input:ty, $route_key:expr) => {
        impl From<$input> for Patch {
            fn from(input: $input) -> Self {
                let expression = input.route_response_selection_expression.is_some();
                let route_key: fn(_) -> Option<String> = $route_key;
                Self {
                    unavailable: [
                        (input.api_key_required == Some(true), "apiKeyRequired", NOT_FOR_HTTP),
                        (input.model_selection_expression.is_some(), "modelSelectionExpression", NOT_FOR_HTTP),
                        (input.request_models.is_some(), "requestModels", NOT_FOR_HTTP),
                        (input.request_parameters.is_some(), "requestParameters", NOT_FOR_HTTP),
                        (expression, "routeResponseSelectionExpression", NOT_FOR_HTTP),
                    ],
                    authorization_type: input.authorization_type,
                    authorizer_id: input.authorizer_id,
                    authorization_scopes: input.authorization_scopes,
                    route_key: route_key(input.route_key),
                    target: input.target,
                    operation_name: input.operation_name,
                }
            }
        }
    };
}

patch_from!(wire::CreateRouteRequest, Some);
patch_from!(wire::UpdateRouteRequest, |key| key);

fn put(draft: &mut Draft<'_>, mut route: Route, patch: Patch) -> Result<Route, Error> {
    patch.unavailable.iter().try_for_each(|(given, what, why)| refuse(*given, what, why))?;
    if let Some(key) = patch.route_key {
        route.route_key = checked_key(draft, &route.api_id, Some(&route.id), &key)?;
    }
    if let Some(target) = patch.target {
        route.integration_id = checked_target(draft, &route.api_id, &target)?;
    }
    if patch.operation_name.is_some() {
        route.operation_name = optional("operationName", patch.operation_name, MAX_OPERATION_NAME_CHARS)?;
    }
    route.authorization =
        authorization(draft, &route, patch.authorization_type, patch.authorizer_id, patch.authorization_scopes)?;
    draft.put(&route)?;
    Ok(route)
}

/// What a route's authorization becomes. What is not given stays, as far as the type has it.
fn authorization(
    draft: &Draft<'_>,
    route: &Route,
    kind: Option<wire::AuthorizationType>,
    authorizer_id: Option<String>,
    scopes: Option<Vec<String>>,
) -> Result<Authorization, Error> {
    let now = &route.authorization;
    let kind = kind.unwrap_or_else(|| authorization_type(now));
    let given_id = authorizer_id.filter(|id| !id.is_empty());
    let has_scopes = scopes.as_ref().is_some_and(|scopes| !scopes.is_empty());
    let id = given_id.clone().or_else(|| now.authorizer_id().map(str::to_owned)).unwrap_or_default();
    let authorizer = State::one(&draft.state.authorizers, &route.api_id, &id).map(|authorizer| &authorizer.kind);
    match (kind, authorizer) {
        (wire::AuthorizationType::None | wire::AuthorizationType::AwsIam, _) => {
            let why = format!("is not supported for the authorization type {kind}");
            refuse(given_id.is_some(), "authorizerId", &why)?;
            refuse(has_scopes, "authorizationScopes", &why)?;
            Ok(if kind == wire::AuthorizationType::None { Authorization::None } else { Authorization::AwsIam })
        }
        (wire::AuthorizationType::Jwt, Some(AuthorizerKind::Jwt { .. })) => {
            let now = if let Authorization::Jwt { scopes, .. } = now { scopes.clone() } else { Vec::new() };
            Ok(Authorization::Jwt { authorizer_id: id, scopes: checked_scopes(scopes.unwrap_or(now))? })
        }
        (wire::AuthorizationType::Custom, Some(AuthorizerKind::Request { .. })) => {
            refuse(has_scopes, "authorizationScopes", "is not supported for the authorization type CUSTOM")?;
            Ok(Authorization::Custom { authorizer_id: id })
        }
        (wire::AuthorizationType::Jwt, _) => Err(Error::bad_request(
            "Invalid authorizer ID specified. Setting the authorization type to JWT requires a valid JWT authorizer.",
        )),
        (wire::AuthorizationType::Custom, _) => Err(Error::bad_request(
            "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a \
             valid authorizer.",
        )),
    }
}

/// They go into a header (RFC 6750 section 3), so that they are what RFC 6749 section 3.3 says.
fn checked_scopes(scopes: Vec<String>) -> Result<Vec<String>, Error> {
    let plain = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if scopes.len() > MAX_SCOPES {
        return Err(Error::bad_request(format!("A route has at most {MAX_SCOPES} authorization scopes")));
    }
    match scopes.iter().find(|scope| scope.is_empty() || !scope.bytes().all(plain)) {
        Some(scope) => Err(Error::bad_request(format!("Invalid authorization scope: {scope}"))),
        None => Ok(scopes),
    }
}

pub(super) fn authorization_type(authorization: &Authorization) -> wire::AuthorizationType {
    match authorization {
        Authorization::None => wire::AuthorizationType::None,
        Authorization::Jwt { .. } => wire::AuthorizationType::Jwt,
        Authorization::AwsIam => wire::AuthorizationType::AwsIam,
        Authorization::Custom { .. } => wire::AuthorizationType::Custom,
    }
}

/// `integrations/{id}`; nothing takes the target away.
fn checked_target(draft: &Draft<'_>, api_id: &str, target: &str) -> Result<Option<String>, Error> {
    if target.is_empty() {
        return Ok(None);
    }
    let id = target.strip_prefix("integrations/").filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| Error::bad_request(format!("Invalid target {target}: expected integrations/{{id}}")))?;
    Ok(Some(draft.integration(api_id, id)?.id.clone()))
}

fn find<'d>(draft: &'d Draft<'_>, api_id: &str, id: &str) -> Result<&'d Route, Error> {
    let route = State::one(&draft.state.routes, api_id, id);
    route.map(|route| &**route).ok_or_else(|| not_found("Route", "Invalid Route identifier specified"))
}

pub(super) fn show(route: &Route) -> wire::Route {
    let scopes = match &route.authorization {
        Authorization::Jwt { scopes, .. } if !scopes.is_empty() => Some(scopes.clone()),
        _ => None,
    };
    wire::Route {
        api_gateway_managed: route.api_gateway_managed.then_some(true),
        api_key_required: Some(false),
        authorization_scopes: scopes,
        authorization_type: Some(authorization_type(&route.authorization)),
        authorizer_id: route.authorization.authorizer_id().map(str::to_owned),
        model_selection_expression: None,
        operation_name: route.operation_name.clone(),
        request_models: None,
        request_parameters: None,
        route_id: Some(route.id.clone()),
        route_key: Some(route.route_key.clone()),
        route_response_selection_expression: None,
        target: route.integration_id.as_ref().map(|id| format!("integrations/{id}")),
    }
}
