//! The control API as one value: what every operation stands on.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use aws::Error;
use data_encoding::BASE64;
use journal::ledger::Ledger;
use journal::usage::UsageBook;
use journal::{Journal, Outcome};
use model::resource::AccessKey;
use model::{Change, Keyring, Snapshot, UnixMillis};
use tokio::sync::{Mutex, watch};
use zeroize::Zeroizing;

use crate::apigatewayv2::Uses;
use crate::authentication::OpenedKeys;
use crate::authorization::{Action, authorize};
use crate::health::OfHealth;
use crate::metrics::{Metrics, OfSettings};
use crate::objects::Objects;
use crate::route53::DnsOptions;
use crate::s3::{S3Handler, S3Options, S3Surroundings, Stranger, Write};
use crate::trail::{Attempt, Trail};
use crate::{By, Settings, ids};

/// The control API. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

/// What the control API is made of.
pub struct ControlParts {
    /// Settings of the server itself.
    pub config: ControlConfig,
    /// What the operations read and change.
    pub settings: Settings,
    /// Opens and seals secrets.
    pub keyring: Arc<Keyring>,
    /// What S3 serves, and truststores are read from.
    pub objects: Arc<Objects>,
    /// Where records are read from.
    pub journal: Journal,
    /// The clients that were seen.
    pub ledger: Ledger,
    /// What API keys have used of their plans.
    pub usage: UsageBook,
    /// What the data plane of this node enforces.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Whether somebody who is to take records has not been taking any for a while.
    pub sinks_fail: Box<dyn Fn() -> bool + Send + Sync>,
    /// Whether the witness could not be told of checkpoints for a while; none where there is no witness.
    pub witness_fails: Option<Box<dyn Fn() -> bool + Send + Sync>>,
    /// What is told at `/_countersign/metrics`, with what others than the control API registered.
    pub metrics: Metrics,
}

/// Settings of the server itself: they come from its configuration, never from its API.
#[derive(Clone, Debug)]
pub struct ControlConfig {
    /// Twelve digits.
    pub account: String,
    /// Region of a caller that names none (health, the local CA at start).
    pub default_region: String,
    /// Names besides `localhost` that `Host` may have, lowercase; `bucket.NAME` is taken too.
    pub host_names: Vec<String>,
    /// Port of the HTTPS address, for `ApiEndpoint`.
    pub https_port: u16,
    /// `{apiId}.execute-api.{region}.{suffix}`
    pub execute_api_suffix: String,
    /// AWS's own behaviour where it differs from the guide.
    pub aws_exact: bool,
    /// Whether certificates that are requested are ordered from an ACME issuer, and not issued by the local CA.
    pub acme: bool,
    /// What hosted zones say of this server.
    pub dns: DnsOptions,
    /// Where the revocation lists are that domains name `file:NAME`; none: there are none.
    pub revocation_directory: Option<PathBuf>,
    /// The time, in milliseconds since 1970.
    pub clock: fn() -> UnixMillis,
}

pub(crate) struct Shared {
    pub(crate) config: ControlConfig,
    pub(crate) settings: Settings,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) objects: Arc<Objects>,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    pub(crate) usage: UsageBook,
    pub(crate) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(crate) sinks_fail: Box<dyn Fn() -> bool + Send + Sync>,
    pub(crate) witness_fails: Option<Box<dyn Fn() -> bool + Send + Sync>>,
    pub(crate) metrics: Metrics,
    pub(crate) keys: OpenedKeys,
    pub(crate) s3: S3Handler,
    /// Held while a newer version of a truststore's object is noted.
    pub(crate) object_notes: Mutex<()>,
    pub(crate) uses: Uses,
    /// Held while clients are judged for a preview.
    pub(crate) previews: Arc<Mutex<()>>,
    /// The server is about to stop.
    draining: AtomicBool,
    /// A certificate cannot be taken from the files that it is kept in.
    pub(crate) certificate_files_fail: AtomicBool,
}

/// What S3 asks of the control API that it is a part of.
struct AroundS3(Weak<Shared>);

/// An access key with its secret, to be handed to its owner.
pub struct AdminKey {
    /// `AKIA…`
    pub id: String,
    /// Forty characters.
    pub secret: Zeroizing<String>,
}

const SECRET_BYTES: usize = 30;

impl Control {
    /// Puts it together; nothing is read or written yet.
    pub fn new(parts: ControlParts) -> Self {
        let ControlParts {
            config,
            settings,
            keyring,
            objects,
            journal,
            ledger,
            usage,
            snapshots,
            sinks_fail,
            witness_fails,
            mut metrics,
        } = parts;
        metrics.register(OfSettings(settings.clone()));
        let options =
            S3Options { account: config.account.clone(), hosts: config.host_names.clone(), clock: config.clock };
        let shared = Arc::new_cyclic(|shared| {
            metrics.register(OfHealth(Weak::clone(shared)));
            let around = Arc::new(AroundS3(Weak::clone(shared)));
            Shared {
                s3: S3Handler::new(Arc::clone(&objects), around, options),
                config,
                settings,
                keyring,
                objects,
                journal,
                ledger,
                usage,
                snapshots,
                sinks_fail,
                witness_fails,
                metrics,
                keys: OpenedKeys::default(),
                object_notes: Mutex::new(()),
                uses: Uses::default(),
                previews: Arc::default(),
                draining: AtomicBool::new(false),
                certificate_files_fail: AtomicBool::new(false),
            }
        });
        Self { shared }
    }

