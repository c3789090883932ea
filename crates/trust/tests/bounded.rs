//! The worst that a stranger can send, at truststores that make it worse: judged within bounds of work, and in a release
//! build within 5 ms (`cargo test --release -p trust --test bounded -- --ignored --nocapture`).

mod support;

use std::time::{Duration, Instant};

use aws_lc_rs::rsa::KeySize;
use support::forge::{Forge, Key, P256_KEYS, attribute, extension, name, name_constraints, subject_alt_names, tlv};
use support::{NOW, pem_of};
use trust::{Judgment, Policy, Profile, Surroundings, Truststore, Unrevoked, explain};

/// What the edge reads of a client.
const MAX_CHAIN: usize = 10;
const MAX_CHAIN_OCTETS: usize = 64 * 1024;

/// A truststore and a chain to be judged by it.
struct Attack {
    name: String,
    truststore: Truststore,
    chain: Vec<Vec<u8>>,
}

impl Attack {
    fn judge(&self, profile: Profile) -> Judgment {
        let chain: Vec<&[u8]> = self.chain.iter().map(Vec::as_slice).collect();
        self.truststore.judge(&chain, &Policy::of(profile), &Unrevoked, NOW)
    }
}

#[test]
fn no_attack_costs_more_than_the_bounds() {
    for attack in attacks(200) {
        for profile in [Profile::Aws, Profile::Rfc5280] {
            let judgment = attack.judge(profile);
            let cost = judgment.cost;
            assert!(!judgment.is_accepted(), "{}", attack.name);
            assert!(
                cost.signature_checks <= 64 && cost.steps <= 25_000 && cost.paths <= 64,
                "{}: {cost:?}",
                attack.name
            );
            assert!(judgment.trail.len() <= 64, "{}", attack.name);
            let told: usize = judgment.trail.iter().map(|step| step.subject.len() + step.detail.len()).sum();
            assert!(told <= 3 * MAX_CHAIN_OCTETS, "{}: {told} octets", attack.name);
        }
    }
}

#[test]
fn a_chain_larger_than_what_is_read_is_refused_or_cut() {
    let key = &P256_KEYS[0];
    let root = Forge::new("Root", "Root", key).authority(key, None).signed_by(key);
    let store = support::truststore(&pem_of(&root));
    let sub = Forge::new("Sub", "Root", &P256_KEYS[1]).authority(key, None).signed_by(key);
    let leaf = Forge::new("client", "Sub", &P256_KEYS[2]).client(&P256_KEYS[1]).signed_by(&P256_KEYS[1]);
    let padded = |octets| {
        let padding = extension(&[0x2a, 3], false, &vec![0; octets]);
        Forge::new("client", "Sub", &P256_KEYS[2]).with(padding).signed_by(&P256_KEYS[1])
    };
    let outcome =
        |chain: &[&[u8]]| support::outcome(&store.judge(chain, &Policy::of(Profile::Rfc5280), &Unrevoked, NOW));
    assert_eq!(outcome(&[&leaf, &sub]), "accepted");
    assert_eq!(outcome(&[&leaf, &padded(60_000), &sub]), "accepted");
    assert_eq!(outcome(&[&leaf, &padded(30_000), &padded(40_000), &sub]), "ClientCertUntrusted");
    assert_eq!(outcome(&[&padded(66_000), &sub]), "ClientCertMaxSizeExceeded");
}

/// Thousands of judgements would be needed to see the slowest; what is compared is the quickest of a few of each attack,
/// because other work on the machine only ever adds.
#[test]
#[ignore = "measures time: for release builds on a quiet machine"]
fn the_worst_takes_less_than_five_milliseconds() {
    let mut worst = Duration::ZERO;
    for attack in attacks(990) {
        for profile in [Profile::Aws, Profile::Rfc5280] {
            let (took, judgment) = (0..15)
                .map(|_| {
                    let began = Instant::now();
                    let judgment = attack.judge(profile);
                    (began.elapsed(), judgment)
                })
                .min_by_key(|(took, _)| *took)
                .expect("fifteen are more than none");
            worst = worst.max(took);
            let code = support::outcome(&judgment);
            println!("{:7.0} µs  {} ({profile:?}): {code} {:?}", took.as_secs_f64() * 1e6, attack.name, judgment.cost);
        }
    }
    println!("worst: {worst:?}");
    assert!(worst < Duration::from_millis(5), "{worst:?}");
}

