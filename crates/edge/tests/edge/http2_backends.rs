//! Backends that are spoken to in HTTP/2.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::{Http, Setup, Tls, World, api, deployment};
use bytes::Bytes;
use h2::{Reason, server};
use http::{HeaderMap, Request, Response};
use model::Change;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

/// Makes an HTTP/2 backend without TLS the one of `/proxy/…`.
async fn send_to(world: &mut World, address: SocketAddr) {
    let mut tagged = api();
    tagged.tags.insert("countersign:upstream-protocol".to_owned(), "h2c".to_owned());
    let mut changed = deployment(address, 5000);
    changed.integrations[0].uri = format!("http://{address}/{{p}}");
    world.commit(&[Change::put(&tagged), Change::put(&changed)]).await;
}

/// What a backend does with a request.
type Answer = fn(&Arc<Backend>, usize, Request<h2::RecvStream>, server::SendResponse<Bytes>);

struct Backend {
    answer: Answer,
    /// How many requests it takes at a time.
    streams: u32,
    /// After how many requests of a connection it goes away.
    goes_away_after: usize,
    requests: AtomicUsize,
    connections: AtomicUsize,
    trailers: Mutex<Option<HeaderMap>>,
    all_there: Barrier,
}

impl Backend {
    fn new(answer: Answer) -> Self {
        Self {
            answer,
            streams: 100,
            goes_away_after: usize::MAX,
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            trailers: Mutex::default(),
            all_there: Barrier::new(10),
        }
    }

    async fn start(self) -> (SocketAddr, Arc<Self>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend = Arc::new(self);
        let shared = backend.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let backend = shared.clone();
                tokio::spawn(async move { backend.serve(stream).await });
            }
        });
        (address, backend)
    }

    async fn serve(self: Arc<Self>, stream: tokio::net::TcpStream) {
        self.connections.fetch_add(1, Ordering::SeqCst);
        let connection = server::Builder::new().max_concurrent_streams(self.streams).handshake(stream).await;
        let Ok(mut connection) = connection else { return };
        let mut served = 0;
        while let Some(Ok((request, respond))) = connection.accept().await {
            let count = self.requests.fetch_add(1, Ordering::SeqCst);
            (self.answer)(&self, count, request, respond);
            served += 1;
            if served == self.goes_away_after {
                connection.graceful_shutdown();
            }
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn ok(mut respond: server::SendResponse<Bytes>) {
    let mut body = respond.send_response(Response::new(()), false).unwrap();
    body.send_data(Bytes::from_static(b"answer"), true).unwrap();
}

#[tokio::test]
async fn trailers_go_both_ways_but_say_nothing_that_headers_may_not() {
    let (address, _) = Backend::new(|_, _, request, mut respond| {
        let head = request.headers().clone();
        assert_eq!(request.uri().authority().unwrap().as_str(), head["x-expected-authority"]);
        assert!(!head.contains_key("host") && !head.contains_key("connection"));
        let mut body = respond.send_response(Response::new(()), false).unwrap();
        body.send_data(head.get("te").map_or(Bytes::new(), |te| Bytes::copy_from_slice(te.as_bytes())), false).unwrap();
        body.send_trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())])).unwrap();
    })
    .start()
    .await;
    let mut world = Setup::new().start().await;
    send_to(&mut world, address).await;
    let client = world.client(Some(&world.ca.client("alice")));
    let raw = format!(
        "GET /proxy/x HTTP/1.1\r\nhost: api.example.com\r\nx-expected-authority: {address}\r\nte: trailers\r\nconnection: close, te\r\n\r\n"
    );
    let answer = client.raw(raw).await.unwrap();
    assert!(answer.ends_with("\r\n\r\n8\r\ntrailers\r\n0\r\nx-sum: 7\r\n\r\n"), "{answer}");

    let (address, backend) = Backend::new(|backend, _, request, respond| {
        let (mut body, backend) = (request.into_body(), backend.clone());
        tokio::spawn(async move {
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
            }
            *backend.trailers.lock().unwrap() = body.trailers().await.unwrap();
            ok(respond);
        });
    })
    .start()
    .await;
    send_to(&mut world, address).await;
    let stream = client.clone().with(Tls::V13, Http::V2).connect().await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("https://api.example.com/proxy/x").body(()).unwrap();
    let (response, mut body) = sender.ready().await.unwrap().send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"payload"), false).unwrap();
    let trailers =
        [("x-sum", "1"), ("client-cert", "forged"), ("x-forwarded-for", "192.0.2.1"), ("content-type", "a/b")];
    let trailers = trailers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    body.send_trailers(HeaderMap::from_iter(trailers)).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    let seen = backend.trailers.lock().unwrap().take().unwrap();
    assert_eq!((seen.len(), seen["x-sum"].to_str().unwrap()), (1, "1"));
}

