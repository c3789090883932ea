//! Answers to DNS messages (RFC 1035, RFC 6891), authoritatively from the hosted zones, and refusals of all else.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::HINFO;
use hickory_proto::rr::{DNSClass, Name as WireName, RData, Record, RecordType};
use model::dns::{Answer, Found, Name, RecordsOfOne, Resolver};

use super::value::{on_the_wire, rdata};

/// How a message came, and so how long its answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// 512 bytes, or what the message says (RFC 6891), up to 1232.
    Udp,
    /// As long as a length of 16 bits can say.
    Tcp,
}

const HEADER_BYTES: usize = 12;
/// The bit of the header's third byte that makes a message an answer.
const IS_ANSWER: u8 = 0x80;
const UDP_BYTES: u16 = 512;
/// What passes without being fragmented: DNS flag day 2020.
const MAX_UDP_BYTES: u16 = 1232;
/// For how long somebody may remember that nobody is told everything.
const HINFO_TTL: u32 = 3_600;

/// The answer to whatever came: none where an answer could make two servers talk to one another for ever.
pub fn respond(resolver: &Resolver<'_>, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let header = packet.first_chunk::<HEADER_BYTES>()?;
    if header[2] & IS_ANSWER != 0 {
        return None;
    }
    let id = u16::from_be_bytes([header[0], header[1]]);
    let (answer, limit) = match Message::from_vec(packet) {
        Ok(asked) => (answer(resolver, &asked), limit(&asked, transport)),
        Err(_) => (Message::error_msg(id, OpCode::Query, ResponseCode::FormErr), UDP_BYTES),
    };
    let bytes = answer.to_vec().ok().filter(|bytes| bytes.len() <= usize::from(limit));
    bytes.or_else(|| answer.truncate().to_vec().ok())
}

fn answer(resolver: &Resolver<'_>, asked: &Message) -> Message {
    let mut response = Message::response(asked.metadata.id, asked.metadata.op_code);
    response.metadata.recursion_desired = asked.metadata.recursion_desired;
    response.add_queries(asked.queries.iter().take(1).cloned());
    if let Some(edns) = &asked.edns {
        let mut own = Edns::new();
        own.set_max_payload(MAX_UDP_BYTES).set_version(0);
        response.set_edns(own);
        if edns.version() > 0 {
            response.metadata.response_code = ResponseCode::BADVERS;
            return response;
        }
    }
    response.metadata.response_code = match (asked.metadata.op_code, asked.metadata.message_type, &asked.queries[..]) {
        (OpCode::Query, MessageType::Query, [query]) => fill(&mut response, resolver, query),
        (OpCode::Query, ..) => ResponseCode::FormErr,
        _ => ResponseCode::NotImp,
    };
    response
}

/// Fills in what there is to a question.
fn fill(response: &mut Message, resolver: &Resolver<'_>, query: &Query) -> ResponseCode {
    let transfer = matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR);
    let Ok(name) = Name::of_labels(query.name().iter()) else { return ResponseCode::Refused };
    if query.query_class() != DNSClass::IN || transfer {
        return ResponseCode::Refused;
    }
    if query.query_type() == RecordType::ANY {
        return nothing_in_particular(response, resolver, query, &name);
    }
    let answer = resolver.answer(&name, &type_name(query.query_type()));
    let code = match answer.found {
        Found::NoZone => return ResponseCode::Refused,
        Found::NoName => ResponseCode::NXDomain,
        Found::Records | Found::NoData | Found::Elsewhere => ResponseCode::NoError,
    };
    response.metadata.authoritative = answer.found != Found::Elsewhere;
    let Answer { answers, authority, additional, .. } = answer;
    // As it was asked: some who ask vary the case, and want it back (draft-vixie-dnsext-dns0x20).
    let as_asked = |records: &RecordsOfOne| (records.name == name).then(|| query.name().clone());
    response.add_answers(answers.iter().flat_map(|records| wire(records, as_asked(records))));
    response.add_authorities(authority.iter().flat_map(|records| wire(records, None)));
    response.add_additionals(additional.iter().flat_map(|records| wire(records, None)));
    code
}

/// RFC 8482: whoever asks for everything would have others be sent much by little.
fn nothing_in_particular(response: &mut Message, resolver: &Resolver<'_>, query: &Query, name: &Name) -> ResponseCode {
    if resolver.zone_of(name).is_none() {
        return ResponseCode::Refused;
    }
    let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
    response.metadata.authoritative = true;
    response.add_answer(Record::from_rdata(query.name().clone(), HINFO_TTL, data));
    ResponseCode::NoError
}

/// Records as they are on the wire. What was stored was looked at, so that nothing is left out.
fn wire(records: &RecordsOfOne, name: Option<WireName>) -> Vec<Record> {
    let Some(name) = name.or_else(|| on_the_wire(&records.name).ok()) else { return Vec::new() };
    let data = records.values.iter().filter_map(|value| rdata(&records.record_type, value).ok());
    data.map(|data| Record::from_rdata(name.clone(), records.ttl, data)).collect()
}

/// Route 53's name of a type; nothing has a type that it has no name of.
fn type_name(of: RecordType) -> String {
    match u16::from(of) {
        99 => "SPF".to_owned(),
        _ => of.to_string(),
    }
}

fn limit(asked: &Message, transport: Transport) -> u16 {
    match (transport, &asked.edns) {
        (Transport::Tcp, _) => u16::MAX,
        (Transport::Udp, Some(edns)) => edns.max_payload().clamp(UDP_BYTES, MAX_UDP_BYTES),
        (Transport::Udp, None) => UDP_BYTES,
    }
}

#[cfg(test)]
mod tests;
