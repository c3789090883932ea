//! A backend with nothing to hide: answers every request with what it saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::answer::Failure;

/// An HTTP server on loopback. It ends with the runtime.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    served: Arc<AtomicUsize>,
}

impl Backend {
    pub(super) async fn start() -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure::new(format!("the backend of the demo cannot listen: {e}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let served = Arc::new(AtomicUsize::new(0));
        let count = served.clone();
        tokio::spawn(async move {
            // A connection that cannot be accepted is the gateway's to report.
            while let Ok((stream, _)) = listener.accept().await {
                let count = count.clone();
                let service = service_fn(move |request| answer(request, count.clone()));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Ok(Self { address, served })
    }

    /// Requests so far.
    pub(super) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

async fn answer(
    request: Request<Incoming>,
    served: Arc<AtomicUsize>,
) -> Result<Response<Full<Bytes>>, std::convert::Infallible> {
    served.fetch_add(1, Ordering::SeqCst);
    let text = format!("hello from the backend: {} {}\n", request.method(), request.uri());
    Ok(Response::new(Full::new(Bytes::from(text))))
}
