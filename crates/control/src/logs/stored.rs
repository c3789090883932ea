//! What is checked and kept, but not acted upon: metric filters, subscription filters and resource policies. Definitions of queries
//! are kept too; they are nothing but names for what is asked.

use aws::logs as wire;
use aws::{Caller, Error};
use journal::filter::Pattern;
use journal::insights::Query;
use model::resource::{
    LogGroup, LogResourcePolicy, MetricFilter, MetricTransformation, QueryDefinition, QueryParameter,
    SubscriptionFilter,
};
use model::{Change, State};

use super::{invalid, page_of};
use crate::{Control, ids};

/// Of a group (CloudWatch Logs quotas).
const MAX_METRIC_FILTERS: usize = 100;
const MAX_SUBSCRIPTION_FILTERS: usize = 2;
/// Of a region.
const MAX_POLICIES: usize = 10;
const MAX_POLICY_BYTES: usize = 5_120;
const MAX_DEFINITIONS: i32 = 1_000;
/// Services that take events.
const DESTINATIONS: [&str; 4] = ["firehose", "kinesis", "lambda", "logs"];

pub(super) fn put_metric_filter(
    group: &mut LogGroup,
    input: &wire::PutMetricFilterRequest,
    now: i64,
) -> Result<(), Error> {
    check_pattern(&input.filter_pattern)?;
    refuse_system_fields(input.field_selection_criteria.as_deref(), input.apply_on_transformed_logs)?;
    let [transformation] = input.metric_transformations.as_slice() else {
        return Err(invalid("A metric filter has one metric transformation."));
    };
    if transformation.default_value.is_some() && transformation.dimensions.as_ref().is_some_and(|d| !d.is_empty()) {
        return Err(invalid(
            "Invalid metric transformation: dimensions and default value are mutually exclusive properties.",
        ));
    }
    let value = &transformation.metric_value;
    if !value.starts_with('$') && value.parse::<f64>().is_err() {
        return Err(invalid(format!("Invalid metric transformation: {value} is neither a number nor a field.")));
    }
    let is_new = !group.metric_filters.contains_key(&input.filter_name);
    if is_new && group.metric_filters.len() >= MAX_METRIC_FILTERS {
        return Err(limit_exceeded());
    }
    let filter = MetricFilter {
        pattern: input.filter_pattern.clone(),
        transformation: MetricTransformation {
            name: transformation.metric_name.clone(),
            namespace: transformation.metric_namespace.clone(),
            value: value.clone(),
            default: transformation.default_value,
            dimensions: transformation.dimensions.clone().unwrap_or_default(),
            unit: transformation.unit.map(|unit| unit.as_str().to_owned()),
        },
        created: now,
    };
    group.metric_filters.insert(input.filter_name.clone(), filter);
    Ok(())
}

pub(super) fn delete_metric_filter(group: &mut LogGroup, name: &str) -> Result<(), Error> {
    group.metric_filters.remove(name).map(drop).ok_or_else(|| no_such("metric filter"))
}

/// Of one group, or of all that are there.
pub(super) fn metric_filters(
    groups: &[&LogGroup],
    input: &wire::DescribeMetricFiltersRequest,
) -> Result<wire::DescribeMetricFiltersResponse, Error> {
    if input.metric_name.is_some() != input.metric_namespace.is_some() {
        return Err(invalid("metricName and metricNamespace must be given together."));
    }
    let prefix = input.filter_name_prefix.as_deref().unwrap_or_default();
    let mut filters: Vec<(String, wire::MetricFilter)> = Vec::new();
    for group in groups {
        for (name, filter) in &group.metric_filters {
            let transformation = &filter.transformation;
            let is_asked = name.starts_with(prefix)
                && input.metric_name.as_ref().is_none_or(|wanted| *wanted == transformation.name)
                && input.metric_namespace.as_ref().is_none_or(|wanted| *wanted == transformation.namespace);
            if is_asked {
                filters.push((format!("{}\0{name}", group.name), shown_metric_filter(group, name, filter)));
            }
        }
    }
    let token = input.next_token.as_deref();
    let (filters, next_token) = page_of(filters, |(place, _)| place.clone(), token, input.limit)?;
    let metric_filters = Some(filters.into_iter().map(|(_, filter)| filter).collect());
    Ok(wire::DescribeMetricFiltersResponse { metric_filters, next_token })
}

