//! What is known besides: other truststores, clients that were seen, revocations.

use std::sync::Arc;

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber};
use trust::{
    ClientsSeen, Crl, Neighbour, NeighbourKind, NothingFetched, Policy, Revocations, Seen, Surroundings, Truststore,
    Unrevoked, explain,
};

use crate::support::{self, Authority, NOW, bundle, ca_params, leaf_params, new_key, truststore};
use crate::{ca_with, explained, fact, leaf_with, pem_fingerprint};

/// A list of `authority` made ten days ago, on which `leaf` stands with `reason`.
fn list(authority: &Authority, leaf: &[u8], reason: RevocationReason, next_update: time::OffsetDateTime) -> Arc<Crl> {
    let serial = trust::Certificate::from_der(leaf).unwrap().serial_bytes().to_vec();
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: rcgen::date_time_ymd(2026, 11, 11),
        reason_code: Some(reason),
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2026, 11, 12),
        next_update,
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&authority.issuer).unwrap();
    Arc::new(Crl::read(list.der()).unwrap().remove(0))
}

#[test]
fn revoked() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let store = truststore(&bundle(&[&root, &sub]));
    let (leaf, other) = (sub.leaf("client"), sub.leaf("other"));
    let policy = Policy::default();
    let later = rcgen::date_time_ymd(2027, 1, 1);
    let clean = list(&root, &other, RevocationReason::Unspecified, later);
    let explained = |crls: Vec<Arc<Crl>>, clients: Vec<Seen>, neighbours: &[Neighbour<'_>]| {
        let revocations = Revocations { crls, ..Revocations::default() };
        let judgment = store.judge(&[&leaf], &policy, &revocations.view(&NothingFetched), NOW);
        let register = Register { clients, early: 0 };
        let around = Surroundings { neighbours, seen: Some(&register) };
        (support::outcome(&judgment), explain(&judgment, &[&leaf], &store, &around, &policy, NOW).unwrap())
    };
    let serial = trust::Certificate::from_der(&leaf).unwrap().serial_number();
    for (reason, name, fix) in [
        (RevocationReason::KeyCompromise, "keyCompromise", "Whoever has the stolen key may be the client"),
        (RevocationReason::Superseded, "superseded", "Install the certificate that replaced it."),
        (RevocationReason::CertificateHold, "certificateHold", "ask its authority to release it"),
        (RevocationReason::CessationOfOperation, "cessationOfOperation", "It was withdrawn on purpose"),
        (RevocationReason::Unspecified, "unspecified", "Use a certificate that is not revoked."),
    ] {
        let crls = vec![list(&sub, &leaf, reason, later), Arc::clone(&clean)];
        let (code, found) = explained(crls, vec![], &[]);
        assert_eq!(code, "ClientCertCrlHit");
        let says = format!(
            "\"CN=client\" (serial number {serial}) was revoked on 2026-11-11T00:00:00Z ({name}), says the list of \
             \"CN=Sub\" of 2026-11-12T00:00:00Z."
        );
        assert_eq!(found.explanation, says);
        assert!(found.fix.contains(fix), "{found:?}");
        assert_eq!(fact(&found, "revoked_at"), Some("2026-11-11T00:00:00Z"));
        assert_eq!(fact(&found, "reason"), Some(name));
    }
    let crls = || vec![list(&sub, &leaf, RevocationReason::Superseded, later), Arc::clone(&clean)];
    let until_2041 = Seen { fingerprint: "bb".to_owned(), not_before: 0, not_after: NOW + (15 << 25), last_seen: NOW };
    let (_, found) = explained(crls(), vec![until_2041.clone()], &[]);
    assert!(found.explanation.contains("A renewed certificate of the same name"), "{found:?}");
    let stolen = vec![list(&sub, &leaf, RevocationReason::KeyCompromise, later), Arc::clone(&clean)];
    let (_, found) = explained(stolen, vec![until_2041], &[]);
    assert!(!found.explanation.contains("renewed"), "it may not be the same client: {found:?}");
    let twin = truststore(&bundle(&[&sub, &root]));
    let newer = Neighbour { name: "version 2", kind: NeighbourKind::NewerVersion, truststore: &twin };
    let (_, found) = explained(crls(), vec![], &[newer]);
    assert_eq!(fact(&found, "found_in"), None, "no truststore helps a revoked certificate");

    let sub_revoked = vec![
        list(&root, sub.der(), RevocationReason::CaCompromise, later),
        list(&sub, &other, RevocationReason::Unspecified, later),
    ];
    let (code, found) = explained(sub_revoked, vec![], &[]);
    assert_eq!(code, "ClientCertCrlHit");
    assert!(found.explanation.starts_with("\"CN=Sub\" (serial number "), "{found:?}");
    assert_eq!(found.fix, "Have the certificate issued by an authority that is not revoked.");

    let (code, found) = explained(vec![Arc::clone(&clean)], vec![], &[]);
    assert_eq!(code, "ClientCertCrlProcessingError");
    let says = "Whether \"CN=client\" is revoked is not known: there is no revocation list of \"CN=Sub\", or none that can \
                be used.";
    assert_eq!(found.explanation, says);
    assert!(found.fix.contains("Give a current list of \"CN=Sub\" (tag countersign:crl"), "{found:?}");
    let stale = list(&sub, &other, RevocationReason::Unspecified, rcgen::date_time_ymd(2026, 11, 20));
    let (_, found) = explained(vec![clean, stale], vec![], &[]);
    let says = "Whether \"CN=client\" is revoked is not known: what is known of it is out of date since \
                2026-11-20T00:00:00Z.";
    assert_eq!(found.explanation, says);
}

