//! Usage plans, and the API keys that are of them.

use std::collections::BTreeMap;

use aws::Error;
use aws::apigateway as wire;
use model::resource::{ApiKey, PlanStage, PlanThrottle, UsagePlan, UsagePlanKey};
use model::usage::Period;
use model::{Keyring, Quota, State};

use super::patch::Patch;
use super::{Draft, api_key, rest_api};
use crate::apigatewayv2::check::{length, optional, other_tags};
use crate::apigatewayv2::page;

const MAX_PLANS: usize = 300;
const MAX_STAGES: usize = 100;
const MAX_METHODS: usize = 300;
const MAX_NAME_CHARS: usize = 255;
const MAX_DESCRIPTION_CHARS: usize = 1024;
const API_KEY: &str = "API_KEY";
const PATHS: &str = "/name, /description, /productCode, /throttle, /throttle/rateLimit, /throttle/burstLimit, /quota, /quota/limit, \
                     /quota/offset, /quota/period, /apiStages, /apiStages/{apiId:stage}/throttle, \
                     /apiStages/{apiId:stage}/throttle/{resourcePath}/{httpMethod}/rateLimit, \
                     /apiStages/{apiId:stage}/throttle/{resourcePath}/{httpMethod}/burstLimit";

pub(super) fn create(draft: &mut Draft<'_>, input: &wire::CreateUsagePlanRequest) -> Result<wire::UsagePlan, Error> {
    if draft.state.usage_plans.values().filter(|plan| plan.region == draft.region).count() >= MAX_PLANS {
        let message = "Maximum number of Usage Plans for this account has been reached.";
        return Err(Error::too_many_requests("MaxUsagePlans", message));
    }
    let tags = input.tags.clone().unwrap_or_default();
    let stages = input.api_stages.as_deref().unwrap_or_default();
    let quota = input.quota.as_ref();
    let plan = UsagePlan {
        id: draft.fresh_id(6, |state: &State, id| state.usage_plans.contains_key(id))?,
        region: draft.region.to_owned(),
        name: input.name.clone(),
        description: input.description.clone(),
        product_code: None,
        stages: stages.iter().map(plan_stage).collect::<Result<_, _>>()?,
        throttle: input.throttle.as_ref().map(plan_throttle).transpose()?,
        quota: quota.map(|quota| checked_quota(quota.limit, quota.offset, quota.period)).transpose()?,
        tags,
    };
    put(draft, plan)
}

pub(super) fn update(draft: &mut Draft<'_>, input: &wire::UpdateUsagePlanRequest) -> Result<wire::UsagePlan, Error> {
    let mut plan = find(draft, &input.usage_plan_id)?.clone();
    // Its members come as operations of their own: they are looked at together.
    let mut quota = plan
        .quota
        .map(|quota| (Some(quota.limit.cast_signed()), Some(i32::from(quota.offset)), Some(wire_period(quota.period))));
    for patch in Patch::read(input.patch_operations.as_deref())? {
        let path: Vec<&str> = patch.segments.iter().map(String::as_str).collect();
        let number = || patch.parse(|text| text.parse::<i32>().ok());
        match (patch.op, &path[..]) {
            (wire::Op::Replace, ["name"]) => plan.name = patch.value,
            (_, ["description"]) => plan.description = Some(patch.value_or_empty()),
            (_, ["productCode"]) => {
                plan.product_code = optional("productCode", Some(patch.value_or_empty()), MAX_NAME_CHARS)?
            }
            (wire::Op::Remove, ["throttle"]) => plan.throttle = None,
            (_, ["throttle", limit @ ("rateLimit" | "burstLimit")]) => {
                set_limit(plan.throttle.get_or_insert_default(), limit, &patch)?;
            }
            (wire::Op::Remove, ["quota"]) => quota = None,
            (wire::Op::Replace | wire::Op::Add, ["quota", "limit"]) => {
                quota.get_or_insert_default().0 = Some(number()?)
            }
            (wire::Op::Replace | wire::Op::Add, ["quota", "offset"]) => {
                quota.get_or_insert_default().1 = Some(number()?)
            }
            (wire::Op::Replace | wire::Op::Add, ["quota", "period"]) => {
                quota.get_or_insert_default().2 = Some(patch.parse(wire::QuotaPeriodType::parse)?);
            }
            (wire::Op::Add, ["apiStages"]) => {
                let (api_id, stage) = api_stage(&patch.value)?;
                plan.stages.push(PlanStage { api_id, stage, throttle: BTreeMap::new() });
            }
            (wire::Op::Remove, ["apiStages"]) => {
                let place = place(&plan, &patch.value)?;
                plan.stages.remove(place);
            }
            (op, ["apiStages", stage, "throttle", method @ ..]) => {
                let place = place(&plan, stage)?;
                set_method_limit(&mut plan.stages[place].throttle, op, method, &patch)?;
            }
            _ => return Err(patch.unknown(PATHS)),
        }
    }
    plan.quota = quota.map(|(limit, offset, period)| checked_quota(limit, offset, period)).transpose()?;
    put(draft, plan)
}

