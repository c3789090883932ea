//! A message on its way out: its head, and its payload as it comes, in as few writes as can be.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use super::buffer;
use super::head::Framing;

/// Pieces up to this size are copied behind one another.
const COPIED: usize = 4 * 1024;

/// Writes one message.
pub(crate) struct Outgoing<B> {
    /// What goes out first.
    head: BytesMut,
    /// Then this, as it is.
    data: Bytes,
    /// And this.
    tail: &'static [u8],
    body: B,
    framing: Framing,
    /// Whether the other side wants trailers.
    trailers: bool,
    has_ended: bool,
    has_written: bool,
    needs_flush: bool,
}

/// Why a message was not written to its end.
#[derive(Debug)]
pub(crate) enum WriteError<E> {
    /// The other side takes no more.
    Gone,
    /// The payload broke off.
    Payload(E),
}

impl<B: Body<Data = Bytes> + Unpin> Outgoing<B> {
    /// `head` ends with the empty line.
    pub(crate) fn new(head: BytesMut, body: B, framing: Framing, trailers: bool) -> Self {
        // What says that it has nothing may still turn out to be a lie.
        let has_ended = framing == Framing::Length(0) && body.is_end_stream();
        let (data, tail) = (Bytes::new(), &[][..]);
        Self { head, data, tail, body, framing, trailers, has_ended, has_written: false, needs_flush: false }
    }

    /// Whether something has gone out.
    pub(crate) fn has_written(&self) -> bool {
        self.has_written
    }

    pub(crate) fn into_body(mut self) -> B {
        buffer::give(&mut self.head);
        self.body
    }

    /// Writes what there is; ready when it was all.
    pub(crate) fn poll(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        context: &mut Context<'_>,
    ) -> Poll<Result<(), WriteError<B::Error>>> {
        loop {
            let mut waits = false;
            while !self.has_ended && self.has_room() {
                match Pin::new(&mut self.body).poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => self.put(frame),
                    Poll::Ready(None) => self.end(None),
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(WriteError::Payload(error))),
                    Poll::Pending => {
                        waits = true;
                        break;
                    }
                }
            }
            ready!(self.poll_write(io, context)).map_err(|_| WriteError::Gone)?;
            if self.has_ended || waits {
                if self.needs_flush {
                    ready!(Pin::new(&mut *io).poll_flush(context)).map_err(|_| WriteError::Gone)?;
                    self.needs_flush = false;
                }
                buffer::give(&mut self.head);
                return if self.has_ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
        }
    }

    fn has_room(&self) -> bool {
        self.data.is_empty() && self.tail.is_empty() && self.head.len() < buffer::SIZE - COPIED
    }

    fn put(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => self.put_data(data),
            Err(frame) => self.end(frame.into_trailers().ok().filter(|_| self.trailers)),
        }
        if self.framing != Framing::Chunked && self.body.is_end_stream() {
            self.has_ended = true;
        }
    }

    fn put_data(&mut self, data: Bytes) {
        let is_chunked = self.framing == Framing::Chunked;
        if is_chunked {
            // Writing into a buffer that grows does not fail.
            let _ = write!((&mut self.head).writer(), "{:x}\r\n", data.len());
        }
        let tail = if is_chunked { &b"\r\n"[..] } else { &[] };
        if data.len() <= COPIED {
            self.head.put_slice(&data);
            self.head.put_slice(tail);
        } else {
            self.data = data;
            self.tail = tail;
        }
    }

    fn end(&mut self, trailers: Option<HeaderMap>) {
        self.has_ended = true;
        if self.framing == Framing::Chunked {
            self.head.put_slice(b"0\r\n");
            put_headers(&mut self.head, &trailers.unwrap_or_default());
            self.head.put_slice(b"\r\n");
        }
    }

    fn poll_write(&mut self, io: &mut (impl AsyncWrite + Unpin), context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !(self.head.is_empty() && self.data.is_empty() && self.tail.is_empty()) {
            let written = match self.data.is_empty() && self.tail.is_empty() {
                true => ready!(Pin::new(&mut *io).poll_write(context, &self.head))?,
                false => {
                    let pieces = [IoSlice::new(&self.head), IoSlice::new(&self.data), IoSlice::new(self.tail)];
                    ready!(Pin::new(&mut *io).poll_write_vectored(context, &pieces))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.has_written = true;
            self.needs_flush = true;
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize) {
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        let of_data = (written - of_head).min(self.data.len());
        self.data.advance(of_data);
        self.tail = &self.tail[written - of_head - of_data..];
    }
}

/// Writes header lines.
pub(crate) fn put_headers(out: &mut BytesMut, headers: &HeaderMap) {
    for (name, value) in headers {
        put_header(out, name.as_str().as_bytes(), value.as_bytes());
    }
}

/// Writes one header line.
pub(crate) fn put_header(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::future::poll_fn;

    use proptest::prelude::*;

    use super::*;

    struct Pieces(VecDeque<Frame<Bytes>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    /// Takes a few bytes at a time.
    struct Narrow(Vec<u8>, usize);

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn written(pieces: &[Vec<u8>], framing: Framing, trailers: Option<HeaderMap>, width: usize) -> Vec<u8> {
        let frames = pieces.iter().map(|piece| Frame::data(Bytes::copy_from_slice(piece)));
        let frames = frames.chain(trailers.map(Frame::trailers)).collect();
        let mut outgoing = Outgoing::new(BytesMut::from(&b"head\r\n\r\n"[..]), Pieces(frames), framing, true);
        let mut io = Narrow(Vec::new(), width);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(poll_fn(|context| outgoing.poll(&mut io, context))).unwrap();
        io.0
    }

    #[test]
    fn trailers_stand_behind_the_last_chunk() {
        let trailers = HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("x"))]);
        let text = written(&[b"abc".to_vec()], Framing::Chunked, Some(trailers), 5);
        assert_eq!(text, b"head\r\n\r\n3\r\nabc\r\n0\r\netag: x\r\n\r\n");
    }

    proptest! {
        #[test]
        fn everything_arrives_once_and_in_order(sizes in proptest::collection::vec(0_usize..9000, 0..6), width in 1_usize..7000) {
            let pieces: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(at, size)| vec![at as u8; *size]).collect();
            let whole = pieces.concat();
            let plain = written(&pieces, Framing::UntilClose, None, width);
            prop_assert_eq!(&plain[8..], &whole[..]);
            let chunks = written(&pieces, Framing::Chunked, None, width);
            let (mut chunked, mut buffer) = (super::super::chunked::Chunked::default(), BytesMut::from(&chunks[8..]));
            let mut read = Vec::new();
            while let Some(super::super::chunked::Piece::Data(data)) = chunked.next(&mut buffer).unwrap() {
                read.extend_from_slice(&data);
            }
            prop_assert_eq!(read, whole);
            prop_assert!(buffer.is_empty());
        }
    }
}
