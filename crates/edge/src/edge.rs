//! The handle on the data plane.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use journal::Journal;
use journal::ledger::Ledger;
use model::Snapshot;
use tokio::net;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::addresses::{Addresses, Connections};
use crate::counters::Counters;
use crate::record::Line;
use crate::runtime::{Command, Parts, Runtime};
use crate::tls::{SharedTls, UpstreamTls};
use crate::{EdgeConfig, Lambda, Limits, Network, listen};

/// A running data plane. Dropped, it stops at once; see [`drain`](Self::drain).
pub struct Edge {
    address: SocketAddr,
    tls: Arc<SharedTls>,
    addresses: Arc<Addresses>,
    counters: Counters,
    commands: Vec<mpsc::UnboundedSender<Command>>,
    /// Each ends with the number of connections that were cut.
    threads: Mutex<Vec<JoinHandle<usize>>>,
    /// The sockets, for others; none once it drains.
    sockets: Mutex<Vec<TcpListener>>,
}

impl Edge {
    /// Listens and serves `snapshot`: see [`start_on`](Self::start_on). Connections are accepted when it returns. Fails, too, where
    /// the address cannot be bound.
    pub fn start(
        config: EdgeConfig,
        snapshot: Arc<Snapshot>,
        journal: &Journal,
        ledger: &Ledger,
        lines: mpsc::Sender<Line>,
    ) -> io::Result<Self> {
        let sockets = listen::sockets(config.https, config.runtimes.max(1))?;
        let edge = Self::start_on(sockets, config, snapshot, journal, ledger, lines)?;
        edge.accept();
        Ok(edge)
    }

    /// Gets ready to serve `snapshot` on sockets that listen, one at least. Whoever connects waits until it is told to
    /// [`accept`](Self::accept): another process may accept on them still, and nobody is to be lost with this one if it ends.
    ///
    /// `ledger` is told of every client that is asked for a certificate and has one. `lines` gets what the person at the terminal
    /// is told: of every refused client, of clients about whom a shadow truststore differs. Lines that find it full are lost
    /// (the records are not). Fails where a CA of the configuration cannot be read.
    pub fn start_on(
        sockets: Vec<TcpListener>,
        config: EdgeConfig,
        snapshot: Arc<Snapshot>,
        journal: &Journal,
        ledger: &Ledger,
        lines: mpsc::Sender<Line>,
    ) -> io::Result<Self> {
        let config = Arc::new(config);
        let runtimes = config.runtimes.max(1);
        let first = sockets.first().ok_or_else(|| io::Error::other("there is no socket to serve"))?;
        let address = first.local_addr()?;
        let kept = sockets.iter().map(TcpListener::try_clone).collect::<io::Result<_>>()?;
        let addresses = Arc::new(Addresses::new(&config.limits));
        let tls = Arc::new(SharedTls::new(config.clock.clone(), config.status_fetcher.clone()));
        let upstream_tls = UpstreamTls::new(&config.upstream_cas)?;
        let mut edge = Self {
            address,
            tls: tls.clone(),
            addresses: addresses.clone(),
            counters: Counters::default(),
            commands: Vec::with_capacity(runtimes),
            threads: Mutex::default(),
            sockets: Mutex::new(kept),
        };
        let started = config.clock.now();
        for (number, listeners) in listen::spread(sockets, runtimes)?.into_iter().enumerate() {
            let parts = Parts {
                config: config.clone(),
                snapshot: snapshot.clone(),
                tls: tls.clone(),
                upstream_tls: upstream_tls.clone(),
                writer: journal.writer(),
                journal: journal.clone(),
                ledger: ledger.clone(),
                lines: lines.clone(),
                counters: edge.counters.clone(),
                log_stream: format!("{started:016x}{number:016x}"),
            };
            edge.spawn(number, listeners, parts, addresses.clone())?;
        }
        Ok(edge)
    }

    /// Accepts connections from now on.
    pub fn accept(&self) {
        for commands in &self.commands {
            // A runtime that is gone serves nobody.
            let _ = commands.send(Command::Accept);
        }
    }

    /// Where HTTPS is served.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What has been counted since it started.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How many connections there are.
    pub fn connections(&self) -> Connections {
        Connections(self.addresses.clone())
    }

