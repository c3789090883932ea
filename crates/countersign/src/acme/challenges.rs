//! HTTP-01 (RFC 8555 section 8.3): an issuer fetches what only whoever answers for a name can have put there.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// What is answered, and where. Cheap to clone.
#[derive(Clone)]
pub(super) struct HttpChallenges {
    listener: Arc<TcpListener>,
    /// Key authorizations by token.
    answers: Arc<Mutex<HashMap<String, String>>>,
}

/// An answer that is given until this is dropped.
pub(super) struct Answering {
    challenges: HttpChallenges,
    token: String,
}

const PATH: &str = "/.well-known/acme-challenge/";
const MAX_CONNECTIONS: usize = 64;
/// For a request and its answer.
const TIME: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

impl HttpChallenges {
    pub(super) fn new(listener: Arc<TcpListener>) -> Self {
        Self { listener, answers: Arc::default() }
    }

    pub(super) fn answer(&self, token: &str, key_authorization: &str) -> Answering {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(token.to_owned(), key_authorization.to_owned());
        Answering { challenges: self.clone(), token: token.to_owned() }
    }

    /// Until it is aborted.
    pub(super) async fn serve(&self) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let answers = self.answers.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let response = respond(&answers, &request);
                    async { Ok::<_, Infallible>(response) }
                });
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(TIME).keep_alive(false).max_buf_size(16 * 1024);
                let _ = timeout(TIME, server.serve_connection(TokioIo::new(stream), service)).await;
                drop(place);
            });
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.challenges.answers.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.token);
    }
}

fn respond(answers: &Mutex<HashMap<String, String>>, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let token = request.uri().path().strip_prefix(PATH).filter(|_| request.method() == Method::GET);
    let answer = token.and_then(|token| answers.lock().unwrap_or_else(PoisonError::into_inner).get(token).cloned());
    let mut response = Response::new(Full::new(Bytes::from(answer.clone().unwrap_or_default())));
    if answer.is_none() {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}
