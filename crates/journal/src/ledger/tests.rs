//! The ledger as a whole.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use trust::Code;

use super::bounds::{Bounds, DAY_MS};
use super::keeper::{Batch, Keeper};
use super::*;

const NOW: i64 = 1_763_830_800_000;

fn sighting(domain: &str, chain: &[u8], refusal: Option<Code>) -> Sighting {
    Sighting {
        domain: domain.to_owned(),
        chain: Arc::new(ClientChain::new([chain])),
        at_ms: NOW,
        source: [192, 0, 2, 1].into(),
        refusal,
        accepted: u64::from(refusal.is_none()),
        refused: u64::from(refusal.is_some()),
        shadow: None,
    }
}

fn accepted(domain: &str, chain: &[u8]) -> Sighting {
    sighting(domain, chain, None)
}

/// From a network of its own.
fn stranger(domain: &str, number: u32) -> Sighting {
    let source = IpAddr::from((number << 8).to_be_bytes());
    Sighting { source, ..sighting(domain, &number.to_be_bytes(), Some(Code::ClientCertUntrusted)) }
}

/// A certificate that ends so many days after [`NOW`].
fn certificate(subject: &str, days: i64) -> Vec<u8> {
    let mut params = CertificateParams::new(vec!["client.example".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.subject_alt_names.push(SanType::URI("spiffe://example/client".try_into().unwrap()));
    params.not_after = time::OffsetDateTime::from_unix_timestamp((NOW + days * DAY_MS) / 1000).unwrap();
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn open(directory: &Path) -> Ledger {
    let (ledger, notices) = Ledger::open(directory, NOW);
    assert_eq!(notices, [""; 0]);
    ledger
}

fn all(ledger: &Ledger) -> Vec<Entry> {
    ledger.clients(&Query { limit: Query::MAX_PAGE, ..Query::default() }).unwrap().clients
}

fn write(keeper: &mut Keeper, sightings: impl IntoIterator<Item = Sighting>) {
    let mut batch = Batch::default();
    sightings.into_iter().for_each(|sighting| batch.add(sighting));
    keeper.write(batch).unwrap();
}

#[test]
fn says_who_was_seen() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let leaf = certificate("Acme, Inc.", 100);
    ledger.record([accepted("a.test", &leaf), accepted("b.test", &leaf)]);
    let refused = Sighting { at_ms: NOW + 5, ..sighting("a.test", &leaf, Some(Code::ClientCertExpired)) };
    ledger.record([refused, stranger("a.test", 7)]);
    ledger.sync().unwrap();

    let entries = all(&ledger);
    assert_eq!(entries.len(), 3);
    let first = &entries[0];
    assert_eq!((first.domain.as_str(), first.state, first.ever_accepted), ("a.test", State::Refused, true));
    assert_eq!((first.first_seen, first.last_seen, first.last_accepted), (NOW, NOW + 5, Some(NOW)));
    assert_eq!((first.accepted, first.refused, first.refusal), (1, 1, Some(Code::ClientCertExpired)));
    let identity = first.certificate.as_ref().unwrap();
    assert!(identity.subject.contains(r"CN=Acme\, Inc."), "{identity:?}");
    assert_eq!(identity.alternative_names, ["DNS:client.example", "URI:spiffe://example/client"]);
    assert_eq!(ledger.client(first.id).unwrap().as_ref(), Some(first));
    let digest = ClientChain::new([&leaf[..]]).digest();
    assert_eq!(ledger.chain(&digest).unwrap().unwrap().certificates().next(), Some(&leaf[..]));
    assert_eq!(ledger.chain(&[0; 32]).unwrap(), None);

    let find = |query: Query| {
        let page = ledger.clients(&Query { limit: 10, ..query }).unwrap();
        page.clients.into_iter().map(|entry| entry.domain).collect::<Vec<_>>()
    };
    let search = |text: &str| find(Query { search: Some(text.to_owned()), ..Query::default() });
    assert_eq!(search("ACME"), ["a.test", "b.test"]);
    assert_eq!(search("SPIFFE://Example"), ["a.test", "b.test"]);
    assert_eq!(search(&first.id.to_string()), ["a.test"]);
    assert_eq!(search("nobody"), [""; 0]);
    assert_eq!(find(Query { state: Some(State::Accepted), ..Query::default() }), ["b.test"]);
    assert_eq!(find(Query { state: Some(State::Refused), ..Query::default() }), ["a.test", "a.test"]);
    assert_eq!(find(Query { seen_since: Some(NOW + 1), ..Query::default() }), ["a.test"]);
    assert_eq!(find(Query { domain: Some("b.test".to_owned()), ..Query::default() }), ["b.test"]);
    assert_eq!(find(Query { domain: Some("b".to_owned()), ..Query::default() }), [""; 0]);

    let seen = |domain: &str, since| {
        let mut seen = Vec::new();
        let each = |entry: Entry, chain: ClientChain| {
            seen.push((entry.ever_accepted, chain.bytes()));
            ControlFlow::Continue(())
        };
        ledger.each_seen_since(domain, since, each).unwrap();
        seen
    };
    assert_eq!(seen("a.test", NOW), [(true, leaf.len()), (false, 4)]);
    assert_eq!(seen("a.test", NOW + 1), [(true, leaf.len())]);
    let mut accepted = 0;
    let count = |_, _| {
        accepted += 1;
        ControlFlow::Continue(())
    };
    ledger.each_accepted_since("a.test", NOW + 1, count).unwrap();
    assert_eq!(accepted, 0, "it was refused since");
}

#[test]
fn what_is_on_disk_stays() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    ledger.record((0..10).map(|n| stranger("a", n)));
    ledger.record([accepted("a", b"client"), accepted("b", b"client")]);
    ledger.close();
    assert!(matches!(ledger.clients(&Query::default()), Err(LedgerError::Unavailable(_))));
    let mode = fs::metadata(directory.path().join("ledger.redb")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let ledger = open(directory.path());
    assert_eq!(ledger.stats(), Stats { accepted: 2, strangers: 10, ..Stats::default() });
    ledger.record([accepted("a", b"client")]);
    ledger.sync().unwrap();
    assert_eq!(all(&ledger).iter().map(|entry| entry.accepted).sum::<u64>(), 3);
    assert_eq!(ledger.completeness(None).unwrap().since, NOW);
    assert_eq!(ledger.completeness(None).unwrap().clients, 2);
    assert_eq!(ledger.completeness(Some("a")).unwrap().clients, 1);
}

#[test]
fn pages_come_in_order_and_without_gaps() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let name = |n: i64| format!("{}.test", n % 3);
    ledger.record((0..25).map(|n| Sighting { at_ms: NOW + n / 2, ..accepted(&name(n), &n.to_be_bytes()) }));
    ledger.sync().unwrap();
    for limit in [1, 2, 7, 24, 25, 26] {
        let mut query = Query { limit, ..Query::default() };
        let mut seen = Vec::new();
        loop {
            let page = ledger.clients(&query).unwrap();
            assert!(page.clients.len() <= limit);
            seen.extend(page.clients.into_iter().map(|entry| (-entry.last_seen, entry.id)));
            query.token = page.token;
            if query.token.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 25);
        assert!(seen.is_sorted());
    }
    for token in ["", "xx", "00", &"0".repeat(47)] {
        let query = Query { token: Some(token.to_owned()), ..Query::default() };
        assert_eq!(ledger.clients(&query), Err(LedgerError::Token), "{token}");
    }
}

#[test]
fn certificates_that_end_and_those_that_were_renewed() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let at = |days, sighting| Sighting { at_ms: NOW + days * DAY_MS, ..sighting };
    let (old, soon, later) = (certificate("renewed", 10), certificate("soon", 20), certificate("later", 300));
    ledger.record([accepted("a", &old), accepted("b", &soon), accepted("a", &later)]);
    let stranger_soon = sighting("a", &certificate("stranger", 5), Some(Code::ClientCertUntrusted));
    ledger.record([stranger_soon]);
    ledger.sync().unwrap();
    let ending = |days: i64| {
        let seconds = NOW / 1000;
        let query = Query { ending: Some((seconds, seconds + days * 86_400)), limit: 10, ..Query::default() };
        let mut each = Vec::new();
        let found = |entry: Entry| {
            each.push(entry);
            ControlFlow::Continue(())
        };
        ledger.each_ending(seconds, seconds + days * 86_400, found).unwrap();
        assert_eq!(ledger.clients(&query).unwrap().clients, each);
        let subject = |entry: &Entry| entry.certificate.as_ref().map(|identity| identity.subject.clone());
        each.iter().map(|entry| (subject(entry).unwrap(), entry.renewed_by)).collect::<Vec<_>>()
    };
    assert_eq!(ending(9), []);
    assert!(matches!(&ending(30)[..], [(one, None), (two, None)] if one.contains("renewed") && two.contains("soon")));
    assert_eq!(ending(400).len(), 3);

    let new = certificate("renewed", 375);
    ledger.record([at(1, accepted("a", &new))]);
    ledger.sync().unwrap();
    let renewal = Some(Id::of("a", &ClientChain::new([&new[..]]).digest()));
    assert_eq!(ending(11)[0].1, renewal);
    // The old one is in use again, so there is something to be done after all.
    ledger.record([at(3, accepted("a", &old))]);
    ledger.sync().unwrap();
    assert_eq!(ending(11)[0].1, None);
    ledger.record([at(4, accepted("a", &new))]);
    ledger.sync().unwrap();
    assert_eq!(ending(11)[0].1, renewal, "for a day only the new one was seen");

    let subject = ending(11)[0].0.clone();
    let found = ledger.find_by_subject("a", &subject, 10).unwrap();
    assert_eq!(found.iter().map(|entry| Some(entry.id)).next(), Some(renewal), "the one that ends last");
    assert_eq!(found.len(), 2);
    assert_eq!(ledger.find_by_subject("b", &subject, 10).unwrap(), []);
}

