//! Log groups.

use aws::logs::*;
use aws::{Caller, Error};
use model::resource::LogGroup as Group;
use model::{Change, State};

use super::{add_tags, after_token, group_arn, invalid, own};
use crate::Control;

const MAX_GROUPS_OF_REGION: usize = 10_000;
const MAX_PAGE: usize = 50;
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
    if input.deletion_protection_enabled == Some(true) {
        return Err(invalid("Deletion protection is not served."));
    }
    own::refuse(&input.log_group_name)?;
    let mut group = Group {
        region: caller.region.clone(),
        name: input.log_group_name,
        created: control.now(),
        retention_days: None,
        streams: Default::default(),
        deleted_streams: Default::default(),
        tags: Default::default(),
    };
    add_tags(&mut group, &input.tags.unwrap_or_default())?;
    let rule = |state: &State| {
        if State::one(&state.log_groups, &group.region, &group.name).is_some() {
            return Err(Error::client("ResourceAlreadyExistsException", "The specified log group already exists"));
        }
        if State::of(&state.log_groups, &group.region).count() >= MAX_GROUPS_OF_REGION {
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
                let arn = group_arn(caller, group);
                identifiers.iter().any(|identifier| *identifier == group.name || *identifier == arn)
            })
    };
    let mut groups: Vec<&Group> =
        State::of(&state.log_groups, &caller.region).map(AsRef::as_ref).filter(|group| wanted(group)).collect();
    groups.retain(|group| own::group(&group.name).is_none());
    groups.extend(own::groups().iter().filter(|group| wanted(group)));
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    after_token(&mut groups, input.next_token.as_deref(), |group| &group.name)?;
    let limit = input.limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let more = groups.len() > limit;
    groups.truncate(limit);
    Ok(DescribeLogGroupsResponse {
        next_token: groups.last().filter(|_| more).map(|last| last.name.clone()),
        log_groups: Some(groups.into_iter().map(|group| shown(caller, group)).collect()),
    })
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
    let arn = group_arn(caller, group);
    LogGroup {
        log_group_name: Some(group.name.clone()),
        creation_time: Some(group.created),
        retention_in_days: group.retention_days.and_then(|days| i32::try_from(days).ok()),
        metric_filter_count: Some(0),
        arn: Some(format!("{arn}:*")),
        log_group_arn: Some(arn),
        log_group_class: Some(LogGroupClass::Standard),
        // Records lie in segments that groups share; AWS's number is of yesterday and 0 for a new group.
        stored_bytes: Some(0),
        ..LogGroup::default()
    }
}
