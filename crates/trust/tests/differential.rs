//! Generated hierarchies, judged by ours, by webpki and by `openssl verify`. They may differ only by a named rule, which
//! is proved: with the rule's cause taken out of the case, they agree.

mod support;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::rsa::KeySize;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use support::forge::{
    Forge, Key, authority_key_id, basic_constraints, extended_key_usage, extension, name_constraints,
    subject_alt_names, tlv,
};
use support::{NOW, OpenSsl, pem_of};
use trust::{Certificate, Judgment, Policy, Profile, Truststore, Unrevoked};

const NAMES: usize = 5;

/// The last two are strong, and not allowed by the profile aws.
static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let rsa = Key::rsa(KeySize::Rsa2048);
    vec![Key::p256(), Key::p256(), Key::p256(), Key::p384(), rsa, Key::p256(), Key::p521(), Key::ed25519()]
});
const ONLY_RFC5280: usize = 6;

/// A truststore, and what a client sends besides its leaf.
#[derive(Clone, Debug)]
struct Case {
    profile: Profile,
    max_depth: u8,
    leaf: Plan,
    listed: Vec<Plan>,
    sent: Vec<Plan>,
    /// The leaf is an entry of the truststore.
    leaf_is_listed: bool,
}

/// A certificate. Names and keys by number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Plan {
    name: usize,
    key: usize,
    issuer_name: usize,
    issuer_key: usize,
    v1: bool,
    dates: Dates,
    /// Basic constraints.
    ca: Option<bool>,
    path_len: Option<u8>,
    /// The octet of keyUsage's bits.
    key_usage: Option<u8>,
    extended_key_usage: Vec<u8>,
    constraints: Constraints,
    key_ids: bool,
    unknown_critical: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Dates {
    Valid,
    Expired,
    Future,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Constraints {
    Nothing,
    Permits,
    PermitsOther,
    Excludes,
}

/// Why ours says no where another says yes, or yes where it says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// Stricter than webpki, which looks at no anchor: it has to be valid…
    AnchorDates,
    /// …to be a CA by basic constraints, where OpenSSL makes do with keyCertSign or with being self-signed…
    BasicConstraints,
    /// …whose key usage, if any, has keyCertSign, which webpki does not ask of intermediates either…
    KeyUsage,
    /// …with a path length that is kept…
    PathLength,
    /// …without critical extensions that are not understood…
    CriticalExtension,
    /// …and, unless it is self-signed, extended key usages with the purpose.
    AuthorityPurpose,
    /// At most four CAs in the profile aws.
    Depth,
    /// P-521 and Ed25519 are not AWS's.
    Key,
    /// Profile rfc5280 asks of a client for clientAuth and digitalSignature.
    ClientPurpose,
    /// Profile rfc5280 asks for key identifiers. Without them OpenSSL takes for self-signed what is self-issued, and
    /// the first of namesakes for the issuer.
    KeyIds,
    /// A CA is no client.
    AuthorityAsLeaf,
    /// Laxer than webpki: AWS takes X.509 v1. (It has no key identifiers; for OpenSSL see there.)
    VersionOne,
    /// What is in the truststore is trusted as itself.
    ListedLeaf,
    /// webpki counts self-issued intermediates in path lengths, RFC 5280 section 4.2.1.9 does not.
    SelfIssued,
    /// OpenSSL asks roots for the purpose as well.
    RootPurpose,
    /// OpenSSL, and AWS's profile not, looks at a client's key usage.
    LeafKeyUsage,
    /// OpenSSL makes one chain, by names and key identifiers, and does not go back when it leads nowhere. webpki gives up
    /// after 100 signature checks, which it spends on namesakes whatever their key identifiers say. Proved with nothing
    /// but the path by which ours accepts.
    OneChain,
}

