//! The judge's rules, one by one.

mod support;

use std::sync::Mutex;

use rcgen::{
    BasicConstraints, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType,
};
use support::forge::{Forge, P256_KEYS};
use support::{Authority, NOW, bundle, ca_params, judge, leaf_params, new_key, outcome, params, pem_of, truststore};
use trust::{Code, Inquiry, Policy, Profile, Refusal, Revocation, Status, Truststore, Unrevoked};

const YEAR: i64 = 366 * 86_400;

fn year(year: i32) -> i64 {
    rcgen::date_time_ymd(year, 1, 1).unix_timestamp()
}

#[test]
fn nothing_and_nonsense() {
    let root = Authority::root("Root");
    let store = truststore(&root.pem());
    assert_eq!(outcome(&judge(&store, &[], NOW)), "ClientCertMissing");
    assert_eq!(outcome(&judge(&store, &[b""], NOW)), "ClientCertInvalid");
    assert_eq!(outcome(&judge(&store, &[b"\x30\x03\x02\x01\x01"], NOW)), "ClientCertInvalid");
    let mut trailing = root.leaf("client");
    trailing.push(0);
    assert_eq!(outcome(&judge(&store, &[&trailing], NOW)), "ClientCertInvalid");
    assert_eq!(judge(&store, &[], NOW).holds_until, i64::MAX);
}

#[test]
fn issuers_come_from_the_truststore_only() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let leaf = sub.leaf("client");
    let chain: &[&[u8]] = &[&leaf, sub.der()];
    for (store, expected) in [
        (bundle(&[&root, &sub]), "accepted"),
        (bundle(&[&sub, &root]), "accepted"),
        (bundle(&[&sub]), "ClientCertChainIncomplete"),
        (bundle(&[&root]), "ClientCertUntrusted"),
        (bundle(&[&Authority::root("Other")]), "ClientCertUntrusted"),
        (bundle(&[&root, &root.sub("Sub")]), "ClientCertSignatureInvalid"),
        (bundle(&[&root, &root.sub("Sub"), &root.sub("Sub"), &sub]), "accepted"),
    ] {
        let store = truststore(&store);
        assert_eq!(outcome(&judge(&store, chain, NOW)), expected);
        assert_eq!(outcome(&judge(&store, &chain[..1], NOW)), expected, "what the client sends besides makes no odds");
    }
}

#[test]
fn a_path_is_reported_from_leaf_to_root() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let leaf = sub.leaf("client");
    let judgment = judge(&truststore(&bundle(&[&root, &sub])), &[&leaf], NOW);
    let subjects: Vec<&str> = judgment.path().unwrap().0.iter().map(|certificate| certificate.subject()).collect();
    assert_eq!(subjects, ["CN=client", "CN=Sub", "CN=Root"]);
    assert!(judgment.trail.iter().all(|step| step.held));
}

#[test]
fn four_cas_are_allowed_above_the_leaf() {
    let mut cas = vec![Authority::root("CA 0")];
    for depth in 1..6 {
        cas.push(cas[depth - 1].sub(&format!("CA {depth}")));
    }
    let all: Vec<&Authority> = cas.iter().collect();
    let store = truststore(&bundle(&all));
    for (above, expected) in [
        (1, "accepted"),
        (4, "accepted"),
        (5, "ClientCertMaxChainDepthExceeded"),
        (6, "ClientCertMaxChainDepthExceeded"),
    ] {
        let leaf = cas[above - 1].leaf("client");
        assert_eq!(outcome(&judge(&store, &[&leaf], NOW)), expected, "{above} CAs");
        let policy = Policy { max_depth: 6, ..Policy::default() };
        assert!(store.judge(&[&leaf], &policy, &Unrevoked, NOW).is_accepted());
    }
    // A short cut to a root makes a deep path short.
    let other = Authority::root("Other");
    let key = KeyPair::try_from(cas[4].issuer.key().serialize_der()).unwrap();
    let cross = other.sub_with(ca_params("CA 4"), key);
    let store = truststore(&format!("{}{}{}", bundle(&all), other.pem(), cross.pem()));
    assert_eq!(outcome(&judge(&store, &[&cas[4].leaf("client")], NOW)), "accepted");
}

