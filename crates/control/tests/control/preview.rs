//! Which clients a change would shut out, asked before it is made; and the truststores that a domain had.

use std::sync::Arc;

use control::objects::Versioning;
use http::StatusCode;
use journal::ledger::{ClientChain, Sighting};
use model::resource::CertificateOrigin;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::server::{NOW, REGION, Server};

const URI: &str = "s3://your-bucket/ca.pem";
const API: &str = "/_countersign/api/v1";

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn chain(&self, name: &str) -> Arc<ClientChain> {
        let leaf = params(name).signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap();
        Arc::new(ClientChain::new([leaf.der().as_ref()]))
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn seen(chain: Arc<ClientChain>, days_ago: i64, accepted: u64) -> Sighting {
    let refusal = (accepted == 0).then_some(trust::Code::ClientCertUntrusted);
    Sighting {
        domain: "api.example.com".into(),
        chain,
        at_ms: NOW - days_ago * 86_400_000,
        source: [192, 0, 2, 1].into(),
        refusal,
        accepted,
        refused: u64::from(accepted == 0),
        shadow: None,
    }
}

/// A domain whose truststore is `pem`; its certificate's ARN and the truststore's version.
async fn domain(server: &Server, pem: &str) -> (String, String) {
    server.make_bucket("your-bucket", Versioning::Enabled);
    let version = server.put_object("/your-bucket/ca.pem", pem.as_bytes()).await;
    let arn = server.certificate("api.example.com", CertificateOrigin::Imported).await;
    let body = json!({
        "domainName": "api.example.com", "domainNameConfigurations": [{"certificateArn": arn}],
        "mutualTlsAuthentication": {"truststoreUri": URI, "truststoreVersion": version},
    });
    server.ok("POST", "/v2/domainnames", body).await;
    (arn, version)
}

async fn own(server: &Server, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let mut request = server.request(method, &format!("{API}/{path}"), &body);
    sigv4::sign(&mut request, &body, &server.credentials, REGION, "countersign", NOW / 1000).unwrap();
    let (parts, body) = server.send(request).await.into_parts();
    (parts.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn preview(server: &Server, candidate: Value) -> Value {
    let (status, answer) = own(server, "POST", "domains/api.example.com/preview", candidate).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

#[tokio::test]
async fn three_of_41_clients_would_be_refused() {
    let server = Server::start().await;
    let (kept, dropped, new) = (Ca::new("Kept"), Ca::new("Dropped"), Ca::new("New"));
    domain(&server, &format!("{}{}", kept.pem, dropped.pem)).await;
    let mut sightings: Vec<Sighting> = (0..38).map(|n| seen(kept.chain(&format!("kept {n}")), n % 29, 7)).collect();
    sightings.extend((0..3).map(|n| seen(dropped.chain(&format!("dropped {n}")), n, 5)));
    sightings.push(seen(dropped.chain("long ago"), 31, 5));
    sightings.push(seen(new.chain("early bird"), 1, 0));
    sightings.push(seen(Ca::new("Stranger").chain("stranger"), 1, 0));
    server.control.ledger().record(sightings);
    server.control.ledger().sync().unwrap();

    let answer = preview(&server, json!({"truststorePem": format!("{}{}", kept.pem, new.pem)})).await;
    assert_eq!(
        answer["summary"],
        "3 of 41 clients seen in the last 30 days would be refused; 1 of 2 that are refused now would be accepted"
    );
    let comparison = &answer["comparison"];
    assert_eq!((&comparison["accepted"], &comparison["refused"]), (&json!(41), &json!(2)));
    let lost = &comparison["wouldBeRefused"];
    assert_eq!(lost["count"], 3);
    let first = &lost["clients"][0];
    assert_eq!((&first["subject"], &first["code"]), (&json!("CN=dropped 0"), &json!("ClientCertUntrusted")));
    assert_eq!((&first["lastSeen"], &first["requests"]), (&json!(NOW), &json!(5)));
    assert!(first["explanation"].as_str().unwrap().contains("CN=Dropped"), "{first}");
    assert_eq!(comparison["wouldBeAccepted"]["clients"][0]["subject"], "CN=early bird");
    assert!(answer["notes"][0].as_str().unwrap().starts_with("The ledger is complete"), "{answer}");

    let all = preview(&server, json!({"truststorePem": kept.pem, "days": 60})).await;
    assert_eq!(all["summary"], "4 of 42 clients seen in the last 60 days would be refused");
    let same = preview(&server, json!({"truststorePem": format!("{}{}", dropped.pem, kept.pem)})).await;
    assert_eq!(same["summary"], "none of 41 clients seen in the last 30 days would be refused");
}

#[tokio::test]
async fn versions_and_policies_are_tried_and_nothing_is_changed() {
    let server = Server::start().await;
    let (old, new) = (Ca::new("Old"), Ca::new("New"));
    let (_, first) = domain(&server, &old.pem).await;
    let second = server.put_object("/your-bucket/ca.pem", new.pem.as_bytes()).await;
    server.control.ledger().record([seen(old.chain("client"), 1, 1)]);
    server.control.ledger().sync().unwrap();
    let before = server.control.settings().state().revision;
    for candidate in [json!({"truststoreVersion": second}), json!({"truststoreUri": URI})] {
        let answer = preview(&server, candidate).await;
        assert_eq!(answer["summary"], "1 of 1 client seen in the last 30 days would be refused", "{answer}");
        assert_eq!(answer["candidate"]["truststore"]["version"], second.as_str());
        assert_eq!(answer["enforced"]["truststore"]["version"], first.as_str());
    }
    // The certificates of these clients name no purpose, which rfc5280 wants.
    let answer = preview(&server, json!({"profile": "rfc5280"})).await;
    assert_eq!(answer["comparison"]["wouldBeRefused"]["clients"][0]["code"], "ClientCertPurposeInvalid");
    assert_eq!(preview(&server, json!({"eku": "any"})).await["comparison"]["wouldBeRefused"]["count"], 0);
    assert_eq!(server.control.settings().state().revision, before);
    assert_eq!(server.store.blobs().await.unwrap().len(), 2, "the candidate's bytes are not kept");
}

#[tokio::test]
async fn what_cannot_be_tried_is_told() {
    let server = Server::start().await;
    domain(&server, &Ca::new("Old").pem).await;
    for (candidate, said) in [
        (json!({}), "Nothing to try"),
        (json!({"days": 3}), "Nothing to try"),
        (json!({"days": 0, "eku": "any"}), "Invalid days"),
        (json!({"truststorePem": "no"}), "Invalid truststorePem"),
        (json!({"truststorePem": "x", "truststoreUri": URI}), "not both"),
        (json!({"truststoreVersion": "nope"}), "Unable to access truststore URI s3://your-bucket/ca.pem version nope."),
        (json!({"crlPem": "no"}), "Invalid crlPem"),
        (json!({"crlPem": "x", "crlUri": URI}), "not both"),
        (json!({"crlUri": "s3://your-bucket/none.crl"}), "Unable to access"),
        (json!({"crlVersion": "v1"}), "no version unless"),
        (json!({"profile": "strict"}), "Invalid value 'strict' of tag countersign:profile"),
        (json!({"truststorePom": "x"}), "unknown field"),
    ] {
        let (status, answer) = own(&server, "POST", "domains/api.example.com/preview", candidate.clone()).await;
        assert_eq!(status, 400, "{candidate}: {answer}");
        assert!(answer["message"].as_str().unwrap().contains(said), "{candidate}: {answer}");
    }
    let (status, _) = own(&server, "POST", "domains/other.example.com/preview", json!({"eku": "any"})).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_domain_knows_its_truststores_and_has_them_again_without_s3() {
    let server = Server::start().await;
    let (old, new) = (Ca::new("Old"), Ca::new("New"));
    let (arn, first) = domain(&server, &old.pem).await;
    let second = server.put_object("/your-bucket/ca.pem", new.pem.as_bytes()).await;
    let pin = |version: &str| {
        json!({
            "domainNameConfigurations": [{"certificateArn": arn}],
            "mutualTlsAuthentication": {"truststoreUri": URI, "truststoreVersion": version},
        })
    };
    server.ok("PATCH", "/v2/domainnames/api.example.com", pin(&second)).await;
    for version in [&first, &second] {
        let deleted = server.s3("DELETE", &format!("/your-bucket/ca.pem?versionId={version}"), b"").await;
        assert!(deleted.status().is_success());
    }
    assert!(server.s3("DELETE", "/your-bucket", b"").await.status().is_success(), "not even the bucket is left");

    let (_, history) = own(&server, "GET", "domains/API.example.com/truststores", Value::Null).await;
    let versions: Vec<&str> =
        history["items"].as_array().unwrap().iter().map(|i| i["version"].as_str().unwrap()).collect();
    assert_eq!(versions, [second.as_str(), first.as_str()]);
    assert_eq!((&history["items"][0]["until"], &history["items"][1]["until"]), (&Value::Null, &json!(NOW)));
    let digest = history["items"][1]["digest"].as_str().unwrap();
    let (_, kept) = own(&server, "GET", &format!("truststores/{digest}"), Value::Null).await;
    assert_eq!(kept["pem"], old.pem.as_str());

    let back = server.ok("PATCH", "/v2/domainnames/api.example.com", pin(&first)).await;
    assert_eq!(back["mutualTlsAuthentication"]["truststoreVersion"], first.as_str());
    let now = server.control.settings().state().domains["api.example.com"].mutual_tls.clone().unwrap();
    assert_eq!(now.digest, digest);
    assert_eq!(own(&server, "GET", "truststores/00", Value::Null).await.0, 404);
}
