//! A backend that remembers what reached it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

pub struct Backend {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    arrived: mpsc::UnboundedReceiver<()>,
    /// Lets the answer to `/hold` go.
    pub release: Arc<Notify>,
}

/// A request that reached it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Backend {
    /// Answers `/hold` when told, `/status/N` with N, `/big` with 1 MiB, `/cors` as if every origin were welcome, `/drop` by closing, and all else with the payload
    /// that it got.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let release = Arc::new(Notify::new());
        let (sender, arrived) = mpsc::unbounded_channel();
        let (all, released) = (seen.clone(), release.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, release, sender) = (all.clone(), released.clone(), sender.clone());
                let service = service_fn(move |request| answer(request, seen.clone(), release.clone(), sender.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, seen, arrived, release }
    }

    /// What reached it so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits for the next request to arrive.
    pub async fn arrival(&mut self) {
        tokio::time::timeout(Duration::from_secs(20), self.arrived.recv()).await.expect("a request within 20 s");
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<Seen>>>,
    release: Arc<Notify>,
    arrived: mpsc::UnboundedSender<()>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let _ = arrived.send(());
    let body = body.collect().await?.to_bytes();
    seen.lock().unwrap().push(Seen {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body: body.to_vec(),
    });
    let full = |bytes: Bytes| Full::new(bytes).map_err(|never| match never {}).boxed();
    let path = parts.uri.path();
    let mut response = Response::new(full(body));
    if path.starts_with("/hold") {
        release.notified().await;
    } else if path == "/cors" {
        for name in ["access-control-allow-origin", "access-control-allow-methods", "access-control-expose-headers"] {
            response.headers_mut().insert(name, "*".parse().unwrap());
        }
    } else if path == "/big" {
        *response.body_mut() = full(vec![b'x'; 1024 * 1024].into());
    } else if let Some(status) = path.strip_prefix("/status/") {
        *response.status_mut() = status.parse().unwrap();
    }
    response.headers_mut().insert("x-backend", "yes".parse().unwrap());
    response.headers_mut().insert("keep-alive", "timeout=5".parse().unwrap());
    Ok(response)
}
