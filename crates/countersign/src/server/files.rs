//! What lies in the data directory, opened; what is wrong with it is told by name.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use control::objects::Objects;
use journal::ledger::Ledger;
use journal::note::{self, Signer};
use journal::usage::UsageBook;
use journal::{Journal, Options};
use model::{Keyring, Snapshot};
use tokio::sync::watch;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::settings_store::{SettingsStore, blocking};
use crate::answer::{Failure, warn};
use crate::config::{Audit, Config, SealingKey};
use crate::data_dir::DataDir;

/// What lies in the data directory.
pub(super) struct Files {
    pub(super) keyring: Arc<Keyring>,
    pub(super) settings: SettingsStore,
    pub(super) objects: Arc<Objects>,
    pub(super) journal: Journal,
    pub(super) ledger: Ledger,
    pub(super) usage: UsageBook,
}

/// Those that one process at a time has open.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) settings: SettingsStore,
    pub(super) objects: Arc<Objects>,
    pub(super) journal: Journal,
    pub(super) ledger: Ledger,
    usage: UsageBook,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Held {
    /// Lets another process open them. Blocks. What API keys use from then on until all requests have ended is in no book.
    pub(super) fn release(&self) -> io::Result<()> {
        self.journal.release()?;
        self.write_usage();
        self.usage.release();
        self.ledger.release();
        self.objects.release();
        self.settings.release();
        Ok(())
    }

    /// Opens again what was released. Fails while another process has any of it, and can be called once more then. Blocks.
    pub(super) fn reclaim(&self) -> Result<(), Failure> {
        self.settings.reclaim().map_err(|e| Failure::new(e.to_string()))?;
        self.objects.reclaim().map_err(|e| Failure::new(e.to_string()))?;
        match self.usage.reclaim() {
            Err(e) if e.is_in_use() => return Err(Failure::new(e.to_string())),
            Err(e) => warn(&e.to_string()),
            Ok(()) => {}
        }
        // Last, since whoever has it is not asked again for a while.
        self.ledger.reclaim();
        self.journal.reclaim().map_err(|e| Failure::new(e.to_string()))
    }

    /// Writes down what API keys have used. Blocks.
    pub(super) fn write_usage(&self) {
        if let Err(e) = control::usage::write(&self.usage, &self.snapshots.borrow()) {
            warn(&e.to_string());
        }
    }
}

impl Files {
    pub(super) fn held(&self, snapshots: watch::Receiver<Arc<Snapshot>>) -> Held {
        Held {
            settings: self.settings.clone(),
            objects: self.objects.clone(),
            journal: self.journal.clone(),
            ledger: self.ledger.clone(),
            usage: self.usage.clone(),
            snapshots,
        }
    }

    /// Where another process has handed them over (`is_successor`), what it had under way may hold them for a moment yet.
    pub(super) async fn open(dir: &DataDir, config: &Config, is_successor: bool) -> Result<Self, Failure> {
        let mut tries = if is_successor { SUCCESSORS_TRIES } else { 1 };
        loop {
            tries -= 1;
            match Self::open_all(dir, config).await {
                Err(_) if tries > 0 => sleep(PAUSE).await,
                opened => return opened,
            }
        }
    }

    async fn open_all(dir: &DataDir, config: &Config) -> Result<Self, Failure> {
        let (keyring, settings) = SettingsStore::open(dir, config).await?;
        let (dir, audit) = (dir.clone(), config.audit.clone());
        blocking(move || Self::open_blocking(&dir, &audit, Arc::new(keyring), settings)).await
    }