/// With its keys' places in it; the keys stay.
pub(super) fn delete(draft: &mut Draft<'_>, input: &wire::DeleteUsagePlanRequest) -> Result<(), Error> {
    let plan = find(draft, &input.usage_plan_id)?.clone();
    if let Some(at) = plan.stages.first() {
        let message = format!(
            "Usage Plan {} cannot be deleted: it has API stages, such as {}:{}. Remove them first.",
            plan.id, at.api_id, at.stage
        );
        return Err(Error::bad_request(message));
    }
    let keys = draft.state.usage_plan_keys.clone();
    State::of(&keys, &plan.id).try_for_each(|of_plan| draft.delete::<UsagePlanKey>(of_plan))?;
    draft.delete(&plan)
}

pub(super) fn get(draft: &Draft<'_>, input: &wire::GetUsagePlanRequest) -> Result<wire::UsagePlan, Error> {
    find(draft, &input.usage_plan_id).map(show)
}

pub(super) fn list(draft: &Draft<'_>, input: &wire::GetUsagePlansRequest) -> Result<wire::UsagePlans, Error> {
    let has = |plan: &UsagePlan, key: &str| State::one(&draft.state.usage_plan_keys, &plan.id, key).is_some();
    let plans = draft.state.usage_plans.values().filter(|plan| plan.region == draft.region);
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        plans.filter(|plan| input.key_id.as_ref().is_none_or(|key| has(plan, key))),
        |plan| plan.id.clone(),
        |plan| show(plan),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    Ok(wire::UsagePlans { items, position })
}

pub(super) fn create_key(
    draft: &mut Draft<'_>,
    keyring: &Keyring,
    input: &wire::CreateUsagePlanKeyRequest,
) -> Result<wire::UsagePlanKey, Error> {
    if input.key_type != API_KEY {
        return Err(Error::bad_request(format!("Invalid API Key type {}: it must be {API_KEY}", input.key_type)));
    }
    add_key(draft, &input.usage_plan_id, &input.key_id)?;
    show_key(api_key::find(draft, &input.key_id)?, keyring)
}

/// Makes an API key one of a plan.
pub(super) fn add_key(draft: &mut Draft<'_>, plan_id: &str, key_id: &str) -> Result<(), Error> {
    let plan = find(draft, plan_id)?.clone();
    let key = api_key::find(draft, key_id)?;
    if State::one(&draft.state.usage_plan_keys, &plan.id, &key.id).is_some() {
        return Err(Error::conflict(format!("Usage Plan Key {} already exists", key.id)));
    }
    let of_plan = UsagePlanKey { plan_id: plan.id.clone(), key_id: key.id.clone() };
    refuse_ambiguous(draft, &plan, &of_plan.key_id)?;
    draft.put(&of_plan)
}

pub(super) fn delete_key(draft: &mut Draft<'_>, input: &wire::DeleteUsagePlanKeyRequest) -> Result<(), Error> {
    let of_plan = find_key(draft, &input.usage_plan_id, &input.key_id)?.clone();
    draft.delete(&of_plan)
}

