//! The same bytes, read by us and by hyper. We never take what hyper refuses, what both take is the same, and where we refuse what
//! hyper takes, a named rule of RFC 9112 is the reason.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::head::HeadError;
use super::reading::{Message, Stop, read as ours};

/// What hyper reads of them.
fn hypers(pieces: &[&[u8]]) -> Vec<Message> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let messages = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn({
        let messages = messages.clone();
        move |request: Request<Incoming>| {
            let messages = messages.clone();
            async move {
                let (parts, body) = request.into_parts();
                let payload = body.collect().await?.to_bytes().to_vec();
                messages.lock().unwrap().push(Message::new(parts, payload));
                Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
            }
        }
    });
    runtime.block_on(async {
        // Room for all answers: nobody reads them.
        let (mut client, server) = tokio::io::duplex(1024 * 1024);
        let send = async {
            for piece in pieces {
                let _ = client.write_all(piece).await;
                tokio::task::yield_now().await;
            }
            let _ = client.shutdown().await;
        };
        let served = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
        let _ = tokio::join!(send, served);
    });
    Arc::try_unwrap(messages).unwrap().into_inner().unwrap()
}

/// Whether a rule that hyper does not have explains why we stopped.
fn is_explained(stop: Stop, bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let values = |name: &str| -> Vec<String> {
        let lines = text.split('\n').filter_map(|line| line.strip_prefix(name));
        lines.map(|value| value.trim().to_owned()).collect()
    };
    let (lengths, encodings) = (values("content-length:"), values("transfer-encoding:"));
    match stop {
        Stop::Head(HeadError::BareLineFeed) => text.starts_with('\n') || has_bare_line_feed(bytes),
        // RFC 9112 sections 6.1 and 6.3: one length of digits that fit, or one `chunked`.
        Stop::Head(HeadError::Framing) => {
            lengths.len() + encodings.len() > 1
                || lengths.iter().any(|length| length.len() > 18 || !length.bytes().all(|byte| byte.is_ascii_digit()))
                || encodings.iter().any(|encoding| encoding != "chunked")
        }
        // RFC 9112 section 7.1: hyper takes spaces behind a size, bytes of any kind in extensions, and line feeds alone.
        Stop::Chunks => !encodings.is_empty(),
        Stop::Head(_) | Stop::End | Stop::Last => false,
    }
}

fn has_bare_line_feed(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair[0] != b'\r' && pair[1] == b'\n')
}

/// Cut at these places.
fn split<'b>(bytes: &'b [u8], cuts: &[prop::sample::Index]) -> Vec<&'b [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Requests one behind the other, all of them good.
fn good() -> impl Strategy<Value = Vec<u8>> {
    let line = "(GET|POST|PUT|M-SEARCH) /[a-z0-9/.%?=&-]{0,12} HTTP/1\\.1\r\n";
    let field = "[A-Za-z][A-Za-z0-9-]{0,8}x:[ \t]{0,2}[!-~\u{80}-\u{ff}]{0,9}( [a-z]{1,3})?[ \t]?\r\n";
    let payload = prop_oneof![
        Just(b"\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..30).prop_map(|payload| {
            [format!("Content-Length: {}\r\n\r\n", payload.len()).into_bytes(), payload].concat()
        }),
        (prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..4), "(x: y\r\n){0,2}").prop_map(
            |(chunks, trailers)| {
                let mut bytes = b"transfer-encoding: chunked\r\n\r\n".to_vec();
                for chunk in chunks {
                    bytes.extend(format!("{:x};a=b\r\n", chunk.len()).into_bytes());
                    bytes.extend(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(format!("0\r\n{trailers}\r\n").into_bytes());
                bytes
            }
        ),
    ];
    let request = (line, prop::collection::vec(field, 0..4), payload)
        .prop_map(|(line, fields, rest)| [line.into_bytes(), fields.concat().into_bytes(), rest].concat());
    prop::collection::vec(request, 1..4).prop_map(|requests| requests.concat())
}

fn regex(text: &str) -> impl Strategy<Value = String> + use<> {
    prop::string::string_regex(text).unwrap()
}

/// Requests of lines that are good, odd or wrong, with ends that are.
fn odd() -> impl Strategy<Value = Vec<u8>> {
    let end = "(\r\n|\r\n|\r\n|\r\n|\r\n|\r\n|\r\n|\n|\r|)";
    let first = "((POST|GET) /x HTTP/1\\.1\
        |(GET|POST|HEAD|get|CONNECT|)( |  |\t)(/|/x|\\*|http://a/|a:1|/\u{e4}|)( |)HTTP/(1\\.1|1\\.0|2\\.0|1\\.2))";
    let field = "(content-length:[ \t]?([0-9]{0,2}|\\+3|3, 3|0x3|18446744073709551617)\
        |transfer-encoding:[ \t]?(chunked|Chunked|identity|gzip, chunked|chunked, chunked|\u{b}chunked|)\
        |transfer-encoding : chunked| x: folded|connection: (close|keep-alive|x)|host: a|x:[^\n]{0,6}|:)";
    let chunk = "([0-9a-f]{1,2}(;[a-z=\"]{0,4}| |\t|)|3(\r\n|\n)abc|0(\r\n|\n|)(x: y)?)";
    let line = |text: &str| (regex(text), regex(end)).prop_map(|(line, end)| line + &end);
    let head = (line(first), prop::collection::vec(line(field), 0..4));
    let request = (head, regex(end), prop::collection::vec(line(chunk), 0..5))
        .prop_map(|((first, fields), empty, chunks)| first + &fields.concat() + &empty + &chunks.concat());
    prop::collection::vec(request, 1..3).prop_map(|requests| requests.concat().into_bytes())
}

/// Good ones in which a few bytes were changed.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\r\n\t :;,0\0".to_vec())];
    (good(), prop::collection::vec((any::<prop::sample::Index>(), byte, 0..3_u8), 1..4)).prop_map(
        |(mut bytes, changes)| {
            for (at, byte, kind) in changes {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ if bytes.len() > 1 => drop(bytes.remove(at)),
                    _ => {}
                }
            }
            bytes
        },
    )
}

fn compare(bytes: &[u8], cuts: &[prop::sample::Index]) -> Result<(), TestCaseError> {
    let pieces = split(bytes, cuts);
    let (ours, stop) = ours(&pieces);
    let hypers = hypers(&pieces);
    let text = String::from_utf8_lossy(bytes);
    prop_assert!(ours.len() <= hypers.len(), "we take what hyper refuses: {text:?} {ours:#?}");
    prop_assert_eq!(&ours[..], &hypers[..ours.len()], "{:?}", text);
    let is_last = ours.len() == hypers.len() || stop == Stop::Last;
    prop_assert!(is_last || is_explained(stop, bytes), "we refuse what hyper takes: {text:?} {stop:?} {hypers:#?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn good_requests_are_read_alike(bytes in good(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let pieces = split(&bytes, &cuts);
        let (ours, stop) = ours(&pieces);
        prop_assert_eq!(stop, Stop::End, "{:?}", String::from_utf8_lossy(&bytes));
        prop_assert_eq!(ours, hypers(&pieces));
    }

    #[test]
    fn changed_requests_are_read_alike_or_refused(bytes in mutated(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        compare(&bytes, &cuts)?;
    }

    #[test]
    fn odd_requests_are_read_alike_or_refused(bytes in odd(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        compare(&bytes, &cuts)?;
    }
}
