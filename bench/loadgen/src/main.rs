//! Load generator for mTLS HTTP gateways. Every mode prints one JSON object on stdout.
//!
//!   loadgen handshake  full (or resumed) TLS handshakes on new connections
//!   loadgen http       requests over kept connections, HTTP/1.1 or HTTP/2, closed loop or fixed rate
//!   loadgen idle       holds idle connections open (for memory per connection)
//!   loadgen probe      one new connection per interval; reports when the answer changes (config updates)
//!   loadgen control    signed requests to the management APIs, closed loop
//!   loadgen upstream   a cheap HTTP/1.1 upstream: GET /b/<n> gives n bytes, /echo gives the request head

mod clients;
mod control;
mod h1;
mod modes;
mod stats;
mod tls;
mod upstream;

use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::client::ResolvesClientCert;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// New connection per operation; reports handshakes/s
    Handshake(Load),
    /// Requests over kept connections; reports requests/s and latency
    Http(Load),
    /// Opens connections and holds them for the duration; prints "READY <n>" on stderr when all are open
    Idle(Load),
    /// One new connection (and one request) per --interval-ms; reports every change of outcome
    Probe(Load),
    /// Signed requests to the management APIs; reports requests/s and latency
    Control(control::Calls),
    /// Stand-in upstream server
    Upstream {
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
    },
}

#[derive(Args, Clone)]
pub struct Load {
    /// Address to connect to; several are used in turn
    #[arg(long, value_delimiter = ',', default_value = "127.0.0.1:8443")]
    pub connect: Vec<SocketAddr>,
    /// Name sent as SNI and Host; "{i}" is replaced by the connection number modulo --sni-count
    #[arg(long, default_value = "gw.test")]
    pub sni: String,
    #[arg(long, default_value_t = 1)]
    pub sni_count: usize,
    /// Client certificate chain (PEM)
    #[arg(long)]
    pub cert: Option<PathBuf>,
    /// Client private key (PEM)
    #[arg(long)]
    pub key: Option<PathBuf>,
    /// Shows another certificate on every connection, issued by this CA before the load begins: FILE.pem and FILE.key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["cert", "key"])]
    pub first_seen: Option<PathBuf>,
    #[arg(skip)]
    pub issued: Option<Arc<dyn ResolvesClientCert>>,
    /// How many certificates --first-seen issues; they come again after that
    #[arg(long, default_value_t = 24_000)]
    pub clients: usize,
    /// CA bundle the server certificate must verify against; without it the server is not verified
    /// (cheaper for the client, so that the server is what is measured)
    #[arg(long)]
    pub ca: Option<PathBuf>,
    /// TLS version: 1.2, 1.3 or any
    #[arg(long, default_value = "any")]
    pub tls: String,
    /// Key exchange groups, in order: x25519, p256, p384, x25519mlkem768 (TLS 1.2 with an ECDSA P-256 server certificate
    /// needs p256 among them: OpenSSL and BoringSSL refuse otherwise)
    #[arg(long, value_delimiter = ',', default_value = "x25519")]
    pub groups: Vec<String>,
    /// Reuse TLS sessions (tickets or session ids)
    #[arg(long)]
    pub resume: bool,
    #[arg(long)]
    pub h2: bool,
    #[arg(short, long, default_value_t = 64)]
    pub connections: usize,
    /// Concurrent streams per HTTP/2 connection
    #[arg(long, default_value_t = 1)]
    pub streams: usize,
    /// Requests per second over all connections; without it each connection works in a closed loop
    #[arg(long)]
    pub rate: Option<f64>,
    /// Seconds measured
    #[arg(short, long, default_value_t = 5.0)]
    pub duration: f64,
    /// Seconds run before measuring
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// handshake/idle: requests sent on each new connection
    #[arg(long, default_value_t = 0)]
    pub requests_per_conn: usize,
    #[arg(long, default_value = "/b/1024")]
    pub path: String,
    /// Request body size; above 0 the method is POST
    #[arg(long, default_value_t = 0)]
    pub body: usize,
    /// probe: milliseconds between connections
    #[arg(long, default_value_t = 10)]
    pub interval_ms: u64,
    /// Worker threads, each with its own event loop and its share of the connections and the rate
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Seconds after which one operation counts as failed
    #[arg(long, default_value_t = 10.0)]
    pub timeout: f64,
}

/// When warm-up and measurement begin and end.
#[derive(Clone, Copy)]
pub struct Window {
    pub start: Instant,
    pub measure: Instant,
    pub end: Instant,
}

impl Window {
    pub fn measuring(&self, t: Instant) -> bool {
        t >= self.measure && t < self.end
    }
}

fn rt() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime")
}

fn main() {
    raise_nofile();
    match Cli::parse().mode {
        Mode::Upstream { listen } => rt().block_on(upstream::serve(listen)),
        Mode::Control(calls) => {
            println!("{}", rt().block_on(tokio::task::LocalSet::new().run_until(control::run(calls))));
        }
        Mode::Handshake(l) => run(l, "handshake"),
        Mode::Http(l) => run(l, "http"),
        Mode::Idle(l) => run(l, "idle"),
        Mode::Probe(l) => rt().block_on(modes::probe(l)),
    }
}

fn run(mut load: Load, mode: &'static str) {
    load.issued = load.first_seen.as_deref().map(|ca| clients::each_another(ca, load.clients));
    let start = Instant::now();
    let window = Window {
        start,
        measure: start + Duration::from_secs_f64(load.warmup),
        end: start + Duration::from_secs_f64(load.warmup + load.duration),
    };
    let n = load.threads.clamp(1, load.connections.max(1));
    let workers: Vec<_> = (0..n)
        .map(|i| {
            let mut l = load.clone();
            l.connections = load.connections / n + usize::from(i < load.connections % n);
            l.rate = load.rate.map(|r| r * l.connections as f64 / load.connections as f64);
            std::thread::spawn(move || {
                rt().block_on(tokio::task::LocalSet::new().run_until(async move {
                    match mode {
                        "handshake" => modes::handshake(l, window).await,
                        "http" => modes::http(l, window).await,
                        _ => modes::idle(l).await,
                    }
                }))
            })
        })
        .collect();
    let mut total = stats::Stats::default();
    for w in workers {
        total.merge(w.join().expect("worker"));
    }
    println!("{}", total.json(mode, load.duration));
}

/// Idle tests open thousands of sockets: use whatever the hard limit allows.
fn raise_nofile() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        eprintln!("loadgen: the limit of open files stays low: {e}");
    }
}
