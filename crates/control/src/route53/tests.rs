use model::resource::{Domain, HostedZone};
use serde_json::{Value, json};

use super::*;

pub(super) fn zone(name: &str) -> HostedZone {
    let input = CreateHostedZoneRequest {
        name: name.to_owned(),
        caller_reference: name.to_owned(),
        ..CreateHostedZoneRequest::default()
    };
    zone::made(&input, &["ns-1.x.test".to_owned(), "ns-2.x.test".to_owned()], 1).unwrap()
}

fn with_zone() -> (State, HostedZone) {
    let (mut state, zone) = (State::default(), zone("Example.com"));
    state.apply(1, &zone::create(&state, &zone).unwrap()).unwrap();
    (state, zone)
}

/// `ACTION name TYPE value…`, or `ACTION name TYPE alias ZONE target`.
fn change(text: &str) -> Change {
    let words: Vec<&str> = text.split(' ').collect();
    let mut set = json!({"Name": words[1], "Type": words[2]});
    match words[3..] {
        ["alias", zone, target] => {
            set["AliasTarget"] = json!({"HostedZoneId": zone, "DNSName": target, "EvaluateTargetHealth": false});
        }
        _ => {
            set["TTL"] = json!(300);
            set["ResourceRecords"] =
                words[3..].iter().map(|value| json!({"Value": value})).collect::<Vec<Value>>().into();
        }
    }
    serde_json::from_value(json!({"Action": words[0], "ResourceRecordSet": set})).unwrap()
}

fn apply(state: &mut State, zone: &HostedZone, batch: &[&str]) -> Result<(), String> {
    let batch: Vec<Change> = batch.iter().map(|text| change(text)).collect();
    let changes = batch::changes(state, &zone.id, &batch, "localhost").map_err(|error| error.message)?;
    state.apply(state.revision + 1, &changes).unwrap();
    Ok(())
}

fn names(state: &State, zone: &HostedZone) -> Vec<String> {
    State::of(&state.record_sets, &zone.id).map(|set| format!("{} {}", set.name, set.record_type)).collect()
}

#[test]
fn a_zone_is_made_with_its_name_servers() {
    let (state, zone) = with_zone();
    assert_eq!((zone.name.as_str(), zone.id.len()), ("example.com.", 20));
    assert_eq!(names(&state, &zone), ["example.com. NS", "example.com. SOA"]);
    let soa = State::one(&state.record_sets, &zone.id, "com.example. SOA").unwrap();
    let values = vec!["ns-1.x.test. hostmaster.x.test. 1 7200 900 1209600 86400".to_owned()];
    assert_eq!(soa.answer, resource::RecordAnswer::Records { ttl: 900, values });
    let again = zone::create(&state, &zone).unwrap_err();
    assert_eq!((again.code, again.status.as_u16()), ("HostedZoneAlreadyExists", 409));
    assert_eq!(zone::delete(&state, &format!("/hostedzone/{}", zone.id)).unwrap().len(), 3);
    assert_eq!(zone::delete(&state, "Z0").unwrap_err().message, "No hosted zone found with ID: Z0");
}

#[test]
fn what_a_batch_may_say() {
    let (mut state, zone) = with_zone();
    apply(
        &mut state,
        &zone,
        &["CREATE www.example.com A 192.0.2.1 192.0.2.2", "UPSERT *.example.com CNAME www.example.com"],
    )
    .unwrap();
    assert_eq!(zone::delete(&state, &zone.id).unwrap_err().code, "HostedZoneNotEmpty");
    let at_www = "[name='www.example.com.', type='A']";
    for (batch, message) in [
        (vec!["CREATE www.example.com A 192.0.2.3"], format!("[Tried to create resource record set {at_www} but it already exists]")),
        (vec!["DELETE www.example.com A 192.0.2.1"], format!("[Tried to delete resource record set {at_www} but the values provided do not match the current values]")),
        (vec!["DELETE no.example.com A 192.0.2.1"], "[Tried to delete resource record set [name='no.example.com.', type='A'] but it was not found]".into()),
        (vec!["CREATE example.net A 192.0.2.1"], "[RRSet with DNS name example.net. is not permitted in zone example.com.]".into()),
        (vec!["CREATE example.com CNAME a.test"], "[RRSet of type CNAME with DNS name example.com. is not permitted at apex in zone example.com.]".into()),
        (vec!["CREATE www.example.com CNAME a.test"], "[RRSet of type CNAME with DNS name www.example.com. is not permitted as it conflicts with other records with the same DNS name in zone example.com.]".into()),
        (vec!["CREATE *.example.com A 192.0.2.1"], "[RRSet of type A with DNS name \\052.example.com. is not permitted because a conflicting RRSet of type CNAME with the same DNS name already exists in zone example.com.]".into()),
        (vec!["DELETE example.com SOA x"], "[Tried to delete resource record set [name='example.com.', type='SOA'] but the values provided do not match the current values]".into()),
        (vec!["CREATE a.example.com A x", "CREATE b.example.com A 192.0.2.1", "CREATE www.example.com A 192.0.2.3"],
         format!("[Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address) encountered with 'x'', Tried to create resource record set {at_www} but it already exists]")),
        (vec!["CREATE a.example.com A alias Z2FDTNDATAQYW2 d1.cloudfront.net"], "[Tried to create an alias that targets d1.cloudfront.net., type A in zone Z2FDTNDATAQYW2, but that zone is neither this hosted zone nor that of custom domain names]".into()),
        (vec!["CREATE a.example.com A alias Z1UJRXOUMOOFQ8 d-1.execute-api.us-east-1.localhost"], "[Tried to create an alias that targets d-1.execute-api.us-east-1.localhost., type A in zone Z1UJRXOUMOOFQ8, but that target was not found]".into()),
    ] {
        assert_eq!(apply(&mut state, &zone, &batch).unwrap_err(), message, "{batch:?}");
    }
    assert_eq!(names(&state, &zone).len(), 4, "all or nothing");
}

