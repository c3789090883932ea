//! The nearest miss of every refusal.

mod support;

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType, DnValue,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints,
    RevocationReason, RevokedCertParams, SerialNumber,
};
use support::{Authority, NOW, OpenSsl, bundle, ca_params, leaf_params, new_key, truststore};
use trust::{
    ClientsSeen, Code, Crl, Explanation, Neighbour, NeighbourKind, NothingFetched, Policy, Profile, Revocations, Seen,
    Surroundings, Truststore, Unrevoked, explain,
};

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

/// A refusal and what is to be said of it.
struct Row<'a> {
    store: &'a Truststore,
    chain: Vec<&'a [u8]>,
    policy: Policy,
    code: Code,
    says: String,
    fix: &'a str,
}

fn row<'a>(store: &'a Truststore, chain: &[&'a [u8]], code: Code, says: impl Into<String>, fix: &'a str) -> Row<'a> {
    Row { store, chain: chain.to_vec(), policy: Policy::default(), code, says: says.into(), fix }
}

impl Row<'_> {
    fn rfc5280(self) -> Self {
        Self { policy: Policy::of(Profile::Rfc5280), ..self }
    }

    /// Says it, whole; returns the explanation for its evidence.
    fn check(&self) -> Explanation {
        let judgment = self.store.judge(&self.chain, &self.policy, &Unrevoked, NOW);
        assert_eq!(support::outcome(&judgment), self.code.as_str(), "{:?}", judgment.trail);
        let explanation = explained(self.store, &self.chain, &[], &self.policy);
        assert_eq!(explanation.explanation, self.says, "{explanation:?}");
        assert!(explanation.fix.contains(self.fix) && explanation.fix.ends_with('.'), "{explanation:?}");
        explanation
    }
}

/// A leaf of `authority` whose parameters were changed.
fn leaf_with(authority: &Authority, change: impl Fn(&mut CertificateParams)) -> Vec<u8> {
    let mut params = leaf_params("client");
    change(&mut params);
    authority.leaf_of(params)
}

fn ca_with(name: &str, change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut params = ca_params(name);
    change(&mut params);
    params
}

#[test]
fn nothing_or_nonsense_was_sent() {
    let store = truststore(&Authority::root("Root").pem());
    row(&store, &[], Code::ClientCertMissing, "The client sent no certificate.", "--cert").check();
    let says = "Not an X.509 certificate: it is no DER sequence, or it is cut short.";
    row(&store, &[b"x"], Code::ClientCertInvalid, says, "Issue the certificate again").check();
}

#[test]
fn an_issuer_that_is_unknown() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let (store, root_only) = (truststore(&bundle(&[&root, &sub])), truststore(&root.pem()));
    let leaf = sub.leaf("client");
    let stranger = Authority::root("Nobody");
    let of_stranger = stranger.leaf("client");
    let code = Code::ClientCertUntrusted;
    row(&store, &[&of_stranger], code, "No authority in the truststore is named \"CN=Nobody\".", "Add the issuer")
        .check();
    let only_there = "The issuer \"CN=Sub\" was sent by the client, but the path is built from the truststore alone, which \
                      has \"CN=Root\" above it but not itself.";
    let row_of_sent = row(&root_only, &[&leaf, sub.der()], code, only_there, "countersign:profile=rfc5280");
    let explanation = row_of_sent.check();
    assert_eq!(fact(&explanation, "issuer_sent_sha256"), Some(pem_fingerprint(sub.der()).as_str()));
    let not_there = "The issuer \"CN=Nobody\" was sent by the client, but the path is built from the truststore alone, and \
                     it is not there.";
    row(&store, &[&of_stranger, stranger.der()], code, not_there, "Add the intermediate").check();
    let only_leaf = "The client sent only its own certificate, and its issuer \"CN=Sub\" is not in the truststore.";
    row(&root_only, &[&leaf], code, only_leaf, "Have the client send its intermediates").rfc5280().check();

    let url = "http://ca.example/nobody.cer";
    let with_url = leaf_with(&stranger, |p| p.custom_extensions = vec![aia(url)]);
    let says = "No authority in the truststore is named \"CN=Nobody\".";
    let explanation = row(&store, &[&with_url], code, says, "names http://ca.example/nobody.cer as the place").check();
    assert_eq!(fact(&explanation, "issuer_url"), Some(url));
    assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=Nobody"));
}

