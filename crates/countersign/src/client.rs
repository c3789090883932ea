//! Calls to a server's control address, signed as an AWS client signs them.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use control::{Control, Origin};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::answer::Failure;
use crate::data_dir::DataDir;

/// Which server a command asks, and as whom.
#[derive(clap::Args)]
pub(crate) struct ServerArgs {
    /// Data directory of the server
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Control address of the server, with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment
    #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
    endpoint: Option<String>,
}

/// A client of one server, with one access key.
pub(crate) struct Client {
    transport: Transport,
    credentials: sigv4::Credentials,
    region: String,
}

/// How requests reach the server.
enum Transport {
    /// Over the network.
    Network { endpoint: Uri, tls: Option<Arc<rustls::ClientConfig>> },
    /// It is in this process.
    Within(Control),
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Seconds until an answer must have come.
const TIMEOUT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));
const MAX_REPLY_BYTES: usize = 64 * 1024 * 1024;

impl ServerArgs {
    /// `--endpoint`, else `AWS_ENDPOINT_URL`, else the data directory's server.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let ca_file = variable("AWS_CA_BUNDLE").map(PathBuf::from);
        let endpoint =
            self.endpoint.clone().or_else(|| variable("AWS_ENDPOINT_URL").filter(|_| self.data_dir.is_none()));
        if let Some(endpoint) = endpoint {
            let (Some(id), Some(secret)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) else {
                return Err(Failure::new(
                    "no access key: eval \"$(countersign env)\", or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                ));
            };
            let credentials = sigv4::Credentials {
                access_key_id: id,
                secret: sigv4::SecretKey::new(secret),
                session_token: variable("AWS_SESSION_TOKEN"),
            };
            let region = variable("AWS_DEFAULT_REGION").unwrap_or_else(|| "us-east-1".to_owned());
            return Client::new(&endpoint, credentials, &region, ca_file.as_deref());
        }
        let dir = DataDir::find(self.data_dir.as_deref())?;
        let run = dir.running()?;
        Client::new(&run.control, dir.credentials_of_admin()?.signing(), &run.region, ca_file.as_deref())
    }

    /// Root of the certificates that the server of `--data-dir` issues, if there is one.
    pub(crate) fn local_ca(&self) -> Option<PathBuf> {
        let dir = DataDir::find(Some(self.data_dir.as_deref()?)).ok()?;
        Some(dir.ca()).filter(|file| file.exists())
    }

    /// As [`Self::client`], where the command line or the environment names a server at all, with a key for it.
    pub(crate) fn client_if_named(&self) -> Result<Option<Client>, Failure> {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let by_environment = is_set("AWS_ENDPOINT_URL") && is_set("AWS_ACCESS_KEY_ID");
        match self.data_dir.is_some() || self.endpoint.is_some() || by_environment {
            true => self.client().map(Some),
            false => Ok(None),
        }
    }

    /// As [`Self::client`], for commands that do nothing but ask.
    pub(crate) fn ask<T>(&self, question: impl AsyncFnOnce(&Client) -> Result<T, Failure>) -> Result<T, Failure> {
        let client = self.client()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|e| Failure::new(format!("cannot start: {e}")))?.block_on(question(&client))
    }
}

impl Client {
    /// Of `http://HOST:PORT`, or `https://…`, whose certificate must lead to one of `ca_file`.
    pub(crate) fn new(
        endpoint: &str,
        credentials: sigv4::Credentials,
        region: &str,
        ca_file: Option<&Path>,
    ) -> Result<Self, Failure> {
        let uri: Uri = endpoint.parse().map_err(|_| bad_endpoint(endpoint))?;
        if uri.host().is_none() {
            return Err(bad_endpoint(endpoint));
        }
        let tls = match uri.scheme_str() {
            Some("http") => None,
            Some("https") => Some(tls_config(ca_file)?),
            _ => return Err(bad_endpoint(endpoint)),
        };
        let transport = Transport::Network { endpoint: uri, tls };
        Ok(Self { transport, credentials, region: region.to_owned() })
    }

    /// Of the server in this process, whatever its addresses are.
    pub(crate) fn within(control: Control, credentials: sigv4::Credentials, region: &str) -> Self {
        Self { transport: Transport::Within(control), credentials, region: region.to_owned() }
    }

    /// Address of the server, for people.
    pub(crate) fn endpoint(&self) -> &str {
        self.authority()
    }

    /// Scheme and authority of the server's URLs.
    pub(crate) fn base(&self) -> String {
        let scheme = match &self.transport {
            Transport::Network { tls: Some(_), .. } => "https",
            Transport::Network { tls: None, .. } | Transport::Within(_) => "http",
        };
        format!("{scheme}://{}", self.authority())
    }

    /// Region of its requests.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// Sends one request and reads the answer, whatever its status. `path` is encoded already and may have a query.
    pub(crate) async fn send(
        &self,
        service: &str,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Vec<u8>,
    ) -> Result<Reply, Failure> {
        let request = Request::builder().method(method).uri(path).header(header::HOST, self.authority());
        let mut request = request.header(header::USER_AGENT, USER_AGENT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).map_err(|e| Failure::new(format!("cannot ask for {path}: {e}")))?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        sigv4::sign(&mut request, &body, &self.credentials, &self.region, service, now)
            .map_err(|e| Failure::new(format!("cannot sign the request: {e}")))?;
        let request = request.map(|()| Full::new(Bytes::from(body)));
        let exchange = tokio::time::timeout(TIMEOUT, self.exchange(request)).await;
        exchange
            .unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
            .map_err(|e| Failure::new(format!("the server at {} does not answer: {e}", self.authority())))
    }

