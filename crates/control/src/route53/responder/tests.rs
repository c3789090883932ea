use model::resource::RecordAnswer;
use model::{Change, State};
use proptest::prelude::*;

use super::*;
use crate::route53::tests::zone;
use crate::route53::{record, zone as zones};

fn state() -> State {
    let zone = zone("example.com");
    let mut state = State::default();
    let mut changes = zones::create(&state, &zone).unwrap();
    let mut put = |owner: &str, of: &str, values: Vec<String>| {
        let answer = RecordAnswer::Records { ttl: 300, values };
        changes.push(Change::put(&record::set(&zone.id, &Name::parse(owner).unwrap(), of, answer)));
    };
    put("a.example.com", "A", vec!["192.0.2.1".into()]);
    put("many.example.com", "A", (0..=200).map(|n| format!("192.0.2.{n}")).collect());
    put("text.example.com", "TXT", vec!["\"a b\"".into()]);
    state.apply(1, &changes).unwrap();
    state
}

fn query(name: &str, of: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(WireName::from_ascii(name).unwrap(), of));
    message
}

fn ask(message: &Message, transport: Transport) -> Option<Message> {
    let (state, packet) = (state(), message.to_vec().unwrap());
    let resolver = Resolver { state: &state, addresses: &[], suffix: "localhost" };
    respond(&resolver, &packet, transport).map(|bytes| Message::from_vec(&bytes).unwrap())
}

#[test]
fn questions_and_answers() {
    for (name, of, code, answers, authority) in [
        ("A.Example.com.", RecordType::A, ResponseCode::NoError, 1, 0),
        ("a.example.com.", RecordType::AAAA, ResponseCode::NoError, 0, 1),
        ("b.example.com.", RecordType::A, ResponseCode::NXDomain, 0, 1),
        ("example.com.", RecordType::SOA, ResponseCode::NoError, 1, 0),
        ("example.com.", RecordType::NS, ResponseCode::NoError, 2, 0),
        ("text.example.com.", RecordType::TXT, ResponseCode::NoError, 1, 0),
        ("a.example.com.", RecordType::ANY, ResponseCode::NoError, 1, 0),
        ("example.com.", RecordType::AXFR, ResponseCode::Refused, 0, 0),
        ("example.net.", RecordType::A, ResponseCode::Refused, 0, 0),
        ("example.net.", RecordType::ANY, ResponseCode::Refused, 0, 0),
        (".", RecordType::NS, ResponseCode::Refused, 0, 0),
    ] {
        let asked = query(name, of);
        let answer = ask(&asked, Transport::Udp).unwrap();
        let found = (answer.metadata.response_code, answer.answers.len(), answer.authorities.len());
        assert_eq!(found, (code, answers, authority), "{name} {of}");
        assert_eq!(answer.queries, asked.queries, "as it was asked");
        assert_eq!((answer.metadata.id, answer.metadata.recursion_desired), (7, true));
        assert_eq!(answer.metadata.authoritative, code != ResponseCode::Refused, "{name}");
        assert!(!answer.metadata.recursion_available && answer.edns.is_none());
        assert!(answer.answers.iter().all(|record| record.name == asked.queries[0].name().clone()));
    }
}

#[test]
fn what_does_not_fit_is_asked_for_again_by_tcp() {
    let asked = query("many.example.com.", RecordType::A);
    let answer = ask(&asked, Transport::Udp).unwrap();
    assert!(answer.metadata.truncation && answer.answers.is_empty());
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    let whole = ask(&asked, Transport::Tcp).unwrap();
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 201);
}

#[test]
fn extensions() {
    let mut asked = query("a.example.com.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    asked.set_edns(edns.clone());
    let answer = ask(&asked, Transport::Udp).unwrap();
    assert_eq!(answer.edns.unwrap().max_payload(), MAX_UDP_BYTES);
    edns.set_version(1);
    asked.set_edns(edns);
    let answer = ask(&asked, Transport::Udp).unwrap();
    assert!(answer.answers.is_empty());
    assert_eq!(answer.edns.map(|edns| edns.rcode_high()), Some(1), "BADVERS is 16");
}

#[test]
fn what_is_no_question() {
    let mut none = query("a.example.com.", RecordType::A);
    none.queries.clear();
    assert_eq!(ask(&none, Transport::Udp).unwrap().metadata.response_code, ResponseCode::FormErr);
    let mut two = query("a.example.com.", RecordType::A);
    two.add_query(two.queries[0].clone());
    assert_eq!(ask(&two, Transport::Udp).unwrap().metadata.response_code, ResponseCode::FormErr);
    let mut chaos = query("version.bind.", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(ask(&chaos, Transport::Udp).unwrap().metadata.response_code, ResponseCode::Refused);
    let mut notify = query("example.com.", RecordType::SOA);
    notify.metadata.op_code = OpCode::Notify;
    assert_eq!(ask(&notify, Transport::Udp).unwrap().metadata.response_code, ResponseCode::NotImp);
    let mut answer = query("a.example.com.", RecordType::A);
    answer.metadata.message_type = MessageType::Response;
    assert_eq!(ask(&answer, Transport::Udp), None);
    let state = state();
    let resolver = Resolver { state: &state, addresses: &[], suffix: "localhost" };
    assert_eq!(respond(&resolver, &[0; 11], Transport::Udp), None);
    let bad = respond(&resolver, &[1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xff], Transport::Udp).unwrap();
    assert_eq!((&bad[..2], bad[3] & 15), (&[1, 2][..], 1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_packet_makes_it_panic(mut packet in prop::collection::vec(any::<u8>(), 0..80), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), good in any::<bool>()) {
        if good {
            packet = query("a.example.com.", RecordType::A).to_vec().unwrap();
            for (index, byte) in flips {
                let index = index.index(packet.len());
                packet[index] = byte;
            }
        }
        let state = state();
        let resolver = Resolver { state: &state, addresses: &[], suffix: "localhost" };
        for transport in [Transport::Udp, Transport::Tcp] {
            if let Some(answer) = respond(&resolver, &packet, transport) {
                prop_assert!(answer.len() >= HEADER_BYTES && answer[2] & IS_ANSWER != 0);
                prop_assert!(transport == Transport::Tcp || answer.len() <= usize::from(MAX_UDP_BYTES));
            }
        }
    }
}
