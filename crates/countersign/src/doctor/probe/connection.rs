//! Connections that send what they are told to and leave nothing to the TLS library's judgement: what the server shows is
//! kept, and judged elsewhere.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::{ResolvesClientCert, Resumption, Tls12Resumption};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::hello::{Hello, Kind};
use super::visit::{Answer, Ended, Handshake, Session, Visit};
use super::{Address, MAX_CONNECTIONS, Target};
use crate::collector::Collector;

/// Of one connection, from its beginning to its end.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// How long an alert is waited for behind a reset.
const ALERT: Duration = Duration::from_millis(500);
/// Of an answer, head and body, that is read.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
const USER_AGENT: &str = concat!("countersign-doctor/", env!("CARGO_PKG_VERSION"));

/// Who connects: one of these and its connections share what a session may be resumed by.
#[derive(Clone)]
pub(super) struct Identity {
    resolver: Arc<Resolver>,
    verifier: Arc<Collector>,
    /// Whether the ClientHello has the server's name.
    pub(super) sends_name: bool,
}

/// Which versions are offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    Both,
    Tls12,
    Tls13,
}

/// What a server says when it asks for a certificate (RFC 8446 sections 4.3.2 and 4.2.4).
#[derive(Clone, Debug, Default)]
pub(in crate::doctor) struct CertificateRequest {
    /// Names of authorities, DER.
    pub(in crate::doctor) names: Vec<Vec<u8>>,
    pub(in crate::doctor) schemes: Vec<SignatureScheme>,
}

impl CertificateRequest {
    /// Octets that the names take in the message.
    pub(in crate::doctor) fn names_bytes(&self) -> usize {
        self.names.iter().map(|name| name.len() + 2).sum()
    }
}

impl Identity {
    pub(super) fn none() -> Self {
        Self::with(None)
    }

    pub(super) fn of(key: CertifiedKey) -> Self {
        Self::with(Some(Arc::new(key)))
    }

    fn with(key: Option<Arc<CertifiedKey>>) -> Self {
        let resolver = Arc::new(Resolver { key, asked: Mutex::default() });
        Self { resolver, verifier: Arc::default(), sends_name: true }
    }
}

/// Makes connections to one address, and counts them.
pub(super) struct Dialer {
    address: Address,
    target: Target,
    host: String,
    turn: Arc<Semaphore>,
    deadline: Instant,
    made: Arc<AtomicUsize>,
}

impl Dialer {
    pub(super) fn new(target: &Target, address: &Address, turn: Arc<Semaphore>, deadline: Instant) -> Self {
        let (address, target, host) = (address.clone(), target.clone(), target.authority());
        Self { address, target, host, turn, deadline, made: Arc::default() }
    }

