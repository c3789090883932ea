//! gRPC over HTTP/2 (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>): what has to be known of it to carry it through.

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Version};

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Whether a request is a call of gRPC.
pub(crate) fn is_grpc(parts: &Parts) -> bool {
    parts.version == Version::HTTP_2 && parts.headers.get(CONTENT_TYPE).is_some_and(is_grpc_type)
}

/// `application/grpc`, or the same with a format or parameters; not `application/grpc-web`, which is for HTTP/1.1.
fn is_grpc_type(value: &HeaderValue) -> bool {
    let rest = value.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

/// Follows the messages of a stream. A stream may go on for ever; each of its messages is bounded as other payloads are.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    prefix: [u8; PREFIX],
    /// Bytes of the prefix that have come.
    known: usize,
    /// Bytes of the message that are still to come.
    left: usize,
}

impl Messages {
    /// Takes note of a piece of the stream. `false`: a message in it is longer than `limit` bytes.
    pub(crate) fn pass(&mut self, mut data: &[u8], limit: u64) -> bool {
        while !data.is_empty() {
            let of_message = self.left.min(data.len());
            self.left -= of_message;
            data = &data[of_message..];
            let of_prefix = if self.left == 0 { (PREFIX - self.known).min(data.len()) } else { 0 };
            self.prefix[self.known..self.known + of_prefix].copy_from_slice(&data[..of_prefix]);
            self.known += of_prefix;
            data = &data[of_prefix..];
            if self.known == PREFIX {
                let [_, length @ ..] = self.prefix;
                let length = u32::from_be_bytes(length);
                if u64::from(length) > limit {
                    return false;
                }
                (self.known, self.left) = (0, length as usize);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn its_content_types_are_known() {
        for (value, wanted) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc_type(&HeaderValue::from_static(value)), wanted, "{value}");
        }
    }

    fn stream(lengths: &[usize]) -> Vec<u8> {
        let message = |length: &usize| [&[0][..], &(*length as u32).to_be_bytes(), &vec![7; *length]].concat();
        lengths.iter().flat_map(message).collect()
    }

    proptest! {
        #[test]
        fn messages_are_measured_however_they_come(lengths in proptest::collection::vec(0_usize..40, 0..8), size in 1_usize..50) {
            let longest = lengths.iter().copied().max().unwrap_or(0) as u64;
            let bytes = stream(&lengths);
            let passes = |limit| {
                let mut messages = Messages::default();
                bytes.chunks(size).all(|piece| messages.pass(piece, limit))
            };
            prop_assert!(passes(longest));
            prop_assert!(longest == 0 || !passes(longest - 1));
        }
    }
}
