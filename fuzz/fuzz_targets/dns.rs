//! DNS messages of strangers: no panic, and every answer is one, and fits.
#![no_main]

use std::sync::LazyLock;

use control::route53::{Transport, respond};
use libfuzzer_sys::fuzz_target;
use model::dns::{Name, Resolver};
use model::resource::{HostedZone, RecordAnswer, RecordSet};
use model::{Change, State};

/// A zone with something of everything that an answer can be.
static STATE: LazyLock<State> = LazyLock::new(|| {
    let zone = HostedZone {
        id: "Z1".into(),
        name: "a.".into(),
        caller_reference: String::new(),
        comment: None,
        name_servers: Vec::new(),
        created: 0,
        tags: Default::default(),
    };
    let records: &[(&str, &str, &[&str])] = &[
        ("a", "SOA", &["b. c. 1 2 3 4 5"]),
        ("a", "NS", &["ns.a."]),
        ("*.a", "A", &["192.0.2.1", "192.0.2.2"]),
        ("b.a", "CNAME", &["c.a."]),
        ("c.a", "CNAME", &["d.a."]),
        ("d.a", "NS", &["ns.d.a.", "ns.a."]),
        ("ns.d.a", "AAAA", &["::1"]),
        ("t.a", "TXT", &["\"x\" \"y\""]),
    ];
    let mut changes = vec![Change::put(&zone)];
    for (owner, of, values) in records {
        let name = Name::parse(owner).expect("a name");
        changes.push(Change::put(&RecordSet {
            zone_id: "Z1".into(),
            key: name.key_of(of),
            name: name.to_string(),
            record_type: (*of).into(),
            answer: RecordAnswer::Records { ttl: 60, values: values.iter().map(|v| (*v).into()).collect() },
        }));
    }
    let mut state = State::default();
    state.apply(1, &changes).expect("resources of this version");
    state
});

fuzz_target!(|packet: &[u8]| {
    let resolver = Resolver { state: &STATE, addresses: &[], suffix: "localhost" };
    for transport in [Transport::Udp, Transport::Tcp] {
        if let Some(answer) = respond(&resolver, packet, transport) {
            assert!(answer.len() >= 12 && answer[2] & 0x80 != 0 && answer[..2] == packet[..2]);
            assert!(transport == Transport::Tcp || answer.len() <= 1232);
        }
    }
});
