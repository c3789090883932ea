//! APIs whose requests are held against policies. What policies say is tested where they are; here is what becomes of it.

use model::resource::{ApiPolicy, NamedObject};
use model::{Blob, Blobs, Change};

use crate::support::{Answer, DOMAIN, Http, Setup, World};

/// As one client, over HTTP/1.1.
async fn get(world: &World, path: &str) -> Answer {
    world.client(Some(&world.ca.client("alice"))).get(Http::V1, path).await.unwrap()
}

/// The API names these policies, and the store has them or not.
async fn enforce(world: &mut World, policies: &str, are_there: bool) {
    let blob = Blob::of(policies.as_bytes());
    let object = NamedObject {
        uri: "s3://bucket/policy.cedar".into(),
        version: None,
        read_version: "v7".into(),
        digest: blob.digest().to_owned(),
        read: 0,
        warnings: Vec::new(),
        lists: Default::default(),
        newest: None,
    };
    let change = Change::put(&ApiPolicy { api_id: "a1b2c3d4e5".into(), object });
    let blobs = if are_there { Blobs::from([(blob.digest().to_owned(), blob)]) } else { Blobs::new() };
    world.publish(&[change], &blobs).await;
}

#[tokio::test]
async fn what_policies_refuse_is_answered_counted_and_recorded() {
    let mut world = Setup::new().start().await;
    let alice = "permit(principal is Client, action, resource) when { principal.commonName.contains(\"alice\") };";
    enforce(&mut world, alice, true).await;
    assert_eq!(get(&world, "/proxy/x").await.status, 200);
    let down = "@id(\"no x\") forbid(principal, action, resource) when { context.path == \"/proxy/x\" };";
    enforce(&mut world, &format!("{alice}{down}"), true).await;
    let forbidden = get(&world, "/proxy/x").await;
    assert_eq!((forbidden.status, get(&world, "/proxy/y").await.status), (403, 200));
    enforce(&mut world, "permit(principal is Anonymous, action, resource);", true).await;
    let unpermitted = get(&world, "/proxy/x").await;
    assert_eq!(unpermitted.status, 403);
    enforce(&mut world, "permit(principal, action, resource);", false).await;
    let lost = get(&world, "/proxy/x").await;
    assert_eq!(lost.status, 500, "what decides is not there");
    assert_eq!(world.backend.seen().len(), 2);
    let denials = [("PolicyDoesNotPermit", 1), ("PolicyForbids", 1), ("PolicyUnusable", 1)];
    assert_eq!(world.edge.counters().totals()[DOMAIN].denials, denials.into());
    let log = world.finish().await;
    for (answer, code, detail) in [
        (forbidden, "PolicyForbids", "no x of s3://bucket/policy.cedar version v7 forbids the request"),
        (unpermitted, "PolicyDoesNotPermit", "no policy of s3://bucket/policy.cedar version v7 permits the request"),
        (lost, "PolicyUnusable", "the policies cannot be used"),
    ] {
        let denial = log.record(answer.header("apigw-requestid")).denial.expect("it was denied");
        assert_eq!((&*denial.code, &*denial.detail), (code, detail));
    }
}
