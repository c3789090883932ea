//! Asking etcd, by the JSON gateway that each of its members has: whichever member answers, again until the time is up.
//!
//! Whatever is asked here may be asked twice: reads, transactions that compare first, puts that are the same each time. So an
//! answer that got lost is asked for again, and what was asked is never in doubt unless nobody answers for the whole time.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

use super::dial::{Connection, Endpoint, TlsFiles};
use super::wire::{Login, Refusal, Streamed, Token};
use crate::StoreError;
use crate::feed::lock;

/// Bytes of an answer that say why there is none.
const MAX_REFUSAL_BYTES: usize = 500;
/// Bytes of an answer. Pages of what is read are cut so that they stay far below.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// Time for one member to answer in the first round; each round after it gives twice as much, up to the last of these.
const FIRST_ATTEMPT: Duration = Duration::from_secs(2);
const LAST_ATTEMPT: Duration = Duration::from_secs(8);
/// Between two rounds in which no member has answered.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// Connections that are kept although nothing is asked.
const IDLE_CONNECTIONS: usize = 8;
/// Codes of gRPC with which a member says that it cannot say: cancelled, unknown, deadline, aborted, internal, unavailable.
const UNCLEAR: [i64; 6] = [1, 2, 4, 10, 13, 14];
const UNAUTHENTICATED: i64 = 16;
/// What it says where a token is needed and none was sent (as an invalid argument), and where users have changed.
const NEEDS_TOKEN: [&str; 3] = ["user name is empty", "invalid auth token", "revision of auth store is old"];

/// What is told to come back later.
const OVERLOADED: &str = "too many requests";

/// All members of an etcd.
pub(super) struct Gateway {
    endpoints: Vec<Endpoint>,
    tls: TlsFiles,
    user: Option<User>,
    /// The member that is asked first: the one that has answered last.
    current: AtomicUsize,
    token: Mutex<Option<Arc<str>>>,
    idle: Mutex<Vec<(usize, Connection)>>,
}

/// Who asks. The file is read at each login.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password_file: PathBuf,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// etcd has said no, and has done nothing.
    Refused { code: i64, why: String },
    /// Nobody has answered; what was asked may have been done.
    Unclear(String),
}

/// An answer that goes on and on, line by line.
pub(super) struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

impl Gateway {
    pub(super) fn new(endpoints: Vec<Endpoint>, tls: TlsFiles, user: Option<User>) -> Self {
        let (current, token, idle) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
        Self { endpoints, tls, user, current, token, idle }
    }

    /// For people.
    pub(super) fn names(&self) -> String {
        self.endpoints.iter().map(|endpoint| endpoint.authority.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Asks until there is an answer, for no longer than `patience`.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<T, Trouble> {
        let body = Bytes::from(body.to_string());
        let (deadline, mut attempt_time, mut pause) = (Instant::now() + patience, FIRST_ATTEMPT, FIRST_PAUSE);
        let (mut logins, mut is_unclear) = (0, false);
        // Of the members that did not answer in this round.
        let mut troubles = Vec::new();
        loop {
            let member = self.current.load(Ordering::Relaxed) % self.endpoints.len();
            let left = deadline.saturating_duration_since(Instant::now());
            let attempt = timeout(left.min(attempt_time), self.attempt(member, path, &body));
            let why = match attempt.await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(trouble)) if trouble.needs_login() && self.user.is_some() && logins < 2 => {
                    logins += 1;
                    *lock(&self.token) = None;
                    continue;
                }
                // What an earlier attempt has done is not undone by the refusal of a later one.
                Ok(Err(Trouble::Refused { why, .. })) if is_unclear => return Err(Trouble::Unclear(why)),
                Ok(Err(refused @ Trouble::Refused { .. })) => return Err(refused),
                Ok(Err(Trouble::Unclear(why))) => why,
                Err(_) => "it does not answer".to_owned(),
            };
            is_unclear = true;
            troubles.push(format!("{}: {why}", self.endpoints[member].authority));
            self.pass_over(member);
            if Instant::now() >= deadline {
                return Err(Trouble::Unclear(troubles.join("; ")));
            }
            if troubles.len() >= self.endpoints.len() {
                sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
                if Instant::now() >= deadline {
                    return Err(Trouble::Unclear(troubles.join("; ")));
                }
                troubles.clear();
                pause = (pause * 2).min(LAST_PAUSE);
                attempt_time = (attempt_time * 2).min(LAST_ATTEMPT);
            }
        }
    }

