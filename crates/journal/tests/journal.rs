//! Writing, reading back, paging, recovering.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journal::{AccessRecord, Client, Journal, Options, Position, Query, Refusal, Streams, Truststore};

fn record(number: u64) -> AccessRecord<'static> {
    AccessRecord {
        time_ms: 1_000_000 + number as i64,
        took_us: 0,
        region: "us-east-1".into(),
        group: "access".into(),
        stream: "one".into(),
        message: format!("message {number} \"of\" many\u{2028}").into(),
        request_id: format!("id-{number}=").into(),
        connection: "".into(),
        trace: "".into(),
        span: "".into(),
        parent_span: "".into(),
        domain: "api.example.com".into(),
        api_id: Some("abc".into()),
        stage: None,
        method: "GET".into(),
        route: "".into(),
        path: "".into(),
        status: 403,
        bytes_in: 0,
        bytes_out: 0,
        refusal: None,
        denial: None,
        revision: 7,
        truststore: None,
        client: None,
        shadow: None,
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

/// The paths of sealed segments, oldest first.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "sealed")).collect();
    files.sort();
    files
}

#[test]
fn what_is_flushed_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let mut writer = journal.writer();
    writer.append(&record(1));
    assert_eq!(all(&journal), messages([]), "nobody flushes, and it does not wait for ever");
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
            chain_sha256: Some("cd".into()),
        }),
        truststore: Some(Truststore { digest: "ab".into(), version: Some("3kL4".into()) }),
        client: Some(Client {
            subject: "CN=a".into(),
            issuer: "CN=b".into(),
            serial: "1".into(),
            fingerprint: "ff".into(),
        }),
        shadow: Some(journal::Shadow {
            truststore: Truststore { digest: "cd".into(), version: None },
            refusal: Some(trust::Code::ClientCertExpired),
            detail: "it expired".into(),
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

/// Small segments, so that many are made.
const SMALL: Options = Options {
    roll_bytes: 4096,
    roll_after: Duration::from_secs(3600),
    sync_after: Duration::from_millis(100),
    checkpoint_after: Duration::from_secs(10),
    queue_bytes: 1024 * 1024,
};

/// Writes records `0..count`, `piece` at a time, into small segments.
fn fill(directory: &Path, count: u64, piece: usize) {
    let (journal, notices) = Journal::open_with(directory, SMALL, None).unwrap();
    assert_eq!(notices, []);
    let mut writer = journal.writer();
    for number in 0..count {
        writer.append(&record(number));
        if (number + 1) % piece as u64 == 0 {
            writer.flush();
        }
    }
}

#[test]
fn many_writers() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    std::thread::scope(|scope| {
        for core in 0..4 {
            let mut writer = journal.writer();
            scope.spawn(move || {
                for number in 0..500 {
                    writer.append(&record(core * 500 + number));
                    if number % 7 == 0 {
                        writer.flush();
                    }
                }
            });
        }
    });
    journal.sync().unwrap();
    let mut found = all(&journal);
    let mut expected = messages(0..2000);
    found.sort();
    expected.sort();
    assert!(found == expected);
}

#[test]
fn only_one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let error = Journal::open(directory.path()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
    drop(journal);
    open(directory.path());
}

#[test]
fn a_closed_journal_drops_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let mut writer = journal.writer();
    writer.append(&record(1));
    journal.close();
    drop(writer);
    assert_eq!(journal.stats().dropped, 1);
    assert!(journal.sync().is_err());
    assert!(journal.append_events("us-east-1", "access", "put", &[(1, "x")], 1).is_err());
}

#[test]
fn pages_forward_and_backward() {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), 200, 3);
    let (journal, notices) = Journal::open_with(directory.path(), SMALL, None).unwrap();
    assert_eq!(notices, []);
    assert!(segments(directory.path()).len() > 5);
    let query = |after, newest_first, limit| {
        let query = Query { after, newest_first, limit, ..Query::new("us-east-1", "access") };
        journal.read(&query).unwrap()
    };
    for limit in [1, 7, 199, 200, 201] {
        let (mut forward, mut after) = (Vec::new(), None);
        loop {
            let page = query(after, false, limit);
            forward.extend(page.events.into_iter().map(|event| event.message));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(forward == messages(0..200), "limit {limit}");
        let (mut backward, mut before) = (Vec::new(), None);
        loop {
            let page = query(before, true, limit);
            backward.extend(page.events.into_iter().rev().map(|event| event.message));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        backward.reverse();
        assert!(backward == messages(0..200), "limit {limit}");
    }
    // As GetLogEvents' tokens do: one page on, one back, and the same page again at either end.
    let newest = query(None, true, 10);
    assert_eq!(newest.events.len(), 10);
    assert_eq!(newest.events[0].message, record(190).message);
    let before = query(Some(newest.start), true, 10);
    assert_eq!(before.events[0].message, record(180).message);
    assert_eq!(query(Some(before.end), false, 10).events, newest.events);
    let nothing = query(Some(newest.end), false, 10);
    assert_eq!((nothing.events.len(), nothing.next, nothing.end), (0, None, newest.end));
    let mut writer = journal.writer();
    writer.append(&record(200));
    writer.flush();
    assert_eq!(query(Some(newest.end), false, 10).events[0].message, record(200).message);
}

#[test]
fn positions_are_text_and_numbers() {
    let position = Position::from(0x0123_4567_89ab_cdef_u128);
    assert_eq!(position.to_string(), "00000000000000000123456789abcdef");
    assert_eq!(position.to_string().parse(), Ok(position));
    assert_eq!(u128::from(position), 0x0123_4567_89ab_cdef);
    for text in ["", "0", "+123456789abcdef000000000000002a", "0123456789abcdef000000000000002g"] {
        assert_eq!(text.parse::<Position>(), Err(journal::PositionError));
    }
    // A token that somebody made up finds nothing, and breaks nothing.
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path(), 50, 3);
    let journal = open(directory.path());
    for number in [0, 1, 1 << 64, (30 << 64) + 17, u128::MAX] {
        for newest_first in [false, true] {
            let after = Some(Position::from(number));
            let page = journal.read(&Query { after, newest_first, ..Query::new("us-east-1", "access") }).unwrap();
            assert!(page.next.is_none() && page.start <= page.end);
        }
    }
}