    /// A request of a service with JSON in both directions; an error answer is a failure that names it.
    pub(crate) async fn json(&self, service: &str, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let headers = [("content-type", "application/json")];
        self.send(service, method, path, &headers, bytes).await?.into_json()
    }

    /// An operation of a service that speaks AWS's JSON 1.1 protocol.
    pub(crate) async fn action(&self, service: &str, target: &str, body: &Value) -> Result<Value, Failure> {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        self.send(service, Method::POST, "/", &headers, body.to_string().into_bytes()).await?.into_json()
    }

    fn authority(&self) -> &str {
        match &self.transport {
            Transport::Network { endpoint, .. } => endpoint.authority().map_or("", |authority| authority.as_str()),
            Transport::Within(_) => "localhost",
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, String> {
        match &self.transport {
            Transport::Network { endpoint, tls } => over_network(endpoint, tls.as_ref(), request).await,
            Transport::Within(control) => {
                // Nobody can read or change what never leaves the process.
                let origin = Origin { peer: (Ipv4Addr::LOCALHOST, 0).into(), tls: true };
                control.exchange(origin, request, MAX_REPLY_BYTES).await.map(Reply::from)
            }
        }
    }
}

impl From<Response<Bytes>> for Reply {
    fn from(response: Response<Bytes>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body }
    }
}

impl Reply {
    /// The body, where the status is one of success; else what AWS's error says.
    pub(crate) fn success(self) -> Result<Self, Failure> {
        if self.status.is_success() {
            return Ok(self);
        }
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let message = body.get("message").or_else(|| body.get("Message")).and_then(Value::as_str);
        let message = message.map_or_else(|| String::from_utf8_lossy(&self.body).into_owned(), str::to_owned);
        Err(Failure::new(format!("the server answers {}: {message}", self.status)))
    }

    /// Of an answer of success; an empty one is null.
    pub(crate) fn into_json(self) -> Result<Value, Failure> {
        let reply = self.success()?;
        if reply.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&reply.body).map_err(|e| Failure::new(format!("the server's answer is no JSON: {e}")))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What an http or https URL answers with, where that is good. For https one of the CAs in `AWS_CA_BUNDLE` is trusted.
pub(crate) async fn fetch(url: &str) -> Result<Bytes, Failure> {
    let uri: Uri = url.parse().map_err(|_| bad_endpoint(url))?;
    let ca_file = std::env::var_os("AWS_CA_BUNDLE").filter(|file| !file.is_empty()).map(PathBuf::from);
    let tls = if uri.scheme_str() == Some("https") { Some(tls_config(ca_file.as_deref())?) } else { None };
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let authority = uri.authority().ok_or_else(|| bad_endpoint(url))?.to_string();
    let request = Request::get(path).header(header::HOST, authority).body(Full::default());
    let request = request.map_err(|e| Failure::new(e.to_string()))?;
    let reply = tokio::time::timeout(TIMEOUT, over_network(&uri, tls.as_ref(), request)).await;
    let reply =
        reply.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs()))).map_err(Failure::new)?;
    Ok(reply.success()?.body)
}

async fn over_network(
    endpoint: &Uri,
    tls: Option<&Arc<rustls::ClientConfig>>,
    request: Request<Full<Bytes>>,
) -> Result<Reply, String> {
    let Some(tls) = tls else { return exchange(connect(endpoint, 80).await?, request).await };
    let name = ServerName::try_from(host(endpoint).to_owned()).map_err(|e| e.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(tls.clone());
    let stream = connector.connect(name, connect(endpoint, 443).await?).await;
    exchange(stream.map_err(|e| e.to_string())?, request).await
}

async fn connect(endpoint: &Uri, default_port: u16) -> Result<TcpStream, String> {
    let port = endpoint.port_u16().unwrap_or(default_port);
    TcpStream::connect((host(endpoint), port)).await.map_err(|e| e.to_string())
}

fn host(endpoint: &Uri) -> &str {
    endpoint.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

/// One request on a connection of its own, HTTP/1.1.
pub(crate) async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Reply, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    control::exchange(stream, request, MAX_REPLY_BYTES).await.map(Reply::from)
}

/// Trusts the certificates of `ca_file` only.
fn tls_config(ca_file: Option<&Path>) -> Result<Arc<rustls::ClientConfig>, Failure> {
    let file = ca_file.ok_or_else(|| {
        Failure::new("the server's control address speaks TLS: name a file with its CA in AWS_CA_BUNDLE")
    })?;
    let failed = |why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}", file.display()));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|e| failed(&e))? {
        roots.add(certificate.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.map_err(|e| failed(&e))?.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

fn bad_endpoint(endpoint: &str) -> Failure {
    Failure::new(format!("{endpoint} is no endpoint: expected http://HOST:PORT"))
}
