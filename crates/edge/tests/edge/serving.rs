//! What reaches the backend, what comes back, and what is recorded of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{Authority, Http, Setup, Tls, client, deployment, leaf_params};
use bytes::Bytes;
use edge::{EdgeConfig, Limits};
use http::Request;
use model::{Change, Rejection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trust::Code;

#[tokio::test]
async fn serves_trusted_clients_in_every_protocol() {
    let world = Setup::new().start().await;
    let identity = world.ca.client("alice");
    for (tls, http) in [(Tls::V12, Http::V1), (Tls::V12, Http::V2), (Tls::V13, Http::V1), (Tls::V13, Http::V2)] {
        let client = world.client(Some(&identity)).with(tls, http);
        let request = Request::post("/v1/proxy/a/b%20c?x=1&y").header("user-agent", "test \"agent\"");
        let answer = client.send(http, request, Bytes::from_static(b"hello")).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "hello"), "{tls:?} {http:?}");
        assert_eq!(answer.header("x-backend"), "yes");
        assert_eq!(answer.header("apigw-requestid").len(), 16);
        assert_eq!(answer.header("keep-alive"), "", "it is of the backend's connection");
    }
    let seen = world.backend.seen();
    assert_eq!(seen.len(), 4);
    for request in seen {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/a/b%20c?x=1&y"));
        assert_eq!(request.body, b"hello");
        assert_eq!(request.headers["host"], world.backend.address.to_string());
        assert_eq!(request.headers["via"], "HTTP/1.1 AmazonAPIGateway");
        assert_eq!(request.headers["forwarded"], "by=127.0.0.1;for=127.0.0.1;host=api.example.com;proto=https");
    }
    let log = world.finish().await;
    assert_eq!(log.stage.len(), 4);
    for line in &log.stage {
        for (name, wanted) in [
            ("status", "200"),
            ("length", "5"),
            ("integration", "200"),
            ("method", "POST"),
            ("path", "/v1/proxy/a/b%20c"),
            ("route", "ANY /proxy/{p+}"),
            ("error", "-"),
            ("type", "-"),
            ("dn", "CN=alice"),
            ("agent", "test \"agent\""),
            ("protocol", "HTTP/1.1"),
            ("domain", "api.example.com"),
            ("base", "v1"),
            ("stage", "prod"),
            ("api", "a1b2c3d4e5"),
        ] {
            assert_eq!(line[name], wanted, "{name}");
        }
        let record = log.record(line["id"].as_str().unwrap());
        assert_eq!((record.status, record.refusal), (200, None));
        assert_eq!(record.client.unwrap().subject, "CN=alice");
    }
}

#[tokio::test]
async fn strips_what_a_client_may_not_say() {
    let world = Setup::new().start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let request = "GET /proxy/x HTTP/1.1\r\nHost: api.example.com:8443\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\n\
                   Client-Cert: :AAAA:\r\nX-Forwarded-Client-Cert: Hash=1\r\nX_SSL_Client_DN: CN=root\r\n\
                   X-Amzn-Mtls-Clientcert-Leaf: x\r\nX-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n\
                   TE: trailers\r\nUpgrade: h2c\r\nKeep-Alive: 5\r\nProxy-Authorization: Basic eA==\r\n\
                   Authorization: Bearer x\r\nCookie: a=1\r\n\r\n";
    let answer = client.raw(request).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = world.backend.seen();
    let mut names: Vec<&str> = seen[0].headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["authorization", "cookie", "forwarded", "host", "via"]);
}

