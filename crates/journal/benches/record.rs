//! What it costs to record one request.
//!
//! `cargo bench -p journal --bench record`

use std::net::SocketAddr;

use divan::Bencher;
use journal::{AccessRecord, Client, Journal, Truststore};

fn main() {
    divan::main();
}

fn record() -> AccessRecord<'static> {
    AccessRecord {
        time_ms: 1_795_305_600_000,
        took_us: 1_834,
        region: "us-east-1".into(),
        group: "/countersign/api.example.com".into(),
        stream: "0000019a0000000000000000000000001".into(),
        message: "x".repeat(512).into(),
        request_id: "JKJaXmPLvHcESHA=".into(),
        connection: "JKJaXmPLvHcESHB=".into(),
        trace: "".into(),
        span: "".into(),
        parent_span: "".into(),
        domain: "api.example.com".into(),
        api_id: Some("a1b2c3d4e5".into()),
        stage: Some("$default".into()),
        method: "GET".into(),
        route: "GET /pets/{id}".into(),
        path: "/pets/{id}".into(),
        status: 200,
        bytes_in: 0,
        bytes_out: 1_532,
        refusal: None,
        denial: None,
        revision: 17,
        truststore: Some(Truststore { digest: "ab".repeat(32).into(), version: Some("v1".into()) }),
        client: Some(Client {
            subject: "C=JP,O=Example Corp,OU=Platform,CN=client-0001".into(),
            issuer: "C=JP,O=Example Corp,OU=Platform,CN=root CA".into(),
            serial: "a1:b2:c3:d4:e5:f6:07:18".into(),
            fingerprint: "cd".repeat(32).into(),
        }),
        shadow: None,
        source: SocketAddr::from(([203, 0, 113, 7], 50_000)),
    }
}

/// What a request pays; the disk is the writing thread's.
#[divan::bench]
fn append(bencher: Bencher) {
    let directory = tempfile::tempdir().expect("a directory");
    let (journal, _) = Journal::open(directory.path()).expect("an empty directory");
    let (mut writer, record) = (journal.writer(), record());
    bencher.bench_local(|| writer.append(&record));
}
