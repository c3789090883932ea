//! The handle on the data plane.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
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
use crate::{EdgeConfig, Limits, Network, listen};

/// A running data plane. Dropped, it stops at once; see [`drain`](Self::drain).
pub struct Edge {
    address: SocketAddr,
    tls: Arc<SharedTls>,
    addresses: Arc<Addresses>,
    counters: Counters,
    commands: Vec<mpsc::UnboundedSender<Command>>,
    threads: Vec<JoinHandle<()>>,
}

impl Edge {
    /// Listens and serves `snapshot`. Returns when connections are accepted.
    ///
    /// `ledger` is told of every client that is asked for a certificate and has one. `lines` gets what the person at the terminal
    /// is told: of every refused client, of clients about whom a shadow truststore differs. Lines that find it full are lost
    /// (the records are not). Fails where the address cannot be bound, or a CA of the configuration cannot be read.
    pub fn start(
        config: EdgeConfig,
        snapshot: Arc<Snapshot>,
        journal: &Journal,
        ledger: &Ledger,
        lines: mpsc::Sender<Line>,
    ) -> io::Result<Self> {
        let config = Arc::new(config);
        let listeners = listen::sockets(config.https, config.runtimes.max(1))?;
        let addresses = Arc::new(Addresses::new(&config.limits));
        let tls = Arc::new(SharedTls::new(config.clock.clone(), config.status_fetcher.clone()));
        let upstream_tls = UpstreamTls::new(&config.upstream_cas)?;
        let mut edge = Self {
            address: listeners[0].local_addr()?,
            tls: tls.clone(),
            addresses: addresses.clone(),
            counters: Counters::default(),
            commands: Vec::with_capacity(listeners.len()),
            threads: Vec::with_capacity(listeners.len()),
        };
        let started = config.clock.now();
        for (number, listener) in listeners.into_iter().enumerate() {
            let parts = Parts {
                config: config.clone(),
                snapshot: snapshot.clone(),
                tls: tls.clone(),
                upstream_tls: upstream_tls.clone(),
                writer: journal.writer(),
                ledger: ledger.clone(),
                lines: lines.clone(),
                counters: edge.counters.clone(),
                log_stream: format!("{started:016x}{number:016x}"),
            };
            edge.spawn(number, listener, parts, addresses.clone())?;
        }
        Ok(edge)
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
    /// `proxy_protocol_from` are the peers that speak PROXY protocol.
    pub fn reconfigure(&self, limits: Limits, proxy_protocol_from: &[Network]) {
        self.addresses.limit(&limits);
        let (limits, balancers) = (Arc::new(limits), Arc::<[Network]>::from(proxy_protocol_from));
        for commands in &self.commands {
            // A runtime that is gone has nobody to bound.
            let _ = commands.send(Command::Reconfigure(limits.clone(), balancers.clone()));
        }
    }

    /// Serves `snapshot` from now on. The future ends when every runtime does: from then on no request is served by an
    /// older one. Connections of clients that it does not trust are closed within a second.
    pub fn publish(&self, snapshot: Arc<Snapshot>) -> impl Future<Output = ()> + Send + 'static {
        self.tls.retain(&snapshot);
        let mut done = Vec::with_capacity(self.commands.len());
        for commands in &self.commands {
            let (sender, receiver) = oneshot::channel();
            // A runtime that is gone serves nothing.
            let _ = commands.send(Command::Publish(snapshot.clone(), sender));
            done.push(receiver);
        }
        async move {
            for receiver in done {
                let _ = receiver.await;
            }
        }
    }

    /// Stops: no new connections, no new requests on old ones; what was begun has `time` to end. Every record is handed to
    /// the journal when it returns. Blocks: not for an async context.
    pub fn drain(mut self, time: Duration) {
        let deadline = Instant::now() + time;
        for commands in &self.commands {
            let _ = commands.send(Command::Drain(deadline));
        }
        self.join();
    }

    fn spawn(
        &mut self,
        number: usize,
        listener: TcpListener,
        parts: Parts,
        addresses: Arc<Addresses>,
    ) -> io::Result<()> {
        let (sender, commands) = mpsc::unbounded_channel();
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name(format!("edge-{number}")).spawn(move || {
            let started =
                Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).and_then(|tokio| {
                    let entered = tokio.enter();
                    let listener = net::TcpListener::from_std(listener)?;
                    drop(entered);
                    Ok((tokio, listener))
                });
            match started {
                Ok((tokio, listener)) => {
                    // Nobody to tell it to is nobody to serve for.
                    let _ = ready.send(Ok(()));
                    serve(&tokio, parts, listener, addresses, commands);
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        is_ready.recv().map_err(|_| io::Error::other("a runtime's thread ended before it began"))??;
        self.commands.push(sender);
        self.threads.push(thread);
        Ok(())
    }

    fn join(&mut self) {
        self.commands.clear();
        for thread in self.threads.drain(..) {
            // A panic was printed when it happened; the other runtimes are to end all the same.
            let _ = thread.join();
        }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.join();
    }
}

fn serve(
    tokio: &LocalRuntime,
    parts: Parts,
    listener: net::TcpListener,
    addresses: Arc<Addresses>,
    commands: mpsc::UnboundedReceiver<Command>,
) {
    let runtime = Runtime::new(parts);
    tokio.block_on(runtime.run(listener, addresses, commands));
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("address", &self.address).finish_non_exhaustive()
    }
}
