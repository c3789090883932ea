//! Tells a witness of every checkpoint, so that whoever changes records here is found out by what is held there.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Flag, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand;
use journal::Journal;
use journal::note::Checkpoint;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::backoff::Backoff;
use super::objects::Objects;
use super::outgoing::{Outgoing, refused};
use super::sender::Trouble;
use crate::answer::{Failure, warn};
use crate::config::Target;

/// Where checkpoints are held elsewhere.
pub(crate) struct Witness {
    place: Place,
    told: Mutex<Option<Arc<str>>>,
    failing: Failing,
}

enum Place {
    /// Notes stand one behind the other, with an empty line between them.
    File(PathBuf),
    /// Each note is posted.
    Http { url: String, outgoing: Outgoing },
    /// Each note is an object of its own, so that one that is locked is never written over.
    S3(Objects),
}

/// Since when it does not work.
#[derive(Default)]
struct Failing {
    since: Flag<Option<Instant>>,
    is_told: AtomicBool,
}

/// For so long a witness may not be told before that is a fault.
const FAULT_AFTER: Duration = Duration::from_secs(60);
const LAST_MOMENTS: Duration = Duration::from_secs(3);

impl Witness {
    /// Objects are told apart from those of other servers by `instance`.
    pub(crate) fn new(target: &Target, instance: &str) -> Result<Self, Failure> {
        let place = match target {
            Target::File { path, .. } => Place::File(path.clone()),
            Target::Webhook { url, http, .. } => {
                let outgoing = Outgoing::new(http.ca_file.as_deref(), http.headers_file.clone())?;
                Place::Http { url: url.clone(), outgoing }
            }
            Target::S3(bucket) => Place::S3(Objects::new(bucket, instance)?),
            Target::Stdout { .. } | Target::Otlp { .. } | Target::CloudwatchLogs { .. } => {
                return Err(Failure::new("audit.witness: expected type = \"file\", \"webhook\" or \"s3\""));
            }
        };
        Ok(Self { place, told: Mutex::default(), failing: Failing::default() })
    }

    /// Until it is aborted.
    pub(crate) async fn follow(self: Arc<Self>, journal: Journal) {
        let (mut checkpoints, mut backoff) = (journal.checkpoints(), Backoff::default());
        loop {
            let ended = match self.tell_newest(&journal).await {
                Ok(()) => {
                    backoff.reset();
                    checkpoints.changed().await.is_err()
                }
                Err(trouble) => {
                    let mut random = [0];
                    // Without randomness the pause is as long as it can be.
                    let _ = rand::fill(&mut random);
                    tokio::time::sleep(backoff.pause(trouble.after(), random[0])).await;
                    false
                }
            };
            if ended {
                return;
            }
        }
    }

    /// Tells it of what was signed for last, while there is time.
    pub(crate) async fn tell_last(&self, journal: &Journal) {
        let _ = timeout(LAST_MOMENTS, self.tell_newest(journal)).await;
    }

    /// Whether it has not been told for a while.
    pub(crate) fn fails(&self) -> bool {
        let since = *self.failing.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= FAULT_AFTER)
    }

    /// Tells it of the newest checkpoint, if it was not told of it. Those between are left out: a checkpoint is about all records
    /// before it.
    async fn tell_newest(&self, journal: &Journal) -> Result<(), Trouble> {
        let mut told = self.told.lock().await;
        let newest = journal.checkpoint().filter(|newest| told.as_ref() != Some(newest));
        let Some(newest) = newest else { return Ok(()) };
        let result = self.place.put(&newest, journal).await;
        self.failing.note(&result, &self.place);
        if result.is_ok() {
            *told = Some(newest);
        }
        result
    }
}

impl Place {
    async fn put(&self, note: &Arc<str>, journal: &Journal) -> Result<(), Trouble> {
        match self {
            Self::File(path) => {
                let (path, note) = (path.clone(), note.clone());
                let appended = spawn_blocking(move || append(&path, &note)).await;
                appended.unwrap_or_else(|e| Err(io::Error::other(e))).map_err(|e| Trouble::later(e.to_string()))
            }
            Self::Http { url, outgoing } => {
                let answer = outgoing.post(url, "text/plain; charset=utf-8", note.as_bytes().to_vec()).await?;
                if answer.status.is_success() { Ok(()) } else { Err(refused(&answer)) }
            }
            Self::S3(objects) => {
                let checkpoint = journal.verifier().and_then(|verifier| verifier.checkpoint(note).ok());
                let name = checkpoint.map_or_else(|| "checkpoint".to_owned(), |of| name(&of));
                objects.put(&name, note.as_bytes().to_vec()).await
            }
        }
    }

    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Http { url, .. } => url.clone(),
            Self::S3(_) => "in S3".to_owned(),
        }
    }
}

impl Failing {
    /// Told once when it begins.
    fn note(&self, result: &Result<(), Trouble>, place: &Place) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => {
                *since = None;
                self.is_told.store(false, Ordering::Relaxed);
            }
            Err(trouble) => {
                since.get_or_insert_with(Instant::now);
                if !self.is_told.swap(true, Ordering::Relaxed) {
                    let why = trouble.why();
                    warn(&format!("the witness {} is not told of checkpoints: {why}; it is tried again", place.name()));
                }
            }
        }
    }
}

/// In order of names, checkpoints are in order.
fn name(checkpoint: &Checkpoint) -> String {
    format!("checkpoints/{:016x}", checkpoint.size)
}

fn append(path: &Path, note: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).mode(0o644).open(path)?;
    file.write_all(format!("{note}\n").as_bytes())?;
    file.sync_data()
}
