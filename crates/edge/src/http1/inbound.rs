//! What comes from a client: heads one after the other, and the payloads between them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::io::AsyncWrite;

use super::buffer;
use super::chunked::ChunkError;
use super::head::{HeadError, RequestHead, Search};
use super::payload::Decoder;
use crate::socket::{Io, Socket};

/// The reading side of a connection, shared by the one that waits for heads and the payload that stands behind the last.
pub(crate) struct Inbound {
    socket: Rc<Socket>,
    /// What has come and was not read yet; without memory while there is nothing.
    buffer: RefCell<BytesMut>,
    payload: RefCell<Decoder>,
    /// The client waits for a 100.
    expects_continue: Cell<bool>,
    has_ended: Cell<bool>,
}

/// A request's payload as it comes.
pub(crate) struct Payload(Rc<Inbound>);

/// What was found where a head ought to be.
pub(crate) enum Next {
    Head(Box<RequestHead>),
    /// The client has closed, between requests or within a head.
    Closed,
    Unreadable(HeadError),
    TooLarge,
}

/// Why a payload ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Chunks(#[from] ChunkError),
    #[error("the connection ended")]
    Closed,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Inbound {
    pub(crate) fn new(socket: Rc<Socket>) -> Rc<Self> {
        Rc::new(Self {
            socket,
            buffer: RefCell::default(),
            payload: RefCell::new(Decoder::Ended),
            expects_continue: Cell::new(false),
            has_ended: Cell::new(false),
        })
    }

    /// Waits for the next head, of `limit` bytes at most. The payload of the last has been read to its end.
    pub(crate) async fn head(&self, limit: usize) -> Next {
        if !self.buffer.borrow().is_empty() {
            // It has begun with what came behind the last request.
            self.socket.head_began();
        }
        let mut search = Search::default();
        loop {
            let found = search.find(&self.buffer.borrow());
            match found {
                Err(error) => return Next::Unreadable(error),
                Ok(Some((start, end))) if end - start <= limit => return self.take_head(start, end),
                Ok(Some(_)) => return Next::TooLarge,
                Ok(None) if self.buffer.borrow().len() > limit => return Next::TooLarge,
                Ok(None) => {}
            }
            if !matches!(poll_fn(|context| self.poll_fill(context)).await, Ok(1..)) {
                return Next::Closed;
            }
        }
    }

    fn take_head(&self, start: usize, end: usize) -> Next {
        let mut buffer = self.buffer.borrow_mut();
        // Copied, so that who keeps a header of it does not keep the buffer.
        let bytes = Bytes::copy_from_slice(&buffer[start..end]);
        let _ = buffer.split_to(end);
        if buffer.is_empty() {
            buffer::give(&mut buffer);
        }
        match RequestHead::parse(bytes) {
            Ok(head) => {
                self.payload.replace(Decoder::new(head.framing));
                self.expects_continue.set(head.expects_continue);
                Next::Head(Box::new(head))
            }
            Err(error) => Next::Unreadable(error),
        }
    }

    pub(crate) fn socket(&self) -> &Rc<Socket> {
        &self.socket
    }

    /// The payload of the request whose head came last.
    pub(crate) fn payload(self: &Rc<Self>) -> Payload {
        Payload(self.clone())
    }

    /// Whether the payload has been read to its end, so that another head may follow.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.payload.borrow().is_ended()
    }

    /// Ready when the client has gone, as far as that can be told: it may have sent more than is looked at yet.
    pub(crate) fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        while self.is_between_requests() && self.buffer.borrow().len() < buffer::SIZE {
            match ready!(self.poll_fill(context)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// What has come and was not read: the first bytes of another protocol.
    pub(crate) fn take_rest(&self) -> BytesMut {
        self.buffer.take()
    }

    /// Reads what has come; 0: the client has closed its side.
    fn poll_fill(&self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.has_ended.get() {
            return Poll::Ready(Ok(0));
        }
        let mut buffer = self.buffer.borrow_mut();
        if buffer.capacity() == 0 {
            *buffer = buffer::take();
        }
        buffer::make_room(&mut buffer);
        let read = buffer::poll_read(&mut Io(self.socket.clone()), &mut buffer, context);
        if buffer.is_empty() {
            buffer::give(&mut buffer);
        }
        if let Poll::Ready(Ok(0) | Err(_)) = read {
            self.has_ended.set(true);
        }
        read
    }

    /// Tells a client that waits for it to go on. It gets nothing else yet, so that this is never in the way of an answer.
    fn poll_continue(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.expects_continue.take() && self.buffer.borrow().is_empty() {
            // 25 bytes: either they fit into what is free, or somebody does not read and will not get an answer either.
            let mut io = Io(self.socket.clone());
            match Pin::new(&mut io).poll_write(context, CONTINUE) {
                Poll::Ready(Ok(written)) if written == CONTINUE.len() => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                _ => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            }
            let _flushed_with_the_next = Pin::new(&mut io).poll_flush(context)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = PayloadError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        let inbound = &self.0;
        ready!(inbound.poll_continue(context))?;
        loop {
            if let Poll::Ready(frame) = inbound.decode()? {
                return Poll::Ready(frame.map(Ok));
            }
            if ready!(inbound.poll_fill(context))? == 0 {
                return Poll::Ready(Some(Err(PayloadError::Closed)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_between_requests()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.payload.borrow().size_hint()
    }
}

impl Inbound {
    /// The next frame, out of what is there; pending: more has to come.
    fn decode(&self) -> Result<Poll<Option<Frame<Bytes>>>, ChunkError> {
        self.payload.borrow_mut().next(&mut self.buffer.borrow_mut())
    }

    /// Forgets what has come of a payload that nobody wants.
    pub(crate) fn discard(&self) {
        while let Ok(Poll::Ready(Some(_))) = self.decode() {}
    }
}
