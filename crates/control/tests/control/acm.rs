//! ACM and STS over HTTP.

use control::Control;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::server::{NOW, Server};

async fn acm(server: &Server, operation: &str, body: Value) -> Result<Value, String> {
    server.json("acm", &format!("CertificateManager.{operation}"), body).await
}

async fn arn(server: &Server, body: Value) -> String {
    acm(server, "RequestCertificate", body).await.unwrap()["CertificateArn"].as_str().unwrap().to_owned()
}

fn root(control: &Control) -> String {
    control.settings().state().local_ca["default"].certificate.clone()
}

fn leaf(pem: &str) -> trust::Certificate {
    trust::Certificate::from_der(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap()
}

#[tokio::test]
async fn requested_certificates() {
    let server = Server::start().await;
    let body = json!({"DomainName": "API.example.com", "SubjectAlternativeNames": ["api.example.com", "*.example.com"],
        "KeyAlgorithm": "EC_prime256v1", "IdempotencyToken": "token", "Tags": [{"Key": "a", "Value": "b"}]});
    let first = arn(&server, body.clone()).await;
    assert_eq!(arn(&server, body.clone()).await, first, "the same token means the same certificate");
    let mut other = body;
    other["DomainName"] = json!("other.example.com");
    assert_ne!(arn(&server, other).await, first);

    let got = acm(&server, "GetCertificate", json!({"CertificateArn": first})).await.unwrap();
    assert_eq!(got["CertificateChain"], root(&server.control));
    let certificate = leaf(got["Certificate"].as_str().unwrap());
    assert!(certificate.is_signed_by(&leaf(&root(&server.control))));
    assert_eq!(certificate.subject(), "CN=api.example.com");
    let shown = acm(&server, "DescribeCertificate", json!({"CertificateArn": first})).await.unwrap();
    let shown = &shown["Certificate"];
    assert_eq!(shown["SubjectAlternativeNames"], json!(["api.example.com", "*.example.com"]));
    assert_eq!((&shown["Status"], &shown["Type"]), (&json!("ISSUED"), &json!("AMAZON_ISSUED")));
    assert_eq!(shown["IssuedAt"], json!(NOW as f64 / 1000.0));
    let tags = acm(&server, "ListTagsForCertificate", json!({"CertificateArn": first})).await.unwrap();
    assert_eq!(tags["Tags"], json!([{"Key": "a", "Value": "b"}]));
    let refused =
        acm(&server, "RequestCertificate", json!({"DomainName": "a.example.com", "KeyAlgorithm": "RSA_1024"}));
    assert_eq!(refused.await.unwrap_err(), "ValidationException");
}

#[tokio::test]
async fn lists_are_paged() {
    let server = Server::start().await;
    let mut wanted = Vec::new();
    for name in ["a.example.com", "b.example.com", "c.example.com"] {
        wanted.push(arn(&server, json!({"DomainName": name, "KeyAlgorithm": "EC_prime256v1"})).await);
    }
    let (mut found, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut body = json!({"MaxItems": 2});
        if !token.is_null() {
            body["NextToken"] = token;
        }
        let page = acm(&server, "ListCertificates", body).await.unwrap();
        found.extend(page["CertificateSummaryList"].as_array().unwrap().iter().map(|c| c["CertificateArn"].clone()));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    found.sort_by_key(|arn| arn.to_string());
    wanted.sort();
    assert_eq!(found, wanted);
    let bad = acm(&server, "ListCertificates", json!({"NextToken": "nonsense"})).await;
    assert_eq!(bad.unwrap_err(), "ValidationException");
    acm(&server, "DeleteCertificate", json!({"CertificateArn": wanted[0]})).await.unwrap();
    let gone = acm(&server, "GetCertificate", json!({"CertificateArn": wanted[0]})).await;
    assert_eq!(gone.unwrap_err(), "ResourceNotFoundException");
}

#[tokio::test]
async fn what_is_due_is_renewed_under_the_same_arn() {
    let server = Server::start_with(|config| config.clock = || NOW + 100 * 86_400_000).await;
    let arn = arn(&server, json!({"DomainName": "a.example.com", "KeyAlgorithm": "EC_prime256v1"})).await;
    let before = server.control.settings().state().certificates[&arn].clone();
    assert_eq!(control::local_ca::renew(&server.control).await.unwrap(), 0, "nothing is due");
    // As if it had been issued ninety days ago.
    let ca = control::local_ca::LocalCa::open(&server.control.settings().state(), server.control.keyring()).unwrap();
    let old = ca.issue(&before.alternative_names, control::local_ca::KeyKind::P256, NOW).unwrap();
    let aged = model::resource::Certificate { certificate: old.certificate, ..(*before).clone() };
    server
        .control
        .settings()
        .change(control::By::Server("Test"), |_| Ok((vec![model::Change::put(&aged)], ())))
        .await
        .unwrap();
    assert_eq!(control::local_ca::renew(&server.control).await.unwrap(), 1);
    let renewed = server.control.settings().state().certificates[&arn].clone();
    assert_ne!(renewed.certificate, aged.certificate);
    assert!(leaf(&renewed.certificate).not_after() > (NOW / 1000) + 180 * 86_400);
    assert_eq!(renewed.alternative_names, before.alternative_names);
}

#[tokio::test]
async fn the_root_is_made_once() {
    let server = Server::start().await;
    let first = root(&server.control);
    assert_eq!(control::local_ca::ensure(&server.control).await.unwrap(), first);
    assert!(server.control.settings().state().endpoints.contains_key("us-east-1"));
}

#[tokio::test]
async fn sts_says_who_calls() {
    let server = Server::start().await;
    let body = b"Action=GetCallerIdentity&Version=2011-06-15";
    let mut request = server.request("POST", "/", body);
    request.headers_mut().insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
    sigv4::sign(&mut request, body, &server.credentials, "us-east-1", "sts", NOW / 1000).unwrap();
    let answer = server.send(request).await;
    let text = String::from_utf8_lossy(answer.body());
    assert!(text.contains("<Arn>arn:aws:iam::123456789012:user/admin</Arn>"), "{text}");
    assert!(text.contains("<Account>123456789012</Account>"), "{text}");
}
