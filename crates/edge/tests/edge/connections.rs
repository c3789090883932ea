//! Of every connection there is one record, whatever it came to; of strangers beyond their share a count.

use std::time::Duration;

use edge::EdgeConfig;
use journal::{ConnectionRecord, End, RefusalsRecord};
use model::Rejection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use trust::Code;

use crate::support::{Authority, Client, DOMAIN, Http, Setup, Tls, World};

/// The records of a world in which this was done.
async fn recorded(
    mut setup: Setup,
    runtimes: usize,
    doing: impl AsyncFnOnce(&mut World),
) -> Vec<ConnectionRecord<'static>> {
    setup.config.runtimes = runtimes;
    let mut world = setup.start().await;
    doing(&mut world).await;
    world.finish().await.connections()
}

/// One request on a connection that is closed when it is answered.
async fn ask(client: &Client, path: &str) {
    let answer =
        client.raw(format!("GET {path} HTTP/1.1\r\nhost: {DOMAIN}\r\nconnection: close\r\n\r\n")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
}

#[tokio::test]
async fn they_say_what_was_agreed_upon_and_what_went_over_them() {
    for (tls, http) in [(Tls::V12, Http::V1), (Tls::V13, Http::V1), (Tls::V13, Http::V2)] {
        let world = Setup::new().start().await;
        let client = world.client(Some(&world.ca.client("alice"))).with(tls, http);
        let answer = client.get(http, "/proxy/x").await.unwrap();
        let log = world.finish().await;
        let [connection] = &log.connections()[..] else { panic!("one") };
        let record = log.record(answer.header("apigw-requestid"));
        assert_eq!((&connection.id, connection.source), (&record.connection, record.source));
        let (protocol, cipher) = match tls {
            Tls::V12 => ("TLSv1.2", "TLS_ECDHE_ECDSA_WITH_"),
            Tls::V13 => ("TLSv1.3", "TLS_AES_"),
        };
        assert_eq!(connection.protocol, protocol);
        assert!(connection.cipher.starts_with(cipher), "{}", connection.cipher);
        assert!(connection.key_exchange.starts_with("X25519"), "{}", connection.key_exchange);
        assert_eq!(connection.alpn, if http == Http::V1 { "http/1.1" } else { "h2" });
        assert_eq!((&*connection.server_name, &*connection.domain, connection.revision), (DOMAIN, DOMAIN, 1));
        assert_eq!((&connection.client, &connection.truststore), (&record.client, &record.truststore));
        assert!(connection.client.is_some() && connection.truststore.is_some() && connection.verdict.is_none());
        assert!(connection.validity.is_some_and(|validity| validity.not_before < validity.not_after));
        assert!(connection.handshake_us.is_some_and(|micros| micros > 0) && !connection.resumed);
        assert_eq!(connection.requests, 1);
        assert!(connection.bytes_in > 20 && connection.bytes_out > record.bytes_out + 20);
        assert!(matches!(connection.end, End::ClientClosed | End::Drained), "{:?}", connection.end);
        assert!(connection.local != connection.source && connection.local.ip() == connection.source.ip());
    }
}

#[tokio::test]
async fn they_say_how_they_ended() {
    let limits = edge::Limits {
        idle_timeout: Duration::from_millis(100),
        handshake_timeout: Duration::from_millis(300),
        header_timeout: Duration::from_millis(100),
        ..edge::Limits::default()
    };
    let config = EdgeConfig { limits, ..EdgeConfig::default() };
    let connections = recorded(Setup { config, ..Setup::new() }, 1, async |world| {
        let client = world.client(Some(&world.ca.client("alice")));
        ask(&client, "/proxy/x").await;
        // Resumed, and closed by the client.
        let mut stream = client.connect().await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        client.end_of_silence().await.unwrap();
        let half = client.raw("GET /proxy/x HT").await.unwrap();
        assert_eq!(half, "");
        client.raw("no HTTP\r\n\r\n").await.unwrap();
        client.connect_to("unknown.test").await.unwrap_err();
        let mut plain = TcpStream::connect(world.edge.local_addr()).await.unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        plain.read_to_end(&mut Vec::new()).await.unwrap();
        drop(plain);
        let mut slow = TcpStream::connect(world.edge.local_addr()).await.unwrap();
        slow.write_all(&[22, 3, 1]).await.unwrap();
        assert_eq!(slow.read(&mut [0]).await.unwrap_or(0), 0);
        let stranger = Client::new(world.edge.local_addr(), &Authority::new("Others"), None);
        stranger.connect().await.unwrap_err();
        let other = Authority::new("Other");
        let mut open = client.connect().await.unwrap();
        open.write_all(format!("GET /proxy/x HTTP/1.1\r\nhost: {DOMAIN}\r\n\r\n").as_bytes()).await.unwrap();
        assert!(open.read(&mut [0; 4096]).await.unwrap() > 0);
        world.trust(&other.pem(), Rejection::Respond).await;
        open.read_to_end(&mut Vec::new()).await.unwrap_or(0);
    })
    .await;
    let ends: Vec<End> = connections.iter().map(|connection| connection.end).collect();
    let wanted = [
        End::Answered,
        End::ClientClosed,
        End::Idle,
        End::Timeout,
        End::Answered,
        End::UnknownName,
        End::HandshakeFailed,
        End::HandshakeTimeout,
        End::HandshakeFailed,
        End::NoLongerTrusted,
    ];
    let mut sorted = (ends.clone(), wanted.to_vec());
    sorted.0.sort_by_key(|end| end.as_str());
    sorted.1.sort_by_key(|end| end.as_str());
    assert_eq!(sorted.0, sorted.1, "{ends:?}");
    let of = |end: End| connections.iter().find(|connection| connection.end == end).unwrap();
    assert!(of(End::ClientClosed).resumed);
    assert_eq!(of(End::UnknownName).server_name, "unknown.test");
    assert!(of(End::HandshakeFailed).reason.len() > 3 && of(End::UnknownName).reason.contains("no domain"));
    let revoked = of(End::NoLongerTrusted);
    assert_eq!((revoked.verdict, revoked.revision), (Some(Code::ClientCertUntrusted), 2));
}

#[tokio::test]
async fn who_is_cut_in_the_middle_is_recorded() {
    let connections = recorded(Setup::new(), 1, async |world| {
        let client = world.client(Some(&world.ca.client("alice")));
        let mut open = client.connect().await.unwrap();
        open.write_all(b"GET /proxy/x HTT").await.unwrap();
        open.flush().await.unwrap();
        // Its handshake is over once this is answered, on the one runtime that there is.
        ask(&client, "/proxy/x").await;
        std::mem::forget(open);
        world.edge.drain(Duration::ZERO);
    })
    .await;
    let mut ends: Vec<End> = connections.iter().map(|connection| connection.end).collect();
    ends.sort_by_key(|end| end.as_str());
    assert_eq!(ends, [End::Answered, End::Cut]);
}

#[tokio::test]
async fn strangers_have_a_share_of_the_records_and_clients_all_of_theirs() {
    const SHARE: u32 = 4;
    const STRANGERS: usize = 12;
    let limits = edge::Limits { refusal_records_per_network: SHARE, ..edge::Limits::default() };
    let mut setup = Setup { config: EdgeConfig { limits, ..EdgeConfig::default() }, ..Setup::new() };
    setup.config.runtimes = 1;
    let mut world = setup.start().await;
    let (client, stranger) = (world.client(Some(&world.ca.client("alice"))), world.client(None));
    for _ in 0..STRANGERS {
        assert_eq!(stranger.get(Http::V1, "/proxy/x").await.unwrap().status, 403);
        assert_eq!(world.refusal().await.code, Code::ClientCertMissing, "the line for the person is not recorded");
        ask(&client, "/proxy/x").await;
    }
    client.connect_to("unknown.test").await.unwrap_err();
    // Says nothing, ever.
    drop(TcpStream::connect(world.edge.local_addr()).await.unwrap());
    let totals = world.edge.counters().totals();
    assert_eq!(totals[DOMAIN].refusals[&Code::ClientCertMissing], STRANGERS as u64, "all are counted");
    let log = world.finish().await;
    let (refused, let_in): (Vec<_>, Vec<_>) = log.connections().into_iter().partition(|c| c.verdict.is_some());
    assert_eq!((refused.len(), let_in.len()), (SHARE as usize, STRANGERS));
    assert_eq!(log.stage.len(), SHARE as usize + STRANGERS);
    let counts: Vec<RefusalsRecord<'_>> = log.all("refusals");
    let of = |reason: &str| counts.iter().find(|count| count.reason == reason).unwrap();
    let missing = of("ClientCertMissing");
    let beyond = (STRANGERS - SHARE as usize) as u64;
    assert_eq!((missing.requests, missing.connections), (beyond, beyond));
    assert_eq!((&*missing.network, &*missing.domain), ("127.0.0.0/24", DOMAIN));
    assert_eq!((of("unknown-name").connections, of("broken").connections), (1, 1));
    assert_eq!(counts.len(), 3, "{counts:?}");
}
