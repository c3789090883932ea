//! Stages of REST APIs.

use std::collections::BTreeMap;

use aws::apigateway as wire;
use aws::{Error, Timestamp};
use model::State;
use model::resource::{Deployment, LogLevel, RestApi, RouteSettings, Stage};

use super::patch::Patch;
use super::{Draft, client_certificate, deployment, documentation, rest_api, usage_plan};
use crate::apigatewayv2::check::{NOT_HERE, optional, other_tags, refuse};
use crate::apigatewayv2::stage::{access_log, check_variables};

const MAX_STAGES: usize = 10;
const MAX_NAME_CHARS: usize = 128;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const PATHS: &str = "/clientCertificateId, /deploymentId, /description, /documentationVersion, /variables/{variable_name}, /accessLogSettings, \
                     /accessLogSettings/destinationArn, /accessLogSettings/format, /tracingEnabled, \
                     /{resourcePath}/{httpMethod}/logging/dataTrace, /{resourcePath}/{httpMethod}/logging/loglevel, \
                     /{resourcePath}/{httpMethod}/metrics/enabled, \
                     /{resourcePath}/{httpMethod}/throttling/burstLimit, /{resourcePath}/{httpMethod}/throttling/rateLimit";

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateStageRequest) -> Result<wire::Stage, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    refuse_cache(input.cache_cluster_enabled, input.cache_cluster_size.is_some())?;
    refuse(input.canary_settings.is_some(), "canarySettings", NOT_HERE)?;
    refuse(input.tracing_enabled == Some(true), "tracingEnabled", NOT_HERE)?;
    let deployment = deployment::find(draft, &api, &input.deployment_id)?.clone();
    let tags = input.tags.clone().unwrap_or_default();
    other_tags(&tags)?;
    let mut stage = Stage { tags, ..empty(draft, &api, &input.stage_name)? };
    stage.deployment_id = Some(deployment.id);
    stage.description = optional("description", input.description.clone(), MAX_DESCRIPTION_CHARS)?;
    stage.variables = input.variables.clone().unwrap_or_default();
    if let Some(version) = input.documentation_version.as_ref().filter(|version| !version.is_empty()) {
        stage.documentation_version = Some(documentation::find_version(draft, &api, version)?.version.clone());
    }
    put(draft, &stage)
}

/// Has every server forget what authorizers have said for this stage.
pub(super) fn flush_authorizers(
    draft: &mut Draft<'_>,
    input: &wire::FlushStageAuthorizersCacheRequest,
) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let stage = find(draft, &api, &input.stage_name)?.clone();
    draft.put(&Stage { authorizers_flushed: stage.authorizers_flushed.wrapping_add(1), ..stage })
}

/// There is no cache of answers, so that there is nothing to forget.
pub(super) fn flush(draft: &Draft<'_>, input: &wire::FlushStageCacheRequest) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    find(draft, &api, &input.stage_name).map(drop)
}