    /// Begins an answer that goes on. One member is asked, once.
    pub(super) async fn stream(&self, path: &str, body: &Value) -> Result<(usize, Lines), Trouble> {
        let member = self.current.load(Ordering::Relaxed) % self.endpoints.len();
        let body = Bytes::from(body.to_string());
        let begin = async {
            let token = self.token(member).await?;
            let mut connection = self.connect(member).await?;
            let response = self.send(&mut connection, member, path, &body, token.as_deref()).await?;
            match response.status() {
                StatusCode::OK => Ok(Lines { body: response.into_body(), buffer: BytesMut::new() }),
                status => Err(Trouble::of(status, &whole(response).await?)),
            }
        };
        let begun = timeout(FIRST_ATTEMPT, begin).await;
        let begun = begun.unwrap_or_else(|_| Err(Trouble::Unclear("it does not answer".to_owned())));
        if let Err(trouble) = &begun {
            if trouble.needs_login() {
                *lock(&self.token) = None;
            }
            self.pass_over(member);
        }
        begun.map(|lines| (member, lines))
    }

    /// Another member is asked from now on, unless that was decided already.
    pub(super) fn pass_over(&self, member: usize) {
        let next = (member + 1) % self.endpoints.len();
        let _ = self.current.compare_exchange(member, next, Ordering::Relaxed, Ordering::Relaxed);
        lock(&self.idle).retain(|(of, _)| *of != member);
    }

    async fn attempt<T: DeserializeOwned>(&self, member: usize, path: &str, body: &Bytes) -> Result<T, Trouble> {
        let token = self.token(member).await?;
        self.ask(member, path, body, token.as_deref()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        member: usize,
        path: &str,
        body: &Bytes,
        token: Option<&str>,
    ) -> Result<T, Trouble> {
        let mut connection = match self.idle_connection(member) {
            Some(connection) => connection,
            None => self.connect(member).await?,
        };
        let response = self.send(&mut connection, member, path, body, token).await?;
        let status = response.status();
        let answer = whole(response).await?;
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_CONNECTIONS && !connection.is_closed() {
            idle.push((member, connection));
        }
        drop(idle);
        if status != StatusCode::OK {
            return Err(Trouble::of(status, &answer));
        }
        serde_json::from_slice(&answer).map_err(|e| Trouble::Unclear(format!("its answer is not understood: {e}")))
    }

    async fn connect(&self, member: usize) -> Result<Connection, Trouble> {
        self.endpoints[member].connect(&self.tls).await.map_err(Trouble::Unclear)
    }

    fn idle_connection(&self, member: usize) -> Option<Connection> {
        let mut idle = lock(&self.idle);
        idle.retain(|(_, connection)| !connection.is_closed());
        let at = idle.iter().rposition(|(of, connection)| *of == member && connection.is_ready())?;
        Some(idle.swap_remove(at).1)
    }

    async fn send(
        &self,
        connection: &mut Connection,
        member: usize,
        path: &str,
        body: &Bytes,
        token: Option<&str>,
    ) -> Result<Response<Incoming>, Trouble> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, &self.endpoints[member].authority)
            .header(CONTENT_TYPE, "application/json")
            // A member that has no leader says so, instead of keeping a watch that tells nothing.
            .header("grpc-metadata-hasleader", "true");
        if let Some(mut token) = token.and_then(|token| HeaderValue::from_str(token).ok()) {
            token.set_sensitive(true);
            request = request.header(AUTHORIZATION, token);
        }
        let request = request.body(Full::new(body.clone())).map_err(|e| Trouble::Unclear(e.to_string()))?;
        connection.send_request(request).await.map_err(|e| Trouble::Unclear(e.to_string()))
    }

    /// What proves who asks, where etcd wants to know.
    async fn token(&self, member: usize) -> Result<Option<Arc<str>>, Trouble> {
        let Some(user) = &self.user else { return Ok(None) };
        if let Some(token) = lock(&self.token).clone() {
            return Ok(Some(token));
        }
        let file = &user.password_file;
        let unreadable = |e| Trouble::Refused { code: 0, why: format!("{}: {e}", file.display()) };
        let password = Zeroizing::new(std::fs::read_to_string(file).map_err(unreadable)?);
        let login = Login { name: &user.name, password: password.trim_end_matches(['\r', '\n']) };
        let login = Bytes::from(serde_json::to_vec(&login).expect("two strings"));
        let Token { token } = self.ask(member, "/v3/auth/authenticate", &login, None).await?;
        let token: Arc<str> = token.into();
        *lock(&self.token) = Some(token.clone());
        Ok(Some(token))
    }
}

