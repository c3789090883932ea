//! The server: store, records, data plane and control plane put together in one process.
//!
//! The data plane has threads of its own. Everything else runs on the runtime that the server is started on, and on that runtime's
//! pool for what blocks.

mod chores;
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
mod usage;

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
use journal::usage::UsageBook;
use model::snapshot::Defaults;
use model::{Snapshot, UnixMillis};
use store::{Follower, Store};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use trust::UnixSeconds;

use crate::answer::{Failure, warn};
use crate::client::Client;
use crate::config::Config;
use crate::data_dir::{Credentials, DataDir, Lock, Run, Running};
use crate::fetch::Http;
use crate::gateway::Gateway;
use crate::issuers::Issuers;
use crate::revocation::{Fetcher, OfRevocations};
use crate::up::Signals;
use chores::Chores;
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
    /// What the last requests have used is written down when they have ended.
    used: (UsageBook, watch::Receiver<Arc<Snapshot>>),
    edge: Arc<Edge>,
    defaults: watch::Sender<Defaults>,
    chores: Chores,
    background: JoinSet<()>,
    serving: Serving,
    // In the order in which they are let go: other commands find no server before its lock is free.
    _follower: Follower,
    _running: Running,
    _lock: Lock,
}

/// The control address being served.
struct Serving {
    /// Dropped, it stops.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    acceptor: Option<watch::Sender<Acceptor>>,
}

/// This node's name among those that report what they enforce.
const NODE: &str = "local";

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
            files.usage.clone(),
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
        let mut background = JoinSet::new();
        background.spawn(publisher.run(edge.clone()));
        background.spawn(drift::tell(follower.state()));
        background.spawn(records::watch(files.journal.clone()));
        background.spawn(sightings::watch(files.ledger.clone()));
        background.spawn(usage::keep(files.usage.clone(), snapshots.clone()));
        background.spawn(expiry.tell());
        background.spawn(fetcher.keep());

        let control = Control::new(ControlParts {
            config: config.control(edge.local_addr()),
            settings: Settings::new(files.store.clone(), follower.state()),
            keyring: files.keyring.clone(),
            journal: files.journal.clone(),
            ledger: files.ledger.clone(),
            usage: files.usage.clone(),
            objects: files.objects,
            snapshots: snapshots.clone(),
            metrics,
        });
        let credentials = credentials(dir, &control).await?;
        let root = local_ca::ensure(&control).await.map_err(|e| Failure::new(e.to_string()))?;
        dir.keep_ca(&root)?;
        let chores = Chores::start(&control, config.revocation.directory.as_deref());
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
            used: (files.usage, snapshots),
            edge,
            defaults,
            chores,
            background,
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

    /// Takes what can be changed while it runs: how clients are refused by default, the limits, who speaks PROXY protocol, the
    /// times for a drain, and the control address's certificate. Names what has changed and waits for a restart.
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
        self.config.drain_delay_seconds = config.drain_delay_seconds;
        self.config.drain_timeout_seconds = config.drain_timeout_seconds;
        let waiting = self.config.differences(config);
        if !waiting.is_empty() {
            warn(&format!("waits for a restart: {}", waiting.join(", ")));
        }
        Ok(())
    }

    /// Ends it. Health says so from now on; all else goes on for `drain_delay_seconds`, in which balancers look elsewhere. Then
    /// what was begun is ended, within `drain_timeout_seconds`, and what was recorded is on disk. Whoever is asked to stop once
    /// more skips what is left of either time.
    pub(crate) async fn drain(mut self, signals: &mut Signals) {
        self.control.announce_drain();
        tokio::select! {
            () = tokio::time::sleep(seconds_of(self.config.drain_delay_seconds)) => {}
            () = signals.stop() => {}
        }
        self.drain_edge(signals).await;
        self.serving.stop().await;
        self.chores.stop().await;
        self.background.shutdown().await;
        let (journal, ledger, (usage, snapshots)) = (self.journal, self.ledger, self.used);
        let closed = spawn_blocking(move || {
            if let Err(e) = control::usage::write(&usage, &snapshots.borrow()) {
                warn(&e.to_string());
            }
            journal.close();
            ledger.close();
        });
        let _ = closed.await;
        if let Err(e) = self.store.retire(NODE).await {
            warn(&e.to_string());
        }
    }

    async fn drain_edge(&self, signals: &mut Signals) {
        let drain = |time| {
            let edge = self.edge.clone();
            spawn_blocking(move || edge.drain(time))
        };
        let mut drained = drain(seconds_of(self.config.drain_timeout_seconds));
        let cut = tokio::select! {
            cut = &mut drained => cut,
            () = signals.stop() => {
                let _ = drain(Duration::ZERO).await;
                drained.await
            }
        };
        match cut {
            Ok(0) | Err(_) => {}
            Ok(cut) => warn(&format!("{cut} connections were still in use, and were cut")),
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
        Self { stop: Some(stop), task, acceptor }
    }

    /// Takes no more requests, and returns once those under way are answered.
    async fn stop(&mut self) {
        drop(self.stop.take());
        let _ = (&mut self.task).await;
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

fn seconds_of(configured: u32) -> Duration {
    Duration::from_secs(configured.into())
}

fn seconds() -> UnixSeconds {
    now().div_euclid(1000)
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(UnixMillis::MAX)
}
