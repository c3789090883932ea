//! Connections to backends, kept by the runtime that made them.

mod dial;
mod error;
mod http1;
mod http2;
mod pool;

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, response};
use http_body::{Body, Frame, SizeHint};
use model::snapshot::Upstream;

use crate::body::RequestBody;
use crate::tls::{Alpn, UpstreamStream, UpstreamTls};
use dial::Dialer;
pub(crate) use error::{BackendError, UpstreamError};
pub(crate) use http1::Upgraded;
use http1::{Http1, Http1Body};
use http2::{Http2, Http2Body};
use pool::{Pool, Pools};

/// How often a request is sent at most, where it is known that no backend has seen to it.
const ATTEMPTS: usize = 3;

/// The connections of one runtime.
pub(crate) struct Upstreams {
    pools: Rc<Pools>,
    tls: UpstreamTls,
    dialer: Dialer,
}

/// Which HTTP a request is sent in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// A backend's payload as it comes, while the rest of the request goes.
pub(crate) enum BackendBody {
    Http1(Box<Http1Body>),
    Http2(Box<Http2Body>),
}

impl Upstreams {
    pub(crate) fn new(tls: UpstreamTls) -> Self {
        Self { pools: Rc::default(), tls, dialer: Dialer::default() }
    }

    /// Sends a request (origin form, with Host) and waits for the head of the answer.
    pub(crate) async fn send(
        &self,
        upstream: &Arc<Upstream>,
        protocol: Protocol,
        request: Request<RequestBody>,
    ) -> Result<(response::Parts, BackendBody), UpstreamError> {
        match protocol {
            Protocol::Http1 => {
                let (head, body) = self.send_http1(upstream, request).await?;
                Ok((head, BackendBody::Http1(Box::new(body))))
            }
            // In a box, so that the others carry nothing of it.
            Protocol::Http2 => {
                let (head, body) = Box::pin(self.send_http2(upstream, request)).await?;
                Ok((head, BackendBody::Http2(Box::new(body))))
            }
        }
    }

    /// Closes what has been idle for too long, or is of a backend that no setting names any more.
    pub(crate) fn sweep(&self) {
        self.pools.sweep();
    }

    /// On a connection that was idle the backend may have closed it in the same moment: what was not sent is sent again on
    /// another one; what was sent only where that cannot matter.
    async fn send_http1(
        &self,
        upstream: &Arc<Upstream>,
        mut request: Request<RequestBody>,
    ) -> Result<(response::Parts, Http1Body), UpstreamError> {
        let pool = self.pools.of(upstream);
        while let Some(connection) = pool.idle() {
            match connection.send(request, pool.lease()).await {
                Ok(answered) => return Ok(answered),
                Err(failed) => request = failed.again().map_err(UpstreamError::Http)?,
            }
        }
        let connection = Http1::new(self.connect(upstream, &pool, Alpn::Http1).await?);
        connection.send(request, pool.lease()).await.map_err(|failed| UpstreamError::Http(failed.error))
    }

    async fn send_http2(
        &self,
        upstream: &Arc<Upstream>,
        mut request: Request<RequestBody>,
    ) -> Result<(response::Parts, Http2Body), UpstreamError> {
        let pool = self.pools.of(upstream);
        let mut attempt = 1;
        loop {
            let connection = self.shared(upstream, &pool).await?;
            match connection.send(request, upstream.tls).await {
                Ok(answered) => return Ok(answered),
                Err(failed) if attempt == ATTEMPTS => return Err(UpstreamError::Http(failed.error)),
                Err(failed) => request = failed.again().map_err(UpstreamError::Http)?,
            }
            attempt += 1;
        }
    }

    /// A connection with room for one more request. While one is being made everybody waits for it.
    async fn shared(&self, upstream: &Upstream, pool: &Pool) -> Result<Rc<Http2>, UpstreamError> {
        if let Some(connection) = pool.shared() {
            return Ok(connection);
        }
        // It is never closed, so that this is the permit.
        let _only_one = pool.gate.acquire().await;
        // Somebody else may have made one meanwhile.
        if let Some(connection) = pool.shared() {
            return Ok(connection);
        }
        let stream = self.connect(upstream, pool, Alpn::Http2).await?;
        let connection = Http2::start(stream).await.map_err(UpstreamError::Http)?;
        pool.add(connection.clone());
        Ok(connection)
    }

    async fn connect(&self, upstream: &Upstream, pool: &Pool, alpn: Alpn) -> Result<UpstreamStream, UpstreamError> {
        let stream = self.dialer.connect(&upstream.host, upstream.port).await?;
        if !upstream.tls {
            return Ok(UpstreamStream::Plain(stream));
        }
        let tls = pool.tls(upstream, &self.tls).map_err(UpstreamError::Identity)?;
        let stream = tls.connect_as(alpn, &upstream.server_name, stream).await.map_err(UpstreamError::Tls)?;
        match alpn == Alpn::Http2 && !stream.is_http2() {
            true => Err(UpstreamError::NotHttp2),
            false => Ok(stream),
        }
    }
}

impl BackendBody {
    /// The connection, where it has changed to another protocol.
    pub(crate) fn take_upgraded(&mut self) -> Option<Upgraded> {
        match self {
            Self::Http1(body) => body.take_upgraded(),
            Self::Http2(_) => None,
        }
    }
}

impl Body for BackendBody {
    type Data = Bytes;
    type Error = BackendError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BackendError>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
