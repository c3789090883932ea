//! The nearest miss of every refusal.

mod support;

use rcgen::{CustomExtension, DnType, DnValue, ExtendedKeyUsagePurpose, KeyPair};
use support::{Authority, NOW, bundle, ca_params, leaf_params, new_key, truststore};
use trust::{Explanation, Neighbour, NeighbourKind, Policy, Profile, Surroundings, Truststore, Unrevoked, explain};

fn explained(store: &Truststore, chain: &[&[u8]], neighbours: &[Neighbour<'_>], policy: &Policy) -> Explanation {
    let judgment = store.judge(chain, policy, &Unrevoked, NOW);
    explain(&judgment, chain, store, &Surroundings { neighbours, seen: None }, policy, NOW).expect("it is refused")
}

fn fact<'a>(explanation: &'a Explanation, name: &str) -> Option<&'a str> {
    explanation.evidence.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn an_accepted_chain_needs_no_explanation() {
    let root = Authority::root("Root");
    let store = truststore(&root.pem());
    let leaf = root.leaf("client");
    let judgment = store.judge(&[&leaf], &Policy::default(), &Unrevoked, NOW);
    assert_eq!(explain(&judgment, &[&leaf], &store, &Surroundings::default(), &Policy::default(), NOW), None);
}

/// `authorityInfoAccess` with one `caIssuers` URL.
fn aia(url: &str) -> CustomExtension {
    let tlv = |tag: u8, value: &[u8]| [&[tag, value.len() as u8], value].concat();
    let access = [tlv(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 2]), tlv(0x86, url.as_bytes())].concat();
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], tlv(0x30, &tlv(0x30, &access)))
}

#[test]
fn causes() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let store = truststore(&bundle(&[&root, &sub]));
    let leaf = |change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let mut params = leaf_params("client");
        change(&mut params);
        sub.leaf_of(params)
    };
    let deep = ["B", "C", "D"].iter().fold(root.sub("A"), |above, name| above.sub(name));
    let lonely = Authority::root("Missing").sub_of({
        let mut params = ca_params("Lonely");
        params.custom_extensions = vec![aia("http://ca.example/missing.cer")];
        params
    });
    let lonely_store = truststore(&lonely.pem());
    let deep_store = {
        let mut all = vec![Authority::root("CA 0")];
        for depth in 1..5 {
            all.push(all[depth - 1].sub(&format!("CA {depth}")));
        }
        let pem = bundle(&all.iter().collect::<Vec<_>>());
        (truststore(&pem), all[4].leaf("client"))
    };
    let root_only = truststore(&root.pem());
    let leaf_of_sub = sub.leaf("client");
    let rfc5280 = Policy { profile: Profile::Rfc5280, ..Policy::default() };
    let aws = Policy::default();
    let namesake = root.sub("Sub").leaf("client");
    let stranger = Authority::root("Nobody").leaf("client");
    let self_signed = leaf_params("Self").self_signed(&new_key()).unwrap().der().to_vec();
    let expired = leaf(&|p| p.not_after = rcgen::date_time_ymd(2026, 11, 10));
    let soon = leaf(&|p| p.not_before = rcgen::date_time_ymd(2026, 11, 22) + std::time::Duration::from_secs(600));
    let later = leaf(&|p| p.not_before = rcgen::date_time_ymd(2027, 11, 22));
    let server = leaf(&|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let weak = leaf_params("client").signed_by(&p521, &sub.issuer).unwrap().der().to_vec();
    let of_lonely = lonely.leaf("client");
    let of_deep = deep.leaf("client");
    let aged = root.sub_of({
        let mut params = ca_params("Aged");
        params.not_after = rcgen::date_time_ymd(2026, 11, 20);
        params
    });
    let aged_store = truststore(&bundle(&[&root, &aged]));
    let of_aged = aged.leaf("client");
    let unsigned = truststore(&bundle(&[&Authority::root("Missing"), &lonely]));

    for (name, store, chain, policy, says, fix) in [
        ("missing", &store, &[][..], &aws, "sent no certificate", "--cert"),
        ("nonsense", &store, &[&b"x"[..]], &aws, "ot an X.509 certificate", "Issue the certificate again"),
        (
            "unknown name",
            &store,
            &[&stranger],
            &aws,
            "No authority in the truststore is named \"CN=Nobody\"",
            "Add the issuer",
        ),
        (
            "other key",
            &store,
            &[&namesake],
            &aws,
            "but the certificate was signed by another key (key identifier ",
            "Add the authority",
        ),
        (
            "only the root",
            &root_only,
            &[&leaf_of_sub, sub.der()],
            &aws,
            "the path is built from the truststore alone",
            "Add the intermediate",
        ),
        (
            "only its leaf",
            &root_only,
            &[&leaf_of_sub],
            &rfc5280,
            "sent only its own certificate",
            "send its intermediates",
        ),
        ("no way on", &root_only, &[&of_deep, deep.der()], &rfc5280, "CN=C", "Add the"),
        (
            "no root",
            &lonely_store,
            &[&of_lonely],
            &aws,
            "ends at the intermediate \"CN=Lonely\": its issuer \"CN=Missing\"",
            "http://ca.example/missing.cer",
        ),
        (
            "self-signed",
            &store,
            &[&self_signed],
            &aws,
            "is self-signed and not in the truststore",
            "add this very certificate",
        ),
        ("expired", &store, &[&expired], &aws, "expired 12 days ago, on 2026-11-10T00:00:00Z", "Renew"),
        (
            "clock",
            &store,
            &[&soon],
            &aws,
            "in 10 minutes, on 2026-11-22T00:10:00Z. That is so near that the clock",
            "Set the clocks",
        ),
        ("not yet", &store, &[&later], &aws, "becomes valid in 365 days", "Wait"),
        (
            "purpose",
            &store,
            &[&server],
            &aws,
            "extended key usage is serverAuth, without clientAuth",
            "countersign:eku=any",
        ),
        ("key", &store, &[&weak], &aws, "its key is P-521", "P-256"),
        (
            "aged CA",
            &aged_store,
            &[&of_aged],
            &aws,
            "The authority \"CN=Aged\" expired 2 days ago",
            "Replace the authority's",
        ),
        ("namesake above", &unsigned, &[&of_lonely], &aws, "is there by name only", "missing authorities"),
        ("depth", &deep_store.0, &[&deep_store.1], &aws, "has at least 5 CAs; 4 are allowed", "at most four"),
    ] {
        let explanation = explained(store, chain, &[], policy);
        assert!(explanation.explanation.contains(says), "{name}: {explanation:?}");
        assert!(explanation.fix.contains(fix), "{name}: {explanation:?}");
    }

    let explanation = explained(&store, &[&namesake], &[], &aws);
    assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=Sub"));
    assert_ne!(fact(&explanation, "issuer_key_id_wanted"), fact(&explanation, "truststore_issuer_key_id"));
    assert!(fact(&explanation, "truststore_issuer_sha256").is_some());
    let explanation = explained(&lonely_store, &[&of_lonely], &[], &aws);
    assert_eq!(fact(&explanation, "issuer_url"), Some("http://ca.example/missing.cer"));
    assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=Missing"));
}

