//! Payloads on their way through: counted, bounded, never buffered.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use model::snapshot::Integration;

use crate::forward;
use crate::grpc::Messages;
use crate::http1::inbound;
use crate::record::Record;
use crate::upstream::{BackendBody, BackendError, Upgraded};

/// A client's payload.
pub(crate) enum Payload {
    Http1(inbound::Payload),
    Http2(Incoming),
    /// All of it: somebody had to see it first.
    Whole(Bytes),
}

/// Why a client's payload ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadError {
    #[error("{0}")]
    Http1(#[from] inbound::PayloadError),
    #[error("{0}")]
    Http2(#[from] hyper::Error),
}

/// A client's payload on its way to the backend. Ends in an error where it is larger than allowed.
pub(crate) struct RequestBody(Option<Upload>);

struct Upload {
    payload: Payload,
    left: u64,
    progress: Rc<Progress>,
    /// None: the backend speaks HTTP/1.1.
    http2: Option<Box<OverHttp2>>,
}

/// What may be in a payload that goes on in HTTP/2.
struct OverHttp2 {
    integration: Arc<Integration>,
    /// Of a gRPC stream each message is bounded, not the stream.
    messages: Option<Messages>,
}

/// How a request's payload is doing; shared with whoever waits for the backend's answer.
pub(crate) struct Progress {
    /// When something of it came last.
    moved: Cell<Instant>,
    bytes: Cell<u64>,
    too_large: Cell<bool>,
    /// It ended early, or its chunks are none.
    broken: Cell<bool>,
    /// The backend would take more, but nothing has come.
    waits: Cell<bool>,
}

/// What a client is sent, and the record that is written when this is gone.
pub(crate) struct ResponseBody {
    content: Content,
    record: Box<Record>,
}

enum Content {
    Fixed(Option<Bytes>),
    Backend(BackendBody),
}

/// Why a payload ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the payload is larger than the gateway takes")]
    TooLarge,
    #[error("the payload ended early: {0}")]
    Broken(#[from] PayloadError),
    #[error("the backend's answer broke off: {0}")]
    Backend(#[from] BackendError),
}

impl From<Incoming> for Payload {
    fn from(incoming: Incoming) -> Self {
        Self::Http2(incoming)
    }
}

impl From<inbound::Payload> for Payload {
    fn from(payload: inbound::Payload) -> Self {
        Self::Http1(payload)
    }
}

impl From<Bytes> for Payload {
    fn from(whole: Bytes) -> Self {
        Self::Whole(whole)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = PayloadError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        match self.get_mut() {
            Self::Http1(payload) => Pin::new(payload).poll_frame(cx).map_err(PayloadError::from),
            Self::Http2(incoming) => Pin::new(incoming).poll_frame(cx).map_err(PayloadError::from),
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(payload) => payload.is_end_stream(),
            Self::Http2(incoming) => incoming.is_end_stream(),
            Self::Whole(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(payload) => payload.size_hint(),
            Self::Http2(incoming) => incoming.size_hint(),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

impl RequestBody {
    pub(crate) fn new(payload: Payload, limit: u64) -> (Self, Rc<Progress>) {
        let progress = Rc::new(Progress {
            moved: Cell::new(Instant::now()),
            bytes: Cell::new(0),
            too_large: Cell::new(false),
            broken: Cell::new(false),
            waits: Cell::new(false),
        });
        (Self(Some(Upload { payload, left: limit, progress: progress.clone(), http2: None })), progress)
    }

    /// The payload goes on in HTTP/2: with its trailers, and, of a gRPC stream, as long as the stream goes on.
    pub(crate) fn over_http2(&mut self, integration: Arc<Integration>, is_grpc: bool) {
        if let Some(upload) = &mut self.0 {
            upload.http2 = Some(Box::new(OverHttp2 { integration, messages: is_grpc.then(Messages::default) }));
        }
    }

    /// Nothing.
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    /// Whether nothing was taken from it.
    pub(crate) fn is_untouched(&self) -> bool {
        self.0.as_ref().is_none_or(|upload| upload.progress.bytes() == 0 && !upload.progress.is_broken())
    }
}

impl Progress {
    /// When something came last.
    pub(crate) fn moved(&self) -> Instant {
        self.moved.get()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    pub(crate) fn is_too_large(&self) -> bool {
        self.too_large.get()
    }

    /// It ended early, or its chunks are none.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// The backend would take more, but nothing has come.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waits.get()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(upload) = &mut self.0 else { return Poll::Ready(None) };
        loop {
            let polled = Pin::new(&mut upload.payload).poll_frame(cx);
            upload.progress.waits.set(polled.is_pending());
            let frame = ready!(polled).transpose().inspect_err(|_| upload.progress.broken.set(true))?;
            let Some(frame) = frame else {
                upload.progress.moved.set(Instant::now());
                return Poll::Ready(None);
            };
            match (frame.into_data(), &upload.http2) {
                (Ok(data), _) => return Poll::Ready(Some(upload.pass(data).map(Frame::data))),
                (Err(frame), Some(http2)) => {
                    let mut trailers = frame.into_trailers().unwrap_or_default();
                    forward::rewrite_trailers(&mut trailers, &http2.integration.request_mapping);
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                // A trailer could carry what a header may not; backends that need them speak HTTP/2.
                (Err(_), None) => {}
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|upload| upload.payload.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |upload| upload.payload.size_hint())
    }
}

impl Upload {
    fn pass(&mut self, data: Bytes) -> Result<Bytes, BodyError> {
        let length = data.len() as u64;
        let progress = &self.progress;
        progress.moved.set(Instant::now());
        progress.bytes.set(progress.bytes.get() + length);
        let left = match self.http2.as_mut().and_then(|http2| http2.messages.as_mut()) {
            Some(messages) => messages.pass(&data, self.left).then_some(self.left),
            None => self.left.checked_sub(length),
        };
        let Some(left) = left else {
            progress.too_large.set(true);
            return Err(BodyError::TooLarge);
        };
        self.left = left;
        Ok(data)
    }
}

impl ResponseBody {
    pub(crate) fn fixed(bytes: Bytes, record: Box<Record>) -> Self {
        Self { content: Content::Fixed(Some(bytes).filter(|bytes| !bytes.is_empty())), record }
    }

    /// All that a function has returned.
    pub(crate) fn whole(bytes: Bytes, mut record: Box<Record>) -> Self {
        if bytes.is_empty() {
            // Nobody asks for what is not there.
            record.complete();
        }
        Self::fixed(bytes, record)
    }

    pub(crate) fn backend(body: BackendBody, mut record: Box<Record>) -> Self {
        if body.is_end_stream() {
            // Nobody asks for what is not there.
            record.complete();
        }
        Self { content: Content::Backend(body), record }
    }

    /// Whether all of it is known: the gateway answers itself, or a function has returned it.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.content, Content::Fixed(_))
    }

    /// Nobody wants it: of an answer to HEAD only the head is sent.
    pub(crate) fn forget(&mut self) {
        self.content = Content::Fixed(None);
    }

    /// The backend's connection, where it has changed to another protocol.
    pub(crate) fn take_upgraded(&mut self) -> Option<Upgraded> {
        match &mut self.content {
            Content::Fixed(_) => None,
            Content::Backend(body) => body.take_upgraded(),
        }
    }

    /// Bytes of another protocol went to the client.
    pub(crate) fn carried(&mut self, bytes: u64) {
        self.record.sent(bytes);
    }

    /// The other protocol has come to its end.
    pub(crate) fn complete(&mut self) {
        self.record.complete();
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = match &mut this.content {
            Content::Fixed(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Content::Backend(body) => ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(BodyError::from)),
        };
        match &frame {
            Some(Ok(frame)) => this.record.sent(frame.data_ref().map_or(0, |data| data.len() as u64)),
            Some(Err(_)) => this.record.cut("the backend's answer broke off"),
            None => {}
        }
        if this.is_end_stream() {
            this.record.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Fixed(bytes) => bytes.is_none(),
            Content::Backend(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Fixed(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Backend(body) => body.size_hint(),
        }
    }
}
