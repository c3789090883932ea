//! Heads of messages: where they end, what they say, and how long the payload is that follows.
//!
//! A request has one meaning or none: lines end in CRLF, there is one length or one `chunked` (RFC 9112 sections 2.2, 6.1 and
//! 6.3). What another server could read otherwise has been used to smuggle requests past gateways, so it is refused.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, request, response};
use httparse::Status;
use memchr::memchr_iter;

/// Header lines of one head.
const MAX_HEADERS: usize = 100;
/// Digits of a length: what fits into 64 bits without a thought.
const MAX_LENGTH_DIGITS: usize = 18;

/// A request's head.
#[derive(Debug)]
pub(crate) struct RequestHead {
    pub(crate) parts: request::Parts,
    pub(crate) framing: Framing,
    /// The client wants to send more requests on its connection.
    pub(crate) keep_alive: bool,
    /// The client waits for a 100 before it sends its payload.
    pub(crate) expects_continue: bool,
}

/// A response's head.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    pub(crate) parts: response::Parts,
    pub(crate) framing: Framing,
    /// The connection may be used again.
    pub(crate) keep_alive: bool,
}

/// How a payload ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    /// With its connection: responses only.
    UntilClose,
}

/// Why a head is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    BareLineFeed,
    Syntax,
    TooMany,
    Framing,
}

impl HeadError {
    /// For the record.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::BareLineFeed => "a line of the head ends in a line feed alone",
            Self::Syntax => "the first line or a header is no HTTP",
            Self::TooMany => "there are too many headers",
            Self::Framing => "the length of the payload has two meanings, or none",
        }
    }
}

/// Looks for the end of a request's head in bytes that come piece by piece, each of which is looked at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search {
    /// Where the head begins: behind empty lines.
    start: usize,
    /// Where the line begins that is not complete yet.
    line: usize,
    searched: usize,
}

impl Search {
    /// Start and end of the head in `bytes`, which begin with those of the last time; `None`: it is not complete.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Result<Option<(usize, usize)>, HeadError> {
        for at in memchr_iter(b'\n', &bytes[self.searched..]) {
            let at = self.searched + at;
            if at == self.line || bytes[at - 1] != b'\r' {
                return Err(HeadError::BareLineFeed);
            }
            let is_empty = at - 1 == self.line;
            let is_first = self.line == self.start;
            self.line = at + 1;
            match (is_empty, is_first) {
                // Empty lines before a request are left out (RFC 9112 section 2.2).
                (true, true) => self.start = at + 1,
                (true, false) => return Ok(Some((self.start, at + 1))),
                (false, _) => {}
            }
        }
        self.searched = bytes.len();
        Ok(None)
    }
}

impl RequestHead {
    /// Of the bytes of a whole head, with the empty line at its end.
    pub(crate) fn parse(head: Bytes) -> Result<Self, HeadError> {
        let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut []);
        let status = parsed.parse_with_uninit_headers(&head, &mut lines)?;
        let (Status::Complete(end), Some(method), Some(target)) = (status, parsed.method, parsed.path) else {
            return Err(HeadError::Syntax);
        };
        if end != head.len() {
            return Err(HeadError::Syntax);
        }
        let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        let mut request = http::Request::new(());
        *request.version_mut() = version;
        *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| HeadError::Syntax)?;
        *request.uri_mut() =
            Uri::from_maybe_shared(head.slice_ref(target.as_bytes())).map_err(|_| HeadError::Syntax)?;
        *request.headers_mut() = headers(&head, parsed.headers)?;
        let parts = request.into_parts().0;
        let framing = match length(&parts.headers, version)? {
            Length::None => Framing::Length(0),
            Length::Known(length) => Framing::Length(length),
            Length::Chunked => Framing::Chunked,
        };
        let keep_alive = keeps_alive(&parts.headers, version);
        let expects_continue = version == Version::HTTP_11
            && parts.headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
        Ok(Self { parts, framing, keep_alive, expects_continue })
    }
}

impl ResponseHead {
    /// Where the head ends that `bytes` begin with; the first `searched` of them have been looked at. Backends may end their lines
    /// in a line feed alone (RFC 9112 section 2.2): nothing of theirs is passed on as it is.
    pub(crate) fn end(bytes: &[u8], searched: usize) -> Option<usize> {
        let from = searched.saturating_sub(2);
        memchr_iter(b'\n', &bytes[from..]).map(|at| from + at + 1).find_map(|next| match &bytes[next..] {
            [b'\n', ..] => Some(next + 1),
            [b'\r', b'\n', ..] => Some(next + 2),
            _ => None,
        })
    }