pub(super) fn put_subscription_filter(
    group: &mut LogGroup,
    input: &wire::PutSubscriptionFilterRequest,
    now: i64,
) -> Result<(), Error> {
    check_pattern(&input.filter_pattern)?;
    refuse_system_fields(input.field_selection_criteria.as_deref(), input.apply_on_transformed_logs)?;
    let parts: Vec<&str> = input.destination_arn.splitn(6, ':').collect();
    let service = match parts[..] {
        ["arn", _, service, _, _, _] if DESTINATIONS.contains(&service) => service,
        _ => {
            return Err(invalid(
                "destinationArn must be the ARN of a Kinesis stream, a Firehose stream, a Lambda function or a destination.",
            ));
        }
    };
    if matches!(service, "firehose" | "kinesis") && input.role_arn.is_none() {
        return Err(invalid("destinationArn for vendor kinesis cannot be used without roleArn"));
    }
    let is_new = !group.subscription_filters.contains_key(&input.filter_name);
    if is_new && group.subscription_filters.len() >= MAX_SUBSCRIPTION_FILTERS {
        return Err(limit_exceeded());
    }
    let distribution = input.distribution.unwrap_or(wire::Distribution::ByLogStream);
    let filter = SubscriptionFilter {
        pattern: input.filter_pattern.clone(),
        destination_arn: input.destination_arn.clone(),
        role_arn: input.role_arn.clone(),
        distribution: distribution.as_str().to_owned(),
        created: now,
    };
    group.subscription_filters.insert(input.filter_name.clone(), filter);
    Ok(())
}

pub(super) fn delete_subscription_filter(group: &mut LogGroup, name: &str) -> Result<(), Error> {
    group.subscription_filters.remove(name).map(drop).ok_or_else(|| no_such("subscription filter"))
}

pub(super) fn subscription_filters(
    group: &LogGroup,
    input: &wire::DescribeSubscriptionFiltersRequest,
) -> Result<wire::DescribeSubscriptionFiltersResponse, Error> {
    let prefix = input.filter_name_prefix.as_deref().unwrap_or_default();
    let filters: Vec<(&String, &SubscriptionFilter)> =
        group.subscription_filters.iter().filter(|(name, _)| name.starts_with(prefix)).collect();
    let token = input.next_token.as_deref();
    let (filters, next_token) = page_of(filters, |(name, _)| (*name).clone(), token, input.limit)?;
    let shown = |(name, filter): (&String, &SubscriptionFilter)| wire::SubscriptionFilter {
        filter_name: Some(name.clone()),
        log_group_name: Some(group.name.clone()),
        filter_pattern: Some(filter.pattern.clone()),
        destination_arn: Some(filter.destination_arn.clone()),
        role_arn: filter.role_arn.clone(),
        distribution: wire::Distribution::parse(&filter.distribution),
        creation_time: Some(filter.created),
        ..Default::default()
    };
    let subscription_filters = Some(filters.into_iter().map(shown).collect());
    Ok(wire::DescribeSubscriptionFiltersResponse { subscription_filters, next_token })
}

/// Which of some messages a pattern matches.
pub(super) fn test_metric_filter(
    input: wire::TestMetricFilterRequest,
) -> Result<wire::TestMetricFilterResponse, Error> {
    let pattern = check_pattern(&input.filter_pattern)?;
    let numbered = (1..).zip(input.log_event_messages);
    let matches = numbered.filter(|(_, message)| pattern.matches(message)).map(|(number, message)| {
        let extracted = pattern.extracted(&message).into_iter().collect();
        wire::MetricFilterMatchRecord {
            event_number: Some(number),
            event_message: Some(message),
            extracted_values: Some(extracted),
        }
    });
    Ok(wire::TestMetricFilterResponse { matches: Some(matches.collect()) })
}

