//! Integrations of WebSocket APIs.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws::Error;
use aws::apigatewayv2 as wire;
use model::State;
use model::resource::WebSocketIntegration;

use super::{find as find_api, show_map};
use crate::apigatewayv2::check::{NOT_FOR_WEB_SOCKETS, NOT_HERE, merge, optional, refuse};
use crate::apigatewayv2::draft::{Draft, not_found};
use crate::apigatewayv2::integration::{METHODS, checked_function, checked_uri};
use crate::apigatewayv2::page;

const MAX_INTEGRATIONS: usize = 300;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const TIMEOUT_MS: std::ops::RangeInclusive<i32> = 50..=29_000;
const DEFAULT_TIMEOUT_MS: u32 = 29_000;

pub(in crate::apigatewayv2) fn create(
    draft: &mut Draft<'_>,
    input: &wire::CreateIntegrationRequest,
) -> Result<wire::Integration, Error> {
    let api = find_api(draft, &input.api_id)?;
    if State::of(&draft.state.web_socket_integrations, &api.id).count() >= MAX_INTEGRATIONS {
        let message = "Maximum number of Integrations for this API has been reached.";
        return Err(Error::too_many_requests("MaxIntegrations", message));
    }
    let taken = |state: &State, id: &str| State::one(&state.web_socket_integrations, &api.id, id).is_some();
    let empty = WebSocketIntegration {
        id: draft.fresh_id(7, taken)?,
        api_id: api.id.clone(),
        timeout_ms: DEFAULT_TIMEOUT_MS,
        ..WebSocketIntegration::default()
    };
    put(draft, empty, input.clone().into())
}

pub(in crate::apigatewayv2) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateIntegrationRequest,
) -> Result<wire::Integration, Error> {
    let integration = WebSocketIntegration::clone(&*find(draft, &input.api_id, &input.integration_id)?);
    put(draft, integration, input.clone().into())
}

pub(in crate::apigatewayv2) fn delete(
    draft: &mut Draft<'_>,
    input: &wire::DeleteIntegrationRequest,
) -> Result<(), Error> {
    let integration = find(draft, &input.api_id, &input.integration_id)?;
    let routes = State::of(&draft.state.web_socket_routes, &integration.api_id)
        .filter(|route| route.integration_id.as_ref() == Some(&integration.id))
        .map(|route| route.id.as_str());
    let routes: Vec<&str> = routes.collect();
    if !routes.is_empty() {
        let routes = routes.join(", ");
        let message =
            format!("Cannot delete Integration because it is referenced by the following Routes with Ids: [{routes}]");
        return Err(Error::conflict(message));
    }
    draft.delete::<WebSocketIntegration>(&integration)
}

pub(in crate::apigatewayv2) fn get(
    draft: &Draft<'_>,
    input: &wire::GetIntegrationRequest,
) -> Result<wire::Integration, Error> {
    find(draft, &input.api_id, &input.integration_id).map(|integration| show(&integration))
}

pub(in crate::apigatewayv2) fn list(
    draft: &Draft<'_>,
    input: &wire::GetIntegrationsRequest,
) -> Result<wire::GetIntegrationsResponse, Error> {
    let (items, next_token) = page::page(
        State::of(&draft.state.web_socket_integrations, &input.api_id),
        |integration| integration.id.clone(),
        |integration| show(integration),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetIntegrationsResponse { items, next_token })
}

pub(super) fn find(draft: &Draft<'_>, api_id: &str, id: &str) -> Result<Arc<WebSocketIntegration>, Error> {
    let api = find_api(draft, api_id)?;
    let integration = State::one(&draft.state.web_socket_integrations, &api.id, id).cloned();
    integration.ok_or_else(|| not_found("Integration", "Invalid Integration identifier specified"))
}

/// A patch of an integration.
struct Patch {
    unavailable: [(bool, &'static str, &'static str); 5],
    integration_type: Option<wire::IntegrationType>,
    method: Option<String>,
    uri: Option<String>,
    credentials_arn: Option<String>,
    content_handling: Option<wire::ContentHandlingStrategy>,
    passthrough: Option<wire::PassthroughBehavior>,
    timeout_ms: Option<i32>,
    request_parameters: Option<BTreeMap<String, String>>,
    request_templates: Option<BTreeMap<String, String>>,
    template_selection: Option<String>,
    tls: Option<wire::TlsConfigInput>,
    description: Option<String>,
}

/// Create and update take the same members, but as two types of the wire.
macro_rules! patch_from {
    ($input:ty, $integration_type:expr) => {
        impl From<$input> for Patch {
            fn from(input: $input) -> Self {
                let integration_type: fn(&$input) -> Option<wire::IntegrationType> = $integration_type;
                let vpc = input.connection_type == Some(wire::ConnectionType::VpcLink);
                let version = input.payload_format_version.as_deref().is_some_and(|version| version != "1.0");
                Self {
                    unavailable: [
                        (vpc, "connectionType VPC_LINK", NOT_HERE),
                        (input.connection_id.is_some(), "connectionId", NOT_HERE),
                        (input.integration_subtype.is_some(), "integrationSubtype", NOT_FOR_WEB_SOCKETS),
                        (version, "A payloadFormatVersion other than 1.0", NOT_FOR_WEB_SOCKETS),
                        (input.response_parameters.is_some(), "responseParameters", NOT_FOR_WEB_SOCKETS),
                    ],
                    integration_type: integration_type(&input),
                    method: input.integration_method,
                    uri: input.integration_uri,
                    credentials_arn: input.credentials_arn,
                    content_handling: input.content_handling_strategy,
                    passthrough: input.passthrough_behavior,
                    timeout_ms: input.timeout_in_millis,
                    request_parameters: input.request_parameters,
                    request_templates: input.request_templates,
                    template_selection: input.template_selection_expression,
                    tls: input.tls_config,
                    description: input.description,
                }
            }
        }
    };
}