    /// From now on `limits` hold for new connections and new requests (for waiting, on those that are there too), and
    /// `proxy_protocol_from` are the peers that speak PROXY protocol. Functions are called by `lambda`.
    pub fn reconfigure(&self, limits: Limits, proxy_protocol_from: &[Network], lambda: Option<Lambda>) {
        self.addresses.limit(&limits);
        let (limits, balancers) = (Arc::new(limits), Arc::<[Network]>::from(proxy_protocol_from));
        let lambda = lambda.map(Arc::new);
        for commands in &self.commands {
            // A runtime that is gone has nobody to bound.
            let _ = commands.send(Command::Reconfigure(limits.clone(), balancers.clone(), lambda.clone()));
        }
    }

    /// Serves `snapshot` from now on. The future ends when every runtime does: from then on no request is served by an
    /// older one. Connections of clients that it does not trust are closed within a second.
    pub fn publish(&self, snapshot: Arc<Snapshot>) -> impl Future<Output = ()> + Send + 'static {
        self.tls.retain(&snapshot);
        all(self.ask(|done| Command::Publish(snapshot.clone(), done)))
    }

    /// Tells every runtime; each says when it has done so.
    fn ask(&self, command: impl Fn(oneshot::Sender<()>) -> Command) -> Vec<oneshot::Receiver<()>> {
        let ask = |commands: &mpsc::UnboundedSender<Command>| {
            let (sender, receiver) = oneshot::channel();
            // A runtime that is gone serves nothing.
            let _ = commands.send(command(sender));
            receiver
        };
        self.commands.iter().map(ask).collect()
    }

    /// The sockets on which it accepts, for a process that is to accept on them too. None once it drains.
    pub fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        lock(&self.sockets).iter().map(TcpListener::try_clone).collect()
    }

    /// Ends when every runtime has had its turn: none hangs.
    pub fn alive(&self) -> impl Future<Output = ()> + Send + 'static {
        all(self.ask(Command::Answer))
    }

    /// Stops: no new connections, but those that have begun get their first request answered; on those that are kept a request
    /// that was on its way is answered, and is told that it was the last. `time` is for all of that, and for what was begun.
    /// Settings are taken until the end. Every record is handed to the journal when it returns; it tells how many connections
    /// were cut because the time was over. Blocks: not for an async context.
    pub fn drain(&self, time: Duration) -> usize {
        lock(&self.sockets).clear();
        let deadline = Instant::now() + time;
        for commands in &self.commands {
            // A runtime that is gone has nothing to end.
            let _ = commands.send(Command::Drain(deadline));
        }
        self.join()
    }

    fn spawn(
        &mut self,
        number: usize,
        listeners: Vec<TcpListener>,
        parts: Parts,
        addresses: Arc<Addresses>,
    ) -> io::Result<()> {
        let (sender, commands) = mpsc::unbounded_channel();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("edge-{number}")).spawn(move || {
            let started =
                Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).and_then(|tokio| {
                    let entered = tokio.enter();
                    let listeners = listeners.into_iter().map(net::TcpListener::from_std).collect::<io::Result<_>>()?;
                    drop(entered);
                    Ok((tokio, listeners))
                });
            match started {
                Ok((tokio, listeners)) => {
                    // Nobody to tell it to is nobody to serve for.
                    let _ = ready.send(Ok(()));
                    serve(&tokio, parts, listeners, addresses, commands)
                }
                Err(error) => {
                    drop(ready.send(Err(error)));
                    0
                }
            }
        })?;
        is_ready.recv().map_err(|_| io::Error::other("a runtime's thread ended before it began"))??;
        self.commands.push(sender);
        lock(&self.threads).push(thread);
        Ok(())
    }

    fn join(&self) -> usize {
        let threads = std::mem::take(&mut *lock(&self.threads));
        // A panic was printed when it happened; the other runtimes are to end all the same.
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.commands.clear();
        self.join();
    }
}

fn serve(
    tokio: &LocalRuntime,
    parts: Parts,
    listeners: Vec<net::TcpListener>,
    addresses: Arc<Addresses>,
    commands: mpsc::UnboundedReceiver<Command>,
) -> usize {
    let runtime = Runtime::new(parts);
    tokio.block_on(runtime.run(listeners, addresses, commands))
}

async fn all(done: Vec<oneshot::Receiver<()>>) {
    for receiver in done {
        let _ = receiver.await;
    }
}

/// Nothing is left half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("address", &self.address).finish_non_exhaustive()
    }
}
