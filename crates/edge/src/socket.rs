//! A client's connection as HTTP reads and writes it. It outlives HTTP, so that it can be closed with care.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::connection::Connection;
use crate::tls::{Stream, drain};

/// Time for the last bytes to leave.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// The stream, and the connection whose activity it tells.
pub(crate) struct Socket {
    stream: RefCell<Stream>,
    connection: Rc<Connection>,
}

/// Its reading and writing ends.
pub(crate) struct Io(pub(crate) Rc<Socket>);

impl Socket {
    pub(crate) fn new(stream: Stream, connection: Rc<Connection>) -> Self {
        Self { stream: RefCell::new(stream), connection }
    }

    /// Ends TLS and the writing side. Reads on for a while where the client may still be sending what nobody wants: closing
    /// at once would reset the connection, and the client might lose our answer.
    pub(crate) async fn close(self: Rc<Self>) {
        let linger = self.connection.lingers();
        let mut io = Io(self);
        let shut_down = tokio::time::timeout(LAST_BYTES, io.shutdown()).await;
        if linger && matches!(shut_down, Ok(Ok(()))) {
            drain(&mut io).await;
        }
    }

    /// What has come already is the beginning of a request.
    pub(crate) fn head_began(&self) {
        self.connection.activity.head_began();
    }

    /// Resets the connection: no alert, no FIN.
    pub(crate) fn reset(&self) {
        // Fails only on a socket that is closed already.
        let _ = self.stream.borrow().get_ref().0.set_zero_linger();
    }
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.0.connection.activity.read(buf.filled().len() - before);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, buf));
        self.0.connection.activity.wrote(*written.as_ref().unwrap_or(&0));
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.0.stream.borrow_mut()).poll_write_vectored(cx, bufs));
        self.0.connection.activity.wrote(*written.as_ref().unwrap_or(&0));
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}