    /// Of the bytes of a whole head, the answer to a request of `method`.
    pub(crate) fn parse(head: &Bytes, method: &Method) -> Result<Self, HeadError> {
        let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let status = config.parse_response_with_uninit_headers(&mut parsed, head, &mut lines)?;
        let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let (Status::Complete(_), Some(code)) = (status, code) else { return Err(HeadError::Syntax) };
        let version = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        let mut response = http::Response::new(());
        *response.status_mut() = code;
        *response.version_mut() = version;
        *response.headers_mut() = headers(head, parsed.headers)?;
        let parts = response.into_parts().0;
        let length = length(&parts.headers, version)?;
        let framing = match length {
            _ if has_no_payload(code, method) => Framing::Length(0),
            Length::Known(length) => Framing::Length(length),
            Length::Chunked => Framing::Chunked,
            Length::None => Framing::UntilClose,
        };
        let keep_alive = framing != Framing::UntilClose && keeps_alive(&parts.headers, version);
        Ok(Self { parts, framing, keep_alive })
    }
}

/// Whether no payload follows, whatever the headers say (RFC 9112 section 6.3).
pub(crate) fn has_no_payload(status: StatusCode, method: &Method) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Headers of trailers; `bytes` end with the empty line.
pub(crate) fn trailers(bytes: &Bytes) -> Result<HeaderMap, HeadError> {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    match httparse::parse_headers(bytes, &mut lines)? {
        Status::Complete((end, lines)) if end == bytes.len() => headers(bytes, lines),
        _ => Err(HeadError::Syntax),
    }
}

fn headers(head: &Bytes, lines: &[httparse::Header<'_>]) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(lines.len() + EXTRA_HEADERS);
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| HeadError::Syntax)?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(line.value)).map_err(|_| HeadError::Syntax)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Room for those that the gateway adds.
const EXTRA_HEADERS: usize = 4;

enum Length {
    None,
    Known(u64),
    Chunked,
}

