//! How much of their usage plans API keys have used, on disk: `DIR/usage.redb`, a line for each plan, key and day.
//!
//! The data plane counts in memory; what it has counted is written here now and then, so a crash loses what was counted
//! since. As with the ledger, the file is never a reason for the gateway not to run.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::RangeInclusive;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition, TableError};

/// How many days are kept, as on AWS.
pub const DAYS: u32 = 90;

/// Plan id, key id, day; requests, the quota's word, what was left of it.
const TABLE: TableDefinition<'_, (&str, &str, u32), (u32, u64, u64)> = TableDefinition::new("usage");

/// The book of what was used. Cheap to clone. Everything blocks: not for an async context.
#[derive(Clone, Debug)]
pub struct UsageBook {
    path: Arc<Path>,
    /// None where it could not be opened, or another process has it.
    database: Arc<RwLock<Option<Database>>>,
    /// Nothing can be kept at present.
    failing: Arc<AtomicBool>,
    /// The disk has failed: redb serves nobody any more until the file is opened again.
    broken: Arc<AtomicBool>,
}

/// A day of an API key under a usage plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageLine {
    /// `usagePlanId`
    pub plan_id: String,
    /// `apiKeyId`
    pub key_id: String,
    /// Days since 1970-01-01 (UTC).
    pub day: u32,
    /// Requests on that day.
    pub used: u32,
    /// How much of the quota was spent, as who counts has it.
    pub spent: u64,
    /// Requests that were left of the quota; the largest number where there is none.
    pub remaining: u64,
}

/// Why the book cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what API keys have used cannot be kept: {why}")]
pub struct UsageError {
    why: String,
    in_use: bool,
}

impl UsageError {
    /// Another process has the book.
    pub fn is_in_use(&self) -> bool {
        self.in_use
    }
}

impl UsageBook {
    /// Opens `data_dir/usage.redb`, or makes it, and forgets what is older than [`DAYS`]. The error says that nothing is
    /// kept, for a person: the book is empty then, and stays so.
    pub fn open(data_dir: &Path, today: u32) -> (Self, Option<UsageError>) {
        let path = data_dir.join("usage.redb");
        let opened = open(&path).and_then(|database| {
            forget(&database, today.saturating_sub(DAYS))?;
            Ok(database)
        });
        let (database, error) = match opened {
            Ok(database) => (Some(database), None),
            Err(error) => (None, Some(error)),
        };
        let failing = Arc::new(AtomicBool::new(error.is_some()));
        let database = Arc::new(RwLock::new(database));
        (Self { path: path.into(), database, failing, broken: Arc::default() }, error)
    }

    /// Whether what is used cannot be kept at present.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Lets another process open it. It is empty until it is reclaimed.
    pub fn release(&self) {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        self.broken.store(false, Ordering::Relaxed);
        *database = None;
    }

    /// Opens again what was released. While another process has it the error [says so](UsageError::is_in_use).
    pub fn reclaim(&self) -> Result<(), UsageError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            self.failing.store(true, Ordering::Relaxed);
            *database = Some(open(&self.path)?);
            self.failing.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    fn database(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines down, in place of those of the same plan, key and day. They are asked for in turn, so that what was asked
    /// for last is also written last.
    pub fn write(&self, lines: impl FnOnce() -> Vec<UsageLine>) -> Result<(), UsageError> {
        if self.broken.load(Ordering::Relaxed) {
            self.reopen()?;
        }
        let database = self.database();
        let Some(database) = &*database else { return Ok(()) };
        let written = write(database, lines);
        self.failing.store(written.is_err(), Ordering::Relaxed);
        self.broken.store(written.is_err(), Ordering::Relaxed);
        written
    }

    fn reopen(&self) -> Result<(), UsageError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Another process may have it by now.
        if self.broken.load(Ordering::Relaxed) {
            // First: it has the file locked.
            *database = None;
            *database = Some(open(&self.path)?);
            self.broken.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The last line of a key under a plan.
    pub fn last(&self, plan_id: &str, key_id: &str) -> Result<Option<UsageLine>, UsageError> {
        Ok(self.days(plan_id, key_id, 0..=u32::MAX)?.pop())
    }

    /// The lines of a key under a plan, in the order of days.
    pub fn days(&self, plan_id: &str, key_id: &str, days: RangeInclusive<u32>) -> Result<Vec<UsageLine>, UsageError> {
        let database = self.database();
        let Some(database) = &*database else { return Ok(Vec::new()) };
        let transaction = database.begin_read().map_err(error)?;
        let table = match transaction.open_table(TABLE) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table.map_err(error)?,
        };
        let range = table.range((plan_id, key_id, *days.start())..=(plan_id, key_id, *days.end())).map_err(error)?;
        range.map(|row| row.map(|(key, value)| line(key.value(), value.value())).map_err(error)).collect()
    }

    /// All keys that have a line under a plan, with these.
    pub fn of_plan(
        &self,
        plan_id: &str,
        days: RangeInclusive<u32>,
    ) -> Result<BTreeMap<String, Vec<UsageLine>>, UsageError> {
        let database = self.database();
        let Some(database) = &*database else { return Ok(BTreeMap::new()) };
        let transaction = database.begin_read().map_err(error)?;
        let table = match transaction.open_table(TABLE) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
            table => table.map_err(error)?,
        };
        let mut found: BTreeMap<String, Vec<UsageLine>> = BTreeMap::new();
        for row in table.range((plan_id, "", 0)..).map_err(error)? {
            let (key, value) = row.map_err(error)?;
            let line = line(key.value(), value.value());
            if line.plan_id != plan_id {
                break;
            }
            if days.contains(&line.day) {
                found.entry(line.key_id.clone()).or_default().push(line);
            }
        }
        Ok(found)
    }
}

