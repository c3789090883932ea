//! APIs.

use aws::apigatewayv2 as wire;
use aws::{Error, Timestamp};
use model::State;
use model::resource::{Api, Authorizer, Cors, Deployment, Integration, Route, Stage};

use super::check::{NOT_FOR_HTTP, NOT_FOR_WEB_SOCKETS, NOT_HERE, api_tags, length, optional, refuse};
use super::draft::{Draft, api_id_is_taken};
use super::quick_create::{quick_create, quick_update};
use super::{deployment, of_api, page, web_socket};

const ROUTE_SELECTION: &str = "$request.method $request.path";
const API_KEY_SELECTION: &str = "$request.header.x-api-key";
const MAX_NAME_CHARS: usize = 128;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const MAX_VERSION_CHARS: usize = 64;

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateApiRequest) -> Result<wire::Api, Error> {
    let input = input.clone();
    refuse(input.ip_address_type == Some(wire::IpAddressType::Dualstack), "ipAddressType dualstack", NOT_HERE)?;
    let described = described(&input)?;
    api_tags(&described.tags)?;
    let api = Api {
        id: draft.fresh_id(10, api_id_is_taken)?,
        region: draft.region.to_owned(),
        created: draft.at,
        ..described
    };
    of_api::read_tagged(draft, &api.id, &api.tags)?;
    draft.put(&api)?;
    match (input.target, input.route_key) {
        (Some(target), key) => quick_create(draft, &api, target, key.as_deref().unwrap_or("$default"))?,
        (None, Some(_)) => return Err(Error::bad_request("A target is required when routeKey is set")),
        (None, None) => {}
    }
    Ok(show(draft, &api))
}

/// What a request says of an API, checked; without id, region and time.
pub(super) fn described(input: &wire::CreateApiRequest) -> Result<Api, Error> {
    length("name", &input.name, 1, MAX_NAME_CHARS)?;
    let web_socket = match input.protocol_type {
        wire::ProtocolType::Websocket => Some(web_socket::described(input)?),
        wire::ProtocolType::Http => {
            unsupported(&Unsupported {
                route_selection: input.route_selection_expression.as_deref(),
                api_key_selection: input.api_key_selection_expression.as_deref(),
                disable_schema_validation: input.disable_schema_validation,
            })?;
            None
        }
    };
    Ok(Api {
        id: String::new(),
        region: String::new(),
        name: input.name.clone(),
        description: optional("description", input.description.clone(), MAX_DESCRIPTION_CHARS)?,
        version: optional("version", input.version.clone(), MAX_VERSION_CHARS)?,
        disable_execute_api_endpoint: input.disable_execute_api_endpoint.unwrap_or(false),
        cors: input.cors_configuration.clone().map(cors).transpose()?.flatten(),
        created: 0,
        tags: input.tags.clone().unwrap_or_default(),
        web_socket,
        import_info: Vec::new(),
        import_warnings: Vec::new(),
    })
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateApiRequest) -> Result<wire::Api, Error> {
    let input = input.clone();
    let mut api = Api::clone(&*draft.api(&input.api_id)?);
    refuse(input.ip_address_type == Some(wire::IpAddressType::Dualstack), "ipAddressType dualstack", NOT_HERE)?;
    match &mut api.web_socket {
        None => unsupported(&Unsupported {
            route_selection: input.route_selection_expression.as_deref(),
            api_key_selection: input.api_key_selection_expression.as_deref(),
            disable_schema_validation: input.disable_schema_validation,
        })?,
        Some(api) => {
            refuse(input.cors_configuration.is_some(), "corsConfiguration", NOT_FOR_WEB_SOCKETS)?;
            api.disable_schema_validation = input.disable_schema_validation.or(api.disable_schema_validation);
            web_socket::patch(api, input.route_selection_expression, input.api_key_selection_expression)?;
        }
    }
    if let Some(name) = input.name {
        length("name", &name, 1, MAX_NAME_CHARS)?;
        api.name = name;
    }
    if input.description.is_some() {
        api.description = optional("description", input.description, MAX_DESCRIPTION_CHARS)?;
    }
    if input.version.is_some() {
        api.version = optional("version", input.version, MAX_VERSION_CHARS)?;
    }
    if let Some(disable) = input.disable_execute_api_endpoint {
        api.disable_execute_api_endpoint = disable;
    }
    if let Some(configuration) = input.cors_configuration {
        api.cors = cors(configuration)?;
    }
    draft.put(&api)?;
    quick_update(draft, &api, input.target, input.route_key)?;
    deployment::auto_deploy(draft, &api.id)?;
    Ok(show(draft, &api))
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteApiRequest) -> Result<(), Error> {
    let api = draft.api(&input.api_id)?;
    let state = draft.state.clone();
    if state.mappings.values().flat_map(|of_domain| of_domain.values()).any(|mapping| mapping.api_id == api.id) {
        let message = format!(
            "Deleting API {} failed. Please remove all API mappings for the API from your custom domain names.",
            api.id
        );
        return Err(Error::bad_request(message));
    }
    if state.routing_rules.values().flat_map(|of_domain| of_domain.values()).any(|rule| rule.api_id == api.id) {
        let message = format!(
            "Deleting API {} failed. Please remove all routing rules for the API from your custom domain names.",
            api.id
        );
        return Err(Error::bad_request(message));
    }
    State::of(&state.routes, &api.id).try_for_each(|route| draft.delete::<Route>(route))?;
    State::of(&state.stages, &api.id).try_for_each(|stage| draft.delete::<Stage>(stage))?;
    State::of(&state.deployments, &api.id).try_for_each(|deployment| draft.delete::<Deployment>(deployment))?;
    State::of(&state.integrations, &api.id).try_for_each(|integration| draft.delete::<Integration>(integration))?;
    State::of(&state.authorizers, &api.id).try_for_each(|authorizer| draft.delete::<Authorizer>(authorizer))?;
    web_socket::forget(draft, &api.id)?;
    of_api::forget(draft, &api.id)?;
    draft.delete::<Api>(&api)
}

