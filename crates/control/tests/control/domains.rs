//! Custom domain names, their truststores, mappings and tags.

use std::sync::Arc;

use control::objects::{Metadata, Precondition, Versioning};
use model::State;
use model::resource::CertificateOrigin;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::server::Server;

const DOMAIN: &str = "/v2/domainnames/api.example.com";
const URI: &str = "s3://your-bucket/ca.pem";

fn ca(name: &str) -> String {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

fn leaf(name: &str) -> String {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// The domain of the guide with a server certificate; its ARN.
async fn domain(server: &Server) -> String {
    let arn = server.certificate("api.example.com", CertificateOrigin::Imported).await;
    let body = json!({"domainName": "API.example.com", "domainNameConfigurations": [{"certificateArn": arn}]});
    server.ok("POST", "/v2/domainnames", body).await;
    arn
}

fn pin(arn: &str, uri: &str, version: Option<&str>) -> Value {
    let mut truststore = json!({"truststoreUri": uri});
    if let Some(version) = version {
        truststore["truststoreVersion"] = json!(version);
    }
    json!({"domainNameConfigurations": [{"certificateArn": arn}], "mutualTlsAuthentication": truststore})
}

#[tokio::test]
async fn the_guide_sets_mutual_tls() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Enabled);
    let version = server.put_object("/your-bucket/ca.pem", ca("Partner CA").as_bytes()).await;
    let arn = domain(&server).await;
    let plain = server.ok("GET", DOMAIN, Value::Null).await;
    assert_eq!(plain["domainName"], "api.example.com");
    assert_eq!(plain["domainNameArn"], "arn:aws:apigateway:us-east-1::/domainnames/api.example.com");
    assert_eq!(plain["apiMappingSelectionExpression"], "$request.basepath");
    assert_eq!(plain["routingMode"], "API_MAPPING_ONLY");
    assert_eq!(plain["mutualTlsAuthentication"], Value::Null);
    let configuration = &plain["domainNameConfigurations"][0];
    assert_eq!(configuration["endpointType"], "REGIONAL");
    assert_eq!(configuration["securityPolicy"], "TLS_1_2");
    assert_eq!(configuration["certificateArn"], arn);
    let target = configuration["apiGatewayDomainName"].as_str().unwrap();
    assert!(target.starts_with("d-") && target.ends_with(".execute-api.us-east-1.localhost"), "{target}");

    let set = server.ok("PATCH", DOMAIN, pin(&arn, URI, Some(&version))).await;
    assert_eq!(set["mutualTlsAuthentication"], json!({"truststoreUri": URI, "truststoreVersion": version}));
    assert_eq!(set["domainNameConfigurations"][0]["domainNameStatus"], "UPDATING");
    let state = server.control.settings().state();
    server.store.report_applied("here", state.revision).await.unwrap();
    let available = server.ok("GET", DOMAIN, Value::Null).await;
    assert_eq!(available["domainNameConfigurations"][0]["domainNameStatus"], "AVAILABLE");
    let mutual_tls = state.domains["api.example.com"].mutual_tls.clone().unwrap();
    assert_eq!(mutual_tls.read_version, version);
    assert!(server.control.settings().blob(&mutual_tls.digest).await.unwrap().is_some());
    assert!(State::one(&state.log_groups, "us-east-1", "/countersign/domains/api.example.com").is_some());
    server.store.report_applied("late", state.revision - 1).await.unwrap();
    let listed = server.ok("GET", "/v2/domainnames", Value::Null).await;
    assert_eq!(listed["items"][0]["domainNameConfigurations"][0]["domainNameStatus"], "UPDATING");
}

