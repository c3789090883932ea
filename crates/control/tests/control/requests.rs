//! Who is let in, and what is said to others.

use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use sigv4::{Credentials, SecretKey};

use crate::server::{NOW, REGION, Server};

#[tokio::test]
async fn health_is_open() {
    let server = Server::start().await;
    let revision = server.control.settings().state().revision;
    server.store.report_applied("here", revision - 1).await.unwrap();
    let answer = server.send(server.request("GET", "/_countersign/health", b"")).await;
    let health: Value = serde_json::from_slice(answer.body()).unwrap();
    let (wanted, applied) = (json!(revision), json!(revision - 1));
    assert_eq!((&health["status"], &health["revision"], &health["applied"]), (&json!("ok"), &wanted, &applied));
    assert_eq!(server.send(server.request("POST", "/_countersign/health", b"")).await.status(), 405);
    assert_eq!(server.send(server.request("GET", "/_countersign/nothing", b"")).await.status(), 404);
    assert_eq!(server.send(server.request("GET", "/_countersign/console", b"")).await.status(), 401);
}

#[tokio::test]
async fn no_signature_is_answered_in_the_form_that_was_spoken() {
    let server = Server::start().await;
    let rest = server.send(server.request("GET", "/v2/apis", b"")).await;
    assert_eq!(rest.status(), 403);
    assert_eq!(rest.headers()["x-amzn-errortype"], "MissingAuthenticationTokenException");
    assert_eq!(rest.body().as_ref(), br#"{"message":"Missing Authentication Token"}"#);
    let mut json = server.request("POST", "/", b"{}");
    json.headers_mut().insert("x-amz-target", "CertificateManager.ListCertificates".parse().unwrap());
    let json = server.send(json).await;
    let body: Value = serde_json::from_slice(json.body()).unwrap();
    assert_eq!(body["__type"], "MissingAuthenticationTokenException");
    let query = server.send(server.request("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", b"")).await;
    assert!(String::from_utf8_lossy(query.body()).contains("<Code>MissingAuthenticationToken</Code>"));
    let s3 = server.send(server.request("GET", "/your-bucket", b"")).await;
    assert_eq!(s3.status(), 403);
    assert!(String::from_utf8_lossy(s3.body()).contains("<Code>AccessDenied</Code>"));
}

#[tokio::test]
async fn a_wrong_key_or_signature_is_told() {
    let server = Server::start().await;
    let wrong =
        |id: &str| Credentials { access_key_id: id.to_owned(), secret: SecretKey::new("wrong"), session_token: None };
    for (credentials, at, code) in [
        (wrong(&server.credentials.access_key_id), NOW / 1000, "InvalidSignatureException"),
        (wrong("AKIAAAAAAAAAAAAAAAAA"), NOW / 1000, "UnrecognizedClientException"),
        (server.credentials.clone(), NOW / 1000 - 3600, "InvalidSignatureException"),
        (
            Credentials { session_token: Some("token".to_owned()), ..server.credentials.clone() },
            NOW / 1000,
            "UnrecognizedClientException",
        ),
    ] {
        let mut request = server.request("GET", "/v2/apis", b"");
        sigv4::sign(&mut request, b"", &credentials, REGION, "apigateway", at).unwrap();
        let answer = server.send(request).await;
        assert_eq!(answer.status(), 403);
        assert_eq!(answer.headers()["x-amzn-errortype"], code);
    }
    for region in ["*", "US-EAST-1", "eu.west"] {
        let mut request = server.request("GET", "/v2/apis", b"");
        sigv4::sign(&mut request, b"", &server.credentials, region, "apigateway", NOW / 1000).unwrap();
        let answer = server.send(request).await;
        let body = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(answer.status().is_client_error() && body.contains("a valid region"), "{region}: {body}");
    }
    let mut request = server.request("POST", "/v2/apis", b"{\"name\":\"b\"}");
    sigv4::sign(&mut request, b"{\"name\":\"a\"}", &server.credentials, REGION, "apigateway", NOW / 1000).unwrap();
    let answer = server.send(request).await;
    assert_eq!(answer.headers()["x-amzn-errortype"], "InvalidSignatureException", "the body was changed");
}

#[tokio::test]
async fn services_that_are_not_here_say_so() {
    let server = Server::start().await;
    for (service, path, status, said) in [
        ("lambda", "/2015-03-31/functions/", StatusCode::BAD_REQUEST, "lambda"),
        ("apigateway", "/sdktypes", StatusCode::NOT_FOUND, "GetSdkTypes"),
    ] {
        let mut request = server.request("GET", path, b"");
        sigv4::sign(&mut request, b"", &server.credentials, REGION, service, NOW / 1000).unwrap();
        let answer = server.send(request).await;
        assert_eq!(answer.status(), status, "{service}");
        assert_eq!(answer.headers()["x-amzn-errortype"], "UnknownOperationException", "{service}");
        assert!(String::from_utf8_lossy(answer.body()).contains(said), "{service}: {:?}", answer.body());
    }
}

#[tokio::test]
async fn only_own_names_are_answered_to() {
    let server = Server::start().await;
    for (host, status) in
        [("localhost", 200), ("gate.example.com:4566", 200), ("evil.example", 421), ("localhost.evil.example", 421)]
    {
        let request = Request::get(format!("{}/_countersign/health", server.origin)).header("host", host);
        let answer = server.send(request.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), status, "{host}");
    }
}

