//! Revocation lists: what is read, what is refused, and which of them say something of a certificate.

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use rcgen::{CertificateParams, CrlDistributionPoint, KeyPair, KeyUsagePurpose, SerialNumber};
use support::list::{DAY, List, der, entry, extension, issuing_distribution_point, reason, sequence, time};
use support::{Authority, NOW, OpenSsl, bundle, ca_params, leaf_params, new_key, outcome, truststore};
use trust::{Certificate, Crl, CrlError, CrlFault, Judgment, NothingFetched, Policy, Profile, Reason, Revocations};

fn read(der: &[u8]) -> Crl {
    let mut lists = Crl::read(der).unwrap();
    assert_eq!(lists.len(), 1);
    lists.remove(0)
}

fn fault(der: &[u8]) -> CrlFault {
    match Crl::read(der) {
        Err(CrlError::Unusable { line: None, fault }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_what_a_list_says() {
    let root = Authority::root("Root");
    let mut list = List::default().dated(NOW - 5, NOW + 5);
    list.entries = vec![
        entry(&[0x51], &[]),
        entry(&[0x00, 0x90], &[&reason(1)]),
        entry(&[0x12, 0x34], &[&extension(24, false, &time(0)), &reason(6)]),
    ];
    let bytes = list.by(&root);
    let list = read(&bytes);
    assert_eq!((list.issuer(), list.number().as_deref()), ("CN=Root", Some("7")));
    assert_eq!((list.this_update(), list.next_update()), (NOW - 5, Some(NOW + 5)));
    assert_eq!((list.len(), list.is_empty()), (3, false));
    assert_eq!(list.digest(), trust::Digest::of(&bytes));
    let found = |serial: &[u8]| list.find(serial).map(|revoked| (revoked.at, revoked.reason));
    assert_eq!(found(&[0x51]), Some((NOW - DAY, Reason::Unspecified)));
    assert_eq!(found(&[0x00, 0x90]), Some((NOW - DAY, Reason::KeyCompromise)));
    assert_eq!(found(&[0x12, 0x34]), Some((NOW - DAY, Reason::CertificateHold)));
    assert_eq!(found(&[0x52]), None);
    assert_eq!(list.find(&[0x51]).unwrap().reason.to_string(), "unspecified");
    // Version 1 has neither a number nor reasons, and need not say when the next one comes.
    let plain = List { version: None, next_update: None, extensions: Vec::new(), ..List::of(&[&[3]]) };
    let plain = read(&plain.by(&root));
    assert_eq!((plain.number(), plain.next_update(), plain.len()), (None, None, 1));
    assert!(read(&List::default().by(&root)).is_empty());
}

#[test]
fn reasons() {
    let root = Authority::root("Root");
    for (code, expected) in [
        (0, Ok(Some("unspecified"))),
        (1, Ok(Some("keyCompromise"))),
        (2, Ok(Some("cACompromise"))),
        (3, Ok(Some("affiliationChanged"))),
        (4, Ok(Some("superseded"))),
        (5, Ok(Some("cessationOfOperation"))),
        (6, Ok(Some("certificateHold"))),
        (7, Err(CrlFault::Malformed("reasonCode"))),
        (8, Ok(None)),
        (9, Ok(Some("privilegeWithdrawn"))),
        (10, Ok(Some("aACompromise"))),
        (11, Err(CrlFault::Malformed("reasonCode"))),
    ] {
        let list = List { entries: vec![entry(&[5], &[&reason(code)])], ..List::default() }.by(&root);
        match expected {
            Err(expected) => assert_eq!(fault(&list), expected),
            Ok(expected) => {
                let found = read(&list).find(&[5]).map(|revoked| revoked.reason.to_string());
                assert_eq!(found.as_deref(), expected);
            }
        }
    }
}

#[test]
fn lists_that_are_refused() {
    let root = Authority::root("Root");
    let good = List::of(&[&[1]]);
    let with_entry = |extension: Vec<u8>| List { entries: vec![entry(&[1], &[&extension])], ..List::default() };
    let relative = extension(28, true, &sequence(&[&der(0xa0, &[&der(0xa1, &[])])]));
    let malformed = CrlFault::Malformed;
    for (list, expected) in [
        (good.clone().with(extension(27, true, &[2, 1, 1])), CrlFault::Delta),
        (good.clone().with(extension(27, false, &[2, 1, 1])), CrlFault::Delta),
        (good.clone().with(issuing_distribution_point(None, &[4])), CrlFault::Indirect),
        (good.clone().with(issuing_distribution_point(None, &[5])), CrlFault::AttributeCertificates),
        (good.clone().with(issuing_distribution_point(None, &[3])), CrlFault::SomeReasons),
        (good.clone().with(issuing_distribution_point(None, &[1, 2])), malformed("issuingDistributionPoint")),
        (good.clone().with(issuing_distribution_point(None, &[2, 1])), malformed("issuingDistributionPoint")),
        (good.clone().with(relative), CrlFault::RelativeName),
        (good.clone().with(extension(46, true, &sequence(&[]))), CrlFault::UnknownCritical("2.5.29.46".to_owned())),
        (good.clone().with(extension(99, true, &[])), CrlFault::UnknownCritical("2.5.29.99".to_owned())),
        (good.clone().with(extension(20, false, &[2, 1, 8])), malformed("crlExtensions")),
        (List { version: None, ..good.clone() }, malformed("version")),
        (List { version: Some(0), ..good.clone() }, malformed("version")),
        (List { version: Some(2), ..good.clone() }, malformed("version")),
        (List { version: None, extensions: vec![], ..with_entry(reason(1)) }, malformed("version")),
        (with_entry(extension(29, true, &sequence(&[]))), CrlFault::Indirect),
        (with_entry(extension(29, false, &sequence(&[]))), CrlFault::Indirect),
        (with_entry(extension(23, true, &[6, 1, 42])), CrlFault::UnknownCritical("2.5.29.23".to_owned())),
        (List::of(&[&[]]), malformed("userCertificate")),
        (List::of(&[&[1; 65]]), malformed("userCertificate")),
        (
            // ecdsa-with-SHA1
            List { algorithm: Some(vec![6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]), ..good.clone() },
            CrlFault::WeakSignature("ecdsa-with-SHA1".to_owned()),
        ),
        (
            // sha1WithRSAEncryption
            List { algorithm: Some(vec![6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 5, 5, 0]), ..good.clone() },
            CrlFault::WeakSignature("sha1WithRSAEncryption".to_owned()),
        ),
    ] {
        assert_eq!(fault(&list.by(&root)), expected);
    }
    // What is not critical and not understood plays no part.
    for list in [
        good.clone().with(extension(46, false, &sequence(&[]))),
        good.clone().with(extension(18, false, &[1, 2, 3])),
        with_entry(extension(23, false, &[6, 1, 42])),
        with_entry(reason(1)),
    ] {
        assert_eq!(read(&list.by(&root)).len(), 1);
    }
    let mut differing = good.by(&root);
    let inner = differing.windows(3).position(|window| window == [4, 3, 2]).unwrap();
    differing[inner + 2] = 3;
    assert_eq!(fault(&differing), CrlFault::AlgorithmsDiffer);
    let mut trailing = good.by(&root);
    trailing.push(0);
    assert_eq!(fault(&trailing), malformed("DER"));
    assert_eq!(fault(root.der()), malformed("signature"), "a certificate");
}

#[test]
fn pem_holds_several_and_other_things() {
    let (one, two) = (Authority::root("One"), Authority::root("Two"));
    let text = format!("{}\n{}{}", List::default().pem_by(&one), one.pem(), List::default().pem_by(&two));
    let lists = Crl::read(text.as_bytes()).unwrap();
    assert_eq!(lists.iter().map(Crl::issuer).collect::<Vec<_>>(), ["CN=One", "CN=Two"]);
    let old = List::default().pem_by(&one).replace("X509 CRL", "CRL").replace('\n', "\r\n");
    assert_eq!(Crl::read(old.as_bytes()).unwrap().len(), 1);
    let delta = List::default().with(extension(27, true, &[2, 1, 1])).pem_by(&two);
    let error = Crl::read(format!("{}{delta}", List::default().pem_by(&one)).as_bytes()).unwrap_err();
    assert_eq!(error, CrlError::Unusable { line: Some(4), fault: CrlFault::Delta });
    assert_eq!(error.to_string(), "the revocation list in line 4 is a delta list; give the complete one");
    for (text, expected) in [
        (one.pem(), CrlError::Empty),
        (String::new(), CrlError::Empty),
        ("\n-----BEGIN X509 CRL-----\n!\n-----END X509 CRL-----\n".to_owned(), CrlError::Pem { line: 2 }),
        (List::default().pem_by(&one).repeat(1001), CrlError::TooMany(1001)),
    ] {
        assert_eq!(Crl::read(text.as_bytes()).unwrap_err(), expected);
    }
}

#[test]
fn signatures() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let key = || KeyPair::generate_for(algorithm).unwrap();
        let root = Authority::root("Root");
        let (ca, other) = (root.sub_with(ca_params("CA"), key()), root.sub_with(ca_params("CA"), key()));
        let certificate = |authority: &Authority| Certificate::from_der(authority.der()).unwrap();
        let list = read(&List::of(&[&[1]]).by(&ca));
        for _ in 0..2 {
            assert!(!list.is_signed_by(&certificate(&other)));
            assert!(!list.is_signed_by(&certificate(&root)));
        }
        for _ in 0..2 {
            assert!(list.is_signed_by(&certificate(&ca)));
            assert!(!list.is_signed_by(&certificate(&other)), "another key, now that the right one is known");
        }
        // Another certificate with the same key.
        let key = KeyPair::try_from(ca.issuer.key().serialize_der()).unwrap();
        assert!(list.is_signed_by(&certificate(&root.sub_with(ca_params("Renamed"), key))));
        let mut forged = List::of(&[&[1]]).by(&ca);
        let place = forged.len() - 1;
        forged[place] ^= 1;
        assert!(!read(&forged).is_signed_by(&certificate(&ca)));
        let mut changed = List::of(&[&[1]]).dated(NOW, NOW + 1).by(&ca);
        let place = changed.windows(3).rposition(|window| window == [2, 1, 1]).unwrap();
        changed[place + 2] = 2;
        let changed = read(&changed);
        assert!(changed.find(&[2]).is_some() && !changed.is_signed_by(&certificate(&ca)));
    }
}

/// Of a large list only the digest is kept, so every algorithm has to be verified from that.
#[test]
fn signatures_by_openssl() {
    let ssl = OpenSsl::new();
    ssl.write("ca.cnf", "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\ndefault_crl_days = 30\n");
    ssl.write("index.txt", "R\t491231235959Z\t260101000000Z\t1002\tunknown\t/CN=revoked\n");
    let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1";
    for (key, options) in [
        ("rsa:2048", ["", pss]),
        ("ec -pkeyopt ec_paramgen_curve:P-256", ["", ""]),
        ("ec -pkeyopt ec_paramgen_curve:P-384", ["", ""]),
        ("ec -pkeyopt ec_paramgen_curve:P-521", ["", ""]),
    ] {
        for name in ["ca", "other"] {
            ssl.run(&format!(
                "req -x509 -newkey {key} -nodes -days 30 -subj /CN=ca -keyout {name}.key -out {name}.pem"
            ));
        }
        let certificate = |name: &str| Certificate::from_der(&ssl.der(name)).unwrap();
        let (issuer, other) = (certificate("ca.pem"), certificate("other.pem"));
        for (digest, option) in ["sha256", "sha384", "sha512"].iter().flat_map(|digest| options.map(|o| (digest, o))) {
            ssl.run(&format!(
                "ca -config ca.cnf -gencrl -cert ca.pem -keyfile ca.key -md {digest} {option} -out list.pem"
            ));
            let list = Crl::read(ssl.pem("list.pem").as_bytes()).unwrap().remove(0);
            assert!(list.find(&[0x10, 0x02]).is_some());
            assert!(!list.is_signed_by(&other), "{key} {digest} {option}");
            assert!(list.is_signed_by(&issuer), "{key} {digest} {option}");
        }
        ssl.run("ca -config ca.cnf -gencrl -cert ca.pem -keyfile ca.key -md sha1 -out list.pem");
        let weak = Crl::read(ssl.pem("list.pem").as_bytes()).unwrap_err();
        assert!(matches!(weak, CrlError::Unusable { fault: CrlFault::WeakSignature(_), .. }), "{weak:?}");
    }
}

/// A leaf with the serial number 42 of its own issuer.
fn leaf(params: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut leaf = leaf_params("client");
    leaf.serial_number = Some(SerialNumber::from(vec![42]));
    params(&mut leaf);
    leaf
}

fn judge(store: &[&Authority], chain: &[&[u8]], policy: &Policy, lists: &[Vec<u8>]) -> Judgment {
    let crls = lists.iter().map(|list| Arc::new(read(list))).collect();
    let revocations = Revocations { crls, ..Revocations::default() };
    truststore(&bundle(store)).judge(chain, policy, &revocations.view(&NothingFetched), NOW)
}

const LISTED: &str = "ClientCertCrlHit";
const UNKNOWN: &str = "ClientCertCrlProcessingError";

#[test]
fn which_lists_count() {
    let root = Authority::root("Root");
    let other = Authority::root("Root");
    let stranger = Authority::root("Stranger");
    let leaf = root.leaf_of(leaf(|_| {}));
    let lenient = Policy::default();
    let strict = Policy::of(Profile::Rfc5280);
    let hit = List::of(&[&[42]]);
    let miss = List::of(&[&[41], &[0, 42, 0]]);
    let no_number = List { extensions: vec![], ..miss.clone() };
    let critical_number = List { extensions: vec![extension(20, true, &[2, 1, 1])], ..miss.clone() };
    let eternal = miss.clone().dated(NOW - DAY, None);
    for (list, signer, in_aws, in_rfc5280, passed_over) in [
        (hit.clone(), &root, LISTED, LISTED, None),
        (miss.clone(), &root, "accepted", "accepted", None),
        (miss.clone(), &stranger, UNKNOWN, UNKNOWN, None),
        (miss.clone(), &other, UNKNOWN, UNKNOWN, Some("did not sign it")),
        (hit.clone(), &other, UNKNOWN, UNKNOWN, Some("did not sign it")),
        (miss.clone().dated(NOW + 301, NOW + DAY), &root, UNKNOWN, UNKNOWN, Some("of the future")),
        (miss.clone().dated(NOW + 300, NOW + DAY), &root, "accepted", "accepted", None),
        (miss.clone().dated(NOW - DAY, NOW), &root, "accepted", "accepted", None),
        (miss.clone().dated(NOW - DAY, NOW - 1), &root, UNKNOWN, UNKNOWN, None),
        (hit.clone().dated(NOW - DAY, NOW - 1), &root, LISTED, LISTED, None),
        (miss.clone().with(issuing_distribution_point(None, &[1])), &root, "accepted", "accepted", None),
        (hit.clone().with(issuing_distribution_point(None, &[1])), &root, LISTED, LISTED, None),
        (hit.clone().with(issuing_distribution_point(None, &[2])), &root, UNKNOWN, UNKNOWN, Some("CAs only")),
        (
            hit.clone().with(issuing_distribution_point(Some("http://a.test/1"), &[])),
            &root,
            UNKNOWN,
            UNKNOWN,
            Some("another distribution point"),
        ),
        (no_number, &root, "accepted", UNKNOWN, Some("no CRL number")),
        (critical_number, &root, "accepted", UNKNOWN, Some("marked critical")),
        (eternal, &root, "accepted", UNKNOWN, Some("no nextUpdate")),
        (List { version: None, extensions: vec![], ..miss.clone() }, &root, "accepted", "accepted", None),
    ] {
        for (policy, expected) in [(&lenient, in_aws), (&strict, in_rfc5280)] {
            let judgment = judge(&[&root], &[&leaf], policy, &[list.by(signer)]);
            assert_eq!(outcome(&judgment), expected, "{:?} {passed_over:?}", judgment.verdict);
            if let (UNKNOWN, Some(wanted)) = (expected, passed_over) {
                let evidence = &judgment.refusal().unwrap().evidence;
                let told = |(name, value): &(&str, String)| *name == "passed_over" && value.contains(wanted);
                assert!(evidence.iter().any(told), "{evidence:?}");
            }
        }
    }
}

#[test]
fn lists_of_a_distribution_point() {
    let root = Authority::root("Root");
    let point = |url: &str| CrlDistributionPoint { uris: vec![url.to_owned()] };
    let points = vec![point("http://a.test/1"), point("http://b.test/2")];
    let named = root.leaf_of(leaf(|params| params.crl_distribution_points = points));
    for (url, expected) in [
        ("http://a.test/1", LISTED),
        ("http://b.test/2", LISTED),
        ("http://a.test/2", UNKNOWN),
        ("http://A.test/1", UNKNOWN),
    ] {
        let list = List::of(&[&[42]]).with(issuing_distribution_point(Some(url), &[]));
        assert_eq!(outcome(&judge(&[&root], &[&named], &Policy::default(), &[list.by(&root)])), expected, "{url}");
    }
    let whole = List::of(&[&[42]]).by(&root);
    assert_eq!(outcome(&judge(&[&root], &[&named], &Policy::default(), &[whole])), LISTED);
    let named = Certificate::from_der(&named).unwrap();
    assert_eq!(named.crl_urls(), ["http://a.test/1", "http://b.test/2"]);
}

#[test]
fn an_issuer_has_to_be_allowed_to_sign_lists() {
    for (usages, expected) in [
        (vec![], LISTED),
        (vec![KeyUsagePurpose::KeyCertSign], UNKNOWN),
        (vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign], LISTED),
    ] {
        let mut params = ca_params("Root");
        params.key_usages = usages;
        let root = Authority::root_of(params);
        let leaf = root.leaf_of(leaf(|_| {}));
        let judgment = judge(&[&root], &[&leaf], &Policy::default(), &[List::of(&[&[42]]).by(&root)]);
        assert_eq!(outcome(&judgment), expected);
    }
}

