//! CloudWatch Logs: log groups are views on the journal's records, from when a group was made and as far back as its
//! retention allows. Some are there without being made: two of what is in nobody's group ([`own`]), and one of each stage of a REST
//! API that logs ([`execution`]).

mod events;
mod execution;
mod groups;
mod insights;
mod own;
mod record;
mod stored;
mod streams;
mod view;

use std::borrow::Cow;
use std::collections::BTreeMap;

use aws::logs::*;
use aws::{Caller, Error};
use model::resource::LogGroup as Group;
use model::{Change, State, UnixMillis};

use crate::{Control, page_token};
pub(crate) use insights::Queries;
use view::View;

const DAY_MS: UnixMillis = 86_400_000;
const MAX_TAGS: usize = 50;
/// Of most lists, where no limit is given, and the most that one may be.
const MAX_PAGE: usize = 50;

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
            if State::one(&state.log_groups, &caller.region, &group.name).is_none() {
                return Err(invalid("The log group shows a stage's requests: it is gone when the stage logs nothing."));
            }
            if group.deletion_protection {
                return Err(Error::client(
                    "InvalidOperationException",
                    "The specified log group is protected from deletion: disable its deletion protection first.",
                ));
            }
            Ok((vec![Change::delete(&*group)], ()))
        };
        self.settings().change(caller, rule).await
    }

    async fn put_log_group_deletion_protection(
        &self,
        caller: &Caller,
        input: PutLogGroupDeletionProtectionRequest,
    ) -> Result<(), Error> {
        let name = name_of(caller, &input.log_group_identifier)?;
        self.change_group(caller, name, |group| {
            group.deletion_protection = input.deletion_protection_enabled;
            Ok(())
        })
        .await
    }

    async fn list_log_groups(
        &self,
        caller: &Caller,
        input: ListLogGroupsRequest,
    ) -> Result<ListLogGroupsResponse, Error> {
        groups::list(&self.settings().state(), caller, &input)
    }

    async fn start_query(&self, caller: &Caller, input: StartQueryRequest) -> Result<StartQueryResponse, Error> {
        insights::start(self, caller, input).await
    }

    async fn get_query_results(
        &self,
        caller: &Caller,
        input: GetQueryResultsRequest,
    ) -> Result<GetQueryResultsResponse, Error> {
        insights::results(self, caller, &input)
    }

    async fn stop_query(&self, caller: &Caller, input: StopQueryRequest) -> Result<StopQueryResponse, Error> {
        insights::stop(self, caller, &input)
    }

    async fn describe_queries(
        &self,
        caller: &Caller,
        input: DescribeQueriesRequest,
    ) -> Result<DescribeQueriesResponse, Error> {
        insights::describe(self, caller, &input)
    }

    async fn list_log_groups_for_query(
        &self,
        caller: &Caller,
        input: ListLogGroupsForQueryRequest,
    ) -> Result<ListLogGroupsForQueryResponse, Error> {
        insights::groups(self, caller, &input)
    }

    async fn get_log_record(&self, caller: &Caller, input: GetLogRecordRequest) -> Result<GetLogRecordResponse, Error> {
        record::get(self, caller, input).await
    }

    async fn get_log_group_fields(
        &self,
        caller: &Caller,
        input: GetLogGroupFieldsRequest,
    ) -> Result<GetLogGroupFieldsResponse, Error> {
        record::fields(self, caller, input).await
    }

    async fn put_query_definition(
        &self,
        caller: &Caller,
        input: PutQueryDefinitionRequest,
    ) -> Result<PutQueryDefinitionResponse, Error> {
        stored::put_definition(self, caller, input).await
    }

    async fn delete_query_definition(
        &self,
        caller: &Caller,
        input: DeleteQueryDefinitionRequest,
    ) -> Result<DeleteQueryDefinitionResponse, Error> {
        stored::delete_definition(self, caller, input).await
    }

    async fn describe_query_definitions(
        &self,
        caller: &Caller,
        input: DescribeQueryDefinitionsRequest,
    ) -> Result<DescribeQueryDefinitionsResponse, Error> {
        stored::definitions(&self.settings().state(), caller, &input)
    }

    async fn put_metric_filter(&self, caller: &Caller, input: PutMetricFilterRequest) -> Result<(), Error> {
        let now = self.now();
        self.change_group(caller, &input.log_group_name, |group| stored::put_metric_filter(group, &input, now)).await
    }

    async fn delete_metric_filter(&self, caller: &Caller, input: DeleteMetricFilterRequest) -> Result<(), Error> {
        let name = &input.filter_name;
        self.change_group(caller, &input.log_group_name, |group| stored::delete_metric_filter(group, name)).await
    }

    async fn describe_metric_filters(
        &self,
        caller: &Caller,
        input: DescribeMetricFiltersRequest,
    ) -> Result<DescribeMetricFiltersResponse, Error> {
        let state = self.settings().state();
        let groups = match &input.log_group_name {
            Some(name) => vec![readable_group(&state, caller, name)?],
            None => State::of(&state.log_groups, &caller.region).map(|group| Cow::Borrowed(&**group)).collect(),
        };
        let groups: Vec<&Group> = groups.iter().map(AsRef::as_ref).collect();
        stored::metric_filters(&groups, &input)
    }

    async fn test_metric_filter(
        &self,
        _: &Caller,
        input: TestMetricFilterRequest,
    ) -> Result<TestMetricFilterResponse, Error> {
        stored::test_metric_filter(input)
    }

    async fn put_subscription_filter(&self, caller: &Caller, input: PutSubscriptionFilterRequest) -> Result<(), Error> {
        let now = self.now();
        let put = |group: &mut Group| stored::put_subscription_filter(group, &input, now);
        self.change_group(caller, &input.log_group_name, put).await
    }

    async fn delete_subscription_filter(
        &self,
        caller: &Caller,
        input: DeleteSubscriptionFilterRequest,
    ) -> Result<(), Error> {
        let name = &input.filter_name;
        self.change_group(caller, &input.log_group_name, |group| stored::delete_subscription_filter(group, name)).await
    }

    async fn describe_subscription_filters(
        &self,
        caller: &Caller,
        input: DescribeSubscriptionFiltersRequest,
    ) -> Result<DescribeSubscriptionFiltersResponse, Error> {
        let state = self.settings().state();
        stored::subscription_filters(&*readable_group(&state, caller, &input.log_group_name)?, &input)
    }

    async fn put_resource_policy(
        &self,
        caller: &Caller,
        input: PutResourcePolicyRequest,
    ) -> Result<PutResourcePolicyResponse, Error> {
        stored::put_policy(self, caller, input).await
    }

    async fn delete_resource_policy(&self, caller: &Caller, input: DeleteResourcePolicyRequest) -> Result<(), Error> {
        stored::delete_policy(self, caller, input).await
    }

    async fn describe_resource_policies(
        &self,
        caller: &Caller,
        input: DescribeResourcePoliciesRequest,
    ) -> Result<DescribeResourcePoliciesResponse, Error> {
        stored::policies(&self.settings().state(), caller, &input)
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
            let mut group = group(state, caller, name)?.into_owned();
            change(&mut group)?;
            Ok((vec![Change::put(&group)], ()))
        };
        self.settings().change(caller, rule).await
    }
}

