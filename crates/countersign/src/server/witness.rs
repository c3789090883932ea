//! Tells a witness of every checkpoint, so that whoever changes records here is found out by what is held there.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::Journal;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::answer::warn;

/// Where checkpoints are held elsewhere.
pub(super) struct Witness {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    told: Option<Arc<str>>,
    failing: bool,
}

impl Witness {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, state: Mutex::default() }
    }

    /// Until it is aborted.
    pub(super) async fn follow(self: Arc<Self>, journal: Journal) {
        let mut checkpoints = journal.checkpoints();
        loop {
            self.tell_newest(&journal).await;
            if checkpoints.changed().await.is_err() {
                return;
            }
        }
    }

    /// Tells it of the newest checkpoint, if it was not told of it. What could not be told is told with the next: a checkpoint is
    /// about all records before it.
    pub(super) async fn tell_newest(&self, journal: &Journal) {
        let mut state = self.state.lock().await;
        let newest = journal.checkpoint().filter(|newest| state.told.as_ref() != Some(newest));
        let Some(newest) = newest else { return };
        let (path, note) = (self.file.clone(), newest.clone());
        let told = spawn_blocking(move || append(&path, &note)).await.unwrap_or_else(|e| Err(io::Error::other(e)));
        match told {
            Ok(()) => *state = State { told: Some(newest), failing: false },
            Err(e) if !state.failing => {
                warn(&format!("the witness {} is not told of checkpoints: {e}", self.file.display()));
                state.failing = true;
            }
            Err(_) => {}
        }
    }
}

/// Notes stand one behind the other, with an empty line between them.
fn append(path: &Path, note: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(path)?;
    file.write_all(format!("{note}\n").as_bytes())?;
    file.sync_data()
}
