//! Whoever is not trusted is refused as the domain asks, before anything reaches a backend, and it is recorded why.

use std::io::ErrorKind;

use crate::support::{Authority, Client, DOMAIN, Http, Identity, Setup, Tls, World, leaf_params};
use model::Rejection;
use trust::Code;

/// How clients come to be refused.
fn strangers(ca: &Authority) -> Vec<(Option<Identity>, Code, &'static str)> {
    let foreign = Authority::new("Foreign");
    let deep = (0..4).fold(ca.sub("Sub"), |above, n| above.sub(&format!("Sub {n}")));
    let mut expired = leaf_params("expired");
    expired.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let mut early = leaf_params("early");
    early.not_before = rcgen::date_time_ymd(2039, 1, 1);
    let mut server = leaf_params("server");
    server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    vec![
        (None, Code::ClientCertMissing, "CertificateRequired"),
        (Some(foreign.client("foreign")), Code::ClientCertUntrusted, "UnknownCA"),
        (Some(deep.client("deep")), Code::ClientCertUntrusted, "UnknownCA"),
        (Some(Identity::self_signed("self")), Code::ClientCertSelfSigned, "UnknownCA"),
        (Some(ca.issue(expired)), Code::ClientCertExpired, "CertificateExpired"),
        (Some(ca.issue(early)), Code::ClientCertNotYetValid, "CertificateExpired"),
        (Some(ca.issue(server)), Code::ClientCertPurposeInvalid, "UnsupportedCertificate"),
    ]
}

const WAYS: [(Tls, Http); 4] = [(Tls::V12, Http::V1), (Tls::V12, Http::V2), (Tls::V13, Http::V1), (Tls::V13, Http::V2)];

async fn each_way(rejection: Rejection, check: impl AsyncFn(&mut World, &Client, Http, Code, &str)) {
    let mut world = Setup::rejecting(rejection).start().await;
    let mut wanted = Vec::new();
    for (identity, code, alert) in strangers(&world.ca) {
        for (tls, http) in WAYS {
            let client = world.client(identity.as_ref()).with(tls, http);
            check(&mut world, &client, http, code, alert).await;
            let line = world.refusal().await;
            assert_eq!(line.code, code, "{rejection:?} {tls:?} {http:?}");
            assert_eq!(line.subject.is_some(), identity.is_some());
            wanted.push((line.request_id, code));
        }
    }
    assert!(world.backend.seen().is_empty(), "nothing of a stranger reaches a backend");
    let log = world.finish().await;
    for (id, code) in &wanted {
        let (record, code) = (log.record(id), *code);
        let refusal = record.refusal.expect("it was refused");
        assert_eq!(refusal.code, code);
        assert!(!refusal.explanation.is_empty() && !refusal.fix.is_empty());
        assert_eq!(record.revision, 1);
        assert!(record.truststore.is_some());
        assert_eq!(record.client.is_some(), code != Code::ClientCertMissing);
    }
    let connections = log.connections();
    assert_eq!(connections.len(), wanted.len(), "one of each, however it was refused");
    for (id, code) in wanted {
        let record = log.record(&id);
        let connection = connections.iter().find(|connection| connection.id == record.connection).unwrap();
        assert_eq!((connection.verdict, connection.end), (Some(code), journal::End::Refused));
        assert_eq!((&connection.truststore, &connection.client), (&record.truststore, &record.client));
        assert_eq!((&*connection.server_name, &*connection.domain), (DOMAIN, DOMAIN));
        assert_eq!(connection.requests == 1, record.status == 403);
    }
}

