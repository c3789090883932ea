//! Sinks on a journal of their own.

use std::fs;
use std::path::Path;

use super::*;
use crate::config::Sink;

fn sink(file: &Path, more: &str) -> Sink {
    toml::from_str(&format!(
        "name = \"s\"\ntype = \"file\"\nkinds = [\"event\"]\npath = \"{}\"\n{more}",
        file.display()
    ))
    .unwrap()
}

async fn put(journal: &Journal, message: &str) {
    let (journal, message) = (journal.clone(), message.to_owned());
    let append = move || journal.append_events("r", "g", "s", &[(5, &message)], 5);
    tokio::task::spawn_blocking(append).await.unwrap().unwrap();
}

/// Numbers and messages.
fn read(file: &Path) -> Vec<(u64, String)> {
    let parsed = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (line["number"].as_u64().unwrap(), line["message"].as_str().unwrap().to_owned())
    };
    fs::read_to_string(file).unwrap_or_default().lines().map(parsed).collect()
}

fn pairs(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(number, message)| (*number, (*message).to_owned())).collect()
}

const TIME: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_sink_begins_at_the_end_and_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let (path, file) = (directory.path().join("sinks"), directory.path().join("out"));
    let journal = Journal::open(directory.path()).unwrap().0;
    put(&journal, "before").await;
    let mut sinks = Sinks::open(&[sink(&file, "")], &path, &journal).unwrap();
    put(&journal, "a").await;
    sinks.start();
    put(&journal, "b").await;
    sinks.stop(TIME).await;
    assert_eq!(read(&file), pairs(&[(1, "a"), (2, "b")]));
    put(&journal, "c").await;
    // Another process, and this one again.
    let mut sinks = Sinks::open(&[sink(&file, "")], &path, &journal).unwrap();
    sinks.start();
    sinks.stop(TIME).await;
    put(&journal, "d").await;
    sinks.start();
    sinks.stop(TIME).await;
    assert_eq!(read(&file), pairs(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]));
    let state = sinks.progress[0].state();
    assert_eq!((state.next.number(), state.sent, state.missed, state.oldest_ms), (5, 2, 0, None));
}

#[tokio::test]
async fn the_beginning_where_it_is_asked_for_and_where_the_records_are_others() {
    let directory = tempfile::tempdir().unwrap();
    let (path, file) = (directory.path().join("sinks"), directory.path().join("out"));
    let journal = Journal::open(directory.path()).unwrap().0;
    put(&journal, "a").await;
    let mut sinks = Sinks::open(&[sink(&file, "start = \"beginning\"")], &path, &journal).unwrap();
    sinks.start();
    sinks.stop(TIME).await;
    fs::write(path.join("s.json"), "{\"next\":7}").unwrap();
    let mut sinks = Sinks::open(&[sink(&file, "")], &path, &journal).unwrap();
    sinks.start();
    sinks.stop(TIME).await;
    assert_eq!(read(&file), pairs(&[(0, "a"), (0, "a")]));
    fs::write(path.join("s.json"), "").unwrap();
    let failure = Sinks::open(&[sink(&file, "")], &path, &journal).err().unwrap();
    assert!(failure.to_string().contains("sinks/s.json"), "{failure}");
}

#[tokio::test]
async fn what_cannot_be_sent_waits_and_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (path, file) = (directory.path().join("sinks"), directory.path().join("none/out"));
    let journal = Journal::open(directory.path()).unwrap().0;
    let mut sinks = Sinks::open(&[sink(&file, "")], &path, &journal).unwrap();
    put(&journal, "a").await;
    sinks.start();
    sinks.stop(TIME).await;
    let state = sinks.progress[0].state();
    assert_eq!((state.next.number(), state.sent, state.oldest_ms), (0, 0, Some(5)));
    assert!(state.failures > 0);
    fs::create_dir(directory.path().join("none")).unwrap();
    sinks.start();
    sinks.stop(TIME).await;
    assert_eq!(read(&file), pairs(&[(0, "a")]));
}
