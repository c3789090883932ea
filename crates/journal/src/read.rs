//! Reading the journal as CloudWatch Logs does: log groups and streams are views of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::columns::Lines;
use crate::filter::Pattern;
use crate::journal::Journal;
use crate::record::{AccessRecord, Head};
use crate::request_id;
use crate::segment::{Block, Segment, Source, Span};

/// Bytes of messages at which a page is full. With one more of [`MAX_MESSAGE_BYTES`](crate::MAX_MESSAGE_BYTES) it is
/// CloudWatch Logs' own limit, 1 MB.
const PAGE_BYTES: usize = 768 * 1024;
/// Bytes that are read for one page. A page that ends here has a [`Page::next`], even where it is empty.
const SCAN_BYTES: u64 = 128 * 1024 * 1024;
/// How long after its answer the record of a request may still be on its way: a core that has sent an answer writes the record
/// next, and may be made to wait in between.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Which events of a log group are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Region of the log group.
    pub region: &'a str,
    /// Name of the log group.
    pub group: &'a str,
    /// Which of its streams.
    pub streams: Streams<'a>,
    /// First millisecond that is wanted.
    pub start_ms: i64,
    /// First millisecond that is no longer wanted (`GetLogEvents` counts so; `FilterLogEvents`' `endTime` is included, so
    /// add one).
    pub end_ms: i64,
    /// Nothing older than this is shown: when the group was created, or what its retention leaves.
    pub not_before_ms: i64,
    /// Events whose message matches.
    pub pattern: Option<&'a Pattern>,
    /// From here: what lies behind it, or with `newest_first` what lies before it. From the end of the log that reading
    /// begins at when `None`.
    pub after: Option<Position>,
    /// Take the newest events instead of the oldest. In a page they are in order of time all the same.
    pub newest_first: bool,
    /// Events in a page.
    pub limit: usize,
}

/// Streams of a log group.
#[derive(Clone, Copy, Debug)]
pub enum Streams<'a> {
    /// All of them.
    All,
    /// These.
    Named(&'a [String]),
    /// Those whose names begin so.
    Prefixed(&'a str),
}

/// A boundary between two lines of the journal. Prints as 32 hexadecimal digits, and as a number is a fit event id: later
/// lines have greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub(crate) u64);

/// A part of what a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In order of time, and of arrival where times are equal.
    pub events: Vec<Event>,
    /// Everything between this and `end` has been looked at. A query for older events continues here (`newest_first`),
    pub start: Position,
    /// and one for newer events here; also once there are more.
    pub end: Position,
    /// Where to continue in the query's direction; `None` when nothing is left there at present.
    pub next: Option<Position>,
}

/// A line of a log stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds.
    pub time_ms: i64,
    /// When it came in, in milliseconds.
    pub ingestion_ms: i64,
    /// Name of its stream.
    pub stream: String,
    /// The line.
    pub message: String,
    /// Where it begins; no other event has the same.
    pub position: Position,
}

/// A log stream that has events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its name.
    pub name: String,
    /// Time of its first event, in milliseconds.
    pub first_ms: i64,
    /// Time of its last event, in milliseconds.
    pub last_ms: i64,
    /// When its last event came in, in milliseconds.
    pub last_ingestion_ms: i64,
}

impl<'a> Query<'a> {
    /// The oldest 10,000 events of the group, whenever they were.
    pub fn new(region: &'a str, group: &'a str) -> Self {
        Self {
            region,
            group,
            streams: Streams::All,
            start_ms: i64::MIN,
            end_ms: i64::MAX,
            not_before_ms: i64::MIN,
            pattern: None,
            after: None,
            newest_first: false,
            limit: 10_000,
        }
    }

    fn is_of(&self, source: &Source) -> bool {
        source.group == self.group && source.region == self.region && self.streams.contain(&source.stream)
    }

    fn wants_time(&self, first_ms: i64, last_ms: i64) -> bool {
        last_ms >= self.start_ms.max(self.not_before_ms) && first_ms < self.end_ms
    }

    fn wants_block(&self, segment: &Segment, block: &Block) -> bool {
        block
            .spans
            .iter()
            .any(|(source, span)| self.wants_time(span.first_ms, span.last_ms) && self.is_of(&segment.sources[*source]))
    }

    fn event(&self, json: &[u8], position: Position) -> Option<Event> {
        let head = Head::of(json)?;
        let wanted = head.group == self.group
            && head.region == self.region
            && self.wants_time(head.time_ms, head.time_ms)
            && self.streams.contain(&head.stream)
            && self.pattern.is_none_or(|pattern| pattern.matches(&head.message));
        wanted.then(|| Event {
            time_ms: head.time_ms,
            ingestion_ms: head.ingested_ms(),
            stream: head.stream.into_owned(),
            message: head.message.into_owned(),
            position,
        })
    }
}