#[tokio::test]
async fn respond_answers_403_and_closes() {
    each_way(Rejection::Respond, async |_, client, http, code, _| {
        let answer = client.get(http, "/proxy/x").await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (403, r#"{"message":"Forbidden"}"#), "{code}");
        assert_eq!(answer.header("apigw-requestid").len(), 16);
        assert_eq!(answer.header("content-type"), "application/json");
    })
    .await;
}

#[tokio::test]
async fn alert_fails_the_handshake_with_the_alert_that_fits() {
    each_way(Rejection::Alert, async |_, client, http, code, alert| {
        let error = client.get(http, "/proxy/x").await.unwrap_err();
        assert!(format!("{error:?}").contains(alert), "{code}: {error:?}");
    })
    .await;
}

#[tokio::test]
async fn reset_resets() {
    each_way(Rejection::Reset, async |_, client, _, code, _| {
        assert_eq!(client.end_of_silence().await.unwrap_err().kind(), ErrorKind::ConnectionReset, "{code}");
    })
    .await;
}

#[tokio::test]
async fn aws_resets_who_shows_nothing_and_answers_the_rest() {
    each_way(Rejection::Aws, async |_, client, http, code, _| {
        if code == Code::ClientCertMissing {
            assert_eq!(client.end_of_silence().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        } else {
            assert_eq!(client.get(http, "/proxy/x").await.unwrap().status, 403);
        }
    })
    .await;
}

#[tokio::test]
async fn a_refused_request_is_logged_by_its_stage() {
    let mut world = Setup::new().start().await;
    let foreign = Authority::new("Foreign").client("O'Brien \"x\"");
    let client = world.client(Some(&foreign));
    let answer = client.get(Http::V1, "/v1/proxy/x?q=1").await.unwrap();
    assert_eq!(answer.status, 403);
    world.refusal().await;
    let log = world.finish().await;
    let line = &log.stage[0];
    assert_eq!(line["id"], answer.header("apigw-requestid"));
    assert_eq!((line["status"].as_str(), line["type"].as_str()), (Some("403"), Some("ACCESS_DENIED")));
    assert_eq!(line["error"], Code::ClientCertUntrusted.message());
    assert_eq!(line["dn"], r#"CN=O'Brien \"x\""#);
    assert_eq!((line["path"].as_str(), line["stage"].as_str()), (Some("/v1/proxy/x"), Some("prod")));
    assert_eq!(line["base"], "v1");
    assert!(log.domain.is_empty());
}

#[tokio::test]
async fn a_refused_connection_without_a_request_is_logged_by_its_domain() {
    let mut world = Setup::rejecting(Rejection::Alert).start().await;
    let client = world.client(None);
    client.get(Http::V1, "/proxy/x").await.unwrap_err();
    world.refusal().await;
    let log = world.finish().await;
    assert_eq!(log.domain.len(), 1);
    assert_eq!(log.domain[0]["errorMessage"], Code::ClientCertMissing.message());
    assert_eq!((log.domain[0]["status"].as_str(), log.domain[0]["path"].as_str()), (Some("-"), Some("-")));
}

#[tokio::test]
async fn a_refused_client_that_sends_a_payload_still_gets_its_answer() {
    let mut world = Setup::new().start().await;
    let client = world.client(None);
    let head = "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 60000\r\n\r\n";
    let answer = client.raw([head.as_bytes(), &vec![b'x'; 60_000]].concat()).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.ends_with(r#"{"message":"Forbidden"}"#),
        "{answer}"
    );
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    world.refusal().await;
    let expecting =
        "POST /proxy/x HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 6\r\nexpect: 100-continue\r\n\r\n";
    let answer = client.raw(expecting).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "no 100: {answer}");
}

#[tokio::test]
async fn a_leaf_that_would_burst_a_line_of_the_log_is_not_read() {
    let mut world = Setup::new().start().await;
    let small = world.ca.client(&"\"".repeat(8 * 1024));
    assert_eq!(world.client(Some(&small)).get(Http::V1, "/proxy/x").await.unwrap().status, 200);
    let large = world.ca.client(&"\"".repeat(20 * 1024));
    assert_eq!(world.client(Some(&large)).get(Http::V1, "/proxy/x").await.unwrap().status, 403);
    let line = world.refusal().await;
    assert_eq!((line.code, line.subject), (Code::ClientCertMaxSizeExceeded, None));
    // Each line is whole: it was read as JSON.
    assert_eq!(world.finish().await.stage.len(), 2);
}
