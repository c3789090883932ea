//! HTTP/2 frame by frame: what no well-behaved client sends.

use std::io;

use crate::support::{Http, Setup, Tls, client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const END_STREAM_AND_HEADERS: u8 = 0x5;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Headers = 1,
    ResetStream = 3,
    Settings = 4,
    GoAway = 7,
    Continuation = 9,
}

fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind as u8, flags], &stream.to_be_bytes(), payload].concat()
}

/// HPACK, literals only (RFC 7541 section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

fn request<'a>(path: &'a str, others: &[(&'a str, &'a str)]) -> Vec<u8> {
    let mut fields = vec![(":method", "GET"), (":scheme", "https"), (":authority", "api.example.com"), (":path", path)];
    fields.extend_from_slice(others);
    block(&fields)
}

/// Reads to the first frame of this kind, and to the end where there is none. Gives its payload.
async fn until(stream: &mut TlsStream<TcpStream>, kind: Kind) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return Ok(None);
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await?;
        if head[3] == kind as u8 {
            return Ok(Some(payload));
        }
    }
}

#[tokio::test]
async fn rapid_resets_end_the_connection_and_hurt_nobody() {
    let world = Setup::new().start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let mut stream = client.clone().with(Tls::V13, Http::V2).connect().await.unwrap();
    let attack = async {
        stream.write_all(&[PREFACE, &frame(Kind::Settings, 0, 0, &[])].concat()).await?;
        for number in 0..100_000 {
            let id = 2 * number + 1;
            let asked = frame(Kind::Headers, END_STREAM_AND_HEADERS, id, &request("/proxy/hold", &[]));
            stream.write_all(&[asked, frame(Kind::ResetStream, 0, id, &CANCEL)].concat()).await?;
            stream.flush().await?;
        }
        io::Result::Ok(())
    };
    client::within(attack).await.unwrap_err();
    assert_eq!(client.get(Http::V1, "/proxy/x").await.unwrap().status, 200);
    assert!(world.backend.seen().len() < 2000, "{}", world.backend.seen().len());
}

#[tokio::test]
async fn endless_headers_end_the_connection() {
    let world = Setup::new().start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let mut stream = client.clone().with(Tls::V13, Http::V2).connect().await.unwrap();
    let attack = async {
        stream.write_all(&[PREFACE, &frame(Kind::Settings, 0, 0, &[])].concat()).await?;
        stream.write_all(&frame(Kind::Headers, 0x1, 1, &request("/proxy/x", &[]))).await?;
        for _ in 0..100_000 {
            stream.write_all(&frame(Kind::Continuation, 0, 1, &block(&[("x", &"y".repeat(100))]))).await?;
        }
        io::Result::Ok(())
    };
    client::within(attack).await.unwrap_err();
    assert!(world.backend.seen().is_empty());
}

#[tokio::test]
async fn what_would_be_another_request_in_http_1_is_refused() {
    let world = Setup::new().start().await;
    let client = world.client(Some(&world.ca.client("alice"))).with(Tls::V13, Http::V2);
    let plain = |others: &[(&str, &str)]| request("/proxy/x", others);
    for (what, block) in [
        ("transfer-encoding", plain(&[("transfer-encoding", "chunked")])),
        ("connection", plain(&[("connection", "close")])),
        ("upgrade", plain(&[("upgrade", "websocket")])),
        ("an upper-case name", plain(&[("X-A", "1")])),
        ("CR LF in a value", plain(&[("x", "a\r\nhost: b")])),
        ("LF in a value", plain(&[("x", "a\nb")])),
        ("NUL in a value", plain(&[("x", "a\0b")])),
        ("a colon in a name", plain(&[("x: y", "1")])),
        ("a blank in a name", plain(&[("x y", "1")])),
        ("another host", plain(&[("host", "b.example.com")])),
        ("two hosts", plain(&[("host", "api.example.com"), ("host", "api.example.com")])),
        ("a late pseudo-header", plain(&[("x", "1"), (":path", "/proxy/y")])),
        ("two paths", plain(&[(":path", "/proxy/y")])),
        ("a path without slash", request("proxy/x", &[])),
        ("a star", request("*", &[])),
        ("a blank in the path", request("/proxy/x HTTP/1.1", &[])),
        ("CR LF in the path", request("/proxy/x\r\nhost: b", &[])),
        ("an empty path", request("", &[])),
        ("no authority", block(&[(":method", "GET"), (":scheme", "https"), (":path", "/proxy/x")])),
        ("CONNECT", block(&[(":method", "CONNECT"), (":authority", "api.example.com:443")])),
        (
            "a blank in the method",
            block(&[
                (":method", "GET /"),
                (":scheme", "https"),
                (":authority", "api.example.com"),
                (":path", "/proxy/x"),
            ]),
        ),
        (
            "userinfo",
            block(&[
                (":method", "GET"),
                (":scheme", "https"),
                (":authority", "a@api.example.com"),
                (":path", "/proxy/x"),
            ]),
        ),
    ] {
        let mut stream = client.connect().await.unwrap();
        let bytes =
            [PREFACE, &frame(Kind::Settings, 0, 0, &[]), &frame(Kind::Headers, END_STREAM_AND_HEADERS, 1, &block)]
                .concat();
        stream.write_all(&bytes).await.unwrap();
        // Answered, reset, or the whole connection ended.
        stream.write_all(&frame(Kind::GoAway, 0, 0, &[0; 8])).await.unwrap();
        client::within(async { stream.read_to_end(&mut Vec::new()).await.or(Ok(0)) }).await.unwrap();
        assert!(world.backend.seen().is_empty(), "{what}");
    }
    let mut stream = client.connect().await.unwrap();
    let bytes =
        [PREFACE, &frame(Kind::Settings, 0, 0, &[]), &frame(Kind::Headers, END_STREAM_AND_HEADERS, 1, &plain(&[]))];
    stream.write_all(&bytes.concat()).await.unwrap();
    let head = client::within(until(&mut stream, Kind::Headers)).await.unwrap();
    assert_eq!(head.map(|head| head[0]), Some(0x88), "the plain one gets :status 200");
    assert_eq!(world.backend.seen().len(), 1);
}

#[tokio::test]
async fn a_stranger_gets_one_answer_and_a_goaway() {
    let mut world = Setup::new().start().await;
    let client = world.client(None).with(Tls::V13, Http::V2);
    let mut stream = client.connect().await.unwrap();
    let bytes = [
        PREFACE,
        &frame(Kind::Settings, 0, 0, &[]),
        &frame(Kind::Headers, END_STREAM_AND_HEADERS, 1, &request("/proxy/x", &[])),
    ];
    stream.write_all(&bytes.concat()).await.unwrap();
    let said = client::within(until(&mut stream, Kind::GoAway)).await.unwrap();
    assert!(said.is_some(), "it is told that this was the last");
    client::within(async { stream.read_to_end(&mut Vec::new()).await.or(Ok(0)) }).await.unwrap();
    world.refusal().await;
    let log = world.finish().await;
    assert_eq!(log.stage.len(), 1);
}