#[test]
fn validity_of_leaf_and_cas() {
    let with = |mut params: rcgen::CertificateParams, from: i32, to: i32| {
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        params
    };
    // Years in which root, intermediate and leaf are valid; when judged; what comes out; until when it holds.
    for (root, sub, leaf, at, expected, until) in [
        ((2020, 2040), (2020, 2030), (2020, 2035), 2026, "accepted", year(2030)),
        ((2020, 2028), (2020, 2030), (2020, 2035), 2026, "accepted", year(2028)),
        ((2020, 2040), (2020, 2040), (2020, 2025), 2026, "ClientCertExpired", i64::MAX),
        ((2020, 2040), (2020, 2040), (2027, 2030), 2026, "ClientCertNotYetValid", year(2027) - 1),
        ((2020, 2040), (2020, 2025), (2020, 2030), 2026, "ClientCertIssuerExpired", year(2030)),
        ((2020, 2025), (2020, 2040), (2020, 2030), 2026, "ClientCertIssuerExpired", year(2030)),
        ((2020, 2040), (2028, 2040), (2020, 2030), 2026, "ClientCertIssuerExpired", year(2028) - 1),
    ] {
        let root = Authority::root_of(with(ca_params("Root"), root.0, root.1));
        let sub = root.sub_of(with(ca_params("Sub"), sub.0, sub.1));
        let leaf = sub.leaf_of(with(leaf_params("client"), leaf.0, leaf.1));
        let judgment = judge(&truststore(&bundle(&[&root, &sub])), &[&leaf], year(at));
        assert_eq!(outcome(&judgment), expected);
        assert_eq!(judgment.holds_until, until, "{expected}");
    }
}

#[test]
fn both_ends_of_a_validity_are_within() {
    let root = Authority::root("Root");
    let store = truststore(&root.pem());
    let leaf = root.leaf("client");
    let (first, last) = (year(2020), year(2040));
    for (at, expected) in
        [(first - 1, "ClientCertNotYetValid"), (first, "accepted"), (last, "accepted"), (last + 1, "ClientCertExpired")]
    {
        let judgment = judge(&store, &[&leaf], at);
        assert_eq!(outcome(&judgment), expected);
        // The judgement is the same at the end of its time, and not after.
        if judgment.holds_until < i64::MAX {
            assert_eq!(outcome(&judge(&store, &[&leaf], judgment.holds_until)), expected);
            assert_ne!(outcome(&judge(&store, &[&leaf], judgment.holds_until + 1)), expected);
        }
    }
}

#[test]
fn a_renewed_ca_stands_in_for_the_expired_one() {
    let key = new_key();
    let mut old = ca_params("Root");
    old.not_after = rcgen::date_time_ymd(2025, 1, 1);
    let old = old.self_signed(&key).unwrap().pem();
    let new = ca_params("Root").self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca_params("Root"), key);
    let leaf = leaf_params("client").signed_by(&new_key(), &issuer).unwrap().der().to_vec();
    assert_eq!(outcome(&judge(&truststore(&old), &[&leaf], NOW)), "ClientCertIssuerExpired");
    assert_eq!(outcome(&judge(&truststore(&format!("{old}{new}")), &[&leaf], NOW)), "accepted");
}

#[test]
fn a_ca_must_be_one() {
    let root = Authority::root("Root");
    let mut no_sign = ca_params("No keyCertSign");
    no_sign.key_usages = vec![KeyUsagePurpose::CrlSign];
    let mut explicit = params("CA:FALSE");
    explicit.is_ca = IsCa::ExplicitNoCa;
    let mut no_usage = ca_params("No key usage");
    no_usage.key_usages.clear();
    for (issuer, expected) in [
        (params("No basic constraints"), "ClientCertPathInvalid"),
        (explicit, "ClientCertPathInvalid"),
        (no_sign, "ClientCertPathInvalid"),
        (no_usage, "accepted"),
    ] {
        let sub = root.sub_of(issuer);
        let leaf = sub.leaf("client");
        let store = truststore(&bundle(&[&root, &sub]));
        assert_eq!(outcome(&judge(&store, &[&leaf], NOW)), expected);
    }
}

