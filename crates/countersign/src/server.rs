//! The server: store, records, data plane and control plane put together in one process.
//!
//! The data plane has threads of its own. Everything else runs on the runtime that the server is started on, and on that runtime's
//! pool for what blocks.

mod certificates;
mod chores;
mod dns;
mod drift;
mod expiry;
mod files;
mod follow;
mod handover;
pub(crate) mod listener;
mod metrics;
mod ration;
mod records;
mod refusals;
mod retention;
pub(crate) mod settings_store;
mod sightings;
mod sockets;
mod tls;
mod usage;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use control::metrics::Metrics;
use control::{Control, ControlConfig, ControlParts, Settings, local_ca};
use edge::{AlpnChallenges, Edge, EdgeConfig, UpstreamTls};
use model::UnixMillis;
use model::snapshot::Defaults;
use store::Follower;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet, spawn_blocking};
use trust::UnixSeconds;

use crate::acme::Acme;
use crate::answer::{Failure, warn};
use crate::client::Client;
use crate::config::Config;
use crate::data_dir::{Credentials, DataDir, Lock, Run, Running};
use crate::doctor::OwnDoctor;
use crate::fetch::Http;
use crate::gateway::Gateway;
use crate::inherited::{Inherited, Managed};
use crate::issuers::Issuers;
use crate::revocation::{Fetcher, OfRevocations};
use crate::sinks::{Sinks, Witness};
use crate::systemd::Notifier;
use crate::takeover::{Door, Successor};
use crate::up::Signals;
use chores::Chores;
use dns::Responder;
use expiry::Expiry;
use files::{Files, Held};
use follow::Publisher;
use metrics::OfEdge;
use refusals::Printer;
use sockets::Sockets;
use tls::Acceptor;

/// A server.
pub(crate) struct Server {
    run: Run,
    /// Its name among the nodes.
    node: String,
    control: Control,
    credentials: Credentials,
    config: Config,
    dir: DataDir,
    held: Held,
    witness: Option<Arc<Witness>>,
    edge: Arc<Edge>,
    defaults: watch::Sender<Defaults>,
    acme: Option<Acme>,
    chores: Chores,
    sinks: Sinks,
    background: JoinSet<()>,
    serving: Serving,
    notifier: Arc<Notifier>,
    /// Says that this process lives, as long as it is the one that serves.
    life: Option<AbortHandle>,
    managed: Managed,
    /// Where another process may ask to take over.
    door: Option<Door>,
    /// The process that has taken over. It waits for what this one leaves until the connection ends.
    taken_over_by: Option<Successor>,
    // In the order in which they are let go: other commands find no server before its lock is free.
    _follower: Follower,
    running: Running,
    lock: Lock,
}

