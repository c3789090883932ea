//! Integrations: the backends of an API, HTTP services (HTTP_PROXY) and Lambda functions (AWS_PROXY).

use std::collections::BTreeMap;

use aws::Error;
use aws::apigatewayv2 as wire;
use model::resource::{Integration, IntegrationKind};
use model::snapshot::PayloadFormat;
use model::{FunctionArn, State, Target};

use super::check::{self, NO_ROLES, NOT_FOR_HTTP, NOT_HERE, optional, refuse};
use super::draft::Draft;
use super::{deployment, page, parameters, vpc_link, web_socket};

const MAX_INTEGRATIONS: usize = 300;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const MAX_URI_BYTES: usize = 2048;
const TIMEOUT_MS: std::ops::RangeInclusive<i32> = 50..=30_000;
const DEFAULT_TIMEOUT_MS: u32 = 30_000;
pub(super) const METHODS: [&str; 8] = ["ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

pub(super) fn create(
    draft: &mut Draft<'_>,
    input: &wire::CreateIntegrationRequest,
) -> Result<wire::Integration, Error> {
    if web_socket::is_one(draft, &input.api_id)? {
        return web_socket::integration::create(draft, input);
    }
    let integration = add(draft, input.clone())?;
    deployment::auto_deploy(draft, &integration.api_id)?;
    Ok(show(&integration))
}

/// Makes an integration; nothing is deployed.
pub(super) fn add(draft: &mut Draft<'_>, input: wire::CreateIntegrationRequest) -> Result<Integration, Error> {
    let api_id = draft.api(&input.api_id)?.id.clone();
    if State::of(&draft.state.integrations, &api_id).count() >= MAX_INTEGRATIONS {
        let message = "Maximum number of Integrations for this API has been reached.";
        return Err(Error::too_many_requests("MaxIntegrations", message));
    }
    // To create is to update what is empty; only the type must be given.
    let taken = |state: &State, id: &str| State::one(&state.integrations, &api_id, id).is_some();
    let empty = Integration {
        id: draft.fresh_id(7, taken)?,
        api_id,
        kind: IntegrationKind::HttpProxy,
        method: None,
        uri: String::new(),
        vpc_link_id: None,
        timeout_ms: DEFAULT_TIMEOUT_MS,
        payload_format_version: "1.0".to_owned(),
        request_parameters: BTreeMap::new(),
        response_parameters: BTreeMap::new(),
        server_name_to_verify: None,
        description: None,
        api_gateway_managed: false,
    };
    let integration = patched(draft, empty, input.into())?;
    if integration.uri.is_empty() {
        let kind = integration_type(integration.kind);
        return Err(Error::bad_request(format!("Invalid integration: integrationUri is required for {kind}")));
    }
    draft.put(&integration)?;
    Ok(integration)
}

pub(super) fn update(
    draft: &mut Draft<'_>,
    input: &wire::UpdateIntegrationRequest,
) -> Result<wire::Integration, Error> {
    let api = draft.api(&input.api_id)?;
    if api.web_socket.is_some() {
        return web_socket::integration::update(draft, input);
    }
    let integration = Integration::clone(&*draft.integration(&api.id, &input.integration_id)?);
    let integration = patched(draft, integration, input.clone().into())?;
    draft.put(&integration)?;
    deployment::auto_deploy(draft, &api.id)?;
    Ok(show(&integration))
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteIntegrationRequest) -> Result<(), Error> {
    let api = draft.api(&input.api_id)?;
    if api.web_socket.is_some() {
        return web_socket::integration::delete(draft, input);
    }
    let integration = draft.integration(&api.id, &input.integration_id)?;
    let routes = State::of(&draft.state.routes, &api.id)
        .filter(|route| route.integration_id.as_ref() == Some(&integration.id))
        .map(|route| route.id.as_str());
    let routes: Vec<&str> = routes.collect();
    if !routes.is_empty() {
        let routes = routes.join(", ");
        let message =
            format!("Cannot delete Integration because it is referenced by the following Routes with Ids: [{routes}]");
        return Err(Error::conflict(message));
    }
    draft.delete::<Integration>(&integration)?;
    deployment::auto_deploy(draft, &api.id)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetIntegrationRequest) -> Result<wire::Integration, Error> {
    let api = draft.api(&input.api_id)?;
    if api.web_socket.is_some() {
        return web_socket::integration::get(draft, input);
    }
    Ok(show(&*draft.integration(&api.id, &input.integration_id)?))
}

pub(super) fn list(
    draft: &Draft<'_>,
    input: &wire::GetIntegrationsRequest,
) -> Result<wire::GetIntegrationsResponse, Error> {
    let api = draft.api(&input.api_id)?;
    if api.web_socket.is_some() {
        return web_socket::integration::list(draft, input);
    }
    let (items, next_token) = page::page(
        State::of(&draft.state.integrations, &api.id),
        |integration| integration.id.clone(),
        |integration| show(integration),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetIntegrationsResponse { items, next_token })
}

/// What quick create makes of a target: `integrationType`, and AWS's `integrationMethod` and `payloadFormatVersion` for it.
pub(super) fn of_target(target: &str) -> (wire::IntegrationType, &'static str, &'static str) {
    match target.starts_with("arn:") {
        true => (wire::IntegrationType::AwsProxy, "POST", "2.0"),
        false => (wire::IntegrationType::HttpProxy, "ANY", "1.0"),
    }
}

/// What quick create made, with another target, which may be of another kind.
pub(super) fn retargeted(made: Integration, target: &str) -> Result<Integration, Error> {
    let (kind, method, format) = of_target(target);
    let kind = served(kind)?;
    let uri = checked_target(kind, target)?;
    if kind == made.kind {
        return Ok(Integration { uri, ..made });
    }
    Ok(Integration { uri, kind, method: Some(method.to_owned()), payload_format_version: format.to_owned(), ..made })
}

fn checked_target(kind: IntegrationKind, uri: &str) -> Result<String, Error> {
    match kind {
        IntegrationKind::HttpProxy => checked_uri(uri),
        IntegrationKind::AwsProxy => checked_function(uri),
    }
}

/// Checks the `integrationUri` of an HTTP_PROXY integration. Stage variables are not known yet, so they stand for a host here.
pub(crate) fn checked_uri(uri: &str) -> Result<String, Error> {
    checked(uri, |uri| Target::parse(uri, &sample_variables(uri)).map(drop).map_err(|error| error.to_string()))
}

/// Checks a URI that names a Lambda function. Stage variables are not known yet, so they stand for a name here.
pub(crate) fn checked_function(uri: &str) -> Result<String, Error> {
    checked(uri, |uri| FunctionArn::parse(uri, &sample_variables(uri)).map(drop).map_err(|error| error.to_string()))
}

fn checked(uri: &str, parse: impl FnOnce(&str) -> Result<(), String>) -> Result<String, Error> {
    if uri.len() > MAX_URI_BYTES {
        return Err(Error::bad_request(format!("Invalid integrationUri: it may have {MAX_URI_BYTES} characters")));
    }
    parse(uri).map(|()| uri.to_owned()).map_err(Error::bad_request)
}

/// A patch of an integration, and all that it may hold but we do not have.
struct Patch {
    integration_type: Option<wire::IntegrationType>,
    unavailable: [(bool, &'static str, &'static str); 6],
    connection_type: Option<wire::ConnectionType>,
    connection_id: Option<String>,
    uri: Option<String>,
    method: Option<String>,
    timeout_ms: Option<i32>,
    payload_format_version: Option<String>,
    request_parameters: Option<BTreeMap<String, String>>,
    response_parameters: Option<BTreeMap<String, BTreeMap<String, String>>>,
    tls: Option<wire::TlsConfigInput>,
    description: Option<String>,
}

/// Create and update take the same members, but as two types of the wire.
macro_rules! patch_from {
    ($input:ty, $integration_type:expr) => {
        impl From<$input> for Patch {
            fn from(input: $input) -> Self {
                let integration_type: fn(&$input) -> Option<wire::IntegrationType> = $integration_type;
                Self {
                    integration_type: integration_type(&input),
                    unavailable: [
                        (input.content_handling_strategy.is_some(), "contentHandlingStrategy", NOT_FOR_HTTP),
                        (input.credentials_arn.is_some(), "credentialsArn", NO_ROLES),
                        (input.integration_subtype.is_some(), "integrationSubtype", NOT_HERE),
                        (input.passthrough_behavior.is_some(), "passthroughBehavior", NOT_FOR_HTTP),
                        (input.request_templates.is_some(), "requestTemplates", NOT_FOR_HTTP),
                        (input.template_selection_expression.is_some(), "templateSelectionExpression", NOT_FOR_HTTP),
                    ],
                    connection_type: input.connection_type,
                    connection_id: input.connection_id,
                    uri: input.integration_uri,
                    method: input.integration_method,
                    timeout_ms: input.timeout_in_millis,
                    payload_format_version: input.payload_format_version,
                    request_parameters: input.request_parameters,
                    response_parameters: input.response_parameters,
                    tls: input.tls_config,
                    description: input.description,
                }
            }
        }
    };
}

patch_from!(wire::CreateIntegrationRequest, |input| Some(input.integration_type));
patch_from!(wire::UpdateIntegrationRequest, |input| input.integration_type);

fn patched(draft: &Draft<'_>, mut integration: Integration, patch: Patch) -> Result<Integration, Error> {
    if let Some(kind) = patch.integration_type {
        integration.kind = served(kind)?;
    }
    patch.unavailable.iter().try_for_each(|(given, what, why)| refuse(*given, what, why))?;
    if let Some(uri) = patch.uri {
        integration.uri = uri;
    }
    integration.vpc_link_id = connection(&integration, patch.connection_type, patch.connection_id)?;
    if !integration.uri.is_empty() {
        // What was good for one kind of integration may not be for another.
        match &integration.vpc_link_id {
            Some(id) => vpc_link::check_use(draft, id, &integration.uri)?,
            None => integration.uri = checked_target(integration.kind, &integration.uri)?,
        }
    }
    if let Some(method) = patch.method {
        if !METHODS.contains(&method.as_str()) {
            return Err(Error::bad_request(format!("Invalid HTTP method specified: {method}")));
        }
        integration.method = Some(method);
    }
    if let Some(timeout) = patch.timeout_ms {
        let allowed = u32::try_from(timeout).ok().filter(|_| TIMEOUT_MS.contains(&timeout));
        integration.timeout_ms =
            allowed.ok_or_else(|| Error::bad_request("Timeout should be between 50 ms and 30000 ms"))?;
    }
    if let Some(version) = patch.payload_format_version {
        integration.payload_format_version = version;
    }
    check_payload_format(&integration)?;
    check::merge(&mut integration.request_parameters, patch.request_parameters);
    parameters::check_request(&integration.request_parameters)?;
    for (status, patch) in patch.response_parameters.unwrap_or_default() {
        let of_status = integration.response_parameters.entry(status).or_default();
        // As Terraform takes a status out.
        if patch.is_empty() {
            of_status.clear();
        }
        check::merge(of_status, Some(patch));
    }
    integration.response_parameters.retain(|_, of_status| !of_status.is_empty());
    parameters::check_response(&integration.response_parameters)?;
    if let Some(tls) = patch.tls {
        refuse(integration.kind == IntegrationKind::AwsProxy, "tlsConfig", "is not supported for AWS_PROXY")?;
        integration.server_name_to_verify = optional("serverNameToVerify", tls.server_name_to_verify, 512)?;
    }
    if patch.description.is_some() {
        integration.description = optional("description", patch.description, MAX_DESCRIPTION_CHARS)?;
    }
    Ok(integration)
}

/// The VPC link that an integration leads through from now on.
fn connection(
    integration: &Integration,
    kind: Option<wire::ConnectionType>,
    id: Option<String>,
) -> Result<Option<String>, Error> {
    let now = &integration.vpc_link_id;
    let kind =
        kind.unwrap_or(if now.is_some() { wire::ConnectionType::VpcLink } else { wire::ConnectionType::Internet });
    let id = id.filter(|id| !id.is_empty());
    match kind {
        wire::ConnectionType::Internet => {
            refuse(id.is_some(), "connectionId", "is supported for the connectionType VPC_LINK only")?;
            Ok(None)
        }
        wire::ConnectionType::VpcLink => {
            let is_function = integration.kind == IntegrationKind::AwsProxy;
            refuse(is_function, "connectionType VPC_LINK", "is not supported for AWS_PROXY")?;
            let id = id.or_else(|| now.clone());
            id.map(Some).ok_or_else(|| Error::bad_request("A connectionId is required for the connectionType VPC_LINK"))
        }
    }
}

fn served(kind: wire::IntegrationType) -> Result<IntegrationKind, Error> {
    match kind {
        wire::IntegrationType::HttpProxy => Ok(IntegrationKind::HttpProxy),
        wire::IntegrationType::AwsProxy => Ok(IntegrationKind::AwsProxy),
        _ => {
            let message =
                format!("integrationType {kind} {NOT_HERE}: HTTP_PROXY and AWS_PROXY are the types that are served");
            Err(Error::bad_request(message))
        }
    }
}

fn check_payload_format(integration: &Integration) -> Result<(), Error> {
    let version = integration.payload_format_version.as_str();
    let is_http = integration.kind == IntegrationKind::HttpProxy;
    refuse(is_http && version != "1.0", "A payloadFormatVersion other than 1.0", "is not supported for HTTP_PROXY")?;
    let unknown = PayloadFormat::parse(version).is_none();
    refuse(unknown, "A payloadFormatVersion other than 1.0 and 2.0", "is not supported for AWS_PROXY")
}

/// A value for each stage variable that the URI may name: a digit is good in a host, a port and a path.
pub(crate) fn sample_variables(uri: &str) -> BTreeMap<String, String> {
    let names = uri.split("stageVariables.").skip(1).map(|rest| {
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        (rest[..length].to_owned(), "1".to_owned())
    });
    names.collect()
}

fn integration_type(kind: IntegrationKind) -> wire::IntegrationType {
    match kind {
        IntegrationKind::HttpProxy => wire::IntegrationType::HttpProxy,
        IntegrationKind::AwsProxy => wire::IntegrationType::AwsProxy,
    }
}

pub(super) fn show(integration: &Integration) -> wire::Integration {
    // Functions are invoked with POST, whatever the client's method.
    let method = if integration.kind == IntegrationKind::HttpProxy { "ANY" } else { "POST" };
    let parameters = &integration.request_parameters;
    let responses = &integration.response_parameters;
    wire::Integration {
        api_gateway_managed: integration.api_gateway_managed.then_some(true),
        connection_id: integration.vpc_link_id.clone(),
        connection_type: Some(match integration.vpc_link_id {
            Some(_) => wire::ConnectionType::VpcLink,
            None => wire::ConnectionType::Internet,
        }),
        content_handling_strategy: None,
        credentials_arn: None,
        description: integration.description.clone(),
        integration_id: Some(integration.id.clone()),
        integration_method: Some(integration.method.clone().unwrap_or_else(|| method.to_owned())),
        integration_response_selection_expression: None,
        integration_subtype: None,
        integration_type: Some(integration_type(integration.kind)),
        integration_uri: Some(integration.uri.clone()),
        passthrough_behavior: None,
        payload_format_version: Some(integration.payload_format_version.clone()),
        request_parameters: (!parameters.is_empty()).then(|| parameters.clone()),
        request_templates: None,
        response_parameters: (!responses.is_empty()).then(|| responses.clone()),
        template_selection_expression: None,
        timeout_in_millis: i32::try_from(integration.timeout_ms).ok(),
        tls_config: integration
            .server_name_to_verify
            .clone()
            .map(|name| wire::TlsConfig { server_name_to_verify: Some(name) }),
    }
}