#[test]
fn a_listed_leaf_is_accepted_as_itself_and_issues_nothing() {
    let key = new_key();
    let leaf = leaf_params("client").self_signed(&key).unwrap();
    let store = truststore(&leaf.pem());
    let judgment = judge(&store, &[leaf.der()], NOW);
    assert_eq!(outcome(&judgment), "accepted");
    assert_eq!(judgment.path().unwrap().0.len(), 1);
    assert_eq!(judgment.holds_until, year(2040));
    assert_eq!(outcome(&judge(&store, &[leaf.der()], year(2040) + 1)), "ClientCertExpired");

    let twin = leaf_params("client").self_signed(&key).unwrap();
    assert_ne!(twin.der(), leaf.der());
    assert_eq!(outcome(&judge(&store, &[twin.der()], NOW)), "ClientCertSelfSigned", "byte for byte");

    let issuer = rcgen::Issuer::new(leaf_params("client"), key);
    let issued = leaf_params("other").signed_by(&new_key(), &issuer).unwrap();
    assert_eq!(outcome(&judge(&store, &[issued.der()], NOW)), "ClientCertPathInvalid");
}

#[test]
fn a_self_signed_stranger() {
    let store = truststore(&Authority::root("Root").pem());
    let stranger = Authority::root("Stranger");
    assert_eq!(outcome(&judge(&store, &[stranger.der()], NOW)), "ClientCertSelfSigned");
    let namesake = Authority::root("Root");
    assert_eq!(outcome(&judge(&store, &[namesake.der()], NOW)), "ClientCertSelfSigned");
}

#[test]
fn a_ca_is_no_client() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    assert_eq!(outcome(&judge(&truststore(&root.pem()), &[sub.der()], NOW)), "ClientCertPurposeInvalid");
    assert_eq!(outcome(&judge(&truststore(&bundle(&[&root, &sub])), &[sub.der()], NOW)), "accepted", "as itself");
}

#[test]
fn path_length() {
    let constrained = |name: &str, length| {
        let mut params = ca_params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length));
        params
    };
    for (length, expected) in [(0, "ClientCertPathInvalid"), (1, "accepted"), (2, "accepted")] {
        let root = Authority::root_of(constrained("Root", length));
        let sub = root.sub("Sub");
        let store = truststore(&bundle(&[&root, &sub]));
        assert_eq!(outcome(&judge(&store, &[&sub.leaf("client")], NOW)), expected);
        assert_eq!(outcome(&judge(&store, &[&root.leaf("client")], NOW)), "accepted");
    }
}

#[test]
fn extended_key_usage() {
    let root = Authority::root("Root");
    let store = truststore(&root.pem());
    let server = Policy { purpose: trust::Purpose::Server, ..Policy::default() };
    let any = Policy { any_eku: true, ..Policy::default() };
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
    for (usages, client, server_expected, any_expected) in [
        (vec![], "accepted", "accepted", "accepted"),
        (vec![ClientAuth], "accepted", "ClientCertPurposeInvalid", "accepted"),
        (vec![ServerAuth], "ClientCertPurposeInvalid", "accepted", "accepted"),
        (vec![ServerAuth, ClientAuth], "accepted", "accepted", "accepted"),
        (vec![Any], "ClientCertPurposeInvalid", "ClientCertPurposeInvalid", "accepted"),
    ] {
        let mut params = leaf_params("client");
        params.extended_key_usages = usages;
        let leaf = root.leaf_of(params);
        assert_eq!(outcome(&judge(&store, &[&leaf], NOW)), client);
        assert_eq!(outcome(&store.judge(&[&leaf], &server, &Unrevoked, NOW)), server_expected);
        assert_eq!(outcome(&store.judge(&[&leaf], &any, &Unrevoked, NOW)), any_expected);
    }
    let mut sub = ca_params("Servers only");
    sub.extended_key_usages = vec![ServerAuth];
    let sub = root.sub_of(sub);
    let store = truststore(&bundle(&[&root, &sub]));
    assert_eq!(outcome(&judge(&store, &[&sub.leaf("client")], NOW)), "ClientCertPurposeInvalid");
}

