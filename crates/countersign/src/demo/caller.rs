//! A client of the gateway, as curl is one.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::pki::Identity;
use crate::answer::Failure;
use crate::client::{Reply, exchange};

/// Calls the gateway over TLS, whatever name the URL has.
pub(super) struct Caller {
    address: SocketAddr,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl Caller {
    /// `ca` is the root of the gateway's certificates, PEM.
    pub(super) fn new(address: SocketAddr, ca: &str) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots.add(root.map_err(failed)?).map_err(failed)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(Self { address, roots: Arc::new(roots), provider })
    }

    /// `curl [--cert … --key …] https://HOST/PATH`, on a connection of its own.
    pub(super) async fn get(&self, host: &str, path: &str, identity: Option<&Identity>) -> Result<Reply, Failure> {
        let stream = TcpStream::connect(self.address).await.map_err(failed)?;
        let name = ServerName::try_from(host.to_owned()).map_err(failed)?;
        let connector = TlsConnector::from(Arc::new(self.config(identity)?));
        let stream = connector.connect(name, stream).await.map_err(failed)?;
        let request = Request::get(path).header(header::HOST, host).header(header::USER_AGENT, "countersign-demo");
        let request = request.body(Full::new(Bytes::new())).map_err(failed)?;
        exchange(stream, request).await.map_err(failed)
    }

    fn config(&self, identity: Option<&Identity>) -> Result<rustls::ClientConfig, Failure> {
        let builder = rustls::ClientConfig::builder_with_provider(self.provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
        let builder = builder.with_root_certificates(self.roots.clone());
        let Some(identity) = identity else { return Ok(builder.with_no_client_auth()) };
        let key = self.provider.key_provider.load_private_key(identity.key()?).map_err(failed)?;
        // Not `with_client_auth_cert`: it reads the certificate, and refuses X.509 v1.
        let certified = CertifiedKey::new(vec![identity.certificate.clone()], key);
        Ok(builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified))))
    }
}

fn failed(why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the call to the gateway failed: {why}"))
}
