//! Limits keyed by certificate: each client has its own, whatever connections and runtimes its requests come by.

use std::sync::atomic::Ordering;

use model::resource::Domain;
use model::{Change, Rejection};

use crate::support::{Client, DOMAIN, Http, Setup, Tls, World, domain, stage};

async fn start(tags: &[(&str, &str)]) -> World {
    let mut world = Setup::new().start().await;
    let next = limited(&world, tags);
    world.commit(&[Change::put(&next)]).await;
    world
}

fn limited(world: &World, tags: &[(&str, &str)]) -> Domain {
    let mut domain = domain(DOMAIN, Some(&world.ca.pem()), Rejection::Respond);
    domain.tags.extend(tags.iter().map(|(name, value)| (format!("countersign:client-{name}"), (*value).to_owned())));
    domain
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

#[tokio::test]
async fn a_client_beyond_its_rate_is_told_and_others_are_not_concerned() {
    let world = start(&[("rate", "0.5"), ("burst", "3")]).await;
    let alice = world.client(Some(&world.ca.client("alice")));
    assert_eq!(statuses(&alice, 6).await, [200, 200, 200, 429, 429, 429]);
    let answer = alice.with(Tls::V13, Http::V2).get(Http::V2, "/proxy/x").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (429, r#"{"message":"Too Many Requests"}"#));
    assert_eq!(answer.header("x-amzn-errortype"), "TooManyRequestsException");
    assert_eq!(answer.header("retry-after"), "2");
    // Of the same name, and another certificate.
    let other = world.client(Some(&world.ca.client("alice")));
    assert_eq!(statuses(&other, 3).await, [200; 3]);
    world.now.fetch_add(2_000, Ordering::SeqCst);
    assert_eq!(statuses(&other, 2).await, [200, 429]);
    assert_eq!(world.backend.seen().len(), 7, "what is beyond reaches no backend");

    let totals = world.edge.counters().totals()[DOMAIN].clone();
    assert_eq!((totals.requests, totals.beyond_rate, totals.beyond_concurrency), (12, 5, 0));
    let id = answer.header("apigw-requestid").to_owned();
    let log = world.finish().await;
    let line = log.stage.iter().find(|line| line["id"] == id.as_str()).expect("its line");
    for (name, wanted) in
        [("status", "429"), ("type", "THROTTLED"), ("error", "the client's rate is exceeded"), ("dn", "CN=alice")]
    {
        assert_eq!(line[name], wanted, "{name}");
    }
}

#[tokio::test]
async fn certificates_of_one_subject_can_share() {
    let world = start(&[("rate", "1"), ("burst", "2"), ("rate-by", "subject")]).await;
    let (old, new) = (world.client(Some(&world.ca.client("alice"))), world.client(Some(&world.ca.client("alice"))));
    assert_eq!((statuses(&old, 1).await, statuses(&new, 2).await), (vec![200], vec![200, 429]));
    assert_eq!(statuses(&world.client(Some(&world.ca.client("bob"))), 1).await, [200]);
}

#[tokio::test]
async fn a_place_is_taken_until_the_answer_was_sent() {
    let mut world = start(&[("concurrency", "1")]).await;
    let identity = world.ca.client("alice");
    let (held, client) = (world.client(Some(&identity)), world.client(Some(&identity)));
    let held = tokio::spawn(async move { held.get(Http::V1, "/proxy/hold").await.unwrap().status });
    world.backend.arrival().await;
    let answer = client.get(Http::V1, "/proxy/x").await.unwrap();
    assert_eq!((answer.status, answer.header("retry-after")), (429, "1"));
    assert_eq!(
        statuses(&world.client(Some(&world.ca.client("bob"))), 1).await,
        [200],
        "others have places of their own"
    );
    world.backend.release.notify_one();
    assert_eq!(held.await.unwrap(), 200);
    let mut refused = 1;
    for number in 0..3 {
        // One after the other. Another core may not have given the place back yet when the client has the answer.
        while statuses(&client, 1).await != [200] {
            refused += 1;
            assert!(refused < 100, "the place was not given back after answer {number}");
        }
    }
    assert_eq!(world.edge.counters().totals()[DOMAIN].beyond_concurrency, refused);
}

#[tokio::test]
async fn other_settings_give_nothing_back_and_other_limits_begin_anew() {
    let tags = [("rate", "0.001"), ("burst", "2")];
    let mut world = start(&tags).await;
    let client = world.client(Some(&world.ca.client("alice")));
    assert_eq!(statuses(&client, 3).await, [200, 200, 429]);
    let mut changed = limited(&world, &tags);
    changed.tags.insert("team".into(), "edge".into());
    world.commit(&[Change::put(&changed), Change::put(&stage("prod"))]).await;
    assert_eq!(statuses(&client, 1).await, [429]);
    let wider = limited(&world, &[("rate", "0.001"), ("burst", "3")]);
    world.commit(&[Change::put(&wider)]).await;
    assert_eq!(statuses(&client, 4).await, [200, 200, 200, 429]);
    let none = limited(&world, &[]);
    world.commit(&[Change::put(&none)]).await;
    assert_eq!(statuses(&client, 5).await, [200; 5]);
}
