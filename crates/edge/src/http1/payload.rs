//! Payloads as they come, whatever ends them.

use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};

use super::chunked::{ChunkError, Chunked, Piece};
use super::head::Framing;

/// Takes a payload out of what has come.
#[derive(Debug)]
pub(crate) enum Decoder {
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Ended,
}

impl Decoder {
    pub(crate) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(0) => Self::Ended,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// The next frame, taken from `buffer`; pending: more has to come. A piece is given as it lies there, never copied.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Poll<Option<Frame<Bytes>>>, ChunkError> {
        let frame = match self {
            Self::Ended => None,
            Self::Length(_) | Self::UntilClose if buffer.is_empty() => return Ok(Poll::Pending),
            Self::UntilClose => Some(Frame::data(buffer.split().freeze())),
            Self::Length(left) => {
                let data = buffer.split_to(usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len())).freeze();
                *left -= data.len() as u64;
                if *left == 0 {
                    *self = Self::Ended;
                }
                Some(Frame::data(data))
            }
            Self::Chunked(chunked) => match chunked.next(buffer)? {
                None => return Ok(Poll::Pending),
                Some(Piece::Data(data)) => Some(Frame::data(data)),
                Some(Piece::Trailers(trailers)) => {
                    *self = Self::Ended;
                    Some(Frame::trailers(trailers))
                }
                Some(Piece::End) => {
                    *self = Self::Ended;
                    None
                }
            },
        };
        Ok(Poll::Ready(frame))
    }

    /// The connection has ended. Whether this is the payload's end too.
    pub(crate) fn close(&mut self) -> bool {
        if matches!(self, Self::UntilClose) {
            *self = Self::Ended;
        }
        self.is_ended()
    }

    /// What is still to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length(left) => SizeHint::with_exact(*left),
            Self::Ended => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }
}