#[test]
fn strangers_cannot_push_out_a_client() {
    let directory = tempfile::tempdir().unwrap();
    let (mut keeper, _) = Keeper::open(&directory.path().join("ledger.redb"), Bounds::default(), NOW).unwrap();
    write(&mut keeper, [accepted("a", b"client")]);
    // Every one from a network of its own, so that only the bounds hold them back; then very many from one network.
    for first in (0..20_000).step_by(2_000) {
        write(&mut keeper, (first..first + 2_000).map(|n| stranger(&format!("{}", n % 16), n)));
        assert!(keeper.counts().1 <= STRANGERS);
    }
    for first in (100_000..200_000_u32).step_by(10_000) {
        write(
            &mut keeper,
            (first..first + 10_000).map(|n| Sighting { source: [9, 9, 9, 9].into(), ..stranger("a", n) }),
        );
    }
    assert_eq!(keeper.counts(), (1, STRANGERS), "full, and not more");
    drop(keeper);
    let ledger = open(directory.path());
    let page = ledger.clients(&Query { state: Some(State::Accepted), limit: 9, ..Query::default() }).unwrap();
    assert_eq!(page.clients.len(), 1);
    assert_eq!(page.clients[0].accepted, 1);
    let sampled_out = ledger.completeness(None).unwrap().sampled_out.unwrap();
    assert_eq!(sampled_out.count, 100_000 - u64::from(STRANGERS_PER_SOURCE));
}

