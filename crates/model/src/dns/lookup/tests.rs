use super::*;
use crate::Change;

const ZONE: &[(&str, &str, &[&str])] = &[
    ("example.com", "NS", &["ns-1.x."]),
    ("example.com", "SOA", &["ns-1.x. hostmaster.x. 1 7200 900 1209600 300"]),
    ("example.com", "A", &["192.0.2.1"]),
    ("www.example.com", "CNAME", &["web.example.com"]),
    ("web.example.com", "A", &["192.0.2.2", "192.0.2.3"]),
    ("out.example.com", "CNAME", &["example.net."]),
    ("loop.example.com", "CNAME", &["pool.example.com."]),
    ("pool.example.com", "CNAME", &["loop.example.com."]),
    ("gone.example.com", "CNAME", &["nowhere.example.com."]),
    ("other.example.com", "CNAME", &["a.example.org."]),
    ("*.wild.example.com", "A", &["192.0.2.9"]),
    ("exact.wild.example.com", "TXT", &["\"x\""]),
    ("deep.below.wild.example.com", "A", &["192.0.2.8"]),
    ("sub.example.com", "NS", &["ns.sub.example.com.", "ns.elsewhere."]),
    ("ns.sub.example.com", "A", &["192.0.2.53"]),
];

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn zone(id: &str, apex: &str) -> HostedZone {
    HostedZone {
        id: id.into(),
        name: name(apex).to_string(),
        caller_reference: id.into(),
        comment: None,
        name_servers: vec![],
        created: 1,
        tags: Default::default(),
    }
}

fn set(zone: &str, owner: &str, record_type: &str, answer: RecordAnswer) -> Change {
    let owner = name(owner);
    Change::put(&RecordSet {
        zone_id: zone.into(),
        key: owner.key_of(record_type),
        name: owner.to_string(),
        record_type: record_type.into(),
        answer,
    })
}

fn values(values: &[&str]) -> RecordAnswer {
    RecordAnswer::Records { ttl: 600, values: values.iter().map(|value| (*value).to_owned()).collect() }
}

fn alias(target: &str) -> RecordAnswer {
    RecordAnswer::Alias { zone_id: "Z1".into(), name: name(target).to_string(), evaluate_target_health: false }
}

fn state() -> State {
    let mut changes = vec![Change::put(&zone("Z1", "example.com")), Change::put(&zone("Z2", "example.org"))];
    changes.extend(ZONE.iter().map(|(owner, of, records)| set("Z1", owner, of, values(records))));
    changes.push(set("Z1", "alias.example.com", "A", alias("web.example.com")));
    changes.push(set("Z1", "circle.example.com", "A", alias("circle.example.com")));
    changes.push(set("Z2", "a.example.org", "A", values(&["192.0.2.7"])));
    let mut state = State::default();
    state.apply(1, &changes).unwrap();
    state
}

fn ask(state: &State, owner: &str, record_type: &str) -> Answer {
    Resolver { state, addresses: &[], suffix: "localhost" }.answer(&name(owner), record_type)
}

#[test]
fn what_zones_answer() {
    use Found::{Elsewhere, NoData, NoName, NoZone, Records};
    let state = state();
    for (owner, of, found, values) in [
        ("example.com", "A", Records, &["192.0.2.1"][..]),
        ("EXAMPLE.com.", "A", Records, &["192.0.2.1"]),
        ("example.com", "AAAA", NoData, &[]),
        ("web.example.com", "A", Records, &["192.0.2.2", "192.0.2.3"]),
        ("www.example.com", "A", Records, &["web.example.com", "192.0.2.2", "192.0.2.3"]),
        ("www.example.com", "CNAME", Records, &["web.example.com"]),
        ("www.example.com", "AAAA", NoData, &["web.example.com"]),
        ("out.example.com", "A", Records, &["example.net."]),
        ("other.example.com", "A", Records, &["a.example.org.", "192.0.2.7"]),
        ("loop.example.com", "A", Records, &["pool.example.com.", "loop.example.com."]),
        ("gone.example.com", "A", NoName, &["nowhere.example.com."]),
        ("nowhere.example.com", "A", NoName, &[]),
        ("a.wild.example.com", "A", Records, &["192.0.2.9"]),
        ("a.b.wild.example.com", "A", Records, &["192.0.2.9"]),
        ("a.wild.example.com", "TXT", NoData, &[]),
        ("exact.wild.example.com", "A", NoData, &[]),
        ("below.wild.example.com", "A", NoData, &[]),
        ("b.below.wild.example.com", "A", NoName, &[]),
        ("wild.example.com", "A", NoData, &[]),
        ("*.wild.example.com", "A", Records, &["192.0.2.9"]),
        ("sub.example.com", "A", Elsewhere, &[]),
        ("a.sub.example.com", "A", Elsewhere, &[]),
        ("sub.example.com", "DS", NoData, &[]),
        ("alias.example.com", "A", Records, &["192.0.2.2", "192.0.2.3"]),
        ("alias.example.com", "AAAA", NoData, &[]),
        ("circle.example.com", "A", NoData, &[]),
        ("example.net", "A", NoZone, &[]),
        ("com", "A", NoZone, &[]),
        (".", "NS", NoZone, &[]),
    ] {
        let answer = ask(&state, owner, of);
        let given: Vec<&str> = answer.answers.iter().flat_map(|records| &records.values).map(String::as_str).collect();
        assert_eq!((answer.found, &given[..]), (found, values), "{owner} {of}");
        let soa = matches!(found, NoData | NoName);
        let soas = answer.authority.iter().filter(|records| records.record_type == "SOA");
        assert_eq!(soas.map(|soa| soa.ttl).collect::<Vec<_>>(), vec![300; usize::from(soa)], "{owner} {of}");
    }
}

#[test]
fn answers_have_the_name_that_was_asked_for() {
    let state = state();
    for owner in ["alias.example.com", "x.y.wild.example.com", "www.example.com"] {
        assert_eq!(ask(&state, owner, "A").answers[0].name, name(owner));
    }
    let referral = ask(&state, "a.sub.example.com", "A");
    assert_eq!(referral.authority[0].values, ["ns.sub.example.com.", "ns.elsewhere."]);
    assert_eq!(referral.additional[0].values, ["192.0.2.53"]);
}

#[test]
fn the_longest_and_oldest_zone_answers() {
    let mut state = state();
    let later = HostedZone { created: 2, ..zone("Z0", "example.com") };
    let below = zone("Z3", "web.example.com");
    let record = set("Z3", "web.example.com", "A", values(&["192.0.2.99"]));
    state.apply(2, &[Change::put(&later), Change::put(&below), record]).unwrap();
    assert_eq!(ask(&state, "example.com", "A").answers[0].values, ["192.0.2.1"]);
    assert_eq!(ask(&state, "web.example.com", "A").answers[0].values, ["192.0.2.99"]);
}