impl Streams<'_> {
    fn contain(&self, stream: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|name| name == stream),
            Self::Prefixed(prefix) => stream.starts_with(prefix),
        }
    }
}

impl Journal {
    /// Events of a log group, all that was appended by now among them: waits up to a second for writers to hand over. Reads
    /// at most 128 MiB; blocks.
    ///
    /// Lines that are damaged are left out; [`open`](Self::open) and [`verify`](Self::verify) name them. Fails where a file
    /// cannot be read.
    pub fn read(&self, query: &Query<'_>) -> io::Result<Page> {
        self.catch_up();
        self.with_segments(|segments| self.page(query, segments))
    }

    fn page(&self, query: &Query<'_>, segments: &[Arc<Segment>]) -> io::Result<Page> {
        let begin = Position(segments.first().map_or(0, |segment| segment.first));
        let end = end(segments);
        let back = query.newest_first;
        let from = query.after.unwrap_or(if back { end } else { begin });
        let mut reading = Reading { query, from, events: Vec::new(), bytes: 0, scanned: 0 };
        let stop = self.read_segments(&mut reading, segments)?;
        let reached = stop.unwrap_or(if back { begin.min(from) } else { end.max(from) });
        let mut events = reading.events;
        events.sort_by_key(|event| (event.time_ms, event.position));
        Ok(Page {
            events,
            start: from.min(reached),
            end: from.max(reached),
            next: stop.filter(|&stop| if back { stop > begin } else { stop < end }),
        })
    }

    /// Streams of a log group that have events not older than `not_before_ms`, in order of name. Blocks.
    pub fn streams(&self, region: &str, group: &str, not_before_ms: i64) -> Vec<StreamInfo> {
        self.catch_up();
        let mut found: BTreeMap<String, Span> = BTreeMap::new();
        for segment in self.shared.segments() {
            for (number, span) in segment.blocks.iter().flat_map(|block| &block.spans) {
                let source = &segment.sources[*number];
                if source.group == group && source.region == region && span.last_ms >= not_before_ms {
                    found.entry(source.stream.clone()).or_insert(*span).widen(*span);
                }
            }
        }
        let info = |(name, span): (String, Span)| StreamInfo {
            name,
            first_ms: span.first_ms.max(not_before_ms),
            last_ms: span.last_ms,
            last_ingestion_ms: span.ingested_ms,
        };
        found.into_iter().map(info).collect()
    }

    /// The record of a request; looks at the newest first. Reads everything there is if need be, and waits a second for what
    /// may be on its way: who asks may have had the answer to the request only just now. Blocks.
    pub fn find_request(&self, request_id: &str) -> io::Result<Option<AccessRecord<'static>>> {
        Ok(self.find(request_id)?.map(|(_, record)| record))
    }

    /// Where that record is. As [`find_request`](Self::find_request).
    pub fn position_of_request(&self, request_id: &str) -> io::Result<Option<Position>> {
        Ok(self.find(request_id)?.map(|(position, _)| position))
    }

    fn find(&self, request_id: &str) -> io::Result<Option<(Position, AccessRecord<'static>)>> {
        let until = Instant::now() + ON_ITS_WAY;
        let mut seen = Position(0);
        loop {
            self.catch_up();
            let found = self.with_segments(|segments| self.find_behind(seen, segments, request_id))?;
            if let (Some(_), _) | (None, true) = (&found.0, Instant::now() >= until) {
                return Ok(found.0);
            }
            seen = found.1;
            self.shared.wait_for_writers(until);
        }
    }

    /// The newest record with a request id, among the lines behind a position; and where these end.
    fn find_behind(
        &self,
        seen: Position,
        segments: &[Arc<Segment>],
        request_id: &str,
    ) -> io::Result<(Option<(Position, AccessRecord<'static>)>, Position)> {
        let finder = memchr::memmem::Finder::new(request_id);
        let not_before = request_id::began_ms(request_id).unwrap_or(i64::MIN);
        let wanted = |block: &&Block| block.last() > seen.0 && block.last_ms() >= not_before;
        // A request is recorded when it ends, most soon after it began: where that is known, it is looked for from there on.
        let back = not_before == i64::MIN;
        for segment in ordered(segments.iter().filter(|segment| segment.end() > seen.0), back) {
            let mut open = None;
            for block in ordered(segment.blocks.iter(), back).filter(wanted) {
                let open = match &mut open {
                    Some(open) => open,
                    unopened => unopened.insert(segment.open(&self.shared)?),
                };
                let lines = open.block(block)?;
                if finder.find(lines.as_bytes()).is_none() {
                    continue;
                }
                let numbered = lines.iter().enumerate().rev();
                let mut records = numbered.filter_map(|(number, json)| Some((number, access_record(json, &finder)?)));
                if let Some((number, record)) = records.find(|(_, record)| record.request_id == request_id) {
                    let position = Position(block.first + number as u64);
                    return Ok((Some((position, record)), end(segments)));
                }
            }
        }
        Ok((None, end(segments)))
    }

    /// Does something with the segments as they are; again, where one of them was sealed or pruned while it was read.
    pub(crate) fn with_segments<T>(&self, mut read: impl FnMut(&[Arc<Segment>]) -> io::Result<T>) -> io::Result<T> {
        let mut segments = self.shared.segments();
        loop {
            match read(&segments) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let now = self.shared.segments();
                    let same = |(one, other): (&Arc<Segment>, &Arc<Segment>)| one.same_form(other);
                    if now.len() == segments.len() && segments.iter().zip(&now).all(same) {
                        return Err(error);
                    }
                    segments = now;
                }
                result => return result,
            }
        }
    }

    pub(crate) fn catch_up(&self) {
        self.shared.settle();
        // What a failing disk has not taken cannot be shown yet; the rest can.
        let _ = self.barrier();
    }

    /// Where the page was full, if so.
    fn read_segments(&self, reading: &mut Reading<'_>, segments: &[Arc<Segment>]) -> io::Result<Option<Position>> {
        let back = reading.query.newest_first;
        for segment in ordered(segments.iter(), back) {
            let mut open = None;
            for block in ordered(segment.blocks.iter(), back) {
                if !reading.wants(segment, block) {
                    continue;
                }
                let open = match &mut open {
                    Some(open) => open,
                    unopened => unopened.insert(segment.open(&self.shared)?),
                };
                if let Some(stop) = reading.read_block(block, &open.block(block)?) {
                    return Ok(Some(stop));
                }
            }
        }
        Ok(None)
    }
}

