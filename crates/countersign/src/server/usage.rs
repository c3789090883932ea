//! Keeps what API keys have used: counted in memory, written down every second and when the server stops.

use std::sync::Arc;
use std::time::Duration;

use journal::usage::UsageBook;
use model::Snapshot;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::answer::warn;

/// Between two lines of the same key.
const PAUSE: Duration = Duration::from_secs(1);

/// Until it is aborted. What cannot be written is told once, and tried again.
pub(super) async fn keep(book: UsageBook, snapshots: watch::Receiver<Arc<Snapshot>>) {
    let mut failing = false;
    loop {
        tokio::time::sleep(PAUSE).await;
        let (book, snapshot) = (book.clone(), snapshots.borrow().clone());
        let written = spawn_blocking(move || control::usage::write(&book, &snapshot)).await;
        let error = written.ok().and_then(Result::err);
        if let Some(error) = error.as_ref().filter(|_| !failing) {
            warn(&format!("{error}; requests are still served and counted"));
        }
        failing = error.is_some();
    }
}
