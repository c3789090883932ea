//! What belongs to one thread: its listener, its connections, and all that a request needs.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use journal::ledger::Ledger;
use journal::{End, Journal};
use model::Snapshot;
use model::template::Template;
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use trust::UnixSeconds;

use crate::addresses::{Addresses, Counted};
use crate::admission::Admissions;
use crate::authorize::{RememberedVerdicts, VerifiedTokens};
use crate::clock::TimeText;
use crate::connection::{self, Close, Connection};
use crate::counters::{Bound, Counters, RuntimeCounters};
use crate::lambda::Caller;
use crate::proxy_protocol::{self, Source};
use crate::record::{DOMAIN_LOG_FORMAT, Line};
use crate::request_id::RequestIds;
use crate::sightings::Sightings;
use crate::strangers::Strangers;
use crate::tls::{DomainTlsCache, SharedTls, UpstreamTls};
use crate::upstream::Upstreams;
use crate::verdicts::Client;
use crate::{EdgeConfig, Lambda, Limits, Network, listen};

/// How often connections are looked at, and the ledger is told who was seen.
const SWEEP: Duration = Duration::from_millis(250);
/// How often records are handed to the journal.
const FLUSH: Duration = Duration::from_millis(50);
/// Chains that are judged again before requests get their turn.
const REVIEWED_AT_ONCE: usize = 16;

/// One thread's part of the edge.
pub(crate) struct Runtime {
    pub(crate) config: Arc<EdgeConfig>,
    /// Those of the configuration until others came: see [`Self::limits`].
    limits: RefCell<Rc<Limits>>,
    /// Peers that have to say whose connection they pass on.
    balancers: RefCell<Rc<[Network]>>,
    pub(crate) caller: Caller,
    pub(crate) snapshot: RefCell<Arc<Snapshot>>,
    /// Counts the snapshots: one may come again with the same revision, compiled with other defaults.
    pub(crate) generation: Cell<u64>,
    pub(crate) tls: Arc<SharedTls>,
    pub(crate) domain_tls: DomainTlsCache,
    pub(crate) upstreams: Upstreams,
    pub(crate) tokens: VerifiedTokens,
    pub(crate) verdicts: RememberedVerdicts,
    /// Bytes of payloads that have to be whole.
    pub(crate) held_bytes: Cell<u64>,
    pub(crate) writer: RefCell<journal::Writer>,
    pub(crate) sightings: Sightings,
    pub(crate) strangers: Strangers,
    pub(crate) admissions: Admissions,
    pub(crate) lines: mpsc::Sender<Line>,
    pub(crate) counters: RuntimeCounters,
    pub(crate) ids: RequestIds,
    pub(crate) time_text: TimeText,
    pub(crate) http_date: TimeText,
    pub(crate) domain_log: Template,
    /// Name of the log stream that this runtime's lines are in.
    pub(crate) log_stream: String,
    /// Reused for every line.
    pub(crate) line: Cell<String>,
    pub(crate) anonymous: Rc<Client>,
    /// Milliseconds since its start, as of the last sweep.
    pub(crate) tick: Rc<Cell<u64>>,
    started: Instant,
    connections: RefCell<HashMap<u64, Rc<Connection>>>,
    next_connection: Cell<u64>,
    /// Connections that were accepted and have not ended, from before their handshake on.
    places: Cell<usize>,
    gone: Notify,
    draining: Cell<bool>,
}

/// What one runtime is made of; sent to its thread.
pub(crate) struct Parts {
    pub(crate) config: Arc<EdgeConfig>,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) tls: Arc<SharedTls>,
    pub(crate) upstream_tls: UpstreamTls,
    pub(crate) writer: journal::Writer,
    pub(crate) journal: Journal,
    pub(crate) ledger: Ledger,
    pub(crate) lines: mpsc::Sender<Line>,
    pub(crate) counters: Counters,
    pub(crate) log_stream: String,
}

/// What the edge tells a runtime.
pub(crate) enum Command {
    /// Accept connections from now on.
    Accept,
    /// Serve this from now on, and say when.
    Publish(Arc<Snapshot>, oneshot::Sender<()>),
    /// These hold for new connections and requests, these peers speak PROXY protocol, and this is how functions are called.
    Reconfigure(Arc<Limits>, Arc<[Network]>, Option<Arc<Lambda>>),
    /// Stop accepting, end what was begun until then, and end.
    Drain(Instant),
    /// Say that you live.
    Answer(oneshot::Sender<()>),
}

/// The place of an accepted connection in its runtime: who drains waits until it is dropped.
pub(crate) struct Place(Rc<Runtime>);

/// A socket on which connections are accepted.
struct Accepting {
    listener: Rc<TcpListener>,
    task: JoinHandle<()>,
}

