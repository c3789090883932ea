//! What is asked of many records on disk: `RECORDS=100000000 DIRECTORY=/somewhere cargo bench -p journal --bench queries`.
//!
//! Without `RECORDS` there are a million. Those that are in the directory from an earlier run are used again.

#[path = "../tests/traffic/mod.rs"]
mod traffic;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use journal::{Journal, Options, Query, Search};
use traffic::{Traffic, fingerprint};

const CLIENTS: u64 = 1000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long all of it takes, whatever the number of records.
const DAYS: i64 = 10;
const END_MS: i64 = 1_796_000_000_000;

fn main() {
    let count: u64 = std::env::var("RECORDS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let temporary = tempfile::tempdir().expect("a directory");
    let directory = std::env::var_os("DIRECTORY").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    fill(&directory, count);
    let opened = Instant::now();
    let (journal, notices) = Journal::open(&directory).expect("a directory of records");
    assert_eq!(notices, []);
    println!("{count} records opened in {:?}", opened.elapsed());
    println!("{:.1} bytes a record", bytes(journal.directory()) as f64 / count as f64);

    let rare = fingerprint(CLIENTS - 1);
    let day = Search { since_ms: END_MS - DAY_MS, newest_first: true, ..Search::default() };
    let rare = Search { client: Some(&rare), ..day.clone() };
    time("a client that is in one of a million, over a day", || all(&journal, &rare));
    time("a client who is there all the time, the newest 100", || {
        let found = journal.search(&Search { client: Some("CN=client-3.partner.example"), limit: 100, ..day.clone() });
        found.expect("records").lines.len()
    });
    time("a domain that was never asked for, over everything", || {
        let none = Search { domain: Some("other.example.com"), ..Search::default() };
        all(&journal, &none)
    });
    let last = Query {
        start_ms: END_MS - 5 * 60 * 1000,
        newest_first: true,
        limit: 1000,
        ..Query::new("us-east-1", "/aws/apigateway/prod")
    };
    time("the newest 1,000 lines of a log group in the last five minutes", || {
        journal.read(&last).expect("lines").events.len()
    });
    let newest = journal.search(&Search { newest_first: true, limit: 1, ..Search::default() }).expect("records");
    let oldest = journal.search(&Search { limit: 1, ..Search::default() }).expect("records");
    for (name, found) in [("the newest request", newest), ("the oldest request", oldest)] {
        let record: serde_json::Value = serde_json::from_str(&found.lines[0].json).expect("JSON");
        let id = record["request_id"].as_str().expect("an id");
        time(&format!("{name}, by its id"), || journal.find_request(id).expect("records").is_some());
    }
}

/// Writes what is not there yet.
fn fill(directory: &Path, count: u64) {
    if directory.join("journal").exists() {
        return;
    }
    let options = Options { sync_after: Duration::from_secs(3600), ..Options::default() };
    let (journal, _) = Journal::open_with(directory, options, None).expect("an empty directory");
    let begin = END_MS - DAYS * DAY_MS;
    let mut traffic = Traffic::new(CLIENTS, begin, (DAYS * DAY_MS) as u64 * 1000 / count);
    let mut writer = journal.writer();
    let (began, used) = (Instant::now(), cpu());
    for number in 0..count {
        writer.append(&traffic.record());
        if number % 10_000 == 0 {
            writer.flush();
            journal.barrier().expect("a disk");
        }
    }
    drop(writer);
    journal.close();
    assert_eq!(journal.stats().dropped, 0);
    println!("{count} records written and sealed in {:?}", began.elapsed());
    let (all, used, some) = (cpu() - used, cpu(), count.min(1_000_000));
    (0..some).for_each(|_| drop(std::hint::black_box(traffic.record())));
    let making = (cpu() - used) / some as f64;
    println!(
        "CPU a record, made, written, hashed and sealed: {:.2} µs, of which making it {:.2} µs",
        all / count as f64,
        making
    );
}

/// Microseconds that this process has used.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().expect("ticks")).sum();
    ticks * 10_000.0
}

fn all(journal: &Journal, search: &Search<'_>) -> usize {
    let (mut count, mut after) = (0, None);
    loop {
        let found = journal.search(&Search { after, ..search.clone() }).expect("records");
        count += found.lines.len();
        after = found.next;
        if after.is_none() {
            return count;
        }
    }
}

fn time<T: std::fmt::Debug>(what: &str, mut ask: impl FnMut() -> T) {
    let times = (0..3).map(|_| {
        let began = Instant::now();
        let found = ask();
        (began.elapsed(), found)
    });
    let times: Vec<_> = times.collect();
    println!("{what}: {:?}, then {:?} and {:?} (found {:?})", times[0].0, times[1].0, times[2].0, times[0].1);
}

fn bytes(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).expect("a directory").flatten();
    entries.map(|entry| entry.metadata().expect("a file").len()).sum()
}
