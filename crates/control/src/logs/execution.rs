//! Execution logs of REST APIs, `API-Gateway-Execution-Logs_{apiId}/{stage}`: lines that are made of the records of a stage's requests
//! when somebody reads them. Nothing is written for them. What a record does not say is not in them: headers, payloads, extended
//! request ids, backends' addresses and latencies.

mod lines;

use std::collections::BTreeMap;
use std::io;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use journal::{AccessRecord, Event, Journal, Kind, Kinds, Line, Page, Position, Query, Search, StreamInfo, Streams};
use model::resource::{LogLevel, Stage};
use model::snapshot::setting_key;
use model::{State, UnixMillis};

use super::streams::Stream;

const PREFIX: &str = "API-Gateway-Execution-Logs_";
/// Lines that a request has at most. A line's position is its record's times this and its place.
const LINES: u64 = 16;

/// A stage that logs.
pub(super) struct Execution {
    pub(super) created: UnixMillis,
    api_id: String,
    stage: String,
    /// Of all methods, and of those that have one of their own.
    level: LogLevel,
    levels: BTreeMap<String, LogLevel>,
}

impl Execution {
    /// The stage whose group has this name, if it logs.
    pub(super) fn named(state: &State, region: &str, name: &str) -> Option<Self> {
        let (api_id, stage) = name.strip_prefix(PREFIX)?.split_once('/')?;
        state.rest_apis.get(api_id).filter(|api| api.region == region)?;
        Self::of(State::one(&state.stages, api_id, stage)?)
    }

    /// All of a region, by name.
    pub(super) fn of_region<'s>(state: &'s State, region: &'s str) -> impl Iterator<Item = (String, Self)> + 's {
        let apis = state.rest_apis.values().filter(move |api| api.region == region);
        let stages = apis.flat_map(|api| State::of(&state.stages, &api.id));
        stages.filter_map(|stage| Some((format!("{PREFIX}{}/{}", stage.api_id, stage.name), Self::of(stage)?)))
    }

    fn of(stage: &Stage) -> Option<Self> {
        let levels: BTreeMap<String, LogLevel> = stage
            .route_settings
            .iter()
            .filter_map(|(method, settings)| Some((method.clone(), settings.logging_level?)))
            .collect();
        let level = stage.default_route_settings.logging_level.unwrap_or_default();
        let logs = level != LogLevel::Off || levels.values().any(|level| *level != LogLevel::Off);
        logs.then(|| Self {
            created: stage.created,
            api_id: stage.api_id.clone(),
            stage: stage.name.clone(),
            level,
            levels,
        })
    }

    /// The events of a page, as [`Journal::read`] gives them.
    pub(super) fn read(&self, journal: &Journal, query: &Query<'_>) -> io::Result<Page> {
        let (stream, back, from) = (self.stream(), query.newest_first, query.after);
        let wanted = match query.streams {
            Streams::All => true,
            Streams::Named(names) => names.contains(&stream),
            Streams::Prefixed(prefix) => stream.starts_with(prefix),
        };
        if !wanted {
            let at = from.unwrap_or(Position::from(0));
            return Ok(Page { events: Vec::new(), start: at, end: at, next: None });
        }
        let found = journal.search(&Search {
            kinds: Kinds::of([Kind::Access]),
            api: Some((&self.api_id, &self.stage)),
            since_ms: query.start_ms.max(query.not_before_ms),
            until_ms: query.end_ms,
            after: from.map(|from| record_of(from, back)),
            newest_first: back,
            limit: query.limit.max(1),
            ..Search::default()
        })?;
        let mut events = Vec::new();
        let stop = self.fill(&mut events, &found.lines, query, &stream);
        events.sort_by_key(|event| (event.time_ms, event.position));
        let first = Position::from(0);
        let end = first_line(found.end);
        let next = stop.or(found.next.map(first_line));
        let origin = from.unwrap_or(if back { end } else { first });
        let reached = next.unwrap_or(if back { first } else { end.max(origin) });
        Ok(Page { events, start: origin.min(reached), end: origin.max(reached), next })
    }

    /// Adds what is wanted of records. Where to continue, if there were too many.
    fn fill(&self, events: &mut Vec<Event>, records: &[Line], query: &Query<'_>, stream: &str) -> Option<Position> {
        let back = query.newest_first;
        for line in records {
            let Ok(record) = serde_json::from_str::<AccessRecord<'_>>(&line.json) else { continue };
            let mut lines: Vec<(u64, String)> = (0..LINES).zip(lines::of(&record, self.level_of(&record))).collect();
            if back {
                lines.reverse();
            }
            for (place, message) in lines {
                let position = Position::from(u128::from(first_line(line.position)) + u128::from(place));
                let is_ahead = query.after.is_none_or(|from| if back { position < from } else { position >= from });
                if !is_ahead || query.pattern.is_some_and(|pattern| !pattern.matches(&message)) {
                    continue;
                }
                if events.len() >= query.limit {
                    return Some(if back { behind(position) } else { position });
                }
                let (time_ms, stream) = (record.time_ms, stream.to_owned());
                events.push(Event { time_ms, ingestion_ms: time_ms, stream, message, position });
            }
        }
        None
    }

    /// One: named as AWS names them, by digits.
    pub(super) fn streams(&self, journal: &Journal) -> io::Result<BTreeMap<String, Stream>> {
        let edge = |newest_first| {
            let search = Search {
                kinds: Kinds::of([Kind::Access]),
                api: Some((&self.api_id, &self.stage)),
                since_ms: self.created,
                newest_first,
                limit: 1,
                ..Search::default()
            };
            let found = journal.search(&search)?;
            let record = found.lines.first().and_then(|line| serde_json::from_str::<AccessRecord<'_>>(&line.json).ok());
            io::Result::Ok(record.map(|record| record.time_ms))
        };
        let name = self.stream();
        let Some((first_ms, last_ms)) = edge(false)?.zip(edge(true)?) else { return Ok(BTreeMap::new()) };
        let events = StreamInfo { name: name.clone(), first_ms, last_ms, last_ingestion_ms: last_ms };
        let stream = Stream { name: name.clone(), created: first_ms, events: Some(events) };
        Ok(BTreeMap::from([(name, stream)]))
    }

    fn stream(&self) -> String {
        let hash = digest(&SHA256, format!("{}/{}", self.api_id, self.stage).as_bytes());
        HEXLOWER.encode(&hash.as_ref()[..16])
    }

    /// By the method that took the request, or all methods of its resource.
    fn level_of(&self, record: &AccessRecord<'_>) -> LogLevel {
        let of_method = |method: &str| self.levels.get(&setting_key(&record.route, method));
        let level = of_method(&record.method).or_else(|| of_method("ANY")).or_else(|| of_method("*"));
        level.copied().unwrap_or(self.level)
    }
}

/// Where to look for the record of a line, or, going back, for it and those before.
fn record_of(position: Position, back: bool) -> Position {
    let position = u128::from(position);
    Position::from(if back { position.div_ceil(u128::from(LINES)) } else { position / u128::from(LINES) })
}

/// Of a record.
fn first_line(record: Position) -> Position {
    Position::from(u128::from(record).saturating_mul(u128::from(LINES)))
}

fn behind(position: Position) -> Position {
    Position::from(u128::from(position) + 1)
}