#[test]
fn changes_of_a_batch_follow_one_another() {
    let (mut state, zone) = with_zone();
    apply(&mut state, &zone, &["CREATE a.example.com CNAME b.test"]).unwrap();
    apply(&mut state, &zone, &["DELETE a.example.com CNAME b.test", "CREATE a.example.com A 192.0.2.1"]).unwrap();
    apply(&mut state, &zone, &["UPSERT a.example.com A 192.0.2.2", "UPSERT a.example.com TXT \"x\""]).unwrap();
    assert_eq!(names(&state, &zone), ["example.com. NS", "example.com. SOA", "a.example.com. A", "a.example.com. TXT"]);
    apply(&mut state, &zone, &[&format!("CREATE alias.example.com A alias {} a.example.com", zone.id)]).unwrap();
    apply(&mut state, &zone, &["DELETE a.example.com A 192.0.2.2"]).unwrap();
}

#[test]
fn an_alias_leads_to_a_custom_domain() {
    let (mut state, zone) = with_zone();
    let domain: Domain = crate::acm::tests::domain("arn");
    state.apply(2, &[Put::put(&domain)]).unwrap();
    let target = format!("{}.execute-api.{}.localhost", domain.target_id, domain.region);
    apply(&mut state, &zone, &[&format!("CREATE api.example.com A alias Z1UJRXOUMOOFQ8 {target}")]).unwrap();
    let addresses = ["192.0.2.1".parse().unwrap(), "::1".parse().unwrap()];
    let resolver = Resolver { state: &state, addresses: &addresses, suffix: "localhost" };
    let answer = |of| resolver.answer(&Name::parse("api.example.com").unwrap(), of);
    assert_eq!(answer("A").answers[0].values, ["192.0.2.1"]);
    assert_eq!(answer("AAAA").found, Found::NoData, "there is no alias of that type");
}

#[test]
fn routing_policies_are_refused() {
    let (state, zone) = with_zone();
    for (member, value) in [("Weight", json!(1)), ("SetIdentifier", json!("a")), ("HealthCheckId", json!("h"))] {
        let mut asked = json!({"Action": "CREATE", "ResourceRecordSet": {"Name": "a.example.com", "Type": "A", "TTL": 1, "ResourceRecords": [{"Value": "192.0.2.1"}]}});
        asked["ResourceRecordSet"][member] = value;
        let asked = serde_json::from_value(asked).unwrap();
        let error = batch::changes(&state, &zone.id, &[asked], "localhost").unwrap_err();
        assert_eq!(error.code, "InvalidInput");
        assert!(error.message.contains(member), "{}", error.message);
    }
    let neither = serde_json::from_value(
        json!({"Action": "CREATE", "ResourceRecordSet": {"Name": "a.example.com", "Type": "A"}}),
    )
    .unwrap();
    assert_eq!(batch::changes(&state, &zone.id, &[neither], "localhost").unwrap_err().code, "InvalidInput");
}

#[test]
fn lists_come_in_order_and_in_pages() {
    let (mut state, zone) = with_zone();
    apply(
        &mut state,
        &zone,
        &["CREATE z.example.com A 192.0.2.1", "CREATE a.z.example.com A 192.0.2.1", "CREATE b.example.com A 192.0.2.1"],
    )
    .unwrap();
    let list = |name: Option<String>, of: Option<RRType>| {
        let input = ListResourceRecordSetsRequest {
            hosted_zone_id: zone.id.clone(),
            max_items: Some("2".into()),
            start_record_name: name,
            start_record_type: of,
            start_record_identifier: None,
        };
        listing::record_sets(&state, input).unwrap()
    };
    let mut seen = Vec::new();
    let mut next = (None, None);
    loop {
        let page = list(next.0, next.1);
        seen.extend(page.resource_record_sets.unwrap().into_iter().map(|set| format!("{} {}", set.name, set.r#type)));
        next = (page.next_record_name, page.next_record_type);
        if page.is_truncated == Some(false) {
            break;
        }
    }
    assert_eq!(
        seen,
        ["example.com. NS", "example.com. SOA", "b.example.com. A", "z.example.com. A", "a.z.example.com. A"]
    );
    let from_b = list(Some("b.example.com".into()), None);
    assert_eq!(from_b.resource_record_sets.unwrap()[0].name, "b.example.com.");
}

#[test]
fn old_changes_are_forgotten() {
    let mut state = State::default();
    let change = |id: usize| resource::ZoneChange { id: format!("C{id}"), revision: 0, submitted: 0, comment: None };
    for id in 0..MAX_CHANGES + 5 {
        let changes = noted(&state, &change(id));
        state.apply(state.revision + 1, &changes).unwrap();
    }
    assert_eq!(state.zone_changes.len(), MAX_CHANGES);
    assert!(!state.zone_changes.contains_key("C4") && state.zone_changes.contains_key("C5"));
}