const STRICTER: &[Rule] = &[
    Rule::AnchorDates,
    Rule::BasicConstraints,
    Rule::KeyUsage,
    Rule::PathLength,
    Rule::CriticalExtension,
    Rule::AuthorityPurpose,
    Rule::Depth,
    Rule::Key,
    Rule::ClientPurpose,
    Rule::KeyIds,
    Rule::AuthorityAsLeaf,
    Rule::VersionOne,
];
const LAXER_THAN_WEBPKI: &[Rule] = &[Rule::VersionOne, Rule::ListedLeaf, Rule::SelfIssued, Rule::OneChain];
const LAXER_THAN_OPENSSL: &[Rule] =
    &[Rule::OneChain, Rule::RootPurpose, Rule::LeafKeyUsage, Rule::ListedLeaf, Rule::KeyIds, Rule::VersionOne];

impl Rule {
    /// The case without what this rule is about.
    fn taken_out_of(self, case: &Case) -> Case {
        let mut case = case.clone();
        let Case { leaf, listed, sent, .. } = &mut case;
        let mut authorities: Vec<&mut Plan> = listed.iter_mut().chain(sent).collect();
        let mut each = |change: fn(&mut Plan)| authorities.iter_mut().for_each(|plan| change(plan));
        match self {
            Self::AnchorDates => listed.iter_mut().for_each(|plan| plan.dates = Dates::Valid),
            Self::BasicConstraints => each(|plan| plan.ca = Some(true)),
            Self::KeyUsage => each(|plan| plan.key_usage = None),
            Self::PathLength | Self::SelfIssued => each(|plan| plan.path_len = None),
            Self::CriticalExtension => each(|plan| plan.unknown_critical = false),
            Self::AuthorityPurpose | Self::RootPurpose => each(|plan| plan.extended_key_usage.clear()),
            Self::Depth => case.max_depth = 20,
            Self::Key => {
                each(|plan| (plan.key, plan.issuer_key) = (usual(plan.key), usual(plan.issuer_key)));
                (leaf.key, leaf.issuer_key) = (usual(leaf.key), usual(leaf.issuer_key));
            }
            Self::ClientPurpose => (leaf.extended_key_usage, leaf.key_usage) = (vec![2], None),
            Self::KeyIds => {
                each(|plan| plan.key_ids = true);
                leaf.key_ids = true;
            }
            Self::AuthorityAsLeaf => leaf.ca = None,
            Self::VersionOne => {
                each(|plan| plan.v1 = false);
                leaf.v1 = false;
            }
            Self::ListedLeaf => case.leaf_is_listed = false,
            Self::LeafKeyUsage => leaf.key_usage = None,
            // Only a judge knows which way is good.
            Self::OneChain => {}
        }
        case
    }
}

fn usual(key: usize) -> usize {
    if key >= ONLY_RFC5280 { key - ONLY_RFC5280 } else { key }
}

impl Plan {
    fn is_self_signed(&self) -> bool {
        (self.name, self.key) == (self.issuer_name, self.issuer_key)
    }

    /// DER. What was made once is remembered: cases without this or that have most certificates in common.
    fn make(&self, serial: u8, is_leaf: bool) -> Vec<u8> {
        thread_local!(static MADE: RefCell<HashMap<(Plan, u8, bool), Vec<u8>>> = RefCell::default());
        MADE.with_borrow_mut(|made| {
            made.entry((self.clone(), serial, is_leaf)).or_insert_with(|| self.sign(serial, is_leaf)).clone()
        })
    }

