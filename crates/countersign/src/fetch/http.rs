//! Fetches what a certificate names, or an issuer of tokens: http and https, to addresses that may be connected to, and no more
//! of an answer than was bargained for.
//!
//! A name is resolved once a step, the addresses that it has are checked, and one that was checked is connected to: what the
//! name means a moment later does not matter. No proxy, no cookie, no credentials.

mod call;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use edge::UpstreamTls;
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use model::{Issuer, may_name_keys};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::address::{Listed, may_connect};
pub(crate) use call::{Answer, Call};

/// Bytes of a CRL: about 1.5 million entries.
pub(crate) const MAX_CRL_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of an OCSP response.
pub(crate) const MAX_OCSP_BYTES: usize = 64 * 1024;
/// Bytes of what an issuer of tokens says about itself, and of its keys.
const MAX_ISSUER_BYTES: usize = 256 * 1024;
/// From the first look at a name to the last byte of a CRL, redirects included.
const CRL_TIME: Duration = Duration::from_secs(10);
/// The same of an OCSP response: nobody waits longer than that for one.
const OCSP_TIME: Duration = Duration::from_secs(5);
/// The same of an issuer's document.
const ISSUER_TIME: Duration = Duration::from_secs(4);
/// To one address.
const CONNECT_TIME: Duration = Duration::from_secs(3);
const MAX_REDIRECTS: usize = 3;
/// CRLs that are fetched at a time, and of these from one host.
const CRLS_AT_ONCE: (usize, usize) = (8, 2);
/// The same of OCSP responses. Neither waits for the other.
const OCSP_AT_ONCE: (usize, usize) = (64, 8);
/// The same of issuers' documents.
const ISSUERS_AT_ONCE: (usize, usize) = (32, 4);
/// Of one host that are fetched or wait for their turn; more have failed, so that there is room for those of other hosts.
const MAX_OF_HOST: usize = 500;
/// Hosts that are remembered although nothing is fetched from them.
const IDLE_HOSTS: usize = 256;
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
/// Head of an answer.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Up to which a request is a GET (RFC 5019 section 5).
const MAX_GET_BYTES: usize = 255;
/// What RFC 6960 appendix A.1 wants to see encoded of base64, and a little more.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Fetches, a few at a time. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Http {
    tls: UpstreamTls,
    listed: Arc<[Listed]>,
    crl_turns: Turns,
    ocsp_turns: Turns,
    issuer_turns: Turns,
}

/// Why nothing was fetched, for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// Its text is no URL, or one that we do not follow.
    #[error("{0} is not fetched: it has to be http or https, with a host and without credentials")]
    Url(String),
    /// The name has no address.
    #[error("{host} cannot be resolved: {why}")]
    Resolve { host: String, why: String },
    /// Its addresses are none that a certificate, or an issuer of tokens, may lead to.
    #[error(
        "{host} is at {address}, which is not a public address: list it in [revocation] allow of countersign.toml to fetch from it"
    )]
    Forbidden { host: String, address: IpAddr },
    /// Somebody on the way could change keys that it gives.
    #[error("{0} is not asked for keys: it has to be https, or on this machine")]
    Insecure(String),
    /// The server does not take the connection, or breaks it.
    #[error("{host} does not answer: {why}")]
    Connection { host: String, why: String },
    /// It answers something else than asked.
    #[error("{host} answered {status}")]
    Status { host: String, status: StatusCode },
    /// It sends one on and on.
    #[error("more than {MAX_REDIRECTS} redirects, the last one by {0}")]
    Redirects(String),
    /// More than anybody wants.
    #[error("the answer of {host} has more than {limit} bytes")]
    TooLarge { host: String, limit: usize },
    /// Too much is asked of it.
    #[error("{0} is asked for too much already")]
    Crowded(String),
    /// It did not end in time.
    #[error("no complete answer within {} s", .0.as_secs())]
    Time(Duration),
}

impl Http {
    pub(crate) fn new(tls: UpstreamTls, listed: &[Listed]) -> Self {
        let (crl_turns, ocsp_turns) = (Turns::new(CRLS_AT_ONCE), Turns::new(OCSP_AT_ONCE));
        Self { tls, listed: listed.into(), crl_turns, ocsp_turns, issuer_turns: Turns::new(ISSUERS_AT_ONCE) }
    }

    /// A CRL from its distribution point (RFC 5280 section 4.2.1.13).
    pub(crate) async fn crl(&self, url: &str) -> Result<Bytes, FetchError> {
        let ask = Ask::get(MAX_CRL_BYTES);
        self.crl_turns.within(CRL_TIME, url, self.fetch(url, ask)).await
    }