#[tokio::test]
async fn updates_are_refused_in_awss_words() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Enabled);
    let version = server.put_object("/your-bucket/ca.pem", ca("Partner CA").as_bytes()).await;
    server.put_object("/your-bucket/junk.pem", b"junk").await;
    server.put_object("/your-bucket/large.pem", &vec![b'x'; 1024 * 1024 + 1]).await;
    let arn = domain(&server).await;
    let elsewhere = "arn:aws:acm:eu-west-1:123456789012:certificate/x";
    let configured = |more: Value| {
        let mut configuration = json!({"certificateArn": arn});
        configuration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "domainNameConfigurations": [configuration] })
    };
    let none = "Unable to access truststore URI s3://your-bucket/none.pem version N/A.";
    let version_error = format!("Unable to access truststore URI {URI} version nope.");
    for (body, said) in [
        (pin(&arn, "s3://your-bucket/none.pem", None), none),
        (pin(&arn, "s3://no-bucket/ca.pem", Some(&version)), "Unable to access truststore URI s3://no-bucket/ca.pem"),
        (pin(&arn, URI, Some("nope")), version_error.as_str()),
        (pin(&arn, "https://x/ca.pem", None), "expected s3://bucket/key"),
        (pin(&arn, "s3://your-bucket/junk.pem", None), "no usable certificate"),
        (pin(&arn, "s3://your-bucket/large.pem", None), "more than 1048576 bytes"),
        (
            json!({"mutualTlsAuthentication": {"truststoreUri": URI}}),
            "Invalid input. Expected one domain name configuration",
        ),
        (json!({"domainNameConfigurations": []}), "Invalid input. Expected one domain name configuration"),
        (configured(json!({"endpointType": "EDGE"})), "Only REGIONAL domain names"),
        (configured(json!({"securityPolicy": "TLS_1_0"})), "a security policy of TLS 1.2"),
        (configured(json!({"certificateArn": elsewhere})), "Certificate must be in 'us-east-1'."),
        (configured(json!({"certificateArn": arn.replace("api", "no")})), "no such certificate"),
        (json!({"routingMode": "ROUTING_RULE_FIRST"}), "routingMode"),
    ] {
        let refused = server.refused("PATCH", DOMAIN, body.clone()).await;
        assert!(refused.0 == 400 && refused.1.contains(said), "{body}: {refused:?}");
    }
    let body = |name: &str| json!({"domainName": name, "domainNameConfigurations": [{"certificateArn": arn}]});
    for (body, said) in [
        (body("api.example.com"), "The domain name you provided already exists."),
        (body("www.example.com"), "not covered by the provided certificate"),
        (body("api"), "Invalid domain name"),
        (json!({"domainName": "b.example.com"}), "Expected one domain name configuration"),
        (
            json!({"domainName": "b.example.com", "domainNameConfigurations": [{}]}),
            "A certificate was not provided for the endpoint type REGIONAL.",
        ),
    ] {
        let refused = server.refused("POST", "/v2/domainnames", body.clone()).await;
        assert!(refused.0 == 400 && refused.1.contains(said), "{body}: {refused:?}");
    }
    let missing = server.refused("GET", "/v2/domainnames/none.example.com", Value::Null).await;
    assert_eq!(missing, (404, "Invalid domain name identifier specified".to_owned()));
    assert!(server.control.settings().state().blobs().is_empty(), "nothing of a refused update stays");
}

#[tokio::test]
async fn mutual_tls_is_patched_and_switched_off() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Enabled);
    let first = server.put_object("/your-bucket/ca.pem", ca("First").as_bytes()).await;
    let second = server.put_object("/your-bucket/ca.pem", ca("Second").as_bytes()).await;
    let arn = domain(&server).await;
    server.ok("PATCH", DOMAIN, pin(&arn, URI, Some(&first))).await;
    let only_version = json!({
        "domainNameConfigurations": [{"certificateArn": arn}], "mutualTlsAuthentication": {"truststoreVersion": second}
    });
    let moved = server.ok("PATCH", DOMAIN, only_version).await;
    assert_eq!(moved["mutualTlsAuthentication"], json!({"truststoreUri": URI, "truststoreVersion": second}));
    assert_eq!(server.control.settings().state().blobs().len(), 2, "the old one is kept");
    let kept = server.ok("PATCH", DOMAIN, json!({"domainNameConfigurations": [{"certificateArn": arn}]})).await;
    assert_eq!(kept["mutualTlsAuthentication"]["truststoreVersion"], second);
    let off = server.ok("PATCH", DOMAIN, pin(&arn, "", None)).await;
    assert_eq!(off["mutualTlsAuthentication"], Value::Null);
    assert_eq!(server.control.settings().state().blobs().len(), 2, "both can be had again");
}

