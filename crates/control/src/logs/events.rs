//! Events: put, read by stream, and filtered over a group.

use aws::logs::*;
use aws::{Caller, Error};
use journal::filter::Pattern;
use journal::{Event, Page, Position, Query, Streams};
use model::UnixMillis;

use super::streams::no_such_stream;
use super::{DAY_MS, bad_token, blocking, group, invalid, named_view, not_before};
use crate::Control;

const MAX_EVENTS: usize = 10_000;
/// Of a batch, each event counted with 26 bytes more (CloudWatch Logs, `PutLogEvents`).
const MAX_BATCH_BYTES: usize = 1_048_576;
const EVENT_OVERHEAD_BYTES: usize = 26;
const MAX_AGE_MS: UnixMillis = 14 * DAY_MS;
const MAX_AHEAD_MS: UnixMillis = 2 * 3_600_000;

/// Where a `GetLogEvents` continues, and which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Forward(Position),
    Backward(Position),
}

/// Which of a batch's events are taken: those from `first` on and before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) first: usize,
    pub(super) end: usize,
}

/// Events go into streams that `CreateLogStream` made: nobody writes into the gateway's own records.
pub(super) async fn put(
    control: &Control,
    caller: &Caller,
    input: PutLogEventsRequest,
) -> Result<PutLogEventsResponse, Error> {
    let now = control.now();
    let state = control.settings().state();
    let group = group(&state, caller, &input.log_group_name)?;
    if !group.streams.contains_key(&input.log_stream_name) {
        return Err(no_such_stream());
    }
    let times: Vec<UnixMillis> = input.log_events.iter().map(|event| event.timestamp).collect();
    let bytes = input.log_events.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
    check_batch(&times, bytes)?;
    let oldest = not_before(&group, now).max(now - MAX_AGE_MS);
    let taken = Taken::of(&times, oldest, now + MAX_AHEAD_MS);
    let (journal, region) = (control.journal().clone(), caller.region.clone());
    let events = input.log_events;
    blocking(move || {
        let taken = events.get(taken.first..taken.end).unwrap_or_default();
        let lines: Vec<(i64, &str)> = taken.iter().map(|event| (event.timestamp, event.message.as_str())).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let put = journal.append_events(&region, &input.log_group_name, &input.log_stream_name, &lines, now);
        put.map_err(|e| Error::internal(format!("The events could not be stored: {e}")))
    })
    .await?;
    Ok(PutLogEventsResponse { rejected_log_events_info: taken.rejected(times.len()), ..Default::default() })
}

pub(super) async fn get(
    control: &Control,
    caller: &Caller,
    input: GetLogEventsRequest,
) -> Result<GetLogEventsResponse, Error> {
    let token = input.next_token.as_deref().map(Token::parse).transpose()?;
    let state = control.settings().state();
    let (name, identifier) = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
    let view = named_view(&state, caller, name, identifier, control.now())?;
    let (after, newest_first) = match token {
        Some(Token::Forward(at)) => (Some(at), false),
        Some(Token::Backward(at)) => (Some(at), true),
        None => (None, input.start_from_head != Some(true)),
    };
    let journal = control.journal().clone();
    let stream = [input.log_stream_name];
    let page = blocking(move || {
        if !view.streams(&journal).map_err(unreadable)?.contains_key(&stream[0]) {
            return Err(no_such_stream());
        }
        let query = Query {
            streams: Streams::Named(&stream),
            start_ms: input.start_time.unwrap_or(i64::MIN),
            end_ms: input.end_time.unwrap_or(i64::MAX),
            after,
            newest_first,
            limit: limit(input.limit),
            ..view.query()
        };
        view.read(&journal, &query).map_err(unreadable)
    })
    .await?;
    let (backward, forward) = Token::around(&page, token);
    let events = page.events.into_iter().map(|event| OutputLogEvent {
        timestamp: Some(event.time_ms),
        ingestion_time: Some(event.ingestion_ms),
        message: Some(event.message),
    });
    Ok(GetLogEventsResponse {
        events: Some(events.collect()),
        next_backward_token: Some(backward.text()),
        next_forward_token: Some(forward.text()),
    })
}

