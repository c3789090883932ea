//! What routes of WebSocket APIs answer.

use std::collections::BTreeMap;

use aws::Error;
use aws::apigatewayv2 as wire;
use model::resource::{RouteResponse, WebSocketRoute};

use super::{put_expression, put_models, put_parameters, route, show_map, show_parameters};
use crate::apigatewayv2::check::{NOT_FOR_WEB_SOCKETS, refuse};
use crate::apigatewayv2::draft::{Draft, not_found};
use crate::apigatewayv2::page;

pub(in crate::apigatewayv2) fn create(
    draft: &mut Draft<'_>,
    input: wire::CreateRouteResponseRequest,
) -> Result<wire::RouteResponse, Error> {
    let route = WebSocketRoute::clone(&*route::find(draft, &input.api_id, &input.route_id)?);
    let id = draft.fresh_id(7, |_, id| route.responses.contains_key(id))?;
    let empty = RouteResponse {
        key: String::new(),
        model_selection: None,
        models: BTreeMap::new(),
        parameters: BTreeMap::new(),
    };
    let patch = Patch {
        key: Some(input.route_response_key),
        model_selection: input.model_selection_expression,
        models: input.response_models,
        parameters: input.response_parameters,
    };
    put(draft, route, id, empty, patch)
}

pub(in crate::apigatewayv2) fn update(
    draft: &mut Draft<'_>,
    input: wire::UpdateRouteResponseRequest,
) -> Result<wire::RouteResponse, Error> {
    let route = WebSocketRoute::clone(&*route::find(draft, &input.api_id, &input.route_id)?);
    let now = find(&route, &input.route_response_id)?.clone();
    let patch = Patch {
        key: input.route_response_key,
        model_selection: input.model_selection_expression,
        models: input.response_models,
        parameters: input.response_parameters,
    };
    put(draft, route, input.route_response_id, now, patch)
}

pub(in crate::apigatewayv2) fn delete(
    draft: &mut Draft<'_>,
    input: &wire::DeleteRouteResponseRequest,
) -> Result<(), Error> {
    let mut route = WebSocketRoute::clone(&*route::find(draft, &input.api_id, &input.route_id)?);
    find(&route, &input.route_response_id)?;
    route.responses.remove(&input.route_response_id);
    draft.put(&route)
}

pub(in crate::apigatewayv2) fn get(
    draft: &Draft<'_>,
    input: &wire::GetRouteResponseRequest,
) -> Result<wire::RouteResponse, Error> {
    let route = route::find(draft, &input.api_id, &input.route_id)?;
    Ok(show(&input.route_response_id, find(&route, &input.route_response_id)?))
}

pub(in crate::apigatewayv2) fn list(
    draft: &Draft<'_>,
    input: &wire::GetRouteResponsesRequest,
) -> Result<wire::GetRouteResponsesResponse, Error> {
    let route = route::find(draft, &input.api_id, &input.route_id)?;
    let (items, next_token) = page::page(
        route.responses.iter(),
        |(id, _)| (*id).clone(),
        |(id, response)| show(id, response),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetRouteResponsesResponse { items, next_token })
}

struct Patch {
    key: Option<String>,
    model_selection: Option<String>,
    models: Option<BTreeMap<String, String>>,
    parameters: Option<BTreeMap<String, wire::ParameterConstraints>>,
}

fn put(
    draft: &mut Draft<'_>,
    mut route: WebSocketRoute,
    id: String,
    mut response: RouteResponse,
    patch: Patch,
) -> Result<wire::RouteResponse, Error> {
    if let Some(key) = patch.key {
        refuse(key != "$default", "A routeResponseKey other than $default", NOT_FOR_WEB_SOCKETS)?;
        if route.responses.iter().any(|(other, of)| *other != id && of.key == key) {
            return Err(Error::conflict(format!("Route response with key {key} already exists for this route")));
        }
        response.key = key;
    }
    put_expression("modelSelectionExpression", &mut response.model_selection, patch.model_selection)?;
    put_models(draft, &route.api_id, &mut response.models, patch.models)?;
    put_parameters(&["route.response.header."], &mut response.parameters, patch.parameters)?;
    let shown = show(&id, &response);
    route.responses.insert(id, response);
    draft.put(&route)?;
    Ok(shown)
}

fn find<'r>(route: &'r WebSocketRoute, id: &str) -> Result<&'r RouteResponse, Error> {
    let response = route.responses.get(id);
    response.ok_or_else(|| not_found("RouteResponse", "Invalid RouteResponse identifier specified"))
}

fn show(id: &str, response: &RouteResponse) -> wire::RouteResponse {
    wire::RouteResponse {
        model_selection_expression: response.model_selection.clone(),
        response_models: show_map(&response.models),
        response_parameters: show_parameters(&response.parameters),
        route_response_id: Some(id.to_owned()),
        route_response_key: Some(response.key.clone()),
    }
}