pub(super) fn get_key(
    draft: &Draft<'_>,
    keyring: &Keyring,
    input: &wire::GetUsagePlanKeyRequest,
) -> Result<wire::UsagePlanKey, Error> {
    let of_plan = find_key(draft, &input.usage_plan_id, &input.key_id)?;
    show_key(api_key::find(draft, &of_plan.key_id)?, keyring)
}

pub(super) fn list_keys(
    draft: &Draft<'_>,
    keyring: &Keyring,
    input: &wire::GetUsagePlanKeysRequest,
) -> Result<wire::UsagePlanKeys, Error> {
    let plan = find(draft, &input.usage_plan_id)?;
    let keys = State::of(&draft.state.usage_plan_keys, &plan.id);
    let keys = keys.filter_map(|of_plan| api_key::find(draft, &of_plan.key_id).ok());
    let limit = input.limit.map(|limit| limit.to_string());
    let (items, position) = page::page(
        keys.filter(|key| input.name_query.as_ref().is_none_or(|start| key.name.starts_with(start))),
        |key| key.id.clone(),
        |key| show_key(key, keyring),
        limit.as_deref(),
        input.position.as_deref(),
    )?;
    let items = items.map(|items| items.into_iter().collect::<Result<Vec<_>, Error>>()).transpose()?;
    Ok(wire::UsagePlanKeys { items, position })
}

/// A usage plan of the region.
pub(crate) fn find<'d>(draft: &'d Draft<'_>, id: &str) -> Result<&'d UsagePlan, Error> {
    let plan = draft.state.usage_plans.get(id).filter(|plan| plan.region == draft.region);
    plan.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid Usage Plan ID specified"))
}

pub(super) fn find_key<'d>(draft: &'d Draft<'_>, plan_id: &str, key_id: &str) -> Result<&'d UsagePlanKey, Error> {
    let plan = find(draft, plan_id)?;
    let of_plan = State::one(&draft.state.usage_plan_keys, &plan.id, key_id);
    of_plan.map(|found| &**found).ok_or_else(|| Error::not_found("Invalid Usage Plan Key identifier specified"))
}

/// Takes stages that are going to be deleted out of all plans; `stage` is none where the whole API is.
pub(super) fn forget(draft: &mut Draft<'_>, api_id: &str, stage: Option<&str>) -> Result<(), Error> {
    let goes = |at: &PlanStage| at.api_id == api_id && stage.is_none_or(|stage| at.stage == stage);
    let plans = draft.state.usage_plans.clone();
    for plan in plans.values().filter(|plan| plan.stages.iter().any(goes)) {
        let mut plan = UsagePlan::clone(plan);
        plan.stages.retain(|at| !goes(at));
        draft.put(&plan)?;
    }
    Ok(())
}

fn put(draft: &mut Draft<'_>, plan: UsagePlan) -> Result<wire::UsagePlan, Error> {
    length("name", &plan.name, 1, MAX_NAME_CHARS)?;
    let plan = UsagePlan { description: optional("description", plan.description, MAX_DESCRIPTION_CHARS)?, ..plan };
    other_tags(&plan.tags)?;
    if plan.stages.len() > MAX_STAGES || plan.stages.iter().any(|at| at.throttle.len() > MAX_METHODS) {
        let message = format!("A usage plan has at most {MAX_STAGES} API stages with {MAX_METHODS} methods each");
        return Err(Error::bad_request(message));
    }
    for (number, at) in plan.stages.iter().enumerate() {
        let name = format!("{}:{}", at.api_id, at.stage);
        if rest_api::find(draft, &at.api_id).is_err()
            || State::one(&draft.state.stages, &at.api_id, &at.stage).is_none()
        {
            return Err(Error::not_found(format!("API Stage not found: {name}")));
        }
        if plan.stages[..number].iter().any(|other| (&other.api_id, &other.stage) == (&at.api_id, &at.stage)) {
            return Err(Error::conflict(format!("API Stage {name} is already in the Usage Plan")));
        }
    }
    for of_plan in State::of(&draft.state.usage_plan_keys, &plan.id) {
        refuse_ambiguous(draft, &plan, &of_plan.key_id)?;
    }
    draft.put(&plan)?;
    Ok(show(&plan))
}

