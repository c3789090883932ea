//! What pages follow as it happens, as server-sent events: the overview, and records.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::calls::InSession;
use super::{Session, page, secured};
use crate::dispatch::{Body, user_agent};
use crate::{Control, Origin};

/// Pages that may follow something at one time.
pub(crate) struct Streams(Arc<Semaphore>);

const MAX: usize = 64;
/// Records of one event.
const RECORDS: usize = 200;
/// Times that a stream of records looks at the journal before it sends a sign of life.
const SECONDS_QUIET: u32 = 15;

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX)))
    }
}

/// Something that is followed.
struct Followed {
    control: Control,
    session: Arc<Session>,
    origin: Origin,
    user_agent: String,
    query: BTreeMap<String, String>,
    ticks: watch::Receiver<u64>,
    quiet: u32,
    first: bool,
    _place: OwnedSemaphorePermit,
}

impl Control {
    /// `live` and `tail`: none where a path is neither.
    pub(super) fn stream(
        &self,
        path: &str,
        query: &BTreeMap<String, String>,
        session: &Arc<Session>,
        parts: &Parts,
        origin: &Origin,
    ) -> Option<Response<Body>> {
        let is_live = match path {
            "/live" => true,
            "/tail" => false,
            _ => return None,
        };
        let Ok(place) = Arc::clone(&self.shared.streams.0).try_acquire_owned() else {
            let what = "Too many pages follow what happens: close some.";
            return Some(page(console::refused(StatusCode::TOO_MANY_REQUESTS, what)));
        };
        let mut query = query.clone();
        // A browser that connects again says how far it has come.
        if let Some(last) = parts.headers.get("last-event-id").and_then(|id| id.to_str().ok()) {
            query.insert("after".to_owned(), last.to_owned());
        }
        query.insert("limit".to_owned(), RECORDS.to_string());
        let followed = Followed {
            control: self.clone(),
            session: Arc::clone(session),
            origin: *origin,
            user_agent: user_agent(parts).to_owned(),
            query,
            ticks: self.shared.traffic.ticks(),
            quiet: 0,
            first: true,
            _place: place,
        };
        let events = stream::unfold(followed, move |mut followed| async move {
            let event = match is_live {
                true => followed.overview().await,
                false => followed.records().await,
            }?;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), followed))
        });
        let body = StreamBody::new(events).map_err(|never| match never {}).boxed_unsync();
        let mut response = secured("text/event-stream", body);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }
}

impl Followed {
    /// The overview, once a second. It ends with its session.
    async fn overview(&mut self) -> Option<String> {
        self.tick().await?;
        let overview = self.ask("overview", BTreeMap::new()).await?;
        Some(event("live", None, &console::live(&overview, self.control.now())))
    }

    /// Records, as they come.
    async fn records(&mut self) -> Option<String> {
        loop {
            self.tick().await?;
            let answer = self.ask("records", self.query.clone()).await?;
            let more = answer.get("next").and_then(Value::as_u64);
            let next = more.or_else(|| answer.get("end")?.as_u64())?;
            self.query.insert("after".to_owned(), next.to_string());
            // Where more are there already, they need not wait.
            self.first = more.is_some();
            let rows = console::rows(&answer);
            if !rows.is_empty() {
                self.quiet = 0;
                return Some(event("records", Some(next), &rows));
            }
            self.quiet += 1;
            if self.quiet == SECONDS_QUIET {
                self.quiet = 0;
                return Some(": still here\n\n".to_owned());
            }
        }
    }

    /// With the rights that whoever is signed in has by now.
    async fn ask(&self, path: &str, query: BTreeMap<String, String>) -> Option<Value> {
        let session = InSession::of(&self.control, &self.session.holder, &self.origin, &self.user_agent)?;
        let request = session.own_request(Method::GET, &[path], query, Bytes::new());
        self.control.answer_own(&request).await.ok()
    }

    async fn tick(&mut self) -> Option<()> {
        if !std::mem::take(&mut self.first) {
            self.ticks.changed().await.ok()?;
        }
        let goes_on =
            !self.control.is_draining() && self.control.shared.sessions.goes_on(&self.session, self.control.now());
        goes_on.then_some(())
    }
}

/// One event; a line of data for each line. `id`: where whoever has it goes on.
fn event(name: &str, id: Option<u64>, data: &str) -> String {
    let lines: String = data.split(['\r', '\n']).map(|line| format!("data: {line}\n")).collect();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {name}\n{id}{lines}\n")
}
