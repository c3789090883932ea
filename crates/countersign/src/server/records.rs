//! Says when records cannot be written, and when they can be again: requests are served meanwhile, so nothing else would show it.

use std::time::Duration;

use journal::{Journal, Stats};

use crate::answer::warn;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

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