    /// Another address; connections are counted together.
    pub(super) fn at(&self, address: Option<Address>) -> Self {
        let address = address.unwrap_or_else(|| self.address.clone());
        Self {
            address,
            target: self.target.clone(),
            host: self.host.clone(),
            turn: self.turn.clone(),
            deadline: self.deadline,
            made: self.made.clone(),
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    pub(super) fn target_name(&self) -> ServerName<'static> {
        ServerName::try_from(self.target.host.clone()).expect("checked when it was parsed")
    }

    pub(super) fn own_host(&self) -> &str {
        &self.host
    }

    /// Asks for the target's path.
    pub(super) async fn visit(&self, identity: &Identity, name: &ServerName<'static>, host: &str) -> Visit {
        self.visit_path(identity, name, host, &self.target.path).await
    }

    pub(super) async fn visit_path(
        &self,
        identity: &Identity,
        name: &ServerName<'static>,
        host: &str,
        path: &str,
    ) -> Visit {
        let session = Arc::default();
        self.request(identity, name, host, path, session).await
    }

    /// Asks again, in a session that was kept; none where there is none to resume.
    pub(super) async fn resume(
        &self,
        identity: &Identity,
        session: &Arc<Session>,
        name: &ServerName<'static>,
        host: &str,
    ) -> Option<Visit> {
        if session.is_empty() {
            return None;
        }
        Some(self.request(identity, name, host, &self.target.path, session.clone()).await)
    }

    /// Nothing but the handshake, with HTTP/2 offered.
    pub(super) async fn handshake(&self, identity: &Identity, name: &ServerName<'static>, versions: Versions) -> Visit {
        let session = Arc::default();
        self.connect(identity, name, versions, true, session, async |_| Ended::Enough).await
    }

    pub(super) async fn hello(&self, name: &ServerName<'static>, kind: Kind) -> Option<Hello> {
        let _turn = self.turn().await?;
        let exchange = async {
            let mut stream = self.dial().await.ok()?;
            stream.write_all(&kind.message(name)).await.ok()?;
            Hello::read(&mut stream).await
        };
        tokio::time::timeout(TIMEOUT, exchange).await.ok()?
    }

    async fn request(
        &self,
        identity: &Identity,
        name: &ServerName<'static>,
        host: &str,
        path: &str,
        session: Arc<Session>,
    ) -> Visit {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        let ask = async |stream: &mut TlsStream<TcpStream>| {
            // A server that refuses in TLS 1.3 may have reset already; what it said before is read all the same.
            let sent = stream.write_all(request.as_bytes()).await;
            match read_answer(stream).await {
                Ok(answer) => answer.map_or(Ended::Closed, Ended::Answered),
                Err(e) => sent.err().map_or_else(|| ended(&e), |sent| worse(&ended(&e), &ended(&sent))),
            }
        };
        self.connect(identity, name, Versions::Both, false, session, ask).await
    }

    /// As `visit`, and where the connection ended without a word: again without sending anything, since an alert is lost where the
    /// other side's TCP resets because of bytes that it never read.
    pub(super) async fn visit_and_listen(&self, identity: &Identity, name: &ServerName<'static>, host: &str) -> Visit {
        let mut visit = self.visit(identity, name, host).await;
        if matches!(visit.ended, Ended::Reset | Ended::Closed) && visit.handshake.is_some() {
            let listen =
                async |stream: &mut TlsStream<TcpStream>| match tokio::time::timeout(ALERT, stream.read(&mut [0; 1]))
                    .await
                {
                    Ok(Err(e)) => ended(&e),
                    Ok(Ok(_)) | Err(_) => Ended::Closed,
                };
            let again = self.connect(identity, name, Versions::Both, false, Arc::default(), listen).await;
            if matches!(again.ended, Ended::Alert(_)) {
                visit.ended = again.ended;
            }
        }
        visit
    }

    async fn connect(
        &self,
        identity: &Identity,
        name: &ServerName<'static>,
        versions: Versions,
        offers_http2: bool,
        session: Arc<Session>,
        then: impl AsyncFnOnce(&mut TlsStream<TcpStream>) -> Ended,
    ) -> Visit {
        let mut visit = Visit {
            chain: Vec::new(),
            request: None,
            handshake: None,
            ended: Ended::NotTried,
            session: session.clone(),
        };
        let Some(_turn) = self.turn().await else { return visit };
        // Each connection notes what it saw on its own; the parts that rustls compares stay the same.
        identity.resolver.forget();
        let config = identity.config(versions, offers_http2, session);
        let exchange = async {
            let stream = match self.dial().await {
                Ok(stream) => stream,
                Err(e) => return (None, Ended::Unreachable(e.to_string())),
            };
            match TlsConnector::from(Arc::new(config)).connect(name.clone(), stream).await {
                Ok(mut stream) => {
                    let handshake = Handshake::of(stream.get_ref().1);
                    let ended = then(&mut stream).await;
                    // Politeness: an end without close_notify looks like an attack.
                    let _ = tokio::time::timeout(ALERT, stream.shutdown()).await;
                    (handshake, ended)
                }
                Err(e) => (None, ended(&e)),
            }
        };
        let done = tokio::time::timeout(TIMEOUT, exchange).await;
        (visit.handshake, visit.ended) = done.unwrap_or((None, Ended::TimedOut));
        visit.chain = identity.verifier.take();
        visit.request = identity.resolver.asked();
        visit
    }

    /// None: enough was tried.
    async fn turn(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let turn = self.turn.clone().acquire_owned().await.ok()?;
        if Instant::now() > self.deadline || self.made.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            return None;
        }
        Some(turn)
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.address.host.as_str(), self.address.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Identity {
    fn config(&self, versions: Versions, offers_http2: bool, session: Arc<Session>) -> ClientConfig {
        let offered: &[&rustls::SupportedProtocolVersion] = match versions {
            Versions::Both => &[&rustls::version::TLS13, &rustls::version::TLS12],
            Versions::Tls12 => &[&rustls::version::TLS12],
            Versions::Tls13 => &[&rustls::version::TLS13],
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(offered);
        let config = config.expect("the provider's versions").dangerous();
        let config = config.with_custom_certificate_verifier(self.verifier.clone());
        let mut config = config.with_client_cert_resolver(self.resolver.clone());
        config.alpn_protocols = match offers_http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        config.enable_sni = self.sends_name;
        config.resumption = Resumption::store(session).tls12_resumption(Tls12Resumption::SessionIdOrTickets);
        config
    }
}

/// The first answer that is no interim one; none where the stream ends before its head does.
async fn read_answer(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Answer>> {
    let mut read = Vec::new();
    loop {
        let answer = Answer::parse(&read);
        if let Some((answer, true)) = answer {
            return Ok(Some(answer));
        }
        let mut piece = [0; 4096];
        // What was read is an answer, however the stream ends.
        let count = match stream.read(&mut piece).await {
            Ok(count) => count,
            Err(e) => return answer.map(|(answer, _)| Some(answer)).ok_or(e),
        };
        if count == 0 || read.len() >= MAX_ANSWER_BYTES {
            return Ok(answer.map(|(answer, _)| answer));
        }
        read.extend_from_slice(&piece[..count]);
    }
}

impl Answer {
    /// And whether all of it is there that is looked at.
    fn parse(mut bytes: &[u8]) -> Option<(Self, bool)> {
        loop {
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let body = &bytes[end + 4..];
            let mut lines = head.split("\r\n");
            let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
            if (100..200).contains(&status) && status != 101 {
                bytes = body;
                continue;
            }
            let header = |line: &str| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_ascii_lowercase(), value.trim().to_owned()))
            };
            let headers: Vec<_> = lines.filter_map(header).collect();
            let body = String::from_utf8_lossy(body).into_owned();
            let answer = Self { status, headers, body };
            let length = answer.header("content-length").and_then(|length| length.parse::<usize>().ok());
            let is_whole = length.is_some_and(|length| answer.body.len() >= length);
            return Some((answer, is_whole || matches!(status, 204 | 304)));
        }
    }
}

/// What an error of a connection means.
fn ended(error: &io::Error) -> Ended {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        (Some(rustls::Error::AlertReceived(alert)), _) => Ended::Alert(*alert),
        (Some(rustls::Error::InvalidMessage(_)), _) => Ended::NotTls,
        (Some(error), _) => Ended::Tls(error.to_string()),
        (None, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted) => Ended::Reset,
        (None, ErrorKind::UnexpectedEof | ErrorKind::NotConnected) => Ended::Closed,
        (None, ErrorKind::TimedOut) => Ended::TimedOut,
        (None, _) => Ended::Tls(error.to_string()),
    }
}

/// Of what reading and writing say, what says more.
fn worse(read: &Ended, written: &Ended) -> Ended {
    if matches!(written, Ended::Alert(_)) { written.clone() } else { read.clone() }
}

/// Shows one certificate whatever the server asks for, and keeps what it asked for.
#[derive(Debug)]
struct Resolver {
    key: Option<Arc<CertifiedKey>>,
    asked: Mutex<Option<CertificateRequest>>,
}

impl Resolver {
    fn forget(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn asked(&self) -> Option<CertificateRequest> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, names: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let names = names.iter().map(|name| name.to_vec()).collect();
        let request = CertificateRequest { names, schemes: schemes.to_vec() };
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(request);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // Whether there is one or not, what is asked for is to be seen.
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        for (text, status, body, is_whole) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", true),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\nFor", 403, "For", false),
            ("HTTP/1.0 204\r\n\r\n", 204, "", true),
        ] {
            let (answer, whole) = Answer::parse(text.as_bytes()).unwrap();
            assert_eq!((answer.status, answer.body.as_str(), whole), (status, body, is_whole), "{text}");
        }
        for text in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
            assert!(Answer::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
