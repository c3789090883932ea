//! A revocation list of half a million: how long reading, checking and looking up take.
//!
//! `cargo bench -p trust --bench crl`; how much memory it takes is a test of `crl::entries`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use support::Authority;
use support::list::{List, entry, reason};
use trust::{Certificate, Crl};

const COUNT: u64 = 500_000;
const LOOK_UPS: u64 = 1_000_000;
const BATCH: usize = 2_000;

fn main() {
    let root = Authority::root("Root");
    let issuer = Certificate::from_der(root.der()).expect("rcgen makes certificates");
    let why = reason(1);
    let entries = (0..COUNT).map(|number| match number % 4 {
        0 => entry(&serial(number), &[&why]),
        _ => entry(&serial(number), &[]),
    });
    let list = List { entries: entries.collect(), ..List::default() };
    let (der, pem) = (list.by(&root), list.pem_by(&root));
    println!("{COUNT} entries with serial numbers of 16 octets: {} octets of DER, {} of PEM", der.len(), pem.len());

    println!("read DER: {:?}", best(|| Crl::read(&der).expect("a list")));
    println!("read PEM: {:?}", best(|| Crl::read(pem.as_bytes()).expect("a list")));
    let list = Crl::read(&der).expect("a list").remove(0);
    let start = Instant::now();
    assert!(list.is_signed_by(&issuer));
    println!("check the signature: {:?}, and again: {:?}", start.elapsed(), best(|| list.is_signed_by(&issuer)));

    for (what, offset) in [("listed", 0), ("not listed", COUNT)] {
        let serials: Vec<[u8; 16]> =
            (0..LOOK_UPS).map(|number| serial(offset + number.wrapping_mul(2_654_435_761) % COUNT)).collect();
        // In batches, so that what else the machine does can be told apart.
        let mut each: Vec<Duration> = serials
            .chunks(BATCH)
            .map(|batch| {
                let start = Instant::now();
                let found = batch.iter().filter(|serial| list.find(black_box(&serial[..])).is_some()).count();
                assert_eq!(found, if offset == 0 { BATCH } else { 0 });
                start.elapsed() / BATCH as u32
            })
            .collect();
        each.sort_unstable();
        println!("look up what is {what}: {:?} in the median batch, {:?} in the best", each[each.len() / 2], each[0]);
    }
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

fn best<T>(mut run: impl FnMut() -> T) -> Duration {
    let time = |_| {
        let start = Instant::now();
        drop(black_box(run()));
        start.elapsed()
    };
    (0..5).map(time).min().expect("five runs")
}
