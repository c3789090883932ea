//! Clients: TLS by rustls, HTTP by hyper, or bytes as they are.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};

use super::{Authority, DOMAIN, Identity};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    V12,
    V13,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    V1,
    V2,
}

/// Keeps its tickets.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
    identity: Option<Identity>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Client {
    pub fn new(address: SocketAddr, server: &Authority, identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(server.der().to_vec())).unwrap();
        let roots = Arc::new(roots);
        let config = configure(&roots, identity, &[&version::TLS13, &version::TLS12], Http::V1);
        Self { address, config, roots, identity: identity.cloned() }
    }

    pub fn with(self, tls: Tls, http: Http) -> Self {
        let version: &[&SupportedProtocolVersion] = match tls {
            Tls::V12 => &[&version::TLS12],
            Tls::V13 => &[&version::TLS13],
        };
        Self { config: configure(&self.roots, self.identity.as_ref(), version, http), ..self }
    }

    pub async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        self.connect_to(DOMAIN).await
    }

    pub async fn connect_to(&self, name: &str) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(self.config.clone()).connect(name, stream).await
    }

    /// Connects as a balancer does that sends `header` first.
    pub async fn connect_after(&self, header: &[u8]) -> io::Result<TlsStream<TcpStream>> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(header).await?;
        let name = ServerName::try_from(DOMAIN).unwrap();
        TlsConnector::from(self.config.clone()).connect(name, stream).await
    }

    pub async fn get(&self, http: Http, path: &str) -> io::Result<Answer> {
        self.send(http, Request::get(path), Bytes::new()).await
    }

    /// Sends one request on a connection of its own.
    pub async fn send(&self, http: Http, request: http::request::Builder, body: Bytes) -> io::Result<Answer> {
        let exchange = async {
            let stream = self.connect().await?;
            exchange(http, stream, request, body).await
        };
        within(exchange).await
    }

    /// Says nothing on a connection, and reads until the gateway ends it.
    pub async fn end_of_silence(&self) -> io::Result<String> {
        self.raw("").await
    }

    /// Sends bytes, and reads until the gateway closes.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> io::Result<String> {
        within(async {
            let mut stream = self.connect().await?;
            if !bytes.as_ref().is_empty() {
                stream.write_all(bytes.as_ref()).await?;
                stream.flush().await?;
            }
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok(String::from_utf8_lossy(&answer).into_owned())
        })
        .await
    }
}

pub async fn exchange(
    http: Http,
    stream: TlsStream<TcpStream>,
    request: http::request::Builder,
    body: Bytes,
) -> io::Result<Answer> {
    let io = TokioIo::new(stream);
    let response = match http {
        Http::V1 => {
            let request = request.header("host", DOMAIN).body(Full::new(body)).unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            sender.send_request(request).await
        }
        Http::V2 => {
            let mut request = request.body(Full::new(body)).unwrap();
            let path = request.uri().path_and_query().unwrap().as_str();
            *request.uri_mut() = format!("https://{DOMAIN}{path}").parse().unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            sender.send_request(request).await
        }
    };
    let (head, body) = response.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

/// No test waits for ever.
pub async fn within<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("an answer, or its lack, within 20 s")
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn configure(
    roots: &Arc<RootCertStore>,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
    http: Http,
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots.clone());
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = match http {
        Http::V1 => vec![b"http/1.1".to_vec()],
        Http::V2 => vec![b"h2".to_vec()],
    };
    Arc::new(config)
}
