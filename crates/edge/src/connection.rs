//! One connection of a client: whom it is of, what it is doing, and when it must end.

mod activity;
mod log;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use journal::End;
use model::Revision;
use model::snapshot::Domain;
use tokio::net::TcpStream;
use tokio::select;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};
use trust::{Code, UnixSeconds};

pub(crate) use activity::Activity;
use log::{Facts, Log};

use crate::addresses::Counted;
use crate::cork::{Cork, Uncorked};
use crate::counters::{Bound, Counts, Stopped};
use crate::exchange;
use crate::forward;
use crate::http1;
use crate::limits::Looked;
use crate::record::Record;
use crate::refuse;
use crate::request_id::RequestId;
use crate::runtime::{Place, Runtime};
use crate::sightings::Encounter;
use crate::socket::Socket;
use crate::status::Pending;
use crate::tls::{Failure, Hello, PlainAlert, Session};
use crate::verdicts::{self, Chain, Client};

/// What a client may still take of a request when its connection must end, unless it ends because the gateway stops: that has
/// a deadline of its own.
const LAST_RESPONSE: Duration = Duration::from_secs(30);
/// The same where it is no longer trusted: what goes on for longer than that is no last response but a stream.
const LAST_OF_REFUSED: Duration = Duration::from_millis(500);
/// The same where nothing is under way, and it only has to take note: a GOAWAY and the answer to a PING.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// While the gateway stops: for a request that may be on its way on a connection that has none. It is answered, and told that
/// it was the last.
const NEXT_REQUEST: Duration = Duration::from_secs(2);

/// Bytes of a payload that an HTTP/2 client may send ahead of its backend.
const STREAM_WINDOW: u32 = 128 * 1024;

/// A connection whose handshake has ended, or failed of trust.
pub(crate) struct Connection {
    /// By which the records of its requests name it.
    pub(crate) id: RequestId,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// The server name of its handshake, lowercase: the one domain that its requests may be for.
    pub(crate) name: String,
    pub(crate) is_http2: bool,
    /// What was agreed upon in its handshake.
    pub(crate) facts: Facts,
    /// Its client was not trusted when the handshake ended.
    is_stranger: bool,
    has_records: OnceCell<bool>,
    standing: RefCell<Standing>,
    pub(crate) activity: Activity,
    closing: Cell<Option<(Close, End)>>,
    /// A review in the background waits for the client's status.
    waits: Cell<bool>,
    notify: Notify,
    linger: Cell<bool>,
    /// `Forwarded` of requests for [`name`](Self::name).
    forwarded: OnceCell<HeaderValue>,
    pub(crate) limits: Looked,
}

/// Under which settings the client was looked at last, and what it was found to be.
struct Standing {
    /// The runtime's count of snapshots when this was found.
    generation: u64,
    revision: Revision,
    domain: Arc<Domain>,
    /// What is counted of the domain.
    counts: Arc<Counts>,
    client: Rc<Client>,
}

/// What came of another look at a client.
enum Review {
    /// It is known who it is.
    Done,
    /// Its domain is no more.
    Gone,
    /// Its status has to be fetched.
    Waits(Pending),
}

/// Why, and thereby how, a connection ends before its client ends it. In the order of their force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Close {
    /// The gateway stops: what was begun is ended, and what may be on its way is waited for.
    Drain,
    /// The client was idle for too long, or its domain is no more: what was begun is ended.
    Gracefully,
    /// The client is trusted no more.
    Refused,
    /// At once.
    Now,
}

/// What becomes of a connection that must end.
enum Ending {
    Now,
    /// Nothing yet; it is looked at again after that time.
    GoesOn(Duration),
    /// It takes no new requests; it is looked at again after that time.
    ShutsDown(Duration),
}

