//! Stages.

use std::collections::BTreeMap;

use aws::apigatewayv2 as wire;
use aws::{Error, Timestamp};
use model::State;
use model::resource::{AccessLog, RouteSettings, Stage};
use model::template::{Template, Variable};

use super::check::{self, NOT_FOR_HTTP, NOT_HERE, optional, other_tags, refuse};
use super::draft::{Draft, not_found};
use super::{deployment, page, web_socket};

const MAX_STAGES: usize = 10;
const MAX_NAME_CHARS: usize = 128;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const MAX_VARIABLE_CHARS: usize = 512;
const MAX_VARIABLES: usize = 100;

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateStageRequest) -> Result<wire::Stage, Error> {
    let input = input.clone();
    let api_id = draft.api(&input.api_id)?.id.clone();
    check_name(&input.stage_name)?;
    if State::one(&draft.state.stages, &api_id, &input.stage_name).is_some() {
        return Err(Error::conflict("Stage already exists"));
    }
    if State::of(&draft.state.stages, &api_id).count() >= MAX_STAGES {
        return Err(Error::too_many_requests("MaxStages", "Maximum number of Stages for this API has been reached."));
    }
    let tags = input.tags.unwrap_or_default();
    other_tags(&tags)?;
    let stage = Stage {
        api_id,
        name: input.stage_name,
        description: None,
        deployment_id: None,
        auto_deploy: false,
        access_log: None,
        variables: BTreeMap::new(),
        default_route_settings: RouteSettings::default(),
        route_settings: BTreeMap::new(),
        created: draft.at,
        updated: draft.at,
        client_certificate_id: None,
        authorizers_flushed: 0,
        documentation_version: None,
        last_deployment_status_message: None,
        api_gateway_managed: false,
        tags,
    };
    let patch = Patch {
        description: input.description,
        access_log: input.access_log_settings,
        auto_deploy: input.auto_deploy,
        client_certificate_id: input.client_certificate_id,
        default_route_settings: input.default_route_settings,
        route_settings: input.route_settings,
        deployment_id: input.deployment_id,
        variables: input.stage_variables,
    };
    put(draft, stage, patch)
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateStageRequest) -> Result<wire::Stage, Error> {
    let input = input.clone();
    let api = draft.api(&input.api_id)?;
    let stage = Stage { updated: draft.at, ..Stage::clone(&*draft.stage(&api.id, &input.stage_name)?) };
    let patch = Patch {
        description: input.description,
        access_log: input.access_log_settings,
        auto_deploy: input.auto_deploy,
        client_certificate_id: input.client_certificate_id,
        default_route_settings: input.default_route_settings,
        route_settings: input.route_settings,
        deployment_id: input.deployment_id,
        variables: input.stage_variables,
    };
    put(draft, stage, patch)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteStageRequest) -> Result<(), Error> {
    let api = draft.api(&input.api_id)?;
    let stage = draft.stage(&api.id, &input.stage_name)?;
    let mut mappings = draft.state.mappings.values().flat_map(|of_domain| of_domain.values());
    if mappings.any(|mapping| mapping.api_id == api.id && mapping.stage == stage.name) {
        let message = format!(
            "Deleting stage {} failed. Please remove all API mappings for the stage from your custom domain names.",
            stage.name
        );
        return Err(Error::bad_request(message));
    }
    let mut rules = draft.state.routing_rules.values().flat_map(|of_domain| of_domain.values());
    if rules.any(|rule| rule.api_id == api.id && rule.stage == stage.name) {
        let message = format!(
            "Deleting stage {} failed. Please remove all routing rules for the stage from your custom domain names.",
            stage.name
        );
        return Err(Error::bad_request(message));
    }
    draft.delete::<Stage>(&stage)?;
    deployment::drop_unused(draft, &api.id)
}

pub(super) fn delete_access_log(
    draft: &mut Draft<'_>,
    input: &wire::DeleteAccessLogSettingsRequest,
) -> Result<(), Error> {
    let api = draft.api(&input.api_id)?;
    let stage = Stage::clone(&*draft.stage(&api.id, &input.stage_name)?);
    if stage.access_log.is_none() {
        return Err(not_found("AccessLogSettings", "The stage has no access log settings"));
    }
    draft.put(&Stage { access_log: None, updated: draft.at, ..stage })
}

pub(super) fn delete_route_settings(
    draft: &mut Draft<'_>,
    input: &wire::DeleteRouteSettingsRequest,
) -> Result<(), Error> {
    let api = draft.api(&input.api_id)?;
    let mut stage = Stage::clone(&*draft.stage(&api.id, &input.stage_name)?);
    if stage.route_settings.remove(&input.route_key).is_none() {
        let message = format!("Unable to find RouteSettings by key {} within the provided stage", input.route_key);
        return Err(not_found("RouteSettings", message));
    }
    draft.put(&Stage { updated: draft.at, ..stage })
}