pub(super) async fn put_policy(
    control: &Control,
    caller: &Caller,
    input: wire::PutResourcePolicyRequest,
) -> Result<wire::PutResourcePolicyResponse, Error> {
    if input.resource_arn.is_some() || input.expected_revision_id.is_some() {
        return Err(invalid(
            "Resource policies are of the account here: resourceArn and expectedRevisionId are not served.",
        ));
    }
    let name = input.policy_name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| invalid("policyName must be specified."))?;
    let document = input.policy_document.unwrap_or_default();
    let is_policy = serde_json::from_str::<serde_json::Value>(&document)
        .is_ok_and(|policy| policy.get("Statement").is_some_and(|statement| !statement.is_null()));
    if !is_policy || document.len() > MAX_POLICY_BYTES {
        return Err(invalid(format!("policyDocument must be a policy in JSON of at most {MAX_POLICY_BYTES} bytes.")));
    }
    let policy = LogResourcePolicy { region: caller.region.clone(), name, document, updated: control.now() };
    let rule = |state: &State| {
        let policies = &state.log_resource_policies;
        let is_new = State::one(policies, &policy.region, &policy.name).is_none();
        if is_new && State::of(policies, &policy.region).count() >= MAX_POLICIES {
            return Err(limit_exceeded());
        }
        Ok((vec![Change::put(&policy)], ()))
    };
    control.settings().change(caller, rule).await?;
    let resource_policy = Some(shown_policy(&policy));
    Ok(wire::PutResourcePolicyResponse { resource_policy, ..Default::default() })
}

pub(super) async fn delete_policy(
    control: &Control,
    caller: &Caller,
    input: wire::DeleteResourcePolicyRequest,
) -> Result<(), Error> {
    let name = input.policy_name.unwrap_or_default();
    let rule = |state: &State| {
        let policy = State::one(&state.log_resource_policies, &caller.region, &name);
        let missing = || Error::resource_not_found(format!("Policy with name [{name}] does not exist."));
        Ok((vec![Change::delete(&**policy.ok_or_else(missing)?)], ()))
    };
    control.settings().change(caller, rule).await
}

pub(super) fn policies(
    state: &State,
    caller: &Caller,
    input: &wire::DescribeResourcePoliciesRequest,
) -> Result<wire::DescribeResourcePoliciesResponse, Error> {
    let mut policies: Vec<&LogResourcePolicy> =
        State::of(&state.log_resource_policies, &caller.region).map(AsRef::as_ref).collect();
    // They are all of the account.
    if input.resource_arn.is_some() || input.policy_scope == Some(wire::PolicyScope::Resource) {
        policies.clear();
    }
    let token = input.next_token.as_deref();
    let (policies, next_token) = page_of(policies, |policy| policy.name.clone(), token, input.limit)?;
    let resource_policies = Some(policies.into_iter().map(shown_policy).collect());
    Ok(wire::DescribeResourcePoliciesResponse { resource_policies, next_token })
}

pub(super) async fn put_definition(
    control: &Control,
    caller: &Caller,
    input: wire::PutQueryDefinitionRequest,
) -> Result<wire::PutQueryDefinitionResponse, Error> {
    if input.query_language.is_some_and(|language| language != wire::QueryLanguage::Cwli) {
        return Err(invalid("Only the query language CWLI is served."));
    }
    let parameters = input.parameters.unwrap_or_default();
    // With parameters it is a query only when they are filled in.
    if parameters.is_empty() {
        Query::parse(&input.query_string).map_err(|why| invalid(format!("Invalid query: {why}")))?;
    }
    let (fresh, now) = (ids::uuid()?, control.now());
    let definition = QueryDefinition {
        region: caller.region.clone(),
        id: input.query_definition_id.clone().unwrap_or(fresh),
        name: input.name,
        query: input.query_string,
        log_groups: input.log_group_names.unwrap_or_default(),
        parameters: parameters
            .into_iter()
            .map(|parameter| QueryParameter {
                name: parameter.name,
                default: parameter.default_value,
                description: parameter.description,
            })
            .collect(),
        modified: now,
    };
    let rule = |state: &State| {
        let definitions = &state.query_definitions;
        let present = State::one(definitions, &definition.region, &definition.id);
        match present {
            None if input.query_definition_id.is_some() => Err(no_such("query definition")),
            None if State::of(definitions, &definition.region).zip(1..).any(|(_, n)| n >= MAX_DEFINITIONS) => {
                Err(limit_exceeded())
            }
            _ => Ok((vec![Change::put(&definition)], ())),
        }
    };
    control.settings().change(caller, rule).await?;
    Ok(wire::PutQueryDefinitionResponse { query_definition_id: Some(definition.id) })
}