/// Serves one accepted connection to its end.
pub(crate) async fn run(place: Place, stream: TcpStream, peer: SocketAddr, counted: Counted, handshake_until: Instant) {
    let _counted = counted;
    let runtime = place.runtime();
    let Ok(local) = stream.local_addr() else { return };
    let _ = stream.set_nodelay(true);
    let mut log = Log::new(runtime, peer, local);
    // Apart, as is all that is over when the connection waits for its requests: what waits is to be small.
    let handshake = Box::pin(handshake(runtime, &mut log, stream));
    let accepted = timeout_at(handshake_until, handshake).await;
    let (session, connection) = match accepted {
        Ok(Some(established)) => established,
        Ok(None) => return,
        Err(_) => {
            runtime.counters.met(Bound::HandshakeTimeout);
            return log.ended(End::HandshakeTimeout);
        }
    };
    let client = connection.standing().1;
    let socket = Rc::new(Socket::new(session.stream, connection.clone()));
    if client.refusal.is_some() {
        Box::pin(refuse::connection(runtime, &connection, socket)).await;
        return log.ended(End::Refused);
    }
    connection.count_handshake(runtime);
    let _registered = runtime.register(&connection);
    // A snapshot may have come since the client was judged, and found nobody here to review.
    connection.review_in_background(runtime);
    let ended = match connection.is_http2 {
        true => serve_http2(runtime, &connection, &socket).await,
        false => serve_http1(runtime, &connection, &socket).await,
    };
    let closing = connection.closing.get();
    if closing.is_some_and(|(close, _)| close <= Close::Gracefully) {
        // It did not ask for the end, and may be sending.
        connection.linger();
    }
    socket.close().await;
    log.ended(closing.map(|(_, end)| end).or(ended).unwrap_or(End::Cut));
}

/// `None`: the connection has ended, and `log` knows how.
async fn handshake(runtime: &Rc<Runtime>, log: &mut Log, stream: TcpStream) -> Option<(Session, Rc<Connection>)> {
    let hello = match Hello::read(stream).await {
        Ok(hello) => hello,
        Err(failure) => {
            log.failed(&failure);
            return None;
        }
    };
    if let Some(proof) = hello.challenge(&runtime.config.alpn_challenges) {
        log.asked_for(hello.server_name().as_deref(), runtime.snapshot.borrow().revision);
        hello.prove(proof).await;
        log.ended(End::ClientClosed);
        return None;
    }
    let name = hello.server_name();
    let (snapshot, generation) = (runtime.snapshot.borrow().clone(), runtime.generation.get());
    log.asked_for(name.as_deref(), snapshot.revision);
    let Some((name, domain)) = name.as_deref().and_then(|name| Some((name, snapshot.domain(name)?))) else {
        log.cannot_serve(End::UnknownName, "no domain has the server name of the handshake");
        hello.refuse(PlainAlert::UnrecognizedName).await;
        return None;
    };
    log.is_of(&domain.name);
    let tls = match runtime.domain_tls.of(domain, &runtime.tls) {
        Ok(tls) => tls,
        Err(why) => {
            log.cannot_serve(End::Unservable, &why);
            hello.refuse(PlainAlert::InternalError).await;
            return None;
        }
    };
    match hello.finish(tls).await {
        Ok(session) => {
            let facts = Facts::of(&session, log);
            let at = runtime.now_seconds();
            let client = match &domain.trust {
                Some(trust) => {
                    let fetched = runtime.config.status_fetcher.known();
                    match verdicts::judge(trust, &Rc::new(session.chain()), fetched, at) {
                        Ok(client) => client,
                        Err(pending) => pending.settle(runtime).await,
                    }
                }
                None => runtime.anonymous.clone(),
            };
            let standing = Standing::new(runtime, generation, snapshot.revision, domain, client);
            let connection = Rc::new(Connection::new(runtime, log, name, standing, facts));
            log.established(&connection);
            Some((session, connection))
        }
        Err(failure) => {
            let client = match (&failure, &domain.trust) {
                (Failure::Refused(client), _) => Some(client.clone()),
                (Failure::Missing, Some(trust)) => {
                    let (none, fetched) = (Rc::new(Chain::none()), runtime.config.status_fetcher.so_far());
                    Some(verdicts::judge_so_far(trust, &none, fetched, runtime.now_seconds()))
                }
                _ => None,
            };
            match client {
                Some(client) => {
                    let standing = Standing::new(runtime, generation, snapshot.revision, domain, client);
                    let connection = Rc::new(Connection::new(runtime, log, name, standing, Facts::default()));
                    log.established(&connection);
                    log.ended(End::Refused);
                    Record::of_connection(runtime, &connection).refused();
                }
                None => log.failed(&failure),
            }
            None
        }
    }
}

