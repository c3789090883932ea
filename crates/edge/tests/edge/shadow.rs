//! A shadow truststore decides nothing. What it would do otherwise is recorded, counted and told.

use edge::Totals;
use trust::Code;

use crate::support::{Authority, DOMAIN, Http, Setup};

#[tokio::test]
async fn differences_are_recorded_counted_and_told_but_never_enforced() {
    let mut world = Setup::new().start().await;
    let next = Authority::new("Next");
    let (now_pem, next_pem) = (world.ca.pem(), next.pem());
    let (old, new) = (world.ca.client("old"), next.client("new"));
    world.shadow(&now_pem, &next_pem).await;

    let mut ids = Vec::new();
    for (identity, status) in [(&old, 200), (&new, 403), (&old, 200)] {
        let answer = world.client(Some(identity)).get(Http::V1, "/proxy/x").await.unwrap();
        assert_eq!(answer.status, status, "the enforced truststore decides");
        ids.push(answer.header("apigw-requestid").to_owned());
    }
    let told = [world.difference().await, world.difference().await];
    assert_eq!(told[0].subject, "CN=old");
    assert_eq!(told[0].refusal.as_ref().map(|(code, _)| *code), Some(Code::ClientCertUntrusted));
    assert_eq!((told[1].subject.as_str(), &told[1].refusal), ("CN=new", &None));
    assert_eq!((told[0].uri.as_str(), told[0].version.as_str()), ("s3://bucket/next.pem", "v1"));

    let totals = Totals {
        requests: 2,
        refusals: [(Code::ClientCertUntrusted, 1)].into(),
        denials: Default::default(),
        shadow_would_refuse: 2,
        shadow_would_accept: 1,
        full_handshakes: 3,
        ..Totals::default()
    };
    assert_eq!(world.edge.counters().totals()[DOMAIN], totals);

    // Both truststores together differ from the enforced one for the new client only.
    world.shadow(&now_pem, &format!("{now_pem}{next_pem}")).await;
    let agreed = world.client(Some(&old)).get(Http::V1, "/proxy/x").await.unwrap();
    let log = world.finish().await;
    let shadow = |id: &str| log.record(id).shadow;
    let first = shadow(&ids[0]).expect("it differs");
    assert_eq!(first.refusal, Some(Code::ClientCertUntrusted));
    assert!(!first.detail.is_empty() && first.truststore.version.as_deref() == Some("v1"));
    assert_eq!(shadow(&ids[1]).expect("it differs").refusal, None);
    assert!(shadow(&ids[2]).is_some());
    assert_eq!(shadow(agreed.header("apigw-requestid")), None);
}

#[tokio::test]
async fn who_sends_no_certificate_makes_no_difference() {
    let mut world = Setup::new().start().await;
    let now_pem = world.ca.pem();
    world.shadow(&now_pem, &Authority::new("Next").pem()).await;
    let answer = world.client(None).get(Http::V1, "/proxy/x").await.unwrap();
    assert_eq!(answer.status, 403);
    let id = world.refusal().await.request_id;
    assert_eq!(world.edge.counters().totals()[DOMAIN].shadow_would_accept, 0);
    assert_eq!(world.finish().await.record(&id).shadow, None);
}
