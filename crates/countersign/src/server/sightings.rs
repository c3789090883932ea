//! Says when the clients that are seen cannot be noted, and when they can be again: nothing else would show it.

use std::time::Duration;

use journal::ledger::Ledger;

use crate::answer::warn;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Until it is aborted. What was wrong when the ledger was opened has been told.
pub(super) async fn watch(ledger: Ledger) {
    let mut failing = ledger.stats().error.is_some();
    loop {
        tokio::time::sleep(PAUSE).await;
        let error = ledger.stats().error;
        if failing != error.is_some() {
            failing = error.is_some();
            warn(&text(error.as_deref()));
        }
    }
}

fn text(error: Option<&str>) -> String {
    match error {
        Some(error) => format!("clients that are seen are not noted: {error}; requests are still served"),
        None => "clients that are seen are noted again".to_owned(),
    }
}