#[test]
fn an_issuer_under_another_name() {
    let key = new_key();
    let old = ca_params("Old Name").self_signed(&key).unwrap();
    let store = truststore(&old.pem());
    let issuer = rcgen::Issuer::new(ca_params("New Name"), &key);
    let leaf = leaf_params("client").signed_by(&new_key(), &issuer).unwrap();
    let says = "The key that signed the certificate is in the truststore, but as that of \"CN=Old Name\"; the certificate \
                calls its issuer \"CN=New Name\".";
    row(&store, &[leaf.der()], Code::ClientCertUntrusted, says, "under the name that the certificate gives").check();

    let store = truststore(&Authority::root("Acme Root").pem());
    let printable = DnValue::PrintableString("ACME  Root".try_into().unwrap());
    let renamed = ca_with("x", |p| {
        p.distinguished_name = rcgen::DistinguishedName::new();
        p.distinguished_name.push(DnType::CommonName, printable.clone());
    });
    let leaf = Authority::root_of(renamed).leaf("client");
    let says = "The truststore has \"CN=Acme Root\", which is the issuer's name in another encoding (string types, letter \
                case or blanks); names are compared byte for byte.";
    row(&store, &[&leaf], Code::ClientCertUntrusted, says, "as it is named in the truststore").check();
}

#[test]
fn the_right_name_with_another_key() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let store = truststore(&bundle(&[&root, &sub]));
    let leaf = root.sub("Sub").leaf("client");
    let id = colons(trust::Certificate::from_der(&leaf).unwrap().authority_key_id().unwrap());
    let says = format!(
        "The truststore has an authority named \"CN=Sub\", but the certificate was signed by another key (key identifier \
         {id})."
    );
    let explanation = row(&store, &[&leaf], Code::ClientCertSignatureInvalid, says, "Add the authority").check();
    assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=Sub"));
    assert_eq!(fact(&explanation, "issuer_key_id_wanted"), Some(id.as_str()));
    assert_ne!(fact(&explanation, "issuer_key_id_wanted"), fact(&explanation, "truststore_issuer_key_id"));
    assert_eq!(fact(&explanation, "truststore_issuer_sha256"), Some(pem_fingerprint(sub.der()).as_str()));
}

#[test]
fn a_path_that_ends_below_a_root() {
    let url = "http://ca.example/missing.cer";
    let missing = Authority::root("Missing");
    let lonely = missing.sub_of(ca_with("Lonely", |p| p.custom_extensions = vec![aia(url)]));
    let leaf = lonely.leaf("client");
    let code = Code::ClientCertChainIncomplete;
    let store = truststore(&lonely.pem());
    let says = "The path ends at the intermediate \"CN=Lonely\": its issuer \"CN=Missing\" is not in the truststore, which \
                must hold every authority up to the self-signed root.";
    let explanation = row(&store, &[&leaf], code, says, url).check();
    assert_eq!(fact(&explanation, "issuer_url"), Some(url));
    assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=Missing"));

    let unsigned = truststore(&bundle(&[&Authority::root("Missing"), &lonely]));
    let says = "The path ends at the intermediate \"CN=Lonely\": its issuer \"CN=Missing\" is there by name only: the \
                authority of that name in the truststore did not sign it.";
    row(&unsigned, &[&leaf], code, says, "missing authorities").check();

    let store = truststore(&Authority::root("Root").pem());
    let says = "The path ends at the intermediate \"CN=Lonely\", which the client sent: its issuer \"CN=Missing\" neither \
                came with it nor is in the truststore.";
    let explanation = row(&store, &[&leaf, lonely.der()], code, says, url).rfc5280().check();
    assert_eq!(fact(&explanation, "issuer_wanted"), Some("CN=Missing"));
}

