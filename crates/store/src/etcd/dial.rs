//! Connections to etcd: TCP, and TLS where an endpoint is `https`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// To take a connection, the handshake included.
const CONNECT_TIME: Duration = Duration::from_secs(2);

/// One address of etcd's, as it was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    tls: bool,
    /// Without brackets.
    host: String,
    port: u16,
    /// For `Host`.
    pub(super) authority: String,
}

/// By whom etcd is known, and by what it knows us. The files are read for each connection, so that renewed ones are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct TlsFiles {
    pub(super) ca: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

/// A connection on which requests can be sent, one after the other.
pub(super) type Connection = SendRequest<Full<Bytes>>;

impl Endpoint {
    /// `http://HOST:PORT` or `https://HOST:PORT`; what is wrong with it otherwise.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("`{url}` is no endpoint of etcd: expected http://HOST:PORT or https://HOST:PORT");
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let has_more = uri.path_and_query().is_some_and(|rest| rest.as_str() != "/");
        let port = authority.port_u16().ok_or_else(wrong)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || has_more || authority.as_str().contains('@') {
            return Err(wrong());
        }
        Ok(Self { tls, host, port, authority: authority.to_string() })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls
    }

    /// Connects, and says in a few words why it cannot.
    pub(super) async fn connect(&self, files: &TlsFiles) -> Result<Connection, String> {
        let connect = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| e.to_string())?;
            stream.set_nodelay(true).map_err(|e| e.to_string())?;
            if !self.tls {
                return speak(stream).await;
            }
            let name = ServerName::try_from(self.host.clone()).map_err(|e| e.to_string())?;
            let connector = TlsConnector::from(Arc::new(files.config()?));
            speak(connector.connect(name, stream).await.map_err(|e| e.to_string())?).await
        };
        timeout(CONNECT_TIME, connect).await.unwrap_or_else(|_| Err("it does not take the connection".to_owned()))
    }
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Connection, String> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    // It ends when nobody sends or reads on it any more. What goes wrong is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(sender)
}

impl TlsFiles {
    /// What is wrong with the files is told by name.
    pub(super) fn config(&self) -> Result<ClientConfig, String> {
        let ca = self.ca.as_deref().ok_or("an https endpoint needs the CA that certifies it")?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|e| named(ca, &e))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots);
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(config.with_no_client_auth());
        };
        let pem = zeroize::Zeroizing::new(fs::read(key).map_err(|e| named(key, &e))?);
        let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| named(key, &e))?;
        config.with_client_auth_cert(certificates(certificate)?, private).map_err(|e| named(certificate, &e))
    }
}

/// Those of a file in PEM: one at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = fs::read(path).map_err(|e| named(path, &e))?;
    let read: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|e| named(path, &e))?;
    if read.is_empty() { Err(named(path, &"no certificate in PEM")) } else { Ok(read) }
}

fn named(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("{}: {why}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_of_hosts_and_ports() {
        let endpoint = Endpoint::parse("https://[::1]:2379/").unwrap();
        assert_eq!((endpoint.tls, endpoint.host.as_str(), endpoint.port), (true, "::1", 2379));
        assert_eq!(endpoint.authority, "[::1]:2379");
        assert!(!Endpoint::parse("http://etcd-1:2379").unwrap().tls);
        for wrong in
            ["etcd-1:2379", "http://etcd-1", "ftp://etcd-1:1", "http://a:1/v3", "http://u:p@a:1", "http://:1", ""]
        {
            assert!(Endpoint::parse(wrong).unwrap_err().contains("is no endpoint of etcd"), "{wrong}");
        }
    }
}
