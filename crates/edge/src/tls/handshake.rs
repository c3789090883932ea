//! A client's handshake, from its ClientHello.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::{CipherSuite, HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::{StartHandshake, TlsStream};

use super::alpn_challenges::AlpnChallenges;
use super::domain::DomainTls;
use super::verifier::take_refused;
use crate::verdicts::{Chain, Client};

/// An established connection's bytes.
pub(crate) type Stream = TlsStream<TcpStream>;

/// A ClientHello that was read; nothing was answered yet.
pub(crate) struct Hello(StartHandshake<TcpStream>);

/// A handshake that has ended.
pub(crate) struct Session {
    pub(crate) stream: Stream,
}

/// A handshake that failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The judge refused, in the handshake.
    Refused(Rc<Client>),
    /// No certificate came where one is required.
    Missing,
    /// The client's bytes are no TLS that we speak, or it refused our certificate.
    Tls(rustls::Error),
    /// The connection broke.
    Io,
}

/// Fatal alerts that are sent before there are keys (RFC 8446 section 6.2).
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum PlainAlert {
    InternalError = 80,
    UnrecognizedName = 112,
}

/// Bytes and time for which a connection that was refused is still read, so that no TCP reset destroys what was sent.
const LINGER_BYTES: usize = 64 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

impl Hello {
    /// Reads the ClientHello. What is no TLS is answered with an alert and closed.
    pub(crate) async fn read(stream: TcpStream) -> Result<Self, Failure> {
        let mut acceptor = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        match (&mut acceptor).await {
            Ok(start) => Ok(Self(start)),
            Err(error) => {
                let failure = Failure::of(&error);
                if let Some(stream) = acceptor.take_io().filter(|_| matches!(failure, Failure::Tls(_))) {
                    linger(stream).await;
                }
                Err(failure)
            }
        }
    }

    /// The name that the client asks for, lowercase.
    pub(crate) fn server_name(&self) -> Option<String> {
        self.0.client_hello().server_name().map(str::to_ascii_lowercase)
    }

    /// What the client is to be shown if it is an issuer that asks for a proof.
    pub(crate) fn challenge(&self, challenges: &AlpnChallenges) -> Option<Arc<ServerConfig>> {
        let hello = self.0.client_hello();
        challenges.asked(hello.server_name(), hello.alpn())
    }

    /// Shows the proof: there is nothing to be said after the handshake (RFC 8737 section 3).
    pub(crate) async fn prove(self, proof: Arc<ServerConfig>) {
        if let Ok(mut stream) = self.0.into_stream(proof).await {
            let _ = stream.shutdown().await;
        }
    }

    /// Ends the handshake with a fatal alert.
    pub(crate) async fn refuse(self, alert: PlainAlert) {
        let mut stream = self.0.io;
        // ContentType alert, legacy_record_version, length, AlertLevel fatal, AlertDescription.
        if stream.write_all(&[21, 3, 3, 0, 2, 2, alert as u8]).await.is_ok() {
            linger(stream).await;
        }
    }

    /// Goes on to the end of the handshake.
    pub(crate) async fn finish(self, domain: DomainTls) -> Result<Session, Failure> {
        let mut accept = self.0.into_stream(domain.config).into_fallible();
        let outcome = poll_fn(|context| {
            let polled = Pin::new(&mut accept).poll(context);
            polled.map(|outcome| outcome.map_err(|(error, stream)| (error, stream, take_refused())))
        });
        match outcome.await {
            Ok(stream) => Ok(Session { stream }),
            Err((error, stream, refused)) => {
                let failure = match refused {
                    Some(client) => Failure::Refused(client),
                    None => Failure::of(&error),
                };
                if !matches!(failure, Failure::Io) {
                    linger(stream).await;
                }
                Err(failure)
            }
        }
    }
}

impl Session {
    /// What the client sent, now or in the session that was resumed.
    pub(crate) fn chain(&self) -> Chain {
        let certificates = self.stream.get_ref().1.peer_certificates().unwrap_or_default();
        Chain::new(certificates.iter().map(AsRef::as_ref))
    }

    pub(crate) fn is_http2(&self) -> bool {
        self.stream.get_ref().1.alpn_protocol() == Some(b"h2")
    }

    /// `TLSv1.3`
    pub(crate) fn version(&self) -> &'static str {
        match self.stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        }
    }

    /// IANA's name of the cipher suite.
    pub(crate) fn cipher_suite(&self) -> Option<&'static str> {
        let suite = self.stream.get_ref().1.negotiated_cipher_suite()?.suite();
        match suite {
            // rustls has names of its own for those of TLS 1.3.
            CipherSuite::TLS13_AES_128_GCM_SHA256 => Some("TLS_AES_128_GCM_SHA256"),
            CipherSuite::TLS13_AES_256_GCM_SHA384 => Some("TLS_AES_256_GCM_SHA384"),
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => Some("TLS_CHACHA20_POLY1305_SHA256"),
            other => other.as_str(),
        }
    }

    /// IANA's name of the group in which keys were agreed upon.
    pub(crate) fn key_exchange(&self) -> Option<&'static str> {
        self.stream.get_ref().1.negotiated_key_exchange_group()?.name().as_str()
    }

    /// Whether it continues an earlier session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// `h2`, `http/1.1`
    pub(crate) fn alpn(&self) -> Option<&'static str> {
        match self.stream.get_ref().1.alpn_protocol()? {
            b"h2" => Some("h2"),
            b"http/1.1" => Some("http/1.1"),
            _ => None,
        }
    }
}

impl Failure {
    fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::NoCertificatesPresented) => Self::Missing,
            Some(error) => Self::Tls(error.clone()),
            None => Self::Io,
        }
    }
}

/// Closes the writing side and reads a little on.
async fn linger(stream: TcpStream) {
    let Ok(stream) = stream.into_std() else { return };
    if stream.shutdown(Shutdown::Write).is_err() {
        return;
    }
    if let Ok(mut stream) = TcpStream::from_std(stream) {
        drain(&mut stream).await;
    }
}

/// Reads and forgets until the peer closes, or it has been enough.
pub(crate) async fn drain(stream: &mut (impl tokio::io::AsyncRead + Unpin)) {
    let read = async {
        let mut buffer = [0; 2048];
        let mut left = LINGER_BYTES;
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            left = match left.checked_sub(count) {
                Some(left) => left,
                None => return,
            };
        }
    };
    let _ = tokio::time::timeout(LINGER_TIME, read).await;
}