/// A key leads to one plan at a stage.
fn refuse_ambiguous(draft: &Draft<'_>, plan: &UsagePlan, key_id: &str) -> Result<(), Error> {
    let of_key = |other: &&std::sync::Arc<UsagePlan>| {
        other.id != plan.id && State::one(&draft.state.usage_plan_keys, &other.id, key_id).is_some()
    };
    let others = draft.state.usage_plans.values().filter(of_key);
    let theirs: Vec<&PlanStage> = others.flat_map(|other| &other.stages).collect();
    let both = plan
        .stages
        .iter()
        .find(|at| theirs.iter().any(|other| (&other.api_id, &other.stage) == (&at.api_id, &at.stage)));
    let message = |at: &PlanStage| {
        format!(
            "Usage Plan {} cannot be added because API Key {key_id} cannot reference multiple Usage Plans with the same API \
             stage: {}:{}",
            plan.id, at.api_id, at.stage
        )
    };
    both.map_or(Ok(()), |at| Err(Error::conflict(message(at))))
}

/// `{apiId}:{stage}`
fn api_stage(text: &str) -> Result<(String, String), Error> {
    let parts = text.split_once(':').filter(|(api, stage)| !api.is_empty() && !stage.is_empty());
    let (api, stage) =
        parts.ok_or_else(|| Error::bad_request(format!("Invalid API Stage {text}: apiId:stage is expected")))?;
    Ok((api.to_owned(), stage.to_owned()))
}

fn place(plan: &UsagePlan, text: &str) -> Result<usize, Error> {
    let (api_id, stage) = api_stage(text)?;
    let place = plan.stages.iter().position(|at| (&at.api_id, &at.stage) == (&api_id, &stage));
    place.ok_or_else(|| Error::not_found(format!("API Stage not found: {text}")))
}

fn plan_stage(given: &wire::ApiStage) -> Result<PlanStage, Error> {
    let limits = given.throttle.iter().flatten();
    Ok(PlanStage {
        api_id: given.api_id.clone().unwrap_or_default(),
        stage: given.stage.clone().unwrap_or_default(),
        throttle: limits
            .map(|(key, limits)| Ok((method_key(key)?, plan_throttle(limits)?)))
            .collect::<Result<_, Error>>()?,
    })
}

/// `/pets/{id}/GET`; the root's methods are `//GET`.
fn method_key(text: &str) -> Result<String, Error> {
    let text = text.trim_start_matches('/');
    let (path, method) = text.rsplit_once('/').unwrap_or(("", text));
    match method.is_empty() {
        true => Err(Error::bad_request(format!("Invalid method {text} in the throttle of an API stage"))),
        false => Ok(format!("/{path}/{method}")),
    }
}

/// Removes one or all of a stage's, or sets a limit.
fn set_method_limit(
    limits: &mut BTreeMap<String, PlanThrottle>,
    op: wire::Op,
    method: &[&str],
    patch: &Patch,
) -> Result<(), Error> {
    match (op, method) {
        (wire::Op::Remove, []) => limits.clear(),
        (wire::Op::Remove, [method @ .., last]) if !matches!(*last, "rateLimit" | "burstLimit") => {
            limits.remove(&method_key(&[method, &[*last]].concat().join("/"))?);
        }
        (_, [method @ .., limit @ ("rateLimit" | "burstLimit")]) if !method.is_empty() => {
            set_limit(limits.entry(method_key(&method.join("/"))?).or_default(), limit, patch)?;
        }
        _ => return Err(patch.unknown(PATHS)),
    }
    Ok(())
}