#[tokio::test]
async fn a_truststore_warns_of_its_certificates() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Unversioned);
    let pem = format!("{}{}", ca("Partner CA"), leaf("Old Partner"));
    server.put_object("/your-bucket/ca.pem", pem.as_bytes()).await;
    let arn = domain(&server).await;
    let set = server.ok("PATCH", DOMAIN, pin(&arn, URI, None)).await;
    let warnings = set["mutualTlsAuthentication"]["truststoreWarnings"].as_array().unwrap();
    let expired = warnings.iter().find(|text| text.as_str().unwrap().contains("expired")).unwrap();
    assert!(expired.as_str().unwrap().contains("CN=Old Partner"), "{expired}");
    assert!(!warnings.iter().any(|text| text.as_str().unwrap().contains("CN=Partner CA")), "{warnings:?}");
}

#[tokio::test]
async fn a_stale_pin_tells_of_the_newer_version() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Enabled);
    let first = server.put_object("/your-bucket/ca.pem", ca("First").as_bytes()).await;
    let arn = domain(&server).await;
    let set = server.ok("PATCH", DOMAIN, pin(&arn, URI, Some(&first))).await;
    assert_eq!(set["mutualTlsAuthentication"]["truststoreWarnings"], Value::Null);
    let revision = server.control.settings().state().domains["api.example.com"].revision;

    let second = server.put_object("/your-bucket/ca.pem", ca("Second").as_bytes()).await;
    let state = server.control.settings().state();
    let mutual_tls = state.domains["api.example.com"].mutual_tls.clone().unwrap();
    let newest = mutual_tls.newest.unwrap();
    assert_eq!((&newest.version, state.blobs().len()), (&second, 2));
    assert!(server.control.settings().blob(&newest.digest.unwrap()).await.unwrap().is_some());
    assert_eq!(state.domains["api.example.com"].revision, revision, "it is enforced as before");
    let told = server.ok("GET", DOMAIN, Value::Null).await;
    let warning = told["mutualTlsAuthentication"]["truststoreWarnings"][0].as_str().unwrap().to_owned();
    assert!(
        warning.contains(&second) && warning.contains(&first) && warning.contains("update the domain"),
        "{warning}"
    );

    // An update to the newer version settles it; one back to the old version tells again.
    let moved = server.ok("PATCH", DOMAIN, pin(&arn, URI, Some(&second))).await;
    assert_eq!(moved["mutualTlsAuthentication"]["truststoreWarnings"], Value::Null);
    let back = server.ok("PATCH", DOMAIN, pin(&arn, URI, Some(&first))).await;
    assert!(back["mutualTlsAuthentication"]["truststoreWarnings"][0].as_str().unwrap().contains(&second));

    server.s3("DELETE", "/your-bucket/ca.pem", b"").await;
    let deleted = server.ok("GET", DOMAIN, Value::Null).await;
    assert!(deleted["mutualTlsAuthentication"]["truststoreWarnings"][0].as_str().unwrap().contains("was deleted"));
    assert_eq!(server.control.settings().state().blobs().len(), 2);
    let versions = server.s3("DELETE", &format!("/your-bucket/ca.pem?versionId={second}"), b"").await;
    assert!(versions.status().is_success());
}

#[tokio::test]
async fn a_version_of_which_nobody_was_told_is_found() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Enabled);
    let first = server.put_object("/your-bucket/ca.pem", ca("First").as_bytes()).await;
    let arn = domain(&server).await;
    server.ok("PATCH", DOMAIN, pin(&arn, URI, Some(&first))).await;
    let control = &server.control;
    let revision = control.settings().state().revision;
    control.catch_up().await.unwrap();
    assert_eq!(control.settings().state().revision, revision, "there is nothing to find");

    // As if the server had ended right after the object was written.
    let mut staged = control.objects().stage().unwrap();
    staged.write(ca("Second").as_bytes()).unwrap();
    let put = control.objects().put("your-bucket", "ca.pem", staged, Metadata::default(), &Precondition::None, 1);
    let second = put.unwrap().0.version.unwrap();
    control.catch_up().await.unwrap();
    let newest = control.settings().state().domains["api.example.com"].mutual_tls.clone().unwrap().newest.unwrap();
    assert_eq!(newest.version, second);
}

