//! The queries that were asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws::logs::{QueryInfo, QueryLanguage, QueryStatus};
use aws::{Caller, Error};
use journal::insights::ResultRow;
use model::UnixMillis;
use tokio::sync::Semaphore;

use super::super::view::View;
use super::run::Run;

/// Queries that run at one time; others wait.
const MAX_RUNNING: usize = 2;
/// That wait or run (AWS: 100).
const MAX_UNDER_WAY: usize = 30;
/// That are remembered, and for how long after they ended.
const MAX_KEPT: usize = 200;
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Of all results that are remembered.
const MAX_RESULT_BYTES: usize = 128 << 20;

/// All of them, oldest first.
pub(crate) struct Queries {
    asked: Mutex<VecDeque<Arc<Asked>>>,
    running: Arc<Semaphore>,
}

/// A query that was asked.
pub(super) struct Asked {
    pub(super) id: String,
    /// Names.
    pub(super) groups: Vec<String>,
    text: String,
    region: String,
    created: UnixMillis,
    began: Instant,
    progress: Mutex<Progress>,
}

/// How far it is.
#[derive(Clone)]
pub(super) struct Progress {
    pub(super) status: QueryStatus,
    pub(super) scanned: u64,
    pub(super) matched: u64,
    pub(super) bytes: u64,
    pub(super) rows: Arc<Vec<ResultRow>>,
    took: Option<Duration>,
}

impl Default for Queries {
    fn default() -> Self {
        Self { asked: Mutex::default(), running: Arc::new(Semaphore::new(MAX_RUNNING)) }
    }
}

impl Queries {
    /// Has a query run; the answer is its id.
    pub(super) fn start(&self, asked: Asked, run: Run) -> Result<String, Error> {
        let asked = Arc::new(asked);
        let mut all = self.lock();
        if all.iter().filter(|asked| asked.is_under_way()).count() >= MAX_UNDER_WAY {
            let message = format!("There are {MAX_UNDER_WAY} queries under way: wait until one of them has ended.");
            return Err(Error::client("LimitExceededException", message));
        }
        forget(&mut all);
        all.push_back(Arc::clone(&asked));
        drop(all);
        let (id, running) = (asked.id.clone(), Arc::clone(&self.running));
        tokio::spawn(async move {
            // It is never closed.
            let Ok(_permit) = running.acquire_owned().await else { return };
            if asked.begin() {
                let ending = Arc::clone(&asked);
                let ended = tokio::task::spawn_blocking(move || run.through(&asked)).await;
                ending.end(ended.unwrap_or(Err(QueryStatus::Failed)));
            }
        });
        Ok(id)
    }

    /// One of the caller's region.
    pub(super) fn find(&self, caller: &Caller, id: &str) -> Result<Arc<Asked>, Error> {
        let found = self.lock().iter().find(|asked| asked.id == id && asked.region == caller.region).cloned();
        found.ok_or_else(|| {
            Error::resource_not_found(format!("The query {id} does not exist; results are kept for an hour."))
        })
    }

    /// Those of the caller's region, newest first.
    pub(super) fn of(&self, caller: &Caller) -> Vec<Arc<Asked>> {
        self.lock().iter().rev().filter(|asked| asked.region == caller.region).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Asked>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room, oldest first; what is under way stays.
fn forget(all: &mut VecDeque<Arc<Asked>>) {
    all.retain(|asked| asked.is_under_way() || asked.began.elapsed() < KEPT_FOR);
    let mut bytes: usize = all.iter().map(|asked| asked.weight()).sum();
    let mut count = all.len();
    all.retain(|asked| {
        let stays = asked.is_under_way() || (count < MAX_KEPT && bytes <= MAX_RESULT_BYTES);
        if !stays {
            bytes = bytes.saturating_sub(asked.weight());
            count -= 1;
        }
        stays
    });
}

impl Asked {
    /// Where it stands among others, the newest last.
    pub(super) fn place(&self) -> String {
        format!("{:020}:{}", self.created.max(0), self.id)
    }

    pub(super) fn new(caller: &Caller, id: String, text: String, views: &[View], created: UnixMillis) -> Self {
        let progress = Progress {
            status: QueryStatus::Scheduled,
            scanned: 0,
            matched: 0,
            bytes: 0,
            rows: Arc::default(),
            took: None,
        };
        Self {
            id,
            groups: views.iter().map(|view| view.name.clone()).collect(),
            text,
            region: caller.region.clone(),
            created,
            began: Instant::now(),
            progress: Mutex::new(progress),
        }
    }

    pub(super) fn progress(&self) -> Progress {
        self.lock().clone()
    }

    /// Whether it was still to be stopped.
    pub(super) fn cancel(&self) -> bool {
        let is_under_way = self.is_under_way();
        if is_under_way {
            self.lock().status = QueryStatus::Cancelled;
        }
        is_under_way
    }

    /// Tells how many events more were looked at. Whether to go on.
    pub(super) fn advance(&self, scanned: u64, matched: u64, bytes: u64) -> bool {
        let mut progress = self.lock();
        progress.scanned += scanned;
        progress.matched += matched;
        progress.bytes += bytes;
        progress.status == QueryStatus::Running
    }

    pub(super) fn info(&self) -> QueryInfo {
        let progress = self.progress();
        let took = progress.took.and_then(|took| i64::try_from(took.as_millis()).ok());
        #[expect(clippy::cast_precision_loss, reason = "AWS's statistics are such numbers")]
        let bytes = progress.bytes as f64;
        QueryInfo {
            query_language: Some(QueryLanguage::Cwli),
            query_id: Some(self.id.clone()),
            query_string: Some(self.text.clone()),
            status: Some(progress.status),
            create_time: Some(self.created),
            log_group_name: self.groups.first().filter(|_| self.groups.len() == 1).cloned(),
            query_duration: took,
            bytes_scanned: Some(bytes),
            ..Default::default()
        }
    }

    /// Whether it is still wanted.
    fn begin(&self) -> bool {
        let mut progress = self.lock();
        let is_wanted = progress.status == QueryStatus::Scheduled;
        if is_wanted {
            progress.status = QueryStatus::Running;
        }
        is_wanted
    }

    fn end(&self, rows: Result<Vec<ResultRow>, QueryStatus>) {
        let mut progress = self.lock();
        progress.took = Some(self.began.elapsed());
        if progress.status == QueryStatus::Running {
            match rows {
                Ok(rows) => {
                    progress.status = QueryStatus::Complete;
                    progress.rows = Arc::new(rows);
                }
                Err(status) => progress.status = status,
            }
        }
    }

    fn is_under_way(&self) -> bool {
        matches!(self.lock().status, QueryStatus::Scheduled | QueryStatus::Running)
    }

    fn weight(&self) -> usize {
        let rows = Arc::clone(&self.lock().rows);
        let of_row =
            |row: &ResultRow| row.iter().map(|(name, value)| name.len() + value.len() + 48).sum::<usize>() + 24;
        rows.iter().map(of_row).sum::<usize>() + self.text.len()
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
