//! What it costs to judge a client, by how many CAs are in the truststore; and what a known one costs, of whom only the digest
//! of the chain is taken.
//!
//! `cargo bench -p trust --bench judge`

#[path = "../tests/support/mod.rs"]
mod support;

use divan::Bencher;
use support::{Authority, NOW, bundle, truststore};
use trust::{Certificate, Digest, Policy, Truststore, Unrevoked};

const CAS: [usize; 3] = [1, 100, 1000];

fn main() {
    divan::main();
}

/// Whose issuer is the last of `cas`.
fn client(cas: usize) -> (Truststore, Vec<u8>) {
    let authorities: Vec<Authority> = (0..cas).map(|number| Authority::root(&format!("Root {number}"))).collect();
    let all: Vec<&Authority> = authorities.iter().collect();
    (truststore(&bundle(&all)), authorities[cas - 1].leaf("Client"))
}

#[divan::bench(args = CAS)]
fn first_seen(bencher: Bencher, cas: usize) {
    let (truststore, leaf) = client(cas);
    let policy = Policy::default();
    assert!(truststore.judge(&[&leaf], &policy, &Unrevoked, NOW).refusal().is_none());
    bencher.bench(|| truststore.judge(&[&leaf], &policy, &Unrevoked, NOW));
}

#[divan::bench(args = CAS)]
fn stranger(bencher: Bencher, cas: usize) {
    let (truststore, _) = client(cas);
    let leaf = Authority::root("Elsewhere").leaf("Stranger");
    let policy = Policy::default();
    assert!(truststore.judge(&[&leaf], &policy, &Unrevoked, NOW).refusal().is_some());
    bencher.bench(|| truststore.judge(&[&leaf], &policy, &Unrevoked, NOW));
}

#[divan::bench]
fn known(bencher: Bencher) {
    let (_, leaf) = client(1);
    bencher.bench(|| Digest::of(&leaf));
}

#[divan::bench]
fn parse(bencher: Bencher) {
    let (_, leaf) = client(1);
    bencher.bench(|| Certificate::from_der(&leaf));
}

#[divan::bench]
fn identity(bencher: Bencher) {
    let (_, leaf) = client(1);
    let leaf = Certificate::from_der(&leaf).expect("rcgen makes certificates");
    bencher.bench(|| leaf.client_cert());
}
