//! WebSocket APIs: they can be made, read and changed. There is no data plane for them yet, which is said where something would
//! be deployed.

pub(super) mod authorizer;
pub(super) mod integration;
pub(super) mod integration_response;
pub(super) mod model;
pub(super) mod route;
pub(super) mod route_response;

use std::collections::BTreeMap;
use std::sync::Arc;

use ::model::State;
use ::model::resource::{Api, WebSocketApi, WebSocketIntegration, WebSocketModel, WebSocketRoute};
use aws::Error;
use aws::apigatewayv2 as wire;

use super::check::{NOT_FOR_WEB_SOCKETS, refuse};
use super::draft::Draft;

const API_KEY_SELECTION: &str = "$request.header.x-api-key";
const MAX_EXPRESSION_CHARS: usize = 128;

/// What a new WebSocket API has besides.
pub(super) fn described(input: &wire::CreateApiRequest) -> Result<WebSocketApi, Error> {
    refuse(input.cors_configuration.is_some(), "corsConfiguration", NOT_FOR_WEB_SOCKETS)?;
    refuse(input.target.is_some(), "target", NOT_FOR_WEB_SOCKETS)?;
    refuse(input.route_key.is_some(), "routeKey", NOT_FOR_WEB_SOCKETS)?;
    let mut api = WebSocketApi {
        route_selection: String::new(),
        api_key_selection: API_KEY_SELECTION.to_owned(),
        disable_schema_validation: input.disable_schema_validation,
    };
    patch(&mut api, input.route_selection_expression.clone(), input.api_key_selection_expression.clone())?;
    match api.route_selection.is_empty() {
        true => Err(Error::bad_request("routeSelectionExpression is required for the protocolType WEBSOCKET")),
        false => Ok(api),
    }
}

/// Changes what is given.
pub(super) fn patch(api: &mut WebSocketApi, route: Option<String>, api_key: Option<String>) -> Result<(), Error> {
    if let Some(expression) = expression("routeSelectionExpression", route)? {
        api.route_selection = expression;
    }
    let keys =
        [API_KEY_SELECTION, "$context.authorizer.usageIdentifierKey", "${context.authorizer.usageIdentifierKey}"];
    if let Some(expression) = expression("apiKeySelectionExpression", api_key)? {
        let why = format!("is {} or {}", keys[0], keys[1]);
        refuse(!keys.contains(&expression.as_str()), "apiKeySelectionExpression", &why)?;
        api.api_key_selection = expression;
    }
    Ok(())
}

/// A WebSocket API of the region; an HTTP API has nothing of what is asked for.
pub(super) fn find(draft: &Draft<'_>, api_id: &str) -> Result<Arc<Api>, Error> {
    let api = draft.api(api_id)?;
    match api.web_socket {
        Some(_) => Ok(api),
        None => Err(Error::bad_request("The operation is supported for WebSocket APIs only")),
    }
}

/// Whether an API of the region is one.
pub(super) fn is_one(draft: &Draft<'_>, api_id: &str) -> Result<bool, Error> {
    draft.api(api_id).map(|api| api.web_socket.is_some())
}

/// Nothing of a WebSocket API can be served.
pub(super) fn refuse_deployment(api: &Api) -> Result<(), Error> {
    let message = "Unable to deploy API: there is no data plane for WebSocket APIs in Countersign yet. An HTTP API carries \
                   WebSocket connections through to a backend that speaks WebSocket itself.";
    if api.web_socket.is_some() { Err(Error::bad_request(message)) } else { Ok(()) }
}

/// All that belongs to an API.
pub(super) fn forget(draft: &mut Draft<'_>, api_id: &str) -> Result<(), Error> {
    let state = draft.state.clone();
    State::of(&state.web_socket_routes, api_id).try_for_each(|route| draft.delete::<WebSocketRoute>(route))?;
    State::of(&state.web_socket_models, api_id).try_for_each(|model| draft.delete::<WebSocketModel>(model))?;
    let mut integrations = State::of(&state.web_socket_integrations, api_id);
    integrations.try_for_each(|integration| draft.delete::<WebSocketIntegration>(integration))
}

/// A selection expression; an empty one is none.
fn expression(what: &str, text: Option<String>) -> Result<Option<String>, Error> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let good = text.starts_with('$') || text.starts_with('\\');
    match good && text.chars().count() <= MAX_EXPRESSION_CHARS && !text.chars().any(char::is_control) {
        true => Ok(Some(text)),
        false => Err(Error::bad_request(format!("Invalid selection expression specified for {what}: {text}"))),
    }
}

/// Changes a selection expression, if one is given; an empty one takes it away.
fn put_expression(what: &str, now: &mut Option<String>, given: Option<String>) -> Result<(), Error> {
    if given.is_some() {
        *now = expression(what, given)?;
    }
    Ok(())
}

/// Models by key, each of which there has to be.
fn put_models(
    draft: &Draft<'_>,
    api_id: &str,
    now: &mut BTreeMap<String, String>,
    given: Option<BTreeMap<String, String>>,
) -> Result<(), Error> {
    super::check::merge(now, given);
    let known = |name: &String| State::of(&draft.state.web_socket_models, api_id).any(|model| model.name == *name);
    match now.values().find(|name| !known(name)) {
        Some(name) => Err(Error::bad_request(format!("Invalid model name specified: {name}"))),
        None => Ok(()),
    }
}

/// Whether parameters are required, by name.
fn put_parameters(
    prefixes: &[&str],
    now: &mut BTreeMap<String, bool>,
    given: Option<BTreeMap<String, wire::ParameterConstraints>>,
) -> Result<(), Error> {
    for (name, constraints) in given.unwrap_or_default() {
        if !prefixes.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty())) {
            let message = format!("Invalid parameter {name}: it is one of {}NAME", prefixes.join("NAME, "));
            return Err(Error::bad_request(message));
        }
        now.insert(name, constraints.required.unwrap_or(false));
    }
    Ok(())
}

fn show_parameters(parameters: &BTreeMap<String, bool>) -> Option<BTreeMap<String, wire::ParameterConstraints>> {
    let shown =
        |(name, required): (&String, &bool)| (name.clone(), wire::ParameterConstraints { required: Some(*required) });
    (!parameters.is_empty()).then(|| parameters.iter().map(shown).collect())
}

fn show_map(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}
