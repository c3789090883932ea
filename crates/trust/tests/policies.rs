//! Certificate policies on a path (RFC 5280 section 6.1), each row also put to `openssl verify -policy_check`.

mod support;

use rcgen::{CertificateParams, CustomExtension};
use support::{Authority, NOW, OpenSsl, bundle, ca_params, leaf_params, outcome, pem_of, truststore};
use trust::{Policy, Profile, Unrevoked};

/// What a certificate says about policies; a policy is a digit of 1.3.(digit), 0 stands for anyPolicy.
#[derive(Clone, Copy, Default)]
struct Says {
    asserts: &'static [u8],
    maps: &'static [(u8, u8)],
    requires: Option<u8>,
    inhibits_mapping: Option<u8>,
    inhibits_any: Option<u8>,
}

const NOTHING: Says = Says { asserts: &[], maps: &[], requires: None, inhibits_mapping: None, inhibits_any: None };

const fn asserts(policies: &'static [u8]) -> Says {
    Says { asserts: policies, ..NOTHING }
}

/// From the root down to the leaf, and whether that is accepted.
const TABLE: &[(&str, &[Says], bool)] = &[
    ("nobody requires one", &[NOTHING, NOTHING, NOTHING], true),
    ("nobody requires one, and they differ", &[NOTHING, asserts(&[1]), asserts(&[2])], true),
    ("required and there", &[NOTHING, Says { requires: Some(0), ..asserts(&[1]) }, asserts(&[1])], true),
    ("required and not there", &[NOTHING, Says { requires: Some(0), ..asserts(&[1]) }, NOTHING], false),
    ("required and another", &[NOTHING, Says { requires: Some(0), ..asserts(&[1]) }, asserts(&[2])], false),
    ("required by a CA that has none itself", &[NOTHING, Says { requires: Some(0), ..NOTHING }, asserts(&[1])], false),
    ("required one further down", &[NOTHING, Says { requires: Some(1), ..asserts(&[1]) }, NOTHING], false),
    ("required two further down", &[NOTHING, Says { requires: Some(2), ..asserts(&[1]) }, NOTHING], true),
    (
        "the stricter count holds",
        &[
            NOTHING,
            Says { requires: Some(1), ..asserts(&[1]) },
            Says { requires: Some(9), ..asserts(&[1]) },
            NOTHING,
            NOTHING,
        ],
        false,
    ),
    ("the leaf itself requires one", &[NOTHING, asserts(&[1]), Says { requires: Some(0), ..asserts(&[2]) }], false),
    ("any is one", &[NOTHING, Says { requires: Some(0), ..asserts(&[0]) }, asserts(&[7])], true),
    ("any in the leaf", &[NOTHING, Says { requires: Some(0), ..asserts(&[1]) }, asserts(&[0])], true),
    (
        "any in the leaf, inhibited",
        &[NOTHING, Says { requires: Some(0), inhibits_any: Some(0), ..asserts(&[1]) }, asserts(&[0])],
        false,
    ),
    (
        "any in the leaf, inhibited from the next on",
        &[NOTHING, Says { requires: Some(0), inhibits_any: Some(1), ..asserts(&[1]) }, asserts(&[0])],
        true,
    ),
    (
        "any inhibited two above",
        &[NOTHING, Says { requires: Some(0), inhibits_any: Some(1), ..asserts(&[1]) }, asserts(&[0]), asserts(&[0])],
        false,
    ),
    (
        "any inhibited by a CA that has it itself",
        &[NOTHING, Says { requires: Some(0), inhibits_any: Some(0), ..asserts(&[0]) }, asserts(&[3])],
        true,
    ),
    ("mapped", &[NOTHING, Says { requires: Some(0), maps: &[(1, 2)], ..asserts(&[1]) }, asserts(&[2])], true),
    ("mapped away", &[NOTHING, Says { requires: Some(0), maps: &[(1, 2)], ..asserts(&[1]) }, asserts(&[1])], false),
    (
        "mapped to two",
        &[NOTHING, Says { requires: Some(0), maps: &[(1, 2), (1, 3)], ..asserts(&[1]) }, asserts(&[3])],
        true,
    ),
    (
        "mapped twice in a row",
        &[
            NOTHING,
            Says { requires: Some(0), maps: &[(1, 2)], ..asserts(&[1]) },
            Says { maps: &[(2, 3)], ..asserts(&[2]) },
            asserts(&[3]),
        ],
        true,
    ),
    (
        "mapping of what is not valid",
        &[NOTHING, Says { requires: Some(0), maps: &[(5, 2)], ..asserts(&[1]) }, asserts(&[2])],
        false,
    ),
    ("mapping from any", &[NOTHING, Says { requires: Some(0), maps: &[(5, 2)], ..asserts(&[0]) }, asserts(&[2])], true),
    (
        "mapping inhibited",
        &[
            NOTHING,
            Says { requires: Some(0), inhibits_mapping: Some(0), ..asserts(&[1]) },
            Says { maps: &[(1, 2)], ..asserts(&[1]) },
            asserts(&[2]),
        ],
        false,
    ),
    (
        "mapping inhibited, another policy stays",
        &[
            NOTHING,
            Says { requires: Some(0), inhibits_mapping: Some(0), ..asserts(&[1, 4]) },
            Says { maps: &[(1, 2)], ..asserts(&[1, 4]) },
            asserts(&[4]),
        ],
        true,
    ),
    ("mapping to any is not allowed", &[NOTHING, Says { maps: &[(1, 0)], ..asserts(&[1]) }, asserts(&[1])], false),
    ("mapping from any is not allowed", &[NOTHING, Says { maps: &[(0, 1)], ..asserts(&[1]) }, asserts(&[1])], false),
    ("lost on the way", &[NOTHING, Says { requires: Some(0), ..asserts(&[1]) }, NOTHING, asserts(&[1])], false),
    (
        "one of several",
        &[NOTHING, Says { requires: Some(0), ..asserts(&[1, 2, 3]) }, asserts(&[2, 3, 4]), asserts(&[9, 3])],
        true,
    ),
];