/// How the client ended it; `None`: it did not.
async fn serve_http1(runtime: &Rc<Runtime>, connection: &Rc<Connection>, socket: &Rc<Socket>) -> Option<End> {
    let http = std::pin::pin!(http1::server::serve(runtime, connection, socket));
    // It looks itself whether the connection is closing when it has answered.
    drive(connection, http, |_| ()).await
}

/// As [`serve_http1`].
async fn serve_http2(runtime: &Rc<Runtime>, connection: &Rc<Connection>, socket: &Rc<Socket>) -> Option<End> {
    let service = service_fn({
        let (runtime, connection) = (runtime.clone(), connection.clone());
        move |request| exchange::serve(runtime.clone(), connection.clone(), request)
    });
    let limits = runtime.limits();
    let cork = Cork::new(socket.clone());
    let http = http2::Builder::new(LocalExecutor)
        .max_concurrent_streams(limits.http2_streams)
        // Its list counts 32 bytes more for each header than AWS does; what is between the two is refused by us.
        .max_header_list_size(u32::try_from(limits.header_bytes * 2).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(128)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(4 * STREAM_WINDOW)
        .max_send_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(cork.clone()), service);
    let http = std::pin::pin!(Uncorked::new(cork, http));
    let ended = drive(connection, http, |http| http.get_mut().connection().graceful_shutdown()).await?;
    Some(if ended { End::ClientClosed } else { End::Broken })
}

/// Polls a connection to its end, or until it must end.
async fn drive<H: Future>(
    connection: &Connection,
    mut http: Pin<&mut H>,
    graceful_shutdown: fn(Pin<&mut H>),
) -> Option<H::Output> {
    let mut close = select! {
        biased;
        ended = &mut http => return Some(ended),
        close = connection.must_close(None) => close,
    };
    let since = Instant::now();
    let mut shut_down = None;
    loop {
        let time = match connection.ending(close, since.elapsed(), shut_down.map(|at: Instant| at.elapsed())) {
            Ending::Now => return None,
            Ending::GoesOn(time) => time,
            Ending::ShutsDown(time) => {
                graceful_shutdown(http.as_mut());
                shut_down.get_or_insert_with(Instant::now);
                time
            }
        };
        select! {
            biased;
            ended = &mut http => return Some(ended),
            stronger = connection.must_close(Some(close)) => close = stronger,
            () = sleep(time) => {}
        }
    }
}

impl Connection {
    fn new(runtime: &Runtime, log: &Log, name: &str, standing: Standing, facts: Facts) -> Self {
        Self {
            id: log.id(),
            peer: log.peer(),
            local: log.local(),
            name: name.to_owned(),
            is_http2: facts.is_http2,
            facts,
            is_stranger: standing.client.refusal.is_some(),
            has_records: OnceCell::new(),
            standing: RefCell::new(standing),
            activity: Activity::new(runtime.tick.clone()),
            closing: Cell::new(None),
            waits: Cell::new(false),
            notify: Notify::new(),
            linger: Cell::new(false),
            forwarded: OnceCell::new(),
            limits: Looked::default(),
        }
    }

    /// Whether there are to be records of it and its requests one by one. Of strangers there are so many only; all are counted.
    pub(crate) fn has_records(&self, runtime: &Runtime) -> bool {
        !self.is_stranger || *self.has_records.get_or_init(|| runtime.strangers.admits(runtime, self.peer.ip()))
    }