#[tokio::test]
async fn answers_what_it_does_not_forward() {
    let mut setup = Setup::new();
    setup.config.limits.body_bytes = 1000;
    let mut world = setup.start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    for (path, status, body) in [
        ("/nothing", 404, r#"{"message":"Not Found"}"#),
        ("/unset", 500, r#"{"message":"Internal Server Error"}"#),
        ("/down", 503, r#"{"message":"Service Unavailable"}"#),
    ] {
        for http in [Http::V1, Http::V2] {
            let answer = client.clone().with(Tls::V13, http).get(http, path).await.unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (status, body), "{path} {http:?}");
        }
    }
    let large = Request::post("/proxy/x");
    let answer = client.send(Http::V1, large, Bytes::from(vec![0; 1001])).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (413, r#"{"message":"Request Entity Too Large"}"#));
    let chunked = "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001));
    let answer = client.raw(format!("{chunked}{chunk}")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let answer =
        client.raw(format!("GET /proxy/x HTTP/1.1\r\nhost: api.example.com\r\nx: {}\r\n\r\n", "x".repeat(10_240)));
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 431"));
    let long = Request::get("/proxy/x").header("x", "x".repeat(10_240));
    let answer = client.clone().with(Tls::V13, Http::V2).send(Http::V2, long, Bytes::new()).await.unwrap();
    assert_eq!(answer.status, 431);
    assert!(world.backend.seen().is_empty());
    let disabled =
        model::resource::Deployment { disable_execute_api_endpoint: true, ..deployment(world.backend.address, 5000) };
    world.commit(&[Change::put(&disabled)]).await;
    let endpoint = "a1b2c3d4e5.execute-api.us-east-1.localhost";
    let mut stream = client.connect_to(endpoint).await.unwrap();
    stream.write_all(format!("GET /prod/proxy/x HTTP/1.0\r\nhost: {endpoint}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(" 403 Forbidden") && answer.ends_with(r#"{"message":"Forbidden"}"#), "{answer}");
}

#[tokio::test]
async fn a_backend_that_does_not_answer_is_a_503() {
    let world = Setup { timeout_ms: 50, ..Setup::new() }.start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let answer = client.get(Http::V1, "/proxy/hold").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"message":"Service Unavailable"}"#));
    let log = world.finish().await;
    assert_eq!(
        (log.stage[0]["type"].as_str(), log.stage[0]["status"].as_str()),
        (Some("INTEGRATION_TIMEOUT"), Some("503"))
    );
}

#[tokio::test]
async fn streams_large_payloads_both_ways() {
    let world = Setup::new().start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let payload = Bytes::from(vec![b'y'; 3 * 1024 * 1024]);
    for http in [Http::V1, Http::V2] {
        let client = client.clone().with(Tls::V13, http);
        let answer = client.send(http, Request::put("/proxy/x"), payload.clone()).await.unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, payload.len()));
        assert_eq!(client.get(http, "/proxy/big").await.unwrap().body.len(), 1024 * 1024);
    }
}

#[tokio::test]
async fn another_host_than_the_handshakes_is_misdirected() {
    let world = Setup::new().start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let ask = async |name: &str, host: &str| {
        let mut stream = client.connect_to(name).await.unwrap();
        let request = format!("GET /proxy/x HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(ask("x.example.com", "x.example.com").await, "200");
    assert_eq!(ask("x.example.com", "Y.example.com:8443").await, "200", "the same wildcard");
    assert_eq!(ask("x.example.com", "api.example.com").await, "421");
    assert_eq!(ask("api.example.com", "x.example.com").await, "421");
    assert_eq!(ask("api.example.com", "stranger.test").await, "421");
    let error = client.connect_to("stranger.test").await.unwrap_err();
    assert!(format!("{error:?}").contains("UnrecognisedName"), "{error:?}");
}

#[tokio::test]
async fn requests_with_two_meanings_are_refused() {
    let world = Setup::new().start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    for request in [
        "GET /proxy/x HTTP/1.1\r\n\r\n",
        "GET /proxy/x HTTP/1.1\r\nhost: api.example.com\r\nhost: api.example.com\r\n\r\n",
        "GET /proxy/x HTTP/1.1\r\nhost: api.example.com, b\r\n\r\n",
        "GET /proxy/x HTTP/1.1\r\nhost: a@api.example.com\r\n\r\n",
        "GET https://b.example.com/proxy/x HTTP/1.1\r\nhost: api.example.com\r\n\r\n",
        "GET * HTTP/1.1\r\nhost: api.example.com\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: api.example.com\r\n\r\n",
        "CONNECT api.example.com:443 HTTP/1.1\r\nhost: api.example.com\r\n\r\n",
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 3, 3\r\n\r\nabc",
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: +3\r\n\r\nabc",
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 3\r\ncontent-length: 3\r\n\r\nabc",
        "GET /proxy/x HTTP/1.1\nhost: api.example.com\n\n",
        "GET /proxy/x HTTP/1.1\r\nhost: api.example.com\r\nx: a\r\n b\r\n\r\n",
        "GET /proxy/x HTTP/1.1\r\nhost: api.example.com\r\nx: a\0b\r\n\r\n",
        "GET /proxy/x\r\n\r\n",
        "G{T /proxy/x HTTP/1.1\r\nhost: api.example.com\r\n\r\n",
        "GET /proxy/../x HTTP/1.1\r\nhost: api.example.com\r\n\r\n",
        "GET /proxy/%2e%2E/x HTTP/1.1\r\nhost: api.example.com\r\n\r\n",
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\n\r\n1;x\ny\r\na\r\n0\r\n\r\n",
    ] {
        let answer = client.raw(request).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{request:?}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "one answer, then the end: {request:?}");
    }
    assert!(world.backend.seen().is_empty());
}

#[tokio::test]
async fn nothing_hides_behind_a_payload() {
    let world = Setup::new().start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let first =
        "POST /proxy/first HTTP/1.1\r\nhost: api.example.com\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
    let hidden = "POST /proxy/hidden HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let answers = client.raw(format!("{first}{hidden}")).await.unwrap();
    assert!(
        answers.starts_with("HTTP/1.1 200 OK\r\n") && answers.contains("HTTP/1.1 400 Bad Request\r\n"),
        "{answers}"
    );
    let many = "GET /proxy/many HTTP/1.1\r\nhost: api.example.com\r\n\r\n".repeat(100);
    let answers = client.raw(format!("{many}{hidden}")).await.unwrap();
    assert_eq!((answers.matches("HTTP/1.1 200").count(), answers.matches("HTTP/1.1 400").count()), (100, 1));
    assert!(world.backend.seen().iter().all(|seen| seen.target != "/hidden"));
}

#[tokio::test]
async fn garbage_ends_and_others_are_served() {
    let limits = Limits { handshake_timeout: Duration::from_millis(300), ..Limits::default() };
    let setup = Setup { config: EdgeConfig { limits, ..EdgeConfig::default() }, ..Setup::new() };
    let world = setup.start().await;
    let mut silent = tokio::net::TcpStream::connect(world.edge.local_addr()).await.unwrap();
    let mut half = tokio::net::TcpStream::connect(world.edge.local_addr()).await.unwrap();
    half.write_all(&[22, 3, 1, 2, 0, 1, 0]).await.unwrap();
    let mut garbage = tokio::net::TcpStream::connect(world.edge.local_addr()).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await.unwrap();
    let client = world.client(Some(&world.ca.client("alice")));
    assert_eq!(client.get(Http::V1, "/proxy/x").await.unwrap().status, 200);
    for stream in [&mut silent, &mut half, &mut garbage] {
        let ended = client::within(async {
            let mut bytes = Vec::new();
            // A reset is an end too.
            let _ = stream.read_to_end(&mut bytes).await;
            assert!(!bytes.starts_with(b"HTTP"));
            Ok(())
        });
        ended.await.unwrap();
    }
}

#[tokio::test]
async fn slow_heads_and_idle_connections_end() {
    let limits = Limits {
        header_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(600),
        ..Limits::default()
    };
    let setup = Setup { config: EdgeConfig { limits, ..EdgeConfig::default() }, ..Setup::new() };
    let world = setup.start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    assert_eq!(client.raw("GET /proxy/x HTTP/1.1\r\nhost: api.exa").await.unwrap(), "");
    assert_eq!(client.end_of_silence().await.unwrap(), "");
    let kept = client.raw("GET /proxy/x HTTP/1.1\r\nhost: api.example.com\r\n\r\n").await.unwrap();
    assert!(kept.starts_with("HTTP/1.1 200"), "{kept}");
    assert_eq!(client.with(Tls::V13, Http::V2).end_of_silence().await.map(|_| ()).unwrap(), ());
}

#[tokio::test]
async fn each_address_has_so_many_connections() {
    let limits = Limits { connections_per_address: 2, ..Limits::default() };
    let setup = Setup { config: EdgeConfig { limits, ..EdgeConfig::default() }, ..Setup::new() };
    let world = setup.start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let first = client.connect().await.unwrap();
    let _second = client.connect().await.unwrap();
    client.connect().await.unwrap_err();
    drop(first);
    client::within(async {
        // The gateway learns of the end in its own time.
        while client.connect().await.is_err() {
            tokio::task::yield_now().await;
        }
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_client_that_leaves_is_recorded() {
    let mut world = Setup::new().start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let mut stream = client.connect().await.unwrap();
    stream.write_all(b"GET /proxy/hold HTTP/1.1\r\nhost: api.example.com\r\n\r\n").await.unwrap();
    world.backend.arrival().await;
    drop(stream);
    let log = world.finish().await;
    assert_eq!(log.stage.len(), 1);
    assert_eq!((log.stage[0]["status"].as_str(), log.stage[0]["path"].as_str()), (Some("-"), Some("/proxy/hold")));
    assert_eq!(log.stage[0]["error"], "the client closed the connection");
}

#[tokio::test]
async fn draining_ends_what_was_begun() {
    let mut world = Setup::new().start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let idle = client.connect().await.unwrap();
    let request = tokio::spawn({
        let client = client.clone();
        async move { client.get(Http::V1, "/proxy/hold").await }
    });
    world.backend.arrival().await;
    let (release, address) = (world.backend.release.clone(), world.edge.local_addr());
    let finish = tokio::spawn(world.finish());
    client::within(async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        Ok(())
    })
    .await
    .unwrap();
    release.notify_one();
    assert_eq!(request.await.unwrap().unwrap().status, 200);
    let log = finish.await.unwrap();
    assert_eq!(log.stage.len(), 1);
    drop(idle);
}

#[tokio::test]
async fn expiry_ends_connections_that_are_open() {
    let mut world = Setup::new().start().await;
    let mut params = leaf_params("short");
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let client = world.client(Some(&world.ca.issue(params)));
    let mut stream = client.connect().await.unwrap();
    stream.write_all(b"GET /proxy/x HTTP/1.1\r\nhost: api.example.com\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 200");
    world.now.store(1_800_000_000_000, Ordering::SeqCst);
    client::within(async { stream.read_to_end(&mut answer).await }).await.unwrap();
    assert_eq!(world.refusal().await.code, Code::ClientCertExpired);
    assert_eq!(client.get(Http::V1, "/proxy/x").await.unwrap().status, 403, "and a new one is refused");
}

#[tokio::test]
async fn a_new_truststore_bites_on_resumed_sessions_and_open_connections() {
    for (tls, http) in [(Tls::V12, Http::V1), (Tls::V13, Http::V1), (Tls::V12, Http::V2), (Tls::V13, Http::V2)] {
        let mut world = Setup::new().start().await;
        let client = world.client(Some(&world.ca.client("alice"))).with(tls, http);
        assert_eq!(client.get(http, "/proxy/x").await.unwrap().status, 200);
        let mut open = client.connect().await.unwrap();
        assert_eq!(open.get_ref().1.handshake_kind(), Some(tokio_rustls::rustls::HandshakeKind::Resumed), "{tls:?}");
        let other = Authority::new("Others");
        world.trust(&other.pem(), Rejection::Respond).await;
        client::within(async { open.read_to_end(&mut Vec::new()).await }).await.unwrap();
        assert_eq!(world.refusal().await.code, Code::ClientCertUntrusted);

        let resumed = client.connect().await.unwrap();
        assert_eq!(resumed.get_ref().1.handshake_kind(), Some(tokio_rustls::rustls::HandshakeKind::Resumed), "{tls:?}");
        let answer = client::exchange(http, resumed, Request::get("/proxy/x"), Bytes::new()).await.unwrap();
        assert_eq!(answer.status, 403, "{tls:?} {http:?}");
        assert_eq!(world.backend.seen().len(), 1);
        let trusted = world.client(Some(&other.client("bob"))).with(tls, http);
        assert_eq!(trusted.get(http, "/proxy/x").await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn with_alert_a_resumed_session_ends_before_http() {
    let mut world = Setup::rejecting(Rejection::Alert).start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    assert_eq!(client.get(Http::V1, "/proxy/x").await.unwrap().status, 200);
    world.trust(&Authority::new("Others").pem(), Rejection::Alert).await;
    let answer = client.raw("GET /proxy/x HTTP/1.1\r\nhost: api.example.com\r\n\r\n").await;
    assert_eq!(answer.unwrap_or_default(), "", "no byte of HTTP");
    assert_eq!(world.refusal().await.code, Code::ClientCertUntrusted);
    assert_eq!(world.backend.seen().len(), 1);
}

#[tokio::test]
async fn a_domain_that_starts_to_ask_does_so_on_open_connections_too() {
    let mut world = Setup { truststore: None, ..Setup::new() }.start().await;
    let client = world.client(None);
    assert_eq!(client.get(Http::V1, "/proxy/x").await.unwrap().status, 200);
    let mut open = client.connect().await.unwrap();
    let pem = world.ca.pem();
    world.trust(&pem, Rejection::Respond).await;
    client::within(async { open.read_to_end(&mut Vec::new()).await }).await.unwrap();
    assert_eq!(world.refusal().await.code, Code::ClientCertMissing);
    assert_eq!(client.get(Http::V1, "/proxy/x").await.unwrap().status, 403);
}

#[tokio::test]
async fn parameters_are_mapped_both_ways() {
    let mut world = Setup::new().start().await;
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let mut mapped = deployment(world.backend.address, 5000);
    mapped.integrations[0].request_parameters = map(&[
        ("append:header.x-client-dn", "$context.identity.clientCert.subjectDN"),
        ("append:header.x-both", "${request.querystring.q}-${context.stage}"),
        ("append:header.x-none", "$request.header.nothing"),
        ("overwrite:header.x-pem", "$context.identity.clientCert.clientCertPem"),
        ("overwrite:path", "/status/201"),
        ("overwrite:querystring.v", "$request.path.p"),
        ("remove:header.user-agent", ""),
        ("remove:querystring.secret", ""),
    ]);
    mapped.integrations[0].response_parameters = [(
        "201".to_owned(),
        map(&[
            ("overwrite:statuscode", "202"),
            ("append:header.x-said", "$response.header.x-backend"),
            ("remove:header.x-backend", ""),
            ("append:header.x-id", "$context.requestId"),
        ]),
    )]
    .into();
    world.commit(&[Change::put(&mapped)]).await;
    let client = world.client(Some(&world.ca.client("alice, Inc.")));
    let request =
        Request::get("/v1/proxy/a%20b?q=1%262&secret=s&v=0").header("user-agent", "x").header("x-client-dn", "CN=root");
    let answer = client.send(Http::V1, request, Bytes::new()).await.unwrap();
    assert_eq!(answer.status, 202);
    assert_eq!((answer.header("x-said"), answer.header("x-backend")), ("yes", ""));
    assert_eq!(answer.header("x-id"), answer.header("apigw-requestid"));
    let seen = &world.backend.seen()[0];
    assert_eq!(seen.target, "/status/201?q=1%262&v=a%2520b");
    let dn: Vec<_> = seen.headers.get_all("x-client-dn").iter().collect();
    assert_eq!(dn, ["CN=alice\\, Inc."], "the client's own claim is gone");
    assert_eq!(seen.headers["x-both"], "1&2-prod");
    assert!(!seen.headers.contains_key("x-none") && !seen.headers.contains_key("user-agent"));
    assert!(seen.headers["x-pem"].to_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----%0A"));
    let log = world.finish().await;
    assert_eq!((log.stage[0]["status"].as_str(), log.stage[0]["integration"].as_str()), (Some("202"), Some("201")));
}

#[tokio::test]
async fn preflight_requests_are_answered_without_the_backend() {
    let mut world = Setup::new().start().await;
    let mut crossed = deployment(world.backend.address, 5000);
    crossed.cors = Some(model::resource::Cors {
        allow_methods: vec!["PUT".into()],
        allow_origins: vec!["https://app.example".into()],
        ..Default::default()
    });
    world.commit(&[Change::put(&crossed)]).await;
    let client = world.client(Some(&world.ca.client("alice")));
    let preflight = || {
        Request::options("/proxy/x")
            .header("origin", "https://app.example")
            .header("access-control-request-method", "PUT")
    };
    for http in [Http::V1, Http::V2] {
        let client = client.clone().with(Tls::V13, http);
        let answer = client.send(http, preflight(), Bytes::new()).await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.header("access-control-allow-methods"), "PUT");
        let plain = Request::get("/proxy/x").header("origin", "https://app.example");
        let answer = client.send(http, plain, Bytes::new()).await.unwrap();
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    }
    assert_eq!(world.backend.seen().len(), 2);
}