#[test]
fn keys() {
    let root = Authority::root("Root");
    for (algorithm, aws, rfc5280) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "accepted", "accepted"),
        (&rcgen::PKCS_ECDSA_P384_SHA384, "accepted", "accepted"),
        (&rcgen::PKCS_ECDSA_P521_SHA512, "ClientCertWeakKey", "accepted"),
        (&rcgen::PKCS_ED25519, "ClientCertWeakKey", "accepted"),
    ] {
        let key = || KeyPair::generate_for(algorithm).unwrap();
        let strict = Policy { profile: Profile::Rfc5280, ..Policy::default() };
        let leaf = leaf_params("client").signed_by(&key(), &root.issuer).unwrap();
        let store = truststore(&root.pem());
        assert_eq!(outcome(&judge(&store, &[leaf.der()], NOW)), aws);
        assert_eq!(outcome(&store.judge(&[leaf.der()], &strict, &Unrevoked, NOW)), rfc5280);
        let sub = root.sub_with(ca_params("Sub"), key());
        let store = truststore(&bundle(&[&root, &sub]));
        assert_eq!(outcome(&judge(&store, &[&sub.leaf("client")], NOW)), aws);
        assert_eq!(outcome(&store.judge(&[&sub.leaf("client")], &strict, &Unrevoked, NOW)), rfc5280);
    }
}

#[test]
fn unknown_critical_extensions() {
    let root = Authority::root("Root");
    for (critical, expected) in [(true, "ClientCertPathInvalid"), (false, "accepted")] {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(critical);
        let mut leaf = leaf_params("client");
        leaf.custom_extensions = vec![extension.clone()];
        assert_eq!(outcome(&judge(&truststore(&root.pem()), &[&root.leaf_of(leaf)], NOW)), expected);
        let mut sub = ca_params("Sub");
        sub.custom_extensions = vec![extension];
        let sub = root.sub_of(sub);
        let store = truststore(&bundle(&[&root, &sub]));
        assert_eq!(outcome(&judge(&store, &[&sub.leaf("client")], NOW)), expected);
    }
}

#[test]
fn name_constraints_of_every_ca_above() {
    let email = |text: &str| SanType::Rfc822Name(text.try_into().unwrap());
    let dns = |text: &str| SanType::DnsName(text.try_into().unwrap());
    let organisation = |name: &str| {
        let mut directory = rcgen::DistinguishedName::new();
        directory.push(DnType::OrganizationName, name);
        directory
    };
    let permitted = |subtree| NameConstraints { permitted_subtrees: vec![subtree], excluded_subtrees: vec![] };
    let excluded = |subtree| NameConstraints { permitted_subtrees: vec![], excluded_subtrees: vec![subtree] };
    for (constraints, names, expected) in [
        (permitted(GeneralSubtree::DnsName("example.com".into())), vec![dns("a.example.com")], "accepted"),
        (permitted(GeneralSubtree::DnsName("example.com".into())), vec![dns("a.example.org")], "ClientCertPathInvalid"),
        (permitted(GeneralSubtree::DnsName("example.com".into())), vec![], "accepted"),
        (excluded(GeneralSubtree::DnsName("example.com".into())), vec![dns("a.example.com")], "ClientCertPathInvalid"),
        (permitted(GeneralSubtree::Rfc822Name("example.com".into())), vec![email("a@example.com")], "accepted"),
        (
            permitted(GeneralSubtree::Rfc822Name("example.com".into())),
            vec![email("a@example.com"), email("a@b.example.com")],
            "ClientCertPathInvalid",
        ),
        (permitted(GeneralSubtree::DirectoryName(organisation("Acme"))), vec![], "accepted"),
        (permitted(GeneralSubtree::DirectoryName(organisation("Other"))), vec![], "ClientCertPathInvalid"),
    ] {
        // On the root, with an intermediate between, whose subject is constrained as well.
        let mut root = ca_params("Root");
        root.name_constraints = Some(constraints);
        let root = Authority::root_of(root);
        let named = |mut params: rcgen::CertificateParams| {
            let mut name = organisation("Acme");
            name.push(DnType::CommonName, "x");
            params.distinguished_name = name;
            params
        };
        let mut leaf = named(leaf_params("client"));
        leaf.distinguished_name.push(DnType::CommonName, "client");
        leaf.subject_alt_names = names;
        let sub = root.sub_of(named(ca_params("Sub")));
        let store = truststore(&bundle(&[&root, &sub]));
        assert_eq!(outcome(&judge(&store, &[&sub.leaf_of(leaf.clone())], NOW)), expected, "{leaf:?}");
        assert_eq!(outcome(&judge(&store, &[&root.leaf_of(leaf.clone())], NOW)), expected, "{leaf:?}");
    }
}

