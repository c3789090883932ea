//! Payloads in chunks (RFC 9112 section 7.1), read strictly: other readings of a chunk's size have been used to smuggle
//! requests.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use memchr::memchr;

use super::head::{self, Search};

/// Bytes of a chunk's first line.
const MAX_LINE: usize = 256;
/// Digits of a chunk's size.
const MAX_DIGITS: usize = 15;
/// Bytes of all extensions of a payload: nobody needs them, and they cost what they are read for.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// Bytes of all trailers.
const MAX_TRAILERS: usize = 10 * 1024;

/// Reads a payload in chunks, piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    extensions: usize,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
}

/// It is not what its framing says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload's chunks are none")]
pub(crate) struct ChunkError;

#[derive(Debug, Default)]
enum State {
    #[default]
    Size,
    Data(u64),
    /// CRLF behind the data.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
    End,
}

impl Chunked {
    /// The next piece, taken from the beginning of `buffer`; `None`: more has to come.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, ChunkError> {
        loop {
            match self.state {
                State::Size => match self.size(buffer)? {
                    None => return Ok(None),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(_) if buffer.is_empty() => return Ok(None),
                State::Data(left) => {
                    let data = buffer.split_to(usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len())).freeze();
                    let left = left - data.len() as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Some(Piece::Data(data)));
                }
                State::DataEnd => match &buffer[..] {
                    [b'\r', b'\n', ..] => {
                        let _ = buffer.split_to(2);
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(None),
                    _ => return Err(ChunkError),
                },
                State::Trailers => return self.trailers(buffer),
                State::End => return Ok(Some(Piece::End)),
            }
        }
    }

    /// The size of the chunk that begins here.
    fn size(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, ChunkError> {
        let Some(end) = memchr(b'\n', &buffer[..buffer.len().min(MAX_LINE)]) else {
            return if buffer.len() < MAX_LINE { Ok(None) } else { Err(ChunkError) };
        };
        let line = buffer.split_to(end + 1);
        let line = line.strip_suffix(b"\r\n").ok_or(ChunkError)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, extension) = line.split_at(digits);
        if !(1..=MAX_DIGITS).contains(&digits) || !(extension.is_empty() || extension.starts_with(b";")) {
            return Err(ChunkError);
        }
        self.extensions += extension.len();
        if self.extensions > MAX_EXTENSIONS || !extension.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return Err(ChunkError);
        }
        let digit = |byte: &u8| u64::from(char::from(*byte).to_digit(16).unwrap_or_default());
        Ok(Some(size.iter().fold(0, |size, byte| size << 4 | digit(byte))))
    }

    /// What stands behind the last chunk, to its empty line.
    fn trailers(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, ChunkError> {
        match &buffer[..] {
            [b'\r', b'\n', ..] => {
                let _ = buffer.split_to(2);
                self.state = State::End;
                return Ok(Some(Piece::End));
            }
            [] | [b'\r'] => return Ok(None),
            _ => {}
        }
        // Searched anew each time: they are few and short.
        let found = Search::default().find(&buffer[..buffer.len().min(MAX_TRAILERS)]).map_err(|_| ChunkError)?;
        let Some((_, end)) = found else {
            return if buffer.len() < MAX_TRAILERS { Ok(None) } else { Err(ChunkError) };
        };
        let trailers = head::trailers(&buffer.split_to(end).freeze()).map_err(|_| ChunkError)?;
        self.state = State::End;
        Ok(Some(Piece::Trailers(trailers)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Payload, trailers, and what is left behind them.
    type Read = (Vec<u8>, HeaderMap, Vec<u8>);

    /// `None`: it is not complete.
    fn read(parts: &[&[u8]]) -> Result<Option<Read>, ChunkError> {
        let (mut chunked, mut buffer) = (Chunked::default(), BytesMut::new());
        let (mut payload, mut trailers) = (Vec::new(), HeaderMap::new());
        for part in parts {
            buffer.extend_from_slice(part);
            while let Some(piece) = chunked.next(&mut buffer)? {
                match piece {
                    Piece::Data(data) => payload.extend_from_slice(&data),
                    Piece::Trailers(read) => trailers = read,
                    Piece::End => return Ok(Some((payload, trailers, buffer.to_vec()))),
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn reads_what_is_well_formed() {
        for (text, wanted, rest) in [
            ("0\r\n\r\n", "", ""),
            ("3\r\nabc\r\n0\r\n\r\nGET", "abc", "GET"),
            ("3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", ""),
            ("3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\n\r\n", "abc", ""),
        ] {
            let (payload, trailers, left) = read(&[text.as_bytes()]).unwrap().unwrap();
            assert_eq!((payload, left), (wanted.into(), rest.into()), "{text:?}");
            assert!(trailers.is_empty());
        }
        let (_, trailers, left) = read(&[b"0\r\na: b\r\nC: d\r\n\r\nrest"]).unwrap().unwrap();
        assert_eq!(
            (trailers["a"].as_bytes(), trailers["c"].as_bytes(), &left[..]),
            (&b"b"[..], &b"d"[..], &b"rest"[..])
        );
    }

    #[test]
    fn refuses_other_readings() {
        for text in [
            "3\nabc\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabc0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            "+3\r\nabc\r\n0\r\n\r\n",
            "-3\r\nabc\r\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            " 3\r\nabc\r\n0\r\n\r\n",
            "3_0\r\nabc\r\n0\r\n\r\n",
            "\r\nabc\r\n0\r\n\r\n",
            ";x\r\nabc\r\n0\r\n\r\n",
            "3;a\rb\r\nabc\r\n0\r\n\r\n",
            "3;a\0\r\nabc\r\n0\r\n\r\n",
            "10000000000000003\r\nabc\r\n0\r\n\r\n",
            "0\r\na: b\n\r\n",
            "0\r\n: b\r\n\r\n",
            "0\r\na b: c\r\n\r\n",
            "0\r\n a: c\r\n\r\n",
        ] {
            assert_eq!(read(&[text.as_bytes()]), Err(ChunkError), "{text:?}");
        }
        let long = format!("3;{}\r\n", "a".repeat(MAX_LINE));
        assert_eq!(read(&[long.as_bytes()]), Err(ChunkError));
        let many = format!("1;{}\r\na\r\n", "a".repeat(200)).repeat(MAX_EXTENSIONS / 200 + 1);
        assert_eq!(read(&[many.as_bytes()]), Err(ChunkError));
        let trailers = format!("0\r\na: {}\r\n", "a".repeat(MAX_TRAILERS));
        assert_eq!(read(&[trailers.as_bytes()]), Err(ChunkError));
    }

    proptest! {
        #[test]
        fn reads_the_same_however_the_bytes_come(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..5),
            size in 1_usize..9,
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\nt: u\r\n\r\n");
            let parts: Vec<&[u8]> = text.chunks(size).collect();
            let (payload, trailers, left) = read(&parts).unwrap().unwrap();
            prop_assert_eq!(payload, chunks.concat());
            prop_assert_eq!(trailers.len(), 1);
            prop_assert!(left.is_empty());
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&[&bytes]);
        }
    }
}