impl Lines {
    /// The next line; none where it has ended. A call that is dropped loses nothing.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Trouble> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                let streamed: Streamed<T> = serde_json::from_slice(&line)
                    .map_err(|e| Trouble::Unclear(format!("its answer is not understood: {e}")))?;
                return match (streamed.result, streamed.error) {
                    (Some(result), _) => Ok(Some(result)),
                    (None, error) => Err(Trouble::Unclear(error.unwrap_or_default().to_string())),
                };
            }
            if self.buffer.len() > MAX_ANSWER_BYTES {
                return Err(Trouble::Unclear("it tells too much at once".to_owned()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => self.buffer.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new())),
                Some(Err(e)) => return Err(Trouble::Unclear(e.to_string())),
            }
        }
    }
}

impl Trouble {
    fn of(status: StatusCode, answer: &[u8]) -> Self {
        match serde_json::from_slice::<Refusal>(answer) {
            Ok(refusal) if UNCLEAR.contains(&refusal.code) || refusal.error.contains(OVERLOADED) => {
                Self::Unclear(refusal.error)
            }
            Ok(Refusal { error, code }) => Self::Refused { code, why: error },
            Err(_) if status == StatusCode::NOT_FOUND => {
                let why =
                    "no JSON gateway answers there: etcd 3.4 or later is needed, with enable-grpc-gateway".to_owned();
                Self::Refused { code: 0, why }
            }
            // Where there are users, etcd's gateway refuses certificates that have a common name, in plain text.
            Err(_) if status.is_client_error() => {
                let text = String::from_utf8_lossy(&answer[..answer.len().min(MAX_REFUSAL_BYTES)]);
                Self::Refused { code: 0, why: format!("{status}: {}", text.trim()) }
            }
            Err(_) => Self::Unclear(format!("it answers {status}")),
        }
    }

    fn needs_login(&self) -> bool {
        match self {
            Self::Refused { code, why } => {
                *code == UNAUTHENTICATED || NEEDS_TOKEN.iter().any(|needs| why.contains(needs))
            }
            Self::Unclear(_) => false,
        }
    }

    /// Of something that has changed nothing.
    pub(super) fn of_read(self, endpoints: String) -> StoreError {
        match self {
            Self::Refused { why, .. } => StoreError::Refused { endpoints, why },
            Self::Unclear(why) => StoreError::Unreachable { endpoints, why },
        }
    }

    /// Of something that may have been done.
    pub(super) fn of_write(self, endpoints: String) -> StoreError {
        match self {
            Self::Refused { why, .. } => StoreError::Refused { endpoints, why },
            Self::Unclear(why) => StoreError::Unclear { endpoints, why },
        }
    }
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, Trouble> {
    let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    body.map(|body| body.to_bytes()).map_err(|e| Trouble::Unclear(e.to_string()))
}