/// A connection that is known to its runtime until this is dropped.
pub(crate) struct Registered {
    runtime: Rc<Runtime>,
    id: u64,
}

impl Runtime {
    pub(crate) fn new(parts: Parts) -> Rc<Self> {
        let format = Template::parse(DOMAIN_LOG_FORMAT).expect("a constant, tested to be within AWS's limit");
        let counters = RuntimeCounters::new(parts.counters);
        Rc::new(Self {
            limits: RefCell::new(Rc::new(parts.config.limits.clone())),
            balancers: RefCell::new(parts.config.proxy_protocol_from.as_slice().into()),
            caller: Caller::new(parts.config.lambda.clone().map(Arc::new)),
            config: parts.config,
            snapshot: RefCell::new(parts.snapshot),
            generation: Cell::new(0),
            tls: parts.tls,
            domain_tls: DomainTlsCache::default(),
            upstreams: Upstreams::new(parts.upstream_tls, counters.upstreams()),
            tokens: VerifiedTokens::default(),
            verdicts: RememberedVerdicts::default(),
            held_bytes: Cell::new(0),
            writer: RefCell::new(parts.writer),
            sightings: Sightings::new(parts.ledger),
            strangers: Strangers::default(),
            admissions: Admissions::new(parts.journal),
            lines: parts.lines,
            counters,
            ids: RequestIds::new(),
            time_text: TimeText::common_log(),
            http_date: TimeText::http_date(),
            domain_log: format,
            log_stream: parts.log_stream,
            line: Cell::default(),
            anonymous: Rc::new(Client::anonymous()),
            tick: Rc::default(),
            started: Instant::now(),
            connections: RefCell::default(),
            next_connection: Cell::new(0),
            places: Cell::new(0),
            gone: Notify::new(),
            draining: Cell::new(false),
        })
    }

    /// Serves until it is told to drain and has, or nobody can tell it anything any more. How many connections were cut then.
    pub(crate) async fn run(
        self: Rc<Self>,
        listeners: Vec<TcpListener>,
        addresses: Arc<Addresses>,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) -> usize {
        let accept = |listener: TcpListener| {
            let listener = Rc::new(listener);
            let task = tokio::task::spawn_local(self.clone().accept(listener.clone(), addresses.clone()));
            Accepting { listener, task }
        };
        let mut waiting = listeners;
        let mut accepting: Vec<Accepting> = Vec::new();
        let sweeping = tokio::task::spawn_local(self.clone().sweep());
        let mut deadline = None;
        loop {
            let command = select! {
                biased;
                command = commands.recv() => command,
                () = self.drained(deadline) => break,
            };
            match command {
                Some(Command::Accept) => accepting.extend(waiting.drain(..).map(accept)),
                Some(Command::Publish(snapshot, done)) => {
                    self.publish(snapshot);
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
                Some(Command::Reconfigure(limits, balancers, lambda)) => {
                    self.caller.use_from_now_on(lambda);
                    self.limits.replace(Rc::new(Limits::clone(&limits)));
                    self.balancers.replace(Rc::from(&*balancers));
                }
                Some(Command::Answer(alive)) => drop(alive.send(())),
                Some(Command::Drain(by)) => {
                    waiting.clear();
                    for one in accepting.drain(..) {
                        self.accept_the_rest(one, &addresses).await;
                    }
                    self.drain();
                    deadline = Some(by);
                }
                None => break,
            }
        }
        sweeping.abort();
        self.sightings.flush(self.config.clock.now());
        self.strangers.write(&self);
        self.writer.borrow_mut().flush();
        self.places.get()
    }

    async fn accept(self: Rc<Self>, listener: Rc<TcpListener>, addresses: Arc<Addresses>) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.accepted(stream, peer, &addresses),
                // Out of file descriptors, most likely; trying again at once would only burn the core.
                Err(_) => {
                    self.counters.met(Bound::Accept);
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// Closes the socket. Whoever has connected by now would be reset with it, and is accepted before.
    async fn accept_the_rest(self: &Rc<Self>, accepting: Accepting, addresses: &Arc<Addresses>) {
        accepting.task.abort();
        let _ = accepting.task.await;
        let Some(Ok(listener)) = Rc::into_inner(accepting.listener).map(TcpListener::into_std) else { return };
        // Others may accept on it too, and more may come all the time.
        for _ in 0..listen::BACKLOG {
            let Ok((stream, peer)) = listener.accept() else { return };
            if stream.set_nonblocking(true).is_ok()
                && let Ok(stream) = TcpStream::from_std(stream)
            {
                self.accepted(stream, peer, addresses);
            }
        }
    }

    /// One too many is closed without a word.
    fn accepted(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, addresses: &Arc<Addresses>) {
        let deadline = Instant::now() + self.limits().handshake_timeout;
        let is_balancer = self.balancers.borrow().iter().any(|network| network.contains(peer.ip()));
        let counted =
            addresses.count().and_then(|counted| if is_balancer { Ok(counted) } else { counted.of(peer.ip()) });
        let counted = match counted {
            Ok(counted) => counted,
            Err(bound) => return self.counters.met(bound),
        };
        let place = Place::new(self.clone());
        if is_balancer {
            tokio::task::spawn_local(place.passed_on(stream, peer, counted, deadline));
        } else {
            tokio::task::spawn_local(connection::run(place, stream, peer, counted, deadline));
        }
    }

    fn publish(self: &Rc<Self>, snapshot: Arc<Snapshot>) {
        self.domain_tls.retain(&snapshot);
        self.snapshot.replace(snapshot);
        self.generation.set(self.generation.get() + 1);
        tokio::task::spawn_local(self.clone().review());
    }

    /// Ends the connections of clients that are trusted no more. Their next requests would be refused anyway.
    async fn review(self: Rc<Self>) {
        let connections: Vec<Rc<Connection>> = self.connections.borrow().values().cloned().collect();
        for some in connections.chunks(REVIEWED_AT_ONCE) {
            for connection in some {
                connection.review_in_background(&self);
            }
            tokio::task::yield_now().await;
        }
    }

    async fn sweep(self: Rc<Self>) {
        let mut sweep = interval(SWEEP);
        let mut flush = interval(FLUSH);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                _ = flush.tick() => drop(self.writer.borrow_mut().flush()),
                _ = sweep.tick() => {
                    self.sweep_once();
                    self.sightings.flush(self.config.clock.now());
                    self.strangers.write_if_due(&self);
                    self.upstreams.sweep();
                }
            }
        }
    }

