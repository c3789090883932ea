//! Following the records, as those do who pass them on.

use std::path::Path;
use std::time::Duration;

use journal::{Batch, BatchLimits, Complete, Journal, Options, Position};

const ALL: BatchLimits = BatchLimits { records: usize::MAX, bytes: usize::MAX };

fn open(directory: &Path, options: Options) -> Journal {
    let (journal, notices) = Journal::open_with(directory, options, None).unwrap();
    assert_eq!(notices, []);
    journal
}

/// Each of these events comes to a segment of its own.
fn small() -> Options {
    Options { roll_bytes: 1, ..Options::default() }
}

fn put(journal: &Journal, at_ms: i64, messages: &[&str]) {
    for message in messages {
        journal.append_events("us-east-1", "group", "stream", &[(at_ms, message)], at_ms).unwrap();
    }
}

fn message(line: &str) -> String {
    serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].as_str().unwrap().to_owned()
}

fn messages(batch: &Batch) -> Vec<(u64, String)> {
    batch.lines.iter().map(|line| (line.position.number(), message(&line.json))).collect()
}

/// Everything behind a position that is wanted, and how much was missing.
fn followed(journal: &Journal, from: u64, wants: &dyn Fn(&str) -> bool) -> (Vec<(u64, String)>, u64) {
    let (mut at, mut found, mut missing) = (Position::from(u128::from(from)), Vec::new(), 0);
    while at < *journal.on_disk().borrow() {
        let batch = journal.follow(at, ALL, wants).unwrap();
        assert!(batch.next > at, "{batch:?}");
        at = batch.next;
        missing += batch.missing;
        found.extend(messages(&batch));
    }
    (found, missing)
}

fn pairs(range: std::ops::Range<u64>) -> Vec<(u64, String)> {
    range.map(|number| (number, format!("m{number}"))).collect()
}

#[test]
fn every_record_in_order_through_sealed_segments_and_the_one_that_grows() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path(), small());
    put(&journal, 5, &["m0", "m1", "m2"]);
    journal.close();
    let journal = open(directory.path(), Options::default());
    assert_eq!((journal.on_disk().borrow().number(), journal.complete_end().number()), (3, 3));
    put(&journal, 6, &["m3", "m4"]);
    assert_eq!(journal.on_disk().borrow().number(), 5);
    assert_eq!(followed(&journal, 0, &|_| true), (pairs(0..5), 0));
    assert_eq!(followed(&journal, 2, &|_| true), (pairs(2..5), 0));
    assert_eq!(followed(&journal, 0, &|json| message(json) == "m4"), (pairs(4..5), 0));
    let end = *journal.on_disk().borrow();
    let nothing = journal.follow(end, ALL, &|_| true).unwrap();
    assert_eq!(nothing, Batch { lines: Vec::new(), next: end, missing: 0 });
}

#[test]
fn a_batch_ends_at_its_limits_and_goes_on_there() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path(), Options::default());
    put(&journal, 5, &["m0", "m1", "m2", "m3"]);
    let mut at = Position::from(0);
    for (records, bytes, next) in [(2, usize::MAX, 2), (usize::MAX, 1, 3), (5, 100_000, 4)] {
        let batch = journal.follow(at, BatchLimits { records, bytes }, &|_| true).unwrap();
        assert_eq!((messages(&batch), batch.next.number()), (pairs(at.number()..next), next));
        at = batch.next;
    }
}

#[test]
fn nobody_is_told_of_what_is_not_synced() {
    let directory = tempfile::tempdir().unwrap();
    let never = Duration::from_secs(1000);
    let journal = open(directory.path(), Options { sync_after: never, ..Options::default() });
    let mut on_disk = journal.on_disk();
    let mut writer = journal.writer();
    let least = r#"{"time_ms":1,"request_id":"i","status":0,"revision":0,"source":"[::1]:1"}"#;
    writer.append(&serde_json::from_str(least).unwrap());
    writer.flush();
    journal.barrier().unwrap();
    assert_eq!(journal.follow(Position::from(0), ALL, &|_| true).unwrap().lines, []);
    assert!(!on_disk.has_changed().unwrap());
    journal.sync().unwrap();
    assert!(on_disk.has_changed().unwrap());
    assert_eq!(on_disk.borrow_and_update().number(), 1);
    assert_eq!(journal.follow(Position::from(0), ALL, &|_| true).unwrap().lines.len(), 1);
}

#[test]
fn what_is_not_kept_any_longer_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path(), small());
    put(&journal, 5, &["m0", "m1"]);
    put(&journal, 9, &["m2"]);
    journal.close();
    let journal = open(directory.path(), Options::default());
    let file = directory.path().join("journal/0000000000000001.sealed");
    assert_eq!(journal.complete_behind(Position::from(1)), Some(Complete::Sealed(file.clone(), Position::from(2))));
    assert!(file.exists());
    journal.prune(6).unwrap();
    assert_eq!(journal.complete_behind(Position::from(1)), Some(Complete::Pruned(Position::from(2))));
    assert_eq!(journal.complete_behind(Position::from(3)), None, "it grows");
    let of_events = |json: &str| json.starts_with(r#"{"kind":"event""#);
    assert_eq!(followed(&journal, 0, &of_events), (pairs(2..3), 2));
    assert_eq!(followed(&journal, 1, &of_events), (pairs(2..3), 1));
}

#[test]
fn a_released_journal_tells_no_more_until_it_is_reclaimed() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path(), Options::default());
    put(&journal, 5, &["m0"]);
    journal.release().unwrap();
    put(&journal, 6, &["m1"]);
    assert_eq!(journal.on_disk().borrow().number(), 1);
    journal.reclaim().unwrap();
    assert_eq!(followed(&journal, 0, &|_| true), (pairs(0..2), 0));
}
