//! Says when records cannot be written, and when they can be again: requests are served meanwhile, so nothing else would show it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use control::metrics::{Collector, DescriptorEncoder, gauge};
use journal::{Journal, Stats};

use crate::answer::warn;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// How far what is on disk is behind what was recorded. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Lag {
    journal: Journal,
    /// When the oldest record came that is not known to be on disk.
    since: Arc<Mutex<Option<Instant>>>,
}

impl Lag {
    pub(super) fn new(journal: Journal) -> Self {
        Self { journal, since: Arc::default() }
    }

    /// Looks once a second whether what was recorded by then is on disk, until it is aborted.
    pub(super) async fn watch(self) {
        let mut on_disk = 0;
        loop {
            tokio::time::sleep(PAUSE).await;
            let records = self.journal.stats().records;
            if records == on_disk {
                continue;
            }
            self.lock().get_or_insert_with(Instant::now);
            if self.journal.synced().await.is_ok() {
                on_disk = records;
                *self.lock() = None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Lag {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let lag = self.lock().map_or(0.0, |since| since.elapsed().as_secs_f64());
        let help = "How long the oldest record waits that is not known to be on disk; 0 where all are.";
        gauge(&mut encoder, "records_lag_seconds", help, [([], lag)])?;
        let waiting = self.journal.stats().waiting as f64;
        gauge(&mut encoder, "records_waiting_bytes", "Bytes of records that wait to be written.", [([], waiting)])
    }
}

/// Until it is aborted.
pub(super) async fn watch(journal: Journal) {
    let mut known = Known::default();
    loop {
        tokio::time::sleep(PAUSE).await;
        if let Some(line) = known.changed(journal.stats()) {
            warn(&line);
        }
    }
}

/// What was said last.
#[derive(Default)]
struct Known {
    failing: bool,
    dropped: u64,
}

impl Known {
    /// What is to be said now, if anything: once when it begins, once when it ends.
    fn changed(&mut self, stats: Stats) -> Option<String> {
        let was_failing = std::mem::replace(&mut self.failing, stats.error.is_some());
        match (was_failing, stats.error) {
            (false, Some(error)) => Some(format!(
                "records are not written, only kept in memory while there is room: {error}; requests are still served"
            )),
            (true, Some(_)) => None,
            (_, None) => {
                let lost = stats.dropped.saturating_sub(std::mem::replace(&mut self.dropped, stats.dropped));
                match (was_failing, lost) {
                    (false, 0) => None,
                    (true, 0) => Some("records are written again; none was lost".to_owned()),
                    (_, lost) => Some(format!("records are written, but {lost} were lost: the disk did not keep up")),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_once_what_begins_and_once_what_ends() {
        let mut known = Known::default();
        let stats =
            |error: Option<&str>, dropped| Stats { error: error.map(str::to_owned), dropped, ..Stats::default() };
        let mut said = |error, dropped| known.changed(stats(error, dropped)).unwrap_or_default();
        assert_eq!(said(None, 0), "");
        assert!(said(Some("no space"), 0).contains("not written, only kept in memory while there is room: no space"));
        assert_eq!(said(Some("no space"), 3), "");
        assert!(said(None, 3).contains("but 3 were lost"));
        assert_eq!(said(None, 3), "");
        assert!(said(None, 4).contains("but 1 were lost"));
        assert!(!said(Some("no space"), 4).is_empty());
        assert!(said(None, 4).contains("none was lost"));
    }
}
