//! Watches the heads of HTTP/1.1 requests go by and tells those that somebody else could read otherwise than hyper does.
//!
//! hyper forgets a Content-Length beside Transfer-Encoding, joins repeated ones and takes bare line feeds. Each of these
//! has been used to smuggle a request past a gateway, so we refuse them (RFC 9112 sections 2.2, 6.1 and 6.3).

use std::collections::VecDeque;

/// Reads what the client sends, as it comes.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    state: State,
    /// The beginning of the line so far.
    line: Vec<u8>,
    /// There was more of it.
    is_long: bool,
    /// Its last byte.
    last: u8,
    head: Head,
    /// Heads that are complete and were not asked for, oldest first: whether each has one meaning.
    complete: VecDeque<bool>,
}

#[derive(Debug, Default)]
enum State {
    /// In a head.
    #[default]
    Head,
    /// In a payload with so many bytes left.
    Payload(u64),
    /// In a chunked payload, or behind something ambiguous: where it ends is for hyper to know.
    Lost,
}

#[derive(Debug, Default)]
struct Head {
    started: bool,
    content_length: Option<u64>,
    chunked: bool,
    ambiguous: bool,
}

/// Bytes of a line that are looked at.
const LINE: usize = 64;
/// Heads that wait to be asked for: more than fit into what hyper reads ahead.
const WAITING: usize = 2048;

impl Heads {
    /// Bytes came. `between`: no request is under way, so that a head begins here if one has not begun already.
    pub(crate) fn read(&mut self, mut bytes: &[u8], between: bool) {
        if between && matches!(self.state, State::Lost) {
            *self = Self::default();
        }
        while !bytes.is_empty() {
            match &mut self.state {
                State::Lost => return,
                State::Payload(left) => {
                    let skip = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= skip as u64;
                    bytes = &bytes[skip..];
                    if *left == 0 {
                        self.state = State::Head;
                    }
                }
                State::Head => bytes = self.read_line(bytes),
            }
        }
    }

    /// Whether the oldest head that was not asked for yet has one meaning only. A head that was not followed does not: it was
    /// sent behind a payload before that was answered, which hardly a client does, but who has something to hide.
    pub(crate) fn next_is_clear(&mut self) -> bool {
        self.complete.pop_front().unwrap_or(false)
    }

    /// Takes bytes up to the end of the line; gives the rest.
    fn read_line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let (part, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        let room = LINE - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        self.is_long |= part.len() > room;
        self.last = part.last().copied().unwrap_or(self.last);
        if end.is_none() {
            return rest;
        }
        self.end_line();
        &rest[1..]
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.head.ambiguous |= std::mem::take(&mut self.last) != b'\r';
        let is_long = std::mem::take(&mut self.is_long);
        let text = line.trim_ascii_end();
        if is_long || !text.is_empty() {
            self.head.started = true;
            self.head.field(text, is_long);
        } else if self.head.started {
            self.end_head();
        }
        self.line = line;
        self.line.clear();
    }

    fn end_head(&mut self) {
        let head = std::mem::take(&mut self.head);
        let clear = !(head.ambiguous || head.chunked && head.content_length.is_some());
        if self.complete.len() == WAITING {
            self.complete.clear();
            self.state = State::Lost;
            return;
        }
        self.complete.push_back(clear);
        self.state = match head.content_length {
            _ if head.chunked || !clear => State::Lost,
            Some(length @ 1..) => State::Payload(length),
            _ => State::Head,
        };
    }
}

impl Head {
    /// `is_long`: `line` is the beginning only.
    fn field(&mut self, line: &[u8], is_long: bool) {
        if !line.first().is_some_and(|first| matches!(first | 0x20, b'c' | b't')) {
            return;
        }
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            let length = digits.and_then(|digits| digits.parse().ok());
            self.ambiguous |= self.content_length.is_some() || length.is_none() || is_long;
            self.content_length = Some(length.unwrap_or(0));
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.ambiguous |= self.chunked || is_long;
            self.chunked = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_said_does_not_depend_on_the_pieces(
            lines in prop::collection::vec("(GET / HTTP/1.1|content-length: ?[0-9]{0,2}|transfer-encoding:x?|.{0,70})(\r\n|\r\n|\n|\r|)", 0..12),
            piece in 1..40usize,
        ) {
            let text: String = lines.concat();
            prop_assert_eq!(read(&text, text.len()), read(&text, piece));
        }
    }

    /// What is said of the heads in `text`, whatever the pieces are that it comes in.
    fn clear(text: &str) -> Vec<bool> {
        let whole = read(text, text.len());
        for piece in [1, 2, 3, 7] {
            assert_eq!(read(text, piece), whole, "{text:?} in pieces of {piece}");
        }
        whole
    }

    fn read(text: &str, piece: usize) -> Vec<bool> {
        let mut heads = Heads::default();
        for bytes in text.as_bytes().chunks(piece.max(1)) {
            heads.read(bytes, false);
        }
        heads.complete.into()
    }

    #[test]
    fn follows_requests_one_behind_the_other() {
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(200));
        assert_eq!(clear(&long), [true]);
        assert_eq!(clear("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n"), [true, true]);
        assert_eq!(clear("\r\nGET / HTTP/1.1\r\n\r\n"), [true], "an empty line may come first");
        let payload = "POST / HTTP/1.1\r\nContent-Length: 35\r\n\r\ncontent-length: 1\r\ncontent-length:\n";
        assert_eq!(clear(&format!("{payload}POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n")), [true, true]);
        assert!(clear("GET / HTTP/1.1\r\nhost: a\r\n").is_empty());
    }

    #[test]
    fn tells_what_has_two_meanings() {
        for fields in [
            "content-length: 3\r\ntransfer-encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nCONTENT-LENGTH: 3\r\n",
            "content-length: 3\r\ncontent-length: 3\r\n",
            "content-length: 3, 3\r\n",
            "content-length: +3\r\n",
            "content-length:\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
            "x: y\n",
            "x: y\r\n\n",
            "content-length: 000000000000000000000000000000000000000000000000000000003\r\n",
        ] {
            assert_eq!(clear(&format!("POST / HTTP/1.1\r\n{fields}\r\nabc")), [false], "{fields:?}");
        }
        let long = format!("GET / HTTP/1.1\r\nx: {}\n\r\n", "y".repeat(200));
        assert_eq!(clear(&long), [false], "a bare line feed at the end of a long line");
    }

    #[test]
    fn finds_its_way_again_between_requests() {
        let mut heads = Heads::default();
        heads.read(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", true);
        assert!(heads.next_is_clear());
        heads.read(b"3\r\nabc\r\n0\r\n\r\n", false);
        heads.read(b"GET / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", true);
        assert!(!heads.next_is_clear());
        assert!(!heads.next_is_clear(), "nothing is known of what was not seen");
    }
}