#[test]
fn the_newest_list_that_counts_decides() {
    let root = Authority::root("Root");
    let leaf = root.leaf_of(leaf(|_| {}));
    let (hit, miss) = (List::of(&[&[42]]), List::default());
    let number = |number: u8| vec![extension(20, false, &[2, 1, number])];
    let later = |list: &List| list.clone().dated(NOW - 10, NOW + DAY);
    let tenth = |list: &List| List { extensions: number(10), ..list.clone() };
    let stale = |list: &List| list.clone().dated(NOW - 2 * DAY, NOW - DAY);
    let short = |list: &List| list.clone().dated(NOW - 20, NOW - 10);
    let future = |list: &List| list.clone().dated(NOW + DAY, NOW + 2 * DAY);
    for (lists, expected) in [
        ([hit.clone(), later(&miss)], "accepted"),
        ([miss.clone(), later(&hit)], LISTED),
        ([tenth(&hit), miss.clone()], LISTED),
        ([tenth(&miss), hit.clone()], "accepted"),
        ([stale(&hit), miss.clone()], "accepted"),
        ([stale(&miss), hit.clone()], LISTED),
        ([stale(&hit), stale(&miss)], LISTED),
        ([hit.clone(), miss.clone()], LISTED),
        // A newer one that is out of date already does not take the older one's place, unless it lists the certificate.
        ([short(&miss), miss.clone()], "accepted"),
        ([short(&hit), miss.clone()], LISTED),
        ([short(&miss), hit.clone()], LISTED),
        ([future(&hit), miss.clone()], "accepted"),
    ] {
        let [one, two] = lists.map(|list| list.by(&root));
        // A list of another key of that name is nobody's here, however new it is.
        let rolled_over = later(&hit).by(&Authority::root("Root"));
        for lists in [[one.clone(), two.clone(), rolled_over.clone()], [rolled_over, two, one]] {
            assert_eq!(outcome(&judge(&[&root], &[&leaf], &Policy::default(), &lists)), expected);
        }
    }
}

