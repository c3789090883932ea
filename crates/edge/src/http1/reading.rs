//! Requests read whole, for tests and fuzzing: what a server does piece by piece, without its sockets.

use std::task::Poll;

use bytes::BytesMut;
use http::{HeaderMap, Method, Version, request};

use super::chunked::ChunkError;
use super::head::{HeadError, RequestHead, Search};
use super::payload::Decoder;

/// A request that came whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Vec<u8>,
}

/// Why we read no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The bytes were at their end, in a request or between two.
    End,
    /// The last request ends its connection, or makes another protocol of it.
    Last,
    Head(HeadError),
    Chunks,
}

impl From<HeadError> for Stop {
    fn from(error: HeadError) -> Self {
        Self::Head(error)
    }
}

impl From<ChunkError> for Stop {
    fn from(_: ChunkError) -> Self {
        Self::Chunks
    }
}

/// What is read of bytes that come in these pieces.
pub(crate) fn read(pieces: &[&[u8]]) -> (Vec<Message>, Stop) {
    let mut messages = Vec::new();
    let mut reader = Reader::default();
    for piece in pieces {
        reader.buffer.extend_from_slice(piece);
        loop {
            match reader.next() {
                Ok(Some((message, goes_on))) => {
                    messages.push(message);
                    if !goes_on {
                        return (messages, Stop::Last);
                    }
                }
                Ok(None) => break,
                Err(stop) => return (messages, stop),
            }
        }
    }
    (messages, Stop::End)
}

#[derive(Default)]
struct Reader {
    buffer: BytesMut,
    search: Search,
    under_way: Option<(RequestHead, Decoder, Vec<u8>)>,
}

impl Reader {
    /// The next request, and whether another one may follow; `None`: it has not come whole.
    fn next(&mut self) -> Result<Option<(Message, bool)>, Stop> {
        if self.under_way.is_none() {
            let Some((start, end)) = self.search.find(&self.buffer)? else { return Ok(None) };
            let head = RequestHead::parse(self.buffer.split_to(end).freeze().slice(start..))?;
            self.search = Search::default();
            self.under_way = Some((head, Decoder::Ended, Vec::new()));
            if let Some((head, decoder, _)) = &mut self.under_way {
                *decoder = Decoder::new(head.framing);
            }
        }
        let Some((_, decoder, payload)) = &mut self.under_way else { return Ok(None) };
        loop {
            match decoder.next(&mut self.buffer)? {
                Poll::Pending => return Ok(None),
                Poll::Ready(None) => break,
                Poll::Ready(Some(frame)) => {
                    payload.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
            }
        }
        let Some((head, _, payload)) = self.under_way.take() else { return Ok(None) };
        let goes_on = head.keep_alive && head.parts.method != Method::CONNECT;
        Ok(Some((Message::new(head.parts, payload), goes_on)))
    }
}

impl Message {
    pub(crate) fn new(parts: request::Parts, payload: Vec<u8>) -> Self {
        let target = parts.uri.to_string();
        Self { method: parts.method, target, version: parts.version, headers: parts.headers, payload }
    }
}

/// Panics where bytes have another meaning when they come in two pieces, cut at `cut`.
#[cfg(fuzzing)]
pub fn read_twice(bytes: &[u8], cut: usize) {
    let (first, second) = bytes.split_at(cut.min(bytes.len()));
    assert_eq!(read(&[bytes]), read(&[first, second]));
}