    fn sign(&self, serial: u8, is_leaf: bool) -> Vec<u8> {
        let issuer_key = &KEYS[self.issuer_key];
        let name = |number: usize| format!("CA {number}");
        let subject = if is_leaf { "client".to_owned() } else { name(self.name) };
        let mut forge = Forge::new(&subject, &name(self.issuer_name), &KEYS[self.key]);
        forge.serial = vec![1, serial];
        (forge.not_before, forge.not_after) = match self.dates {
            Dates::Valid => (forge.not_before, forge.not_after),
            Dates::Expired => (forge.not_before, "20250101000000Z"),
            Dates::Future => ("20300101000000Z", forge.not_after),
        };
        if self.v1 {
            forge.version = 1;
            return forge.signed_by(issuer_key);
        }
        let dns = |name: &str| tlv(0x82, &[name.as_bytes()]);
        if let Some(ca) = self.ca {
            forge = forge.with(basic_constraints(ca, self.path_len.filter(|_| ca)));
        }
        if let Some(bits) = self.key_usage {
            forge = forge.with(extension(&[0x55, 0x1d, 15], true, &[3, 2, bits.trailing_zeros() as u8, bits]));
        }
        if !self.extended_key_usage.is_empty() {
            forge = forge.with(extended_key_usage(&self.extended_key_usage));
        }
        if is_leaf {
            forge = forge.with(subject_alt_names(&[dns("a.example.com")]));
        }
        forge = match self.constraints {
            Constraints::Nothing => forge,
            Constraints::Permits => forge.with(name_constraints(&[dns("example.com")], &[])),
            Constraints::PermitsOther => forge.with(name_constraints(&[dns("example.org")], &[])),
            Constraints::Excludes => forge.with(name_constraints(&[], &[dns("a.example.com")])),
        };
        if self.key_ids {
            forge = forge.with(authority_key_id(&issuer_key.id()));
            forge = forge.with(extension(&[0x55, 0x1d, 14], false, &tlv(4, &[&KEYS[self.key].id()])));
        }
        if self.unknown_critical {
            forge = forge.with(extension(&[0x2a, 3], true, &[5, 0]));
        }
        forge.signed_by(issuer_key)
    }
}

/// The certificates of a case.
struct Made {
    leaf: Vec<u8>,
    listed: Vec<Vec<u8>>,
    sent: Vec<Vec<u8>>,
}

impl Case {
    fn make(&self) -> Made {
        let leaf = self.leaf.make(0, true);
        let mut listed: Vec<_> = (1..).zip(&self.listed).map(|(serial, plan)| plan.make(serial, false)).collect();
        if self.leaf_is_listed {
            listed.push(leaf.clone());
        }
        let sent = (100..).zip(&self.sent).map(|(serial, plan)| plan.make(serial, false)).collect();
        Made { leaf, listed, sent }
    }
}

impl Made {
    /// Ours.
    fn judge(&self, case: &Case) -> Option<Judgment> {
        let pem: String = self.listed.iter().map(|der| pem_of(der)).collect();
        let (truststore, _) = Truststore::compile(pem.as_bytes(), NOW).ok()?;
        let mut chain: Vec<&[u8]> = vec![&self.leaf];
        chain.extend(self.sent.iter().map(Vec::as_slice));
        let policy = Policy { max_depth: case.max_depth, ..Policy::of(case.profile) };
        Some(truststore.judge(&chain, &policy, &Unrevoked, NOW))
    }

    /// The path by which ours accepts.
    fn ours(&self, case: &Case) -> Option<Vec<Vec<u8>>> {
        let judgment = self.judge(case)?;
        Some(judgment.path()?.0.iter().map(|certificate| certificate.der().to_vec()).collect())
    }