    fn sweep_once(self: &Rc<Self>) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.tick.set(now);
        let seconds = self.now_seconds();
        let limits = self.limits();
        let mut expired = false;
        for connection in self.connections.borrow().values() {
            expired |= connection.holds_until() < seconds && connection.is_to_be_reviewed();
            if let Some((close, bound)) = connection.activity.verdict(now, &limits, connection.is_http2)
                && connection.close(close, bound.end())
            {
                self.counters.met(bound);
            }
        }
        if expired {
            tokio::task::spawn_local(self.clone().review());
        }
    }

    /// Tells every connection to end, and those that are still shaking hands once they have.
    fn drain(&self) {
        self.draining.set(true);
        for connection in self.connections.borrow().values() {
            connection.close(Close::Drain, End::Drained);
        }
    }

    /// Until every connection has ended, or the time is over. Forever while there is no deadline.
    async fn drained(&self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return std::future::pending().await };
        while self.places.get() > 0 {
            if timeout_at(deadline, self.gone.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Takes a connection into the index.
    pub(crate) fn register(self: &Rc<Self>, connection: &Rc<Connection>) -> Registered {
        let id = self.next_connection.get();
        self.next_connection.set(id + 1);
        self.connections.borrow_mut().insert(id, connection.clone());
        if self.draining.get() {
            connection.close(Close::Drain, End::Drained);
        }
        Registered { runtime: self.clone(), id }
    }

    /// The bounds that hold now.
    pub(crate) fn limits(&self) -> Rc<Limits> {
        self.limits.borrow().clone()
    }

    pub(crate) fn now_seconds(&self) -> UnixSeconds {
        self.config.clock.now().div_euclid(1000)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let removed = self.runtime.connections.borrow_mut().remove(&self.id);
        drop(removed);
    }
}

impl Place {
    fn new(runtime: Rc<Runtime>) -> Self {
        runtime.places.set(runtime.places.get() + 1);
        Self(runtime)
    }

    pub(crate) fn runtime(&self) -> &Rc<Runtime> {
        &self.0
    }

    /// A balancer's connection: it is counted and recorded as of the client that the balancer names.
    async fn passed_on(self, mut stream: TcpStream, peer: SocketAddr, counted: Counted, deadline: Instant) {
        let read = timeout_at(deadline, proxy_protocol::read(&mut stream)).await;
        let (client, counted) = match read {
            Ok(Ok(Ok(Source::Client(client)))) => (client, counted.of(client.ip())),
            Ok(Ok(Ok(Source::Balancer))) => (peer, Ok(counted)),
            _ => (peer, Err(Bound::ProxyProtocol)),
        };
        match counted {
            Ok(counted) => connection::run(self, stream, client, counted, deadline).await,
            Err(bound) => self.0.counters.met(bound),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.set(self.0.places.get() - 1);
        self.0.gone.notify_one();
    }
}
