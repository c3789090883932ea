//! Routes let through what their settings allow, on every runtime and over every change of other settings.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Request;
use model::Change;
use model::resource::{RouteSettings, Stage};

use crate::support::{Client, Http, Setup, Tls, World, stage};

/// `$default` of which every route lets three requests through at once and one a second, but `GET /down` none.
fn throttled() -> Stage {
    let settings = |rate, burst| RouteSettings {
        throttling_rate_limit: Some(rate),
        throttling_burst_limit: Some(burst),
        ..RouteSettings::default()
    };
    Stage {
        default_route_settings: settings(1.0, 3),
        route_settings: [("GET /down".to_owned(), settings(0.0, 0))].into(),
        ..stage("$default")
    }
}

/// Each on a connection of its own, so that all runtimes have their share.
async fn statuses(client: &Client, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(client.get(Http::V1, "/proxy/x").await.unwrap().status);
    }
    statuses.sort_unstable();
    statuses
}

async fn start() -> (World, Client) {
    let mut world = Setup::new().start().await;
    world.commit(&[Change::put(&throttled())]).await;
    let client = world.client(Some(&world.ca.client("alice")));
    (world, client)
}

#[tokio::test]
async fn one_bucket_is_shared_by_all_runtimes_and_fills_with_time() {
    let (world, client) = start().await;
    assert_eq!(statuses(&client, 8).await, [200, 200, 200, 429, 429, 429, 429, 429]);
    world.now.fetch_add(2_000, Ordering::SeqCst);
    assert_eq!(statuses(&client, 4).await, [200, 200, 429, 429]);
    assert_eq!(world.backend.seen().len(), 5, "what is throttled reaches no backend");

    let other = client.get(Http::V1, "/v1/proxy/x").await.unwrap();
    assert_eq!(other.status, 200, "another stage is not throttled");
}

#[tokio::test]
async fn a_throttled_request_is_told_and_recorded() {
    let (world, client) = start().await;
    let client = client.with(Tls::V13, Http::V2);
    let answer = client.send(Http::V2, Request::get("/down"), Bytes::new()).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (429, r#"{"message":"Too Many Requests"}"#));
    assert_eq!(answer.header("x-amzn-errortype"), "TooManyRequestsException");
    assert_eq!(answer.header("apigw-requestid").len(), 16);
    let log = world.finish().await;
    let line = &log.stage[0];
    for (name, wanted) in [
        ("status", "429"),
        ("type", "THROTTLED"),
        ("error", "Too Many Requests"),
        ("route", "GET /down"),
        ("dn", "CN=alice"),
        ("integration", "-"),
    ] {
        assert_eq!(line[name], wanted, "{name}");
    }
}

#[tokio::test]
async fn other_settings_do_not_fill_the_bucket() {
    let (mut world, client) = start().await;
    assert_eq!(statuses(&client, 4).await, [200, 200, 200, 429]);
    world.commit(&[Change::put(&Stage { description: Some("changed".into()), ..throttled() })]).await;
    assert_eq!(statuses(&client, 1).await, [429]);
    world.commit(&[Change::put(&stage("$default"))]).await;
    assert_eq!(statuses(&client, 4).await, [200; 4]);
}