/// Has every server forget what authorizers have said for this stage.
pub(super) fn reset_authorizers(
    draft: &mut Draft<'_>,
    input: &wire::ResetAuthorizersCacheRequest,
) -> Result<(), Error> {
    let api = draft.api(&input.api_id)?;
    let stage = Stage::clone(&*draft.stage(&api.id, &input.stage_name)?);
    draft.put(&Stage { authorizers_flushed: stage.authorizers_flushed.wrapping_add(1), ..stage })
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetStageRequest) -> Result<wire::Stage, Error> {
    let api = draft.api(&input.api_id)?;
    Ok(show(&*draft.stage(&api.id, &input.stage_name)?))
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetStagesRequest) -> Result<wire::GetStagesResponse, Error> {
    let api = draft.api(&input.api_id)?;
    let (items, next_token) = page::page(
        State::of(&draft.state.stages, &api.id),
        |stage| stage.name.clone(),
        |stage| show(stage),
        input.max_results.as_deref(),
        input.next_token.as_deref(),
    )?;
    Ok(wire::GetStagesResponse { items, next_token })
}

/// What create and update have in common.
struct Patch {
    description: Option<String>,
    access_log: Option<wire::AccessLogSettings>,
    auto_deploy: Option<bool>,
    client_certificate_id: Option<String>,
    default_route_settings: Option<wire::RouteSettings>,
    route_settings: Option<BTreeMap<String, wire::RouteSettings>>,
    deployment_id: Option<String>,
    variables: Option<BTreeMap<String, String>>,
}

fn put(draft: &mut Draft<'_>, mut stage: Stage, patch: Patch) -> Result<wire::Stage, Error> {
    let api = draft.api(&stage.api_id)?;
    let why = if api.web_socket.is_some() { NOT_HERE } else { NOT_FOR_HTTP };
    refuse(patch.client_certificate_id.is_some(), "clientCertificateId", why)?;
    if patch.auto_deploy == Some(true) {
        web_socket::refuse_deployment(&api)?;
    }
    if patch.description.is_some() {
        stage.description = optional("description", patch.description, MAX_DESCRIPTION_CHARS)?;
    }
    if let Some(settings) = patch.access_log {
        stage.access_log = access_log(draft, stage.access_log.take(), settings)?;
    }
    check::merge(&mut stage.variables, patch.variables);
    check_variables(&stage.variables)?;
    if let Some(settings) = patch.default_route_settings {
        merge_settings(&mut stage.default_route_settings, &settings)?;
    }
    for (key, settings) in patch.route_settings.unwrap_or_default() {
        let mut of_web_socket = State::of(&draft.state.web_socket_routes, &stage.api_id);
        let known = State::of(&draft.state.routes, &stage.api_id).any(|route| route.route_key == key)
            || of_web_socket.any(|route| route.route_key == key);
        if !known {
            let message = format!("Unable to find Route by key {key} within the provided RouteSettings");
            return Err(not_found("Route", message));
        }
        merge_settings(stage.route_settings.entry(key).or_default(), &settings)?;
    }
    stage.auto_deploy = patch.auto_deploy.unwrap_or(stage.auto_deploy);
    draft.put(&stage)?;
    if let Some(id) = patch.deployment_id {
        refuse(stage.auto_deploy, "Deployment ID", "cannot be set on stage with AutoDeploy enabled")?;
        let wanted = deployment::find(draft, &stage.api_id, &id)?.clone();
        deployment::point(draft, &stage, &wanted)?;
        deployment::drop_unused(draft, &stage.api_id)?;
    }
    deployment::auto_deploy(draft, &stage.api_id)?;
    Ok(show(&*draft.stage(&stage.api_id, &stage.name)?))
}

/// Merges log settings. Both empty switch the log off.
pub(crate) fn access_log(
    draft: &Draft<'_>,
    now: Option<AccessLog>,
    patch: wire::AccessLogSettings,
) -> Result<Option<AccessLog>, Error> {
    let (arn, format) = now.map_or((None, None), |now| (Some(now.destination_arn), Some(now.format)));
    let arn = patch.destination_arn.or(arn).filter(|arn| !arn.is_empty());
    let format = patch.format.or(format).filter(|format| !format.is_empty());
    match (arn, format) {
        (None, None) => Ok(None),
        (Some(arn), Some(format)) => {
            let destination_arn = log_group_arn(draft, &arn)?;
            let template = Template::parse(&format).map_err(|error| Error::bad_request(error.to_string()))?;
            if !template.contains(&Variable::RequestId) {
                return Err(Error::bad_request("The access log format must contain $context.requestId"));
            }
            Ok(Some(AccessLog { destination_arn, format }))
        }
        _ => Err(Error::bad_request("Access logging needs both destinationArn and format")),
    }
}

