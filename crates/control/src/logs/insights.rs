//! Insights: queries that run in the background, and what they have found, for a while.

mod asked;
mod run;

use aws::logs::*;
use aws::{Caller, Error};
use journal::insights::{MAX_ROWS, Malformed, Query};
use serde_json::json;

use super::view::View;
use super::{after, bad_token, group_arn, invalid, name_of, viewed};
use crate::page_token::{self, Order};
use crate::{Control, ids};
use asked::Asked;
pub(crate) use asked::Queries;
use run::Run;

const MAX_GROUPS: usize = 50;
/// Times above this are not seconds but milliseconds, which the service takes as well.
const MAX_SECONDS: i64 = 100_000_000_000;
const MAX_PAGE: usize = 1_000;

pub(super) async fn start(
    control: &Control,
    caller: &Caller,
    input: StartQueryRequest,
) -> Result<StartQueryResponse, Error> {
    if input.query_language.is_some_and(|language| language != QueryLanguage::Cwli) {
        return Err(invalid("Only the query language CWLI is served."));
    }
    let limit = input.limit.map(|limit| usize::try_from(limit).ok().filter(|limit| *limit <= MAX_ROWS));
    let limit = limit.map(|limit| limit.ok_or_else(|| invalid(format!("A query gives at most {MAX_ROWS} rows."))));
    let limit = limit.transpose()?;
    let (start_ms, end_ms) = (millis(input.start_time), millis(input.end_time).saturating_add(999));
    if start_ms > end_ms {
        return Err(invalid("The start time of a query cannot be after its end time."));
    }
    let query = Query::parse(&input.query_string).map_err(|why| malformed(&why))?;
    let (state, now) = (control.settings().state(), control.now());
    let named = named_groups(input.log_group_name, input.log_group_names, input.log_group_identifiers)?;
    let mut views = Vec::new();
    for name in named {
        let view = viewed(&state, caller, name_of(caller, &name)?, now)?;
        if !views.iter().any(|other: &View| other.name == view.name) {
            views.push(view);
        }
    }
    let asked = Asked::new(caller, ids::uuid()?, input.query_string, &views, now);
    let run = Run {
        query: query.into(),
        limit,
        views,
        account: caller.account.clone(),
        start_ms,
        end_ms,
        now_ms: now,
        journal: control.journal().clone(),
    };
    let id = control.queries().start(asked, run)?;
    Ok(StartQueryResponse { query_id: Some(id) })
}

pub(super) fn results(
    control: &Control,
    caller: &Caller,
    input: &GetQueryResultsRequest,
) -> Result<GetQueryResultsResponse, Error> {
    let asked = control.queries().find(caller, &input.query_id)?;
    let first: usize = input.next_token.as_deref().map_or(Ok(0), |token| token.parse().map_err(|_| bad_token()))?;
    let count = input.max_items.and_then(|count| usize::try_from(count).ok()).unwrap_or(MAX_ROWS);
    let progress = asked.progress();
    let rows = progress.rows.get(first..).unwrap_or_default();
    let more = rows.len() > count;
    let shown = rows.iter().take(count).map(|row| {
        let field =
            |(name, value): &(String, String)| ResultField { field: Some(name.clone()), value: Some(value.clone()) };
        row.iter().map(field).collect()
    });
    #[expect(clippy::cast_precision_loss, reason = "AWS's statistics are such numbers")]
    let statistics = QueryStatistics {
        records_matched: Some(progress.matched as f64),
        records_scanned: Some(progress.scanned as f64),
        bytes_scanned: Some(progress.bytes as f64),
        log_groups_scanned: Some(asked.groups.len() as f64),
        estimated_records_skipped: Some(0.0),
        estimated_bytes_skipped: Some(0.0),
    };
    Ok(GetQueryResultsResponse {
        query_language: Some(QueryLanguage::Cwli),
        results: Some(shown.collect()),
        statistics: Some(statistics),
        status: Some(progress.status),
        next_token: more.then(|| (first + count).to_string()),
        ..Default::default()
    })
}

pub(super) fn stop(control: &Control, caller: &Caller, input: &StopQueryRequest) -> Result<StopQueryResponse, Error> {
    let asked = control.queries().find(caller, &input.query_id)?;
    if !asked.cancel() {
        return Err(invalid(format!("The query {} has ended and cannot be stopped.", input.query_id)));
    }
    Ok(StopQueryResponse { success: Some(true) })
}

pub(super) fn describe(
    control: &Control,
    caller: &Caller,
    input: &DescribeQueriesRequest,
) -> Result<DescribeQueriesResponse, Error> {
    let mut asked = control.queries().of(caller);
    asked.retain(|asked| {
        input.log_group_name.as_ref().is_none_or(|name| asked.groups.contains(name))
            && input.status.is_none_or(|status| asked.progress().status == status)
            && input.query_language.is_none_or(|language| language == QueryLanguage::Cwli)
    });
    // The newest first.
    asked.sort_by_cached_key(|asked| asked.place());
    let after = after(input.next_token.as_deref())?;
    let limit = input.max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let (order, newest_first) = (Order::Descending, asked.into_iter().rev());
    let (asked, next_token) = page_token::cut_in(order, newest_first, |asked| asked.place(), after.as_deref(), limit);
    Ok(DescribeQueriesResponse { next_token, queries: Some(asked.iter().map(|asked| asked.info()).collect()) })
}

pub(super) fn groups(
    control: &Control,
    caller: &Caller,
    input: &ListLogGroupsForQueryRequest,
) -> Result<ListLogGroupsForQueryResponse, Error> {
    let asked = control.queries().find(caller, &input.query_id)?;
    let mut groups: Vec<String> = asked.groups.iter().map(|name| group_arn(caller, name)).collect();
    groups.sort();
    let after = after(input.next_token.as_deref())?;
    let limit = input.max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_GROUPS);
    let (groups, next_token) = page_token::cut(groups.into_iter(), String::clone, after.as_deref(), limit);
    Ok(ListLogGroupsForQueryResponse { next_token, log_group_identifiers: Some(groups) })
}

/// The groups of a query, in the one way of several in which they were named.
fn named_groups(
    name: Option<String>,
    names: Option<Vec<String>>,
    identifiers: Option<Vec<String>>,
) -> Result<Vec<String>, Error> {
    let named = match (name, names, identifiers) {
        (Some(name), None, None) => vec![name],
        (None, Some(names), None) | (None, None, Some(names)) => names,
        _ => {
            return Err(invalid(
                "Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be specified.",
            ));
        }
    };
    if !(1..=MAX_GROUPS).contains(&named.len()) {
        return Err(invalid(format!("A query is of 1 to {MAX_GROUPS} log groups.")));
    }
    Ok(named)
}

fn millis(time: i64) -> i64 {
    if time < MAX_SECONDS { time.saturating_mul(1_000) } else { time }
}

/// With the place, as AWS gives it.
pub(super) fn malformed(why: &Malformed) -> Error {
    let location = json!({ "startCharOffset": why.start, "endCharOffset": why.end });
    let message = format!("{} at character {}", why.message, why.start + 1);
    let error = json!({ "message": message, "location": location });
    Error::client("MalformedQueryException", message).with("queryCompileError", error)
}
