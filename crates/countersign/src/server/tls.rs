//! The control address over TLS, for those that others can reach.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use control::Control;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::answer::Failure;

/// Time for a handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

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
    let handshake = |stream| {
        let accepted = TlsAcceptor::from(acceptors.borrow().clone()).accept(stream);
        async { tokio::time::timeout(HANDSHAKE, accepted).await.ok()?.ok() }
    };
    control::serve_tls(listener, control, shutdown, handshake).await;
}
