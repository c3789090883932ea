//! Balancers in front of the gateway, and the bounds that close and refuse: whom they name, and that each is counted.

use std::net::SocketAddr;
use std::time::Duration;

use edge::{Bound, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Setup, World};

/// From 192.0.2.77:4660, with a TLV that claims a server name.
const HEADER: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x13\xc0\0\x02\x4d\x0a\0\0\x01\x12\x34\x01\xbb\x02\0\x04evil";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

async fn behind_a_balancer(limits: Limits) -> World {
    let mut setup = Setup::new();
    setup.config.limits = limits;
    setup.config.proxy_protocol_from = vec!["127.0.0.1".parse().unwrap()];
    setup.start().await
}

fn total(world: &World, bound: Bound) -> u64 {
    world.edge.counters().bounds().into_iter().find(|(each, _)| *each == bound).map_or(0, |(_, total)| total)
}

/// Waits until a bound was met `times`: it is counted when the connection is done with.
async fn met(world: &World, bound: Bound, times: u64) {
    let counted = async {
        while total(world, bound) != times {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), counted).await.unwrap_or_else(|_| panic!("{bound:?} not met"));
}

/// What comes back of `bytes` before the end.
async fn sent(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut received = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut received));
    // A reset is an end as well.
    let _ = read.await.expect("an end within 20 s");
    received
}

#[tokio::test]
async fn the_client_that_a_balancer_names_is_the_client() {
    let world = behind_a_balancer(Limits::default()).await;
    let identity = world.ca.client("My Client");
    let client = world.client(Some(&identity));
    for (header, source) in [(HEADER, "192.0.2.77"), (LOCAL, "127.0.0.1")] {
        let mut stream = client.connect_after(header).await.unwrap();
        stream.write_all(b"GET /proxy/x HTTP/1.1\r\nHost: api.example.com\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let forwarded = world.backend.seen().last().unwrap().headers["forwarded"].to_str().unwrap().to_owned();
        assert!(forwarded.contains(&format!("for={source};")), "{forwarded}");
        let id = answer.lines().find_map(|line| line.strip_prefix("apigw-requestid: ")).unwrap().to_owned();
        world.journal.sync().unwrap();
        let record = world.journal.find_request(&id).unwrap().unwrap();
        assert_eq!(record.source.ip().to_string(), source);
    }
}

#[tokio::test]
async fn a_balancer_has_to_say_whose_connection_it_is() {
    let limits = Limits { handshake_timeout: Duration::from_secs(1), ..Limits::default() };
    let world = behind_a_balancer(limits).await;
    let address = world.edge.local_addr();
    let damaged: Vec<u8> = HEADER.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 27 + 2)).collect();
    for bytes in [&b"\x16\x03\x01\0\x05hello"[..], b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n", &damaged, &HEADER[..20]] {
        assert_eq!(sent(address, bytes).await, b"", "not a byte of TLS");
    }
    met(&world, Bound::ProxyProtocol, 4).await;
    assert_eq!(total(&world, Bound::HandshakeFailed), 0);
}

#[tokio::test]
async fn nobody_else_can_name_another() {
    let world = Setup::new().start().await;
    let answer = sent(world.edge.local_addr(), &[HEADER, b"\x16\x03\x01\0\x05hello"].concat()).await;
    assert_eq!(answer.first(), Some(&21), "an alert: it was read as TLS, which it is not");
    met(&world, Bound::HandshakeFailed, 1).await;
    assert_eq!(total(&world, Bound::ProxyProtocol), 0);
}

#[tokio::test]
async fn clients_behind_a_balancer_are_counted_one_by_one() {
    let world = behind_a_balancer(Limits { connections_per_address: 1, ..Limits::default() }).await;
    let identity = world.ca.client("My Client");
    let client = world.client(Some(&identity));
    let other = [&HEADER[..19], b"\x4e", &HEADER[20..]].concat();
    let _first = client.connect_after(HEADER).await.unwrap();
    let _other = client.connect_after(&other).await.unwrap();
    let _balancers_own = (client.connect_after(LOCAL).await.unwrap(), client.connect_after(LOCAL).await.unwrap());
    assert!(client.connect_after(HEADER).await.is_err(), "the second from 192.0.2.77");
    met(&world, Bound::ConnectionsPerAddress, 1).await;
    assert_eq!(world.edge.connections().total(), 4);
}

#[tokio::test]
async fn limits_change_while_it_runs() {
    let world = Setup::new().start().await;
    let identity = world.ca.client("My Client");
    let client = world.client(Some(&identity));
    let _first = client.connect().await.unwrap();
    world.edge.reconfigure(Limits { connections_per_address: 1, ..Limits::default() }, &[], None);
    assert!(client.connect().await.is_err(), "the second from this address");
    world.edge.reconfigure(Limits { idle_timeout: Duration::ZERO, ..Limits::default() }, &[], None);
    let mut idle = client.connect().await.unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(total(&world, Bound::IdleTimeout) > 0);
    world.edge.reconfigure(Limits::default(), &["127.0.0.0/8".parse().unwrap()], None);
    // Runtimes take it one after the other.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while client.connect().await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline);
    }
    client.connect_after(HEADER).await.unwrap();
}

#[tokio::test]
async fn what_a_bound_refuses_is_counted() {
    let mut setup = Setup::new();
    setup.config.limits = Limits {
        handshake_timeout: Duration::from_millis(200),
        header_timeout: Duration::from_millis(200),
        body_bytes: 1000,
        ..Limits::default()
    };
    let world = setup.start().await;
    let identity = world.ca.client("My Client");
    let client = world.client(Some(&identity));
    for (request, bound) in [
        (
            format!("GET /proxy/x HTTP/1.1\r\nHost: api.example.com\r\nx: {}\r\n\r\n", "x".repeat(10_240)),
            Bound::HeaderBytes,
        ),
        ("PUT /proxy/x HTTP/1.1\r\nHost: api.example.com\r\nContent-Length: 1001\r\n\r\n".to_owned(), Bound::BodyBytes),
        ("no HTTP\r\n\r\n".to_owned(), Bound::Malformed),
        ("GET /proxy/x HTT".to_owned(), Bound::HeaderTimeout),
    ] {
        let mut stream = client.connect().await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        // Whether by an answer or without one: it ends.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        met(&world, bound, 1).await;
    }
    assert_eq!(sent(world.edge.local_addr(), b"\x16\x03\x01").await, b"");
    met(&world, Bound::HandshakeTimeout, 1).await;
}
