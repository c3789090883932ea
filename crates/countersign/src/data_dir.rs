//! The data directory: who may use it, and the files in it that belong to the program itself.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::{Zeroize, Zeroizing};

use crate::answer::{Failure, warn};
use control::shell::quote;

/// A data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// Held by the one process that serves a data directory.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// `run.json`: where the server of a data directory listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Its process.
    pub(crate) pid: u32,
    /// `http://IP:PORT`, or `https://…`.
    pub(crate) control: String,
    /// `IP:PORT` of the gateway.
    pub(crate) https: String,
    /// Default region of its clients.
    pub(crate) region: String,
    /// `IP:PORT` of the DNS responder, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dns: Option<String>,
}

/// Takes `run.json` away when the server ends, unless it is another's by then.
#[derive(Debug)]
pub(crate) struct Running {
    dir: DataDir,
}

/// `credentials.json`: the access key that `countersign env` hands out.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// `AKIA…`
    pub(crate) access_key_id: String,
    /// Its secret.
    pub(crate) secret_access_key: String,
}

const LOCK: &str = "lock";
const RUN: &str = "run.json";
const CREDENTIALS: &str = "credentials.json";
const CA: &str = "ca.pem";
const SEALING_KEY: &str = "sealing.key";
const SETTINGS: &str = "settings.redb";
const COPY: &str = "settings.copy.redb";
const NODE: &str = "node";
const SEALING_KEY_BYTES: usize = 32;
const LOCK_TRIES: usize = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(2);