#[test]
fn one_certificate_with_ever_other_chains_fills_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mine, other) = (certificate("mine", 100), certificate("other", 100));
    let with = |number: i64| {
        let chain = Arc::new(ClientChain::new([&mine[..], &number.to_be_bytes()]));
        Sighting { chain, at_ms: NOW + number, ..accepted("a.test", &mine) }
    };
    let ledger = open(directory.path());
    ledger.record([accepted("a.test", &other), accepted("b.test", &mine)]);
    for number in 0..40 {
        ledger.record([with(number)]);
        ledger.sync().unwrap();
    }
    let entries = all(&ledger);
    let of = |domain: &str, subject: &str| {
        let is_it = |entry: &&Entry| {
            entry.domain == domain && entry.certificate.as_ref().is_some_and(|own| own.subject.contains(subject))
        };
        entries.iter().filter(is_it).map(|entry| entry.last_seen - NOW).collect::<Vec<_>>()
    };
    assert_eq!(of("a.test", "mine"), (24..40).rev().collect::<Vec<_>>(), "those that were seen last");
    assert_eq!((of("a.test", "other").len(), of("b.test", "mine").len()), (1, 1));
    let completeness = ledger.completeness(None).unwrap();
    assert_eq!((completeness.clients, completeness.lost), (18, None));
    assert_eq!(
        ledger.find_by_subject("a.test", &entries[0].certificate.as_ref().unwrap().subject, 100).unwrap().len(),
        16
    );
    assert_eq!(ledger.chain(&with(0).chain.digest()).unwrap(), None);
}

