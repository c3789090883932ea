//! Backends: over TLS, and such that close connections under our hands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Authority, DOMAIN, Http, REGION, Setup, Tls, World, deployment, mapping, stage};
use bytes::Bytes;
use http::Request;
use model::Change;
use model::resource::{ApiMapping, Deployment, RestApi, RestIntegration, RestMethod, RestResource, Stage};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// Makes `uri` the backend of `/proxy/…`.
async fn send_to(world: &mut World, uri: String, server_name: Option<&str>) {
    let mut changed = deployment(world.backend.address, 5000);
    changed.integrations[0].uri = uri;
    changed.integrations[0].server_name_to_verify = server_name.map(str::to_owned);
    world.commit(&[Change::put(&changed)]).await;
}

/// The same of `ANY /proxy/{p+}` of a REST API in the place of the HTTP API.
async fn send_rest_to(world: &mut World, uri: String) {
    let text = |text: &str| text.to_owned();
    let integration = RestIntegration {
        method: Some(text("ANY")),
        uri: Some(uri),
        timeout_ms: 5_000,
        request_parameters: BTreeMap::from([(text("integration.request.path.p"), text("method.request.path.p"))]),
        ..RestIntegration::default()
    };
    let method = RestMethod {
        request_parameters: BTreeMap::from([(text("method.request.path.p"), true)]),
        integration: Some(integration),
        ..RestMethod::default()
    };
    let resource = RestResource {
        id: text("r1"),
        api_id: text("r1r2r3r4r5"),
        parent_id: None,
        path_part: None,
        path: text("/proxy/{p+}"),
        methods: BTreeMap::from([(text("ANY"), method)]),
    };
    let api = RestApi {
        id: text("r1r2r3r4r5"),
        region: text(REGION),
        name: text("rest"),
        description: None,
        version: None,
        disable_execute_api_endpoint: false,
        root_resource_id: text("root"),
        created: 0,
        binary_media_types: Vec::new(),
        tags: BTreeMap::new(),
    };
    let deployment = Deployment {
        api_id: text("r1r2r3r4r5"),
        routes: Vec::new(),
        integrations: Vec::new(),
        resources: vec![resource],
        ..deployment(world.backend.address, 5_000)
    };
    let stage = Stage { api_id: text("r1r2r3r4r5"), ..stage("prod") };
    let mapping = ApiMapping { api_id: text("r1r2r3r4r5"), ..mapping(DOMAIN, "m1", "", "prod") };
    world.commit(&[Change::put(&api), Change::put(&deployment), Change::put(&stage), Change::put(&mapping)]).await;
}

#[tokio::test]
async fn an_https_backend_must_be_who_it_is_said_to_be() {
    let authority = Authority::new("Backends");
    let identity = authority.server(&["backend.test"]);
    let chain = CertificateDer::pem_slice_iter(identity.chain_pem.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut bytes = [0; 4096];
                while let Ok(1..) = stream.read(&mut bytes).await {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecure").await.unwrap();
                }
            });
        }
    });
    let mut setup = Setup::new();
    setup.config.upstream_cas = vec![authority.pem()];
    let mut world = setup.start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    for (uri, name, status) in [
        (format!("https://127.0.0.1:{port}/{{p}}"), Some("backend.test"), 200),
        (format!("https://127.0.0.1:{port}/{{p}}"), None, 503),
        (format!("https://127.0.0.1:{port}/{{p}}"), Some("other.test"), 503),
        (format!("http://127.0.0.1:{port}/{{p}}"), None, 503),
    ] {
        send_to(&mut world, uri.clone(), name).await;
        for _ in 0..2 {
            let answer = client.get(Http::V1, "/proxy/x").await.unwrap();
            assert_eq!(answer.status, status, "{uri} {name:?}");
        }
    }
    send_to(&mut world, "http://nowhere.invalid/{p}".to_owned(), None).await;
    assert_eq!(client.get(Http::V1, "/proxy/x").await.unwrap().status, 503);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    send_to(&mut world, format!("https://{closed}/{{p}}"), None).await;
    let answer = client.get(Http::V1, "/proxy/x").await.unwrap();
    assert_eq!(answer.body, r#"{"message":"Service Unavailable"}"#, "the client is told nothing of it");
    let log = world.finish().await;
    let told: BTreeSet<&str> = log.stage.iter().map(|line| line["why"].as_str().unwrap()).collect();
    for why in [
        "the certificate of the backend is for another name",
        "the name of the backend cannot be resolved",
        "the backend refused the connection",
    ] {
        assert!(told.contains(why), "{why}: {told:?}");
    }
}

#[tokio::test]
async fn a_connection_that_closes_when_it_is_used_again_costs_no_request() {
    let (address, requests) = closes_each_second_request().await;
    let mut world = Setup::new().start().await;
    send_to(&mut world, format!("http://{address}/{{p}}"), None).await;
    let client = world.client(Some(&world.ca.client("alice")));
    let mut keep = KeepAlive::new(client.connect().await.unwrap());
    for _ in 0..4 {
        assert_eq!(keep.send("GET /proxy/x HTTP/1.1\r\nhost: api.example.com\r\n\r\n").await, "200");
    }
    assert!(requests.load(Ordering::SeqCst) > 4, "some were sent twice");
    // The first of these may find a new connection; the second finds an old one.
    let post = "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 2\r\n\r\nab";
    let mut answers = vec![keep.send(post).await, keep.send(post).await];
    answers.sort();
    assert_eq!(answers, ["200", "503"], "what may have been done is not done again");
}