#[test]
fn self_signed() {
    let key = new_key();
    let first = leaf_params("Self").self_signed(&key).unwrap();
    let renewed = leaf_params("Self").self_signed(&key).unwrap();
    let other = leaf_params("Self").self_signed(&new_key()).unwrap();
    let elsewhere = truststore(&Authority::root("Root").pem());
    for (store, says) in [
        (&elsewhere, "is self-signed and not in the truststore."),
        (
            &truststore(&first.pem()),
            "is self-signed, and the truststore has another certificate with its name and key, so it was probably renewed; \
             a listed certificate is accepted only byte for byte.",
        ),
        (
            &truststore(&other.pem()),
            "is self-signed; the truststore has a certificate with its name, but with another key.",
        ),
    ] {
        let says = format!("The certificate \"CN=Self\" {says}");
        row(store, &[renewed.der()], Code::ClientCertSelfSigned, says, "add this very certificate").check();
    }
}

#[test]
fn outside_its_validity() {
    let root = Authority::root("Root");
    let store = truststore(&root.pem());
    let now = rcgen::date_time_ymd(2026, 11, 22);
    let seconds = std::time::Duration::from_secs;
    let expired = leaf_with(&root, |p| p.not_after = rcgen::date_time_ymd(2026, 11, 10));
    let just_expired = leaf_with(&root, |p| {
        p.not_before = rcgen::date_time_ymd(2026, 11, 20);
        p.not_after = now - seconds(300);
    });
    let near = leaf_with(&root, |p| p.not_before = now + seconds(600));
    let far = leaf_with(&root, |p| p.not_before = rcgen::date_time_ymd(2027, 11, 22));
    let nameless = leaf_with(&root, |p| {
        p.distinguished_name = rcgen::DistinguishedName::new();
        p.subject_alt_names = vec![rcgen::SanType::URI("spiffe://example/a".try_into().unwrap())];
        p.not_after = rcgen::date_time_ymd(2026, 11, 21);
    });
    let (late, early) = (Code::ClientCertExpired, Code::ClientCertNotYetValid);
    for (leaf, code, says, fix) in [
        (&expired, late, "\"CN=client\" expired 12 days ago, on 2026-11-10T00:00:00Z.", "Renew the certificate."),
        (
            &just_expired,
            late,
            "\"CN=client\" expired 5 minutes ago, on 2026-11-21T23:55:00Z. It was valid for 1 day, and ended so recently \
             that the client is late with its renewal, or the clock here is ahead.",
            "this machine's clock",
        ),
        (&nameless, late, "\"URI:spiffe://example/a\" expired 1 day ago, on 2026-11-21T00:00:00Z.", "Renew"),
        (
            &near,
            early,
            "\"CN=client\" becomes valid in 10 minutes, on 2026-11-22T00:10:00Z. That is so near that the clock here or at \
             its authority is probably wrong.",
            "Set the clocks",
        ),
        (&far, early, "\"CN=client\" becomes valid in 365 days, on 2027-11-22T00:00:00Z.", "Wait"),
    ] {
        row(&store, &[leaf], code, format!("The certificate {says}"), fix).check();
    }
    let aged = root.sub_of(ca_with("Aged", |p| p.not_after = rcgen::date_time_ymd(2026, 11, 20)));
    let young = root.sub_of(ca_with("Young", |p| p.not_before = rcgen::date_time_ymd(2026, 11, 25)));
    let store = truststore(&bundle(&[&root, &aged, &young]));
    let code = Code::ClientCertIssuerExpired;
    let says = "The authority \"CN=Aged\" expired 2 days ago, on 2026-11-20T00:00:00Z.";
    row(&store, &[&aged.leaf("client")], code, says, "Replace the authority's").check();
    let says = "The authority \"CN=Young\" becomes valid in 3 days, on 2026-11-25T00:00:00Z.";
    row(&store, &[&young.leaf("client")], code, says, "Wait").check();
}