#[test]
fn rfc5280_uses_what_the_client_sends() {
    let strict = Policy { profile: Profile::Rfc5280, ..Policy::default() };
    let root = Authority::root("Root");
    let one = root.sub("One");
    let two = one.sub("Two");
    let leaf = two.leaf("client");
    let store = truststore(&root.pem());
    for (chain, expected) in [
        (&[&leaf[..], two.der(), one.der()][..], "accepted"),
        (&[&leaf[..], one.der(), two.der()], "accepted"),
        (&[&leaf[..], two.der(), one.der(), root.der()], "accepted"),
        (&[&leaf[..], two.der()], "ClientCertChainIncomplete"),
        (&[&leaf[..]], "ClientCertUntrusted"),
    ] {
        let judgment = store.judge(chain, &strict, &Unrevoked, NOW);
        assert_eq!(outcome(&judgment), expected, "{:?}", judgment.trail);
    }
    let mut no_eku = leaf_params("client");
    no_eku.extended_key_usages.clear();
    let judgment = store.judge(&[&root.leaf_of(no_eku)], &strict, &Unrevoked, NOW);
    assert_eq!(outcome(&judgment), "ClientCertPurposeInvalid");
}

struct Revoked {
    subject: &'static str,
    asked: Mutex<Vec<(String, String)>>,
}

impl Revocation for Revoked {
    fn status(&self, Inquiry { certificate, issuer, at, .. }: &Inquiry<'_>) -> Status {
        self.asked.lock().unwrap().push((certificate.subject().to_owned(), issuer.subject().to_owned()));
        if certificate.subject() != self.subject {
            return Status::Good { until: at + 60 };
        }
        let refusal = Refusal::new(Code::ClientCertCrlHit, format!("{} is revoked", certificate.subject()));
        Status::Refused { refusal, until: at + 30 }
    }
}

#[test]
fn revocation_is_asked_for_each_certificate_with_its_issuer() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let leaf = sub.leaf("client");
    let store = truststore(&bundle(&[&root, &sub, &root]));
    for (subject, expected) in
        [("CN=nobody", "accepted"), ("CN=client", "ClientCertCrlHit"), ("CN=Sub", "ClientCertCrlHit")]
    {
        let revoked = Revoked { subject, asked: Mutex::default() };
        assert_eq!(outcome(&store.judge(&[&leaf], &Policy::default(), &revoked, NOW)), expected);
    }
    let nobody = Revoked { subject: "CN=nobody", asked: Mutex::default() };
    store.judge(&[&leaf], &Policy::default(), &nobody, NOW);
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(*nobody.asked.lock().unwrap(), [pair("CN=client", "CN=Sub"), pair("CN=Sub", "CN=Root")]);
    // A stranger's certificate is never asked about.
    let stranger = Revoked { subject: "CN=client", asked: Mutex::default() };
    store.judge(&[&Authority::root("Sub").leaf("client")], &Policy::default(), &stranger, NOW);
    assert!(stranger.asked.lock().unwrap().is_empty());
    // A listed leaf is asked about with its issuer.
    let listed = truststore(&format!("{}{}", bundle(&[&root, &sub]), pem_of(&leaf)));
    let revoked = Revoked { subject: "CN=client", asked: Mutex::default() };
    assert_eq!(outcome(&listed.judge(&[&leaf], &Policy::default(), &revoked, NOW)), "ClientCertCrlHit");
}

