//! A revocation list of half a million: how long reading, checking and looking up take.
//!
//! `cargo bench -p trust --bench crl`; how much memory it takes is a test of `crl::entries`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::LazyLock;

use divan::Bencher;
use support::Authority;
use support::list::{List, entry, reason};
use trust::{Certificate, Crl};

const COUNT: u64 = 500_000;

/// Serial numbers of 16 octets.
static LIST: LazyLock<Signed> = LazyLock::new(Signed::new);

struct Signed {
    issuer: Certificate,
    der: Vec<u8>,
    pem: String,
}

fn main() {
    divan::main();
}

impl Signed {
    fn new() -> Self {
        let root = Authority::root("Root");
        let why = reason(1);
        let entries = (0..COUNT).map(|number| match number % 4 {
            0 => entry(&serial(number), &[&why]),
            _ => entry(&serial(number), &[]),
        });
        let list = List { entries: entries.collect(), ..List::default() };
        let issuer = Certificate::from_der(root.der()).expect("rcgen makes certificates");
        Self { issuer, der: list.by(&root), pem: list.pem_by(&root) }
    }

    fn read(&self) -> Crl {
        Crl::read(&self.der).expect("a list").remove(0)
    }
}

#[divan::bench(sample_count = 5)]
fn read_der(bencher: Bencher) {
    bencher.bench(|| Crl::read(&LIST.der));
}

#[divan::bench(sample_count = 5)]
fn read_pem(bencher: Bencher) {
    bencher.bench(|| Crl::read(LIST.pem.as_bytes()));
}

/// Once; the list remembers.
#[divan::bench(sample_count = 5)]
fn check_the_signature(bencher: Bencher) {
    bencher.with_inputs(|| LIST.read()).bench_refs(|list| list.is_signed_by(&LIST.issuer));
}

#[divan::bench(args = ["listed", "not listed"])]
fn find(bencher: Bencher, what: &str) {
    let list = LIST.read();
    let offset = if what == "listed" { 0 } else { COUNT };
    let mut number: u64 = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            serial(offset + number.wrapping_mul(2_654_435_761) % COUNT)
        })
        .bench_local_refs(|serial| list.find(&serial[..]).is_some());
}

/// Positive, and in no order.
fn serial(number: u64) -> [u8; 16] {
    let mix = |seed: u64| {
        let mut mixed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut serial = [0; 16];
    serial[..8].copy_from_slice(&mix(number).to_be_bytes());
    serial[8..].copy_from_slice(&mix(!number).to_be_bytes());
    serial[0] = serial[0] & 0x3f | 0x40;
    serial
}