pub(super) async fn delete_definition(
    control: &Control,
    caller: &Caller,
    input: wire::DeleteQueryDefinitionRequest,
) -> Result<wire::DeleteQueryDefinitionResponse, Error> {
    let rule = |state: &State| {
        let definition = State::one(&state.query_definitions, &caller.region, &input.query_definition_id);
        Ok((vec![Change::delete(&**definition.ok_or_else(|| no_such("query definition"))?)], ()))
    };
    control.settings().change(caller, rule).await?;
    Ok(wire::DeleteQueryDefinitionResponse { success: Some(true) })
}

pub(super) fn definitions(
    state: &State,
    caller: &Caller,
    input: &wire::DescribeQueryDefinitionsRequest,
) -> Result<wire::DescribeQueryDefinitionsResponse, Error> {
    let prefix = input.query_definition_name_prefix.as_deref().unwrap_or_default();
    let mut definitions: Vec<&QueryDefinition> = State::of(&state.query_definitions, &caller.region)
        .map(AsRef::as_ref)
        .filter(|definition| definition.name.starts_with(prefix))
        .collect();
    if input.query_language.is_some_and(|language| language != wire::QueryLanguage::Cwli) {
        definitions.clear();
    }
    let (token, limit) = (input.next_token.as_deref(), input.max_results.or(Some(MAX_DEFINITIONS)));
    let (definitions, next_token) = page_of(definitions, |definition| definition.id.clone(), token, limit)?;
    let query_definitions = Some(definitions.into_iter().map(shown_definition).collect());
    Ok(wire::DescribeQueryDefinitionsResponse { query_definitions, next_token })
}

fn check_pattern(text: &str) -> Result<Pattern, Error> {
    Pattern::parse(text).map_err(|why| invalid(why.to_string()))
}

fn refuse_system_fields(criteria: Option<&str>, transformed: Option<bool>) -> Result<(), Error> {
    if criteria.is_some_and(|criteria| !criteria.is_empty()) || transformed == Some(true) {
        return Err(invalid("fieldSelectionCriteria and applyOnTransformedLogs are not served."));
    }
    Ok(())
}

fn shown_metric_filter(group: &LogGroup, name: &str, filter: &MetricFilter) -> wire::MetricFilter {
    let transformation = &filter.transformation;
    let shown = wire::MetricTransformation {
        metric_name: transformation.name.clone(),
        metric_namespace: transformation.namespace.clone(),
        metric_value: transformation.value.clone(),
        default_value: transformation.default,
        dimensions: Some(transformation.dimensions.clone()).filter(|dimensions| !dimensions.is_empty()),
        unit: transformation.unit.as_deref().and_then(wire::StandardUnit::parse),
    };
    wire::MetricFilter {
        filter_name: Some(name.to_owned()),
        filter_pattern: Some(filter.pattern.clone()),
        metric_transformations: Some(vec![shown]),
        creation_time: Some(filter.created),
        log_group_name: Some(group.name.clone()),
        ..Default::default()
    }
}

fn shown_policy(policy: &LogResourcePolicy) -> wire::ResourcePolicy {
    wire::ResourcePolicy {
        policy_name: Some(policy.name.clone()),
        policy_document: Some(policy.document.clone()),
        last_updated_time: Some(policy.updated),
        policy_scope: Some(wire::PolicyScope::Account),
        ..Default::default()
    }
}

fn shown_definition(definition: &QueryDefinition) -> wire::QueryDefinition {
    let parameter = |parameter: &QueryParameter| wire::QueryParameter {
        name: parameter.name.clone(),
        default_value: parameter.default.clone(),
        description: parameter.description.clone(),
    };
    wire::QueryDefinition {
        query_language: Some(wire::QueryLanguage::Cwli),
        query_definition_id: Some(definition.id.clone()),
        name: Some(definition.name.clone()),
        query_string: Some(definition.query.clone()),
        last_modified: Some(definition.modified),
        log_group_names: Some(definition.log_groups.clone()),
        parameters: Some(definition.parameters.iter().map(parameter).collect()).filter(|all: &Vec<_>| !all.is_empty()),
    }
}

fn no_such(what: &str) -> Error {
    Error::resource_not_found(format!("The specified {what} does not exist."))
}

fn limit_exceeded() -> Error {
    Error::client("LimitExceededException", "Resource limit exceeded.")
}
