//! A query that runs: over its groups one by one, page by page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws::logs::QueryStatus;
use journal::insights::{Execution, Query, ResultRow, Source};
use journal::{Journal, Query as Wanted};

use super::super::record::Pointer;
use super::super::view::View;
use super::asked::Asked;

/// AWS's is an hour.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What is asked, and of what.
pub(super) struct Run {
    pub(super) query: Arc<Query>,
    pub(super) limit: Option<usize>,
    pub(super) views: Vec<View>,
    pub(super) account: String,
    pub(super) start_ms: i64,
    /// Included.
    pub(super) end_ms: i64,
    pub(super) now_ms: i64,
    pub(super) journal: Journal,
}

impl Run {
    /// Runs it. The error is how it ended otherwise. Blocks.
    pub(super) fn through(self, asked: &Asked) -> Result<Vec<ResultRow>, QueryStatus> {
        let deadline = Instant::now() + TIMEOUT;
        let mut execution = Execution::new(Arc::clone(&self.query), self.now_ms, self.limit);
        for view in &self.views {
            self.over(view, &mut execution, asked, deadline)?;
        }
        Ok(execution.finish())
    }

    fn over(
        &self,
        view: &View,
        execution: &mut Execution,
        asked: &Asked,
        deadline: Instant,
    ) -> Result<(), QueryStatus> {
        let log: Arc<str> = format!("{}:{}", self.account, view.name).into();
        let mut after = None;
        loop {
            let wanted =
                Wanted { start_ms: self.start_ms, end_ms: self.end_ms.saturating_add(1), after, ..view.query() };
            let page = view.read(&self.journal, &wanted).map_err(|_| QueryStatus::Failed)?;
            let (mut matched, mut bytes) = (0, 0);
            let scanned = page.events.len() as u64;
            for event in page.events {
                bytes += event.message.len() as u64;
                let source = Source {
                    time_ms: event.time_ms,
                    ingestion_ms: event.ingestion_ms,
                    pointer: Pointer { group: view.name.clone(), position: event.position }.to_string(),
                    stream: event.stream,
                    log: Arc::clone(&log),
                    message: event.message,
                };
                matched += u64::from(execution.push(source).map_err(|_| QueryStatus::Failed)?);
            }
            if !asked.advance(scanned, matched, bytes) {
                return Err(QueryStatus::Cancelled);
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(QueryStatus::Timeout);
            }
        }
    }
}