/// `arn:aws:logs:{region}:{account}:log-group:{name}`, with or without `:*` at its end.
fn log_group_arn(draft: &Draft<'_>, arn: &str) -> Result<String, Error> {
    let prefix = format!("arn:aws:logs:{}:{}:log-group:", draft.region, draft.config.account);
    let name = arn.strip_prefix(&prefix).map(|name| name.strip_suffix(":*").unwrap_or(name));
    let plain = |name: &&str| {
        (1..=512).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-/.#".contains(&b))
    };
    match name.filter(plain) {
        Some(name) => Ok(format!("{prefix}{name}")),
        None => Err(Error::bad_request(format!(
            "Invalid ARN specified in the request: {arn}. Expected the ARN of a log group of this region and account: {prefix}NAME"
        ))),
    }
}

fn merge_settings(settings: &mut RouteSettings, patch: &wire::RouteSettings) -> Result<(), Error> {
    let execution_log = patch.data_trace_enabled == Some(true)
        || patch.logging_level.is_some_and(|level| level != wire::LoggingLevel::Off);
    refuse(execution_log, "Execution logs", "are not supported on protocolType HTTP")?;
    if let Some(burst) = patch.throttling_burst_limit {
        let burst =
            u32::try_from(burst).map_err(|_| Error::bad_request("throttlingBurstLimit must not be negative"))?;
        settings.throttling_burst_limit = Some(burst);
    }
    if let Some(rate) = patch.throttling_rate_limit {
        if !(rate.is_finite() && rate >= 0.0) {
            return Err(Error::bad_request("throttlingRateLimit must not be negative"));
        }
        settings.throttling_rate_limit = Some(rate);
    }
    settings.detailed_metrics_enabled = patch.detailed_metrics_enabled.or(settings.detailed_metrics_enabled);
    Ok(())
}

fn check_name(name: &str) -> Result<(), Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name == "$default" || (1..=MAX_NAME_CHARS).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::bad_request("Stage name only allows a-zA-Z0-9_- or $default"))
}

pub(crate) fn check_variables(variables: &BTreeMap<String, String>) -> Result<(), Error> {
    if variables.len() > MAX_VARIABLES {
        return Err(Error::bad_request(format!("A stage has at most {MAX_VARIABLES} variables")));
    }
    for (name, value) in variables {
        if name.is_empty() || name.len() > 64 || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Error::bad_request(format!("Invalid stage variable name: {name}")));
        }
        let plain = value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/?#&=,".contains(&b));
        if !plain || value.len() > MAX_VARIABLE_CHARS {
            return Err(Error::bad_request(format!("Invalid stage variable value for {name}")));
        }
    }
    Ok(())
}

fn show(stage: &Stage) -> wire::Stage {
    let settings = stage.route_settings.iter().map(|(key, settings)| (key.clone(), show_settings(settings)));
    wire::Stage {
        access_log_settings: stage.access_log.as_ref().map(|log| wire::AccessLogSettings {
            destination_arn: Some(log.destination_arn.clone()),
            format: Some(log.format.clone()),
        }),
        api_gateway_managed: stage.api_gateway_managed.then_some(true),
        auto_deploy: Some(stage.auto_deploy),
        client_certificate_id: None,
        created_date: Some(Timestamp(stage.created)),
        default_route_settings: Some(show_settings(&stage.default_route_settings)),
        deployment_id: stage.deployment_id.clone(),
        description: stage.description.clone(),
        last_deployment_status_message: stage.last_deployment_status_message.clone(),
        last_updated_date: Some(Timestamp(stage.updated)),
        route_settings: Some(settings.collect()),
        stage_name: Some(stage.name.clone()),
        stage_variables: Some(stage.variables.clone()),
        tags: Some(stage.tags.clone()),
    }
}

fn show_settings(settings: &RouteSettings) -> wire::RouteSettings {
    wire::RouteSettings {
        data_trace_enabled: None,
        detailed_metrics_enabled: Some(settings.detailed_metrics_enabled.unwrap_or(false)),
        logging_level: None,
        throttling_burst_limit: settings.throttling_burst_limit.and_then(|burst| i32::try_from(burst).ok()),
        throttling_rate_limit: settings.throttling_rate_limit,
    }
}