#[tokio::test]
async fn without_versioning_other_content_is_noticed_all_the_same() {
    let server = Server::start().await;
    server.make_bucket("your-bucket", Versioning::Unversioned);
    let (first, second) = (ca("First"), ca("Second"));
    server.put_object("/your-bucket/ca.pem", first.as_bytes()).await;
    let arn = domain(&server).await;
    server.ok("PATCH", DOMAIN, pin(&arn, URI, None)).await;
    server.put_object("/your-bucket/ca.pem", second.as_bytes()).await;
    let told = server.ok("GET", DOMAIN, Value::Null).await;
    assert!(told["mutualTlsAuthentication"]["truststoreWarnings"][0].as_str().unwrap().contains("other content"));
    server.put_object("/your-bucket/ca.pem", first.as_bytes()).await;
    let same = server.ok("GET", DOMAIN, Value::Null).await;
    assert_eq!(same["mutualTlsAuthentication"]["truststoreWarnings"], Value::Null);
    let revision = server.control.settings().state().revision;
    server.put_object("/your-bucket/other.pem", second.as_bytes()).await;
    assert_eq!(server.control.settings().state().revision, revision, "another object is no commit");
}

#[tokio::test]
async fn aws_exact_asks_for_the_ownership_certificate() {
    let server = Server::start_with(|config| config.aws_exact = true).await;
    server.make_bucket("your-bucket", Versioning::Enabled);
    server.put_object("/your-bucket/ca.pem", ca("Partner CA").as_bytes()).await;
    let arn = domain(&server).await;
    let refused = server.refused("PATCH", DOMAIN, pin(&arn, URI, None)).await;
    assert_eq!(refused, (400, "Missing ownershipVerificationCertificate.".to_owned()));
    let public = server.certificate("public.example.com", CertificateOrigin::AmazonIssued).await;
    let mut body = pin(&arn, URI, None);
    body["domainNameConfigurations"][0]["ownershipVerificationCertificateArn"] = json!(public);
    server.ok("PATCH", DOMAIN, body).await;
}

#[tokio::test]
async fn mappings_tie_paths_to_stages() {
    let server = Server::start().await;
    domain(&server).await;
    let api = server.ok("POST", "/v2/apis", json!({"name": "a", "protocolType": "HTTP", "target": "http://b/"})).await;
    let api_id = api["apiId"].as_str().unwrap();
    let path = format!("{DOMAIN}/apimappings");
    let body = |key: &str, stage: &str| json!({"apiId": api_id, "stage": stage, "apiMappingKey": key});
    let root = server.ok("POST", &path, json!({"apiId": api_id, "stage": "$default"})).await;
    assert_eq!(root["apiMappingKey"], "");
    server.ok("POST", &path, body("v1/orders", "$default")).await;
    for (body, status, said) in [
        (body("v1/orders", "$default"), 409, "ApiMapping key already exists for this domain name"),
        (body("/x", "$default"), 400, "API mapping key"),
        (body("x", "none"), 400, "Invalid stage identifier specified"),
        (json!({"apiId": "none", "stage": "$default", "apiMappingKey": "x"}), 404, "Invalid API identifier"),
    ] {
        let refused = server.refused("POST", &path, body.clone()).await;
        assert!(refused.0 == status && refused.1.contains(said), "{body}: {refused:?}");
    }
    let at = format!("{path}/{}", root["apiMappingId"].as_str().unwrap());
    let taken = server.refused("PATCH", &at, body("v1/orders", "$default")).await;
    assert_eq!(taken.0, 409);
    assert_eq!(server.ok("PATCH", &at, json!({"apiId": api_id, "apiMappingKey": "v2"})).await["stage"], "$default");
    let mapped = server.refused("DELETE", &format!("/v2/apis/{api_id}/stages/$default"), Value::Null).await;
    assert!(mapped.1.contains("Please remove all API mappings"), "{mapped:?}");
    let mapped = server.refused("DELETE", &format!("/v2/apis/{api_id}"), Value::Null).await;
    let message = "failed. Please remove all API mappings for the API from your custom domain names.";
    assert_eq!(mapped, (400, format!("Deleting API {api_id} {message}")));
    server.ok("DELETE", &at, Value::Null).await;
    assert_eq!(server.ok("GET", &path, Value::Null).await["items"].as_array().unwrap().len(), 1);
    server.ok("DELETE", DOMAIN, Value::Null).await;
    assert!(server.control.settings().state().mappings.is_empty());
    server.ok("DELETE", &format!("/v2/apis/{api_id}"), Value::Null).await;
}

