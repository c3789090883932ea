//! Connections to backends, kept by the runtime that made them.

mod addresses;
mod dial;
mod error;
mod http1;
mod http2;
mod pool;

use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, response};
use http_body::{Body, Frame, SizeHint};
use model::snapshot::Upstream;

use crate::body::RequestBody;
use crate::counters::UpstreamCounters;
use crate::tls::{Alpn, UpstreamStream, UpstreamTls};
use addresses::{Resolve, SystemResolver};
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
    resolver: Rc<dyn Resolve>,
    counters: UpstreamCounters,
}

/// The address whose answer a request waits for; none while there is no connection.
pub(crate) type Asked = Cell<Option<SocketAddr>>;

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
    /// All of it: somebody had to see it first.
    Whole(Bytes),
}

impl Upstreams {
    pub(crate) fn new(tls: UpstreamTls, counters: UpstreamCounters) -> Self {
        Self { pools: Rc::default(), tls, resolver: Rc::new(SystemResolver), counters }
    }

    /// Sends a request (origin form, with Host) and waits for the head of the answer. Who waits no longer because that takes too
    /// long says so by [`timed_out`](Self::timed_out), with what is in `asked` by then.
    pub(crate) async fn send(
        &self,
        upstream: &Arc<Upstream>,
        protocol: Protocol,
        request: Request<RequestBody>,
        asked: &Asked,
    ) -> Result<(response::Parts, BackendBody), UpstreamError> {
        match protocol {
            Protocol::Http1 => {
                let (head, body) = self.send_http1(upstream, request, asked).await?;
                Ok((head, BackendBody::Http1(Box::new(body))))
            }
            // In a box, so that the others carry nothing of it.
            Protocol::Http2 => {
                let (head, body) = Box::pin(self.send_http2(upstream, request, asked)).await?;
                Ok((head, BackendBody::Http2(Box::new(body))))
            }
        }
    }

    /// No answer came in time: that counts as any other failure of the address.
    pub(crate) fn timed_out(&self, upstream: &Arc<Upstream>, asked: &Asked) {
        let pool = self.pools.of(upstream, &self.counters);
        match asked.get() {
            Some(address) => pool.failed(address),
            None => pool.counts.failed(false),
        }
    }

    /// Closes what has been idle for too long, or is of a backend that no setting names any more.
    pub(crate) fn sweep(&self) {
        self.pools.sweep(&self.resolver);
    }

    /// On a connection that was idle the backend may have closed it in the same moment: what was not sent is sent again on
    /// another one; what was sent only where that cannot matter.
    async fn send_http1(
        &self,
        upstream: &Arc<Upstream>,
        mut request: Request<RequestBody>,
        asked: &Asked,
    ) -> Result<(response::Parts, Http1Body), UpstreamError> {
        let pool = self.pools.of(upstream, &self.counters);
        while let Some(connection) = pool.idle() {
            let address = connection.address;
            asked.set(Some(address));
            match connection.send(request, pool.lease()).await {
                Ok((head, body)) => {
                    pool.answered(address, head.status);
                    return Ok((head, body));
                }
                Err(failed) => {
                    // That a backend closes what was idle says nothing of it.
                    if !failed.error.has_ended() {
                        pool.failed_by(address, &failed.error);
                    }
                    request = failed.again().map_err(UpstreamError::Http)?;
                }
            }
        }
        asked.set(None);
        let (stream, address) = self.connect(upstream, &pool, Alpn::Http1).await?;
        asked.set(Some(address));
        match Http1::new(stream, address).send(request, pool.lease()).await {
            Ok((head, body)) => {
                pool.answered(address, head.status);
                Ok((head, body))
            }
            Err(failed) => {
                pool.failed_by(address, &failed.error);
                Err(UpstreamError::Http(failed.error))
            }
        }
    }

