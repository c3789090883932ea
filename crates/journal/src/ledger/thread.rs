//! The thread that writes the ledger.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::bounds::Bounds;
use super::entry::Span;
use super::keeper::{Batch, Keeper, join};
use super::{LedgerError, Shared, closed, tables};

/// From a sighting until it is on disk.
const DELAY: Duration = Duration::from_secs(1);
/// Where batches are large, the thread rests this many times as long as it wrote.
const REST: u32 = 10;
/// Between two attempts to open a file that cannot be used.
const RETRY: Duration = Duration::from_secs(5);

/// The thread's handle.
pub(super) struct Thread {
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Thread {
    /// Opens the file and starts; says what is wrong.
    pub(super) fn start(shared: Arc<Shared>, bounds: Bounds, at_ms: i64) -> (Self, Vec<String>) {
        let mut writer = Writer::new(shared.clone(), bounds);
        let mut notices = writer.open(at_ms);
        let spawned = thread::Builder::new().name("ledger".into()).spawn(move || writer.run());
        let handle = match spawned {
            Ok(handle) => Some(handle),
            Err(error) => {
                shared.queue.close();
                notices.push(format!("clients that are seen are not noted: {error}"));
                None
            }
        };
        (Self { shared, handle: Mutex::new(handle) }, notices)
    }

    pub(super) fn end(&self) {
        self.shared.queue.close();
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            // It does not panic; if it did, there is nobody left to tell.
            let _ = handle.join();
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.end();
    }
}

struct Writer {
    shared: Arc<Shared>,
    bounds: Bounds,
    /// None while the file cannot be used.
    keeper: Option<Keeper>,
    /// When the file was last found to be of no use.
    failed: Option<Instant>,
    /// The file is damaged, as far as reading it on opening would not show.
    damaged: bool,
    /// What was lost since the last batch that was written: that is told in the file too.
    lost: Option<Span>,
}

impl Writer {
    fn new(shared: Arc<Shared>, bounds: Bounds) -> Self {
        Self { shared, bounds, keeper: None, failed: None, damaged: false, lost: None }
    }

    fn run(mut self) {
        let mut batch = Batch::default();
        let mut deadline = None;
        let mut rested = Instant::now();
        loop {
            let waiting = self.shared.queue.take(deadline);
            self.shared.dropped.fetch_add(waiting.dropped.map_or(0, |dropped| dropped.count), Ordering::Relaxed);
            join(&mut batch.dropped, waiting.dropped);
            join(&mut batch.sampled_out, waiting.sampled_out);
            for sighting in waiting.sightings {
                batch.add(sighting);
            }
            if deadline.is_none() && !batch.is_empty() {
                deadline = Some(rested.max(Instant::now() + DELAY));
            }
            let is_due = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if is_due || waiting.closed || !waiting.requests.is_empty() || batch.is_full() {
                let began = Instant::now();
                let written = self.write(std::mem::take(&mut batch));
                if self.keeper.is_some() && self.shared.released.load(Ordering::SeqCst) {
                    self.close_file("another process has them".to_owned());
                    self.failed = None;
                }
                rested = Instant::now() + began.elapsed() * REST;
                deadline = None;
                for request in waiting.requests {
                    // Whoever asked may have stopped waiting.
                    let _ = request.try_send(written.clone());
                }
            }
            if waiting.closed {
                self.close_file(closed().to_string());
                return;
            }
        }
    }

    fn write(&mut self, mut batch: Batch) -> Result<(), LedgerError> {
        let at_ms = batch.time();
        if let Some(at_ms) = at_ms
            && self.keeper.is_none()
            && !self.shared.released.load(Ordering::SeqCst)
            && self.failed.is_none_or(|failed| failed.elapsed() >= RETRY)
        {
            self.open(at_ms);
        }
        let lost = batch.sightings.len() as u64;
        join(&mut batch.dropped, self.lost);
        let dropped = batch.dropped;
        let written = match &mut self.keeper {
            // redb may panic on a file that was damaged under its feet.
            Some(keeper) => catch_unwind(AssertUnwindSafe(|| keeper.write(batch)))
                .unwrap_or_else(|_| Err(LedgerError::Damaged("its structure is broken".to_owned()))),
            None => Err(LedgerError::Unavailable(self.shared.error().unwrap_or_default())),
        };
        match &written {
            Ok(()) => {
                self.lost = None;
                self.count();
            }
            Err(error) => {
                if self.keeper.is_some() {
                    self.damaged = matches!(error, LedgerError::Damaged(_));
                    self.close_file(error.to_string());
                }
                self.shared.dropped.fetch_add(lost, Ordering::Relaxed);
                self.lost = dropped;
                Span::add(&mut self.lost, lost, at_ms.unwrap_or_default());
            }
        }
        written
    }

    /// Opens the file; says what is wrong.
    fn open(&mut self, at_ms: i64) -> Vec<String> {
        if std::mem::take(&mut self.damaged) {
            // Where that fails it is opened as it is, and found damaged again.
            let _ = tables::move_aside(&self.shared.path, at_ms);
        }
        match Keeper::open(&self.shared.path, self.bounds, at_ms) {
            Ok((keeper, moved)) => {
                self.shared.set_database(Some(keeper.database.clone()));
                self.shared.set_error(None);
                self.keeper = Some(keeper);
                self.failed = None;
                self.count();
                let moved = moved.map(|(why, aside)| {
                    format!(
                        "the ledger of clients was damaged ({why}): it begins anew, and the damaged file is {}",
                        aside.display()
                    )
                });
                moved.into_iter().collect()
            }
            Err(error) => {
                self.close_file(error.to_string());
                vec![format!("clients that are seen are not noted until this is mended: {error}")]
            }
        }
    }

    /// Nothing can be written to it as it is.
    fn close_file(&mut self, why: String) {
        self.shared.set_error(Some(why));
        self.shared.set_database(None);
        self.keeper = None;
        self.failed = Some(Instant::now());
    }

    fn count(&self) {
        if let Some(keeper) = &self.keeper {
            let (accepted, strangers) = keeper.counts();
            self.shared.accepted.store(accepted, Ordering::Relaxed);
            self.shared.strangers.store(strangers as u64, Ordering::Relaxed);
        }
    }
}