#[test]
fn for_another_purpose() {
    let root = Authority::root("Root");
    let servers =
        root.sub_of(ca_with("Servers", |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]));
    let store = truststore(&bundle(&[&root, &servers]));
    let server = leaf_with(&root, |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let unsaid = leaf_with(&root, |p| p.extended_key_usages = vec![]);
    let agreeing = leaf_with(&root, |p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    let code = Code::ClientCertPurposeInvalid;
    let says = "The certificate \"CN=client\" was issued for another purpose: its extended key usage is serverAuth, without \
                clientAuth.";
    let explanation = row(&store, &[&server], code, says, "countersign:eku=any").check();
    assert_eq!(fact(&explanation, "extended_key_usage"), Some("serverAuth"));
    assert_eq!(fact(&explanation, "extended_key_usage_wanted"), Some("clientAuth"));
    let says = "\"CN=client\": it has no extended key usage; the profile rfc5280 asks for clientAuth.";
    row(&store, &[&unsaid], code, says, "or use the profile aws").rfc5280().check();
    let says = "\"CN=client\": its key usage lacks digitalSignature.";
    row(&store, &[&agreeing], code, says, "the key usage digitalSignature").rfc5280().check();
    let says = "The authority \"CN=Servers\" may not issue for clientAuth: its extended key usage is serverAuth, without \
                clientAuth.";
    row(&store, &[&servers.leaf("client")], code, says, "an authority whose extended key usage has clientAuth").check();
    let says = "The certificate \"CN=Sub\" is that of an authority, not of a client.";
    row(&store, &[root.sub("Sub").der()], code, says, "that the authority issued to it").check();
}

#[test]
fn too_deep() {
    let mut all = vec![Authority::root("CA 0")];
    for depth in 1..5 {
        all.push(all[depth - 1].sub(&format!("CA {depth}")));
    }
    let store = truststore(&bundle(&all.iter().collect::<Vec<_>>()));
    let says = "5 authorities stand above the certificate, and 4 are allowed: \"CN=CA 4\", \"CN=CA 3\", \"CN=CA 2\", \
                \"CN=CA 1\", \"CN=CA 0\".";
    let fix = "Have the certificate issued by \"CN=CA 3\" or an authority above it: at most 4";
    let code = Code::ClientCertMaxChainDepthExceeded;
    let explanation = row(&store, &[&all[4].leaf("client")], code, says, fix).check();
    assert_eq!(fact(&explanation, "depth"), Some("5"));
    assert_eq!(fact(&explanation, "depth_allowed"), Some("4"));
    assert!(
        store.judge(&[&all[3].leaf("client")], &Policy::default(), &Unrevoked, NOW).is_accepted(),
        "the fix is one"
    );
}

#[test]
fn weak() {
    let root = Authority::root("Root");
    let p521 = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let large = root.sub_with(ca_params("Large"), p521());
    let store = truststore(&bundle(&[&root, &large]));
    let leaf = leaf_params("client").signed_by(&p521(), &root.issuer).unwrap();
    let allowed = "RSA of 2048 to 8192 bits, P-256 and P-384 are allowed";
    let says = format!("The certificate \"CN=client\" is not accepted: its key is P-521; {allowed}.");
    let explanation = row(&store, &[leaf.der()], Code::ClientCertWeakKey, says, "The profile rfc5280").check();
    assert_eq!(fact(&explanation, "key"), Some("P-521"));
    let says = format!("The authority \"CN=Large\" is not accepted: its key is P-521; {allowed}.");
    let fix = "issued by an authority with a key of";
    row(&store, &[&large.leaf("client")], Code::ClientCertWeakKey, says, fix).check();
}

#[test]
fn weak_by_openssl() {
    let files = OpenSsl::new();
    files
        .run("req -new -x509 -newkey rsa:2048 -nodes -days 3650 -keyout ca.key -out ca.pem -subj /CN=CA")
        .run("req -new -newkey rsa:1024 -nodes -keyout small.key -out small.csr -subj /CN=small")
        .run("x509 -req -in small.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out small.pem")
        .run("req -new -newkey rsa:2048 -nodes -keyout old.key -out old.csr -subj /CN=old")
        .run("x509 -req -in old.csr -sha1 -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out old.pem");
    let store = truststore(&files.pem("ca.pem"));
    for (file, code, says, fix) in [
        (
            "small.pem",
            Code::ClientCertWeakKey,
            "The certificate \"CN=small\" is not accepted: its key is RSA 1024; RSA of 2048 to 8192 bits, P-256 and P-384 \
             are allowed.",
            "Use a key of RSA 2048 bits or more, P-256 or P-384.",
        ),
        (
            "old.pem",
            Code::ClientCertWeakSignature,
            "The certificate \"CN=old\" is not accepted: it is signed with sha1WithRSAEncryption; SHA-256 or stronger is \
             needed.",
            "issued again with SHA-256",
        ),
    ] {
        let leaf = files.der(file);
        let judgment = store.judge(&[&leaf], &Policy::default(), &Unrevoked, support::soon());
        assert_eq!(support::outcome(&judgment), code.as_str());
        let around = Surroundings::default();
        let found = explain(&judgment, &[&leaf], &store, &around, &Policy::default(), support::soon()).unwrap();
        assert_eq!(found.explanation, says);
        assert!(found.fix.contains(fix), "{found:?}");
    }
    let v1 = files.der("small.pem");
    let says = "\"CN=small\": it is X.509 v1; the profile rfc5280 asks for v3.";
    let code = Code::ClientCertTypeUnsupported;
    row(&store, &[&v1], code, says, "openssl x509 -req -extfile").rfc5280().check();
}

#[test]
fn rules_of_the_path() {
    let root = Authority::root("Root");
    let flat = root.sub_of(ca_with("Flat", |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0))));
    let below_flat = flat.sub("Below");
    let named = root.sub_of(ca_with("Named", |p| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("example.com".to_owned())];
        p.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    }));
    let no_ca = root.sub_of(ca_with("NoCa", |p| p.is_ca = IsCa::ExplicitNoCa));
    let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    unknown.set_criticality(true);
    let store = truststore(&bundle(&[&root, &flat, &below_flat, &named, &no_ca]));
    let of_named =
        leaf_with(&named, |p| p.subject_alt_names = vec![rcgen::SanType::DnsName("a.net".try_into().unwrap())]);
    let odd = leaf_with(&root, |p| p.custom_extensions = vec![unknown.clone()]);
    let code = Code::ClientCertPathInvalid;
    for (leaf, says, fix, rule) in [
        (
            &below_flat.leaf("client"),
            "\"CN=Flat\": its path length allows 0 CAs below it, and there are 1.",
            "with a greater path length",
            "path length",
        ),
        (
            &of_named,
            "\"CN=Named\": its name constraints do not allow the name DNS:a.net of \"CN=client\".",
            "names that the authority may certify",
            "name constraints",
        ),
        (
            &no_ca.leaf("client"),
            "The issuer may not issue certificates: \"CN=NoCa\": its basic constraints say that it is not a CA.",
            "basic constraints CA:TRUE",
            "CA",
        ),
        (
            &odd,
            "\"CN=client\": it has a critical extension that is not understood: 1.2.3.4.",
            "without that extension",
            "extensions",
        ),
    ] {
        let explanation = row(&store, &[leaf], code, says, fix).check();
        assert_eq!(fact(&explanation, "rule"), Some(rule));
    }
    let no_id = leaf_with(&root, |p| p.use_authority_key_identifier_extension = false);
    let says = "\"CN=client\": it lacks the authority key identifier (RFC 5280 section 4.2.1.1).";
    row(&store, &[&no_id], Code::ClientCertInvalid, says, "use the profile aws").rfc5280().check();
}

