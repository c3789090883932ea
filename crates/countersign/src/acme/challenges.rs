//! What an issuer is answered that asks for a proof: by HTTP-01 (RFC 8555 section 8.3) and by TLS-ALPN-01 (RFC 8737). The answers are in
//! the settings, so whichever node it reaches has them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use control::Control;
use edge::{AlpnChallenges, AlpnProof};
use http::{HeaderValue, Method, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::State;
use model::resource::AcmeAnswer;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::answer::{Failure, warn};
use crate::server::listener::{each_connection, listen};

/// Answers HTTP-01 challenges at an address of its own.
pub(super) struct HttpChallenges {
    address: SocketAddr,
    /// Until it is served.
    opened: Mutex<Option<std::net::TcpListener>>,
}

/// Has the data plane answer TLS-ALPN-01 challenges.
pub(super) struct Proofs {
    alpn: AlpnChallenges,
    /// By name, with the key authorization that each proves.
    shown: Mutex<HashMap<String, (String, AlpnProof)>>,
}

const PATH: &str = "/.well-known/acme-challenge/";
/// For a request and its answer.
const TIME: Duration = Duration::from_secs(10);
/// More than any request of an issuer's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;

impl HttpChallenges {
    /// Listens; nobody is answered yet.
    pub(super) fn open(address: SocketAddr) -> Result<Self, Failure> {
        let opened = listen(address).map_err(|e| {
            Failure::new(format!("cannot listen on {address}: {e}; choose another address with acme.http_addr"))
        })?;
        Ok(Self { address, opened: Mutex::new(Some(opened)) })
    }

    /// Until it is aborted: then nothing listens there any more.
    pub(super) async fn serve(&self, control: &Control) {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listener = match opened.map_or_else(|| listen(self.address), Ok).and_then(TcpListener::from_std) {
            Ok(listener) => listener,
            Err(e) => return warn(&format!("no ACME challenge is answered on {}: {e}", self.address)),
        };
        each_connection(listener, |stream| {
            let control = control.clone();
            async move { drop(timeout(TIME, connection(stream, &control)).await) }
        })
        .await;
    }
}

async fn connection(stream: TcpStream, control: &Control) -> Result<(), hyper::Error> {
    let service = service_fn(async |request: http::Request<hyper::body::Incoming>| {
        let state = control.settings().state();
        Ok::<_, Infallible>(respond(&state, request.method(), request.uri().path()))
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(TIME).keep_alive(false).max_buf_size(MAX_HEAD_BYTES);
    server.serve_connection(TokioIo::new(stream), service).await
}

fn respond(state: &State, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let token = path.strip_prefix(PATH).filter(|_| method == Method::GET);
    let answer = token.and_then(|token| answers(state).find(|answer| answer.token == token));
    let body = answer.map(|answer| answer.key_authorization.clone()).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if answer.is_none() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

impl Proofs {
    pub(super) fn new(alpn: AlpnChallenges) -> Self {
        Self { alpn, shown: Mutex::default() }
    }

    /// Shows what `state` says, from now on. An error says what cannot be shown.
    pub(super) fn show(&self, state: &State) -> Result<(), String> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut next, mut failed) = (HashMap::new(), Ok(()));
        for AcmeAnswer { name, key_authorization, .. } in answers(state) {
            let made = match shown.remove(name) {
                Some((same, proof)) if same == *key_authorization => Ok(proof),
                _ => proof(name, key_authorization),
            };
            match made {
                Ok(proof) => drop(next.insert(name.clone(), (key_authorization.clone(), proof))),
                Err(e) => failed = Err(format!("{name}: {e}")),
            }
        }
        self.alpn.show(next.iter().map(|(name, (_, proof))| (name.clone(), proof.clone())).collect());
        *shown = next;
        failed
    }
}

/// What is to be answered for the orders that are under way.
fn answers(state: &State) -> impl Iterator<Item = &AcmeAnswer> {
    state.acme_orders.values().filter_map(|order| order.placed.as_ref()).flat_map(|placed| &placed.answers)
}

/// The certificate that proves an authority over a name to the issuer, and nothing to anybody else (RFC 8737 section 3).
fn proof(name: &str, key_authorization: &str) -> Result<AlpnProof, String> {
    let (certificate, key) = proving(name, key_authorization).map_err(|e| e.to_string())?;
    AlpnProof::new(&certificate, &key).map_err(|e| e.to_string())
}

/// DER, the key as PKCS#8.
fn proving(name: &str, key_authorization: &str) -> Result<(Vec<u8>, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    let digest = digest(&SHA256, key_authorization.as_bytes());
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest.as_ref())];
    Ok((params.self_signed(&key)?.der().to_vec(), key.serialize_der()))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use model::resource::{AcmeOrder, PlacedOrder};
    use model::{Change, Keyring};

    use super::*;

    fn with_answer() -> State {
        let answers = vec![AcmeAnswer {
            name: "a.example".to_owned(),
            token: "t0ken".to_owned(),
            key_authorization: "t0ken.thumb".to_owned(),
        }];
        let private_key = Keyring::new(&[3; 32]).unwrap().seal("", b"").unwrap();
        let placed = PlacedOrder { url: "https://issuer/1".to_owned(), private_key, answers };
        let mut state = State::default();
        state.apply(1, &[Change::put(&AcmeOrder { placed: Some(placed), ..AcmeOrder::new("a", 0) })]).unwrap();
        state
    }

    #[tokio::test]
    async fn only_a_token_of_an_order_is_answered() {
        let state = with_answer();
        for (method, path, expected) in [
            (Method::GET, "/.well-known/acme-challenge/t0ken", Some("t0ken.thumb")),
            (Method::GET, "/.well-known/acme-challenge/", None),
            (Method::GET, "/.well-known/acme-challenge/t0ken/", None),
            (Method::GET, "/.well-known/acme-challenge/other", None),
            (Method::GET, "/t0ken", None),
            (Method::POST, "/.well-known/acme-challenge/t0ken", None),
        ] {
            let response = respond(&state, &method, path);
            assert_eq!(response.status() == StatusCode::OK, expected.is_some(), "{method} {path}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, expected.unwrap_or_default(), "{method} {path}");
        }
    }

    #[test]
    fn a_proof_names_the_name_and_has_the_digest() {
        let (der, key) = proving("a.example", "t0ken.thumb").unwrap();
        assert!(AlpnProof::new(&der, &key).is_ok());
        let certificate = trust::Certificate::from_der(&der).unwrap();
        assert_eq!(certificate.subject_alt_names(), [trust::SubjectAltName::Dns("a.example".to_owned())]);
        // Critical, an OCTET STRING in the extension's own (RFC 8737 section 3).
        let oid_and_critical = [6, 8, 43, 6, 1, 5, 5, 7, 1, 31, 1, 1, 255, 4, 34, 4, 32];
        let extension = [&oid_and_critical[..], digest(&SHA256, b"t0ken.thumb").as_ref()].concat();
        assert!(der.windows(extension.len()).any(|window| window == extension));
    }

    #[test]
    fn what_is_shown_stays_the_same_while_it_proves_the_same() {
        let proofs = Proofs::new(AlpnChallenges::default());
        proofs.show(&with_answer()).unwrap();
        let shown = |proofs: &Proofs| proofs.shown.lock().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(shown(&proofs), ["a.example"]);
        proofs.show(&State::default()).unwrap();
        assert!(shown(&proofs).is_empty());
    }
}
