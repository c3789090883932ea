//! The control API as one value: what every operation stands on.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use aws::Error;
use journal::ledger::Ledger;
use journal::usage::UsageBook;
use journal::{Journal, Outcome};
use model::resource::AccessKey;
use model::{Change, Keyring, SessionTokens, Snapshot, UnixMillis};
use tokio::sync::{Mutex, watch};
use zeroize::Zeroizing;

use crate::apigatewayv2::Uses;
use crate::attention::Attention;
use crate::authentication::{Credentials, OpenedKeys, Owner};
use crate::authorization::{Authorization, Circumstances, CompiledIdentities};
use crate::console::{ConsoleAccess, Sessions, Streams};
use crate::health::OfHealth;
use crate::iam::KeyUses;
use crate::logs::Queries;
use crate::metrics::{Metrics, OfSettings};
use crate::objects::Objects;
use crate::own_api::Doctor;
use crate::route53::DnsOptions;
use crate::s3::{Claim, Identified, S3Handler, S3Options, S3Surroundings, Stranger, Write};
use crate::traffic::{ReadTraffic, Traffic};
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
    /// What the data plane has counted.
    pub traffic: ReadTraffic,
    /// Looks at endpoints from outside.
    pub doctor: Box<dyn Doctor>,
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
    /// Who may open the console.
    pub console: ConsoleAccess,
    /// Whether certificates that are requested are ordered from an ACME issuer, and not issued by the local CA.
    pub acme: bool,
    /// What hosted zones say of this server.
    pub dns: DnsOptions,
    /// Where the revocation lists are that domains name `file:NAME`; none: there are none.
    pub revocation_directory: Option<PathBuf>,
    /// Other nodes have the same settings, but objects of their own.
    pub shares_settings: bool,
    /// The time, in milliseconds since 1970.
    pub clock: fn() -> UnixMillis,
    /// Takes a line for the operator: about what a caller may not notice.
    pub warn: fn(&str),
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
    /// Of temporary credentials.
    pub(crate) tokens: SessionTokens,
    pub(crate) identities: CompiledIdentities,
    pub(crate) key_uses: KeyUses,
    pub(crate) s3: S3Handler,
    /// Held while a newer version of a truststore's object is noted.
    pub(crate) object_notes: Mutex<()>,
    pub(crate) uses: Uses,
    /// Of CloudWatch Logs Insights.
    pub(crate) queries: Queries,
    /// Held while clients are judged for a preview.
    pub(crate) previews: Arc<Mutex<()>>,
    pub(crate) traffic: Traffic,
    pub(crate) attention: Attention,
    /// Who is signed in to the console.
    pub(crate) sessions: Sessions,
    /// What pages of the console follow.
    pub(crate) streams: Streams,
    pub(crate) doctor: Box<dyn Doctor>,
    /// Held while the doctor looks at something.
    pub(crate) examinations: Mutex<()>,
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
            traffic,
            doctor,
            mut metrics,
        } = parts;
        metrics.register(OfSettings(settings.clone()));
        let options =
            S3Options { account: config.account.clone(), hosts: config.host_names.clone(), clock: config.clock };
        let tokens = SessionTokens::new(&keyring).expect("a key of 32 bytes can be derived of any other");
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
                tokens,
                identities: CompiledIdentities::default(),
                key_uses: KeyUses::default(),
                object_notes: Mutex::new(()),
                uses: Uses::default(),
                queries: Queries::default(),
                previews: Arc::default(),
                traffic: Traffic::new(traffic),
                attention: Attention::default(),
                sessions: Sessions::default(),
                streams: Streams::default(),
                doctor,
                examinations: Mutex::new(()),
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

    /// Queries over log groups that were asked.
    pub(crate) fn queries(&self) -> &Queries {
        &self.shared.queries
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
                let administrators = state.access_keys.values().filter(|key| key.user.is_none() && !key.inactive);
                match administrators.min_by_key(|key| (key.created, key.id.clone())) {
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
        let owner = Owner {
            arn: format!("arn:aws:iam::{}:user/admin", self.config().account),
            user_id: format!("AIDA{}", ids::base32(16)?),
            user: None,
        };
        self.new_key(owner).map(|(key, _)| key)
    }
}

impl AroundS3 {
    fn attempt(&self, write: &Write) -> Result<(Trail, Attempt), String> {
        let shared = self.0.upgrade().ok_or("The server is stopping.")?;
        let revision = shared.settings.state().revision;
        Ok((shared.settings.trail().clone(), Attempt::of_s3(write, revision)))
    }
}

#[async_trait]
impl S3Surroundings for AroundS3 {
    fn identify(&self, claim: &Claim<'_>) -> Result<Identified, sigv4::Error> {
        let control = Control { shared: self.0.upgrade().ok_or(sigv4::Error::UnrecognizedClient)? };
        let Credentials { secret, bearer } = control.credentials(claim.access_key_id, claim.session_token)?;
        control.shared.key_uses.note(claim.access_key_id, control.now(), "s3", claim.region);
        let circumstances = Circumstances {
            source_ip: claim.source,
            tls: claim.tls,
            user_agent: claim.user_agent.to_owned(),
            region: claim.region.to_owned(),
            at: control.now(),
        };
        let arn = bearer.arn.clone();
        Ok(Identified { secret, arn, authority: Arc::new(Authorization { bearer, circumstances }) })
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

    fn warn(&self, text: &str) {
        if let Some(shared) = self.0.upgrade() {
            (shared.config.warn)(text);
        }
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
            console: ConsoleAccess::Loopback,
            acme: false,
            dns: DnsOptions { addresses: Vec::new(), name_servers: vec!["ns-1.x.test".to_owned()] },
            revocation_directory: None,
            shares_settings: false,
            clock: || 1_763_830_800_000,
            warn: |_| {},
        }
    }
}
