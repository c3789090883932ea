//! One HTTP/2 connection to a backend, shared by many requests.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::{Authority, Scheme};
use http::{Request, Uri, response};
use http_body::{Body, Frame, SizeHint};
use socket2::{SockRef, TcpKeepalive};
use tokio::task::JoinHandle;

use super::error::{BackendError, SendError};
use crate::body::RequestBody;
use crate::tls::UpstreamStream;

/// Requests at a time on one connection, where the backend allows that many.
const STREAMS: usize = 128;
/// Bytes of an answer that a backend may send ahead of its client. All streams together may send as much as each of them may,
/// so that clients that do not read keep nobody else's answers.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of an answer's head, counted as RFC 9113 section 6.5.2 does.
const MAX_HEAD: u32 = 64 * 1024;
/// For how long a backend's system may leave what was sent to it unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// A connection; it ends when nobody holds it any more and the last answer has ended.
pub(super) struct Http2 {
    sender: SendRequest<Bytes>,
    load: Rc<Load>,
    pub(super) address: SocketAddr,
}

/// What goes on on a connection.
#[derive(Default)]
struct Load {
    streams: Cell<usize>,
    idle_since: Cell<Option<Instant>>,
    has_ended: Cell<bool>,
}

/// A request's place among those of its connection.
struct Slot(Rc<Load>);

/// A backend's payload as it comes.
pub(crate) struct Http2Body {
    incoming: RecvStream,
    has_ended: bool,
    /// Bytes that are still to come, where that was said.
    left: Option<u64>,
    /// The rest of the request, which goes while the answer comes. Dropped with it: then the stream is reset.
    _upload: Option<AbortOnDrop>,
    _slot: Slot,
}

/// A request's payload on its way.
struct Upload {
    body: RequestBody,
    stream: SendStream<Bytes>,
    /// All was sent, or nobody takes more.
    is_over: bool,
}

struct AbortOnDrop(JoinHandle<()>);

impl Http2 {
    /// Begins to speak HTTP/2 (RFC 9113 section 3.4).
    pub(super) async fn start(stream: UpstreamStream, address: SocketAddr) -> Result<Rc<Self>, BackendError> {
        notice_death(&stream);
        let (sender, mut connection) = Builder::new()
            .initial_max_send_streams(0)
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * STREAMS as u32)
            .max_header_list_size(MAX_HEAD)
            .max_send_buffer_size(64 * 1024)
            .handshake(stream)
            .await?;
        // The backend says first how many requests it takes at a time; what comes before that it may refuse.
        poll_fn(|context| match Pin::new(&mut connection).poll(context) {
            Poll::Ready(ended) => Poll::Ready(Err(ended.err().map_or(BackendError::Closed, BackendError::from))),
            Poll::Pending if sender.current_max_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        let load = Rc::<Load>::default();
        load.idle_since.set(Some(Instant::now()));
        let of_connection = load.clone();
        tokio::task::spawn_local(async move {
            // Whoever has a request on it hears of the end.
            let _ = connection.await;
            of_connection.has_ended.set(true);
        });
        Ok(Rc::new(Self { sender, load, address }))
    }

    /// Whether requests may still be begun.
    pub(super) fn is_open(&self) -> bool {
        !self.load.has_ended.get() && !matches!(self.sender.clone().poll_ready(&mut no_context()), Poll::Ready(Err(_)))
    }

    /// Requests that are under way.
    pub(super) fn streams(&self) -> usize {
        self.load.streams.get()
    }

    /// Whether the backend takes one more request at once.
    pub(super) fn has_room(&self) -> bool {
        self.streams() < self.sender.current_max_send_streams().min(STREAMS)
    }

    /// For how long nothing has been under way.
    pub(super) fn idle_time(&self) -> Duration {
        self.load.idle_since.get().map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Sends a request (origin form, with Host) and waits for the head of the answer.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        tls: bool,
    ) -> Result<(response::Parts, Http2Body), SendError> {
        let slot = Slot::take(&self.load);
        let mut sender = self.sender.clone();
        if let Poll::Ready(Err(error)) = sender.poll_ready(&mut no_context()) {
            return Err(SendError { error: error.into(), request: Some(request), was_sent: false });
        }
        let (parts, body) = request.into_parts();
        let ends_here = body.is_end_stream();
        // What the backend refuses may be sent once more.
        let kept = parts.clone();
        let head = head(parts, &body, tls).ok_or(BackendError::NoRequest);
        let begun = head.and_then(|head| sender.send_request(head, ends_here).map_err(BackendError::from));
        let (response, stream) = match begun {
            Ok(begun) => begun,
            Err(error) => return Err(SendError { error, request: None, was_sent: false }),
        };
        let mut upload = (!ends_here).then_some(Upload { body, stream, is_over: false });
        match answered(response, &mut upload).await {
            Ok(response) => {
                let (head, incoming) = response.into_parts();
                let upload = upload.filter(|upload| !upload.is_over);
                let upload = upload.map(|upload| AbortOnDrop(tokio::task::spawn_local(upload.run())));
                let left = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
                let has_ended = incoming.is_end_stream();
                Ok((head, Http2Body { incoming, has_ended, left, _upload: upload, _slot: slot }))
            }
            Err(error) => {
                let body = if ends_here { Some(RequestBody::empty()) } else { upload.map(|upload| upload.body) };
                let body = body.filter(RequestBody::is_untouched);
                let request = body.map(|body| Request::from_parts(kept, body));
                Err(SendError { error, request, was_sent: true })
            }
        }
    }
}

/// Waits for the head of the answer, while the payload goes.
async fn answered(
    mut response: ResponseFuture,
    upload: &mut Option<Upload>,
) -> Result<http::Response<RecvStream>, BackendError> {
    poll_fn(|context| {
        if let Some(sending) = upload.as_mut().filter(|sending| !sending.is_over)
            && let Poll::Ready(sent) = sending.poll(context)
        {
            sending.is_over = true;
            // What became of the stream is heard from the answer.
            if let Err(error @ BackendError::Request(_)) = sent {
                return Poll::Ready(Err(error));
            }
        }
        Pin::new(&mut response).poll(context).map_err(BackendError::from)
    })
    .await
}

/// What HTTP/2 has for request line and Host (RFC 9113 section 8.3.1).
fn head(mut parts: http::request::Parts, body: &RequestBody, tls: bool) -> Option<Request<()>> {
    let host = parts.headers.remove(HOST)?;
    let mut uri = parts.uri.into_parts();
    uri.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Some(Authority::try_from(host.as_bytes()).ok()?);
    parts.uri = Uri::from_parts(uri).ok()?;
    parts.headers.remove(CONTENT_LENGTH);
    if let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
    parts.version = http::Version::HTTP_2;
    Some(Request::from_parts(parts, ()))
}

/// A backend that is gone without a word is noticed by the system: requests that wait for it, and idle streams, end.
fn notice_death(stream: &UpstreamStream) {
    let socket = SockRef::from(stream.tcp());
    // Without it connections live for longer; they are no worse.
    let _ = socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let _ = socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)),
    );
}