/// Strangers are explained in the edge, with the newer version of the truststore as the one neighbour.
#[test]
#[ignore = "measures time: for release builds on a quiet machine"]
fn the_worst_is_explained_in_less_than_five_milliseconds() {
    let mut worst = Duration::ZERO;
    for attack in attacks(990) {
        let chain: Vec<&[u8]> = attack.chain.iter().map(Vec::as_slice).collect();
        for profile in [Profile::Aws, Profile::Rfc5280] {
            let judgment = attack.judge(profile);
            let explain = || {
                let began = Instant::now();
                let around = Surroundings::default();
                let found = explain(&judgment, &chain, &attack.truststore, &around, &Policy::of(profile), NOW);
                assert!(found.is_some_and(|found| found.explanation.len() <= 4 * 4_001), "{}", attack.name);
                began.elapsed()
            };
            let took = (0..5).map(|_| explain()).min().expect("five are more than none");
            worst = worst.max(took);
            println!("{:7.0} µs  {} ({profile:?})", took.as_secs_f64() * 1e6, attack.name);
        }
    }
    println!("worst: {worst:?}");
    assert!(worst < Duration::from_millis(5), "{worst:?}");
}

/// With truststores of `size` CAs where their number matters.
fn attacks(size: usize) -> Vec<Attack> {
    let mut keys = vec![("P-256", many(size.min(120), Key::p256)), ("P-384", many(70, Key::p384))];
    keys.push(("P-521", many(30, Key::p521)));
    keys.push(("Ed25519", many(70, Key::ed25519)));
    for bits in [2048, 3072, 4096, 6144, 8192] {
        let name: &'static str = Box::leak(format!("RSA {bits}").into_boxed_str());
        keys.push((name, (0..70).map(|seed| Key::nobodys_rsa(bits, seed)).collect()));
    }
    let mut attacks: Vec<Attack> = keys.iter().flat_map(|(kind, keys)| of_namesakes(kind, keys, size)).collect();
    let rsa = vec![Key::rsa(KeySize::Rsa4096), Key::rsa(KeySize::Rsa4096), Key::rsa(KeySize::Rsa4096)];
    attacks.push(mesh("RSA 4096", &rsa, size));
    attacks.push(mesh("P-256", &keys[0].1, size));
    attacks.push(mesh("P-384", &keys[1].1, size));
    attacks.extend(of_names(size));
    attacks.extend(of_parsing());
    attacks.push(of_policies());
    attacks
}

fn many(count: usize, key: impl Fn() -> Key) -> Vec<Key> {
    (0..count).map(|_| key()).collect()
}

/// As many of them as a truststore may have octets.
fn store(certificates: &[Vec<u8>]) -> Truststore {
    let mut octets = 0;
    let fits = |pem: &String| {
        octets += pem.len();
        octets <= trust::MAX_BYTES
    };
    support::truststore(&certificates.iter().map(|der| pem_of(der)).take_while(fits).collect::<String>())
}

/// Hundreds of CAs with one name and different keys, and a client of none of them: small, and as large as may be.
fn of_namesakes(kind: &str, keys: &[Key], size: usize) -> Vec<Attack> {
    let own = &P256_KEYS[0];
    let authority = |(place, key): (usize, &Key)| {
        let mut forge = Forge::new("CA", "CA", key).authority(own, None);
        forge.serial = vec![1, (place >> 8) as u8, place as u8];
        forge.signed_by(own)
    };
    let authorities: Vec<_> = keys.iter().cycle().take(size).enumerate().map(authority).collect();
    // Not self-signed: a root above makes them usable in both profiles.
    let root = Forge::new("CA", "CA", own).authority(own, None).signed_by(own);
    let truststore = store(&[&[root][..], &authorities].concat());
    let issuer = keys.last().expect("there are keys");
    [0, 15 * 1024, 60 * 1024]
        .into_iter()
        .map(|padding| {
            let mut leaf = Forge::new("client", "CA", &P256_KEYS[1]).client(&P256_KEYS[2]);
            // Purposes, of which the last is the one that is needed: it has to be looked for each time.
            let purposes =
                [[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 9].repeat(padding / 10), vec![6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2]];
            leaf.extensions[0] = extension(&[0x55, 0x1d, 37], false, &tlv(0x30, &[&purposes.concat()]));
            let name = format!("namesakes with {kind}, a leaf of {padding} octets");
            // The right algorithm and a wrong signature.
            let mut der = leaf.signed_by(issuer);
            let last = der.len() - 1;
            der[last] ^= 1;
            Attack { name, truststore: truststore.clone(), chain: vec![der] }
        })
        .collect()
}

