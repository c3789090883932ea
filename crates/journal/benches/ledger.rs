//! What it costs to note a thousand accepted clients: new ones, and those that are known, by how many the ledger has.
//!
//! `cargo bench -p journal --bench ledger`

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use journal::ledger::{ClientChain, Ledger, Sighting};

const CLIENTS: usize = 1_000;
const KNOWN: [usize; 2] = [1_000, 30_000];
const NOW_MS: i64 = 1_795_305_600_000;

fn main() {
    divan::main();
}

/// A certificate whose common name is a number of eight digits.
struct Leaf {
    der: Vec<u8>,
    name: usize,
}

impl Leaf {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "client-00000000");
        let key = rcgen::KeyPair::generate().expect("a key");
        let der = params.self_signed(&key).expect("a certificate").der().to_vec();
        let name = der.windows(8).rposition(|digits| digits == b"00000000").expect("its name");
        Self { der, name }
    }

    fn sighting(&self, number: usize) -> Sighting {
        let mut der = self.der.clone();
        der[self.name..self.name + 8].copy_from_slice(format!("{number:08}").as_bytes());
        Sighting {
            domain: "api.example.com".into(),
            chain: Arc::new(ClientChain::new([&der[..]])),
            at_ms: NOW_MS + number as i64,
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            refusal: None,
            accepted: 1,
            refused: 0,
            shadow: None,
        }
    }
}

fn note(bencher: Bencher, known: usize, new: bool) {
    let directory = tempfile::tempdir().expect("a directory");
    let (ledger, _) = Ledger::open(directory.path(), NOW_MS);
    let leaf = Leaf::new();
    let next = Cell::new(0);
    let some = |count: usize| {
        let first = next.replace(next.get() + count);
        (first..first + count).map(|number| leaf.sighting(number)).collect::<Vec<_>>()
    };
    for _ in 0..known / CLIENTS {
        ledger.record(some(CLIENTS));
        ledger.sync().expect("a ledger");
    }
    bencher
        .with_inputs(|| {
            if !new {
                next.set(0);
            }
            some(CLIENTS)
        })
        .counter(ItemsCount::new(CLIENTS))
        .bench_local_values(|sightings| {
            ledger.record(sightings);
            ledger.sync().expect("a ledger");
        });
}

#[divan::bench(args = KNOWN, sample_count = 20)]
fn new(bencher: Bencher, known: usize) {
    note(bencher, known, true);
}

#[divan::bench(args = KNOWN, sample_count = 20)]
fn known(bencher: Bencher, known: usize) {
    note(bencher, known, false);
}