    /// Domain, client and the revision under which they were looked at.
    pub(crate) fn standing(&self) -> (Arc<Domain>, Rc<Client>, Revision) {
        let standing = self.standing.borrow();
        (standing.domain.clone(), standing.client.clone(), standing.revision)
    }

    /// Counts what became of a request, or of the connection, for its domain.
    pub(crate) fn count(&self, refusal: Option<Code>, shadow_differs: bool, stopped: Option<Stopped>) {
        self.standing.borrow().counts.count(refusal, shadow_differs, stopped);
    }

    /// Counts policies that could not be evaluated.
    pub(crate) fn count_policy_errors(&self, count: usize) {
        self.standing.borrow().counts.count_policy_errors(count);
    }

    /// Who is accepted is seen, though it may never ask for anything.
    fn count_handshake(&self, runtime: &Runtime) {
        let (domain, client, _) = self.standing();
        runtime.sightings.count(&client, &domain, self.peer, Encounter::Handshake);
    }

    /// Looks at domain and client again where the snapshot is another one, or the verdict may be another one by now.
    fn review(&self, runtime: &Runtime) -> Review {
        let at = runtime.now_seconds();
        let mut standing = self.standing.borrow_mut();
        if standing.generation != runtime.generation.get() {
            let snapshot = runtime.snapshot.borrow();
            let Some(domain) = snapshot.domain(&self.name) else { return Review::Gone };
            if domain.name != standing.domain.name {
                standing.counts = runtime.counters.of(&domain.name);
            }
            standing.domain = domain.clone();
            standing.revision = snapshot.revision;
            standing.generation = runtime.generation.get();
        }
        if standing.client.holds(standing.domain.trust.as_ref(), at) {
            return Review::Done;
        }
        let judged = match &standing.domain.trust {
            Some(trust) => verdicts::judge(trust, &standing.client.chain, runtime.config.status_fetcher.known(), at),
            None => Ok(Rc::new(Client::anonymous())),
        };
        match judged {
            Ok(client) => {
                standing.client = client;
                Review::Done
            }
            Err(pending) => Review::Waits(pending),
        }
    }

    /// Looks at domain and client again, as a request has to before it is let in. `false`: the domain is no more.
    pub(crate) async fn reviewed(&self, runtime: &Runtime) -> bool {
        loop {
            match self.review(runtime) {
                Review::Done => return true,
                Review::Gone => return false,
                Review::Waits(pending) => {
                    let client = pending.settle(runtime).await;
                    // Where the settings have changed meanwhile, it is judged under these.
                    if self.take(runtime, client) {
                        return true;
                    }
                }
            }
        }
    }

    /// Takes a verdict that was waited for, if it is still under what the domain trusts.
    fn take(&self, runtime: &Runtime, client: Rc<Client>) -> bool {
        let mut standing = self.standing.borrow_mut();
        let is_current =
            standing.generation == runtime.generation.get() && client.is_under(standing.domain.trust.as_ref());
        if is_current {
            standing.client = client;
        }
        is_current
    }

    /// Reviews a connection on which no request may come for long, and ends it where its client is trusted no more.
    pub(crate) fn review_in_background(self: &Rc<Self>, runtime: &Rc<Runtime>) {
        if !self.is_to_be_reviewed() || self.waits.get() {
            return;
        }
        match self.review(runtime) {
            Review::Gone => drop(self.close(Close::Gracefully, End::DomainGone)),
            Review::Done => self.end_if_refused(runtime),
            Review::Waits(pending) => {
                self.waits.set(true);
                let (connection, runtime) = (self.clone(), runtime.clone());
                tokio::task::spawn_local(async move {
                    let client = pending.settle(&runtime).await;
                    connection.waits.set(false);
                    if connection.take(&runtime, client) {
                        connection.end_if_refused(&runtime);
                    } else {
                        connection.review_in_background(&runtime);
                    }
                });
            }
        }
    }

    fn end_if_refused(self: &Rc<Self>, runtime: &Rc<Runtime>) {
        if self.is_to_be_reviewed() && self.standing.borrow().client.refusal.is_some() {
            Record::of_connection(runtime, self).refused();
            self.close(Close::Refused, End::NoLongerTrusted);
        }
    }

