//! Parameter mapping against clients that would like to be somebody else, or to write headers of their own.

use bytes::Bytes;
use http::Request;
use model::Change;
use model::resource::Integration;

use crate::support::{Answer, Http, Setup, Tls, World, deployment};

/// A gateway whose backend is reached with these parameters mapped.
async fn mapped(setup: Setup, request: &[(&str, &str)], response: &[(&str, &str, &str)]) -> World {
    let mut world = setup.start().await;
    let mut changed = deployment(world.backend.address, 5_000);
    let Integration { request_parameters, response_parameters, .. } = &mut changed.integrations[0];
    request_parameters.extend(request.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    for (status, key, value) in response {
        response_parameters.entry((*status).to_owned()).or_default().insert((*key).to_owned(), (*value).to_owned());
    }
    world.commit(&[Change::put(&changed)]).await;
    world
}

async fn send(world: &World, name: &str, request: http::request::Builder) -> Answer {
    world.client(Some(&world.ca.client(name))).send(Http::V1, request, Bytes::new()).await.unwrap()
}

const SUBJECT: &str = "$context.identity.clientCert.subjectDN";

#[tokio::test]
async fn a_client_cannot_say_who_it_is_where_a_mapping_does() {
    let parameters = [
        ("append:header.x-user", SUBJECT),
        ("append:querystring.user", SUBJECT),
        ("append:header.x-copy", "$request.header.x-user"),
        ("append:header.x-other", "$request.header.client-cert"),
    ];
    let claims = || {
        Request::get("/proxy/x?user=root&%75ser=root&q=1")
            .header("x-user", "CN=root")
            .header("x_user", "CN=root")
            .header("client-cert", ":AAAA:")
            .header("x-users", "kept")
    };
    let world = mapped(Setup::new(), &parameters, &[]).await;
    assert_eq!(send(&world, "alice", claims()).await.status, 200);
    let seen = &world.backend.seen()[0];
    assert_eq!(seen.headers.get_all("x-user").iter().collect::<Vec<_>>(), ["CN=alice"]);
    for gone in ["x_user", "x-copy", "x-other", "client-cert"] {
        assert!(!seen.headers.contains_key(gone), "{gone}");
    }
    assert_eq!(seen.headers["x-users"], "kept");
    assert_eq!(seen.target, "/x?q=1&user=CN%3Dalice");

    // Where clients are not asked for certificates there is nothing to say, and still nobody else says it.
    let world = mapped(Setup { truststore: None, ..Setup::new() }, &parameters, &[]).await;
    assert_eq!(send(&world, "alice", claims()).await.status, 200);
    let seen = &world.backend.seen()[0];
    assert!(!seen.headers.contains_key("x-user") && !seen.headers.contains_key("x_user"));
    assert_eq!(seen.target, "/x?q=1");
}

#[tokio::test]
async fn nothing_breaks_out_of_a_header() {
    let parameters = [
        ("append:header.x-user", SUBJECT),
        ("append:header.x-query", "$request.querystring.q"),
        ("overwrite:header.host", "other.example"),
    ];
    let answers = [("200", "append:header.x-query", "$context.path"), ("200", "append:header.x-user", SUBJECT)];
    let world = mapped(Setup::new(), &parameters, &answers).await;
    let request = Request::get("/proxy/x?q=1%0D%0Ax-admin:%20yes%00&q=%C3%AB%FF");
    let answer = send(&world, "Zo\u{eb} 100%", request).await;
    assert_eq!(answer.header("x-user"), "CN=Zo%C3%AB 100%25");
    let seen = &world.backend.seen()[0];
    assert_eq!(seen.headers["x-user"], "CN=Zo%C3%AB 100%25");
    assert_eq!(seen.headers["x-query"], "1%0D%0Ax-admin: yes%00,%C3%AB%EF%BF%BD");
    assert!(!seen.headers.contains_key("x-admin"));
    assert_eq!(seen.headers.get_all("host").iter().collect::<Vec<_>>(), ["other.example"]);
}

#[tokio::test]
async fn the_path_is_the_one_below_the_stage() {
    let world = mapped(Setup::new(), &[("overwrite:path", "/base${request.path}")], &[]).await;
    for (path, wanted) in [("/v1/proxy/a%20b?q=1", "/base/proxy/a%20b?q=1"), ("/proxy/x", "/base/proxy/x")] {
        assert_eq!(send(&world, "alice", Request::get(path)).await.status, 200);
        assert_eq!(world.backend.seen().last().unwrap().target, wanted);
    }
}

#[tokio::test]
async fn no_value_leads_out_of_a_mapped_path() {
    let world = mapped(Setup::new(), &[("overwrite:path", "/files/${request.querystring.f}")], &[]).await;
    for (value, status) in [
        ("a", 200),
        ("../secret", 400),
        ("%2e%2e%2fsecret", 400),
        ("%252e%252e/x", 400),
        ("a%3Fb%23c%0D%0A", 200),
        ("..a", 200),
    ] {
        let answer = send(&world, "alice", Request::get(format!("/proxy/x?f={value}"))).await;
        assert_eq!(answer.status, status, "{value}");
    }
    let targets: Vec<String> = world.backend.seen().into_iter().map(|seen| seen.target).collect();
    let wanted = ["/files/a?f=a", "/files/a%3Fb%23c%0D%0A?f=a%3Fb%23c%0D%0A", "/files/..a?f=..a"];
    assert_eq!(targets, wanted);
}

#[tokio::test]
async fn an_answer_of_another_status_ends_where_it_says() {
    let answers = [
        ("304", "overwrite:statuscode", "200"),
        ("204", "overwrite:statuscode", "404"),
        ("503", "overwrite:statuscode", "429"),
    ];
    let world = mapped(Setup::new(), &[], &answers).await;
    for http in [Http::V1, Http::V2] {
        let client = world.client(Some(&world.ca.client("alice"))).with(Tls::V13, http);
        for (status, wanted, body) in
            [("304", 200, ""), ("204", 404, ""), ("503", 429, "payload"), ("500", 500, "payload")]
        {
            let request = Request::post(format!("/proxy/status/{status}"));
            let answer = client.send(http, request, Bytes::from_static(b"payload")).await.unwrap();
            assert_eq!((answer.status, answer.body.as_str()), (wanted, body), "{status} {http:?}");
        }
    }
}