/// The control address being served.
struct Serving {
    /// Stays open where nothing is accepted: who connects waits.
    socket: std::net::TcpListener,
    acceptor: Option<watch::Sender<Acceptor>>,
    /// The first, dropped, stops the other.
    task: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Time for what blocks to end after the connections have.
pub(crate) const LAST_MOMENTS: Duration = Duration::from_secs(5);
/// Time for sinks to take what was recorded last. What they do not take they take after the next start.
const SINKS_LAST_MOMENTS: Duration = Duration::from_secs(3);
/// The name of a node that shares its settings with nobody.
const ALONE: &str = "local";

impl Server {
    /// Starts it, on the sockets that are `inherited`, and returns once what was set before is compiled. It accepts nobody before
    /// it is told to [`serve`](Self::serve). With the `lock` of its data directory another process has let go of what lies there.
    /// Refusals are printed while `quiet` is not set.
    pub(crate) async fn start(
        dir: &DataDir,
        config: &Config,
        quiet: Arc<AtomicBool>,
        inherited: Inherited,
        lock: Option<OwnedFd>,
    ) -> Result<Self, Failure> {
        let config = &inherited.placed(config).map_err(|e| Failure::new(format!("cannot listen: {e}")))?;
        config.check_control_address()?;
        let acceptor = config.control.files().map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
        let (managed, is_successor) = (inherited.managed, lock.is_some());
        let lock = match lock {
            Some(lock) => Lock::handed(lock),
            None => dir.lock().await?,
        };
        let files = Files::open(dir, config, is_successor).await?;
        let node = match (config.store.etcd(), &config.store.node) {
            (None, _) => ALONE.to_owned(),
            (Some(_), Some(name)) => name.clone(),
            (Some(_), None) => dir.node()?,
        };
        let store = files.settings.store();
        let follower = Follower::start(store.clone()).await.map_err(|e| Failure::new(e.to_string()))?;
        let mut metrics = Metrics::new(config.control.metrics_token()?);
        let instance = files.journal.verifier().map_or("countersign", |verifier| verifier.name());
        let witness = config.audit.witness.as_ref().map(|witness| Witness::new(&witness.0, instance));
        let witness = witness.transpose()?.map(Arc::new);
        let sinks = Sinks::open(&config.sinks, &dir.sinks(), &files.journal)?;
        let sockets = Sockets::open(config, inherited)?;
        let responder = config.dns.listen.map(Responder::open).transpose()?;
        let (https_addr, control_addr) = (sockets.https_addr()?, sockets.control_addr()?);

        let http = UpstreamTls::new(&[]).map(|tls| Http::new(tls, &config.revocation.allow));
        let http = http.map_err(|e| Failure::new(format!("cannot read the system's CAs: {e}")))?;
        let fetcher = fetcher(dir, http.clone())?;
        let issuers = Issuers::new(http, Handle::current(), seconds);
        let (defaults, changed_defaults) = watch::channel(config.defaults());
        let mut publisher = Publisher::new(
            follower.state(),
            changed_defaults,
            fetcher.reviews(),
            store.clone(),
            node.clone(),
            files.keyring.clone(),
            files.usage.clone(),
        );
        publisher.compile().await;
        let challenges = AlpnChallenges::default();
        let acme = Acme::open(&config.acme, challenges.clone(), &node)?;
        let (told, lines) = mpsc::channel(refusals::WAITING);
        tokio::spawn(Printer { lines, explain_options: dir.explain_options(), quiet }.run());
        let upstream_cas = config.upstream.cas()?;
        let edge = Edge::start_on(
            sockets.https,
            EdgeConfig {
                lambda: config.lambda.edge()?,
                alpn_challenges: challenges,
                ..config.edge(fetcher.clone(), issuers.clone(), upstream_cas)
            },
            publisher.snapshot(),
            &files.journal,
            &files.ledger,
            told,
        );
        let edge = Arc::new(edge.map_err(|e| Failure::new(format!("cannot serve on {https_addr}: {e}")))?);
        metrics.register(OfEdge { counters: edge.counters().clone(), connections: edge.connections() });
        metrics.register(issuers);
        metrics.register(sinks.metrics(now));
        let snapshots = publisher.snapshots();
        let held = files.held(snapshots.clone());
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
        background.spawn(settings_store::tell_of_loss(store.lost()));
        background.spawn(records::watch(files.journal.clone()));
        let lag = records::Lag::new(files.journal.clone());
        metrics.register(lag.clone());
        background.spawn(lag.watch());
        background.spawn(retention::keep(files.journal.clone(), config.records.retention_days, now));
        if let Some(witness) = &witness {
            background.spawn(witness.clone().follow(files.journal.clone()));
        }
        background.spawn(sightings::watch(files.ledger.clone()));
        background.spawn(usage::keep(files.usage.clone(), snapshots.clone()));
        background.spawn(expiry.tell());
        background.spawn(fetcher.keep());

        let control = Control::new(ControlParts {
            config: config.control(https_addr),
            settings: Settings::new(store.clone(), follower.state(), files.journal.clone(), now),
            keyring: files.keyring.clone(),
            journal: files.journal.clone(),
            ledger: files.ledger.clone(),
            usage: files.usage.clone(),
            objects: files.objects,
            snapshots: snapshots.clone(),
            sinks_fail: Box::new(sinks.fault()),
            witness_fails: witness
                .clone()
                .map(|witness| -> Box<dyn Fn() -> bool + Send + Sync> { Box::new(move || witness.fails()) }),
            traffic: metrics::traffic(edge.counters().clone(), edge.connections()),
            doctor: Box::new(OwnDoctor { https: reachable(https_addr), local_ca: dir.ca() }),
            metrics,
        });
        background.spawn(control.clone().follow_traffic());
        let credentials = begin(dir, &control).await?;
        let chores = Chores::start(&control, config, acme.as_ref());
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let run = Run {
            pid: std::process::id(),
            control: format!("{scheme}://{}", reachable(control_addr)),
            https: reachable(https_addr).to_string(),
            region: config.region.clone(),
            dns: responder.as_ref().map(|responder| reachable(responder.address()).to_string()),
        };
        if let Some(responder) = responder {
            background.spawn(responder.run(control.clone()));
        }
        let serving = Serving::new(sockets.control, acceptor);
        Ok(Self {
            run: run.clone(),
            node,
            control,
            credentials,
            config: config.clone(),
            dir: dir.clone(),
            held,
            witness,
            edge,
            defaults,
            acme,
            chores,
            sinks,
            background,
            serving,
            notifier: Arc::new(Notifier::from_environment()),
            life: None,
            managed,
            door: None,
            taken_over_by: None,
            _follower: follower,
            running: dir.announce(&run)?,
            lock,
        })
    }