    /// A document of an issuer of tokens, by ways on which nobody can change it. The issuer's own host may be anywhere, since
    /// whoever set it up named it; where it leads to has to be a public address, or a listed one.
    pub(crate) async fn issuer_document(&self, issuer: &Issuer, url: &str) -> Result<Bytes, FetchError> {
        let home = Place::parse(issuer.as_str())?.host;
        let ask = Ask { home: Some(home), ..Ask::get(MAX_ISSUER_BYTES) };
        self.issuer_turns.within(ISSUER_TIME, url, self.fetch(url, ask)).await
    }

    /// The response to an OCSP request in DER (RFC 6960 appendix A): by GET where the request is short, and by POST where it is
    /// not, or the responder does not take GET.
    pub(crate) async fn ocsp(&self, url: &str, request: &[u8]) -> Result<Bytes, FetchError> {
        let body = Bytes::copy_from_slice(request);
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/ocsp-request"))]);
        let post = Ask { method: Method::POST, body, headers, ..Ask::get(MAX_OCSP_BYTES) };
        let ask = async {
            let slash = if url.ends_with('/') { "" } else { "/" };
            let short = format!("{url}{slash}{}", utf8_percent_encode(&BASE64.encode(request), IN_PATH));
            if short.len() <= MAX_GET_BYTES && !url.contains(['?', '#']) {
                match self.fetch(&short, Ask::get(MAX_OCSP_BYTES)).await {
                    Err(FetchError::Status { .. } | FetchError::Redirects(_)) => {}
                    other => return other,
                }
            }
            self.fetch(url, post).await
        };
        self.ocsp_turns.within(OCSP_TIME, url, ask).await
    }

    async fn fetch(&self, url: &str, ask: Ask) -> Result<Bytes, FetchError> {
        let mut place = Place::parse(url)?;
        for _ in 0..=MAX_REDIRECTS {
            if ask.home.is_some() && !may_name_keys(&place.url()) {
                return Err(FetchError::Insecure(place.host));
            }
            let response = self.send(&place, &ask).await?;
            match place.redirected(&response, &ask.method) {
                Some(next) => place = next?,
                None => return read(&place, response, ask.limit).await,
            }
        }
        Err(FetchError::Redirects(place.host))
    }

    async fn send(&self, place: &Place, ask: &Ask) -> Result<Response<Incoming>, FetchError> {
        let failed =
            |why: &dyn std::fmt::Display| FetchError::Connection { host: place.host.clone(), why: why.to_string() };
        let stream = self.connect(place, ask).await?;
        match place.tls {
            false => exchange(stream, place, ask).await.map_err(|e| failed(&e)),
            true => {
                let stream = self.tls.connect(&place.host, stream).await.map_err(|e| failed(&e))?;
                exchange(stream, place, ask).await.map_err(|e| failed(&e))
            }
        }
    }

    /// To an address that was checked.
    async fn connect(&self, place: &Place, ask: &Ask) -> Result<TcpStream, FetchError> {
        let host = || place.host.clone();
        let mut last = None;
        for address in self.addresses(place, ask).await? {
            last = Some(match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(e)) => e.to_string(),
                Err(_) => format!("{address} does not take the connection"),
            });
        }
        Err(FetchError::Connection { host: host(), why: last.unwrap_or_else(|| "it has no address".to_owned()) })
    }

    /// Those addresses of a host that may be connected to.
    async fn addresses(&self, place: &Place, ask: &Ask) -> Result<Vec<SocketAddr>, FetchError> {
        let found = lookup_host((place.host.as_str(), place.port)).await;
        let found = found.map_err(|e| FetchError::Resolve { host: place.host.clone(), why: e.to_string() })?;
        let is_home = ask.home.as_ref().is_some_and(|home| home.eq_ignore_ascii_case(&place.host));
        let may = |address: &SocketAddr| is_home || may_connect(*address, &self.listed);
        let (allowed, forbidden): (Vec<_>, Vec<_>) = found.partition(may);
        match (allowed.is_empty(), forbidden.first()) {
            (true, Some(address)) => Err(FetchError::Forbidden { host: place.host.clone(), address: address.ip() }),
            _ => Ok(allowed.into_iter().take(MAX_ADDRESSES).collect()),
        }
    }
}

