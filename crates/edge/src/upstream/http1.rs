//! One HTTP/1.1 connection to a backend, driven by whoever uses it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, Method, Request, StatusCode, response};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};

use super::error::{BackendError, SendError};
use super::pool::Lease;
use crate::body::RequestBody;
use crate::http1::buffer;
use crate::http1::head::{Framing, HeadError, ResponseHead};
use crate::http1::outgoing::{Outgoing, WriteError, put_header};
use crate::http1::payload::Decoder;
use crate::tls::UpstreamStream;

/// Bytes of a response's head.
const MAX_HEAD: usize = 64 * 1024;
/// Interim responses (100, 103) before the one that counts.
const MAX_INTERIM: usize = 16;

/// A connection on which nothing is under way.
pub(super) struct Http1 {
    stream: UpstreamStream,
    pub(super) address: SocketAddr,
}

/// A backend's payload as it comes, while the rest of the request goes. The connection is given back when both have ended.
pub(crate) struct Http1Body {
    exchange: Option<Exchange>,
    decoder: Decoder,
    keep_alive: bool,
    lease: Option<Lease>,
}

/// A connection that speaks another protocol from now on.
pub(crate) struct Upgraded {
    pub(crate) stream: UpstreamStream,
    /// What has come of it already.
    pub(crate) rest: BytesMut,
}

/// A request on its way, and what has come back.
struct Exchange {
    stream: UpstreamStream,
    address: SocketAddr,
    /// None once it is written, or nobody takes it any more.
    request: Option<Outgoing<RequestBody>>,
    /// It could not be written to its end.
    is_cut: bool,
    incoming: BytesMut,
    searched: usize,
    is_long: bool,
}

impl Http1 {
    pub(super) fn new(stream: UpstreamStream, address: SocketAddr) -> Self {
        Self { stream, address }
    }

    /// Whether the backend has neither closed the connection nor sent what nobody asked for.
    pub(super) fn is_ready(&mut self) -> bool {
        let mut byte = [0];
        let (mut read, mut nobody) = (ReadBuf::new(&mut byte), Context::from_waker(Waker::noop()));
        Pin::new(&mut self.stream).poll_read(&mut nobody, &mut read).is_pending()
    }

    /// Sends a request (origin form, with Host) and waits for the head of the answer.
    pub(super) async fn send(
        self,
        request: Request<RequestBody>,
        lease: Lease,
    ) -> Result<(response::Parts, Http1Body), SendError> {
        let framing = framing(&request);
        let mut head = buffer::take();
        put_head(&mut head, &request, framing);
        let (parts, body) = request.into_parts();
        let request = Some(Outgoing::new(head, body, framing, false));
        let mut exchange = Exchange::new(self, request);
        match exchange.head(&parts.method).await {
            Ok(ResponseHead { parts, framing, keep_alive }) => {
                let decoder = Decoder::new(framing);
                let mut body = Http1Body { exchange: Some(exchange), decoder, keep_alive, lease: Some(lease) };
                // Nobody asks for what is not there.
                if parts.status != StatusCode::SWITCHING_PROTOCOLS {
                    body.settle();
                }
                Ok((parts, body))
            }
            Err(error) => {
                let outgoing = exchange.request.take();
                let was_sent = exchange.is_cut || outgoing.as_ref().is_none_or(Outgoing::has_written);
                let body = match outgoing {
                    Some(outgoing) => Some(outgoing.into_body()),
                    None => Some(RequestBody::empty()).filter(|_| framing == Framing::Length(0)),
                };
                let request = body.filter(RequestBody::is_untouched).map(|body| Request::from_parts(parts, body));
                Err(SendError { error, request, was_sent })
            }
        }
    }
}

impl Exchange {
    fn new(connection: Http1, request: Option<Outgoing<RequestBody>>) -> Self {
        let Http1 { stream, address } = connection;
        Self { stream, address, request, is_cut: false, incoming: BytesMut::new(), searched: 0, is_long: false }
    }