#[test]
fn groups_streams_times_and_patterns() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let mut writer = journal.writer();
    for number in 0..10 {
        let stream = if number % 2 == 0 { "even" } else { "odd" };
        writer.append(&AccessRecord { stream: stream.into(), ..record(number) });
    }
    for (region, group) in [("eu-west-1", "access"), ("us-east-1", "other"), ("", "")] {
        writer.append(&AccessRecord { region: region.into(), group: group.into(), ..record(99) });
    }
    writer.flush();
    let base = Query::new("us-east-1", "access");
    let at = |number: i64| 1_000_000 + number;
    let even = ["even".to_owned()];
    let pattern = journal::filter::Pattern::parse("\"message 3\"").unwrap();
    for (query, expected) in [
        (base, vec![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (Query { streams: Streams::Named(&even), ..base }, vec![0, 2, 4, 6, 8]),
        (Query { streams: Streams::Named(&[]), ..base }, vec![]),
        (Query { streams: Streams::Prefixed("o"), ..base }, vec![1, 3, 5, 7, 9]),
        (Query { start_ms: at(3), end_ms: at(5), ..base }, vec![3, 4]),
        (Query { not_before_ms: at(8), ..base }, vec![8, 9]),
        (Query { pattern: Some(&pattern), ..base }, vec![3]),
        (Query { pattern: Some(&pattern), start_ms: at(4), ..base }, vec![]),
        (Query { group: "other", ..base }, vec![99]),
        (Query { region: "eu-west-1", ..base }, vec![99]),
        (Query { group: "none", ..base }, vec![]),
    ] {
        for newest_first in [false, true] {
            let page = journal.read(&Query { newest_first, ..query }).unwrap();
            let found: Vec<_> = page.events.into_iter().map(|event| event.message).collect();
            assert_eq!(found, messages(expected.clone()), "{query:?}");
        }
    }
    let streams = journal.streams("us-east-1", "access", at(9));
    let found: Vec<_> = streams.iter().map(|s| (s.name.as_str(), s.first_ms, s.last_ms)).collect();
    assert_eq!(found, [("odd", at(9), at(9))]);
    let streams = journal.streams("us-east-1", "access", 0);
    let found: Vec<_> = streams.iter().map(|s| (s.name.as_str(), s.first_ms, s.last_ms)).collect();
    assert_eq!(found, [("even", at(0), at(8)), ("odd", at(1), at(9))]);
}

#[test]
fn events_that_are_put_come_in_order_of_time() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    journal.append_events("us-east-1", "access", "put", &[(30, "c"), (10, "a\nb")], 100).unwrap();
    journal.append_events("us-east-1", "access", "put", &[(20, "b")], 101).unwrap();
    let page = journal.read(&Query::new("us-east-1", "access")).unwrap();
    let found: Vec<_> = page.events.iter().map(|e| (e.time_ms, e.ingestion_ms, e.message.as_str())).collect();
    assert_eq!(found, [(10, 100, "a\nb"), (20, 101, "b"), (30, 100, "c")]);
    let stream = &journal.streams("us-east-1", "access", 0)[0];
    assert_eq!((stream.first_ms, stream.last_ms, stream.last_ingestion_ms), (10, 30, 101));
}

#[test]
fn a_long_message_is_cut() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let mut writer = journal.writer();
    writer.append(&AccessRecord { message: "é".repeat(200_000).into(), ..record(1) });
    writer.flush();
    let message = all(&journal).remove(0);
    assert!(message.len() <= journal::MAX_MESSAGE_BYTES && message.ends_with("é…"));
}

#[test]
fn a_page_has_at_most_a_megabyte() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    let mut writer = journal.writer();
    for number in 0..12 {
        writer.append(&AccessRecord { message: "x".repeat(200_000).into(), ..record(number) });
    }
    writer.flush();
    let mut query = Query::new("us-east-1", "access");
    let mut events = 0;
    loop {
        let page = journal.read(&query).unwrap();
        assert!(page.events.iter().map(|event| event.message.len()).sum::<usize>() <= 1024 * 1024);
        events += page.events.len();
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(events, 12);
}