    async fn send_http2(
        &self,
        upstream: &Arc<Upstream>,
        mut request: Request<RequestBody>,
        asked: &Asked,
    ) -> Result<(response::Parts, Http2Body), UpstreamError> {
        let pool = self.pools.of(upstream, &self.counters);
        let mut attempt = 1;
        loop {
            asked.set(None);
            let connection = self.shared(upstream, &pool).await?;
            asked.set(Some(connection.address));
            match connection.send(request, upstream.tls).await {
                Ok((head, body)) => {
                    pool.answered(connection.address, head.status);
                    return Ok((head, body));
                }
                Err(failed) => {
                    // One that goes away has done nothing wrong.
                    if !failed.error.is_unprocessed() {
                        pool.failed_by(connection.address, &failed.error);
                    }
                    if attempt == ATTEMPTS {
                        return Err(UpstreamError::Http(failed.error));
                    }
                    request = failed.again().map_err(UpstreamError::Http)?;
                }
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
        let (stream, address) = self.connect(upstream, pool, Alpn::Http2).await?;
        let started = Http2::start(stream, address).await.inspect_err(|error| pool.failed_by(address, error));
        let connection = started.map_err(UpstreamError::Http)?;
        pool.add(connection.clone());
        Ok(connection)
    }

    async fn connect(
        &self,
        upstream: &Upstream,
        pool: &Pool,
        alpn: Alpn,
    ) -> Result<(UpstreamStream, SocketAddr), UpstreamError> {
        let addresses = pool.addresses.in_turn(&self.resolver, &upstream.host, upstream.port).await;
        let addresses = addresses.inspect_err(|_| pool.counts.failed(false)).map_err(UpstreamError::Resolve)?;
        let (stream, address) = dial::connect(&addresses, |address| pool.failed(address)).await?;
        pool.counts.connected();
        if !upstream.tls {
            return Ok((UpstreamStream::Plain(stream), address));
        }
        let tls = pool.tls(upstream, &self.tls).map_err(UpstreamError::Identity)?;
        let secured = tls.connect_as(alpn, &upstream.server_name, stream).await;
        let stream = secured.inspect_err(|_| pool.failed(address)).map_err(UpstreamError::Tls)?;
        match alpn == Alpn::Http2 && !stream.is_http2() {
            true => Err(UpstreamError::NotHttp2),
            false => Ok((stream, address)),
        }
    }
}

impl BackendBody {
    /// The connection, where it has changed to another protocol.
    pub(crate) fn take_upgraded(&mut self) -> Option<Upgraded> {
        match self {
            Self::Http1(body) => body.take_upgraded(),
            Self::Http2(_) | Self::Whole(_) => None,
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
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
            Self::Whole(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::Future;
    use std::io;

    use http::Method;
    use model::UpstreamProtocol;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::counters::{Counters, RuntimeCounters};

    /// Resolves the one name there is to these.
    struct Fixed(RefCell<Vec<SocketAddr>>);

    impl Resolve for Fixed {
        fn resolve(&self, _: &str, _: u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>>>> {
            let found = self.0.borrow().clone();
            Box::pin(async move { Ok(found) })
        }
    }

    fn upstream(port: u16) -> Arc<Upstream> {
        Arc::new(Upstream {
            tls: false,
            host: "b.test".to_owned(),
            port,
            server_name: "b.test".to_owned(),
            protocol: UpstreamProtocol::Auto,
            identity: None,
            ca: None,
        })
    }

    /// Answers every request so; counts them.
    fn serve(listener: TcpListener, answer: &'static str) -> Rc<Cell<usize>> {
        let served = Rc::<Cell<usize>>::default();
        let counter = served.clone();
        tokio::task::spawn_local(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let counter = counter.clone();
                tokio::task::spawn_local(async move {
                    let mut bytes = [0; 1024];
                    while let Ok(1..) = stream.read(&mut bytes).await {
                        counter.set(counter.get() + 1);
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        served
    }

    async fn get(upstreams: &Upstreams, upstream: &Arc<Upstream>) -> u16 {
        let request = Request::builder().method(Method::GET).uri("/").header("host", "b.test");
        let request = request.body(RequestBody::empty()).unwrap();
        let (head, mut body) = upstreams.send(upstream, Protocol::Http1, request, &Asked::default()).await.unwrap();
        while std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.is_some() {}
        head.status.as_u16()
    }

    #[tokio::test]
    async fn an_address_that_keeps_failing_gets_no_more_requests() {
        let test = async {
            let (bad, good) = (TcpListener::bind("127.0.0.2:0").await.unwrap(), "127.0.0.3");
            let port = bad.local_addr().unwrap().port();
            let good = TcpListener::bind((good, port)).await.unwrap();
            let found = vec![bad.local_addr().unwrap(), good.local_addr().unwrap()];
            let refusing = SocketAddr::from(([127, 0, 0, 1], 1));
            let counters = Counters::default();
            let runtime = RuntimeCounters::new(counters.clone());
            let resolver = Rc::new(Fixed(RefCell::new([found, vec![refusing]].concat())));
            let tls = UpstreamTls::new(&[]).unwrap();
            let upstreams = Upstreams { resolver, ..Upstreams::new(tls, runtime.upstreams()) };
            let bad = serve(bad, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
            let good = serve(good, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            let upstream = upstream(port);
            for _ in 0..40 {
                get(&upstreams, &upstream).await;
            }
            assert_eq!((bad.get(), good.get()), (5, 35));
            let totals = counters.upstreams()[&format!("http://b.test:{port}")];
            assert_eq!(totals.ejections, 1);
            assert!(totals.failures >= 5 && totals.connections >= 2, "{totals:?}");
        };
        tokio::task::LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn an_address_that_answers_too_late_gets_no_more_requests() {
        let test = async {
            let silent = TcpListener::bind("127.0.0.2:0").await.unwrap();
            let port = silent.local_addr().unwrap().port();
            let good = TcpListener::bind(("127.0.0.3", port)).await.unwrap();
            let found = vec![silent.local_addr().unwrap(), good.local_addr().unwrap()];
            let counters = Counters::default();
            let runtime = RuntimeCounters::new(counters.clone());
            let resolver = Rc::new(Fixed(RefCell::new(found)));
            let tls = UpstreamTls::new(&[]).unwrap();
            let upstreams = Upstreams { resolver, ..Upstreams::new(tls, runtime.upstreams()) };
            let good = serve(good, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            let upstream = upstream(port);
            let mut late = 0;
            for _ in 0..30 {
                let request = Request::builder().uri("/").header("host", "b.test").body(RequestBody::empty()).unwrap();
                let asked = Asked::default();
                let received = async {
                    let (mut stream, _) = silent.accept().await.unwrap();
                    stream.read_exact(&mut [0; 10]).await.unwrap();
                };
                tokio::select! {
                    answered = upstreams.send(&upstream, Protocol::Http1, request, &asked) => {
                        assert_eq!(answered.unwrap().0.status, 200);
                    }
                    () = received => {
                        assert_eq!(asked.get(), Some(silent.local_addr().unwrap()));
                        upstreams.timed_out(&upstream, &asked);
                        late += 1;
                    }
                }
            }
            assert_eq!((late, good.get()), (5, 25));
            let totals = counters.upstreams()[&format!("http://b.test:{port}")];
            assert_eq!((totals.failures, totals.ejections), (5, 1));
        };
        tokio::task::LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn connections_of_a_backend_that_is_no_more_are_closed() {
        let test = async {
            let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let runtime = RuntimeCounters::new(Counters::default());
            let resolver = Rc::new(Fixed(RefCell::new(vec![address])));
            let tls = UpstreamTls::new(&[]).unwrap();
            let upstreams = Upstreams { resolver, ..Upstreams::new(tls, runtime.upstreams()) };
            serve(listener, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            let first = upstream(address.port());
            assert_eq!(get(&upstreams, &first).await, 200);
            let pool = upstreams.pools.of(&first, &upstreams.counters);
            assert!(pool.has_connections());
            upstreams.sweep();
            assert!(pool.has_connections());
            let weak = Rc::downgrade(&pool);
            drop((pool, first));
            upstreams.sweep();
            assert!(weak.upgrade().is_none());
        };
        tokio::task::LocalSet::new().run_until(test).await;
    }
}
