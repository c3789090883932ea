//! Other origins: what the gateway says of them takes the place of what the backend says, and a certificate comes first.

use bytes::Bytes;
use http::Request;
use model::Change;
use model::resource::Cors;
use trust::Code;

use crate::support::{Answer, Client, Http, Setup, Tls, World, deployment};

async fn start() -> World {
    let mut world = Setup::new().start().await;
    let mut crossed = deployment(world.backend.address, 5_000);
    crossed.cors = Some(Cors {
        allow_credentials: Some(true),
        allow_headers: vec!["authorization".into(), "x-a".into()],
        allow_methods: vec!["PUT".into()],
        allow_origins: vec!["https://app.example".into(), "http://*".into()],
        expose_headers: vec!["x-b".into()],
        max_age: Some(300),
    });
    world.commit(&[Change::put(&crossed)]).await;
    world
}

fn preflight(path: &str, origin: &str) -> http::request::Builder {
    Request::options(path).header("origin", origin).header("access-control-request-method", "PUT")
}

async fn send(client: &Client, http: Http, request: http::request::Builder) -> Answer {
    client.clone().with(Tls::V13, http).send(http, request, Bytes::new()).await.unwrap()
}

/// What an answer says of other origins.
fn said(answer: &Answer) -> Vec<String> {
    let said =
        answer.headers.iter().filter(|(name, _)| name.as_str().starts_with("access-control-") || *name == "vary");
    let mut said: Vec<_> = said.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    said.sort_unstable();
    said
}

#[tokio::test]
async fn a_preflight_request_is_answered_where_there_is_no_route_too() {
    let world = start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let allowed = |origin: &str| {
        vec![
            "access-control-allow-credentials: true".to_owned(),
            "access-control-allow-headers: authorization,x-a".to_owned(),
            "access-control-allow-methods: PUT".to_owned(),
            format!("access-control-allow-origin: {origin}"),
            "access-control-max-age: 300".to_owned(),
            "vary: origin".to_owned(),
        ]
    };
    for (path, origin, is_allowed) in [
        ("/proxy/x", "https://app.example", true),
        ("/nothing/here", "https://app.example", true),
        ("/v1/proxy/x", "http://any.example:8080", true),
        ("/proxy/x", "https://app.example.evil", false),
        ("/proxy/x", "null", false),
    ] {
        for http in [Http::V1, Http::V2] {
            let answer = send(&client, http, preflight(path, origin)).await;
            assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{path} {origin}");
            assert_eq!(
                said(&answer),
                if is_allowed { allowed(origin) } else { Vec::new() },
                "{path} {origin} {http:?}"
            );
            assert_eq!(answer.header("apigw-requestid").len(), 16);
        }
    }
    assert!(world.backend.seen().is_empty());
    let options = Request::options("/proxy/x").header("origin", "https://app.example");
    assert_eq!(send(&client, Http::V1, options).await.status, 200, "any other OPTIONS is the backend's");
    let log = world.finish().await;
    let of = |status: &str| log.stage.iter().filter(|line| line["status"] == status && line["error"] == "-").count();
    assert_eq!((of("204"), of("200")), (10, 1), "{:?}", log.stage);
}

#[tokio::test]
async fn a_preflight_request_without_a_certificate_is_refused() {
    let mut world = start().await;
    for http in [Http::V1, Http::V2] {
        let answer = send(&world.client(None), http, preflight("/proxy/x", "https://app.example")).await;
        assert_eq!((answer.status, answer.body.as_str()), (403, r#"{"message":"Forbidden"}"#));
        assert_eq!(said(&answer), [""; 0]);
        assert_eq!(world.refusal().await.code, Code::ClientCertMissing);
    }
    let client = world.client(Some(&world.ca.client("alice")));
    let odd = send(&client, Http::V1, preflight("/proxy/../x", "https://app.example")).await;
    assert_eq!((odd.status, said(&odd)), (400, Vec::new()), "nothing is told but with 204");
    assert!(world.backend.seen().is_empty());
}

#[tokio::test]
async fn what_the_backend_says_of_other_origins_gives_way() {
    let world = start().await;
    let client = world.client(Some(&world.ca.client("alice")));
    let get = |path: &str, origin: Option<&str>| match origin {
        Some(origin) => Request::get(path).header("origin", origin),
        None => Request::get(path),
    };
    let allowed = [
        "access-control-allow-credentials: true",
        "access-control-allow-origin: https://app.example",
        "access-control-expose-headers: x-b",
        "vary: origin",
    ];
    for (origin, wanted) in
        [(Some("https://app.example"), &allowed[..]), (Some("https://evil.example"), &[]), (None, &[])]
    {
        let answer = send(&client, Http::V1, get("/proxy/cors", origin)).await;
        assert_eq!((answer.status, said(&answer)), (200, wanted.iter().map(|&line| line.to_owned()).collect()));
    }
    let missing = send(&client, Http::V1, get("/nothing", Some("https://app.example"))).await;
    assert_eq!((missing.status, said(&missing).len()), (404, 4), "a page may read what the gateway says itself");
}