/// Points a stage at a deployment; makes it if there is none.
pub(super) fn deploy(
    draft: &mut Draft<'_>,
    api: &RestApi,
    name: &str,
    deployment: &Deployment,
    input: &wire::CreateDeploymentRequest,
) -> Result<(), Error> {
    let mut stage = match State::one(&draft.state.stages, &api.id, name) {
        Some(stage) => Stage::clone(stage),
        None => empty(draft, api, name)?,
    };
    stage.deployment_id = Some(deployment.id.clone());
    stage.updated = draft.at;
    if input.stage_description.is_some() {
        stage.description = optional("stageDescription", input.stage_description.clone(), MAX_DESCRIPTION_CHARS)?;
    }
    if let Some(variables) = &input.variables {
        stage.variables = variables.clone();
    }
    put(draft, &stage).map(drop)
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateStageRequest) -> Result<wire::Stage, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let mut stage = Stage { updated: draft.at, ..find(draft, &api, &input.stage_name)?.clone() };
    // Both members may come as operations of one update: they are looked at together.
    let mut log = aws::apigatewayv2::AccessLogSettings::default();
    let mut changes_log = false;
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["deploymentId"]) => {
                stage.deployment_id = Some(deployment::find(draft, &api, &patch.value)?.id.clone());
            }
            (wire::Op::Replace | wire::Op::Add, ["clientCertificateId"]) if !patch.value.is_empty() => {
                stage.client_certificate_id = Some(client_certificate::find(draft, &patch.value)?.id.clone());
            }
            (_, ["clientCertificateId"]) => stage.client_certificate_id = None,
            (wire::Op::Replace, ["description"]) => {
                stage.description = optional("description", Some(patch.value), MAX_DESCRIPTION_CHARS)?;
            }
            (wire::Op::Replace | wire::Op::Add, ["variables", name]) => {
                stage.variables.insert((*name).to_owned(), patch.value.clone());
            }
            (wire::Op::Remove, ["variables", name]) => drop(stage.variables.remove(*name)),
            (wire::Op::Replace | wire::Op::Add, ["documentationVersion"]) if !patch.value.is_empty() => {
                let version = documentation::find_version(draft, &api, &patch.value)?.version.clone();
                stage.documentation_version = Some(version);
            }
            (_, ["documentationVersion"]) => stage.documentation_version = None,
            (wire::Op::Remove, ["accessLogSettings"]) => stage.access_log = None,
            (wire::Op::Replace | wire::Op::Add, ["accessLogSettings", "destinationArn"]) => {
                log.destination_arn = Some(patch.value);
                changes_log = true;
            }
            (wire::Op::Replace | wire::Op::Add, ["accessLogSettings", "format"]) => {
                log.format = Some(patch.value);
                changes_log = true;
            }
            (wire::Op::Replace, [resource, method, "throttling", limit @ ("rateLimit" | "burstLimit")]) => {
                set_limit(settings_of(&mut stage, resource, method), limit, &patch.value)?;
            }
            (wire::Op::Replace, ["tracingEnabled"]) => refuse(patch.flag()?, "tracingEnabled", NOT_HERE)?,
            (wire::Op::Replace, [resource, method, "logging", "loglevel"]) => {
                settings_of(&mut stage, resource, method).logging_level = Some(patch.parse(log_level)?);
            }
            (wire::Op::Replace, [resource, method, "logging", "dataTrace"]) => {
                settings_of(&mut stage, resource, method).data_trace = patch.flag()?;
            }
            (wire::Op::Replace, [resource, method, "metrics", "enabled"]) => {
                settings_of(&mut stage, resource, method).detailed_metrics_enabled = Some(patch.flag()?);
            }
            (wire::Op::Remove, ["*", "*"]) => stage.default_route_settings = RouteSettings::default(),
            (wire::Op::Remove, [resource, method]) => {
                stage.route_settings.remove(&setting_key(resource, method));
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    if changes_log {
        stage.access_log = access_log(draft, stage.access_log.take(), log)?;
    }
    put(draft, &stage)
}

pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteStageRequest) -> Result<(), Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let stage = find(draft, &api, &input.stage_name)?.clone();
    let mut mappings = draft.state.mappings.values().flat_map(|of_domain| of_domain.values());
    if mappings.any(|mapping| mapping.api_id == api.id && mapping.stage == stage.name) {
        let message =
            "Deleting stage failed. Please remove all base path mappings related to the stage in your domains";
        return Err(Error::bad_request(message));
    }
    let mut rules = draft.state.routing_rules.values().flat_map(|of_domain| of_domain.values());
    if rules.any(|rule| rule.api_id == api.id && rule.stage == stage.name) {
        let message = "Deleting stage failed. Please remove all routing rules related to the stage in your domains";
        return Err(Error::bad_request(message));
    }
    usage_plan::forget(draft, &api.id, Some(&stage.name))?;
    draft.delete(&stage)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetStageRequest) -> Result<wire::Stage, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    Ok(show(find(draft, &api, &input.stage_name)?))
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetStagesRequest) -> Result<wire::Stages, Error> {
    let api = rest_api::find(draft, &input.rest_api_id)?;
    let wanted =
        |stage: &&std::sync::Arc<Stage>| input.deployment_id.is_none() || stage.deployment_id == input.deployment_id;
    let stages = State::of(&draft.state.stages, &api.id).filter(wanted);
    Ok(wire::Stages { item: Some(stages.map(|stage| show(stage)).collect()) })
}

pub(super) fn refuse_cache(enabled: Option<bool>, has_size: bool) -> Result<(), Error> {
    refuse(enabled == Some(true) || has_size, "A cache cluster", NOT_HERE)
}

pub(super) fn find<'d>(draft: &'d Draft<'_>, api: &RestApi, name: &str) -> Result<&'d Stage, Error> {
    let stage = State::one(&draft.state.stages, &api.id, name);
    stage.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid stage identifier specified"))
}