pub(super) fn delete_cors(draft: &mut Draft<'_>, input: &wire::DeleteCorsConfigurationRequest) -> Result<(), Error> {
    let api = Api::clone(&*draft.api(&input.api_id)?);
    let api_id = api.id.clone();
    draft.put(&Api { cors: None, ..api })?;
    deployment::auto_deploy(draft, &api_id)
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetApisRequest) -> Result<wire::GetApisResponse, Error> {
    let apis = draft.state.apis.values().filter(|api| api.region == draft.region);
    let (items, next_token) = page::page(
        apis,
        |api| api.id.clone(),
        |api| show(draft, api),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetApisResponse { items, next_token })
}

pub(super) fn show(draft: &Draft<'_>, api: &Api) -> wire::Api {
    let config = draft.config;
    let (scheme, protocol) = match api.web_socket {
        Some(_) => ("wss", wire::ProtocolType::Websocket),
        None => ("https", wire::ProtocolType::Http),
    };
    let own = api.web_socket.as_ref();
    let route_selection = own.map_or(ROUTE_SELECTION, |own| &own.route_selection);
    let api_key_selection = own.map_or(API_KEY_SELECTION, |own| &own.api_key_selection);
    let of_policies = of_api::warnings(&draft.state, &api.id).unwrap_or_default();
    let warnings: Vec<String> = api.import_warnings.iter().cloned().chain(of_policies).collect();
    wire::Api {
        api_endpoint: Some(format!(
            "{scheme}://{}.execute-api.{}.{}:{}",
            api.id, api.region, config.execute_api_suffix, config.https_port
        )),
        api_gateway_managed: None,
        api_id: Some(api.id.clone()),
        api_key_selection_expression: Some(api_key_selection.to_owned()),
        cors_configuration: api.cors.clone().map(show_cors),
        created_date: Some(Timestamp(api.created)),
        description: api.description.clone(),
        disable_execute_api_endpoint: Some(api.disable_execute_api_endpoint),
        disable_schema_validation: own.and_then(|own| own.disable_schema_validation),
        import_info: Some(api.import_info.clone()).filter(|info| !info.is_empty()),
        ip_address_type: Some(wire::IpAddressType::Ipv4),
        name: Some(api.name.clone()),
        protocol_type: Some(protocol),
        route_selection_expression: Some(route_selection.to_owned()),
        tags: Some(api.tags.clone()),
        version: api.version.clone(),
        warnings: Some(warnings).filter(|warnings| !warnings.is_empty()),
    }
}

/// What both create and update take but HTTP APIs (or we) do not have, or have in one way only.
struct Unsupported<'a> {
    route_selection: Option<&'a str>,
    api_key_selection: Option<&'a str>,
    disable_schema_validation: Option<bool>,
}

