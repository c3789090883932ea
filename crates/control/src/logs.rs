//! CloudWatch Logs: log groups are views on the journal's records, from when a group was made and as far back as its
//! retention allows. Two are there without being made, of what is in nobody's group: [`own`].

mod events;
mod groups;
mod own;
mod streams;

use std::collections::BTreeMap;

use aws::logs::*;
use aws::{Caller, Error};
use model::resource::LogGroup as Group;
use model::{Change, State, UnixMillis};

use crate::Control;

const DAY_MS: UnixMillis = 86_400_000;
const MAX_TAGS: usize = 50;

impl CloudWatchLogs for Control {
    async fn create_log_group(&self, caller: &Caller, input: CreateLogGroupRequest) -> Result<(), Error> {
        groups::create(self, caller, input).await
    }

    async fn describe_log_groups(
        &self,
        caller: &Caller,
        input: DescribeLogGroupsRequest,
    ) -> Result<DescribeLogGroupsResponse, Error> {
        groups::describe(&self.settings().state(), caller, input)
    }

    async fn delete_log_group(&self, caller: &Caller, input: DeleteLogGroupRequest) -> Result<(), Error> {
        let rule = |state: &State| {
            let group = group(state, caller, &input.log_group_name)?;
            Ok((vec![Change::delete(group)], ()))
        };
        self.settings().change(caller, rule).await
    }

    async fn put_retention_policy(&self, caller: &Caller, input: PutRetentionPolicyRequest) -> Result<(), Error> {
        let days = groups::retention(input.retention_in_days)?;
        self.change_group(caller, &input.log_group_name, |group| {
            group.retention_days = Some(days);
            Ok(())
        })
        .await
    }

    async fn delete_retention_policy(&self, caller: &Caller, input: DeleteRetentionPolicyRequest) -> Result<(), Error> {
        self.change_group(caller, &input.log_group_name, |group| {
            group.retention_days = None;
            Ok(())
        })
        .await
    }

    async fn create_log_stream(&self, caller: &Caller, input: CreateLogStreamRequest) -> Result<(), Error> {
        streams::create(self, caller, input).await
    }

    async fn describe_log_streams(
        &self,
        caller: &Caller,
        input: DescribeLogStreamsRequest,
    ) -> Result<DescribeLogStreamsResponse, Error> {
        streams::describe(self, caller, input).await
    }

    async fn delete_log_stream(&self, caller: &Caller, input: DeleteLogStreamRequest) -> Result<(), Error> {
        streams::delete(self, caller, input).await
    }

    async fn put_log_events(&self, caller: &Caller, input: PutLogEventsRequest) -> Result<PutLogEventsResponse, Error> {
        events::put(self, caller, input).await
    }

    async fn get_log_events(&self, caller: &Caller, input: GetLogEventsRequest) -> Result<GetLogEventsResponse, Error> {
        events::get(self, caller, input).await
    }

    async fn filter_log_events(
        &self,
        caller: &Caller,
        input: FilterLogEventsRequest,
    ) -> Result<FilterLogEventsResponse, Error> {
        events::filter(self, caller, input).await
    }

    async fn tag_resource(&self, caller: &Caller, input: TagResourceRequest) -> Result<(), Error> {
        let name = name_of_arn(caller, &input.resource_arn).ok_or_else(no_such_resource)?;
        self.change_group(caller, name, |group| add_tags(group, &input.tags)).await
    }

    async fn untag_resource(&self, caller: &Caller, input: UntagResourceRequest) -> Result<(), Error> {
        let name = name_of_arn(caller, &input.resource_arn).ok_or_else(no_such_resource)?;
        self.change_group(caller, name, |group| remove_tags(group, &input.tag_keys)).await
    }

    async fn list_tags_for_resource(
        &self,
        caller: &Caller,
        input: ListTagsForResourceRequest,
    ) -> Result<ListTagsForResourceResponse, Error> {
        let name = name_of_arn(caller, &input.resource_arn).ok_or_else(no_such_resource)?;
        let tags = readable_group(&self.settings().state(), caller, name)?.tags.clone();
        Ok(ListTagsForResourceResponse { tags: Some(tags) })
    }

    async fn tag_log_group(&self, caller: &Caller, input: TagLogGroupRequest) -> Result<(), Error> {
        self.change_group(caller, &input.log_group_name, |group| add_tags(group, &input.tags)).await
    }

    async fn untag_log_group(&self, caller: &Caller, input: UntagLogGroupRequest) -> Result<(), Error> {
        self.change_group(caller, &input.log_group_name, |group| remove_tags(group, &input.tags)).await
    }