#[test]
fn too_complex() {
    let same_named: Vec<Authority> = (0..70).map(|_| Authority::root("Root")).collect();
    let store = truststore(&bundle(&same_named.iter().collect::<Vec<_>>()));
    let leaf = leaf_with(&Authority::root("Root"), |p| p.use_authority_key_identifier_extension = false);
    let says = "The search for a path took too many steps: 70 authorities in the truststore have the issuer's name \
                \"CN=Root\", and the client sent 0 certificates besides its own.";
    row(&store, &[&leaf], Code::ClientCertPathTooComplex, says, "Remove needless authorities").check();
}

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
fn names_of_strangers_are_cut() {
    let store = truststore(&Authority::root("Root").pem());
    let leaf = Authority::root(&"x".repeat(30_000)).leaf("client");
    let found = explained(&store, &[&leaf], &[], &Policy::default());
    assert!(found.explanation.starts_with("No authority in the truststore is named \"CN=xxx"), "{found:?}");
    assert!(found.explanation.ends_with("x…") && found.explanation.chars().count() == 4_001);
    assert!(found.evidence.iter().all(|(_, value)| value.chars().count() <= 2_001));
}

fn pem_fingerprint(der: &[u8]) -> String {
    trust::Certificate::from_der(der).unwrap().fingerprint_hex()
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
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
