//! What is set for the whole edge; everything about domains comes with the snapshot.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use trust::NothingFetched;

use crate::{AlpnChallenges, Clock, IssuerKeys, Lambda, Network, NoIssuers, StatusFetcher};

/// Settings of an [`Edge`](crate::Edge).
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Where HTTPS is served; port 0 picks one. Default: `127.0.0.1:8443`.
    pub https: SocketAddr,
    /// Threads, each with a runtime and a socket of its own. Default: one per core.
    pub runtimes: usize,
    /// Bounds on what strangers can take.
    pub limits: Limits,
    /// A disabled execute-api endpoint answers 404 as on AWS, not 403 as the guide says. Default: no.
    pub aws_exact: bool,
    /// `$context.accountId`. Default: `123456789012`.
    pub account_id: String,
    /// Peers that pass connections on and say whose they are, by PROXY protocol version 2. They have to; nobody else's
    /// bytes are read as such. Default: none.
    pub proxy_protocol_from: Vec<Network>,
    /// Where Lambda functions are called. Default: nowhere.
    pub lambda: Option<Lambda>,
    /// PEM of CAs that https backends may be certified by, besides those of the system.
    pub upstream_cas: Vec<String>,
    /// The time by which certificates are judged and requests are recorded. Default: the system's.
    pub clock: Clock,
    /// Finds out whether certificates are revoked, where they say. Default: nothing is fetched.
    pub status_fetcher: Arc<dyn StatusFetcher>,
    /// What issuers of certificates are shown who ask for a proof. Default: nothing.
    pub alpn_challenges: AlpnChallenges,
    /// Finds the keys of issuers of tokens. Default: nobody's are known.
    pub issuer_keys: Arc<dyn IssuerKeys>,
}

/// Bounds on what strangers can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the accepted connection to the end of the TLS handshake. Default: 10 s.
    pub handshake_timeout: Duration,
    /// From the first byte of a request to the end of its headers. Default: 10 s.
    pub header_timeout: Duration,
    /// Between requests of a connection. Default: 75 s.
    pub idle_timeout: Duration,
    /// Without a byte in either direction while a request is served. Default: 60 s.
    pub stall_timeout: Duration,
    /// Request line and headers, in bytes. Default: 10,240, AWS's limit.
    pub header_bytes: usize,
    /// A request's payload, in bytes. Default: 10 MiB, AWS's limit.
    pub body_bytes: u64,
    /// Connections of the whole edge. Default: 100,000.
    pub connections: usize,
    /// Connections of one address (IPv6: of one /64). Default: 10,000.
    pub connections_per_address: u32,
    /// Requests at a time on one HTTP/2 connection. Default: 128.
    pub http2_streams: u32,
    /// Requests that a client may take back on one connection before it is closed, if they are the most of its requests
    /// (CVE-2023-44487). Default: 100.
    pub http2_resets: u32,
    /// Refused clients and failed handshakes that each runtime records one by one within a minute; those beyond are counted by
    /// network, reason and domain. Default: 1,200.
    pub refusal_records: u32,
    /// Of these, those of one network (IPv4: /24, IPv6: /64). Default: 200.
    pub refusal_records_per_network: u32,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            https: SocketAddr::from(([127, 0, 0, 1], 8443)),
            runtimes: std::thread::available_parallelism().map_or(1, usize::from),
            limits: Limits::default(),
            aws_exact: false,
            account_id: "123456789012".to_owned(),
            proxy_protocol_from: Vec::new(),
            lambda: None,
            upstream_cas: Vec::new(),
            clock: Clock::system(),
            status_fetcher: Arc::new(NothingFetched),
            alpn_challenges: AlpnChallenges::default(),
            issuer_keys: Arc::new(NoIssuers),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(60),
            header_bytes: 10_240,
            body_bytes: 10 * 1024 * 1024,
            connections: 100_000,
            connections_per_address: 10_000,
            http2_streams: 128,
            http2_resets: 100,
            refusal_records: 1_200,
            refusal_records_per_network: 200,
        }
    }
}