patch_from!(wire::CreateIntegrationRequest, |input| Some(input.integration_type));
patch_from!(wire::UpdateIntegrationRequest, |input| input.integration_type);

fn put(draft: &mut Draft<'_>, mut integration: WebSocketIntegration, patch: Patch) -> Result<wire::Integration, Error> {
    patch.unavailable.iter().try_for_each(|(given, what, why)| refuse(*given, what, why))?;
    if let Some(kind) = patch.integration_type {
        integration.kind = kind.as_str().to_owned();
    }
    if let Some(method) = patch.method.filter(|method| !method.is_empty()) {
        refuse(!METHODS.contains(&method.as_str()), "Invalid HTTP method specified:", &method)?;
        integration.method = Some(method);
    }
    if patch.uri.is_some() {
        integration.uri = optional("integrationUri", patch.uri, 2048)?;
    }
    check_uri(&integration)?;
    if patch.credentials_arn.is_some() {
        integration.credentials_arn = optional("credentialsArn", patch.credentials_arn, 2048)?;
    }
    if let Some(handling) = patch.content_handling {
        integration.content_handling = Some(handling.as_str().to_owned());
    }
    if let Some(behavior) = patch.passthrough {
        integration.passthrough = Some(behavior.as_str().to_owned());
    }
    if let Some(timeout) = patch.timeout_ms {
        let allowed = u32::try_from(timeout).ok().filter(|_| TIMEOUT_MS.contains(&timeout));
        let wrong = || Error::bad_request("Timeout should be between 50 ms and 29000 ms");
        integration.timeout_ms = allowed.ok_or_else(wrong)?;
    }
    merge(&mut integration.request_parameters, patch.request_parameters);
    merge(&mut integration.request_templates, patch.request_templates);
    if patch.template_selection.is_some() {
        integration.template_selection = optional("templateSelectionExpression", patch.template_selection, 128)?;
    }
    if let Some(tls) = patch.tls {
        integration.server_name_to_verify = optional("serverNameToVerify", tls.server_name_to_verify, 512)?;
    }
    if patch.description.is_some() {
        integration.description = optional("description", patch.description, MAX_DESCRIPTION_CHARS)?;
    }
    draft.put(&integration)?;
    Ok(show(&integration))
}

/// All but MOCK lead somewhere.
fn check_uri(integration: &WebSocketIntegration) -> Result<(), Error> {
    let kind = integration.kind.as_str();
    match (kind, &integration.uri) {
        ("MOCK", _) => Ok(()),
        (_, None) => Err(Error::bad_request(format!("Invalid integration: integrationUri is required for {kind}"))),
        ("HTTP" | "HTTP_PROXY", Some(uri)) => checked_uri(uri).map(drop),
        ("AWS_PROXY", Some(uri)) => checked_function(uri).map(drop),
        (_, Some(uri)) if uri.starts_with("arn:") => Ok(()),
        (_, Some(uri)) => Err(Error::bad_request(format!("Invalid integrationUri {uri}: it is an ARN for {kind}"))),
    }
}

fn show(integration: &WebSocketIntegration) -> wire::Integration {
    let name = integration.server_name_to_verify.clone();
    wire::Integration {
        api_gateway_managed: None,
        connection_id: None,
        connection_type: Some(wire::ConnectionType::Internet),
        content_handling_strategy: integration
            .content_handling
            .as_deref()
            .and_then(wire::ContentHandlingStrategy::parse),
        credentials_arn: integration.credentials_arn.clone(),
        description: integration.description.clone(),
        integration_id: Some(integration.id.clone()),
        integration_method: integration.method.clone(),
        integration_response_selection_expression: Some("${integration.response.statuscode}".to_owned()),
        integration_subtype: None,
        integration_type: wire::IntegrationType::parse(&integration.kind),
        integration_uri: integration.uri.clone(),
        passthrough_behavior: integration
            .passthrough
            .as_deref()
            .map_or(Some(wire::PassthroughBehavior::WhenNoMatch), wire::PassthroughBehavior::parse),
        payload_format_version: Some("1.0".to_owned()),
        request_parameters: show_map(&integration.request_parameters),
        request_templates: show_map(&integration.request_templates),
        response_parameters: None,
        template_selection_expression: integration.template_selection.clone(),
        timeout_in_millis: i32::try_from(integration.timeout_ms).ok(),
        tls_config: name.map(|name| wire::TlsConfig { server_name_to_verify: Some(name) }),
    }
}