#[test]
fn a_renewed_self_signed_certificate() {
    let key = new_key();
    let first = leaf_params("Self").self_signed(&key).unwrap();
    let renewed = leaf_params("Self").self_signed(&key).unwrap();
    let explanation = explained(&truststore(&first.pem()), &[renewed.der()], &[], &Policy::default());
    assert!(explanation.explanation.contains("probably renewed"), "{explanation:?}");
}

#[test]
fn a_name_in_another_encoding() {
    let root = Authority::root("Acme Root");
    let mut renamed = ca_params("x");
    renamed.distinguished_name = rcgen::DistinguishedName::new();
    let printable = DnValue::PrintableString("ACME  Root".try_into().unwrap());
    renamed.distinguished_name.push(DnType::CommonName, printable);
    let leaf = Authority::root_of(renamed).leaf("client");
    let explanation = explained(&truststore(&root.pem()), &[&leaf], &[], &Policy::default());
    assert!(explanation.explanation.contains("in another encoding"), "{explanation:?}");
}

#[test]
fn neighbours() {
    let enforced = truststore(&Authority::root("Old").pem());
    let root = Authority::root("New");
    let leaf = root.leaf("client");
    let other = truststore(&root.pem());
    let newer = "version 3kL4 of s3://bucket/ca.pem";
    let domain = "the truststore of api.example.com";
    let none = truststore(&Authority::root("None").pem());
    let useless = Neighbour { name: "nothing", kind: NeighbourKind::NewerVersion, truststore: &none };
    for (neighbours, says, fix, found_in) in [
        (
            vec![
                useless.clone(),
                Neighbour { name: domain, kind: NeighbourKind::OtherDomain, truststore: &other },
                Neighbour { name: newer, kind: NeighbourKind::NewerVersion, truststore: &other },
            ],
            "The issuer \"CN=New\" is in a newer version of the truststore's object: version 3kL4 of s3://bucket/ca.pem.",
            "Update the domain's TruststoreVersion",
            Some(newer),
        ),
        (
            vec![useless.clone(), Neighbour { name: domain, kind: NeighbourKind::OtherDomain, truststore: &other }],
            "is trusted by the truststore of api.example.com, but not by the truststore that is enforced",
            "Add the issuer",
            Some(domain),
        ),
        (vec![useless], "No authority in the truststore is named \"CN=New\"", "Add the issuer", None),
    ] {
        let explanation = explained(&enforced, &[&leaf], &neighbours, &Policy::default());
        assert!(explanation.explanation.contains(says), "{explanation:?}");
        assert!(explanation.fix.contains(fix), "{explanation:?}");
        assert_eq!(fact(&explanation, "found_in"), found_in);
        assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=New"));
    }
}
