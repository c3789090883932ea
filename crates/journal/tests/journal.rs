//! Writing, reading back, paging, recovering.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journal::{AccessRecord, Client, Journal, Options, Position, Query, Refusal, Streams, Truststore};

fn record(number: u64) -> AccessRecord<'static> {
    AccessRecord {
        time_ms: 1_000_000 + number as i64,
        region: "us-east-1".into(),
        group: "access".into(),
        stream: "one".into(),
        message: format!("message {number} \"of\" many\u{2028}").into(),
        request_id: format!("id-{number}=").into(),
        domain: "api.example.com".into(),
        api_id: Some("abc".into()),
        stage: None,
        status: 403,
        refusal: None,
        revision: 7,
        truststore: None,
        client: None,
        source: ([127, 0, 0, 1], 4000).into(),
    }
}

fn open(directory: &Path) -> Journal {
    let (journal, notices) = Journal::open(directory).unwrap();
    assert_eq!(notices, []);
    journal
}

fn all(journal: &Journal) -> Vec<String> {
    journal.read(&Query::new("us-east-1", "access")).unwrap().events.into_iter().map(|event| event.message).collect()
}

fn messages(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|number| record(number).message.into_owned()).collect()
}

/// The segments' paths, oldest first.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "ndjson")).collect();
    files.sort();
    files
}

#[test]
fn what_is_flushed_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let mut writer = journal.writer();
    writer.append(&record(1));
    assert_eq!(all(&journal), messages([]));
    writer.flush();
    assert_eq!(all(&journal), messages([1]));
    writer.append(&record(2));
    drop(writer);
    assert_eq!(all(&journal), messages([1, 2]));
    assert_eq!(journal.stats().records, 2);
    drop(journal);
    assert_eq!(all(&open(directory.path())), messages([1, 2]));
}

#[test]
fn a_record_comes_back_whole() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let refused = AccessRecord {
        refusal: Some(Refusal {
            code: trust::Code::ClientCertUntrusted,
            detail: "no issuer".into(),
            explanation: "it is in a newer version".into(),
            fix: "update the domain".into(),
            evidence: vec![("issuer_wanted".into(), "CN=\"Root\"\n".into())],
        }),
        truststore: Some(Truststore { digest: "ab".into(), version: Some("3kL4".into()) }),
        client: Some(Client {
            subject: "CN=a".into(),
            issuer: "CN=b".into(),
            serial: "1".into(),
            fingerprint: "ff".into(),
        }),
        ..record(5)
    };
    let mut writer = journal.writer();
    for one in [&record(4), &refused, &record(6)] {
        writer.append(one);
    }
    writer.flush();
    assert_eq!(journal.find_request("id-5=").unwrap(), Some(refused));
    assert_eq!(journal.find_request("id-").unwrap(), None);
    journal.append_events("us-east-1", "access", "put", &[(9, r#"{"request_id":"id-9="}"#)], 10).unwrap();
    assert_eq!(journal.find_request("id-9=").unwrap(), None);
}
