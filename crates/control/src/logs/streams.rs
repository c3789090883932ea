//! Log streams: those that were made by `CreateLogStream`, and those that records came into.

use std::collections::{BTreeMap, BTreeSet};

use aws::logs::*;
use aws::{Caller, Error};
use journal::{Journal, StreamInfo};
use model::resource::LogGroup as Group;
use model::{Change, State, UnixMillis};

use super::{after_token, blocking, group, group_arn, invalid, named_group, not_before};
use crate::Control;

const MAX_PAGE: usize = 50;
const MAX_STREAMS: usize = 10_000;

/// Which streams of a group there are, and since when their events are shown.
pub(super) struct View {
    pub(super) region: String,
    pub(super) name: String,
    pub(super) not_before: UnixMillis,
    made: BTreeMap<String, UnixMillis>,
    deleted: BTreeMap<String, UnixMillis>,
}

/// A stream, whether it has events or not.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    name: String,
    created: UnixMillis,
    events: Option<StreamInfo>,
}

impl View {
    pub(super) fn of(group: &Group, now: UnixMillis) -> Self {
        Self {
            region: group.region.clone(),
            name: group.name.clone(),
            not_before: not_before(group, now),
            made: group.streams.clone(),
            deleted: group.deleted_streams.clone(),
        }
    }

    /// Whether an event of a stream came in after the stream was last deleted.
    pub(super) fn shows(&self, stream: &str, ingested: UnixMillis) -> bool {
        self.deleted.get(stream).is_none_or(|deleted| ingested > *deleted)
    }

    /// By name. Blocks.
    pub(super) fn streams(&self, journal: &Journal) -> BTreeMap<String, Stream> {
        let mut streams: BTreeMap<String, Stream> = BTreeMap::new();
        for info in journal.streams(&self.region, &self.name, self.not_before) {
            if self.shows(&info.name, info.last_ingestion_ms) {
                let (name, created) = (info.name.clone(), info.first_ms);
                streams.insert(name.clone(), Stream { name, created, events: Some(info) });
            }
        }
        for (name, created) in &self.made {
            let stream = Stream { name: name.clone(), created: *created, events: None };
            streams.entry(name.clone()).or_insert(stream).created = *created;
        }
        streams
    }
}

pub(super) async fn create(control: &Control, caller: &Caller, input: CreateLogStreamRequest) -> Result<(), Error> {
    let now = control.now();
    let exists = || Error::client("ResourceAlreadyExistsException", "The specified log stream already exists");
    let view = View::of(group(&control.settings().state(), caller, &input.log_group_name)?, now);
    let journal = control.journal().clone();
    let there: BTreeSet<String> = blocking(move || Ok(view.streams(&journal).into_keys().collect())).await?;
    if there.contains(&input.log_stream_name) {
        return Err(exists());
    }
    let rule = |state: &State| {
        let mut group = group(state, caller, &input.log_group_name)?.clone();
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
    let view = View::of(group(&control.settings().state(), caller, &input.log_group_name)?, now);
    let journal = control.journal().clone();
    let name = input.log_stream_name;
    let asked = name.clone();
    if !blocking(move || Ok(view.streams(&journal).contains_key(&asked))).await? {
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
    let group = named_group(&state, caller, name, identifier)?;
    let (view, journal) = (View::of(group, control.now()), control.journal().clone());
    let mut streams: Vec<Stream> = blocking(move || Ok(view.streams(&journal).into_values().collect())).await?;
    let prefix = input.log_stream_name_prefix.unwrap_or_default();
    streams.retain(|stream| stream.name.starts_with(&prefix));
    if by_time {
        // Streams without events come as if theirs were the oldest.
        streams.sort_by_key(|stream| stream.events.as_ref().map(|events| events.last_ms));
    }
    if input.descending == Some(true) {
        streams.reverse();
    }
    after_token(&mut streams, input.next_token.as_deref(), |stream| &stream.name)?;
    let limit = input.limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let more = streams.len() > limit;
    streams.truncate(limit);
    let arn = group_arn(caller, group);
    Ok(DescribeLogStreamsResponse {
        next_token: streams.last().filter(|_| more).map(|last| last.name.clone()),
        log_streams: Some(streams.into_iter().map(|stream| shown(&arn, stream)).collect()),
    })
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
