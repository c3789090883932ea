//! The nearest miss of every refusal.

mod around;
mod issuers;
#[path = "../support/mod.rs"]
mod support;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints,
};
use support::{Authority, NOW, OpenSsl, bundle, ca_params, leaf_params, truststore};
use trust::{Code, Explanation, Neighbour, Policy, Profile, Surroundings, Truststore, Unrevoked, explain};

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