#[test]
fn table() {
    for (name, says, good) in TABLE {
        let (authorities, leaf) = hierarchy(says);
        let expected = if *good { "accepted" } else { "ClientCertPathInvalid" };
        let store = truststore(&bundle(&authorities.iter().collect::<Vec<_>>()));
        let judgment = store.judge(&[&leaf], &Policy::default(), &Unrevoked, NOW);
        assert_eq!(outcome(&judgment), expected, "{name}: {:?}", judgment.trail);
        // In the other profile the client sends the intermediates; in the truststore each would be an anchor.
        let root = truststore(&authorities[0].pem());
        let mut chain = vec![leaf.as_slice()];
        chain.extend(authorities[1..].iter().rev().map(Authority::der));
        let judgment = root.judge(&chain, &Policy::of(Profile::Rfc5280), &Unrevoked, NOW);
        assert_eq!(outcome(&judgment), expected, "{name}, sent: {:?}", judgment.trail);

        let openssl = OpenSsl::new();
        openssl.write("root.pem", &authorities[0].pem()).write("leaf.pem", &pem_of(&leaf));
        openssl.write("others.pem", &bundle(&authorities[1..].iter().collect::<Vec<_>>()));
        let theirs = openssl.succeeds(&format!(
            "verify -CAfile root.pem -untrusted others.pem -attime {NOW} -purpose sslclient -policy anyPolicy -policy_check leaf.pem"
        ));
        assert_eq!(theirs, *good, "{name}: openssl");
    }
}

/// What an anchor says about policies counts as in any other certificate (RFC 5937), and having none says nothing.
#[test]
fn an_anchor_that_is_an_intermediate() {
    let requires = Says { requires: Some(0), ..asserts(&[1]) };
    for (says, good) in [(asserts(&[1]), true), (asserts(&[2]), false), (NOTHING, false)] {
        let (authorities, leaf) = hierarchy(&[NOTHING, requires, says]);
        let store = truststore(&authorities[1].pem());
        let judgment = store.judge(&[&leaf], &Policy::of(Profile::Rfc5280), &Unrevoked, NOW);
        assert_eq!(judgment.is_accepted(), good, "{:?}", judgment.trail);
    }
}

