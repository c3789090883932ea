//! What is recorded of changes of the settings, and of calls that were to make some.

use std::collections::BTreeSet;

use aws::{Operation, Protocol, Service};
use bytes::Bytes;
use control::objects::Versioning;
use http::{Request, Response};
use http_body_util::Full;
use journal::{Outcome, Query, SETTINGS_GROUP, SettingsRecord};
use serde_json::{Value, json};

use crate::server::{NOW, REGION, Server};

const SERVICES: [&Service; 7] = [
    &aws::acm::SERVICE,
    &aws::apigateway::SERVICE,
    &aws::apigatewayv2::SERVICE,
    &aws::iam::SERVICE,
    &aws::logs::SERVICE,
    &aws::route53::SERVICE,
    &aws::sts::SERVICE,
];

/// Operations of S3 that change something: method, path and body.
const S3_WRITES: [(&str, &str, &str, &[u8]); 14] = [
    ("CreateBucket", "PUT", "/trail", b""),
    (
        "PutBucketVersioning",
        "PUT",
        "/trail?versioning=",
        b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    ),
    ("PutBucketTagging", "PUT", "/trail?tagging=", b"<Tagging><TagSet/></Tagging>"),
    ("DeleteBucketTagging", "DELETE", "/trail?tagging=", b""),
    ("PutObject", "PUT", "/trail/k", b"x"),
    ("PutObjectTagging", "PUT", "/trail/k?tagging=", b"<Tagging><TagSet/></Tagging>"),
    ("DeleteObjectTagging", "DELETE", "/trail/k?tagging=", b""),
    ("CopyObject", "PUT", "/trail/copy", b""),
    ("CreateMultipartUpload", "POST", "/trail/parts?uploads=", b""),
    ("CompleteMultipartUpload", "POST", "/trail/parts?uploadId=none", b"<CompleteMultipartUpload/>"),
    ("AbortMultipartUpload", "DELETE", "/trail/parts?uploadId=none", b""),
    ("DeleteObject", "DELETE", "/trail/k", b""),
    ("DeleteObjects", "POST", "/trail?delete=", b"<Delete><Object><Key>copy</Key></Object></Delete>"),
    ("DeleteBucket", "DELETE", "/trail", b""),
];

impl Server {
    fn records(&self) -> Vec<SettingsRecord<'static>> {
        let page = self.control.journal().read(&Query::new("", SETTINGS_GROUP)).unwrap();
        page.events.iter().map(|event| serde_json::from_str(&event.message).unwrap()).collect()
    }

    /// Those of the call that was answered so.
    fn records_of(&self, response: &Response<Bytes>) -> Vec<SettingsRecord<'static>> {
        let header = |name| response.headers().get(name).map(|id| id.to_str().unwrap().to_owned());
        let id = header("x-amzn-requestid").or_else(|| header("x-amz-request-id")).expect("an answer has an id");
        self.records().into_iter().filter(|record| record.request_id == id).collect()
    }

    /// Calls an operation with nothing that it needs but `{}`.
    async fn call_bare(&self, service: &Service, operation: &Operation) -> Response<Bytes> {
        let path = operation.path.replace(['{', '}', '+'], "");
        let body = match (service.protocol, operation.method) {
            (Protocol::Query, _) => format!("Action={}&Version={}", operation.name, service.api_version).into_bytes(),
            (_, "GET" | "DELETE") => Vec::new(),
            _ => b"{}".to_vec(),
        };
        let mut request = self.request(operation.method, &path, &body);
        let headers = request.headers_mut();
        headers.insert("user-agent", "trail/1".parse().unwrap());
        match service.protocol {
            Protocol::Json11 => {
                let target = format!("{}.{}", service.target_prefix, operation.name);
                headers.insert("x-amz-target", target.parse().unwrap());
            }
            Protocol::Query => {
                headers.insert("content-type", "application/x-www-form-urlencoded".parse().unwrap());
            }
            Protocol::RestJson | Protocol::RestXml => {}
        }
        sigv4::sign(&mut request, &body, &self.credentials, REGION, service.signing_name, NOW / 1000).unwrap();
        self.send(request).await
    }

    async fn s3_write(&self, operation: &str, method: &str, path: &str, body: &'static [u8]) -> Response<Bytes> {
        let mut request: Request<Full<Bytes>> = self.request(method, path, body);
        request.headers_mut().remove("content-type");
        if operation == "CopyObject" {
            request.headers_mut().insert("x-amz-copy-source", "trail/k".parse().unwrap());
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        sigv4::sign(&mut request, body, &self.credentials, REGION, "s3", now.try_into().unwrap()).unwrap();
        self.send(request).await
    }
}