impl DataDir {
    /// `given`, else `$XDG_DATA_HOME/countersign`, else `~/.local/share/countersign`.
    pub(crate) fn find(given: Option<&Path>) -> Result<Self, Failure> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let path = given.map(Path::to_owned).or_else(|| {
            let base = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")))?;
            Some(base.join("countersign"))
        });
        let path = path.ok_or_else(|| Failure::new("no data directory: set HOME or give --data-dir DIR"))?;
        Ok(Self { path: std::path::absolute(&path).unwrap_or(path) })
    }

    /// Makes the directory (0700) where there is none, and locks it for this process.
    pub(crate) async fn lock(&self) -> Result<Lock, Failure> {
        // `env` and others hold the lock, shared, for the moment in which they look whether a server runs.
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        let holder = self.run().map_or(String::new(), |run| format!(" (process {})", run.pid));
        Err(Failure::new(format!(
            "another countersign{holder} uses {}: stop it, or give another --data-dir",
            self.path.display()
        )))
    }

    fn try_lock(&self) -> Result<Option<Lock>, Failure> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(|e| self.failure("create", "", &e))?;
        let file = private().truncate(false).open(self.file(LOCK)).map_err(|e| self.failure("open", LOCK, &e))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(self.failure("lock", LOCK, &e)),
        }
    }

    /// The running server of this directory. What a killed one left behind does not count.
    pub(crate) fn running(&self) -> Result<Run, Failure> {
        let none = || {
            let here = self.path.display();
            Failure::new(format!("no server runs on {here}: start one with `countersign up`, or give its --data-dir"))
        };
        let lock = File::open(self.file(LOCK)).map_err(|_| none())?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => self.run().ok_or_else(none),
            Ok(()) | Err(TryLockError::Error(_)) => Err(none()),
        }
    }

    fn run(&self) -> Option<Run> {
        serde_json::from_slice(&fs::read(self.file(RUN)).ok()?).ok()
    }

    /// Tells other commands where this server listens, until the answer is dropped.
    pub(crate) fn announce(&self, run: &Run) -> Result<Running, Failure> {
        self.write_json(RUN, run)?;
        Ok(Running { dir: self.clone() })
    }

    /// The key that seals secrets in the store: made where there is none, and nothing is sealed already.
    pub(crate) fn sealing_key(&self, is_sealed: bool) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let path = self.file(SEALING_KEY);
        match File::open(&path) {
            Ok(file) => {
                let mut key = Zeroizing::new(Vec::with_capacity(SEALING_KEY_BYTES + 1));
                file.take(SEALING_KEY_BYTES as u64 + 1)
                    .read_to_end(&mut key)
                    .map_err(|e| self.failure("read", SEALING_KEY, &e))?;
                if key.len() == SEALING_KEY_BYTES {
                    Ok(key)
                } else {
                    let path = path.display();
                    Err(Failure::new(format!("{path} is damaged: it should have 32 bytes; restore it from a backup")))
                }
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound && is_sealed => {
                let path = path.display();
                Err(Failure::new(format!(
                    "{path} is gone, and the settings are sealed with it: restore it from a backup, or copy it from another node"
                )))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let mut key = Zeroizing::new(vec![0; SEALING_KEY_BYTES]);
                aws_lc_rs::rand::fill(&mut key).map_err(|_| Failure::new("the system gives no random bytes"))?;
                self.write_private(SEALING_KEY, &key)?;
                Ok(key)
            }
            Err(e) => Err(self.failure("read", SEALING_KEY, &e)),
        }
    }

    /// Whether there is a key that seals secrets.
    pub(crate) fn has_sealing_key(&self) -> bool {
        self.file(SEALING_KEY).exists()
    }

    /// Keeps the key that seals secrets, which another directory has.
    pub(crate) fn keep_sealing_key(&self, key: &[u8]) -> Result<(), Failure> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).map_err(|e| self.failure("create", "", &e))?;
        self.write_private(SEALING_KEY, key)
    }

    /// The access key that `env` hands out; none where it was not written yet.
    pub(crate) fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        self.read_json(CREDENTIALS)
    }

    /// As [`Self::credentials`], which a server has written.
    pub(crate) fn credentials_of_admin(&self) -> Result<Credentials, Failure> {
        let again = |why: &str| Failure::new(format!("{why}: restart the server, which writes it anew"));
        let known = self.credentials().map_err(|e| again(&e.to_string()))?;
        known.ok_or_else(|| again(&format!("{} is gone", self.file(CREDENTIALS).display())))
    }

    pub(crate) fn write_credentials(&self, credentials: &Credentials) -> Result<(), Failure> {
        self.write_json(CREDENTIALS, credentials)
    }

    /// Keeps the root of the certificates that the local ACM issues where clients find it; says so where another file was there.
    pub(crate) fn keep_ca(&self, pem: &str) -> Result<(), Failure> {
        match fs::read(self.ca()) {
            Ok(known) if known == pem.as_bytes() => return Ok(()),
            Ok(_) => warn(&format!("{} was not the root of these settings: it is written anew", self.ca().display())),
            Err(_) => {}
        }
        self.write_private(CA, pem.as_bytes())
    }

    /// The root of the certificates that the local ACM issues.
    pub(crate) fn ca(&self) -> PathBuf {
        self.file(CA)
    }

    /// What this machine has of settings that it shares with others.
    pub(crate) fn copy(&self) -> PathBuf {
        self.file(COPY)
    }

    /// This node's name among those that share settings: made once, of the machine's name, and kept.
    pub(crate) fn node(&self) -> Result<String, Failure> {
        match fs::read_to_string(self.file(NODE)) {
            Ok(name) => Ok(name.trim().to_owned()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
                let machine = machine.trim().split('.').next().filter(|name| !name.is_empty()).unwrap_or("node");
                let mut random = [0; 4];
                aws_lc_rs::rand::fill(&mut random).map_err(|_| Failure::new("the system gives no random bytes"))?;
                let name = format!("{machine}-{}", data_encoding::HEXLOWER.encode(&random));
                self.write_private(NODE, name.as_bytes())?;
                Ok(name)
            }
            Err(e) => Err(self.failure("read", NODE, &e)),
        }
    }

    /// The store of the settings.
    pub(crate) fn settings(&self) -> PathBuf {
        self.file(SETTINGS)
    }

    /// What was fetched of revocations.
    pub(crate) fn revocation(&self) -> PathBuf {
        self.file("revocation")
    }

    /// How far sinks have come.
    pub(crate) fn sinks(&self) -> PathBuf {
        self.file("sinks")
    }

    /// Records.
    pub(crate) fn journal(&self) -> PathBuf {
        self.file("journal")
    }

    /// The key that signs for records.
    pub(crate) fn audit_key(&self) -> PathBuf {
        self.file("audit.key")
    }

    /// What `countersign explain` needs to find this directory's server: nothing where it is the default one.
    pub(crate) fn explain_options(&self) -> String {
        match Self::find(None) {
            Ok(default) if default.path == self.path => String::new(),
            _ => format!(" --data-dir {}", quote(&self.path.to_string_lossy())),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        match fs::read(self.file(name)) {
            Ok(mut bytes) => {
                let read = serde_json::from_slice(&bytes);
                bytes.zeroize();
                read.map(Some).map_err(|_| Failure::new(format!("{} is damaged", self.file(name).display())))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.failure("read", name, &e)),
        }
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Failure> {
        let bytes = Zeroizing::new(serde_json::to_vec_pretty(value).expect("plain data with string keys"));
        self.write_private(name, &bytes)
    }

    /// Replaces a file (0600) at once: a crash leaves the old one or the new one.
    fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let new = self.file(&format!("{name}.new"));
        let write = || {
            let mut file = private().truncate(true).open(&new)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, self.file(name))?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|e| self.failure("write", name, &e))
    }

    fn failure(&self, what: &str, name: &str, error: &io::Error) -> Failure {
        Failure::new(format!("cannot {what} {}: {error}", self.file(name).display()))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

impl Running {
    /// Tells it once more: another process may have told otherwise meanwhile.
    pub(crate) fn again(&self, run: &Run) -> Result<(), Failure> {
        self.dir.write_json(RUN, run)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.dir.run().is_none_or(|run| run.pid == std::process::id()) {
            let _ = fs::remove_file(self.dir.file(RUN));
        }
    }
}

impl Lock {
    /// One that another process holds too, who handed it over.
    pub(crate) fn handed(descriptor: OwnedFd) -> Self {
        Self { file: descriptor.into() }
    }

    /// The same lock, for another process.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.file.try_clone()?.into())
    }
}