    fn open_blocking(
        dir: &DataDir,
        audit: &Audit,
        keyring: Arc<Keyring>,
        settings: SettingsStore,
    ) -> Result<Self, Failure> {
        let journal = open_journal(dir, audit)?;
        let (ledger, told) = Ledger::open(dir.path(), super::now());
        for notice in &told {
            warn(notice);
        }
        let (usage, failed) = UsageBook::open(dir.path(), model::usage::day(super::now()));
        if let Some(error) = failed {
            warn(&format!("{error}; quotas begin anew with every start"));
        }
        let damaged = |e: &dyn std::fmt::Display| {
            Failure::new(format!("the objects of S3 cannot be used: {e}; restore them from a copy"))
        };
        let objects = Objects::open(dir.path()).map_err(|e| damaged(&e))?;
        for fault in objects.verify().map_err(|e| damaged(&e))? {
            warn(&fault.to_string());
        }
        Ok(Self { keyring, settings, objects: Arc::new(objects), journal, ledger, usage })
    }
}

/// Opens the records and tells what is damaged. Few are verified before the server is ready; many only when somebody asks.
fn open_journal(dir: &DataDir, audit: &Audit) -> Result<Journal, Failure> {
    let failed =
        |e: &dyn std::fmt::Display| Failure::new(format!("cannot open the records in {}: {e}", dir.path().display()));
    let name = audit.name.clone().map_or_else(note::random_name, Ok).map_err(|e| failed(&e))?;
    let signer = Signer::open_or_create(&dir.audit_key(), &name).map_err(|e| failed(&e))?;
    let verifier = signer.verifier().clone();
    if audit.name.as_ref().is_some_and(|name| name != verifier.name()) {
        warn(&format!("audit.name is not used: the key of the records is of {} since it was made", verifier.name()));
    }
    let few = bytes_in(&dir.journal()) <= READ_AT_START_BYTES;
    let options = Options { checkpoint_after: audit.checkpoint_after(), ..Options::default() };
    let (journal, told) = Journal::open_with(dir.path(), options, Some(signer)).map_err(|e| failed(&e))?;
    for notice in &told {
        warn(&notice.to_string());
    }
    if few && told.is_empty() {
        let report = journal::audit::verify(&dir.journal(), &verifier, &[]).map_err(|e| failed(&e))?;
        report.findings.iter().for_each(|finding| warn(&finding.to_string()));
    }
    Ok(journal)
}

/// What its files hold.
fn bytes_in(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

impl SealingKey {
    /// Whether it is anywhere but in the data directory.
    pub(crate) fn is_set(&self) -> bool {
        self.file.is_some() || !self.command.is_empty()
    }

    /// None is made where something is sealed already.
    pub(crate) fn read(&self, dir: &DataDir, is_sealed: bool) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match (&self.file, self.command.split_first()) {
            (Some(file), _) => {
                let key = fs::read(file).map(Zeroizing::new);
                let key = key.map_err(|e| Failure::new(format!("cannot read {}: {e}", file.display())))?;
                checked(key, &file.display().to_string())
            }
            (None, Some((program, arguments))) => {
                let failed = |why: &dyn std::fmt::Display| {
                    Failure::new(format!("the command of sealing_key, {program}, gave no key: {why}"))
                };
                let mut child = Command::new(program)
                    .args(arguments)
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .spawn()
                    .map_err(|e| failed(&e))?;
                let mut key = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 2));
                if let Some(stdout) = child.stdout.take() {
                    stdout.take(KEY_BYTES as u64 + 1).read_to_end(&mut key).map_err(|e| failed(&e))?;
                }
                let status = child.wait().map_err(|e| failed(&e))?;
                if !status.success() {
                    return Err(failed(&status));
                }
                checked(key, program)
            }
            (None, None) => dir.sealing_key(is_sealed),
        }
    }
}

const SUCCESSORS_TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);
const KEY_BYTES: usize = 32;
/// Records that are read whole before the server is ready: well under a second's worth.
const READ_AT_START_BYTES: u64 = 16 * 1024 * 1024;

fn checked(key: Zeroizing<Vec<u8>>, source: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    match key.len() {
        KEY_BYTES => Ok(key),
        other => Err(Failure::new(format!("{source} gives {other} bytes; a sealing key has exactly 32"))),
    }
}