/// So many at a time, and so many of these of one host: one that is slow, or gone, keeps nobody waiting but those who need it.
#[derive(Clone)]
struct Turns {
    all: Arc<Semaphore>,
    of_host: usize,
    hosts: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl Turns {
    fn new((all, of_host): (usize, usize)) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of_host, hosts: Arc::default() }
    }

    /// Waits for a turn of the host of `url`, and fetches; both together take no longer than that.
    async fn within<T>(
        &self,
        time: Duration,
        url: &str,
        fetch: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        let host = Place::parse(url)?.host.to_ascii_lowercase();
        let of_host = self.of_host(&host).ok_or(FetchError::Crowded(host))?;
        let fetch = async {
            // They are never closed.
            let _turn = (of_host.acquire().await, self.all.acquire().await);
            fetch.await
        };
        timeout(time, fetch).await.unwrap_or(Err(FetchError::Time(time)))
    }

    fn of_host(&self, host: &str) -> Option<Arc<Semaphore>> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= IDLE_HOSTS {
            hosts.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let turns = hosts.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.of_host)));
        // One is the map's own.
        (Arc::strong_count(turns) <= MAX_OF_HOST).then(|| turns.clone())
    }
}

/// What is asked for.
struct Ask {
    method: Method,
    body: Bytes,
    /// Besides those that every request has.
    headers: HeaderMap,
    /// Bytes of the answer.
    limit: usize,
    /// The host that may be at any address, and wants nothing asked on ways that others can change; of an issuer of tokens.
    home: Option<String>,
}

impl Ask {
    fn get(limit: usize) -> Self {
        Self { method: Method::GET, body: Bytes::new(), headers: HeaderMap::new(), limit, home: None }
    }
}

/// A URL, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    tls: bool,
    /// Without brackets.
    host: String,
    port: u16,
    /// As it was written, for `Host`.
    authority: String,
    /// Path and query.
    target: String,
}

impl Place {
    fn parse(url: &str) -> Result<Self, FetchError> {
        let wrong = || FetchError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let rest = authority.as_str().get(authority.host().len()..).unwrap_or_default();
        let port = match (rest.strip_prefix(':'), tls) {
            (Some(port), _) => port.parse().map_err(|_| wrong())?,
            (None, _) if !rest.is_empty() => return Err(wrong()),
            (None, tls) => {
                if tls {
                    443
                } else {
                    80
                }
            }
        };
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { tls, host: host.to_owned(), port, authority: authority.to_string(), target })
    }

    fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.target)
    }

    /// Where an answer sends the same request to, if it does. What was posted is not turned into a GET.
    fn redirected(&self, response: &Response<Incoming>, method: &Method) -> Option<Result<Self, FetchError>> {
        let same_method = matches!(response.status().as_u16(), 307 | 308);
        let any_method = matches!(response.status().as_u16(), 301..=303) && *method == Method::GET;
        if !same_method && !any_method {
            return None;
        }
        let location = response.headers().get(LOCATION)?;
        Some(match location.to_str() {
            Ok(location) => self.joined(location),
            Err(_) => Err(FetchError::Url(format!("a redirect by {}", self.host))),
        })
    }

    /// A reference, resolved (RFC 3986 section 5.2; dot segments are the server's to resolve).
    fn joined(&self, reference: &str) -> Result<Self, FetchError> {
        let scheme = if self.tls { "https" } else { "http" };
        let reference = reference.split('#').next().unwrap_or_default();
        let path = self.target.split('?').next().unwrap_or_default();
        let has_scheme = reference.split(['/', '?']).next().is_some_and(|first| first.contains(':'));
        if has_scheme {
            Self::parse(reference)
        } else if reference.starts_with("//") {
            Self::parse(&format!("{scheme}:{reference}"))
        } else {
            let target = match reference.chars().next() {
                Some('/') => reference.to_owned(),
                Some('?') => format!("{path}{reference}"),
                Some(_) => format!("{}/{reference}", path.rsplit_once('/').map_or("", |(directory, _)| directory)),
                None => self.target.clone(),
            };
            Self::parse(&format!("{scheme}://{}{target}", self.authority))
        }
    }
}

/// Sends the request on a connection of its own.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    place: &Place,
    ask: &Ask,
) -> Result<Response<Incoming>, hyper::Error> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream)).await?;
    // It ends with the answer, or when the answer is dropped. What goes wrong is told to whoever waits for it.
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(ask.method.clone())
        .uri(&place.target)
        .header(HOST, &place.authority)
        .header(USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close");
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(ask.body.clone())).expect("target and authority are a parsed URI's");
    sender.send_request(request).await
}

/// All of an answer that is one.
async fn read(place: &Place, response: Response<Incoming>, limit: usize) -> Result<Bytes, FetchError> {
    let host = || place.host.clone();
    let too_large = || FetchError::TooLarge { host: host(), limit };
    let status = response.status();
    if status != StatusCode::OK {
        return Err(FetchError::Status { host: host(), status });
    }
    let encoding = response.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(FetchError::Connection {
            host: host(),
            why: "it sends an encoding that was not asked for".to_owned(),
        });
    }
    let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    match Limited::new(response.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(e) if e.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(e) => Err(FetchError::Connection { host: host(), why: e.to_string() }),
    }
}

#[cfg(test)]
mod tests;