/// It is for its owner only. What is damaged is an error that names it: redb panics over some of it.
fn open(path: &Path) -> Result<Database, UsageError> {
    let opened = catch_unwind(|| {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(error)?;
        let is_new = file.metadata().map_err(error)?.len() == 0;
        let backend = FileBackend::new(file).map_err(opening)?;
        Database::builder().set_check_integrity_on_open(!is_new).create_with_backend(backend).map_err(opening)
    });
    let opened = opened.unwrap_or_else(|_| Err(error("it is damaged")));
    opened.map_err(|e| UsageError { why: format!("{}: {}", path.display(), e.why), ..e })
}

fn write(database: &Database, lines: impl FnOnce() -> Vec<UsageLine>) -> Result<(), UsageError> {
    let transaction = database.begin_write().map_err(error)?;
    let lines = lines();
    if lines.is_empty() {
        return transaction.abort().map_err(error);
    }
    {
        let mut table = transaction.open_table(TABLE).map_err(error)?;
        for line in &lines {
            let key = (line.plan_id.as_str(), line.key_id.as_str(), line.day);
            table.insert(key, (line.used, line.spent, line.remaining)).map_err(error)?;
        }
    }
    transaction.commit().map_err(error)
}

fn forget(database: &Database, before: u32) -> Result<(), UsageError> {
    let transaction = database.begin_write().map_err(error)?;
    {
        let mut table = transaction.open_table(TABLE).map_err(error)?;
        table.retain(|(_, _, day), _| day >= before).map_err(error)?;
    }
    transaction.commit().map_err(error)
}

fn line((plan_id, key_id, day): (&str, &str, u32), (used, spent, remaining): (u32, u64, u64)) -> UsageLine {
    UsageLine { plan_id: plan_id.to_owned(), key_id: key_id.to_owned(), day, used, spent, remaining }
}

fn opening(error: DatabaseError) -> UsageError {
    UsageError { why: error.to_string(), in_use: matches!(error, DatabaseError::DatabaseAlreadyOpen) }
}

fn error(error: impl std::fmt::Display) -> UsageError {
    UsageError { why: error.to_string(), in_use: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(plan: &str, key: &str, day: u32, used: u32) -> UsageLine {
        UsageLine { plan_id: plan.into(), key_id: key.into(), day, used, spent: 7, remaining: u64::MAX }
    }

    #[test]
    fn days_are_kept_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let (book, wrong) = UsageBook::open(directory.path(), 1_000);
        assert_eq!(wrong, None);
        let lines =
            [line("p", "a", 1_000, 1), line("p", "a", 1_001, 2), line("p", "b", 1_001, 3), line("q", "a", 1_000, 4)];
        book.write(|| lines.to_vec()).unwrap();
        book.write(|| vec![line("p", "a", 1_001, 9)]).unwrap();
        assert_eq!(book.last("p", "a").unwrap(), Some(line("p", "a", 1_001, 9)));
        assert_eq!(book.last("p", "c").unwrap(), None);
        assert_eq!(book.days("p", "a", 1_000..=1_000).unwrap(), [line("p", "a", 1_000, 1)]);
        let of_plan = book.of_plan("p", 1_001..=1_001).unwrap();
        assert_eq!(of_plan.into_values().flatten().map(|line| line.used).collect::<Vec<_>>(), [9, 3]);
        drop(book);
        let (book, _) = UsageBook::open(directory.path(), 1_001 + DAYS);
        assert_eq!(book.days("p", "a", 0..=u32::MAX).unwrap().len(), 1);
        assert_eq!(book.last("q", "a").unwrap(), None);
    }

    #[test]
    fn it_is_taken_back_once_the_other_process_is_done() {
        let directory = tempfile::tempdir().unwrap();
        let (book, _) = UsageBook::open(directory.path(), 1_000);
        book.release();
        let (other, wrong) = UsageBook::open(directory.path(), 1_000);
        assert_eq!(wrong, None);
        assert!(book.reclaim().unwrap_err().is_in_use());
        other.write(|| vec![line("p", "a", 1_000, 1)]).unwrap();
        drop(other);
        book.reclaim().unwrap();
        book.reclaim().unwrap();
        assert_eq!(book.last("p", "a").unwrap(), Some(line("p", "a", 1_000, 1)));
        std::fs::write(directory.path().join("usage.redb"), "no database").unwrap();
        book.release();
        assert!(!book.reclaim().unwrap_err().is_in_use());
    }

    #[test]
    fn what_cannot_be_opened_keeps_nothing_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("usage.redb"), "no database").unwrap();
        let (book, wrong) = UsageBook::open(directory.path(), 1_000);
        assert!(wrong.is_some());
        book.write(|| vec![line("p", "a", 1_000, 1)]).unwrap();
        assert_eq!(book.last("p", "a").unwrap(), None);
    }
}