/// A page that is being filled.
struct Reading<'a> {
    query: &'a Query<'a>,
    from: Position,
    events: Vec<Event>,
    /// Of their messages.
    bytes: usize,
    /// Read from disk.
    scanned: u64,
}

impl Reading<'_> {
    fn wants(&self, segment: &Segment, block: &Block) -> bool {
        let ahead = match self.query.newest_first {
            true => block.first < self.from.0,
            false => block.last() > self.from.0,
        };
        ahead && self.query.wants_block(segment, block)
    }

    /// Where the page is full, if so.
    fn read_block(&mut self, block: &Block, lines: &Lines) -> Option<Position> {
        let back = self.query.newest_first;
        for (number, json) in ordered(lines.iter().enumerate(), back) {
            let start = Position(block.first + number as u64);
            let end = Position(start.0 + 1);
            if if back { end > self.from } else { start < self.from } {
                continue;
            }
            if let Some(event) = self.query.event(json, start) {
                self.bytes += event.message.len();
                self.events.push(event);
                if self.events.len() >= self.query.limit || self.bytes >= PAGE_BYTES {
                    return Some(if back { start } else { end });
                }
            }
        }
        self.scanned += lines.as_bytes().len() as u64;
        let edge = if back { block.first } else { block.last() };
        (self.scanned >= SCAN_BYTES).then_some(Position(edge))
    }
}

impl From<Position> for u128 {
    fn from(position: Position) -> Self {
        Self::from(position.0)
    }
}

impl From<u128> for Position {
    fn from(number: u128) -> Self {
        Self(u64::try_from(number).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from(*self))
    }
}

/// Text that is no [`Position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position: 32 hexadecimal digits")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(PositionError);
        }
        u128::from_str_radix(text, 16).map(Self::from).map_err(|_| PositionError)
    }
}

/// Behind the last line.
pub(crate) fn end(segments: &[Arc<Segment>]) -> Position {
    Position(segments.last().map_or(0, |segment| segment.end()))
}

/// Forward, or from the end.
pub(crate) fn ordered<T>(mut items: impl DoubleEndedIterator<Item = T>, back: bool) -> impl Iterator<Item = T> {
    std::iter::from_fn(move || if back { items.next_back() } else { items.next() })
}

fn access_record(json: &[u8], contains: &memchr::memmem::Finder<'_>) -> Option<AccessRecord<'static>> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow)]
        kind: Cow<'a, str>,
    }

    contains.find(json)?;
    let kind: Kind<'_> = serde_json::from_slice(json).ok()?;
    if kind.kind != "access" {
        return None;
    }
    serde_json::from_slice(json).ok()
}