#[tokio::test]
async fn what_a_backend_refuses_unseen_is_sent_again() {
    // Every second request is refused.
    let (address, backend) = Backend::new(|_, count, _, mut respond| match count % 2 {
        0 => respond.send_reset(Reason::REFUSED_STREAM),
        _ => ok(respond),
    })
    .start()
    .await;
    let mut world = Setup::new().start().await;
    send_to(&mut world, address).await;
    let client = world.client(Some(&world.ca.client("alice")));
    for method in ["GET", "POST", "DELETE"] {
        let request = Request::builder().method(method).uri("/proxy/x");
        let answer = client.send(Http::V1, request, Bytes::new()).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "answer"), "{method}");
    }
    assert_eq!(backend.requests.load(Ordering::SeqCst), 6);
    assert!(backend.connections() <= 2, "one for each core");
}

#[tokio::test]
async fn what_a_backend_has_seen_is_not_sent_again() {
    let (address, backend) =
        Backend::new(|_, _, _, mut respond| respond.send_reset(Reason::INTERNAL_ERROR)).start().await;
    let mut world = Setup::new().start().await;
    send_to(&mut world, address).await;
    let client = world.client(Some(&world.ca.client("alice")));
    assert_eq!(client.get(Http::V1, "/proxy/x").await.unwrap().status, 503);
    assert_eq!(backend.requests.load(Ordering::SeqCst), 1);
    let log = world.finish().await;
    assert_eq!(log.stage[0]["why"], "the backend reset the stream");
}

#[tokio::test]
async fn a_backend_that_goes_away_gets_no_more_requests() {
    let (address, backend) =
        Backend { goes_away_after: 2, ..Backend::new(|_, _, _, respond| ok(respond)) }.start().await;
    let mut world = Setup::new().start().await;
    send_to(&mut world, address).await;
    let client = world.client(Some(&world.ca.client("alice")));
    for _ in 0..10 {
        assert_eq!(client.get(Http::V1, "/proxy/x").await.unwrap().status, 200);
    }
    assert_eq!(backend.requests.load(Ordering::SeqCst), 10);
    assert!(backend.connections() >= 5);
}

#[tokio::test]
async fn requests_beyond_what_a_backend_takes_at_a_time_go_on_other_connections() {
    // None of ten requests is answered before all of them are there.
    let (address, backend) = Backend {
        streams: 2,
        ..Backend::new(|backend, _, _, respond| {
            let backend = backend.clone();
            tokio::spawn(async move {
                backend.all_there.wait().await;
                ok(respond);
            });
        })
    }
    .start()
    .await;
    let mut world = Setup::new().start().await;
    send_to(&mut world, address).await;
    let client = world.client(Some(&world.ca.client("alice")));
    let all = (0..10).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.get(Http::V1, "/proxy/x").await.unwrap().status })
    });
    for answered in all.collect::<Vec<_>>() {
        assert_eq!(answered.await.unwrap(), 200);
    }
    assert_eq!(backend.requests.load(Ordering::SeqCst), 10);
}