    /// The last second at which the client is surely what it is now.
    pub(crate) fn holds_until(&self) -> UnixSeconds {
        self.standing.borrow().client.holds_until()
    }

    /// Ends the connection; a weaker reason than the one that is already known changes nothing. Whether it did.
    pub(crate) fn close(&self, close: Close, end: End) -> bool {
        let is_news = self.how_it_closes() < Some(close);
        if is_news {
            self.closing.set(Some((close, end)));
            self.notify.notify_one();
        }
        is_news
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.get().is_some()
    }

    fn how_it_closes(&self) -> Option<Close> {
        self.closing.get().map(|(close, _)| close)
    }

    /// Whether another request may follow an answer. While the gateway stops, too: the answer may not have said that it was the
    /// last, for its head was written before.
    pub(crate) fn may_go_on(&self) -> bool {
        self.how_it_closes() <= Some(Close::Drain)
    }

    /// Whether who its client is makes a difference: it may have some time yet.
    pub(crate) fn is_to_be_reviewed(&self) -> bool {
        self.how_it_closes() < Some(Close::Refused)
    }

    /// Its client has begun to speak HTTP/2, and is to hear that this is the end.
    fn owes_goaway(&self) -> bool {
        self.is_http2 && self.activity.requests() > 0
    }

    /// The client may still be sending something that nobody reads.
    pub(crate) fn linger(&self) {
        self.linger.set(true);
    }

    pub(crate) fn lingers(&self) -> bool {
        self.linger.get()
    }

    /// `Forwarded` of a request for `host`.
    pub(crate) fn forwarded(&self, host: &str) -> HeaderValue {
        let make = || forward::forwarded(self.local.ip(), self.peer.ip(), host);
        if host == self.name { self.forwarded.get_or_init(make).clone() } else { make() }
    }

    /// Waits until it must end for a stronger reason than the one that is known.
    async fn must_close(&self, known: Option<Close>) -> Close {
        loop {
            match self.how_it_closes() {
                Some(close) if Some(close) > known => return close,
                _ => self.notify.notified().await,
            }
        }
    }

    /// What becomes of it, so long after it was told to end, and after it began to shut down.
    fn ending(&self, close: Close, elapsed: Duration, shut_down: Option<Duration>) -> Ending {
        let until = |end: Duration| match end.checked_sub(elapsed) {
            Some(left) if !left.is_zero() => Ending::ShutsDown(left.min(LAST_WORDS)),
            _ => Ending::Now,
        };
        match close {
            Close::Now => Ending::Now,
            Close::Refused | Close::Gracefully if self.activity.is_idle() && !self.owes_goaway() => Ending::Now,
            Close::Refused => until(LAST_OF_REFUSED),
            Close::Drain if self.awaits_request() && elapsed < NEXT_REQUEST => Ending::GoesOn(NEXT_REQUEST - elapsed),
            Close::Drain if self.awaits_request() && !self.is_http2 => Ending::Now,
            _ if self.activity.is_quiet(LAST_WORDS) && shut_down.is_some_and(|since| since >= LAST_WORDS) => {
                Ending::Now
            }
            Close::Gracefully => until(LAST_RESPONSE),
            Close::Drain => Ending::ShutsDown(LAST_WORDS),
        }
    }

    /// Its client has asked for nothing yet, or, in HTTP/1.1, for nothing since its last answer.
    fn awaits_request(&self) -> bool {
        if self.is_http2 { self.activity.requests() == 0 } else { self.activity.is_idle() }
    }
}

impl Standing {
    fn new(runtime: &Runtime, generation: u64, revision: Revision, domain: &Arc<Domain>, client: Rc<Client>) -> Self {
        let counts = runtime.counters.of(&domain.name);
        Self { generation, revision, domain: domain.clone(), counts, client }
    }
}

/// Runs HTTP/2's streams where their connection runs.
#[derive(Clone, Copy)]
pub(crate) struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
