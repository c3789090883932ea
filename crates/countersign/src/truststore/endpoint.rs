//! The certificates that a TLS server shows. What it shows is collected, never believed: the truststore that is made of
//! them is read by a person before it is used.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use trust::Certificate;

use crate::collector::Collector;

/// For the connection and the handshake.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Certificates of a chain that are looked at.
const MAX_SHOWN: usize = 20;

/// A server's address: `HOST:PORT`, `[IPV6]:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("{text}: expected HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let host = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().map_err(|_| expected())?;
        ServerName::try_from(host).map_err(|_| expected())?;
        Ok(Self { host: host.to_owned(), port })
    }

    /// What the server shows, its own certificate first. A server that ends the handshake because we have no
    /// certificate for it has shown its chain all the same.
    pub(super) fn certificates(&self) -> Result<Vec<Certificate>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        let shown = runtime.block_on(async { tokio::time::timeout(TIMEOUT, self.handshake()).await });
        let shown = shown.map_err(|_| format!("no handshake within {} s", TIMEOUT.as_secs()))??;
        shown.iter().take(MAX_SHOWN).map(|der| Certificate::from_der(der).map_err(|e| e.to_string())).collect()
    }

    async fn handshake(&self) -> Result<Vec<Vec<u8>>, String> {
        let name = ServerName::try_from(self.host.clone()).map_err(|e| e.to_string())?;
        let collector = Arc::new(Collector::default());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|e| e.to_string())?.dangerous();
        let config = config.with_custom_certificate_verifier(collector.clone()).with_no_client_auth();
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| e.to_string())?;
        let ended = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        let shown = collector.take();
        match ended {
            Err(e) if shown.is_empty() => Err(e.to_string()),
            _ => Ok(shown),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("ldap.example.com:636", Some("ldap.example.com:636")),
            ("127.0.0.1:1", Some("127.0.0.1:1")),
            ("[::1]:443", Some("[::1]:443")),
            ("example.com", None),
            ("example.com:https", None),
            (":443", None),
            ("https://example.com:443", None),
            ("example.com:70000", None),
        ] {
            assert_eq!(Endpoint::parse(text).ok().map(|e| e.to_string()).as_deref(), shown, "{text}");
        }
    }
}
