//! Connections to backends, kept by the runtime that made them.

mod dial;
mod http1;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use http::{Request, response};
use http_body::Body;
use model::snapshot::Integration;

use crate::body::RequestBody;
use crate::tls::{UpstreamStream, UpstreamTls, upstream_failure};
use dial::Dialer;
pub(crate) use http1::{BackendBody, BackendError, Upgraded};
use http1::{Http1, SendError};

/// Idle connections that are kept to one backend: as many as HTTP/2 clients may have needed at a time. The last one used is the
/// first that is used again, so that what is not needed any more grows old.
const IDLE: usize = 1024;
/// For how long.
const IDLE_TIME: Duration = Duration::from_secs(50);

/// The connections of one runtime.
pub(crate) struct Upstreams {
    pools: Rc<Pools>,
    tls: UpstreamTls,
    dialer: Dialer,
}

/// Where a connection goes back to when its answer has ended. Dropped, the connection is closed.
pub(crate) struct Lease {
    key: Rc<str>,
    pools: Weak<Pools>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("cannot resolve the name: {0}")]
    Resolve(io::Error),
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no address accepted a connection in time")]
    ConnectTimeout,
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("{0}")]
    Http(BackendError),
}

impl UpstreamError {
    /// What an operator is told: `$context.integration.error`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Resolve(_) => "the name of the backend cannot be resolved",
            Self::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "the backend refused the connection"
            }
            Self::Connect(_) => "the backend cannot be reached",
            Self::ConnectTimeout => "the backend did not accept a connection in time",
            Self::Tls(error) => upstream_failure(error),
            Self::Http(BackendError::Io(_) | BackendError::Closed) => "the backend closed the connection",
            Self::Http(BackendError::HeadTooLarge) => "the head of the backend's answer is too large",
            Self::Http(_) => "the backend's answer is no HTTP",
        }
    }
}

type Pools = RefCell<HashMap<Rc<str>, Vec<Idle>>>;

struct Idle {
    connection: Http1,
    since: Instant,
}

impl Upstreams {
    pub(crate) fn new(tls: UpstreamTls) -> Self {
        Self { pools: Rc::default(), tls, dialer: Dialer::default() }
    }

    /// Sends a request (origin form, with Host) and waits for the head of the answer.
    ///
    /// On a connection that was idle the backend may have closed it in the same moment: what was not sent is sent again on
    /// another one; what was sent only where that cannot matter.
    pub(crate) async fn send(
        &self,
        integration: &Integration,
        mut request: Request<RequestBody>,
    ) -> Result<(response::Parts, BackendBody), UpstreamError> {
        let key = key(integration);
        while let Some((key, connection)) = self.idle(&key) {
            match connection.send(request, self.lease(key)).await {
                Ok(answered) => return Ok(answered),
                Err(failed) => request = failed.again().map_err(UpstreamError::Http)?,
            }
        }
        let connection = self.connect(integration).await?;
        connection.send(request, self.lease(key.into())).await.map_err(|failed| UpstreamError::Http(failed.error))
    }

    /// Closes what has been idle for too long.
    pub(crate) fn sweep(&self) {
        self.pools.borrow_mut().retain(|_, idle| {
            idle.retain_mut(|idle| idle.connection.is_ready() && idle.since.elapsed() < IDLE_TIME);
            !idle.is_empty()
        });
    }

    fn idle(&self, key: &str) -> Option<(Rc<str>, Http1)> {
        let mut pools = self.pools.borrow_mut();
        let name = pools.get_key_value(key)?.0.clone();
        let pool = pools.get_mut(key)?;
        while let Some(mut idle) = pool.pop() {
            if idle.connection.is_ready() {
                return Some((name, idle.connection));
            }
        }
        None
    }

    fn lease(&self, key: Rc<str>) -> Lease {
        Lease { key, pools: Rc::downgrade(&self.pools) }
    }

    async fn connect(&self, integration: &Integration) -> Result<Http1, UpstreamError> {
        let target = &integration.target;
        let (host, port) = host_and_port(&target.authority, target.tls);
        let stream = self.dialer.connect(host, port).await?;
        let stream = match target.tls {
            true => {
                let name = integration.server_name.as_deref().unwrap_or(host);
                self.tls.connect(name, stream).await.map_err(UpstreamError::Tls)?
            }
            false => UpstreamStream::Plain(stream),
        };
        Ok(Http1::new(stream))
    }
}

impl Lease {
    /// The next request may use the connection.
    fn give_back(self, connection: Http1) {
        let Some(pools) = self.pools.upgrade() else { return };
        let mut pools = pools.borrow_mut();
        let pool = pools.entry(self.key).or_default();
        if pool.len() < IDLE {
            pool.push(Idle { connection, since: Instant::now() });
        }
    }
}

impl SendError {
    /// The request, if it may be sent once more: nothing of it was sent, or its connection ended, it has no payload, and its
    /// method does the same however often it is done (RFC 9110 section 9.2.2).
    fn again(self) -> Result<Request<RequestBody>, BackendError> {
        let Self { error, request, was_sent } = self;
        let has_ended = matches!(error, BackendError::Io(_) | BackendError::Closed);
        let may = |request: &Request<RequestBody>| {
            !was_sent || has_ended && request.body().is_end_stream() && request.method().is_idempotent()
        };
        request.filter(may).ok_or(error)
    }
}

/// What connections can stand in for one another.
fn key(integration: &Integration) -> Cow<'_, str> {
    let target = &integration.target;
    match (target.tls, &integration.server_name) {
        (false, _) => Cow::Borrowed(&target.authority),
        // An authority has neither space nor slash in it.
        (true, name) => Cow::Owned(format!("https://{} {}", target.authority, name.as_deref().unwrap_or_default())),
    }
}

fn host_and_port(authority: &str, tls: bool) -> (&str, u16) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (host, port.unwrap_or(if tls { 443 } else { 80 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_authorities() {
        for (authority, tls, wanted) in [
            ("b.test", false, ("b.test", 80)),
            ("b.test", true, ("b.test", 443)),
            ("b.test:9000", true, ("b.test", 9000)),
            ("[::1]", false, ("::1", 80)),
            ("[::1]:9000", false, ("::1", 9000)),
        ] {
            assert_eq!(host_and_port(authority, tls), wanted, "{authority}");
        }
    }
}