impl Run {
    /// For whoever asks the service manager.
    pub(crate) fn status(&self) -> String {
        format!("HTTPS on {}, the AWS APIs on {}", self.https, self.control)
    }

    /// The line that scripts wait for.
    pub(crate) fn ready(&self) -> String {
        format!("ready control={} https={}", self.control, self.https)
    }
}

impl Credentials {
    /// To sign requests with.
    pub(crate) fn signing(&self) -> sigv4::Credentials {
        sigv4::Credentials {
            access_key_id: self.access_key_id.clone(),
            secret: sigv4::SecretKey::new(self.secret_access_key.as_str()),
            session_token: None,
        }
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.secret_access_key.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, DataDir) {
        let base = tempfile::tempdir().unwrap();
        let dir = DataDir::find(Some(&base.path().join("data"))).unwrap();
        (base, dir)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn one_server_a_directory() {
        let (_base, dir) = scratch();
        let lock = dir.lock().await.unwrap();
        assert_eq!(mode(dir.path()), 0o700);
        assert!(dir.lock().await.unwrap_err().to_string().contains("another countersign uses"));
        drop(lock);
        dir.lock().await.unwrap();
    }

    #[test]
    fn a_server_is_found_while_it_runs() {
        let (_base, dir) = scratch();
        let run = Run {
            pid: std::process::id(),
            control: "http://127.0.0.1:1".into(),
            https: "127.0.0.1:2".into(),
            region: "eu-west-1".into(),
            dns: None,
        };
        assert!(dir.running().unwrap_err().to_string().contains("countersign up"));
        let lock = dir.try_lock().unwrap().unwrap();
        assert!(dir.running().is_err(), "it has not said where it listens");
        let first = dir.announce(&run).unwrap();
        assert_eq!(mode(&dir.file(RUN)), 0o600);
        assert_eq!(dir.running().unwrap(), run);
        let others = Run { pid: 0, ..run.clone() };
        drop(dir.announce(&others).unwrap());
        assert_eq!(dir.running().unwrap(), others, "who took over has written it");
        let running = dir.announce(&others).unwrap();
        running.again(&run).unwrap();
        assert_eq!(dir.running().unwrap(), run);
        // Killed: the file stays, the lock goes.
        drop(lock);
        assert!(dir.running().is_err());
        drop((first, running));
        assert!(!dir.file(RUN).exists());
    }

    #[test]
    fn the_sealing_key_is_made_once_and_never_replaced() {
        let (_base, dir) = scratch();
        let _lock = dir.try_lock().unwrap().unwrap();
        assert!(dir.sealing_key(true).unwrap_err().to_string().contains("is gone"));
        let key = dir.sealing_key(false).unwrap();
        assert_eq!(mode(&dir.file(SEALING_KEY)), 0o600);
        assert_eq!(dir.sealing_key(true).unwrap(), key);
        fs::write(dir.file(SEALING_KEY), b"short").unwrap();
        assert!(dir.sealing_key(false).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn credentials_come_back() {
        let (_base, dir) = scratch();
        let _lock = dir.try_lock().unwrap().unwrap();
        assert!(dir.credentials().unwrap().is_none());
        let written = Credentials { access_key_id: "AKIAX".into(), secret_access_key: "s".into() };
        dir.write_credentials(&written).unwrap();
        assert_eq!(mode(&dir.file(CREDENTIALS)), 0o600);
        assert_eq!(dir.credentials().unwrap().unwrap().secret_access_key, "s");
        fs::write(dir.file(CREDENTIALS), b"{").unwrap();
        assert!(dir.credentials().is_err());
    }
}