fn unsupported(input: &Unsupported<'_>) -> Result<(), Error> {
    refuse(input.disable_schema_validation == Some(true), "disableSchemaValidation", NOT_FOR_HTTP)?;
    let other = input.route_selection.is_some_and(|expression| !["", ROUTE_SELECTION].contains(&expression));
    refuse(other, "A routeSelectionExpression other than $request.method $request.path", NOT_FOR_HTTP)?;
    let other = input.api_key_selection.is_some_and(|expression| !["", API_KEY_SELECTION].contains(&expression));
    refuse(other, "apiKeySelectionExpression", NOT_FOR_HTTP)
}

/// An empty configuration is none.
fn cors(input: wire::Cors) -> Result<Option<Cors>, Error> {
    let cors = Cors {
        allow_credentials: input.allow_credentials,
        allow_headers: input.allow_headers.unwrap_or_default(),
        allow_methods: input.allow_methods.unwrap_or_default(),
        allow_origins: input.allow_origins.unwrap_or_default(),
        expose_headers: input.expose_headers.unwrap_or_default(),
        max_age: input.max_age,
    };
    if cors.allow_credentials == Some(true) && cors.allow_origins.iter().any(|origin| origin == "*") {
        return Err(Error::bad_request("Invalid CORS configuration: allowCredentials needs origins other than *"));
    }
    if cors.max_age.is_some_and(|age| !(-1..=86_400).contains(&age)) {
        return Err(Error::bad_request("Invalid CORS configuration: maxAge must be between -1 and 86400 seconds"));
    }
    for (what, list, good) in [
        ("allowOrigins", &cors.allow_origins, is_origin as fn(&str) -> bool),
        ("allowMethods", &cors.allow_methods, is_name),
        ("allowHeaders", &cors.allow_headers, is_name),
        ("exposeHeaders", &cors.expose_headers, is_name),
    ] {
        if let Some(bad) = list.iter().find(|value| !good(value)) {
            return Err(Error::bad_request(format!("Invalid CORS configuration: invalid format in {what}: {bad}")));
        }
    }
    Ok((cors != Cors::default()).then_some(cors))
}

/// `*`, `https://*`, `http://*`, or an origin as browsers send it: scheme, host and port, and nothing behind them.
fn is_origin(origin: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    match origin.split_once("://") {
        None => origin == "*",
        Some(("https" | "http", "*")) => true,
        Some((scheme, host)) => {
            let scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
            scheme && !host.is_empty() && host.bytes().all(plain)
        }
    }
}

/// The name of a header or method; `*`, which stands for all of them, is one too.
fn is_name(name: &str) -> bool {
    http::HeaderName::try_from(name).is_ok()
}

pub(super) fn show_cors(cors: Cors) -> wire::Cors {
    let list = |list: Vec<String>| (!list.is_empty()).then_some(list);
    wire::Cors {
        allow_credentials: cors.allow_credentials,
        allow_headers: list(cors.allow_headers),
        allow_methods: list(cors.allow_methods),
        allow_origins: list(cors.allow_origins),
        expose_headers: list(cors.expose_headers),
        max_age: cors.max_age,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        for (origin, good) in [
            ("*", true),
            ("https://*", true),
            ("http://*", true),
            ("https://app.example", true),
            ("http://localhost:3000", true),
            ("http://[::1]:3000", true),
            ("chrome-extension://abcdef", true),
            ("ftp://*", false),
            ("https://app*", false),
            ("https://*.app.example", false),
            ("https://app.example/", false),
            ("https://app.example/path", false),
            ("https://", false),
            ("app.example", false),
            ("null", false),
            ("", false),
            ("https://a.test\r\nx: y", false),
        ] {
            assert_eq!(is_origin(origin), good, "{origin:?}");
        }
    }

    #[test]
    fn lists_hold_names_that_a_header_can_hold() {
        let with = |headers: &[&str]| {
            let headers = headers.iter().map(|&header| header.to_owned()).collect();
            cors(wire::Cors { allow_headers: Some(headers), ..Default::default() }).is_ok()
        };
        assert!(with(&["authorization", "*", "X-Amz-Date"]));
        assert!(!with(&["x-a, x-b"]) && !with(&["x-a\n"]) && !with(&[""]) && !with(&["Zo\u{eb}"]));
    }
}
