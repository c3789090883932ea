//! Records that are older than they have to be kept.

use std::time::Duration;

use journal::Journal;
use tokio::task::spawn_blocking;

use crate::answer::warn;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(60 * 60);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Until it is aborted. `days` of 0 keep everything.
pub(super) async fn keep(journal: Journal, days: u32, now_ms: fn() -> i64) {
    if days == 0 {
        return;
    }
    loop {
        let (journal, before_ms) = (journal.clone(), now_ms() - i64::from(days) * DAY_MS);
        if let Ok(Err(e)) = spawn_blocking(move || journal.prune(before_ms)).await {
            warn(&format!("records that need not be kept any longer are not removed: {e}"));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