fn no_context() -> Context<'static> {
    Context::from_waker(std::task::Waker::noop())
}

impl Slot {
    fn take(load: &Rc<Load>) -> Self {
        load.streams.set(load.streams.get() + 1);
        load.idle_since.set(None);
        Self(load.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let left = self.0.streams.get() - 1;
        self.0.streams.set(left);
        if left == 0 {
            self.0.idle_since.set(Some(Instant::now()));
        }
    }
}

impl Upload {
    async fn run(mut self) {
        // Who reads the answer hears of it.
        let _ = poll_fn(|context| self.poll(context)).await;
    }

    /// Sends on; ready when all was sent. Dropped before that, the stream is reset.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BackendError>> {
        loop {
            // h2 takes whatever it is given, so that the next piece is asked for when there is room for its first byte.
            self.stream.reserve_capacity(1);
            while self.stream.capacity() == 0 {
                match ready!(self.stream.poll_capacity(context)) {
                    Some(room) => drop(room?),
                    None => return Poll::Ready(Err(BackendError::Closed)),
                }
            }
            if let Poll::Ready(reason) = self.stream.poll_reset(context)? {
                return Poll::Ready(Err(h2::Error::from(reason).into()));
            }
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(BackendError::Request(Box::new(error))));
                }
                None => {
                    self.stream.send_data(Bytes::new(), true)?;
                    return Poll::Ready(Ok(()));
                }
            };
            match frame.into_data() {
                Ok(data) => {
                    let is_last = self.body.is_end_stream();
                    self.stream.send_data(data, is_last)?;
                    if is_last {
                        return Poll::Ready(Ok(()));
                    }
                }
                Err(frame) => {
                    self.stream.send_trailers(frame.into_trailers().unwrap_or_default())?;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl Body for Http2Body {
    type Data = Bytes;
    type Error = BackendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BackendError>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let frame = match ready!(self.incoming.poll_data(context)) {
            Some(data) => {
                let data = data?;
                // Whoever asks has room for it.
                self.incoming.flow_control().release_capacity(data.len())?;
                self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                Some(Frame::data(data))
            }
            None => ready!(self.incoming.poll_trailers(context))?.map(Frame::trailers),
        };
        self.has_ended = self.incoming.is_end_stream() || !frame.as_ref().is_some_and(Frame::is_data);
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.has_ended => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