/// A new stage.
fn empty(draft: &Draft<'_>, api: &RestApi, name: &str) -> Result<Stage, Error> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !(1..=MAX_NAME_CHARS).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(Error::bad_request("Stage name only allows a-zA-Z0-9_-"));
    }
    if State::one(&draft.state.stages, &api.id, name).is_some() {
        return Err(Error::conflict("Stage already exists"));
    }
    if State::of(&draft.state.stages, &api.id).count() >= MAX_STAGES {
        return Err(Error::too_many_requests("MaxStages", "Maximum number of Stages for this API has been reached."));
    }
    Ok(Stage {
        api_id: api.id.clone(),
        name: name.to_owned(),
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
        tags: BTreeMap::new(),
    })
}

fn put(draft: &mut Draft<'_>, stage: &Stage) -> Result<wire::Stage, Error> {
    check_variables(&stage.variables)?;
    draft.put(stage)?;
    Ok(show(stage))
}

/// How settings name a method, as [`model::snapshot::setting_key`] does.
fn setting_key(resource: &str, method: &str) -> String {
    model::snapshot::setting_key(resource, method)
}

fn settings_of<'s>(stage: &'s mut Stage, resource: &str, method: &str) -> &'s mut RouteSettings {
    match (resource, method) {
        ("*", "*") => &mut stage.default_route_settings,
        _ => stage.route_settings.entry(setting_key(resource, method)).or_default(),
    }
}

fn log_level(text: &str) -> Option<LogLevel> {
    match text {
        "OFF" => Some(LogLevel::Off),
        "ERROR" => Some(LogLevel::Error),
        "INFO" => Some(LogLevel::Info),
        _ => None,
    }
}

/// -1 takes a limit away.
fn set_limit(settings: &mut RouteSettings, limit: &str, value: &str) -> Result<(), Error> {
    let wrong =
        || Error::bad_request(format!("Invalid value '{value}' for throttling/{limit}: a number, or -1 for none"));
    let number: f64 = value.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(wrong)?;
    let number = Some(number).filter(|number| *number != -1.0);
    if number.is_some_and(|number| number < 0.0) {
        return Err(wrong());
    }
    match limit {
        "rateLimit" => settings.throttling_rate_limit = number,
        _ => {
            let whole = number.map(|_| value.parse::<u32>().map_err(|_| wrong())).transpose()?;
            settings.throttling_burst_limit = whole;
        }
    }
    Ok(())
}

fn show(stage: &Stage) -> wire::Stage {
    let of_stage = Some(&stage.default_route_settings).filter(|settings| **settings != RouteSettings::default());
    let of_stage = of_stage.map(|settings| ("*/*".to_owned(), show_settings(settings)));
    let of_methods = stage.route_settings.iter().map(|(key, settings)| (key.clone(), show_settings(settings)));
    wire::Stage {
        access_log_settings: stage.access_log.as_ref().map(|log| wire::AccessLogSettings {
            destination_arn: Some(log.destination_arn.clone()),
            format: Some(log.format.clone()),
        }),
        cache_cluster_enabled: Some(false),
        client_certificate_id: stage.client_certificate_id.clone(),
        cache_cluster_status: Some(wire::CacheClusterStatus::NotAvailable),
        created_date: Some(Timestamp(stage.created)),
        deployment_id: stage.deployment_id.clone(),
        description: stage.description.clone(),
        documentation_version: stage.documentation_version.clone(),
        last_updated_date: Some(Timestamp(stage.updated)),
        method_settings: Some(of_stage.into_iter().chain(of_methods).collect()),
        stage_name: Some(stage.name.clone()),
        tags: Some(stage.tags.clone()),
        tracing_enabled: Some(false),
        variables: Some(stage.variables.clone()).filter(|variables| !variables.is_empty()),
        ..Default::default()
    }
}

fn show_settings(settings: &RouteSettings) -> wire::MethodSetting {
    wire::MethodSetting {
        caching_enabled: Some(false),
        data_trace_enabled: Some(settings.data_trace),
        logging_level: Some(settings.logging_level.unwrap_or_default().as_str().to_owned()),
        metrics_enabled: Some(settings.detailed_metrics_enabled.unwrap_or(false)),
        throttling_burst_limit: settings.throttling_burst_limit.and_then(|burst| i32::try_from(burst).ok()),
        throttling_rate_limit: settings.throttling_rate_limit,
        ..Default::default()
    }
}
