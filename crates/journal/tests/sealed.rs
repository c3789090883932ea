//! What sealing makes of typical traffic: it is small, nothing is lost of it, and what is looked for is found.

mod traffic;

use std::fs;

use journal::{AccessRecord, Journal, Kind, Kinds, Options, Query, Search};
use traffic::{Traffic, fingerprint, subject};

const CLIENTS: u64 = 400;
const BEGIN_MS: i64 = 1_796_000_000_000;

/// In the order of the journal.
fn records(count: usize) -> Vec<AccessRecord<'static>> {
    let mut traffic = Traffic::new(CLIENTS, BEGIN_MS, 20_000);
    std::iter::repeat_with(|| traffic.record()).take(count).collect()
}

fn journal(directory: &std::path::Path, records: &[AccessRecord<'_>], roll_bytes: u64) -> Journal {
    let options = Options { roll_bytes, ..Options::default() };
    let (journal, _) = Journal::open_with(directory, options, None).unwrap();
    let mut writer = journal.writer();
    for record in records {
        writer.append(record);
    }
    drop(writer);
    journal.close();
    drop(journal);
    Journal::open_with(directory, options, None).unwrap().0
}

/// Six years of records must be affordable: 48 bytes each at most.
#[test]
fn a_sealed_record_of_typical_traffic_is_small() {
    let directory = tempfile::tempdir().unwrap();
    let records = records(30_000);
    let journal = journal(directory.path(), &records, 32 * 1024 * 1024);
    let sealed: Vec<_> = fs::read_dir(journal.directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sealed"))
        .collect();
    assert_eq!(sealed.len(), 1, "one of 32 MiB");
    let lines = fs::read_dir(journal.directory()).unwrap().find_map(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        u64::from_str_radix(name.strip_suffix(".lines")?, 16).ok()
    });
    let each = fs::metadata(&sealed[0]).unwrap().len() as f64 / lines.unwrap() as f64;
    println!("{each:.1} bytes a record");
    assert!(each < 30.0, "{each} bytes a record");
}

#[test]
fn what_is_looked_for_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let mut records = records(6000);
    let refused = records[100].clone();
    records[4000].refusal = Some(journal::Refusal {
        code: trust::Code::ClientCertExpired,
        detail: "d".into(),
        explanation: "".into(),
        fix: "".into(),
        evidence: vec![],
        chain_sha256: None,
    });
    records[5000].domain = "other.example.com".into();
    let journal = journal(directory.path(), &records, 512 * 1024);
    let ids = |search: Search<'_>| -> Vec<String> {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let found = journal.search(&Search { after, ..search.clone() }).unwrap();
            ids.extend(found.lines.iter().map(|line| {
                let record: serde_json::Value = serde_json::from_str(&line.json).unwrap();
                record["request_id"].as_str().unwrap().to_owned()
            }));
            after = found.next;
            if after.is_none() {
                return ids;
            }
        }
    };
    let expected = |wanted: &dyn Fn(&AccessRecord<'_>) -> bool| -> Vec<String> {
        records.iter().filter(|record| wanted(record)).map(|record| record.request_id.to_string()).collect()
    };
    assert_eq!(ids(Search::default()), expected(&|_| true), "every record, in order");
    let newest: Vec<_> = expected(&|_| true).into_iter().rev().collect();
    assert_eq!(ids(Search { newest_first: true, limit: 77, ..Search::default() }), newest);
    let client = 7;
    let (subject, print) = (subject(client), fingerprint(client));
    let of_client = expected(&|record| record.client.as_ref().unwrap().subject == subject);
    assert!(of_client.len() > 3);
    for name in [&*subject, &print, "CN=client-7.partner.example"] {
        assert_eq!(ids(Search { client: Some(name), limit: 2, ..Search::default() }), of_client, "{name}");
    }
    assert_eq!(ids(Search { client: Some("CN=client-7"), ..Search::default() }), Vec::<String>::new());
    assert_eq!(ids(Search { refused: true, ..Search::default() }), [&*records[4000].request_id]);
    assert_eq!(ids(Search { domain: Some("other.example.com"), ..Search::default() }), [&*records[5000].request_id]);
    let (since_ms, until_ms) = (records[1000].time_ms, records[5500].time_ms);
    let in_time = expected(&|record| (since_ms..until_ms).contains(&record.time_ms));
    assert_eq!(ids(Search { since_ms, until_ms, ..Search::default() }), in_time);
    let none = Kinds::of([Kind::Connection, Kind::Settings]);
    assert_eq!(ids(Search { kinds: none, ..Search::default() }), Vec::<String>::new());
    assert_eq!(ids(Search { kinds: Kinds::of([Kind::Access]), ..Search::default() }).len(), 6000);
    // The same by the id of a request, and as an event of its log group.
    assert_eq!(journal.find_request(&refused.request_id).unwrap().unwrap(), refused);
    let query = Query { start_ms: since_ms, end_ms: since_ms + 1, ..Query::new("us-east-1", "/aws/apigateway/prod") };
    let events = journal.read(&query).unwrap().events;
    assert!(events.iter().any(|event| event.message == records[1000].message));
}
