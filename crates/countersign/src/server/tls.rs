//! The control address over TLS, for those that others can reach.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::{Control, Origin, serve_connection};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::answer::Failure;

/// Connections at one time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// Time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for requests under way to be answered once the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, e.g. for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a server on the control address shows.
pub(super) type Acceptor = Arc<rustls::ServerConfig>;

/// Reads certificate and key, PEM.
pub(super) fn acceptor(certificate: &Path, key: &Path) -> Result<Acceptor, Failure> {
    let named = |file: &Path, why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}", file.display()));
    let read = |file: &Path| fs::read(file).map_err(|e| Failure::new(format!("cannot read {}: {e}", file.display())));
    let pem = read(certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|e| named(certificate, &e))?;
    let pem = Zeroizing::new(read(key)?);
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| named(key, &"no private key in it"))?;
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| named(certificate, &e))?;
    let config = builder.with_no_client_auth().with_single_cert(chain, private);
    config.map(Arc::new).map_err(|e| named(certificate, &format!("it does not go with {}: {e}", key.display())))
}

/// Serves until `shutdown` is ready. Connections take the acceptor that is there when they come.
pub(super) async fn serve(
    listener: TcpListener,
    acceptors: watch::Receiver<Acceptor>,
    control: Control,
    shutdown: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let place = places.clone().acquire_owned();
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
        let acceptor = TlsAcceptor::from(acceptors.borrow().clone());
        let (control, mut stopped) = (control.clone(), stopped.clone());
        connections.spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
            let stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
            // A connection that breaks is its client's affair.
            let _ = serve_connection(stream, Origin { peer, tls: true }, control, stop).await;
        });
    }
    stop.send_replace(true);
    let _ = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
}