/// A group that can be changed: a stage's becomes one that was made.
fn group<'s>(state: &'s State, caller: &Caller, name: &str) -> Result<Cow<'s, Group>, Error> {
    own::refuse(name)?;
    readable_group(state, caller, name)
}

fn readable_group<'s>(state: &'s State, caller: &Caller, name: &str) -> Result<Cow<'s, Group>, Error> {
    if let Some(own) = own::group(name) {
        return Ok(Cow::Borrowed(own));
    }
    if let Some(group) = State::one(&state.log_groups, &caller.region, name) {
        return Ok(Cow::Borrowed(&**group));
    }
    let of_stage = execution::Execution::named(state, &caller.region, name);
    let group = of_stage.map(|stage| Cow::Owned(Group::new(caller.region.as_str(), name, stage.created)));
    group.ok_or_else(|| Error::resource_not_found("The specified log group does not exist."))
}

/// What is shown of the group that `logGroupName` or `logGroupIdentifier` (a name or an ARN) names.
fn named_view(
    state: &State,
    caller: &Caller,
    name: Option<&str>,
    identifier: Option<&str>,
    now: UnixMillis,
) -> Result<View, Error> {
    match (name, identifier) {
        (Some(name), None) => viewed(state, caller, name, now),
        (None, Some(identifier)) => viewed(state, caller, name_of(caller, identifier)?, now),
        (Some(_), Some(_)) => Err(invalid("LogGroup name and LogGroup ARN are mutually exclusive parameters.")),
        (None, None) => Err(invalid("Either logGroupName or logGroupIdentifier must be specified.")),
    }
}

/// What is shown of a group.
fn viewed(state: &State, caller: &Caller, name: &str, now: UnixMillis) -> Result<View, Error> {
    let group = readable_group(state, caller, name)?;
    Ok(View::of(&group, execution::Execution::named(state, &caller.region, name), now))
}

/// The name that an identifier (a name or an ARN) is of.
fn name_of<'i>(caller: &Caller, identifier: &'i str) -> Result<&'i str, Error> {
    if identifier.starts_with("arn:") {
        return name_of_arn(caller, identifier).ok_or_else(no_such_resource);
    }
    Ok(identifier)
}

fn group_arn(caller: &Caller, name: &str) -> String {
    format!("arn:aws:logs:{}:{}:log-group:{name}", caller.region, caller.account)
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

/// A page of items in the order of their names, and the token of the next.
fn page_of<T>(
    items: Vec<T>,
    name: impl Fn(&T) -> String,
    token: Option<&str>,
    limit: Option<i32>,
) -> Result<(Vec<T>, Option<String>), Error> {
    Ok(page_token::cut(items.into_iter(), name, after(token)?.as_deref(), page_size(limit)))
}

/// What a token says that the page comes after.
fn after(token: Option<&str>) -> Result<Option<String>, Error> {
    token.map(|token| page_token::read(token).ok_or_else(bad_token)).transpose()
}

fn bad_token() -> Error {
    invalid("The specified nextToken is invalid.")
}

fn page_size(limit: Option<i32>) -> usize {
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(MAX_PAGE).max(1)
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