/// Nine intermediates of one name that certify one another with good signatures, below namesakes in the truststore.
fn mesh(kind: &str, keys: &[Key], size: usize) -> Attack {
    let keys = &keys[..keys.len().min(MAX_CHAIN - 1)];
    let own = &P256_KEYS[0];
    let listed = |place: usize| {
        let mut forge = Forge::new("CA", "CA", &P256_KEYS[1]).authority(own, None);
        forge.serial = vec![1, (place >> 8) as u8, place as u8];
        forge.signed_by(own)
    };
    let truststore = store(&(0..size).map(listed).collect::<Vec<_>>());
    let mut chain = vec![Forge::new("client", "CA", own).client(&keys[0]).signed_by(&keys[0])];
    for place in 0..MAX_CHAIN - 1 {
        let (key, issuer) = (&keys[place % keys.len()], &keys[(place + 1) % keys.len()]);
        let mut forge = Forge::new("CA", "CA", key).authority(issuer, None);
        forge.serial = vec![2, place as u8];
        chain.push(forge.signed_by(issuer));
    }
    Attack { name: format!("a mesh with {kind} below {size} namesakes"), truststore, chain }
}

/// Long names: as constraints and what they are held against, as subjects that differ in the last letter only.
fn of_names(size: usize) -> Vec<Attack> {
    let own = &P256_KEYS[0];
    let dns = |label: &str| tlv(0x82, &[label.as_bytes()]);
    let label = "a".repeat(63);
    let long = |n: usize| dns(&format!("{label}.{label}.{label}.{n:05}.example"));
    let short = |n: usize| dns(&format!("{n:x}.x"));
    let directory =
        |n: usize| tlv(0xa4, &[&tlv(0x30, &[&attribute(11, "x").repeat(20), &attribute(3, &n.to_string())])]);
    let email = |n: usize| tlv(0x81, &[format!("{n}@{label}.{label}.example").as_bytes()]);
    let uri = |n: usize| tlv(0x86, &[format!("x://{n}.{label}.{label}.example/").as_bytes()]);
    type Names<'a> = &'a dyn Fn(usize) -> Vec<u8>;
    let kinds: [(&str, Names<'_>, usize); 5] = [
        ("long DNS names", &long, 28_000),
        ("short DNS names", &short, 28_000),
        ("directory names", &directory, 28_000),
        ("e-mail addresses", &email, 28_000),
        ("URIs", &uri, 28_000),
    ];
    let mut attacks = Vec::new();
    for (kind, make, octets) in kinds {
        let count = octets / make(0).len();
        let bases: Vec<_> = (0..count).map(make).collect();
        let names: Vec<_> = (count..2 * count).map(make).collect();
        // The constraints in the truststore's CA, or in one that the client sends below it.
        let root = Forge::new("Root", "Root", own).authority(own, None).signed_by(own);
        let sub =
            Forge::new("Sub", "Root", own).authority(own, None).with(name_constraints(&[], &bases)).signed_by(own);
        let leaf = Forge::new("client", "Sub", own).client(own).with(subject_alt_names(&names)).signed_by(own);
        let truststore = store(&[root.clone(), sub.clone()]);
        attacks.push(Attack { name: format!("{count} {kind} constrained"), truststore, chain: vec![leaf.clone()] });
        let truststore = store(&[root]);
        attacks.push(Attack { name: format!("{count} {kind} constrained, sent"), truststore, chain: vec![leaf, sub] });
    }
    attacks.push(of_long_subjects(size));
    attacks.push(of_names_in_intermediates());
    attacks
}

/// Intermediates whose names are as long as ten of them can have, and the same nearly to the end.
fn of_long_subjects(size: usize) -> Attack {
    let key = &P256_KEYS[0];
    let long = |n: usize| name(&format!("{}{n:04}", "n".repeat(2_500)));
    let make = |subject: usize, issuer: usize| {
        let mut forge = Forge::new("", "", key).authority(key, None);
        (forge.subject, forge.issuer) = (long(subject), long(issuer));
        forge.signed_by(key)
    };
    let truststore = store(&(0..size.min(100)).map(|n| make(100, 101 + n)).collect::<Vec<_>>());
    let mut leaf = Forge::new("client", "", key).client(key);
    leaf.issuer = long(0);
    let mut chain = vec![leaf.signed_by(key)];
    chain.extend((0..MAX_CHAIN - 1).map(|n| make(n, (n + 1) % (MAX_CHAIN - 1))));
    Attack { name: "long subjects".to_owned(), truststore, chain }
}

/// A mesh of intermediates with thousands of names each, which the profile rfc5280 wants well-formed.
fn of_names_in_intermediates() -> Attack {
    let names = subject_alt_names(&vec![tlv(0x82, &[b"a.example"]); 550]);
    let mut chain = vec![Forge::new("client", "CA", &P256_KEYS[0]).client(&P256_KEYS[0]).signed_by(&P256_KEYS[0])];
    for place in 0..MAX_CHAIN - 1 {
        let (key, issuer) = (&P256_KEYS[place % 8], &P256_KEYS[(place + 1) % 8]);
        let mut forge = Forge::new("CA", "CA", key).authority(issuer, None).with(names.clone());
        forge.serial = vec![2, place as u8];
        chain.push(forge.signed_by(issuer));
    }
    let own = &P256_KEYS[9];
    let truststore = store(&[Forge::new("Root", "Root", own).authority(own, None).signed_by(own)]);
    Attack { name: "a mesh with many names".to_owned(), truststore, chain }
}

/// Certificates that are slow to read, as large as may be.
fn of_parsing() -> Vec<Attack> {
    let own = &P256_KEYS[0];
    let truststore = store(&[Forge::new("CA", "CA", own).authority(own, None).signed_by(own)]);
    let long_oid = tlv(6, &[&[5; 60]]);
    let attribute_of_long_oid = tlv(0x31, &[&tlv(0x30, &[&long_oid, &[5, 0]])]);
    let plain = || Forge::new("client", "CA", own);
    let named = |subject: Vec<u8>| Forge { subject: tlv(0x30, &[&subject]), ..plain() };
    let purposes = |oid: &[u8]| extension(&[0x55, 0x1d, 37], false, &tlv(0x30, &[&oid.repeat(60_000 / oid.len())]));
    [
        ("a leaf of empty names", plain().with(subject_alt_names(&vec![vec![0x82, 0]; 30_000]))),
        ("a leaf of names of one letter", plain().with(subject_alt_names(&vec![vec![0x82, 1, b'a']; 20_000]))),
        ("a leaf of short purposes", plain().with(purposes(&[6, 1, 5]))),
        ("a leaf of long purposes", plain().with(purposes(&long_oid))),
        ("a subject of control characters", named(attribute(3, &"\u{1}".repeat(60_000)))),
        ("a subject of many attributes", named(attribute(3, "a").repeat(4_500))),
        ("a subject of long OIDs", named(attribute_of_long_oid.repeat(850))),
        (
            "many critical extensions",
            (0..60).fold(plain(), |forge, n| forge.with(extension(&[&[n][..], &[5; 60]].concat(), true, &[]))),
        ),
    ]
    .into_iter()
    .map(|(name, forge)| Attack {
        name: name.to_owned(),
        truststore: truststore.clone(),
        chain: vec![forge.signed_by(&P256_KEYS[1])],
    })
    .collect()
}

/// Policies mapped to one another all the way down, none of which is valid in the end, by as many ways as there are.
fn of_policies() -> Attack {
    let own = &P256_KEYS[0];
    let policy = |n: usize| tlv(6, &[&[0x2b, (n / 100) as u8, (n % 100) as u8]]);
    let asserted: Vec<u8> = (0..250).flat_map(|n| tlv(0x30, &[&policy(n)])).collect();
    let mapped: Vec<u8> = (0..250).flat_map(|n| tlv(0x30, &[&policy(n), &policy((n * 7 + 1) % 250)])).collect();
    let policies = extension(&[0x55, 0x1d, 32], false, &tlv(0x30, &[&asserted]));
    let mappings = extension(&[0x55, 0x1d, 33], true, &tlv(0x30, &[&mapped]));
    let required = extension(&[0x55, 0x1d, 36], true, &[0x30, 3, 0x80, 1, 0]);
    let root = Forge::new("CA", "CA", own).authority(own, None).with(required);
    let truststore = store(&[root.signed_by(own)]);
    let mut chain = vec![Forge::new("client", "CA", own).client(&P256_KEYS[1]).signed_by(&P256_KEYS[1])];
    for place in 1..MAX_CHAIN {
        let (key, issuer) = (&P256_KEYS[1 + place % 4], if place > 5 { own } else { &P256_KEYS[1 + (place + 1) % 4] });
        let mut forge = Forge::new("CA", "CA", key).authority(issuer, None);
        forge.serial = vec![2, place as u8];
        chain.push(forge.with(policies.clone()).with(mappings.clone()).signed_by(issuer));
    }
    Attack { name: "a mesh of mapped policies".to_owned(), truststore, chain }
}