#[test]
fn a_stranger_that_is_accepted_moves() {
    let directory = tempfile::tempdir().unwrap();
    let bounds = Bounds { strangers_per_domain: 2, ..Bounds::default() };
    let (mut keeper, _) = Keeper::open(&directory.path().join("ledger.redb"), bounds, NOW).unwrap();
    let leaf = certificate("moves", 10);
    write(&mut keeper, [sighting("a", &leaf, Some(Code::ClientCertUntrusted)), stranger("a", 1)]);
    assert_eq!(keeper.counts(), (0, 2));
    write(&mut keeper, [accepted("a", &leaf)]);
    assert_eq!(keeper.counts(), (1, 1));
    write(&mut keeper, (2..10).map(|n| Sighting { at_ms: NOW + i64::from(n), ..stranger("a", n) }));
    drop(keeper);
    let ledger = open(directory.path());
    assert_eq!(ledger.stats().strangers, 2);
    let moved = ledger.client(Id::of("a", &ClientChain::new([&leaf[..]]).digest())).unwrap().unwrap();
    assert_eq!((moved.ever_accepted, moved.accepted, moved.refused), (true, 1, 1));
    let mut ending = 0;
    ledger
        .each_ending(NOW / 1000, i64::MAX, |_| {
            ending += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(ending, 1);
}

#[test]
fn where_all_is_full_the_ended_make_room_and_the_loss_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let bounds = Bounds { accepted_per_domain: 2, ..Bounds::default() };
    let (mut keeper, _) = Keeper::open(&directory.path().join("ledger.redb"), bounds, NOW).unwrap();
    let (ended, lasting) = (certificate("ended", -1), certificate("lasting", 10));
    write(&mut keeper, [accepted("a", &ended), accepted("a", &lasting), accepted("b", b"x")]);
    write(&mut keeper, [accepted("a", b"first")]);
    write(&mut keeper, [accepted("a", b"second")]);
    assert_eq!(keeper.counts().0, 3);
    drop(keeper);
    let ledger = open(directory.path());
    let client = |chain: &[u8]| ledger.client(Id::of("a", &ClientChain::new([chain]).digest())).unwrap();
    assert!(client(&ended).is_none() && client(&lasting).is_some());
    assert!(client(b"first").is_some() && client(b"second").is_none());
    assert_eq!(ledger.completeness(Some("a")).unwrap().lost, Some(Span { count: 2, first: NOW, last: NOW }));
    assert_eq!(ledger.completeness(Some("b")).unwrap().lost, None);
}

#[test]
fn the_old_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let (mut keeper, _) = Keeper::open(&directory.path().join("ledger.redb"), Bounds::default(), NOW).unwrap();
    write(&mut keeper, (0..3_000_u32).map(|n| accepted("a", &n.to_be_bytes())).chain([stranger("a", 9)]));
    let later = |ms, chain: &[u8]| Sighting { at_ms: NOW + ms, ..accepted("b", chain) };
    write(&mut keeper, [later(STRANGER_AGE_MS + 1, b"x")]);
    assert_eq!(keeper.counts(), (3_001, 0), "strangers go sooner");
    write(&mut keeper, [later(ACCEPTED_AGE_MS, b"x")]);
    assert_eq!(keeper.counts(), (3_001, 0));
    for second in 0..4 {
        write(&mut keeper, [later(ACCEPTED_AGE_MS + DAY_MS + second * 1000, b"x")]);
    }
    assert_eq!(keeper.counts(), (1, 0), "some at a time");
}

#[test]
fn what_is_lost_on_the_way_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = open(directory.path());
    let large = vec![7; 60_000];
    let flood = (0..2_000_u32).map(|n| {
        let chain = Arc::new(ClientChain::new([&large[..], &n.to_be_bytes()[..]]));
        Sighting { chain, ..stranger("a", n) }
    });
    // All at once, so that the thread cannot take any of it meanwhile.
    ledger.record(flood.chain([accepted("a", b"client")]).collect::<Vec<_>>());
    ledger.left_out(5, NOW + 9_000);
    ledger.sync().unwrap();
    let completeness = ledger.completeness(None).unwrap();
    // Chains of 120 MB: the queue takes 16 MiB of them, and a batch 4 MiB of those.
    let dropped = completeness.dropped.unwrap();
    assert!(dropped.count > 1_500, "{dropped:?}");
    assert_eq!(ledger.stats().dropped, dropped.count);
    assert!(completeness.sampled_out.is_some_and(|span| span.count > 180 && span.last == NOW + 9_000));
    assert!((60..80).contains(&ledger.stats().strangers), "{:?}", ledger.stats());
    assert!(all(&ledger).iter().any(|entry| entry.ever_accepted), "there is room for clients still");
}