/// A critical extension on policies that cannot be read is refused by both profiles, another by `rfc5280` only.
#[test]
fn malformed_policies() {
    let twice = der(0x30, &[policy(1), policy(1)]);
    for (last, content) in [
        (32, vec![0x30, 0]),
        (32, vec![0x30, 2, 0x05, 0]),
        (32, twice),
        (33, vec![0x30, 0]),
        (36, vec![0x30, 0]),
        (36, vec![0x30, 3, 0x80, 1, 0xff]),
        (36, vec![0x30, 2, 0x80, 0]),
        (54, vec![2, 1, 0xff]),
        (54, vec![0x30, 0]),
    ] {
        for critical in [true, false] {
            let mut params = ca_params("Root");
            params.custom_extensions = vec![extension(last, critical, content.clone())];
            let root = Authority::root_of(params);
            let leaf = root.leaf("client");
            let store = truststore(&root.pem());
            let judged = |profile| outcome(&store.judge(&[&leaf], &Policy::of(profile), &Unrevoked, NOW));
            let lenient = if critical { "ClientCertPathInvalid" } else { "accepted" };
            assert_eq!(judged(Profile::Aws), lenient, "{last} {content:02x?}");
            assert_eq!(judged(Profile::Rfc5280), "ClientCertPathInvalid", "{last} {content:02x?}");
        }
    }
}

/// A tree of these mappings has 30^9 leaves (RFC 9618 section 2); a set has 30.
#[test]
fn mappings_of_everything_to_everything() {
    const ALL: [u8; 30] = {
        let mut all = [0; 30];
        let mut n = 0;
        while n < 30 {
            all[n] = n as u8 + 1;
            n += 1;
        }
        all
    };
    const MESH: [(u8, u8); 30 * 8] = {
        let mut mesh = [(0, 0); 30 * 8];
        let mut n = 0;
        while n < 30 * 8 {
            mesh[n] = ((n % 30) as u8 + 1, (n / 30 + n) as u8 % 30 + 1);
            n += 1;
        }
        mesh
    };
    let mut says = vec![NOTHING; 1];
    says.extend([Says { requires: Some(0), maps: &MESH, ..asserts(&ALL) }; 8]);
    says.push(asserts(&[17]));
    let (authorities, leaf) = hierarchy(&says);
    let store = truststore(&bundle(&authorities.iter().collect::<Vec<_>>()));
    let policy = Policy { max_depth: 20, ..Policy::of(Profile::Rfc5280) };
    let began = std::time::Instant::now();
    assert_eq!(outcome(&store.judge(&[&leaf], &policy, &Unrevoked, NOW)), "accepted");
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
}

/// The authorities from the root down, and the leaf.
fn hierarchy(says: &[Says]) -> (Vec<Authority>, Vec<u8>) {
    let (leaf, above) = says.split_last().expect("a leaf");
    let mut authorities: Vec<Authority> = Vec::new();
    for (depth, says) in above.iter().enumerate() {
        let params = says.on(ca_params(&format!("CA {depth}")));
        authorities.push(match authorities.last() {
            None => Authority::root_of(params),
            Some(parent) => parent.sub_of(params),
        });
    }
    let leaf = authorities.last().expect("a root").leaf_of(leaf.on(leaf_params("client")));
    (authorities, leaf)
}

impl Says {
    fn on(&self, mut params: CertificateParams) -> CertificateParams {
        let mut add = |last, critical, content| params.custom_extensions.push(extension(last, critical, content));
        if !self.asserts.is_empty() {
            add(32, false, der(0x30, &self.asserts.iter().map(|&n| policy(n)).collect::<Vec<_>>()));
        }
        if !self.maps.is_empty() {
            let pairs: Vec<_> = self.maps.iter().map(|&(from, to)| der(0x30, &[oid(from), oid(to)])).collect();
            add(33, true, der(0x30, &pairs));
        }
        let skips = [(0x80, self.requires), (0x81, self.inhibits_mapping)];
        let skips: Vec<_> = skips.iter().filter_map(|&(tag, skip)| Some(der(tag, &[vec![skip?]]))).collect();
        if !skips.is_empty() {
            add(36, true, der(0x30, &skips));
        }
        if let Some(skip) = self.inhibits_any {
            add(54, true, der(2, &[vec![skip]]));
        }
        params
    }
}

fn extension(last: u8, critical: bool, content: Vec<u8>) -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, last.into()], content);
    extension.set_criticality(critical);
    extension
}

fn policy(number: u8) -> Vec<u8> {
    der(0x30, &[oid(number)])
}

fn oid(number: u8) -> Vec<u8> {
    match number {
        0 => vec![6, 4, 0x55, 0x1d, 32, 0],
        number => vec![6, 2, 0x2b, number],
    }
}

fn der(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).expect("less than 64 KiB");
    let [high, low] = length.to_be_bytes();
    let header = match length {
        ..128 => vec![tag, low],
        128..256 => vec![tag, 0x81, low],
        256.. => vec![tag, 0x82, high, low],
    };
    [header, content].concat()
}