/// What the headers say of the payload's length: one thing, or it is an error.
fn length(headers: &HeaderMap, version: Version) -> Result<Length, HeadError> {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (encodings.next(), lengths.next()) {
        (None, None) => Ok(Length::None),
        (None, Some(length)) => {
            let digits = length.as_bytes();
            let is_number = (1..=MAX_LENGTH_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            if !is_number || lengths.next().is_some() {
                return Err(HeadError::Framing);
            }
            let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
            Ok(Length::Known(value))
        }
        (Some(encoding), None) => {
            let is_chunked = encoding.as_bytes().eq_ignore_ascii_case(b"chunked") && encodings.next().is_none();
            if is_chunked && version == Version::HTTP_11 { Ok(Length::Chunked) } else { Err(HeadError::Framing) }
        }
        (Some(_), Some(_)) => Err(HeadError::Framing),
    }
}

/// RFC 9112 section 9.3
fn keeps_alive(headers: &HeaderMap, version: Version) -> bool {
    let says = |token| says(headers, CONNECTION, token);
    !says("close") && (version == Version::HTTP_11 || says("keep-alive"))
}

/// Whether a header that is a list has this (lowercase) token.
pub(crate) fn says(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|&byte| byte == b',')
            .any(|said| said.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::TooMany,
            _ => Self::Syntax,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(head: &str) -> Result<RequestHead, HeadError> {
        RequestHead::parse(Bytes::copy_from_slice(head.as_bytes()))
    }

    #[test]
    fn a_request_has_one_length_or_none() {
        for (fields, wanted) in [
            ("", Ok(Framing::Length(0))),
            ("content-length: 3\r\n", Ok(Framing::Length(3))),
            ("Content-Length:  003 \r\n", Ok(Framing::Length(3))),
            ("transfer-encoding: Chunked\r\n", Ok(Framing::Chunked)),
            ("content-length: 3\r\ncontent-length: 3\r\n", Err(HeadError::Framing)),
            ("content-length: 3, 3\r\n", Err(HeadError::Framing)),
            ("content-length: +3\r\n", Err(HeadError::Framing)),
            ("content-length: 3 3\r\n", Err(HeadError::Framing)),
            ("content-length: 0x3\r\n", Err(HeadError::Framing)),
            ("content-length:\r\n", Err(HeadError::Framing)),
            ("content-length: 9999999999999999999999\r\n", Err(HeadError::Framing)),
            ("content-length: 3\r\ntransfer-encoding: chunked\r\n", Err(HeadError::Framing)),
            ("transfer-encoding: gzip, chunked\r\n", Err(HeadError::Framing)),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Err(HeadError::Framing)),
            ("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", Err(HeadError::Framing)),
            ("transfer-encoding: \x0bchunked\r\n", Err(HeadError::Syntax)),
            ("transfer-encoding : chunked\r\n", Err(HeadError::Syntax)),
            ("x: a\r\n b\r\n", Err(HeadError::Syntax)),
            (" x: a\r\n", Err(HeadError::Syntax)),
            ("x: a\0\r\n", Err(HeadError::Syntax)),
            ("x: a\rb\r\n", Err(HeadError::Syntax)),
            ("x\r\n", Err(HeadError::Syntax)),
        ] {
            let read = parse(&format!("POST / HTTP/1.1\r\n{fields}\r\n")).map(|head| head.framing);
            assert_eq!(read, wanted, "{fields:?}");
        }
        assert_eq!(
            parse("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n").map(|head| head.framing),
            Err(HeadError::Framing)
        );
    }

    #[test]
    fn whether_the_connection_goes_on() {
        for (version, fields, wanted) in [
            (1, "", true),
            (1, "connection: close\r\n", false),
            (1, "connection: x, Close\r\n", false),
            (1, "connection: x\r\nconnection: close\r\n", false),
            (0, "", false),
            (0, "connection: Keep-Alive\r\n", true),
            (0, "connection: keep-alive, close\r\n", false),
        ] {
            let head = parse(&format!("GET / HTTP/1.{version}\r\n{fields}\r\n")).unwrap();
            assert_eq!(head.keep_alive, wanted, "{version} {fields:?}");
        }
    }

    #[test]
    fn finds_the_end_of_a_head_and_no_bare_line_feed() {
        let found = |bytes: &str| Search::default().find(bytes.as_bytes());
        assert_eq!(found("GET / HTTP/1.1\r\na: b\r\n\r\nrest"), Ok(Some((0, 24))));
        assert_eq!(found("\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Ok(Some((4, 22))));
        assert_eq!(found("GET / HTTP/1.1\r\n"), Ok(None));
        for bare in ["\n", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\n\n", "GET / HTTP/1.1\r\na: b\n\r\n", "\r\n\nGET"] {
            assert_eq!(found(bare), Err(HeadError::BareLineFeed), "{bare:?}");
        }
    }

    #[test]
    fn a_response_ends_as_its_request_and_status_say() {
        for (method, text, wanted) in [
            (Method::GET, "200 OK\r\ncontent-length: 3\r\n", Ok(Framing::Length(3))),
            (Method::HEAD, "200 OK\r\ncontent-length: 3\r\n", Ok(Framing::Length(0))),
            (Method::GET, "304 X\r\ncontent-length: 3\r\n", Ok(Framing::Length(0))),
            (Method::GET, "204 \r\n", Ok(Framing::Length(0))),
            (Method::GET, "200\r\ntransfer-encoding: chunked\r\n", Ok(Framing::Chunked)),
            (Method::GET, "200 OK\r\n", Ok(Framing::UntilClose)),
            (Method::GET, "200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n", Err(HeadError::Framing)),
            (Method::GET, "200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n", Err(HeadError::Framing)),
        ] {
            let bytes = Bytes::from(format!("HTTP/1.1 {text}\r\n"));
            let read = ResponseHead::parse(&bytes, &method).map(|head| head.framing);
            assert_eq!(read, wanted, "{method} {text:?}");
        }
        for (text, wanted) in [("a\r\n\r\nb", Some(5)), ("a\n\nb", Some(3)), ("a\n\r\nb", Some(4)), ("a\r\n", None)] {
            assert_eq!(ResponseHead::end(text.as_bytes(), 0), wanted, "{text:?}");
            assert_eq!(ResponseHead::end(text.as_bytes(), text.len().min(3)), wanted, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn the_end_is_found_however_the_bytes_come(text in "(\r\n){0,2}[a-z]{1,5}\r\n([a-z: ]{1,9}\r\n){0,4}\r\n[a-z]{0,9}", cut in 0_usize..40) {
            let bytes = text.as_bytes();
            let whole = Search::default().find(bytes).unwrap();
            let mut search = Search::default();
            let first = search.find(&bytes[..cut.min(bytes.len())]).unwrap();
            prop_assert_eq!(first.or_else(|| search.find(bytes).unwrap()), whole);
        }

        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Search::default().find(&bytes);
            let bytes = Bytes::from(bytes);
            let _ = RequestHead::parse(bytes.clone());
            let _ = ResponseHead::parse(&bytes, &Method::GET);
            let _ = trailers(&bytes);
        }
    }
}
