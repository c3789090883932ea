//! What a crash, a disk or a person does to the files, and what is said about it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use journal::audit::{self, Report};
use journal::note::{Checkpoint, Signer};
use journal::{Journal, Notice, Options, Query};
use proptest::prelude::*;

const SMALL: Options = Options {
    roll_bytes: 400,
    roll_after: Duration::from_secs(3600),
    sync_after: Duration::from_millis(100),
    checkpoint_after: Duration::from_secs(10),
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

fn signer(directory: &Path) -> Signer {
    Signer::open_or_create(&directory.join("audit.key"), "countersign/test").unwrap()
}

/// What is wrong with the records, by what is held elsewhere too.
fn verify(directory: &Path, elsewhere: &[Checkpoint]) -> Report {
    audit::verify(&directory.join("journal"), signer(directory).verifier(), elsewhere).unwrap()
}

fn checkpoint(journal: &Journal, directory: &Path) -> Checkpoint {
    let note = journal.checkpoint_now().unwrap().unwrap();
    signer(directory).verifier().checkpoint(&note).unwrap()
}

fn open(directory: &Path) -> (Journal, Vec<Notice>) {
    Journal::open_with(directory, SMALL, Some(signer(directory))).unwrap()
}

/// Ten events in several segments, all of them sealed but the last.
fn filled() -> (tempfile::TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    for number in 0..10 {
        put(&journal, number);
    }
    drop(journal);
    let mut segments = files(directory.path(), "sealed");
    let last = files(directory.path(), "lines");
    assert!(segments.len() >= 2 && last.len() == 1, "{segments:?} {last:?}");
    segments.extend(last);
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
        let mut expected = Vec::new();
        if torn > 0 {
            let what = format!("the last {torn} bytes are no whole record and were cut off");
            expected.push(Notice { file, offset: (length - torn) as u64, what });
        }
        if before + whole < 10 {
            let here = before + whole;
            let what = format!("it is about 10 records and only {here} are here: the last were lost or taken out");
            expected.push(Notice { file: directory.path().join("journal/checkpoint"), offset: 0, what });
        }
        assert_eq!(notices, expected, "cut at {length}");
        // It goes on as if nothing had been, and the next start has nothing to say but that records are gone that were signed for.
        put(&journal, 77);
        drop(journal);
        let (journal, notices) = open(directory.path());
        let changed = notices.iter().all(|notice| notice.what.contains("they were changed"));
        assert!(if before + whole == 10 { notices.is_empty() } else { changed }, "{notices:?}");
        assert_eq!(numbers(&journal).pop(), Some(77));
    }
}

#[test]
fn a_damaged_record_is_named_and_left_out() {
    let (directory, segments) = filled();
    let last = segments.last().unwrap();
    let mut bytes = fs::read(last).unwrap();
    bytes[20] ^= 1;
    fs::write(last, &bytes).unwrap();
    let lines = bytes.iter().filter(|&&b| b == b'\n').count() as u64;
    assert!(lines > 1, "the last line would be a torn tail");
    let before = 10 - lines;
    let (journal, notices) = open(directory.path());
    let whats: Vec<_> = notices.iter().map(|notice| (&notice.file, &*notice.what)).collect();
    let changed = "the first 10 records are not those that it was signed for: they were changed";
    let file = directory.path().join("journal/checkpoint");
    assert_eq!(whats, [(last, "a record is damaged and is left out"), (&file, changed)]);
    assert_eq!(numbers(&journal), (0..10).filter(|&number| number != before).collect::<Vec<_>>());
}

#[test]
fn a_sealed_segment_that_cannot_be_read() {
    let (directory, segments) = filled();
    let sealed = fs::read(&segments[1]).unwrap();
    for damage in [&sealed[..sealed.len() - 1], b"", &[&sealed[..], b"\n"].concat()] {
        fs::write(&segments[1], damage).unwrap();
        let (journal, notices) = open(directory.path());
        assert_eq!(notices[0].file, segments[1]);
        assert_eq!(notices[0].what, "the segment is damaged, and its records cannot be read");
        assert!(notices[1..].iter().all(|notice| notice.what.contains("are missing")), "{notices:?}");
        let found = numbers(&journal);
        assert!(found.len() < 10 && found.first() == Some(&0) && found.last() == Some(&9), "{found:?}");
        drop(journal);
        assert!(!verify(directory.path(), &[]).findings.is_empty());
    }
    fs::write(&segments[1], &sealed).unwrap();
    assert_eq!(open(directory.path()).1, []);
    assert_eq!(verify(directory.path(), &[]).findings, []);
    // A damaged block costs what is in it.
    let mut damaged = sealed.clone();
    // Header and blocks come first, before what leads to them.
    damaged[sealed.len() / 5] ^= 1;
    fs::write(&segments[1], &damaged).unwrap();
    let (journal, notices) = open(directory.path());
    assert_eq!(notices, []);
    assert!(numbers(&journal).len() < 10 && journal.stats().unreadable > 0);
    drop(journal);
    fs::remove_file(&segments[1]).unwrap();
    let notices = open(directory.path()).1;
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].what.ends_with("should come before it and are missing"), "{notices:?}");
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
fn what_could_not_be_sealed_is_sealed_with_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let in_the_way = directory.path().join("journal/0000000000000000.sealing");
    fs::create_dir(&in_the_way).unwrap();
    let mut number = 0;
    let mut until = |done: &dyn Fn() -> bool| {
        while !done() {
            put(&journal, number);
            number += 1;
        }
    };
    until(&|| !files(directory.path(), "sealed").is_empty());
    let first = directory.path().join("journal/0000000000000000.lines");
    assert!(first.exists() && !first.with_extension("sealed").exists(), "the second was sealed, the first was not");
    fs::remove_dir(&in_the_way).unwrap();
    until(&|| first.with_extension("sealed").exists() && !first.exists());
    drop(journal);
    let (journal, notices) = open(directory.path());
    assert_eq!(notices, []);
    assert!(numbers(&journal).into_iter().eq(0..number));
    assert_eq!(verify(directory.path(), &[]).findings, []);
}

#[test]
fn a_file_in_the_way() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(directory.path());
    let file = directory.path().join("journal/0000000000000000.lines");
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
    let (journal, _) = Journal::open_with(directory.path(), options, None).unwrap();
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
    let lines: String = files(directory.path(), "lines").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
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
        drop(journal);
        assert_eq!(verify(directory.path(), &[]).findings, []);
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
        let elsewhere = checkpoint(&open(directory.path()).0, directory.path());
        let mut all = files(directory.path(), "lines");
        all.extend(files(directory.path(), "sealed"));
        let file = &all[which.index(all.len())];
        let mut text = fs::read(file).unwrap();
        let at = (at * text.len() as f64) as usize;
        let end = (at + bytes.len()).min(text.len());
        let changed = text[at..end] != bytes[..end - at] || at + bytes.len() > text.len();
        text.splice(at..end, bytes);
        fs::write(file, text).unwrap();
        let report = verify(directory.path(), &[elsewhere]);
        prop_assert_eq!(report.findings.is_empty(), !changed, "{:?}", report);
        let journal = open(directory.path()).0;
        put(&journal, 99);
        let found = numbers(&journal);
        prop_assert_eq!(found.last(), Some(&99));
        prop_assert!(found.len() == 11 || changed);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to.join("journal")).unwrap();
    fs::copy(from.join("audit.key"), to.join("audit.key")).unwrap();
    for entry in fs::read_dir(from.join("journal")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join("journal").join(path.file_name().unwrap())).unwrap();
    }
}