#[tokio::test]
async fn answers_without_payload_and_of_unknown_length_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).await.unwrap_or(0);
                let answer: &[u8] = match bytes[..count].split(|&b| b == b' ').nth(1) {
                    Some(b"/none") => b"HTTP/1.1 204 No Content\r\n\r\n",
                    Some(b"/head") => b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n",
                    Some(b"/hints") => {
                        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
                    }
                    Some(b"/switch") => {
                        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"
                    }
                    Some(b"/nonsense") => b"SSH-2.0-OpenSSH_9\r\n",
                    _ => b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
                };
                let _ = stream.write_all(answer).await;
            });
        }
    });
    let mut world = Setup::new().start().await;
    send_to(&mut world, format!("http://{address}/{{p}}"), None).await;
    let client = world.client(Some(&world.ca.client("alice")));
    for http in [Http::V1, Http::V2] {
        let client = client.clone().with(Tls::V13, http);
        for (method, path, status, body) in [
            ("GET", "/proxy/none", 204, ""),
            ("HEAD", "/proxy/head", 200, ""),
            ("GET", "/proxy/hints", 200, "ok"),
            ("GET", "/proxy/open", 200, "until the end"),
            ("GET", "/proxy/switch", 503, r#"{"message":"Service Unavailable"}"#),
            ("GET", "/proxy/nonsense", 503, r#"{"message":"Service Unavailable"}"#),
        ] {
            let request = Request::builder().method(method).uri(path);
            let answer = client.send(http, request, Bytes::new()).await.unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (status, body), "{method} {path} {http:?}");
            if method == "HEAD" {
                assert_eq!(answer.header("content-length"), "7");
            }
        }
    }
}

/// What a backend may send in the place of an answer, and what the log says of it.
fn failures() -> Vec<(String, &'static str)> {
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "a".repeat(100_000));
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(30);
    let (closed, no_http) = ("the backend closed the connection", "the backend's answer is no HTTP");
    let cases: [(&str, &str); 10] = [
        ("", closed),
        ("HTTP/1.1 200 OK\r\ncontent-le", closed),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n", closed),
        ("SSH-2.0-OpenSSH_9\r\n\r\n", no_http),
        ("HTTP/1.1 2x0 OK\r\n\r\n", no_http),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", no_http),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", no_http),
        ("HTTP/1.1 200 OK\r\nno header\r\n\r\n", no_http),
        (&long, "the head of the backend's answer is too large"),
        (&interim, no_http),
    ];
    cases.map(|(sent, why)| (sent.to_owned(), why)).into()
}

/// Answers `/N` with the Nth failure.
async fn fails() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).await.unwrap_or(0);
                let path = String::from_utf8_lossy(&bytes[..count]).split(' ').nth(1).unwrap_or("/0").to_owned();
                let _ = stream.write_all(failures()[path[1..].parse::<usize>().unwrap()].0.as_bytes()).await;
            });
        }
    });
    address
}

/// Asks for each failure below `/proxy`, where `status` and `body` are what a client is told of all of them.
async fn all_fail(world: World, status: u16, body: &str) {
    let client = world.client(Some(&world.ca.client("alice")));
    let failures = failures();
    for (number, (sent, _)) in failures.iter().enumerate() {
        let answer = client.get(Http::V1, &format!("/proxy/{number}")).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{sent:?}");
    }
    let log = world.finish().await;
    for line in &log.stage {
        let number = line["path"].as_str().unwrap().rsplit_once('/').unwrap().1;
        let (sent, why) = &failures[number.parse::<usize>().unwrap()];
        assert_eq!(line["why"], *why, "{sent:?}");
        assert_eq!(line["type"], "INTEGRATION_FAILURE");
    }
    assert_eq!(log.stage.len(), failures.len());
}

#[tokio::test]
async fn backends_that_fail_are_told_apart_in_the_log() {
    let address = fails().await;
    let mut world = Setup::new().start().await;
    send_to(&mut world, format!("http://{address}/{{p}}"), None).await;
    all_fail(world, 503, r#"{"message":"Service Unavailable"}"#).await;
}

#[tokio::test]
async fn backends_of_rest_apis_that_fail_are_told_apart_in_the_log() {
    let address = fails().await;
    let mut world = Setup::new().start().await;
    send_rest_to(&mut world, format!("http://{address}/{{p}}")).await;
    all_fail(world, 504, r#"{"message": "Network error communicating with endpoint"}"#).await;
}

/// Serves the first request of each connection and closes at the second, without an answer.
async fn closes_each_second_request() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counter = counter.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                let mut request = Vec::new();
                while !request.ends_with(if request.starts_with(b"POST") {
                    b"\r\n\r\nab"
                } else {
                    b"\r\n\r\n" as &[u8]
                }) {
                    let count = stream.read(&mut bytes).await.unwrap();
                    assert!(count > 0);
                    request.extend_from_slice(&bytes[..count]);
                }
                counter.fetch_add(1, Ordering::SeqCst);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                if let Ok(1..) = stream.read(&mut bytes).await {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    (address, requests)
}

/// Several requests on one connection; answers without payload only.
struct KeepAlive<S>(S);

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin> KeepAlive<S> {
    fn new(stream: S) -> Self {
        Self(stream)
    }

    /// Gives the status.
    async fn send(&mut self, request: &str) -> String {
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let complete = |answer: &[u8]| {
            let text = String::from_utf8_lossy(answer).into_owned();
            text.split_once("\r\n\r\n").is_some_and(|(head, body)| !head.contains("503") || body.ends_with('}'))
        };
        while !complete(&answer) {
            let mut bytes = [0; 1024];
            let count = self.0.read(&mut bytes).await.unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&bytes[..count]);
        }
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().to_owned()
    }
}
