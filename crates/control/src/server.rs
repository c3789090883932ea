//! Connections of the control API: HTTP/1.1, bounded in number, time and size.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::{Control, Origin};

/// Connections at one time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// Time for a request's head to arrive, from the connection's start or the last answer.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Header fields of a request.
const MAX_HEADERS: usize = 100;
/// Time for requests under way to be answered once the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, e.g. for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves plain HTTP until `shutdown` is ready; requests under way are then answered within ten seconds.
pub async fn serve(listener: TcpListener, control: Control, shutdown: impl Future<Output = ()>) {
    accept(listener, control, shutdown, false, |stream| std::future::ready(Some(stream))).await;
}

/// As [`serve`], over TLS: `handshake` secures a connection, within a time of its own, or gives it up.
pub async fn serve_tls<S, F>(
    listener: TcpListener,
    control: Control,
    shutdown: impl Future<Output = ()>,
    handshake: impl Fn(TcpStream) -> F,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Option<S>> + Send + 'static,
{
    accept(listener, control, shutdown, true, handshake).await;
}

async fn accept<S, F>(
    listener: TcpListener,
    control: Control,
    shutdown: impl Future<Output = ()>,
    tls: bool,
    handshake: impl Fn(TcpStream) -> F,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Option<S>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let place = Arc::clone(&places).acquire_owned();
        let accepted = async { (place.await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, peer)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (control, mut stopped) = (control.clone(), stopped.clone());
        let _ = stream.set_nodelay(true);
        let handshake = handshake(stream);
        connections.spawn(async move {
            let _place = place;
            let Some(stream) = handshake.await else { return };
            let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
            // A connection that breaks is its client's affair.
            let _ = serve_connection(stream, Origin { peer, tls }, control, stop).await;
        });
    }
    stop.send_replace(true);
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one connection, over TLS or not, until it ends; from `stop` on it takes no further request.
pub async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    origin: Origin,
    control: Control,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let service = service_fn(move |request| {
        let control = control.clone();
        async move { Ok::<_, std::convert::Infallible>(control.handle(request, origin).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    ended.map_err(io::Error::other)
}
