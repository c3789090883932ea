//! What a crash, a disk or a person does to the files, and what is said about it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use journal::{Journal, Notice, Options, Query};
use proptest::prelude::*;

const SMALL: Options = Options {
    roll_bytes: 400,
    roll_after: Duration::from_secs(3600),
    sync_after: Duration::from_millis(100),
    queue_bytes: 1024 * 1024,
};

fn put(journal: &Journal, number: u64) {
    let message = number.to_string();
    journal.append_events("us-east-1", "group", "stream", &[(number as i64, &message)], 0).unwrap();
}

fn numbers(journal: &Journal) -> Vec<u64> {
    let page = journal.read(&Query::new("us-east-1", "group")).unwrap();
    page.events.into_iter().map(|event| event.message.parse().unwrap()).collect()
}

fn open(directory: &Path) -> (Journal, Vec<Notice>) {
    Journal::open_with(directory, SMALL).unwrap()
}

/// Ten events in several segments, all of them sealed but the last.
fn filled() -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    for number in 0..10 {
        put(&journal, number);
    }
    drop(journal);
    let segments = files(directory.path(), "ndjson");
    assert!(segments.len() > 2 && files(directory.path(), "seal").len() == segments.len() - 1);
    (directory, segments)
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(directory.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    files.sort();
    files
}

#[test]
fn the_last_segment_cut_anywhere() {
    let (original, segments) = filled();
    let last = segments.last().unwrap();
    let bytes = fs::read(last).unwrap();
    let before = 10 - bytes.iter().filter(|&&b| b == b'\n').count() as u64;
    for length in 0..=bytes.len() {
        let directory = tempfile::tempdir().unwrap();
        copy(original.path(), directory.path());
        let file = directory.path().join("journal").join(last.file_name().unwrap());
        fs::write(&file, &bytes[..length]).unwrap();
        let whole = bytes[..length].iter().filter(|&&b| b == b'\n').count() as u64;
        let torn = length - bytes[..length].iter().rposition(|&b| b == b'\n').map_or(0, |lf| lf + 1);

        let (journal, notices) = open(directory.path());
        assert_eq!(numbers(&journal), (0..before + whole).collect::<Vec<_>>(), "cut at {length}");
        if torn == 0 {
            assert_eq!(notices, [], "cut at {length}");
        } else {
            let what = format!("the last {torn} bytes are no whole record and were cut off");
            assert_eq!(notices, [Notice { file, offset: (length - torn) as u64, what }]);
        }
        // It goes on as if nothing had been, and the next start has nothing to say.
        put(&journal, 77);
        drop(journal);
        let (journal, notices) = open(directory.path());
        assert_eq!(notices, []);
        assert_eq!(numbers(&journal).pop(), Some(77));
        assert_eq!(journal.verify(), []);
    }
}

#[test]
fn a_damaged_record_is_named_and_left_out() {
    let (directory, segments) = filled();
    let last = segments.last().unwrap();
    let mut bytes = fs::read(last).unwrap();
    bytes[20] ^= 1;
    fs::write(last, &bytes).unwrap();
    let before = 10 - bytes.iter().filter(|&&b| b == b'\n').count() as u64;
    let (journal, notices) = open(directory.path());
    assert_eq!(notices, [Notice { file: last.clone(), offset: 0, what: "a record is damaged and is left out".into() }]);
    assert_eq!(numbers(&journal), (0..10).filter(|&number| number != before).collect::<Vec<_>>());
}

#[test]
fn damage_to_sealed_segments() {
    let (directory, segments) = filled();
    let (journal, _) = open(directory.path());
    assert_eq!(journal.verify(), []);
    drop(journal);
    let mut bytes = fs::read(&segments[1]).unwrap();
    let size = bytes.len() as u64;
    bytes[20] ^= 1;
    fs::write(&segments[1], &bytes).unwrap();
    fs::remove_file(&segments[0]).unwrap();

    let (journal, notices) = open(directory.path());
    let missing = "the segment is missing, and its records with it";
    assert_eq!(notices, [Notice { file: segments[0].clone(), offset: 0, what: missing.into() }]);
    let whats: Vec<_> = journal.verify().into_iter().map(|notice| (notice.file, notice.what)).collect();
    assert_eq!(
        whats,
        [
            (segments[1].clone(), "its digest is not the one that it was sealed with".to_owned()),
            (segments[1].clone(), "a record is damaged and is left out".to_owned()),
        ]
    );
    drop(journal);

    fs::write(&segments[1], &bytes[..bytes.len() - 5]).unwrap();
    fs::remove_file(files(directory.path(), "seal").remove(0)).unwrap();
    let (journal, notices) = open(directory.path());
    let what = format!("the segment has {} bytes; it was sealed with {size}", size - 5);
    assert_eq!(notices, [Notice { file: segments[1].clone(), offset: size - 5, what }]);
    assert!(!numbers(&journal).is_empty());
    drop(journal);

    // Without a trace of its own, its neighbours miss it.
    fs::remove_file(&segments[1]).unwrap();
    fs::remove_file(segments[1].with_extension("seal")).unwrap();
    let (journal, _) = open(directory.path());
    for number in 11..20 {
        put(&journal, number);
    }
    drop(journal);
    let rest = files(directory.path(), "ndjson");
    fs::remove_file(&rest[1]).unwrap();
    fs::remove_file(rest[1].with_extension("seal")).unwrap();
    let notices = open(directory.path()).1;
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].what.ends_with("should come before it and are missing"), "{notices:?}");
}

