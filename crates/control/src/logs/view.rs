//! What is shown of a log group, and where it is read.

use std::collections::BTreeMap;
use std::io;

use journal::{Journal, Page, Query};
use model::UnixMillis;
use model::resource::LogGroup as Group;

use super::execution::Execution;
use super::not_before;
use super::streams::Stream;

/// Which streams of a group there are, and since when their events are shown.
pub(super) struct View {
    pub(super) region: String,
    pub(super) name: String,
    pub(super) not_before: UnixMillis,
    made: BTreeMap<String, UnixMillis>,
    deleted: BTreeMap<String, UnixMillis>,
    /// Of a stage, whose events are made of its requests' records.
    execution: Option<Execution>,
}

impl View {
    /// Of a group, and the stage that it is of, if it is of one that logs.
    pub(super) fn of(group: &Group, execution: Option<Execution>, now: UnixMillis) -> Self {
        Self {
            region: group.region.clone(),
            name: group.name.clone(),
            not_before: not_before(group, now),
            made: group.streams.clone(),
            deleted: group.deleted_streams.clone(),
            execution,
        }
    }

    /// All that it shows.
    pub(super) fn query(&self) -> Query<'_> {
        Query { not_before_ms: self.not_before, ..Query::new(&self.region, &self.name) }
    }

    /// A page of what it shows. Blocks.
    pub(super) fn read(&self, journal: &Journal, query: &Query<'_>) -> io::Result<Page> {
        if let Some(execution) = &self.execution {
            return execution.read(journal, query);
        }
        let mut page = journal.read(query)?;
        page.events.retain(|event| self.shows(&event.stream, event.ingestion_ms));
        Ok(page)
    }

    /// By name. Blocks.
    pub(super) fn streams(&self, journal: &Journal) -> io::Result<BTreeMap<String, Stream>> {
        if let Some(execution) = &self.execution {
            return execution.streams(journal);
        }
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
        Ok(streams)
    }

    /// Whether an event of a stream came in after the stream was last deleted.
    fn shows(&self, stream: &str, ingested: UnixMillis) -> bool {
        self.deleted.get(stream).is_none_or(|deleted| ingested > *deleted)
    }
}
