//! Log groups.

use std::borrow::Cow;

use aws::logs::*;
use aws::{Caller, Error};
use model::resource::LogGroup as Group;
use model::{Change, State};

use super::execution::Execution;
use super::{add_tags, group_arn, invalid, own, page_of};
use crate::Control;

const MAX_GROUPS_OF_REGION: usize = 1_000_000;
/// Days that a retention may have (CloudWatch Logs, `PutRetentionPolicy`).
const RETENTIONS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

pub(super) async fn create(control: &Control, caller: &Caller, input: CreateLogGroupRequest) -> Result<(), Error> {
    if input.kms_key_id.is_some() {
        return Err(invalid("There are no KMS keys here; records are encrypted by the disk they are on."));
    }
    if input.log_group_class.is_some_and(|class| class != LogGroupClass::Standard) {
        return Err(invalid("Only the log group class STANDARD is served."));
    }
    own::refuse(&input.log_group_name)?;
    let mut group = Group::new(caller.region.as_str(), input.log_group_name, control.now());
    group.deletion_protection = input.deletion_protection_enabled == Some(true);
    add_tags(&mut group, &input.tags.unwrap_or_default())?;
    let rule = |state: &State| {
        if State::one(&state.log_groups, &group.region, &group.name).is_some() {
            return Err(Error::client("ResourceAlreadyExistsException", "The specified log group already exists"));
        }
        if state.log_groups.get(&group.region).is_some_and(|groups| groups.len() >= MAX_GROUPS_OF_REGION) {
            return Err(Error::client("LimitExceededException", "Resource limit exceeded."));
        }
        Ok((vec![Change::put(&group)], ()))
    };
    control.settings().change(caller, rule).await
}

pub(super) fn describe(
    state: &State,
    caller: &Caller,
    input: DescribeLogGroupsRequest,
) -> Result<DescribeLogGroupsResponse, Error> {
    let (prefix, pattern) = (input.log_group_name_prefix, input.log_group_name_pattern);
    if prefix.is_some() && pattern.is_some() {
        return Err(invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."));
    }
    let pattern = pattern.map(|pattern| pattern.to_lowercase());
    let wanted = |group: &Group| {
        prefix.as_ref().is_none_or(|prefix| group.name.starts_with(prefix.as_str()))
            && pattern.as_ref().is_none_or(|pattern| group.name.to_lowercase().contains(pattern.as_str()))
            && input.log_group_class.is_none_or(|class| class == LogGroupClass::Standard)
            && input.log_group_identifiers.as_ref().is_none_or(|identifiers| {
                let arn = group_arn(caller, &group.name);
                identifiers.iter().any(|identifier| *identifier == group.name || *identifier == arn)
            })
    };
    let mut groups = all(state, caller);
    groups.retain(|group| wanted(group));
    let (groups, next_token) = page_of(groups, |group| group.name.clone(), input.next_token.as_deref(), input.limit)?;
    let log_groups = Some(groups.iter().map(|group| shown(caller, group)).collect());
    Ok(DescribeLogGroupsResponse { next_token, log_groups })
}

/// Names only, by a pattern of words with `|` between them, each from the beginning on where `^` is before it.
pub(super) fn list(
    state: &State,
    caller: &Caller,
    input: &ListLogGroupsRequest,
) -> Result<ListLogGroupsResponse, Error> {
    if input.data_sources.is_some() || input.field_index_names.is_some() {
        return Err(invalid("dataSources and fieldIndexNames are not served."));
    }
    let is_named = |group: &Group| match &input.log_group_name_pattern {
        None => true,
        Some(pattern) => pattern.split('|').any(|word| match word.strip_prefix('^') {
            Some(start) => group.name.starts_with(start),
            None => group.name.contains(word),
        }),
    };
    let is_tagged = |group: &Group| {
        input.log_group_tags.iter().flatten().all(|filter| {
            let value = group.tags.get(&filter.key);
            value.is_some_and(|value| filter.values.as_ref().is_none_or(|values| values.contains(value)))
        })
    };
    let is_ours = input.account_identifiers.as_ref().is_none_or(|ids| ids.is_empty() || ids.contains(&caller.account));
    let is_of_class = input.log_group_class.is_none_or(|class| class == LogGroupClass::Standard);
    let mut groups = all(state, caller);
    groups.retain(|group| is_ours && is_of_class && is_named(group) && is_tagged(group));
    let (groups, next_token) = page_of(groups, |group| group.name.clone(), input.next_token.as_deref(), input.limit)?;
    let summary = |group: &Cow<'_, Group>| LogGroupSummary {
        log_group_name: Some(group.name.clone()),
        log_group_arn: Some(group_arn(caller, &group.name)),
        log_group_class: Some(LogGroupClass::Standard),
    };
    Ok(ListLogGroupsResponse { next_token, log_groups: Some(groups.iter().map(summary).collect()) })
}

/// Those that were made, our own and those of stages that log, by name.
fn all<'s>(state: &'s State, caller: &'s Caller) -> Vec<Cow<'s, Group>> {
    let made = State::of(&state.log_groups, &caller.region).map(AsRef::as_ref);
    let mut groups: Vec<Cow<'s, Group>> =
        made.filter(|group| own::group(&group.name).is_none()).chain(own::groups()).map(Cow::Borrowed).collect();
    for (name, stage) in Execution::of_region(state, &caller.region) {
        if State::one(&state.log_groups, &caller.region, &name).is_none() {
            groups.push(Cow::Owned(Group::new(caller.region.as_str(), name, stage.created)));
        }
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    groups
}

/// A retention that AWS has.
pub(super) fn retention(days: i32) -> Result<u32, Error> {
    let known = u32::try_from(days).ok().filter(|days| RETENTIONS.contains(days));
    known.ok_or_else(|| {
        let list: Vec<String> = RETENTIONS.iter().map(u32::to_string).collect();
        invalid(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [{}]",
            list.join(", ")
        ))
    })
}

fn shown(caller: &Caller, group: &Group) -> LogGroup {
    let arn = group_arn(caller, &group.name);
    LogGroup {
        log_group_name: Some(group.name.clone()),
        creation_time: Some(group.created),
        retention_in_days: group.retention_days.and_then(|days| i32::try_from(days).ok()),
        metric_filter_count: i32::try_from(group.metric_filters.len()).ok(),
        deletion_protection_enabled: Some(group.deletion_protection),
        arn: Some(format!("{arn}:*")),
        log_group_arn: Some(arn),
        log_group_class: Some(LogGroupClass::Standard),
        // Records lie in segments that groups share; AWS's number is of yesterday and 0 for a new group.
        stored_bytes: Some(0),
        ..LogGroup::default()
    }
}