    /// Where it listens.
    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    /// Who is told how it goes.
    pub(crate) fn notifier(&self) -> &Notifier {
        &self.notifier
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

    /// Takes what can be changed while it runs: how clients are refused by default, the limits, who speaks PROXY protocol, how
    /// functions are called, the times for a drain, and the control address's certificate. Names what has changed and waits for a
    /// restart.
    pub(crate) async fn reconfigure(&mut self, config: &Config) -> Result<(), Failure> {
        let changed: Vec<_> =
            self.config.differences(config).into_iter().map(|key| format!("configuration/{key}")).collect();
        let lambda = config.lambda.edge()?;
        if let (Some(acceptor), Some((certificate, key))) = (&self.serving.acceptor, config.control.files()) {
            acceptor.send_replace(tls::acceptor(certificate, key)?);
            self.config.control = config.control.clone();
        }
        self.config.rejection = config.rejection;
        self.defaults.send_replace(self.config.defaults());
        self.edge.reconfigure(config.limits.edge(), &config.proxy_protocol.from, lambda);
        self.config.lambda = config.lambda.clone();
        self.config.limits = config.limits.clone();
        self.config.proxy_protocol = config.proxy_protocol.clone();
        self.config.drain_delay_seconds = config.drain_delay_seconds;
        self.config.drain_timeout_seconds = config.drain_timeout_seconds;
        let waiting: Vec<_> =
            self.config.differences(config).into_iter().filter(|key| !self.managed.decides(key)).collect();
        if !waiting.is_empty() {
            warn(&format!("waits for a restart: {}", waiting.join(", ")));
        }
        self.control.settings().note("ReloadConfiguration", changed).await;
        Ok(())
    }

    /// Ends it. Health says so from now on; all else goes on for `drain_delay_seconds`, in which balancers look elsewhere. Then
    /// what was begun is ended, within `drain_timeout_seconds`, and what was recorded is on disk. Whoever is asked to stop once
    /// more skips what is left of either time.
    pub(crate) async fn drain(mut self, signals: &mut Signals) {
        if let Some(door) = self.door.as_ref().filter(|_| self.taken_over_by.is_none()) {
            let time = self.config.drain_delay_seconds.saturating_add(self.config.drain_timeout_seconds);
            self.notifier.stopping(seconds_of(time) + LAST_MOMENTS);
            door.close();
            self.control.announce_drain();
            tokio::select! {
                () = tokio::time::sleep(seconds_of(self.config.drain_delay_seconds)) => {}
                () = signals.stop() => {}
            }
        }
        self.drain_edge(signals).await;
        self.serving.stop().await;
        self.chores.stop().await;
        self.control.settings().tell_of_strangers(true);
        self.background.shutdown().await;
        // What cannot be synced is told by others.
        let _ = self.held.journal.synced().await;
        self.sinks.stop(SINKS_LAST_MOMENTS).await;
        let held = self.held.clone();
        let closed = spawn_blocking(move || {
            held.write_usage();
            held.journal.close();
            held.ledger.close();
        });
        let _ = closed.await;
        if let Some(witness) = &self.witness {
            witness.tell_last(&self.held.journal).await;
        }
        if let Err(e) = self.held.settings.store().retire(&self.node).await {
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
        let _ = self.held.settings.store().applied().wait_for(|applied| *applied >= revision).await;
    }
}

impl Serving {
    fn new(socket: std::net::TcpListener, acceptor: Option<Acceptor>) -> Self {
        Self { socket, acceptor: acceptor.map(|acceptor| watch::channel(acceptor).0), task: None }
    }

    fn start(&mut self, control: &Control) -> Result<(), Failure> {
        let listener = self.socket().and_then(TcpListener::from_std);
        let listener = listener.map_err(|e| Failure::new(format!("cannot listen: {e}")))?;
        let (stop, stopped) = oneshot::channel();
        let stopped = async { drop(stopped.await) };
        let control = control.clone();
        let task = match &self.acceptor {
            None => tokio::spawn(control::serve(listener, control, stopped)),
            Some(acceptor) => tokio::spawn(tls::serve(listener, acceptor.subscribe(), control, stopped)),
        };
        self.task = Some((stop, task));
        Ok(())
    }

    /// Takes no more requests, and returns once those under way are answered.
    async fn stop(&mut self) {
        if let Some((stop, task)) = self.task.take() {
            drop(stop);
            let _ = task.await;
        }
    }

    /// On which it listens, for another process.
    fn socket(&self) -> io::Result<std::net::TcpListener> {
        self.socket.try_clone()
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
            console: self.control.console,
            acme: self.acme.directory.is_some(),
            dns: self.dns.options(https.ip()),
            revocation_directory: self.revocation.directory.clone(),
            shares_settings: self.store.etcd().is_some(),
            clock: now,
            warn,
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

/// What a server makes at its first start, and finds at each that follows.
async fn begin(dir: &DataDir, control: &Control) -> Result<Credentials, Failure> {
    let credentials = credentials(dir, control).await?;
    let root = local_ca::ensure(control).await.map_err(|e| Failure::new(e.to_string()))?;
    dir.keep_ca(&root)?;
    Ok(credentials)
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
