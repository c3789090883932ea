//! The server: store, records, data plane and control plane put together in one process.
//!
//! The data plane has threads of its own. Everything else runs on the runtime that the server is started on, and on that runtime's
//! pool for what blocks.

mod drift;
mod expiry;
mod files;
mod follow;
mod metrics;
mod ration;
mod records;
mod refusals;
mod sightings;
mod tls;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control::metrics::Metrics;
use control::{Control, ControlConfig, ControlParts, Settings, local_ca};
use edge::{Edge, EdgeConfig, UpstreamTls};
use journal::Journal;
use journal::ledger::Ledger;
use model::UnixMillis;
use model::snapshot::Defaults;
use store::{Follower, Store};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use trust::UnixSeconds;

use crate::answer::{Failure, warn};
use crate::client::Client;
use crate::config::Config;
use crate::data_dir::{Credentials, DataDir, Lock, Run, Running};
use crate::fetch::Http;
use crate::gateway::Gateway;
use crate::issuers::Issuers;
use crate::revocation::{Fetcher, OfRevocations, follow};
use expiry::Expiry;
use files::Files;
use follow::Publisher;
use metrics::OfEdge;
use refusals::Printer;
use tls::Acceptor;

/// A server that is ready.
pub(crate) struct Server {
    run: Run,
    control: Control,
    credentials: Credentials,
    config: Config,
    store: Arc<dyn Store>,
    journal: Journal,
    ledger: Ledger,
    edge: Arc<Edge>,
    publishing: JoinHandle<()>,
    defaults: watch::Sender<Defaults>,
    renewing: JoinHandle<()>,
    forgetting: JoinHandle<()>,
    catching_up: JoinHandle<()>,
    watching: JoinHandle<()>,
    noting: JoinHandle<()>,
    expiring: JoinHandle<()>,
    fetching: JoinHandle<()>,
    following: Option<JoinHandle<()>>,
    serving: Serving,
    // In the order in which they are let go: other commands find no server before its lock is free.
    _follower: Follower,
    _running: Running,
    _lock: Lock,
}

/// The control address being served.
struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    acceptor: Option<watch::Sender<Acceptor>>,
}

/// This node's name among those that report what they enforce.
const NODE: &str = "local";
/// Time for requests under way to end.
const DRAIN: Duration = Duration::from_secs(15);
/// Between two looks for bytes that the settings name no more.
const FORGETTING: Duration = Duration::from_secs(60 * 60);
/// Between two looks for versions of objects of which the settings were not told.
const CATCHING_UP: Duration = Duration::from_secs(60);
/// Between two looks at the certificates that the local CA has signed.
const RENEWAL: Duration = Duration::from_secs(24 * 60 * 60);