/// Who was seen, by a list.
struct Register {
    clients: Vec<Seen>,
    early: usize,
}

impl ClientsSeen for Register {
    fn namesakes(&self, _: &trust::Certificate) -> Vec<Seen> {
        self.clients.clone()
    }

    fn not_yet_valid(&self, _: i64) -> usize {
        self.early
    }
}

#[test]
fn a_renewed_certificate_was_seen() {
    let root = Authority::root("Root");
    let store = truststore(&root.pem());
    let expired = leaf_with(&root, |p| p.not_after = rcgen::date_time_ymd(2026, 11, 10));
    let near = leaf_with(&root, |p| p.not_before = rcgen::date_time_ymd(2026, 11, 23));
    let day = 86_400;
    let seen = |name: &str, not_after: i64, last_seen: i64| Seen {
        fingerprint: name.to_owned(),
        not_before: NOW - 30 * day,
        not_after: NOW + not_after * day,
        last_seen: NOW + last_seen * day,
    };
    let explained = |leaf: &[u8], clients: Vec<Seen>, early| {
        let judgment = store.judge(&[leaf], &Policy::default(), &Unrevoked, NOW);
        let register = Register { clients, early };
        let around = Surroundings { neighbours: &[], seen: Some(&register) };
        explain(&judgment, &[leaf], &store, &around, &Policy::default(), NOW).unwrap()
    };
    let own = Seen { fingerprint: pem_fingerprint(&expired), ..seen("", -12, -1) };
    let older = seen("aa", -40, -40);
    let renewed = seen("bb", 300, -2);
    let found = explained(&expired, vec![own.clone(), older.clone(), renewed, seen("cc", 100, -9)], 0);
    let says = "The certificate \"CN=client\" expired 12 days ago, on 2026-11-10T00:00:00Z. A renewed certificate of the same \
                name, valid until 2027-09-18T00:00:00Z, was last seen on 2026-11-20T00:00:00Z: the client has it, but did \
                not send it this time.";
    assert_eq!(found.explanation, says);
    assert!(found.fix.contains("Install the renewed certificate (SHA-256 bb)"), "{found:?}");
    assert_eq!(fact(&found, "renewed_sha256"), Some("bb"));
    assert_eq!(fact(&found, "renewed_last_seen"), Some("2026-11-20T00:00:00Z"));
    let since = Seen { not_before: NOW + day, ..seen("dd", 300, 2) };
    let found = explained(&expired, vec![since], 0);
    let says = "The certificate \"CN=client\" expired 12 days ago, on 2026-11-10T00:00:00Z. It was renewed since: a \
                certificate of the same name, valid until 2027-09-18T00:00:00Z, was last seen on 2026-11-24T00:00:00Z.";
    assert_eq!(found.explanation, says);
    assert!(found.fix.starts_with("None, unless this client runs in more places"), "{found:?}");
    let not_renewed = explained(&expired, vec![own, older], 0);
    assert_eq!(not_renewed.explanation, "The certificate \"CN=client\" expired 12 days ago, on 2026-11-10T00:00:00Z.");

    let behind = explained(&near, vec![], 4);
    let says = "The certificate \"CN=client\" becomes valid in 1 day, on 2026-11-23T00:00:00Z. 4 clients came within the hour \
                with certificates that were not valid yet, so the clock here is probably behind.";
    assert_eq!(behind.explanation, says);
    assert!(behind.fix.contains("it was 2026-11-22T00:00:00Z here"), "{behind:?}");
    assert!(!explained(&near, vec![], 1).explanation.contains("clients came"));
}

