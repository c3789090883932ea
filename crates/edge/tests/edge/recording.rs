//! What a domain wants recorded, and how surely.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Request;
use journal::{AccessRecord, AdmissionRecord, Admitted};
use model::resource::{Domain, Tags};
use model::{Change, Rejection};

use crate::support::{DOMAIN, Http, Log, Setup, World, domain};

/// A world whose domain has these tags.
async fn tagged(tags: &[(&str, &str)]) -> World {
    let mut world = Setup::new().start().await;
    let pem = world.ca.pem();
    let plain = domain(DOMAIN, Some(&pem), Rejection::Respond);
    let tags: Tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let blobs =
        BTreeMap::from([(model::Blob::of(pem.as_bytes()).digest().to_owned(), model::Blob::of(pem.as_bytes()))]);
    world.publish(&[Change::put(&Domain { tags, ..plain })], &blobs.into_iter().collect()).await;
    world
}

/// The records of requests by their paths, and of those that were to be admitted.
fn of(log: &Log) -> (Vec<AccessRecord<'static>>, Vec<AdmissionRecord<'static>>) {
    (log.all("access"), log.all("admission"))
}

#[tokio::test]
async fn an_admission_is_on_disk_before_the_backend_is_asked() {
    for http in [Http::V1, Http::V2] {
        let mut world = tagged(&[("countersign:records", "required")]).await;
        let client = world.client(Some(&world.ca.client("alice"))).with(crate::support::Tls::V13, http);
        let asked = tokio::spawn(async move { client.get(http, "/proxy/hold").await.unwrap() });
        world.backend.arrival().await;
        let before = world.recorded::<AdmissionRecord<'_>>("admission");
        let [admission] = &before[..] else { panic!("{before:?}") };
        assert_eq!((&*admission.route, &*admission.method, admission.revision), ("ANY /proxy/{p+}", "GET", 2));
        assert_eq!((admission.admitted, &*admission.domain), (Admitted::Trusted, DOMAIN));
        assert!(admission.client.as_ref().is_some_and(|client| client.subject == "CN=alice"));
        world.backend.release.notify_one();
        let answer = asked.await.unwrap();
        assert_eq!((answer.status, answer.header("apigw-requestid")), (200, &*admission.request_id));
        let log = world.finish().await;
        let (access, admissions) = of(&log);
        assert_eq!((access.len(), admissions.len()), (1, 1));
        assert_eq!((&access[0].request_id, &access[0].connection), (&admission.request_id, &admission.connection));
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_forwarded() {
    for (records, status) in [("required", 503), ("durable", 200), ("best-effort", 200)] {
        let world = tagged(&[("countersign:records", records)]).await;
        let client = world.client(Some(&world.ca.client("alice")));
        // Takes nothing any more.
        world.journal.close();
        let upgrade = Request::get("/proxy/x").header("connection", "upgrade").header("upgrade", "websocket");
        let payload = Request::post("/proxy/x");
        for (request, body) in [(Request::get("/proxy/x"), ""), (upgrade, ""), (payload, "payload")] {
            assert_eq!(client.send(Http::V1, request, Bytes::from(body)).await.unwrap().status, status, "{records}");
        }
        let client = client.with(crate::support::Tls::V13, Http::V2);
        let call = Request::post("/proxy/x").header("content-type", "application/grpc");
        assert_eq!(client.send(Http::V2, call, Bytes::from("\0\0\0\0\0")).await.unwrap().status, status, "{records}");
        // What does not go to a backend needs no admission.
        assert_eq!(client.get(Http::V2, "/unset").await.unwrap().status, 500);
        assert_eq!(world.backend.seen().len(), if status == 200 { 4 } else { 0 }, "{records}");
    }
}

#[tokio::test]
async fn requests_at_the_same_time_are_all_admitted() {
    const CLIENTS: usize = 32;
    let world = tagged(&[("countersign:records", "required")]).await;
    let identity = world.ca.client("alice");
    let asking = (0..CLIENTS).map(|_| {
        let client = world.client(Some(&identity));
        tokio::spawn(async move { client.get(Http::V1, "/proxy/x").await.unwrap() })
    });
    let mut wanted = Vec::new();
    for asked in asking.collect::<Vec<_>>() {
        let answer = asked.await.unwrap();
        assert_eq!(answer.status, 200);
        wanted.push(answer.header("apigw-requestid").to_owned());
    }
    let (access, admissions) = of(&world.finish().await);
    let ids = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    let wanted = ids(wanted);
    assert_eq!(ids(admissions.iter().map(|record| record.request_id.to_string()).collect()), wanted);
    assert_eq!(ids(access.iter().map(|record| record.request_id.to_string()).collect()), wanted);
}

/// The paths of lines and records, of requests that declare ids, under some tags.
async fn paths(tags: &[(&str, &str)]) -> Vec<String> {
    let mut world = tagged(tags).await;
    let client = world.client(Some(&world.ca.client("alice")));
    let asked = [
        ("GET", "/Patient/S3CRET/notes?name=T0KEN"),
        ("POST", "/Patient/S3CRET/notes"),
        ("GET", "/v1/Patient/S3CRET/notes"),
        ("GET", "/proxy/any/thing?name=T0KEN"),
        ("GET", "/nothing/at?all=T0KEN"),
    ];
    for (method, path) in asked {
        let request = Request::builder().method(method).uri(path);
        client.send(Http::V1, request, Bytes::new()).await.unwrap();
    }
    assert_eq!(world.backend.seen()[0].target, "/Patient/S3CRET?name=T0KEN", "the backend gets what was sent");
    assert_eq!(world.backend.seen()[0].headers["x-path"], "/Patient/S3CRET/notes", "so do mappings");
    let stranger = world.client(None);
    assert_eq!(stranger.get(Http::V1, "/Patient/S3CRET/notes?name=T0KEN").await.unwrap().status, 403);
    world.refusal().await;
    let log = world.finish().await;
    let all: Vec<serde_json::Value> = log.all("access");
    assert!(all.iter().all(|record| !record.to_string().contains("T0KEN")), "{all:?}");
    let lines = all.iter().map(|record| {
        let line: serde_json::Value = serde_json::from_str(record["message"].as_str().unwrap()).unwrap();
        assert_eq!(line["path"], record["path"]);
        line["path"].as_str().unwrap().to_owned()
    });
    let mut paths: Vec<String> = lines.collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn paths_are_recorded_without_what_routes_declare_to_be_ids() {
    let redacted = "/Patient/{id}/notes";
    assert_eq!(
        paths(&[]).await,
        [redacted, redacted, redacted, "/nothing/at", "/proxy/any/thing", "/v1/Patient/{id}/notes"]
    );
    let full = "/Patient/S3CRET/notes";
    assert_eq!(
        paths(&[("countersign:log-paths", "full")]).await,
        [full, full, full, "/nothing/at", "/proxy/any/thing", "/v1/Patient/S3CRET/notes"]
    );
}

#[tokio::test]
async fn traces_go_on_and_begin_where_that_is_wished() {
    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    for begins in [false, true] {
        let world = tagged(if begins { &[("countersign:trace", "on")] } else { &[] }).await;
        let client = world.client(Some(&world.ca.client("alice")));
        let given = format!("00-{ID}-00f067aa0ba902b7-01");
        let request = Request::get("/proxy/x").header("traceparent", &given).header("tracestate", "a=b");
        let within = client.send(Http::V1, request, Bytes::new()).await.unwrap();
        let wrong = Request::get("/proxy/x").header("traceparent", "00-0-0-0").header("tracestate", "a=b");
        let wrong = client.send(Http::V1, wrong, Bytes::new()).await.unwrap();
        let without = client.get(Http::V1, "/proxy/x").await.unwrap();
        let seen = world.backend.seen();
        let told = |n: usize| seen[n].headers.get("traceparent").map_or("", |value| value.to_str().unwrap());
        let log = world.finish().await;
        let record = log.record(within.header("apigw-requestid"));
        assert_eq!((&*record.trace, &*record.parent_span), (ID, "00f067aa0ba902b7"));
        assert_eq!(told(0), format!("00-{ID}-{}-01", record.span));
        assert_eq!(seen[0].headers["tracestate"], "a=b");
        assert!(!seen[1].headers.contains_key("tracestate"));
        for (n, answer) in [(1, wrong), (2, without)] {
            let record = log.record(answer.header("apigw-requestid"));
            assert_eq!((record.trace.len(), &*record.parent_span), (if begins { 32 } else { 0 }, ""));
            let wanted = format!("00-{}-{}-01", record.trace, record.span);
            assert_eq!(told(n), if begins { &wanted } else { "" });
        }
    }
}