#[test]
fn a_seal_that_cannot_be_read() {
    let (directory, segments) = filled();
    let seals = files(directory.path(), "seal");
    for text in ["", "{}", "[]", "\0\0"] {
        fs::write(&seals[0], text).unwrap();
        let (journal, notices) = open(directory.path());
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert_eq!(notices[0].file, seals[0]);
        assert_eq!(numbers(&journal), (0..10).collect::<Vec<_>>());
    }
    // One that would lead reading astray.
    let seal = fs::read_to_string(&seals[0]).unwrap();
    let size = fs::metadata(&segments[0]).unwrap().len().to_string();
    fs::write(&seals[0], seal.replace(&size, "99999999999999")).unwrap();
    let (journal, notices) = open(directory.path());
    assert!(notices[0].what.contains("contradicts itself"), "{notices:?}");
    assert_eq!(numbers(&journal), (0..10).collect::<Vec<_>>());
    drop(journal);
    assert_eq!(open(directory.path()).1, []);
}

/// The disk is as good as full while the directory is away; nothing is lost once it is back.
#[test]
fn a_disk_that_fails_for_a_while() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let (here, away) = (directory.path().join("journal"), directory.path().join("away"));
    fs::rename(&here, &away).unwrap();
    let error = journal.append_events("us-east-1", "group", "stream", &[(1, "1")], 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(journal.stats().error.unwrap().contains("cannot write"));
    fs::rename(&away, &here).unwrap();
    journal.sync().unwrap();
    assert_eq!(journal.stats().error, None);
    assert_eq!(numbers(&journal), [1]);
}

#[test]
fn a_file_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let file = directory.path().join("journal/0000000000000000.ndjson");
    fs::write(&file, "precious").unwrap();
    let error = journal.append_events("us-east-1", "group", "stream", &[(1, "1")], 0).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    // What a try that failed half way leaves behind is none.
    fs::write(&file, "").unwrap();
    journal.sync().unwrap();
    assert_eq!(numbers(&journal), [1]);
}

#[test]
fn what_a_failing_disk_cannot_take_is_counted_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { queue_bytes: 1000, ..SMALL };
    let (journal, _) = Journal::open_with(directory.path(), options).unwrap();
    let (here, away) = (directory.path().join("journal"), directory.path().join("away"));
    fs::rename(&here, &away).unwrap();
    let mut failed = 0;
    while journal.stats().dropped == 0 {
        let message = failed.to_string();
        journal.append_events("us-east-1", "group", "stream", &[(failed, &message)], 0).unwrap_err();
        failed += 1;
    }
    fs::rename(&away, &here).unwrap();
    journal.sync().unwrap();
    assert_eq!(numbers(&journal).len() as i64, failed - 1);
    put(&journal, 1000);
    drop(journal);
    let lines: String =
        files(directory.path(), "ndjson").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(lines.contains(r#"{"kind":"dropped","time_ms":"#) && lines.contains(r#","records":1}"#), "{lines}");
}

/// What was acknowledged before SIGKILL is there afterwards, in order, and nothing that was not written.
#[test]
fn killed_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child_that_writes", "--nocapture"])
            .env("JOURNAL_TEST_DIRECTORY", directory.path())
            .env("JOURNAL_TEST_FIRST", acknowledged.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let written = lines.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        let target = acknowledged + 1 + round * 3;
        let mut killed = false;
        for number in written {
            acknowledged = number + 1;
            if !killed && number >= target {
                child.kill().unwrap();
                killed = true;
            }
        }
        child.wait().unwrap();
        assert!(killed);
        let (journal, _) = open(directory.path());
        let found = numbers(&journal);
        assert!(found.len() as u64 >= acknowledged, "{} of {acknowledged}", found.len());
        assert!(found.iter().copied().eq(0..found.len() as u64), "{found:?}");
        assert_eq!(journal.verify(), []);
        acknowledged = found.len() as u64;
    }
}

#[test]
#[ignore = "run by killed_at_any_moment, in a process of its own"]
fn child_that_writes() {
    let Some(directory) = std::env::var_os("JOURNAL_TEST_DIRECTORY") else { return };
    let first = std::env::var("JOURNAL_TEST_FIRST").unwrap().parse().unwrap();
    let (journal, _) = open(Path::new(&directory));
    for number in first.. {
        put(&journal, number);
        println!("acknowledged {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is in the files, opening, reading and verifying end well, and the journal goes on.
    #[test]
    fn any_bytes_anywhere(
        at in 0.0..1.0f64, bytes in proptest::collection::vec(any::<u8>(), 0..40), which in any::<prop::sample::Index>(),
    ) {
        let (directory, _) = filled();
        let mut all = files(directory.path(), "ndjson");
        all.extend(files(directory.path(), "seal"));
        let file = &all[which.index(all.len())];
        let mut text = fs::read(file).unwrap();
        let at = (at * text.len() as f64) as usize;
        let end = (at + bytes.len()).min(text.len());
        let changed = text[at..end] != bytes[..];
        text.splice(at..end, bytes);
        fs::write(file, text).unwrap();
        let (journal, notices) = open(directory.path());
        put(&journal, 99);
        let found = numbers(&journal);
        prop_assert_eq!(found.last(), Some(&99));
        prop_assert!(found.len() == 11 || changed);
        let said = !notices.is_empty() || !journal.verify().is_empty();
        prop_assert!(said || found.len() == 11, "{:?}", found);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to.join("journal")).unwrap();
    for entry in fs::read_dir(from.join("journal")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join("journal").join(path.file_name().unwrap())).unwrap();
    }
}