pub(super) async fn filter(
    control: &Control,
    caller: &Caller,
    input: FilterLogEventsRequest,
) -> Result<FilterLogEventsResponse, Error> {
    if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
        return Err(invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters."));
    }
    if matches!((input.start_time, input.end_time), (Some(start), Some(end)) if start > end) {
        return Err(invalid("End time cannot be before start time."));
    }
    let pattern = input.filter_pattern.as_deref().map(Pattern::parse).transpose();
    let pattern = pattern.map_err(|e| invalid(e.to_string()))?;
    let after = input.next_token.as_deref().map(str::parse).transpose().map_err(|_| bad_token())?;
    let state = control.settings().state();
    let (name, identifier) = (input.log_group_name.as_deref(), input.log_group_identifier.as_deref());
    let view = named_view(&state, caller, name, identifier, control.now())?;
    let journal = control.journal().clone();
    let page = blocking(move || {
        let streams = match (&input.log_stream_names, &input.log_stream_name_prefix) {
            (Some(names), _) => {
                let there = view.streams(&journal).map_err(unreadable)?;
                if names.iter().any(|name| !there.contains_key(name)) {
                    return Err(no_such_stream());
                }
                Streams::Named(names)
            }
            (None, Some(prefix)) => Streams::Prefixed(prefix),
            (None, None) => Streams::All,
        };
        let query = Query {
            streams,
            start_ms: input.start_time.unwrap_or(i64::MIN),
            end_ms: input.end_time.map_or(i64::MAX, |end| end.saturating_add(1)),
            pattern: pattern.as_ref(),
            after,
            limit: limit(input.limit),
            ..view.query()
        };
        view.read(&journal, &query).map_err(unreadable)
    })
    .await?;
    Ok(FilterLogEventsResponse {
        events: Some(page.events.into_iter().map(filtered).collect()),
        searched_log_streams: Some(Vec::new()),
        next_token: page.next.map(|next| next.to_string()),
    })
}

impl Token {
    fn parse(text: &str) -> Result<Self, Error> {
        let (way, at) = text.split_once('/').ok_or_else(bad_token)?;
        let at = at.strip_suffix("/s").unwrap_or(at).parse().map_err(|_| bad_token())?;
        match way {
            "f" => Ok(Self::Forward(at)),
            "b" => Ok(Self::Backward(at)),
            _ => Err(bad_token()),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Forward(at) => format!("f/{at}/s"),
            Self::Backward(at) => format!("b/{at}/s"),
        }
    }

    /// Where to continue before and after a page. At an end of the stream the token that was `given` comes back, which
    /// is how clients know that it is the end: others' records that came in meanwhile do not move it.
    fn around(page: &Page, given: Option<Self>) -> (Self, Self) {
        let ended = page.events.is_empty() && page.next.is_none();
        match given.filter(|_| ended) {
            Some(Self::Forward(at) | Self::Backward(at)) => (Self::Backward(at), Self::Forward(at)),
            None => (Self::Backward(page.start), Self::Forward(page.end)),
        }
    }
}

impl Taken {
    /// Of times in order: not before `oldest`, not after `newest`.
    pub(super) fn of(times: &[UnixMillis], oldest: UnixMillis, newest: UnixMillis) -> Self {
        let first = times.partition_point(|time| *time < oldest);
        Self { first, end: times.partition_point(|time| *time <= newest).max(first) }
    }

    fn rejected(self, all: usize) -> Option<RejectedLogEventsInfo> {
        let index = |at: usize| i32::try_from(at).ok();
        (self.first > 0 || self.end < all).then(|| RejectedLogEventsInfo {
            too_old_log_event_end_index: index(self.first).filter(|_| self.first > 0),
            too_new_log_event_start_index: index(self.end).filter(|_| self.end < all),
            ..Default::default()
        })
    }
}

/// CloudWatch Logs' rules for a batch.
pub(super) fn check_batch(times: &[UnixMillis], bytes: usize) -> Result<(), Error> {
    if bytes > MAX_BATCH_BYTES {
        return Err(invalid(format!("Upload too large: {bytes} bytes exceeds limit of {MAX_BATCH_BYTES}")));
    }
    if !times.is_sorted() {
        return Err(invalid("Log events in a single PutLogEvents request must be in chronological order."));
    }
    match (times.first(), times.last()) {
        (Some(first), Some(last)) if last.saturating_sub(*first) > DAY_MS => {
            Err(invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours."))
        }
        _ => Ok(()),
    }
}

fn filtered(event: Event) -> FilteredLogEvent {
    FilteredLogEvent {
        event_id: Some(format!("{:056}", u128::from(event.position))),
        log_stream_name: Some(event.stream),
        timestamp: Some(event.time_ms),
        ingestion_time: Some(event.ingestion_ms),
        message: Some(event.message),
    }
}

fn limit(asked: Option<i32>) -> usize {
    asked.and_then(|n| usize::try_from(n).ok()).unwrap_or(MAX_EVENTS).clamp(1, MAX_EVENTS)
}

pub(super) fn unreadable(error: std::io::Error) -> Error {
    Error::internal(format!("The records could not be read: {error}"))
}