impl Server {
    /// Starts it, and returns once what was set before is enforced. Refusals are printed while `quiet` is not set.
    pub(crate) async fn start(dir: &DataDir, config: &Config, quiet: Arc<AtomicBool>) -> Result<Self, Failure> {
        config.check_control_address()?;
        let acceptor = config.control.files().map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
        let lock = dir.lock().await?;
        let files = Files::open(dir, config).await?;
        let follower = Follower::start(files.store.clone()).await.map_err(|e| Failure::new(e.to_string()))?;
        let mut metrics = Metrics::new(config.control.metrics_token()?);
        let listener = TcpListener::bind(config.control_addr).await;
        let listener = listener.map_err(|e| cannot_listen(config.control_addr, "--control-addr", &e))?;
        let control_addr = listener.local_addr().map_err(|e| Failure::new(format!("cannot listen: {e}")))?;

        let http = UpstreamTls::new(&[]).map(|tls| Http::new(tls, &config.revocation.allow));
        let http = http.map_err(|e| Failure::new(format!("cannot read the system's CAs: {e}")))?;
        let fetcher = fetcher(dir, http.clone())?;
        let issuers = Issuers::new(http, Handle::current(), seconds);
        let (defaults, changed_defaults) = watch::channel(config.defaults());
        let mut publisher = Publisher::new(
            follower.state(),
            changed_defaults,
            fetcher.reviews(),
            files.store.clone(),
            files.keyring.clone(),
        );
        publisher.compile().await;
        let (told, lines) = mpsc::channel(refusals::WAITING);
        tokio::spawn(Printer { lines, explain_options: dir.explain_options(), quiet }.run());
        let upstream_cas = config.upstream.cas()?;
        let edge = Edge::start(
            config.edge(fetcher.clone(), issuers.clone(), upstream_cas),
            publisher.snapshot(),
            &files.journal,
            &files.ledger,
            told,
        );
        let edge = Arc::new(edge.map_err(|e| cannot_listen(config.https_addr, "--https-addr", &e))?);
        metrics.register(OfEdge { counters: edge.counters().clone(), connections: edge.connections() });
        metrics.register(issuers);
        let snapshots = publisher.snapshots();
        metrics.register(OfRevocations { fetcher: fetcher.clone(), snapshots: snapshots.clone(), clock: seconds });
        let expiry = Expiry {
            ledger: files.ledger.clone(),
            snapshots: snapshots.clone(),
            days: config.expiry.days,
            clock: seconds,
            counted: Arc::default(),
        };
        metrics.register(expiry.clone());
        let publishing = tokio::spawn(publisher.run(edge.clone()));

        let control = Control::new(ControlParts {
            config: config.control(edge.local_addr()),
            settings: Settings::new(files.store.clone(), follower.state()),
            keyring: files.keyring.clone(),
            journal: files.journal.clone(),
            ledger: files.ledger.clone(),
            objects: files.objects,
            snapshots,
            metrics,
        });
        let credentials = credentials(dir, &control).await?;
        let root = local_ca::ensure(&control).await.map_err(|e| Failure::new(e.to_string()))?;
        dir.keep_ca(&root)?;
        let renewing = tokio::spawn(renew(control.clone()));
        let forgetting = tokio::spawn(forget(control.clone()));
        let catching_up = tokio::spawn(catch_up(control.clone()));
        tokio::spawn(drift::tell(follower.state()));
        let watching = tokio::spawn(records::watch(files.journal.clone()));
        let noting = tokio::spawn(sightings::watch(files.ledger.clone()));
        let expiring = tokio::spawn(expiry.tell());
        let fetching = tokio::spawn(fetcher.keep());
        let following = config.revocation.directory.clone().map(|files| tokio::spawn(follow(control.clone(), files)));
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let run = Run {
            pid: std::process::id(),
            control: format!("{scheme}://{}", reachable(control_addr)),
            https: reachable(edge.local_addr()).to_string(),
            region: config.region.clone(),
        };
        let serving = Serving::start(listener, control.clone(), acceptor);
        Ok(Self {
            run: run.clone(),
            control,
            credentials,
            config: config.clone(),
            store: files.store,
            journal: files.journal,
            ledger: files.ledger,
            edge,
            publishing,
            defaults,
            renewing,
            forgetting,
            catching_up,
            watching,
            noting,
            expiring,
            fetching,
            following,
            serving,
            _follower: follower,
            _running: dir.announce(&run)?,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// The administrator's access key.
    pub(crate) fn credentials(&self) -> sigv4::Credentials {
        self.credentials.signing()
    }

    /// Sets a gateway up, and returns once it is enforced.
    pub(crate) async fn apply(&self, gateway: &Gateway) -> Result<(), Failure> {
        let client = Client::within(self.control.clone(), self.credentials(), &self.run.region);
        gateway.apply(&client, &self.config.account).await?;
        self.enforced().await;
        Ok(())
    }

    /// Takes what can be changed while it runs: how clients are refused by default, the limits, who speaks PROXY protocol, and the
    /// control address's certificate. Names what has changed and waits for a restart.
    pub(crate) fn reconfigure(&mut self, config: &Config) -> Result<(), Failure> {
        if let (Some(acceptor), Some((certificate, key))) = (&self.serving.acceptor, config.control.files()) {
            acceptor.send_replace(tls::acceptor(certificate, key)?);
            self.config.control = config.control.clone();
        }
        self.config.rejection = config.rejection;
        self.defaults.send_replace(self.config.defaults());
        self.edge.reconfigure(config.limits.edge(), &config.proxy_protocol.from);
        self.config.limits = config.limits.clone();
        self.config.proxy_protocol = config.proxy_protocol.clone();
        let waiting = self.config.differences(config);
        if !waiting.is_empty() {
            warn(&format!("waits for a restart: {}", waiting.join(", ")));
        }
        Ok(())
    }

    /// Ends it: what was begun is ended, what was recorded is on disk.
    pub(crate) async fn drain(self) {
        let _ = self.serving.stop.send(());
        self.renewing.abort();
        self.forgetting.abort();
        self.catching_up.abort();
        self.watching.abort();
        self.noting.abort();
        self.expiring.abort();
        self.fetching.abort();
        self.following.iter().for_each(JoinHandle::abort);
        self.publishing.abort();
        let _ = self.publishing.await;
        let (edge, journal, ledger) = (self.edge, self.journal, self.ledger);
        let drained = spawn_blocking(move || {
            // The publisher, which shared it, has ended.
            if let Some(edge) = Arc::into_inner(edge) {
                edge.drain(DRAIN);
            }
            journal.close();
            ledger.close();
        });
        let _ = tokio::join!(drained, self.serving.task);
        if let Err(e) = self.store.retire(NODE).await {
            warn(&e.to_string());
        }
    }

    /// Until the settings that are known now are enforced.
    async fn enforced(&self) {
        let revision = self.control.settings().state().revision;
        // It ends with the store, which is this process's own.
        let _ = self.store.applied().wait_for(|applied| *applied >= revision).await;
    }
}

impl Serving {
    fn start(listener: TcpListener, control: Control, acceptor: Option<Acceptor>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let (acceptor, task) = match acceptor {
            None => (None, tokio::spawn(control::serve(listener, control, stopped))),
            Some(acceptor) => {
                let (sender, acceptors) = watch::channel(acceptor);
                (Some(sender), tokio::spawn(tls::serve(listener, acceptors, control, stopped)))
            }
        };
        Self { stop, task, acceptor }
    }
}

impl Config {
    fn edge(&self, fetcher: Fetcher, issuers: Issuers, upstream_cas: Vec<String>) -> EdgeConfig {
        let defaults = EdgeConfig::default();
        EdgeConfig {
            https: self.https_addr,
            limits: self.limits.edge(),
            proxy_protocol_from: self.proxy_protocol.from.clone(),
            aws_exact: self.aws_exact,
            account_id: self.account.clone(),
            upstream_cas,
            status_fetcher: Arc::new(fetcher),
            issuer_keys: Arc::new(issuers),
            ..defaults
        }
    }

    fn control(&self, https: SocketAddr) -> ControlConfig {
        ControlConfig {
            account: self.account.clone(),
            default_region: self.region.clone(),
            host_names: self.control.names.iter().map(|name| name.to_ascii_lowercase()).collect(),
            https_port: https.port(),
            execute_api_suffix: self.execute_api_suffix.clone(),
            aws_exact: self.aws_exact,
            revocation_directory: self.revocation.directory.clone(),
            clock: now,
        }
    }

    fn defaults(&self) -> Defaults {
        Defaults { execute_api_suffix: self.execute_api_suffix.clone(), rejection: self.rejection() }
    }
}

impl crate::config::Control {
    /// Certificate and key, where there are both.
    fn files(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.certificate.as_ref().zip(self.key.as_ref())
    }
}

/// Of what certificates name.
fn fetcher(dir: &DataDir, http: Http) -> Result<Fetcher, Failure> {
    let directory = dir.revocation();
    let fetcher = Fetcher::new(&directory, http, Handle::current(), seconds);
    fetcher.map_err(|e| Failure::new(format!("cannot use {}: {e}", directory.display())))
}

/// The administrator's access key, which `countersign env` hands out.
async fn credentials(dir: &DataDir, control: &Control) -> Result<Credentials, Failure> {
    let had_keys = !control.settings().state().access_keys.is_empty();
    let key = control.admin_key().await.map_err(|e| match had_keys {
        true => Failure::new(format!(
            "the settings were sealed under another key than this one: restore sealing.key, or what sealing_key names ({e})"
        )),
        false => Failure::new(e.to_string()),
    })?;
    let credentials = Credentials { access_key_id: key.id, secret_access_key: key.secret.to_string() };
    match dir.credentials() {
        Ok(Some(known)) if known == credentials => return Ok(credentials),
        Ok(Some(_)) => warn("credentials.json was not that of these settings: it is written anew"),
        Ok(None) => {}
        Err(e) => warn(&format!("{e}: it is written anew")),
    }
    dir.write_credentials(&credentials)?;
    Ok(credentials)
}

/// Renews what the local CA has signed, for as long as the server runs.
async fn renew(control: Control) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        if let Err(e) = local_ca::renew(&control).await {
            warn(&format!("certificates of the local CA are not renewed: {e}"));
        }
    }
}

/// Finds what was written to objects that domains name, and got lost on its way to the settings.
async fn catch_up(control: Control) {
    loop {
        if let Err(e) = control.catch_up().await {
            warn(&format!("objects that domains name are not followed: {e}"));
        }
        tokio::time::sleep(CATCHING_UP).await;
    }
}

/// Forgets truststores and lists that nothing names, for as long as the server runs.
async fn forget(control: Control) {
    let mut unnamed = BTreeSet::new();
    loop {
        match control.settings().forget_blobs(&unnamed).await {
            Ok(now) => unnamed = now,
            Err(e) => warn(&e.to_string()),
        }
        tokio::time::sleep(FORGETTING).await;
    }
}

fn cannot_listen(address: SocketAddr, option: &str, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot listen on {address}: {error}; choose another address with {option}"))
}

/// By which this machine can reach a listening address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn seconds() -> UnixSeconds {
    now().div_euclid(1000)
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(UnixMillis::MAX)
}
