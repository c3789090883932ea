//! Log streams: those that were made by `CreateLogStream`, and those that records came into.

use std::collections::BTreeSet;

use aws::logs::*;
use aws::{Caller, Error};
use journal::StreamInfo;
use model::{Change, State, UnixMillis};

use super::events::unreadable;
use super::{after, blocking, group, group_arn, invalid, named_view, not_before, page_size, viewed};
use crate::Control;
use crate::page_token::{self, Order};

const MAX_STREAMS: usize = 10_000;

/// A stream, whether it has events or not.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) created: UnixMillis,
    pub(super) events: Option<StreamInfo>,
}

pub(super) async fn create(control: &Control, caller: &Caller, input: CreateLogStreamRequest) -> Result<(), Error> {
    let now = control.now();
    let exists = || Error::client("ResourceAlreadyExistsException", "The specified log stream already exists");
    let state = control.settings().state();
    group(&state, caller, &input.log_group_name)?;
    let (view, journal) = (viewed(&state, caller, &input.log_group_name, now)?, control.journal().clone());
    let there = move || Ok(view.streams(&journal).map_err(unreadable)?.into_keys().collect());
    let there: BTreeSet<String> = blocking(there).await?;
    if there.contains(&input.log_stream_name) {
        return Err(exists());
    }
    let rule = |state: &State| {
        let mut group = group(state, caller, &input.log_group_name)?.into_owned();
        if group.streams.len() >= MAX_STREAMS {
            return Err(Error::client("LimitExceededException", "Resource limit exceeded."));
        }
        match group.streams.insert(input.log_stream_name.clone(), now) {
            Some(_) => Err(exists()),
            None => Ok((vec![Change::put(&group)], ())),
        }
    };
    control.settings().change(caller, rule).await
}

pub(super) async fn delete(control: &Control, caller: &Caller, input: DeleteLogStreamRequest) -> Result<(), Error> {
    let now = control.now();
    let state = control.settings().state();
    group(&state, caller, &input.log_group_name)?;
    let (view, journal) = (viewed(&state, caller, &input.log_group_name, now)?, control.journal().clone());
    let name = input.log_stream_name;
    let asked = name.clone();
    if !blocking(move || Ok(view.streams(&journal).map_err(unreadable)?.contains_key(&asked))).await? {
        return Err(no_such_stream());
    }
    control
        .change_group(caller, &input.log_group_name, |group| {
            group.streams.remove(&name);
            // What lies before the group's view is hidden anyway.
            let hidden = not_before(group, now);
            group.deleted_streams.retain(|_, deleted| *deleted >= hidden);
            group.deleted_streams.insert(name.clone(), now);
            Ok(())
        })
        .await
}

pub(super) async fn describe(
    control: &Control,
    caller: &Caller,
    input: DescribeLogStreamsRequest,
) -> Result<DescribeLogStreamsResponse, Error> {
    let by_time = input.order_by == Some(OrderBy::LastEventTime);
    if by_time && input.log_stream_name_prefix.is_some() {
        return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let state = control.settings().state();
    let (name, identifier) = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
    let view = named_view(&state, caller, name, identifier, control.now())?;
    let (arn, journal) = (group_arn(caller, &view.name), control.journal().clone());
    let all = move || Ok(view.streams(&journal).map_err(unreadable)?.into_values().collect());
    let mut streams: Vec<Stream> = blocking(all).await?;
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    streams.retain(|stream| stream.name.starts_with(&prefix));
    // Streams without events come as if theirs were the oldest.
    let last_ms = |stream: &Stream| stream.events.as_ref().map_or(0, |events| events.last_ms.max(0));
    let place = |stream: &Stream| match by_time {
        true => format!("{:020}:{}", last_ms(stream), stream.name),
        false => stream.name.clone(),
    };
    streams.sort_by_cached_key(place);
    let (after, size) = (after(input.next_token.as_deref())?, page_size(input.limit));
    let order = Order::descending(input.descending == Some(true));
    if order == Order::Descending {
        streams.reverse();
    }
    let (streams, next_token) = page_token::cut_in(order, streams.into_iter(), place, after.as_deref(), size);
    let log_streams = Some(streams.into_iter().map(|stream| shown(&arn, stream)).collect());
    Ok(DescribeLogStreamsResponse { next_token, log_streams })
}

pub(super) fn no_such_stream() -> Error {
    Error::resource_not_found("The specified log stream does not exist.")
}

fn shown(group_arn: &str, stream: Stream) -> LogStream {
    let events = stream.events;
    LogStream {
        arn: Some(format!("{group_arn}:log-stream:{}", stream.name)),
        log_stream_name: Some(stream.name),
        creation_time: Some(stream.created),
        first_event_timestamp: events.as_ref().map(|events| events.first_ms),
        last_event_timestamp: events.as_ref().map(|events| events.last_ms),
        last_ingestion_time: events.as_ref().map(|events| events.last_ingestion_ms),
        // Zero on AWS too, since 2019.
        stored_bytes: Some(0),
        ..LogStream::default()
    }
}