    /// webpki with the profile's anchors: self-signed entries, or every entry.
    fn webpki(&self, case: &Case) -> bool {
        let is_root = |der: &Vec<u8>| {
            let certificate = Certificate::from_der(der).expect("it is one");
            certificate.is_self_issued() && certificate.is_signed_by(&certificate)
        };
        let (anchors, others): (Vec<_>, Vec<_>) = match case.profile {
            Profile::Aws => self.listed.iter().partition(|der| is_root(der)),
            Profile::Rfc5280 => (self.listed.iter().collect(), self.sent.iter().collect()),
        };
        let der = |der: &Vec<u8>| CertificateDer::from(der.clone());
        let anchors: Vec<_> = anchors.into_iter().map(der).collect();
        let anchors: Vec<TrustAnchor<'_>> =
            anchors.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
        let others: Vec<_> = others.into_iter().map(der).collect();
        let leaf = der(&self.leaf);
        let Ok(leaf) = webpki::EndEntityCert::try_from(&leaf) else { return false };
        let time = UnixTime::since_unix_epoch(Duration::from_secs(NOW as u64));
        let usage = webpki::KeyUsage::client_auth();
        leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &others, time, usage, None, None).is_ok()
    }

    fn openssl(&self, case: &Case, openssl: &OpenSsl) -> bool {
        let pem = |certificates: &[Vec<u8>]| certificates.iter().map(|der| pem_of(der)).collect::<String>();
        openssl.write("leaf.pem", &pem_of(&self.leaf)).write("listed.pem", &pem(&self.listed));
        let more = match case.profile {
            Profile::Aws => "",
            Profile::Rfc5280 if self.sent.is_empty() => "-partial_chain",
            Profile::Rfc5280 => "-partial_chain -untrusted sent.pem",
        };
        openssl.write("sent.pem", &pem(&self.sent));
        let always = "-no-CApath -no-CAstore -purpose sslclient";
        openssl.succeeds(&format!("verify -CAfile listed.pem {always} -attime {NOW} {more} leaf.pem"))
    }
}

/// Another verifier.
#[derive(Clone, Copy, PartialEq)]
enum Other<'a> {
    Webpki,
    OpenSsl(&'a RefCell<OpenSsl>),
}

impl PartialEq for OpenSsl {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Other<'_> {
    fn accepts(self, made: &Made, case: &Case) -> bool {
        match self {
            Self::Webpki => made.webpki(case),
            Self::OpenSsl(openssl) => made.openssl(case, &openssl.borrow()),
        }
    }

    /// The rules that explain the difference; none if there is none.
    fn compare(self, case: &Case) -> Result<Vec<Rule>, String> {
        let made = case.make();
        let ours = made.ours(case);
        let theirs = self.accepts(&made, case);
        if ours.is_some() == theirs {
            return Ok(Vec::new());
        }
        let rules = match (theirs, self) {
            (true, _) => STRICTER,
            (false, Self::Webpki) => LAXER_THAN_WEBPKI,
            (false, Self::OpenSsl(_)) => LAXER_THAN_OPENSSL,
        };
        let explains = |set: &[Rule]| self.agrees_without(set, case, ours.as_deref());
        let pairs = rules.iter().enumerate().flat_map(|(n, a)| rules[n + 1..].iter().map(|b| vec![*a, *b]));
        let few = rules.iter().map(|rule| vec![*rule]).chain(pairs).find(|set| explains(set));
        if let Some(set) = few.or_else(|| explains(rules).then(|| rules.to_vec())) {
            return Ok(set);
        }
        let reason =
            made.judge(case).map_or_else(|| "no truststore".to_owned(), |judgment| support::outcome(&judgment));
        Err(format!("ours: {reason}; the other accepts: {theirs}; and no rule says why: {case:?}"))
    }

    fn agrees_without(self, rules: &[Rule], case: &Case, our_path: Option<&[Vec<u8>]>) -> bool {
        let case = rules.iter().fold(case.clone(), |case, rule| rule.taken_out_of(&case));
        let mut made = case.make();
        if rules.contains(&Rule::OneChain) {
            // With nothing else to choose, the other has to come to the same path.
            let Some(path) = made.ours(&case).or_else(|| our_path.map(<[_]>::to_vec)) else { return false };
            made.listed.retain(|der| path.contains(der));
            made.sent.retain(|der| path.contains(der));
        }
        made.ours(&case).is_some() == self.accepts(&made, &case)
    }
}

