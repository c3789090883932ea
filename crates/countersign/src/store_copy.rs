//! `countersign store copy`: settings from one store into another, as they are: revision, resources and blobs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, Subcommand};
use model::{Change, Keyring, Revision};
use serde_json::json;
use store::{Etcd, Kept, Redb, Store};
use zeroize::Zeroizing;

use crate::answer::{self, Answer, Failure, Outcome};
use crate::config::Config;
use crate::data_dir::{DataDir, Lock};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Copy all settings, with the truststores that they name, from one store to another
    Copy(CopyArgs),
}

#[derive(Parser)]
struct CopyArgs {
    /// A data directory on which no server runs, or a countersign.toml
    #[arg(long, value_name = "PLACE")]
    from: PathBuf,
    /// The same; made where it does not exist. It has to be empty
    #[arg(long, value_name = "PLACE")]
    to: PathBuf,
    /// Replace the settings that are there
    #[arg(long)]
    force: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// A store as a server's configuration has it.
struct Place {
    dir: DataDir,
    config: Config,
}

/// A place, opened.
struct Opened {
    store: Arc<dyn Store>,
    etcd: Option<Arc<Etcd>>,
    /// Nobody serves from the directory meanwhile.
    _lock: Option<Lock>,
}

/// What was copied.
struct Copied {
    revision: Revision,
    settings: usize,
    blobs: usize,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Command::Copy(args) = &args.command;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let copied = runtime.map_err(|e| Failure::new(format!("cannot start: {e}")))?.block_on(copy(args))?;
    let Copied { revision, settings, blobs } = copied;
    answer::print(&match args.json {
        true => json!({"revision": revision, "settings": settings, "blobs": blobs}).to_string(),
        false => format!("copied {settings} settings at revision {revision}, and {blobs} blobs that they name"),
    });
    Ok(Answer::Yes)
}

async fn copy(args: &CopyArgs) -> Result<Copied, Failure> {
    let (from, to) = (Place::parse(&args.from)?, Place::parse(&args.to)?);
    from.exists(&args.from)?;
    let source = from.open().await?;
    let key = from.key(None)?;
    let target = to.open().await?;
    if !args.force && !target.is_empty().await? {
        return Err(Failure::new(format!(
            "there are settings in {} already: --force replaces them",
            args.to.display()
        )));
    }
    to.takes(&key)?;
    let (revision, settings) = source.store.load().await.map_err(failed)?;
    let kept = source.store.blobs().await.map_err(failed)?;
    for digest in kept.keys() {
        let blob = source.store.blob(digest).await.map_err(failed)?;
        // One that goes meanwhile is one that nothing names.
        if let Some(blob) = blob {
            target.store.put_blob(blob).await.map_err(failed)?;
        }
    }
    target.store.replace(revision, settings.clone()).await.map_err(failed)?;
    if let Some(etcd) = &target.etcd {
        let fingerprint = keyring(&key)?.fingerprint().map_err(|e| Failure::new(e.to_string()))?;
        etcd.seal_with(&fingerprint).await.map_err(failed)?;
    }
    let (there, foreign) = (target.store.load().await.map_err(failed)?, target.foreign(&kept).await?);
    if by_key(there.1) != by_key(settings.clone()) || there.0 != revision {
        return Err(Failure::new("what was copied is not what is there now: somebody else has changed it"));
    }
    target.store.drop_blobs(revision, foreign).await.map_err(failed)?;
    Ok(Copied { revision, settings: settings.len(), blobs: kept.len() })
}

impl Place {
    /// A file is a configuration, everything else a data directory.
    fn parse(path: &Path) -> Result<Self, Failure> {
        let is_file = path.is_file() || path.extension().is_some_and(|extension| extension == "toml");
        let config = Config::read(is_file.then_some(path))?;
        let dir = if is_file { config.data_dir.clone() } else { Some(path.to_owned()) };
        Ok(Self { dir: DataDir::find(dir.as_deref())?, config })
    }

    /// Nothing is made where something is to be read.
    fn exists(&self, path: &Path) -> Result<(), Failure> {
        match self.config.store.etcd().is_some() || self.dir.settings().is_file() {
            true => Ok(()),
            false => Err(Failure::new(format!("there are no settings in {}", path.display()))),
        }
    }

    async fn open(&self) -> Result<Opened, Failure> {
        if let Some(options) = self.config.store.etcd() {
            let etcd = Arc::new(Etcd::open(&options).await.map_err(failed)?);
            return Ok(Opened { store: etcd.clone(), etcd: Some(etcd), _lock: None });
        }
        let lock = self.dir.lock().await?;
        let store = Arc::new(Redb::open(&self.dir.settings()).map_err(failed)?);
        Ok(Opened { store, etcd: None, _lock: Some(lock) })
    }

    /// The key that seals secrets here; `new` is kept where there is none.
    fn key(&self, new: Option<&[u8]>) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if let (Some(new), false) = (new, self.config.sealing_key.is_set() || self.dir.has_sealing_key()) {
            self.dir.keep_sealing_key(new)?;
        }
        self.config.sealing_key.read(&self.dir, true)
    }

    /// What is sealed by this key can be opened here.
    fn takes(&self, key: &[u8]) -> Result<(), Failure> {
        if *self.key(Some(key))? == *key {
            return Ok(());
        }
        Err(Failure::new(format!(
            "the sealing key for {} is another one, so that no secret could be opened there: have sealing_key name the same key in both, or copy sealing.key",
            self.dir.path().display()
        )))
    }
}

impl Opened {
    async fn is_empty(&self) -> Result<bool, Failure> {
        let (revision, settings) = self.store.load().await.map_err(failed)?;
        Ok(revision == 0 && settings.is_empty() && self.store.blobs().await.map_err(failed)?.is_empty())
    }

    /// Blobs that are here, and not among these.
    async fn foreign(&self, kept: &Kept) -> Result<Kept, Failure> {
        let all = self.store.blobs().await.map_err(failed)?;
        Ok(all.into_iter().filter(|(digest, _)| !kept.contains_key(digest)).collect())
    }
}

fn by_key(settings: Vec<Change>) -> BTreeMap<model::Key, Option<Vec<u8>>> {
    settings.into_iter().map(|change| (change.key, change.value)).collect()
}

fn keyring(key: &[u8]) -> Result<Keyring, Failure> {
    Keyring::new(key).map_err(|e| Failure::new(e.to_string()))
}

fn failed(error: store::StoreError) -> Failure {
    Failure::new(error.to_string())
}