#[tokio::test]
async fn a_body_has_a_bound() {
    let server = Server::start().await;
    let body = vec![b' '; 1024 * 1024 + 1];
    let mut request = server.request("POST", "/v2/apis", &body);
    sigv4::sign(&mut request, &body, &server.credentials, REGION, "apigateway", NOW / 1000).unwrap();
    assert_eq!(server.send(request).await.status(), 413);
    let (status, _) = server.call("POST", "/v2/apis", json!("no object")).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn the_admin_key_is_made_once() {
    let server = Server::start().await;
    let again = server.control.admin_key().await.unwrap();
    assert_eq!(again.id, server.credentials.access_key_id);
    assert!(again.id.starts_with("AKIA") && again.id.len() == 20 && again.secret.len() == 40);
    let state = server.control.settings().state();
    assert_eq!(state.access_keys.len(), 1);
    assert!(!format!("{:?}", state.access_keys).contains(again.secret.as_str()));
}

#[tokio::test]
async fn a_signature_is_good_for_its_service_only() {
    let server = Server::start().await;
    for (path, target, service, correct) in [
        ("/v2/apis", None, "acm", "apigateway"),
        ("/", Some("CertificateManager.ListCertificates"), "logs", "acm"),
        ("/", Some("Logs_20140328.DescribeLogGroups"), "sts", "logs"),
    ] {
        let mut request = server.request("POST", path, b"{}");
        if let Some(target) = target {
            request.headers_mut().insert("x-amz-target", target.parse().unwrap());
        }
        sigv4::sign(&mut request, b"{}", &server.credentials, REGION, service, NOW / 1000).unwrap();
        let answer = server.send(request).await;
        assert_eq!(answer.status(), 403, "{service}");
        let message = format!("Credential should be scoped to correct service: '{correct}'.");
        assert!(String::from_utf8_lossy(answer.body()).contains(&message), "{service}: {:?}", answer.body());
    }
}

#[tokio::test]
async fn metrics_are_told_to_this_machine() {
    let server = Server::start().await;
    let response = server.send(server.request("GET", "/_countersign/metrics", b"")).await;
    assert_eq!(response.status(), 200);
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    let revision = server.control.settings().state().revision;
    let text = std::str::from_utf8(response.body()).unwrap();
    assert!(text.contains(&format!("\ncountersign_settings_revision{{}} {revision}.0\n")), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let posted = server.send(server.request("POST", "/_countersign/metrics", b"")).await;
    assert_eq!(posted.status(), 405);
}
