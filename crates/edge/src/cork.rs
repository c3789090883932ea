//! Gathers what HTTP/2 writes. hyper flushes behind every frame of a payload, each in a TLS record and a system call of its own;
//! here it all goes out together when the connection has nothing more to say for now.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http1::buffer;
use crate::socket::{Io, Socket};

/// Bytes that are gathered: a TLS record's.
const MOST: usize = buffer::SIZE;
/// What is as long as this gains nothing by being gathered, and would be copied once more.
const LONG: usize = 4 * 1024;

/// Polls a connection, and sends what it has written after every poll.
pub(crate) struct Uncorked<H> {
    connection: Pin<Box<H>>,
    /// Whether well.
    ended: Option<bool>,
    cork: Cork,
}

/// A connection's bytes. What is written to it goes out when it is [flushed](Self::poll_out), or is too much to be kept.
#[derive(Clone)]
pub(crate) struct Cork(Rc<Corked>);

struct Corked {
    socket: Rc<Socket>,
    /// Without memory while there is nothing.
    out: RefCell<BytesMut>,
}

impl<H: Future> Uncorked<H> {
    pub(crate) fn new(cork: Cork, connection: H) -> Self {
        Self { connection: Box::pin(connection), ended: None, cork }
    }

    pub(crate) fn connection(&mut self) -> Pin<&mut H> {
        self.connection.as_mut()
    }
}

impl<T, E, H: Future<Output = Result<T, E>>> Future for Uncorked<H> {
    /// Whether it has ended well.
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        if self.ended.is_none()
            && let Poll::Ready(ended) = self.connection.as_mut().poll(context)
        {
            self.ended = Some(ended.is_ok());
        }
        match (self.cork.poll_out(context), self.ended) {
            (Poll::Ready(Err(_)), _) => Poll::Ready(false),
            (Poll::Ready(Ok(())), Some(well)) => Poll::Ready(well),
            _ => Poll::Pending,
        }
    }
}

impl Cork {
    pub(crate) fn new(socket: Rc<Socket>) -> Self {
        Self(Rc::new(Corked { socket, out: RefCell::default() }))
    }

    fn io(&self) -> Io {
        Io(self.0.socket.clone())
    }

    /// Sends all that was gathered.
    fn poll_out(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut io = self.io();
        let mut out = self.0.out.borrow_mut();
        while !out.is_empty() {
            match ready!(Pin::new(&mut io).poll_write(context, &out))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => out.advance(written),
            }
        }
        buffer::give(&mut out);
        Pin::new(&mut io).poll_flush(context)
    }
}

impl AsyncRead for Cork {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io()).poll_read(context, buf)
    }
}

impl AsyncWrite for Cork {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.0.out.borrow().len() + length > MOST {
            ready!(self.poll_out(context))?;
        }
        if length >= LONG && self.0.out.borrow().is_empty() {
            return Pin::new(&mut self.io()).poll_write_vectored(context, pieces);
        }
        let mut out = self.0.out.borrow_mut();
        if out.capacity() == 0 {
            *out = buffer::take();
        }
        pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Done when the connection was polled.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(context))?;
        Pin::new(&mut self.io()).poll_shutdown(context)
    }
}