/// A hierarchy from a root down to the client, mostly in order, and others that have its names and keys.
fn case() -> impl Strategy<Value = Case> {
    let rare = |value| prop::bool::weighted(value);
    let spine = (0..=6_usize, prop::collection::vec(plan(true), 7), plan(false));
    let noise = prop::collection::vec((plan(true), 0..NAMES, 0..KEYS.len(), 0..NAMES, 0..KEYS.len(), rare(0.2)), 0..6);
    let split = prop::collection::vec(any::<bool>(), 13);
    (spine, noise, split, any::<bool>(), rare(0.03), rare(0.1)).prop_map(
        |((depth, mut spine, mut leaf), noise, split, strict, leaf_is_listed, odd_root)| {
            spine.truncate(depth + 1);
            for place in 0..spine.len() {
                let above = if place == 0 { spine[0].clone() } else { spine[place - 1].clone() };
                let plan = &mut spine[place];
                if place > 0 || !odd_root {
                    (plan.issuer_name, plan.issuer_key) = (above.name, above.key);
                }
            }
            let last = &spine[spine.len() - 1];
            (leaf.issuer_name, leaf.issuer_key) = (last.name, last.key);
            let noise = noise.into_iter().map(|(plan, name, key, issuer_name, issuer_key, is_root)| {
                let (issuer_name, issuer_key) = if is_root { (name, key) } else { (issuer_name, issuer_key) };
                Plan { name, key, issuer_name, issuer_key, ..plan }
            });
            let all: Vec<Plan> = spine.into_iter().chain(noise).collect();
            let profile = if strict { Profile::Rfc5280 } else { Profile::Aws };
            let is_listed = |place: usize, plan: &Plan| !strict || plan.is_self_signed() || (place > 0 && split[place]);
            let (listed, sent): (Vec<_>, Vec<_>) =
                all.into_iter().enumerate().partition(|(place, plan)| is_listed(*place, plan));
            let plans = |part: Vec<(usize, Plan)>| part.into_iter().map(|(_, plan)| plan).collect::<Vec<_>>();
            let max_depth = Policy::of(profile).max_depth;
            Case { profile, max_depth, leaf, listed: plans(listed), sent: plans(sent), leaf_is_listed }
        },
    )
}

fn plan(is_authority: bool) -> impl Strategy<Value = Plan> {
    let good = if is_authority { Some(true) } else { None };
    let ca = prop_oneof![30 => Just(good), 1 => Just(None), 1 => Just(Some(false)), 1 => Just(Some(true))];
    let path_len = prop_oneof![8 => Just(None), 1 => (0..3_u8).prop_map(Some), 1 => Just(Some(5))];
    let bits = if is_authority { [0x04, 0x02] } else { [0x80, 0x20] };
    let key_usage = prop_oneof![8 => Just(None), 8 => Just(Some(bits[0])), 1 => Just(Some(bits[1]))];
    let usual = if is_authority { vec![] } else { vec![2] };
    let purposes = prop_oneof![16 => Just(usual), 1 => Just(vec![]), 1 => Just(vec![1]), 1 => Just(vec![1, 2])];
    let constraints = prop_oneof![
        40 => Just(Constraints::Nothing),
        2 => Just(if is_authority { Constraints::Permits } else { Constraints::Nothing }),
        1 => Just(if is_authority { Constraints::PermitsOther } else { Constraints::Nothing }),
        1 => Just(if is_authority { Constraints::Excludes } else { Constraints::Nothing }),
    ];
    let dates = prop_oneof![40 => Just(Dates::Valid), 2 => Just(Dates::Expired), 1 => Just(Dates::Future)];
    let key = prop_oneof![30 => 0..ONLY_RFC5280, 1 => ONLY_RFC5280..ONLY_RFC5280 + 2];
    let flags = (prop::bool::weighted(0.04), prop::bool::weighted(0.97), prop::bool::weighted(0.02));
    (0..NAMES, key, ca, path_len, key_usage, purposes, constraints, dates, flags).prop_map(
        |(
            name,
            key,
            ca,
            path_len,
            key_usage,
            extended_key_usage,
            constraints,
            dates,
            (v1, key_ids, unknown_critical),
        )| {
            Plan {
                name,
                key,
                issuer_name: name,
                issuer_key: key,
                v1,
                dates,
                ca,
                path_len,
                key_usage,
                extended_key_usage,
                constraints,
                key_ids,
                unknown_critical,
            }
        },
    )
}

