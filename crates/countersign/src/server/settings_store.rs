//! Where the settings are kept, opened with the key that seals the secrets in them: a file of this machine, or etcd, of which this
//! machine has a copy.

use std::fs;
use std::io;
use std::sync::Arc;

use model::{Keyring, UnixMillis};
use store::{Etcd, EtcdOptions, Mirrored, Redb, Store, StoreError};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::answer::{Failure, warn};
use crate::config::Config;
use crate::data_dir::DataDir;

/// The settings. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SettingsStore {
    store: Arc<dyn Store>,
    /// One process at a time has it open.
    file: Arc<Redb>,
    etcd: Option<Arc<Etcd>>,
}

impl SettingsStore {
    /// The key, and what it seals. The directory is locked.
    pub(crate) async fn open(dir: &DataDir, config: &Config) -> Result<(Keyring, Self), Failure> {
        match config.store.etcd() {
            None => Self::in_file(dir, config).await,
            Some(options) => Self::in_etcd(dir, config, &options).await,
        }
    }

    async fn in_file(dir: &DataDir, config: &Config) -> Result<(Keyring, Self), Failure> {
        let keyring = keyring(dir, config, dir.settings().exists()).await?;
        let path = dir.settings();
        let file = Arc::new(blocking(move || Redb::open(&path).map_err(failed)).await?);
        Ok((keyring, Self { store: file.clone(), file, etcd: None }))
    }

    async fn in_etcd(dir: &DataDir, config: &Config, options: &EtcdOptions) -> Result<(Keyring, Self), Failure> {
        if dir.settings().exists() {
            warn(&format!(
                "{} is not used, as the settings are in etcd; countersign store copy takes them there",
                dir.settings().display()
            ));
        }
        let file = Arc::new(copy(dir).await?);
        let (etcd, keyring) = match Etcd::open(options).await {
            Ok(etcd) => {
                let is_sealed = etcd.is_sealed().await.map_err(failed)?;
                let keyring = keyring(dir, config, is_sealed).await?;
                sealed_by(&etcd, &keyring).await?;
                (etcd, keyring)
            }
            // It has been asked before: there is a copy.
            Err(e) if e.is_of_the_network() && file.revision() > 0 => {
                warn(&format!(
                    "{e}; revision {} of the settings, which this machine has, is enforced until it can be asked",
                    file.revision()
                ));
                (Etcd::resume(options, file.revision()).map_err(failed)?, keyring(dir, config, true).await?)
            }
            Err(e) => return Err(failed(e)),
        };
        let etcd = Arc::new(etcd);
        let store = Arc::new(Mirrored::new(etcd.clone(), file.clone()));
        Ok((keyring, Self { store, file, etcd: Some(etcd) }))
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// Lets another process have it. Blocks.
    pub(super) fn release(&self) {
        self.etcd.iter().for_each(|etcd| etcd.hush(true));
        self.file.release();
    }

    /// Takes it back. Blocks.
    pub(super) fn reclaim(&self) -> Result<(), StoreError> {
        self.file.reclaim()?;
        self.etcd.iter().for_each(|etcd| etcd.hush(false));
        Ok(())
    }
}

/// Whether the secrets in etcd are sealed by this key. That of an empty etcd becomes theirs.
pub(crate) async fn sealed_by(etcd: &Etcd, keyring: &Keyring) -> Result<(), Failure> {
    let fingerprint = keyring.fingerprint().map_err(|e| Failure::new(e.to_string()))?;
    if etcd.seals_with(&fingerprint).await.map_err(failed)? {
        return Ok(());
    }
    Err(Failure::new(
        "the settings in etcd are sealed by another key than this machine's: have sealing_key name the key of the other nodes, or copy their sealing.key into the data directory",
    ))
}

/// The key of the configuration, or of the directory; made there unless something is sealed already.
pub(crate) async fn keyring(dir: &DataDir, config: &Config, is_sealed: bool) -> Result<Keyring, Failure> {
    let (dir, source) = (dir.clone(), config.sealing_key.clone());
    let key: Zeroizing<Vec<u8>> = blocking(move || source.read(&dir, is_sealed)).await?;
    Keyring::new(&key).map_err(|e| Failure::new(e.to_string()))
}

/// What this machine had of etcd's settings. A copy that cannot be used is made again.
async fn copy(dir: &DataDir) -> Result<Redb, Failure> {
    let path = dir.copy();
    blocking(move || match Redb::open(&path) {
        Err(StoreError::Damaged { why, .. }) => {
            warn(&format!("{} is damaged: {why}; it is made again of what is in etcd", path.display()));
            let gone = fs::remove_file(&path);
            gone.map_err(|e: io::Error| Failure::new(format!("cannot remove {}: {e}", path.display())))?;
            Redb::open(&path).map_err(failed)
        }
        opened => opened.map_err(failed),
    })
    .await
}

/// Tells when the store cannot be asked, and when it can be again.
pub(super) async fn tell_of_loss(mut lost: watch::Receiver<Option<UnixMillis>>) {
    let mut was_lost = false;
    loop {
        let is_lost = lost.borrow_and_update().is_some();
        if is_lost && !was_lost {
            warn("etcd cannot be asked: what was set before stays enforced, and nothing can be set");
        } else if was_lost && !is_lost {
            warn("etcd can be asked again");
        }
        was_lost = is_lost;
        if lost.changed().await.is_err() {
            return;
        }
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    spawn_blocking(work).await.unwrap_or_else(|_| Err(Failure::new("the data directory cannot be opened")))
}

fn failed(error: StoreError) -> Failure {
    Failure::new(error.to_string())
}