fn set_limit(throttle: &mut PlanThrottle, limit: &str, patch: &Patch) -> Result<(), Error> {
    if patch.op == wire::Op::Remove {
        match limit {
            "rateLimit" => throttle.rate = None,
            _ => throttle.burst = None,
        }
        return Ok(());
    }
    match limit {
        "rateLimit" => throttle.rate = Some(patch.parse(|text| text.parse().ok().filter(|rate| is_rate(*rate)))?),
        _ => {
            throttle.burst =
                Some(patch.parse(|text| text.parse::<i32>().ok().and_then(|burst| u32::try_from(burst).ok()))?)
        }
    }
    Ok(())
}

fn is_rate(rate: f64) -> bool {
    rate.is_finite() && rate >= 0.0
}

fn plan_throttle(given: &wire::ThrottleSettings) -> Result<PlanThrottle, Error> {
    let burst = given.burst_limit.map(u32::try_from).transpose();
    let burst = burst.map_err(|_| Error::bad_request("Usage Plan throttle burst limit must not be negative"))?;
    match given.rate_limit.is_some_and(|rate| !is_rate(rate)) {
        true => Err(Error::bad_request("Usage Plan throttle rate limit must not be negative")),
        false => Ok(PlanThrottle { burst, rate: given.rate_limit }),
    }
}

fn checked_quota(
    limit: Option<i32>,
    offset: Option<i32>,
    period: Option<wire::QuotaPeriodType>,
) -> Result<Quota, Error> {
    let wrong = |what: &str| Error::bad_request(format!("Usage Plan quota {what}"));
    let limit = limit.and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit > 0);
    let limit = limit.ok_or_else(|| wrong("limit must be greater than 0"))?;
    let (period, most, range) = match period.ok_or_else(|| wrong("period must be DAY, WEEK or MONTH"))? {
        wire::QuotaPeriodType::Day => (Period::Day, 0, "zero in the DAY period"),
        wire::QuotaPeriodType::Week => (Period::Week, 6, "between 0 and 6 inclusive in the WEEK period"),
        wire::QuotaPeriodType::Month => (Period::Month, 27, "between 0 and 27 inclusive in the MONTH period"),
    };
    let offset = u8::try_from(offset.unwrap_or(0)).ok().filter(|offset| *offset <= most);
    Ok(Quota { limit, offset: offset.ok_or_else(|| wrong(&format!("offset must be {range}")))?, period })
}

fn wire_period(period: Period) -> wire::QuotaPeriodType {
    match period {
        Period::Day => wire::QuotaPeriodType::Day,
        Period::Week => wire::QuotaPeriodType::Week,
        Period::Month => wire::QuotaPeriodType::Month,
    }
}

fn show(plan: &UsagePlan) -> wire::UsagePlan {
    let stage = |at: &PlanStage| wire::ApiStage {
        api_id: Some(at.api_id.clone()),
        stage: Some(at.stage.clone()),
        throttle: Some(at.throttle.iter().map(|(key, limits)| (key.clone(), show_throttle(limits))).collect())
            .filter(|_| !at.throttle.is_empty()),
    };
    wire::UsagePlan {
        api_stages: Some(plan.stages.iter().map(stage).collect()),
        description: plan.description.clone(),
        id: Some(plan.id.clone()),
        name: Some(plan.name.clone()),
        product_code: plan.product_code.clone(),
        quota: plan.quota.map(|quota| wire::QuotaSettings {
            limit: Some(quota.limit.cast_signed()),
            offset: Some(quota.offset.into()),
            period: Some(wire_period(quota.period)),
        }),
        tags: Some(plan.tags.clone()),
        throttle: plan.throttle.as_ref().map(show_throttle),
    }
}

fn show_throttle(limits: &PlanThrottle) -> wire::ThrottleSettings {
    wire::ThrottleSettings {
        burst_limit: limits.burst.and_then(|burst| i32::try_from(burst).ok()),
        rate_limit: limits.rate,
    }
}

fn show_key(key: &ApiKey, keyring: &Keyring) -> Result<wire::UsagePlanKey, Error> {
    Ok(wire::UsagePlanKey {
        id: Some(key.id.clone()),
        name: Some(key.name.clone()),
        r#type: Some(API_KEY.to_owned()),
        value: Some(api_key::open(key, keyring)?),
    })
}