#[test]
fn a_damaged_file_is_moved_aside() {
    let fresh = |damage: &dyn Fn(&Path)| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.redb");
        let ledger = open(directory.path());
        ledger.record((0..500_u32).map(|n| accepted("a", &n.to_be_bytes())));
        ledger.close();
        drop(ledger);
        damage(&path);
        let (ledger, notices) = Ledger::open(directory.path(), NOW + 1);
        ledger.record([accepted("a", b"client")]);
        ledger.sync().unwrap();
        assert_eq!(all(&ledger).len(), 1);
        assert_eq!(ledger.completeness(None).unwrap().since, NOW + 1);
        let aside = directory.path().join(format!("ledger.redb.damaged-{}", NOW + 1));
        assert!(aside.exists() && notices.len() == 1 && notices[0].contains("begins anew"), "{notices:?}");
    };
    fresh(&|path| fs::write(path, b"no database").unwrap());
    fresh(&|path| {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    });
    fresh(&|path| {
        let mut file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let place = bytes.windows(7).rposition(|window| window == br#""chain""#).unwrap();
        file.seek(SeekFrom::Start(place as u64)).unwrap();
        file.write_all(b"\0\0\0\0\0\0\0").unwrap();
    });
}

#[test]
fn where_there_can_be_no_file_the_rest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("ledger.redb")).unwrap();
    let (ledger, notices) = Ledger::open(directory.path(), NOW);
    assert!(notices[0].contains("not noted until this is mended"), "{notices:?}");
    ledger.record([accepted("a", b"client")]);
    assert!(matches!(ledger.sync(), Err(LedgerError::Unavailable(_))));
    assert!(matches!(ledger.clients(&Query::default()), Err(LedgerError::Unavailable(_))));
    assert_eq!(ledger.stats().dropped, 1);
    assert!(ledger.stats().error.is_some());
}

/// Runs in a process of its own that is killed while it writes.
#[test]
#[ignore = "run by survives_being_killed"]
fn writes_until_it_is_killed() {
    let Ok(directory) = std::env::var("LEDGER_TO_KILL") else { return };
    let (ledger, _) = Ledger::open(Path::new(&directory), NOW);
    for n in 0_u32.. {
        ledger.record([accepted("a", &n.to_be_bytes())]);
        ledger.sync().unwrap();
        println!("written {n}");
    }
}

#[test]
fn survives_being_killed() {
    let directory = tempfile::tempdir().unwrap();
    let mut written = 0;
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "ledger::tests::writes_until_it_is_killed", "--nocapture"])
            .env("LEDGER_TO_KILL", directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        let told = lines.map_while(Result::ok).filter_map(|line| line.rsplit_once("written ")?.1.parse::<usize>().ok());
        written = written.max(told.take(20).last().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        let ledger = open(directory.path());
        assert!(all(&ledger).len() > written, "{} of {written}", all(&ledger).len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever comes in whatever order: the counts are those of what was seen, and the indexes say what the clients say.
    #[test]
    fn adds_up(seen in prop::collection::vec((0..3_u8, 0..12_u8, any::<bool>(), 0..100_i64), 1..80)) {
        let directory = tempfile::tempdir().unwrap();
        let ledger = open(directory.path());
        let mut wanted: HashMap<(u8, u8), (u64, u64, i64)> = HashMap::new();
        for (domain, chain, is_accepted, at) in seen {
            let refusal = (!is_accepted).then_some(Code::ClientCertUntrusted);
            let source = [10, chain, 0, 1].into();
            let seen = Sighting { at_ms: NOW + at, source, ..sighting(&domain.to_string(), &[chain], refusal) };
            ledger.record([seen]);
            let sum = wanted.entry((domain, chain)).or_insert((0, 0, NOW));
            *sum = (sum.0 + u64::from(is_accepted), sum.1 + u64::from(!is_accepted), sum.2.max(NOW + at));
            if at % 7 == 0 {
                ledger.sync().unwrap();
            }
        }
        ledger.sync().unwrap();
        let entries = all(&ledger);
        prop_assert_eq!(entries.len(), wanted.len());
        prop_assert!(entries.iter().map(|entry| -entry.last_seen).is_sorted());
        for entry in &entries {
            let chain = ledger.chain(&data_encoding::HEXLOWER.decode(entry.chain.as_bytes()).unwrap().try_into().unwrap());
            let key = (entry.domain.parse().unwrap(), chain.unwrap().unwrap().certificates().next().unwrap()[0]);
            prop_assert_eq!((entry.accepted, entry.refused, entry.last_seen), wanted[&key]);
            prop_assert_eq!(entry.ever_accepted, entry.accepted > 0);
        }
        let trusted = entries.iter().filter(|entry| entry.ever_accepted).count() as u64;
        prop_assert_eq!(ledger.stats().accepted, trusted);
        prop_assert_eq!(ledger.stats().strangers, entries.len() as u64 - trusted);
        prop_assert_eq!(ledger.completeness(None).unwrap().clients, trusted);
    }
}