/// How often each rule explained a difference.
fn differences(cases: u32, other: Other<'_>) -> (BTreeMap<Rule, u32>, [u32; 2]) {
    let tally = RefCell::new((BTreeMap::new(), [0, 0]));
    let outcome =
        TestRunner::new(Config { max_shrink_iters: 30, failure_persistence: None, ..Config::with_cases(cases) }).run(
            &case(),
            |case| {
                let rules = other.compare(&case).map_err(TestCaseError::fail)?;
                let mut tally = tally.borrow_mut();
                tally.1[usize::from(rules.is_empty() && case.make().ours(&case).is_some())] += 1;
                for rule in rules {
                    *tally.0.entry(rule).or_insert(0) += 1;
                }
                Ok(())
            },
        );
    if let Err(TestError::Fail(reason, _)) = &outcome {
        panic!("{reason}");
    }
    outcome.unwrap_or_else(|error| panic!("{error}"));
    tally.into_inner()
}

#[test]
fn webpki() {
    // More, for a night: DIFFERENTIAL_CASES.
    let cases = std::env::var("DIFFERENTIAL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000);
    let (tally, [_, both_accept]) = differences(cases, Other::Webpki);
    println!("both accept {both_accept} of {cases}; {tally:?}");
    assert!(both_accept > cases / 5, "the cases have become too easy to refuse: {both_accept}");
    assert!(tally.len() >= 8, "the rules are no longer met: {tally:?}");
}

#[test]
fn openssl() {
    let openssl = RefCell::new(OpenSsl::new());
    let (tally, [_, both_accept]) = differences(400, Other::OpenSsl(&openssl));
    println!("both accept {both_accept} of 400; {tally:?}");
    assert!(both_accept > 60, "the cases have become too easy to refuse: {both_accept}");
}

/// The same again in truststores of a thousand, most of which have the same names and other keys.
#[test]
fn a_thousand_authorities() {
    let others: Vec<Key> = (0..40).map(|_| Key::p256()).collect();
    let filler: String = (0..970_usize)
        .map(|n| {
            let (name, key) = (format!("CA {}", n % NAMES), &others[n % others.len()]);
            let mut forge = Forge::new(&name, &name, key).authority(key, None);
            forge.serial = vec![2, (n >> 8) as u8, n as u8];
            pem_of(&forge.signed_by(key))
        })
        .collect();
    TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(6) })
        .run(&case(), |case| {
            let made = case.make();
            let pem: String = made.listed.iter().map(|der| pem_of(der)).collect();
            let (truststore, _) = Truststore::compile(format!("{filler}{pem}").as_bytes(), NOW).expect("a truststore");
            let mut chain: Vec<&[u8]> = vec![&made.leaf];
            chain.extend(made.sent.iter().map(Vec::as_slice));
            let judgment = truststore.judge(&chain, &Policy::of(case.profile), &Unrevoked, NOW);
            let has_key_ids = made.listed.iter().chain(&made.sent).chain([&made.leaf]).all(|der| {
                let certificate = Certificate::from_der(der).expect("it is one");
                certificate.authority_key_id().is_some() && certificate.subject_key_id().is_some()
            });
            // Where key identifiers say which of two hundred namesakes it is, the others change nothing.
            if has_key_ids {
                prop_assert_eq!(judgment.is_accepted(), made.ours(&case).is_some());
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