#[test]
fn neighbours() {
    let enforced = truststore(&Authority::root("Old").pem());
    let root = Authority::root("New");
    let leaf = root.leaf("client");
    let has_it = truststore(&root.pem());
    let none = truststore(&Authority::root("None").pem());
    let root_name = trust::Certificate::from_der(root.der()).unwrap();
    let newer = Neighbour {
        name: "version 3kL4 of s3://bucket/ca.pem",
        kind: NeighbourKind::NewerVersion,
        truststore: &has_it,
    };
    let older = Neighbour { name: "version 1aB2, until today", kind: NeighbourKind::OlderVersion, ..newer.clone() };
    let other = Neighbour { name: "api.example.com", kind: NeighbourKind::OtherDomain, ..newer.clone() };
    let useless = Neighbour { truststore: &none, ..newer.clone() };
    let now = Neighbour { name: "version 9zZ9", kind: NeighbourKind::EnforcedNow, ..newer.clone() };
    assert!(Truststore::names_any(root.pem().as_bytes(), &[root_name.subject_der()]));
    assert!(!Truststore::names_any(Authority::root("None").pem().as_bytes(), &[root_name.subject_der()]));
    for (neighbours, says, fix, found_in) in [
        (
            vec![&newer, &now],
            "The issuer \"CN=New\" is in the truststore that is enforced by now: version 9zZ9.",
            "have the client try again",
            Some(now.name),
        ),
        (
            vec![&useless, &other, &older, &newer],
            "The issuer \"CN=New\" is in a newer version of the truststore's object: version 3kL4 of s3://bucket/ca.pem.",
            "Update the domain's TruststoreVersion",
            Some(newer.name),
        ),
        (
            vec![&other, &older, &useless],
            "The issuer \"CN=New\" was in an earlier truststore of the domain: version 1aB2, until today.",
            "go back to that truststore",
            Some(older.name),
        ),
        (
            vec![&useless, &other],
            "The issuer \"CN=New\" is trusted by api.example.com, but not by the truststore that is enforced.",
            "Send the client to where it is trusted; or add the issuer",
            Some(other.name),
        ),
        (vec![&useless], "No authority in the truststore is named \"CN=New\".", "Add the issuer", None),
    ] {
        let neighbours: Vec<Neighbour<'_>> = neighbours.into_iter().cloned().collect();
        let explanation = explained(&enforced, &[&leaf], &neighbours, &Policy::default());
        assert_eq!(explanation.explanation, says);
        assert!(explanation.fix.contains(fix), "{explanation:?}");
        assert_eq!(fact(&explanation, "found_in"), found_in);
        assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=New"));
    }
}

#[test]
fn neighbours_that_help_only_in_part_or_otherwise() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let (sub_only, both) = (truststore(&sub.pem()), truststore(&bundle(&[&sub, &root])));
    let other = truststore(&Authority::root("Other").pem());
    let leaf = sub.leaf("client");
    let neighbour = |truststore| Neighbour { name: "version 2", kind: NeighbourKind::NewerVersion, truststore };
    let explanation = explained(&other, &[&leaf], &[neighbour(&sub_only)], &Policy::default());
    let says = "The issuer \"CN=Sub\" is in a newer version of the truststore's object: version 2, but the certificate would \
                be refused there too (ClientCertChainIncomplete).";
    assert_eq!(explanation.explanation, says);
    assert!(explanation.fix.contains("That alone will not let the client in: Add the missing"), "{explanation:?}");
    let explanation = explained(&sub_only, &[&leaf], &[neighbour(&both)], &Policy::default());
    let says = "The issuer \"CN=Root\" is in a newer version of the truststore's object: version 2.";
    assert_eq!(explanation.explanation, says);

    let key = new_key();
    let [aged, renewed] = [rcgen::date_time_ymd(2026, 11, 20), rcgen::date_time_ymd(2030, 1, 1)]
        .map(|end| ca_with("Sub", |p| p.not_after = end).signed_by(&key, &root.issuer).unwrap());
    let issuer = rcgen::Issuer::new(ca_params("Sub"), &key);
    let leaf = leaf_params("client").signed_by(&new_key(), &issuer).unwrap();
    let aged = truststore(&format!("{}{}", aged.pem(), root.pem()));
    let renewed = truststore(&format!("{}{}", renewed.pem(), root.pem()));
    let explanation = explained(&aged, &[leaf.der()], &[neighbour(&renewed)], &Policy::default());
    let says = "\"CN=Sub\": it expired on 2026-11-20T00:00:00Z. It would be accepted by a newer version of the truststore's \
                object: version 2.";
    assert_eq!(explanation.explanation, says);

    let itself = leaf_params("Self").self_signed(&new_key()).unwrap();
    let lists_it = truststore(&itself.pem());
    let explanation = explained(&other, &[itself.der()], &[neighbour(&lists_it)], &Policy::default());
    let says = "The certificate itself is in a newer version of the truststore's object: version 2.";
    assert_eq!(explanation.explanation, says);
    let explanation = explained(&other, &[itself.der()], &[neighbour(&other)], &Policy::default());
    assert_eq!(fact(&explanation, "found_in"), None, "the enforced one is no neighbour of itself");
}