#[test]
fn hundreds_of_namesakes_are_bounded() {
    let mut pem = String::new();
    for _ in 0..150 {
        pem.push_str(&Authority::root("Root").pem());
    }
    let last = Authority::root("Root");
    pem.push_str(&last.pem());
    let (store, _) = Truststore::compile(pem.as_bytes(), NOW).unwrap();
    // The key identifier finds the right one at once…
    assert_eq!(outcome(&judge(&store, &[&last.leaf("client")], NOW)), "accepted");
    // …and without one the search ends.
    let mut blind = leaf_params("client");
    blind.use_authority_key_identifier_extension = false;
    assert_eq!(outcome(&judge(&store, &[&last.leaf_of(blind)], NOW)), "ClientCertPathTooComplex");
}

#[test]
fn a_mesh_of_cross_signed_cas_is_bounded() {
    // Each of 12 CAs is certified by each of the others, and there is no root among them.
    let keys: Vec<KeyPair> = (0..12).map(|_| new_key()).collect();
    let mut pem = String::new();
    let mut issuers = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        let name = format!("CA {index}");
        issuers.push(rcgen::Issuer::new(ca_params(&name), key));
    }
    for (index, key) in keys.iter().enumerate() {
        for (other, issuer) in issuers.iter().enumerate() {
            if other != index {
                pem.push_str(&ca_params(&format!("CA {index}")).signed_by(key, issuer).unwrap().pem());
            }
        }
    }
    let leaf = leaf_params("client").signed_by(&new_key(), &issuers[0]).unwrap();
    let (store, _) = Truststore::compile(pem.as_bytes(), NOW).unwrap();
    assert_eq!(outcome(&judge(&store, &[leaf.der()], NOW)), "ClientCertChainIncomplete");
    // The client sends the mesh itself.
    let sent: Vec<Vec<u8>> = store.certificates().map(|certificate| certificate.der().to_vec()).collect();
    let mut chain: Vec<&[u8]> = vec![leaf.der()];
    chain.extend(sent.iter().map(Vec::as_slice));
    let strict = Policy { profile: Profile::Rfc5280, max_depth: 255, ..Policy::default() };
    let judgment = truststore(&Authority::root("Root").pem()).judge(&chain, &strict, &Unrevoked, NOW);
    assert_eq!(outcome(&judgment), "ClientCertPathTooComplex");
    assert!(judgment.trail.len() <= 64);
}

#[test]
fn refusals_hold_until_the_answer_may_change() {
    let root = Authority::root("Root");
    let leaf = Authority::root("Other").leaf("client");
    let judgment = judge(&truststore(&root.pem()), &[&leaf], NOW);
    assert_eq!(outcome(&judgment), "ClientCertUntrusted");
    assert_eq!(judgment.holds_until, year(2040), "then it is expired");
    assert!(judgment.holds_until > NOW + YEAR);
    let refusal = judgment.refusal().unwrap();
    assert!(refusal.evidence.contains(&("issuer_wanted", "CN=Other".to_owned())), "{refusal:?}");
}

/// A CA that changes its key certifies the new one with the old, under its own name (RFC 5280 section 3.2): that is not
/// self-signed, and its two key identifiers differ.
#[test]
fn a_certificate_of_a_key_change_is_an_anchor() {
    let (old, new, client) = (&P256_KEYS[0], &P256_KEYS[1], &P256_KEYS[2]);
    let anchor = Forge::new("CA", "CA", new).authority(old, None).signed_by(old);
    let leaf = Forge::new("client", "CA", client).client(new).signed_by(new);
    let judgment = truststore(&pem_of(&anchor)).judge(&[&leaf], &Policy::of(Profile::Rfc5280), &Unrevoked, NOW);
    assert_eq!(outcome(&judgment), "accepted", "{:?}", judgment.trail);
}