/// The outcome, as long as an intent stands before each that was made.
fn outcome(records: &[SettingsRecord<'_>], what: &str) -> &'static str {
    match records.iter().map(|record| &record.outcome).collect::<Vec<_>>()[..] {
        [Outcome::Intent, Outcome::Allowed] => "made",
        [Outcome::Intent, Outcome::Denied { .. }] | [Outcome::Denied { .. }] => "denied",
        [Outcome::Allowed] => "nothing",
        [] => "unrecorded",
        _ => panic!("{what}: {records:?}"),
    }
}

#[tokio::test]
async fn every_operation_that_writes_leaves_a_record_and_none_that_reads() {
    let server = Server::start().await;
    let mut seen = BTreeSet::new();
    for service in SERVICES {
        for operation in service.operations.iter().filter(|operation| operation.is_served()) {
            let what = format!("{} {}", service.name, operation.name);
            let response = server.call_bare(service, operation).await;
            let records = server.records_of(&response);
            let outcome = outcome(&records, &what);
            assert_eq!(outcome != "unrecorded", operation.is_write(), "{what} {}: {records:?}", response.status());
            for record in &records {
                let names = (&*record.principal, &*record.access_key_id, &*record.service, &*record.operation);
                let key = server.credentials.access_key_id.as_str();
                let expected = ("arn:aws:iam::123456789012:user/admin", key, service.signing_name, operation.name);
                assert_eq!(names, expected, "{what}");
                assert_eq!((&*record.user_agent, record.source), ("trail/1", Some([127, 0, 0, 1].into())), "{what}");
                assert!(
                    record.resource.starts_with("arn:") || record.resource == "*" || !response.status().is_success(),
                    "{what}"
                );
            }
            assert_eq!(
                response.status().is_success() && operation.is_write(),
                matches!(outcome, "made" | "nothing"),
                "{what}"
            );
            seen.insert(outcome);
        }
    }
    assert_eq!(seen, BTreeSet::from(["denied", "made", "nothing", "unrecorded"]), "the test sees each kind");
}

#[tokio::test]
async fn every_write_to_s3_leaves_a_record_and_no_read() {
    let server = Server::start().await;
    for (operation, method, path, body) in S3_WRITES {
        let response = server.s3_write(operation, method, path, body).await;
        let records = server.records_of(&response);
        let made = if response.status().is_success() { "made" } else { "denied" };
        assert_eq!(outcome(&records, operation), made, "{operation} {:?}", response);
        assert!(records.iter().all(|record| record.service == "s3" && record.operation == operation), "{records:?}");
        assert!(records[0].resource.starts_with("arn:aws:s3:::trail"), "{records:?}");
        let changed = records.last().unwrap().changed.join(" ");
        match operation {
            "PutObject" => assert!(changed.starts_with("trail/k?versionId="), "{changed}"),
            "DeleteObjects" => assert_eq!(changed, "trail/copy"),
            _ => {}
        }
        let fails = ["CompleteMultipartUpload", "AbortMultipartUpload", "DeleteBucket"].contains(&operation);
        assert_eq!(made == "denied", fails, "{operation}");
    }
    server.make_bucket("other", Versioning::Enabled);
    let before = server.records().len();
    for path in ["/", "/other", "/other?list-type=2", "/other?versioning=", "/other/none"] {
        server.s3("GET", path, b"").await;
    }
    assert_eq!(server.records().len(), before);
}

#[tokio::test]
async fn every_revision_has_one_record_that_says_who_made_it() {
    let server = Server::start().await;
    server.make_bucket("bucket", Versioning::Enabled);
    let api = server.ok("POST", "/v2/apis", json!({"name": "n", "protocolType": "HTTP"})).await;
    let id = api["apiId"].as_str().unwrap();
    server.ok("PATCH", &format!("/v2/apis/{id}"), json!({"description": "d"})).await;
    server.ok("DELETE", &format!("/v2/apis/{id}"), Value::Null).await;
    server.json("logs", "Logs_20140328.CreateLogGroup", json!({"logGroupName": "g"})).await.unwrap();
    let records = server.records();
    let made: Vec<u64> = records
        .iter()
        .filter(|record| record.outcome == Outcome::Allowed)
        .filter_map(|record| record.revision_after)
        .collect();
    assert_eq!(made, (1..=server.control.settings().state().revision).collect::<Vec<_>>());
    for (at, record) in records.iter().enumerate().filter(|(_, record)| record.outcome == Outcome::Allowed) {
        let intent = &records[..at].iter().rfind(|other| other.request_id == record.request_id).expect("an intent");
        assert_eq!((&intent.outcome, intent.revision_before), (&Outcome::Intent, record.revision_before));
        assert!(!record.changed.is_empty() && intent.changed == record.changed, "{record:?}");
    }
    let by_itself = records.iter().filter(|record| record.principal == "countersign");
    let operations: BTreeSet<_> = by_itself.map(|record| record.operation.to_string()).collect();
    assert_eq!(
        operations,
        BTreeSet::from(["MakeAdministrator", "MakeEndpointCertificate", "MakeLocalCa"].map(String::from))
    );
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_done() {
    let server = Server::start().await;
    server.make_bucket("bucket", Versioning::Enabled);
    let revision = server.control.settings().state().revision;
    server.control.journal().close();
    let (status, answer) = server.call("POST", "/v2/apis", json!({"name": "n", "protocolType": "HTTP"})).await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("could not be recorded"), "{answer}");
    let group = server.json("logs", "Logs_20140328.CreateLogGroup", json!({"logGroupName": "g"})).await;
    assert_eq!(group.unwrap_err(), "ServiceUnavailableException");
    let put = server.s3("PUT", "/bucket/k", b"x").await;
    assert_eq!(put.status(), 503, "{put:?}");
    assert!(String::from_utf8_lossy(put.body()).contains("<Code>ServiceUnavailable</Code>"), "{put:?}");
    assert_eq!(server.s3("GET", "/bucket/k", b"").await.status(), 404, "nothing was put");
    assert_eq!(server.control.settings().state().revision, revision);
    assert_eq!(server.call("GET", "/v2/apis", Value::Null).await.0, 200, "what reads is served");
    let health = server.send(server.request("GET", "/_countersign/health", b"")).await;
    let health: Value = serde_json::from_slice(health.body()).unwrap();
    assert!(health["faults"].as_array().unwrap().contains(&json!("settings")), "{health}");
}

#[tokio::test]
async fn strangers_are_recorded_in_bounds() {
    let server = Server::start().await;
    let before = server.records().len();
    for n in 0..200 {
        let body = b"{}";
        let mut request = self::Server::request(&server, "POST", &format!("/v2/apis?n={n}"), body);
        let secret = sigv4::SecretKey::new("wrong");
        let id = server.credentials.access_key_id.clone();
        let wrong = sigv4::Credentials { access_key_id: id, secret, session_token: None };
        sigv4::sign(&mut request, body, &wrong, REGION, "apigateway", NOW / 1000).unwrap();
        assert_eq!(server.send(request).await.status(), 403);
        assert_eq!(server.send(server.request("PUT", "/bucket", b"")).await.status(), 403);
    }
    server.control.settings().tell_of_strangers(true);
    let records = server.records().split_off(before);
    let told: Vec<_> = records
        .iter()
        .map(|record| match &record.outcome {
            Outcome::Denied { code, .. } => (&*record.service, &**code, record.calls.unwrap_or(1)),
            other => panic!("{other:?}"),
        })
        .collect();
    let signature = |calls| ("apigateway", "InvalidSignatureException", calls);
    assert_eq!(told, [signature(1), ("s3", "AccessDenied", 1), ("s3", "AccessDenied", 199), signature(199)]);
    assert!(records.iter().all(|record| record.principal.is_empty() && record.source == Some([127, 0, 0, 1].into())));
}

#[tokio::test]
async fn the_records_are_a_log_group_that_cannot_be_changed() {
    let server = Server::start().await;
    let logs =
        async |operation: &str, body: Value| server.json("logs", &format!("Logs_20140328.{operation}"), body).await;
    server.ok("POST", "/v2/apis", json!({"name": "n", "protocolType": "HTTP"})).await;
    let group = json!({"logGroupName": SETTINGS_GROUP});
    let pattern = json!({"logGroupName": SETTINGS_GROUP, "filterPattern": "{ $.operation = \"CreateApi\" }"});
    let found = logs("FilterLogEvents", pattern).await.unwrap();
    let messages: Vec<Value> = found["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| serde_json::from_str(e["message"].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(messages.iter().map(|message| &message["outcome"]).collect::<Vec<_>>(), ["intent", "allowed"]);
    let stream = json!({"logGroupName": SETTINGS_GROUP, "logStreamName": "apigateway", "startFromHead": true});
    assert_eq!(logs("GetLogEvents", stream).await.unwrap()["events"].as_array().unwrap().len(), 2);
    let streams = logs("DescribeLogStreams", group.clone()).await.unwrap();
    assert_eq!(streams["logStreams"][0]["logStreamName"], "apigateway");
    for (prefix, count) in
        [(json!({}), 3), (json!({"logGroupNamePrefix": "/countersign/s"}), 1), (json!({"logGroupNamePrefix": "/x"}), 0)]
    {
        let listed = logs("DescribeLogGroups", prefix).await.unwrap();
        assert_eq!(listed["logGroups"].as_array().unwrap().len(), count, "{listed}");
    }
    let event = json!([{"timestamp": NOW, "message": "forged"}]);
    for (operation, body) in [
        ("CreateLogGroup", group.clone()),
        ("DeleteLogGroup", group.clone()),
        ("DeleteRetentionPolicy", group.clone()),
        ("PutRetentionPolicy", json!({"logGroupName": SETTINGS_GROUP, "retentionInDays": 7})),
        ("CreateLogStream", json!({"logGroupName": SETTINGS_GROUP, "logStreamName": "s"})),
        ("DeleteLogStream", json!({"logGroupName": SETTINGS_GROUP, "logStreamName": "apigateway"})),
        ("PutLogEvents", json!({"logGroupName": SETTINGS_GROUP, "logStreamName": "apigateway", "logEvents": event})),
        ("TagLogGroup", json!({"logGroupName": SETTINGS_GROUP, "tags": {"a": "b"}})),
    ] {
        assert_eq!(logs(operation, body).await.unwrap_err(), "InvalidParameterException", "{operation}");
    }
}