    /// From now on health says that the server is about to stop. Everything else is answered as before.
    pub fn announce_drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Whether a certificate cannot be taken from the files that it is kept in: health says so.
    pub fn certificate_files_fail(&self, fail: bool) {
        self.shared.certificate_files_fail.store(fail, Ordering::Relaxed);
    }

    /// Whether the server is about to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// What the operations read and change.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Settings of the server itself.
    pub fn config(&self) -> &ControlConfig {
        &self.shared.config
    }

    /// Opens and seals secrets.
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.shared.keyring
    }

    /// What S3 serves, and truststores are read from.
    pub fn objects(&self) -> &Arc<Objects> {
        &self.shared.objects
    }

    /// Where records are read from.
    pub fn journal(&self) -> &Journal {
        &self.shared.journal
    }

    /// The clients that were seen.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        (self.shared.config.clock)()
    }

    /// The administrator's access key, which is made at the first start.
    pub async fn admin_key(&self) -> Result<AdminKey, Error> {
        let made = self.new_admin_key()?;
        let key = self
            .settings()
            .change(By::Server("MakeAdministrator"), |state| {
                match state.access_keys.values().min_by_key(|key| (key.created, key.id.clone())) {
                    Some(first) => Ok((Vec::new(), AccessKey::clone(first))),
                    None => Ok((vec![Change::put(&made)], made.clone())),
                }
            })
            .await?;
        let secret = self.keyring().open(&AccessKey::sealed_for(&key.id), &key.secret).ok();
        let secret = secret.and_then(|secret| String::from_utf8(secret.to_vec()).ok());
        let secret = secret.ok_or_else(|| Error::internal("The administrator's access key does not open."))?;
        Ok(AdminKey { id: key.id, secret: Zeroizing::new(secret) })
    }

    fn new_admin_key(&self) -> Result<AccessKey, Error> {
        let id = format!("AKIA{}", ids::base32(16)?);
        let mut random = Zeroizing::new([0; SECRET_BYTES]);
        ids::fill(&mut *random)?;
        let secret = Zeroizing::new(BASE64.encode(&*random));
        let sealed = self.keyring().seal(&AccessKey::sealed_for(&id), secret.as_bytes());
        Ok(AccessKey {
            secret: sealed.map_err(|error| Error::internal(error.to_string()))?,
            principal_arn: format!("arn:aws:iam::{}:user/admin", self.config().account),
            user_id: format!("AIDA{}", ids::base32(16)?),
            created: self.now(),
            id,
        })
    }
}

impl AroundS3 {
    fn attempt(&self, write: &Write) -> Result<(Trail, Attempt), String> {
        let shared = self.0.upgrade().ok_or("The server is stopping.")?;
        let state = shared.settings.state();
        let arn = state.access_keys.get(&write.access_key_id).map_or("", |key| &key.principal_arn);
        Ok((shared.settings.trail().clone(), Attempt::of_s3(write, arn, state.revision)))
    }
}

#[async_trait]
impl S3Surroundings for AroundS3 {
    fn secret(&self, access_key_id: &str) -> Option<Zeroizing<String>> {
        Control { shared: self.0.upgrade()? }.secret_of(access_key_id)
    }

    fn authorize(&self, access_key_id: &str, operation: &str, resource: &str) -> Result<(), String> {
        let denied = || "Access Denied".to_owned();
        let shared = self.0.upgrade().ok_or_else(denied)?;
        let state = shared.settings.state();
        let principal = &state.access_keys.get(access_key_id).ok_or_else(denied)?.principal_arn;
        let allowed = authorize(&shared.config.account, principal, &Action { service: "s3", operation }, resource);
        allowed.map_err(|error| error.message)
    }

    async fn intend(&self, write: &Write) -> Result<(), String> {
        let (trail, attempt) = self.attempt(write)?;
        trail.intend(&attempt).await.map_err(|error| error.message)
    }

    async fn complete(&self, write: &Write, changed: Vec<String>, outcome: Outcome<'static>) -> Result<(), String> {
        let (trail, attempt) = self.attempt(write)?;
        let is_done = outcome == Outcome::Allowed;
        let completed = trail.complete(&attempt.changing(changed), outcome).await;
        // What was not done needs no record to be undone by.
        if is_done { completed.map_err(|error| error.message) } else { Ok(()) }
    }

    fn refused(&self, stranger: Stranger<'_>) {
        if let Some(shared) = self.0.upgrade() {
            shared.settings.trail().refuse(stranger);
        }
    }

    async fn object_written(&self, bucket: &str, key: &str) {
        let Some(shared) = self.0.upgrade() else { return };
        // The object is written all the same; what is missing is a hint, and the next write or update brings it.
        let _ = Control { shared }.object_written(bucket, key).await;
    }
}

/// Runs what reads from the disk or computes for long away from the tasks that serve.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(Error::internal("The server is stopping.")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of a server for tests.
    pub(crate) fn config() -> ControlConfig {
        ControlConfig {
            account: "123456789012".to_owned(),
            default_region: "us-east-1".to_owned(),
            host_names: Vec::new(),
            https_port: 8443,
            execute_api_suffix: "localhost".to_owned(),
            aws_exact: false,
            acme: false,
            dns: DnsOptions { addresses: Vec::new(), name_servers: vec!["ns-1.x.test".to_owned()] },
            revocation_directory: None,
            clock: || 1_763_830_800_000,
        }
    }
}
