//! Connections that wait for requests, by their backend.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::{self, Arc};
use std::time::{Duration, Instant};

use http::StatusCode;
use model::snapshot::Upstream;
use tokio::sync::Semaphore;

use super::addresses::{Addresses, Resolve};
use super::error::BackendError;
use super::http1::Http1;
use super::http2::Http2;
use crate::counters::{UpstreamCounters, UpstreamCounts};
use crate::tls::UpstreamTls;

/// Idle connections that are kept to one backend: as many as HTTP/2 clients may have needed at a time. The last one used is the
/// first that is used again, so that what is not needed any more grows old.
const IDLE: usize = 1024;
/// For how long.
const IDLE_TIME: Duration = Duration::from_secs(50);
/// HTTP/2 connections to one backend. When all are full, requests wait on the one that has the fewest.
const SHARED: usize = 8;

/// Connections by backend. Two backends are the same if they are one object, which is so where their connections can stand in
/// for one another.
#[derive(Default)]
pub(super) struct Pools(RefCell<HashMap<*const Upstream, Rc<Pool>>>);

/// Connections to one backend.
pub(super) struct Pool {
    /// As long as this is held nothing else gets the backend's place in memory. The backend itself may be gone: then nobody
    /// comes for its connections any more.
    upstream: sync::Weak<Upstream>,
    /// Where it is.
    pub(super) addresses: Rc<Addresses>,
    /// What is counted of it.
    pub(super) counts: Arc<UpstreamCounts>,
    idle: RefCell<Vec<Idle>>,
    shared: RefCell<Vec<Rc<Http2>>>,
    tls: OnceCell<UpstreamTls>,
    /// Whoever makes an HTTP/2 connection has its one permit.
    pub(super) gate: Semaphore,
}

struct Idle {
    connection: Http1,
    since: Instant,
}

/// Where a connection goes back to when its answer has ended. Dropped, the connection is closed.
pub(super) struct Lease(Weak<Pool>);

impl Pools {
    pub(super) fn of(&self, upstream: &Arc<Upstream>, counters: &UpstreamCounters) -> Rc<Pool> {
        let mut pools = self.0.borrow_mut();
        pools.entry(Arc::as_ptr(upstream)).or_insert_with(|| Rc::new(Pool::new(upstream, counters))).clone()
    }

    /// Closes what has been idle for too long, is at an address that is the backend's no more, or of a backend that is none.
    pub(super) fn sweep(&self, resolver: &Rc<dyn Resolve>) {
        self.0.borrow_mut().retain(|_, pool| {
            let Some(upstream) = pool.upstream.upgrade() else { return false };
            pool.sweep();
            if pool.has_connections() {
                // While there are some nobody else would ask where it is now.
                pool.addresses.refresh(resolver, &upstream.host, upstream.port);
            }
            true
        });
    }
}

impl Pool {
    fn new(upstream: &Arc<Upstream>, counters: &UpstreamCounters) -> Self {
        Self {
            upstream: Arc::downgrade(upstream),
            addresses: Rc::default(),
            counts: counters.of(upstream),
            idle: RefCell::default(),
            shared: RefCell::default(),
            tls: OnceCell::new(),
            gate: Semaphore::new(1),
        }
    }

    /// How connections are secured.
    pub(super) fn tls(&self, upstream: &Upstream, of_all: &UpstreamTls) -> io::Result<&UpstreamTls> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let is_common = upstream.identity.is_none() && upstream.ca.is_none();
        let tls = if is_common { of_all.clone() } else { of_all.for_backend(upstream)? };
        Ok(self.tls.get_or_init(|| tls))
    }

    /// A connection on which nothing is under way, and that the backend has not closed.
    pub(super) fn idle(&self) -> Option<Http1> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut next) = idle.pop() {
            if next.connection.is_ready() && self.addresses.is_good(next.connection.address) {
                return Some(next.connection);
            }
        }
        None
    }

    pub(super) fn lease(self: &Rc<Self>) -> Lease {
        Lease(Rc::downgrade(self))
    }

    /// The HTTP/2 connection with the fewest requests, if it has room for one more, or there may be no other.
    pub(super) fn shared(&self) -> Option<Rc<Http2>> {
        let mut shared = self.shared.borrow_mut();
        shared.retain(|connection| connection.is_open() && self.addresses.is_good(connection.address));
        let emptiest = shared.iter().min_by_key(|connection| connection.streams())?;
        (emptiest.has_room() || shared.len() >= SHARED).then(|| emptiest.clone())
    }

    /// Others may use it too.
    pub(super) fn add(&self, connection: Rc<Http2>) {
        self.shared.borrow_mut().push(connection);
    }

    /// A request came to nothing at this address, and it was not by chance.
    pub(super) fn failed(&self, address: SocketAddr) {
        self.counts.failed(self.addresses.failed(address));
    }

    /// The same, unless it was the client's payload that failed.
    pub(super) fn failed_by(&self, address: SocketAddr, error: &BackendError) {
        if !matches!(error, BackendError::Request(_) | BackendError::NoRequest) {
            self.failed(address);
        }
    }

    /// What an answer says of the one that gave it: one of a gateway that does not reach who could answer is no success.
    pub(super) fn answered(&self, address: SocketAddr, status: StatusCode) {
        match status {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                self.failed(address);
            }
            _ => self.addresses.succeeded(address),
        }
    }

    fn sweep(&self) {
        let is_good = |address| self.addresses.is_good(address);
        self.idle.borrow_mut().retain_mut(|idle| {
            idle.connection.is_ready() && idle.since.elapsed() < IDLE_TIME && is_good(idle.connection.address)
        });
        self.shared.borrow_mut().retain(|connection| {
            connection.is_open() && connection.idle_time() < IDLE_TIME && is_good(connection.address)
        });
    }

    pub(super) fn has_connections(&self) -> bool {
        !self.idle.borrow().is_empty() || !self.shared.borrow().is_empty()
    }
}

impl Lease {
    /// The next request may use the connection.
    pub(super) fn give_back(self, connection: Http1) {
        let Some(pool) = self.0.upgrade() else { return };
        let mut idle = pool.idle.borrow_mut();
        if idle.len() < IDLE {
            idle.push(Idle { connection, since: Instant::now() });
        }
    }
}
