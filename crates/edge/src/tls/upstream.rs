//! TLS towards https backends.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use model::snapshot::Upstream;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::provider;

/// Where distributions keep the CAs that the system trusts.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Verifies https servers that this program calls (backends, distribution points) by the system's CAs and those that were configured.
#[derive(Clone)]
pub struct UpstreamTls {
    verifier: Arc<WebPkiServerVerifier>,
    http1: TlsConnector,
    http2: TlsConnector,
}

/// What the other side is asked to speak (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alpn {
    Http1,
    Http2,
}

const H2: &[u8] = b"h2";

/// A certificate, what is above it, and its key.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// A connection to a backend.
pub enum UpstreamStream {
    /// Not secured.
    Plain(TcpStream),
    /// Secured, the other side verified.
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl UpstreamTls {
    /// `extra`: PEM of further CAs; one that cannot be read is an error.
    pub fn new(extra: &[String]) -> io::Result<Self> {
        let invalid = |e: String| io::Error::new(io::ErrorKind::InvalidData, format!("a CA for backends: {e}"));
        let mut roots = RootCertStore::empty();
        let system = SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
        // What of the system's bundle is unusable is left out, as everywhere.
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&system).filter_map(Result::ok));
        for certificate in extra.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem.as_bytes())) {
            let certificate = certificate.map_err(|e| invalid(e.to_string()))?;
            roots.add(certificate).map_err(|e| invalid(e.to_string()))?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider().clone()).build();
        Self::by(verifier.map_err(|e| invalid(e.to_string()))?, None)
    }

    /// For a backend that has CAs of its own, or wants to know whose request it is. Nothing that it remembers of sessions is shared
    /// with anybody else's.
    pub(crate) fn for_backend(&self, upstream: &Upstream) -> io::Result<Self> {
        let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let verifier = match &upstream.ca {
            None => self.verifier.clone(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider().clone()).build();
                verifier.map_err(|e| invalid(e.to_string()))?
            }
        };
        let identity = upstream.identity.as_ref().map(|identity| -> io::Result<Identity> {
            let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes()).collect::<Result<_, _>>();
            let key = PrivateKeyDer::from_pem_slice(&identity.key);
            Ok((chain.map_err(|e| invalid(e.to_string()))?, key.map_err(|e| invalid(e.to_string()))?))
        });
        Self::by(verifier, identity.transpose()?)
    }

    fn by(verifier: Arc<WebPkiServerVerifier>, identity: Option<Identity>) -> io::Result<Self> {
        let invalid = |e: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, e);
        let config = ClientConfig::builder_with_provider(provider().clone())
            .with_safe_default_protocol_versions()
            .map_err(invalid)?
            .with_webpki_verifier(verifier.clone());
        let mut http1 = match identity {
            None => config.with_no_client_auth(),
            // That they belong together was checked when they were set. rustls would not take a certificate of X.509 v1.
            Some((chain, key)) => {
                let key = provider().key_provider.load_private_key(key).map_err(invalid)?;
                let certified = Arc::new(CertifiedKey::new(chain, key));
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
        };
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http2 = http1.clone();
        http2.alpn_protocols = vec![H2.to_vec()];
        Ok(Self { verifier, http1: Arc::new(http1).into(), http2: Arc::new(http2).into() })
    }

    /// Secures `stream`; the backend's certificate must be for `name`.
    pub async fn connect(&self, name: &str, stream: TcpStream) -> io::Result<UpstreamStream> {
        self.connect_as(Alpn::Http1, name, stream).await
    }

    /// The same, for a protocol.
    pub(crate) async fn connect_as(&self, alpn: Alpn, name: &str, stream: TcpStream) -> io::Result<UpstreamStream> {
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(name).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let connector = match alpn {
            Alpn::Http1 => &self.http1,
            Alpn::Http2 => &self.http2,
        };
        Ok(UpstreamStream::Tls(Box::new(connector.connect(name, stream).await?)))
    }
}

impl UpstreamStream {
    /// Whether HTTP/2 was agreed upon.
    pub(crate) fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(H2),
        }
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

/// What went wrong when a connection to a backend was secured, in words that say where to look.
pub(crate) fn failure(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => match why {
            CertificateError::UnknownIssuer => "the certificate of the backend is of no CA that is trusted",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate of the backend is for another name"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the certificate of the backend has expired"
            }
            _ => "the certificate of the backend is not valid",
        },
        Some(rustls::Error::AlertReceived(alert)) => alerted(*alert),
        Some(rustls::Error::InvalidMessage(_)) => "the backend does not speak TLS",
        _ => "the TLS handshake with the backend failed",
    }
}

/// The same of an alert that came later, as a backend's that looks at certificates when the handshake is over for us (TLS 1.3).
pub(crate) fn late_failure(error: &io::Error) -> Option<&'static str> {
    let inner = error.get_ref()?;
    if let Some(rustls::Error::AlertReceived(alert)) = inner.downcast_ref() {
        return Some(alerted(*alert));
    }
    // h2 keeps no more of it than its words.
    let words = inner.to_string();
    let known = ABOUT_CERTIFICATES.iter().find(|alert| words.ends_with(&format!("alert: {alert:?}")));
    known.map(|alert| alerted(*alert))
}

const ABOUT_CERTIFICATES: [AlertDescription; 8] = [
    AlertDescription::CertificateRequired,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::AccessDenied,
];

fn alerted(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => "the backend demands a client certificate",
        alert if ABOUT_CERTIFICATES.contains(&alert) => "the backend refused the client certificate",
        AlertDescription::NoApplicationProtocol => "the backend does not offer HTTP/2",
        AlertDescription::UnrecognisedName => "the backend does not know the server name",
        AlertDescription::ProtocolVersion => "the backend speaks no version of TLS that is spoken here",
        _ => "the backend ended the TLS handshake with an alert",
    }
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