#[tokio::test]
async fn extensions_travel_as_tags() {
    let server = Server::start().await;
    domain(&server).await;
    let tags = "/v2/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Fdomainnames%2Fapi.example.com";
    let before = server.control.settings().state().domains["api.example.com"].revision;
    server.ok("POST", tags, json!({"tags": {"countersign:rejection": "alert", "team": "edge"}})).await;
    let state = server.control.settings().state();
    assert!(state.domains["api.example.com"].revision > before, "it is updating until the tag is enforced");
    for (name, said) in [("countersign:rejektion", "Unknown tag"), ("countersign:profile", "Expected: aws, rfc5280")] {
        let refused = server.refused("POST", tags, json!({"tags": {name: "x"}})).await;
        assert!(refused.0 == 400 && refused.1.contains(said), "{refused:?}");
    }
    server.ok("DELETE", &format!("{tags}?tagKeys=team&tagKeys=none"), Value::Null).await;
    let left = server.ok("GET", tags, Value::Null).await;
    assert_eq!(left, json!({"tags": {"countersign:rejection": "alert"}}));
    let arn = server.certificate("b.example.com", CertificateOrigin::Imported).await;
    let body = json!({
        "domainName": "b.example.com", "domainNameConfigurations": [{"certificateArn": arn}],
        "tags": {"countersign:eku": "all"}
    });
    assert_eq!(server.refused("POST", "/v2/domainnames", body).await.0, 400);
    assert_eq!(server.refused("GET", "/v2/tags/arn%3Aaws%3As3%3A%3A%3Ab", Value::Null).await.0, 400);
}

#[tokio::test]
async fn a_wildcard_has_a_log_group_that_can_be_named() {
    let server = Server::start().await;
    let arn = server.certificate("*.example.com", CertificateOrigin::Imported).await;
    let body = json!({"domainName": "*.example.com", "domainNameConfigurations": [{"certificateArn": arn}]});
    server.ok("POST", "/v2/domainnames", body).await;
    let state = server.control.settings().state();
    assert!(State::one(&state.log_groups, "us-east-1", "/countersign/domains/_.example.com").is_some());
    server.ok("GET", "/v2/domainnames/%2A.example.com", Value::Null).await;
}

#[tokio::test]
async fn concurrent_updates_of_one_domain_keep_each_others_work() {
    let server = Arc::new(Server::start().await);
    server.make_bucket("your-bucket", Versioning::Enabled);
    let arn = domain(&server).await;
    let mut versions = Vec::new();
    for number in 0..4 {
        versions.push(server.put_object("/your-bucket/ca.pem", ca(&number.to_string()).as_bytes()).await);
    }
    server.ok("PATCH", DOMAIN, pin(&arn, URI, None)).await;
    let tags = "/v2/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Fdomainnames%2Fapi.example.com";
    let tasks = (0..32).map(|number| {
        let (server, arn, version) = (Arc::clone(&server), arn.clone(), versions[number % 4].clone());
        tokio::spawn(async move {
            server.ok("PATCH", DOMAIN, pin(&arn, URI, Some(&version))).await;
            server.ok("POST", tags, json!({"tags": {format!("t{number}"): "x"}})).await;
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let state = server.control.settings().state();
    let domain = &state.domains["api.example.com"];
    let mutual_tls = domain.mutual_tls.as_ref().unwrap();
    assert_eq!(domain.tags.len(), 32);
    assert_eq!(mutual_tls.version.as_ref(), Some(&mutual_tls.read_version));
    assert!(server.control.settings().blob(&mutual_tls.digest).await.unwrap().is_some());
}