    async fn list_tags_log_group(
        &self,
        caller: &Caller,
        input: ListTagsLogGroupRequest,
    ) -> Result<ListTagsLogGroupResponse, Error> {
        let tags = readable_group(&self.settings().state(), caller, &input.log_group_name)?.tags.clone();
        Ok(ListTagsLogGroupResponse { tags: Some(tags) })
    }
}

impl Control {
    async fn change_group(
        &self,
        caller: &Caller,
        name: &str,
        change: impl Fn(&mut Group) -> Result<(), Error> + Send + Sync,
    ) -> Result<(), Error> {
        let rule = |state: &State| {
            let mut group = group(state, caller, name)?.clone();
            change(&mut group)?;
            Ok((vec![Change::put(&group)], ()))
        };
        self.settings().change(caller, rule).await
    }
}

/// A group that can be changed.
fn group<'s>(state: &'s State, caller: &Caller, name: &str) -> Result<&'s Group, Error> {
    own::refuse(name)?;
    readable_group(state, caller, name)
}

fn readable_group<'s>(state: &'s State, caller: &Caller, name: &str) -> Result<&'s Group, Error> {
    if let Some(own) = own::group(name) {
        return Ok(own);
    }
    let group = State::one(&state.log_groups, &caller.region, name);
    group.map(AsRef::as_ref).ok_or_else(|| Error::resource_not_found("The specified log group does not exist."))
}

/// The group that `logGroupName` or `logGroupIdentifier` (a name or an ARN) names.
fn named_group<'s>(
    state: &'s State,
    caller: &Caller,
    name: Option<&str>,
    identifier: Option<&str>,
) -> Result<&'s Group, Error> {
    match (name, identifier) {
        (Some(name), None) => readable_group(state, caller, name),
        (None, Some(arn)) if arn.starts_with("arn:") => {
            let name = name_of_arn(caller, arn);
            name.map_or_else(|| Err(no_such_resource()), |name| readable_group(state, caller, name))
        }
        (None, Some(name)) => readable_group(state, caller, name),
        (Some(_), Some(_)) => Err(invalid("LogGroup name and LogGroup ARN are mutually exclusive parameters.")),
        (None, None) => Err(invalid("Either logGroupName or logGroupIdentifier must be specified.")),
    }
}

fn group_arn(caller: &Caller, group: &Group) -> String {
    format!("arn:aws:logs:{}:{}:log-group:{}", caller.region, caller.account, group.name)
}

/// The name in a group's ARN, with or without `:*`; `None` where it is of another account or region.
fn name_of_arn<'a>(caller: &Caller, arn: &'a str) -> Option<&'a str> {
    let own = format!("arn:aws:logs:{}:{}:log-group:", caller.region, caller.account);
    let name = arn.strip_prefix(own.as_str())?;
    Some(name.strip_suffix(":*").unwrap_or(name))
}

/// Events before this are not shown.
fn not_before(group: &Group, now: UnixMillis) -> UnixMillis {
    let kept = group.retention_days.map(|days| now.saturating_sub(UnixMillis::from(days) * DAY_MS));
    kept.map_or(group.created, |kept| kept.max(group.created))
}

fn add_tags(group: &mut Group, tags: &BTreeMap<String, String>) -> Result<(), Error> {
    if let Some(key) = tags.keys().find(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(invalid(format!("The tag key {key} is reserved: aws: is for AWS's own tags.")));
    }
    if let Some(key) = tags.keys().find(|key| key.starts_with("countersign:")) {
        return Err(invalid(format!("Unknown tag {key}: a log group has no tags that start with countersign:.")));
    }
    group.tags.extend(tags.clone());
    if group.tags.len() > MAX_TAGS {
        return Err(Error::client("TooManyTagsException", format!("A resource has at most {MAX_TAGS} tags.")));
    }
    Ok(())
}

fn remove_tags(group: &mut Group, keys: &[String]) -> Result<(), Error> {
    group.tags.retain(|key, _| !keys.contains(key));
    Ok(())
}

/// The page after the item that a token names. A token is that item's name.
fn after_token<T>(items: &mut Vec<T>, token: Option<&str>, name: impl Fn(&T) -> &str) -> Result<(), Error> {
    if let Some(token) = token {
        let last = items.iter().position(|item| name(item) == token).ok_or_else(bad_token)?;
        items.drain(..=last);
    }
    Ok(())
}

fn bad_token() -> Error {
    invalid("The specified nextToken is invalid.")
}

fn no_such_resource() -> Error {
    Error::resource_not_found("The specified resource does not exist.")
}

fn invalid(message: impl Into<String>) -> Error {
    Error::client("InvalidParameterException", message)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Error::internal("The records could not be read.")))
}