    /// The head of the answer that counts.
    async fn head(&mut self, method: &Method) -> Result<ResponseHead, BackendError> {
        for _ in 0..=MAX_INTERIM {
            let end = poll_fn(|context| self.poll_head(context)).await?;
            let head = ResponseHead::parse(&Bytes::copy_from_slice(&self.incoming[..end]), method);
            let head = head.map_err(BackendError::Head)?;
            self.incoming.advance(end);
            self.searched = 0;
            if !head.parts.status.is_informational() || head.parts.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(head);
            }
        }
        Err(BackendError::Head(HeadError::TooMany))
    }

    /// Where the next head ends, while the request goes out.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<usize, BackendError>> {
        self.poll_request(context)?;
        loop {
            match ResponseHead::end(&self.incoming, self.searched) {
                Some(end) if end <= MAX_HEAD => return Poll::Ready(Ok(end)),
                Some(_) => return Poll::Ready(Err(BackendError::HeadTooLarge)),
                None => {}
            }
            self.searched = self.incoming.len();
            if self.incoming.len() > MAX_HEAD {
                return Poll::Ready(Err(BackendError::HeadTooLarge));
            }
            if ready!(self.poll_fill(context))? == 0 {
                return Poll::Ready(Err(BackendError::Closed));
            }
        }
    }

    /// Writes on. A backend that takes no more may have answered already, so that this is no error.
    fn poll_request(&mut self, context: &mut Context<'_>) -> Result<(), BackendError> {
        let Some(request) = &mut self.request else { return Ok(()) };
        match request.poll(&mut self.stream, context) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.request = None,
            Poll::Ready(Err(WriteError::Gone)) => {
                self.request = None;
                self.is_cut = true;
            }
            Poll::Ready(Err(WriteError::Payload(error))) => return Err(BackendError::Request(Box::new(error))),
        }
        Ok(())
    }

    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let incoming = &mut self.incoming;
        match incoming.capacity() {
            _ if self.is_long && incoming.is_empty() => incoming.reserve(buffer::LARGE),
            0 => *incoming = buffer::take(),
            _ => buffer::make_room(incoming),
        }
        let read = buffer::poll_read(&mut self.stream, incoming, context);
        // What fills its buffer comes in larger pieces from then on.
        self.is_long |= incoming.len() == incoming.capacity();
        read
    }
}

impl Http1Body {
    /// The connection, where it has changed to another protocol.
    pub(crate) fn take_upgraded(&mut self) -> Option<Upgraded> {
        let Exchange { stream, incoming, .. } = self.exchange.take()?;
        Some(Upgraded { stream, rest: incoming })
    }

    /// Gives the connection back, or closes it, where there is nothing more to come.
    fn settle(&mut self) {
        if !self.decoder.is_ended() {
            return;
        }
        let Some(mut exchange) = self.exchange.take() else { return };
        let is_clean = self.keep_alive && !exchange.is_cut && exchange.request.is_none();
        if is_clean && exchange.incoming.is_empty() {
            buffer::give(&mut exchange.incoming);
            if let Some(lease) = self.lease.take() {
                lease.give_back(Http1::new(exchange.stream, exchange.address));
            }
        }
    }
}

impl Body for Http1Body {
    type Data = Bytes;
    type Error = BackendError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BackendError>>> {
        let this = &mut *self;
        let Some(exchange) = &mut this.exchange else { return Poll::Ready(None) };
        if exchange.poll_request(context).is_err() {
            // What the client began it cannot end; the answer goes on.
            exchange.request = None;
            exchange.is_cut = true;
        }
        let frame = loop {
            match this.decoder.next(&mut exchange.incoming) {
                Ok(Poll::Ready(frame)) => break frame,
                Ok(Poll::Pending) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
            if ready!(exchange.poll_fill(context))? == 0 && !this.decoder.close() {
                return Poll::Ready(Some(Err(BackendError::Closed)));
            }
        };
        this.settle();
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }
}

/// How the backend is told where the payload ends.
fn framing(request: &Request<RequestBody>) -> Framing {
    match request.body().size_hint().exact() {
        _ if request.body().is_end_stream() => Framing::Length(0),
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    }
}

fn put_head(out: &mut BytesMut, request: &Request<RequestBody>, framing: Framing) {
    out.put_slice(request.method().as_str().as_bytes());
    out.put_slice(b" ");
    out.extend_from_slice(request.uri().path_and_query().map_or("/", |path| path.as_str()).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let is_framing = |name: &HeaderName| name == CONTENT_LENGTH || name == TRANSFER_ENCODING;
    for (name, value) in request.headers().iter().filter(|(name, _)| !is_framing(name)) {
        put_header(out, name.as_str().as_bytes(), value.as_bytes());
    }
    match framing {
        // GET and the like have no payload unless they say so; others do unless they say so (RFC 9110 section 8.6).
        Framing::Length(0) if !matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH) => {}
        Framing::Length(length) => put_header(out, CONTENT_LENGTH.as_str().as_bytes(), length.to_string().as_bytes()),
        Framing::Chunked | Framing::UntilClose => put_header(out, TRANSFER_ENCODING.as_str().as_bytes(), b"chunked"),
    }
    out.extend_from_slice(b"\r\n");
}