#[test]
fn evidence_of_a_hit() {
    let root = Authority::root("Root");
    let leaf = root.leaf_of(leaf(|_| {}));
    let list = List { entries: vec![entry(&[42], &[&reason(1)])], ..List::default() };
    let judgment = judge(&[&root], &[&leaf], &Policy::default(), &[list.by(&root)]);
    let refusal = judgment.refusal().unwrap();
    assert_eq!(
        refusal.detail,
        "\"CN=client\" (serial number 42) was revoked on 2026-11-21T00:00:00Z (keyCompromise), says the list of \
         \"CN=Root\" of 2026-11-21T00:00:00Z"
    );
    let evidence: Vec<_> = refusal.evidence.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        evidence,
        [
            ("certificate", "CN=client"),
            ("serial", "42"),
            ("revoked_at", "2026-11-21T00:00:00Z"),
            ("reason", "keyCompromise"),
            ("crl", "the list of \"CN=Root\" of 2026-11-21T00:00:00Z"),
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// rcgen writes, and x509-cert reads with us.
    #[test]
    fn agrees_with_others(
        serials in proptest::collection::vec(proptest::collection::vec(1..=255_u8, 1..20), 0..40),
        codes in proptest::collection::vec(0..5_usize, 40),
        age in 0..400_000_i64,
    ) {
        use x509_cert::der::Decode;

        let root = Authority::root("Root");
        let reasons = [
            None,
            Some(rcgen::RevocationReason::KeyCompromise),
            Some(rcgen::RevocationReason::Superseded),
            Some(rcgen::RevocationReason::CertificateHold),
            Some(rcgen::RevocationReason::AaCompromise),
        ];
        let at = |seconds: i64| time::OffsetDateTime::from_unix_timestamp(NOW - seconds).unwrap();
        let revoked_certs = serials.iter().zip(&codes).map(|(serial, code)| rcgen::RevokedCertParams {
            serial_number: SerialNumber::from(serial.clone()),
            revocation_time: at(age),
            reason_code: reasons[*code],
            invalidity_date: None,
        });
        let list = rcgen::CertificateRevocationListParams {
            this_update: at(0),
            next_update: at(-1000),
            crl_number: SerialNumber::from(age as u64),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let made = list.signed_by(&root.issuer).unwrap();
        let ours = read(made.der());
        let theirs: x509_cert::crl::CertificateList = Decode::from_der(made.der()).unwrap();
        let theirs = theirs.tbs_cert_list;
        prop_assert!(ours.is_signed_by(&Certificate::from_der(root.der()).unwrap()));
        prop_assert_eq!(ours.this_update(), theirs.this_update.to_unix_duration().as_secs() as i64);
        let next_update = theirs.next_update.map(|time| time.to_unix_duration().as_secs() as i64);
        prop_assert_eq!(ours.next_update(), next_update);
        prop_assert_eq!(ours.number(), Some(age.to_string()));
        let theirs = theirs.revoked_certificates.unwrap_or_default();
        prop_assert_eq!(ours.len(), theirs.len());
        for listed in theirs {
            let found = ours.find(listed.serial_number.as_bytes()).unwrap();
            prop_assert_eq!(found.at, listed.revocation_date.to_unix_duration().as_secs() as i64);
        }
    }
}

/// One of the lists that `openssl verify` is asked about, too.
#[derive(Clone, Debug)]
struct Drawn {
    lists_it: bool,
    reason: u8,
    /// Days from now.
    this_update: i64,
    next_update: i64,
    scope: Option<(Option<&'static str>, &'static [u8])>,
}

impl Drawn {
    fn any() -> impl Strategy<Value = Self> {
        let scope = prop::sample::select(vec![
            None,
            None,
            Some((None, &[1][..])),
            Some((None, &[2])),
            Some((Some("http://a.test/1"), &[])),
            Some((Some("http://b.test/1"), &[])),
            Some((Some("http://a.test/1"), &[1])),
        ]);
        let reason = prop::sample::select(vec![0, 1, 6, 8]);
        (any::<bool>(), reason, -9..4_i64, 1..9_i64, scope).prop_map(|(lists_it, reason, this_update, days, scope)| {
            Self { lists_it, reason, this_update: this_update * 2, next_update: this_update * 2 + days * 2 + 1, scope }
        })
    }

    /// In scope, and not of the future.
    fn is_for_the_leaf(&self) -> bool {
        let is_in_scope = match self.scope {
            None => true,
            Some((url, flags)) => url.is_none_or(|url| url == "http://a.test/1") && flags != [2],
        };
        is_in_scope && self.this_update < 0
    }

    fn list(&self) -> List {
        let entries = if self.lists_it { vec![entry(&[42], &[&reason(self.reason)])] } else { Vec::new() };
        let days = |days: i64| NOW + days * DAY + DAY / 2;
        let list = List { entries, ..List::default() }.dated(days(self.this_update), days(self.next_update));
        match self.scope {
            Some((url, flags)) => list.with(issuing_distribution_point(url, flags)),
            None => list,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_openssl(drawn in proptest::collection::vec(Drawn::any(), 1..3), by_other in any::<bool>()) {
        let root = Authority::root("Root");
        let point = vec![CrlDistributionPoint { uris: vec!["http://a.test/1".to_owned()] }];
        let leaf = root.leaf_of(leaf(|params| params.crl_distribution_points = point));
        // openssl takes the newest of several and fails if that is of another key of the name; ours looks on.
        let other = Authority::root("Root");
        let signer = if by_other && drawn.len() == 1 { &other } else { &root };
        let ssl = OpenSsl::new();
        ssl.write("root.pem", &root.pem()).write("leaf.pem", &support::pem_of(&leaf));
        let lists: String = drawn.iter().map(|drawn| wrapped(&drawn.list().by(signer))).collect();
        ssl.write("lists.pem", &lists);
        let theirs = ssl.succeeds(&format!(
            "verify -crl_check -attime {NOW} -CAfile root.pem -CRLfile lists.pem leaf.pem"
        ));
        let lists: Vec<_> = drawn.iter().map(|drawn| drawn.list().by(signer)).collect();
        let judgment = judge(&[&root], &[&leaf], &Policy::default(), &lists);
        if theirs && !judgment.is_accepted() {
            // Stricter: the newest list revokes what it lists though it is out of date, or another of the same time does not
            // list it.
            prop_assert_eq!(outcome(&judgment), LISTED);
            let is_stale = |drawn: &Drawn| drawn.next_update < 0;
            let is_newest = |one: &Drawn| {
                drawn.iter().all(|other| other.this_update <= one.this_update || !other.is_for_the_leaf())
            };
            let revokes = |one: &Drawn| one.lists_it && one.reason != 8 && one.is_for_the_leaf();
            let has_twin = |one: &Drawn| {
                let is_twin = |other: &Drawn| other.this_update == one.this_update && other.is_for_the_leaf();
                drawn.iter().any(|other| is_twin(other) && !revokes(other))
            };
            let explains = |one: &Drawn| is_newest(one) && revokes(one) && (is_stale(one) || has_twin(one));
            prop_assert!(drawn.iter().any(explains), "{drawn:?}");
        } else {
            prop_assert_eq!(judgment.is_accepted(), theirs, "{:?}", judgment.verdict);
        }
    }
}

/// PEM as openssl wants it.
fn wrapped(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n", lines.join("\n"))
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, place: prop::sample::Index, octet: u8, cut: prop::sample::Index) {
        let _ = Crl::read(&bytes);
        let mut list = LIST.with(Clone::clone);
        let end = cut.index(list.len() * 2).min(list.len());
        let place = place.index(list.len());
        list[place] = octet;
        if let Ok(lists) = Crl::read(&list[..end]) {
            lists[0].find(&bytes);
            let root = ROOT.with(|root| Certificate::from_der(root.der()).unwrap());
            let is_same = LIST.with(|good| *good == list);
            prop_assert_eq!(lists[0].is_signed_by(&root), is_same);
        }
    }
}

thread_local! {
    static ROOT: Authority = Authority::root("Root");
    static LIST: Vec<u8> = ROOT.with(|root| {
        let list = List { entries: vec![entry(&[1, 2, 3], &[&reason(4)]), entry(&[0x90], &[])], ..List::default() };
        list.with(issuing_distribution_point(Some("http://a.test"), &[1])).by(root)
    });
}

#[test]
fn keys_of_authorities_make_no_odds() {
    // The root's list is for its intermediates, and theirs are for their clients.
    let root = Authority::root("Root");
    let mut sub = ca_params("Sub");
    sub.serial_number = Some(SerialNumber::from(vec![42]));
    let sub = root.sub_with(sub, new_key());
    let client = sub.leaf_of(leaf(|params| params.serial_number = Some(SerialNumber::from(vec![43]))));
    let (none, listed) = (List::default(), List::of(&[&[42]]));
    for (lists, expected) in [
        (vec![none.by(&root), none.by(&sub)], "accepted"),
        (vec![none.by(&root)], UNKNOWN),
        (vec![none.by(&sub)], UNKNOWN),
        (vec![listed.by(&root), none.by(&sub)], LISTED),
        (vec![listed.by(&root)], UNKNOWN),
        (vec![none.by(&root), listed.by(&sub)], "accepted"),
        (vec![listed.clone().with(issuing_distribution_point(None, &[2])).by(&root), none.by(&sub)], LISTED),
        (vec![listed.with(issuing_distribution_point(None, &[1])).by(&root), none.by(&sub)], UNKNOWN),
    ] {
        let judgment = judge(&[&root, &sub], &[&client], &Policy::default(), &lists);
        assert_eq!(outcome(&judgment), expected, "{:?}", judgment.verdict);
    }
}
