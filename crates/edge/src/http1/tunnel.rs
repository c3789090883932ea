//! An upgraded connection (RFC 9110 section 7.8): bytes both ways, until either side is done.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use super::buffer;

/// One direction.
#[derive(Default)]
struct Way {
    /// What was read and is not written yet.
    buffer: BytesMut,
    bytes: u64,
    needs_flush: bool,
    state: State,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// Nothing more comes; the other side is to be told.
    Ending,
    Ended,
}

/// Carries bytes until both sides have closed, or one has failed. `rest` are those that were read from each already. Calls
/// `sent` with the number of bytes that went to the client.
pub(crate) async fn run(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    backend: &mut (impl AsyncRead + AsyncWrite + Unpin),
    (from_client, from_backend): (BytesMut, BytesMut),
    mut sent: impl FnMut(u64),
) -> io::Result<()> {
    let mut up = Way { buffer: from_client, ..Way::default() };
    let mut down = Way { buffer: from_backend, ..Way::default() };
    poll_fn(|context| {
        let up = up.poll(client, backend, context)?;
        let before = down.bytes;
        let polled = down.poll(backend, client, context)?;
        sent(down.bytes - before);
        // What one side has closed without an answer of the other is over once everything has arrived.
        if up.is_ready() && polled.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}

impl Way {
    fn poll(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.buffer.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(context, &self.buffer))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buffer.advance(written);
                self.bytes += written as u64;
                self.needs_flush = true;
            }
            match self.state {
                State::Open => match self.poll_fill(from, context) {
                    Poll::Ready(read) => {
                        if read? == 0 {
                            self.state = State::Ending;
                        }
                    }
                    Poll::Pending => {
                        if self.needs_flush {
                            ready!(Pin::new(&mut *to).poll_flush(context))?;
                            self.needs_flush = false;
                        }
                        return Poll::Pending;
                    }
                },
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(context))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_fill(&mut self, from: &mut (impl AsyncRead + Unpin), context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() == 0 {
            self.buffer = buffer::take();
        }
        buffer::make_room(&mut self.buffer);
        let read = buffer::poll_read(from, &mut self.buffer, context);
        if self.buffer.is_empty() {
            buffer::give(&mut self.buffer);
        }
        read
    }
}
