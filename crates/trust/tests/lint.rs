//! What compiling a truststore finds, and refuses.

mod support;

use rcgen::{CustomExtension, IsCa, KeyUsagePurpose};
use support::{Authority, NOW, OpenSsl, bundle, ca_params, leaf_params, new_key, pem_of, soon};
use trust::{Certificate, Digest, Finding, Severity, Truststore, TruststoreError};

fn lint(pem: &str) -> Vec<Finding> {
    Truststore::compile(pem.as_bytes(), NOW).expect("a truststore").1
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn a_good_truststore_has_no_findings() {
    let root = Authority::root("Root");
    let sub = root.sub("Sub");
    let pem = bundle(&[&sub, &root]);
    assert_eq!(lint(&pem), []);
    for pem in [pem.replace('\n', "\r\n"), format!("\u{feff}{pem}"), format!("text before\n{pem}\ntext after\n")] {
        assert_eq!(lint(&pem), [], "accepted as it is");
    }
    let (store, _) = Truststore::compile(pem.as_bytes(), NOW).unwrap();
    let subjects: Vec<&str> = store.certificates().map(|certificate| certificate.subject()).collect();
    assert_eq!(subjects, ["CN=Sub", "CN=Root"], "in the file's order");
    assert_eq!(store.digest(), Digest::of(pem.as_bytes()));
    assert_eq!(store.digest().to_string().len(), 64);
}

#[test]
fn one_finding_a_rule() {
    let root = Authority::root("Root");
    let with = |change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let mut params = ca_params("Case");
        change(&mut params);
        Authority::root_of(params).pem()
    };
    let key = new_key();
    let twin = |name: &str| ca_params(name).self_signed(&key).unwrap().pem();
    let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    unknown.set_criticality(true);
    let other_root = Authority::root("Root");
    for (pem, code, severity) in [
        (with(&|p| p.not_after = rcgen::date_time_ymd(2026, 11, 1)), "expired", Severity::Error),
        (with(&|p| p.not_after = rcgen::date_time_ymd(2026, 12, 1)), "expires-soon", Severity::Warning),
        (with(&|p| p.not_before = rcgen::date_time_ymd(2027, 1, 1)), "not-yet-valid", Severity::Error),
        (with(&|p| p.is_ca = IsCa::NoCa), "not-a-ca", Severity::Warning),
        (with(&|p| p.key_usages = vec![KeyUsagePurpose::CrlSign]), "no-key-cert-sign", Severity::Error),
        (with(&|p| p.custom_extensions = vec![unknown.clone()]), "unknown-critical-extension", Severity::Error),
        (root.pem(), "duplicate", Severity::Note),
        (other_root.pem(), "same-name-different-key", Severity::Note),
        (Authority::root("Elsewhere").sub("Case").pem(), "issuer-missing", Severity::Error),
        (other_root.sub("Case").pem(), "issuer-missing", Severity::Error),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n".into(), "not-pem", Severity::Error),
        ("-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n".into(), "not-pem", Severity::Error),
        ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".into(), "bad-certificate", Severity::Error),
        (twin("Case").replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "trusted-certificate", Severity::Error),
        (twin("Case").replace("CERTIFICATE", "PUBLIC KEY"), "not-a-certificate", Severity::Warning),
    ] {
        // After a good root, so that the line and not only the code is seen to be right.
        let findings = lint(&format!("{}{pem}", root.pem()));
        assert_eq!(codes(&findings), [code], "{findings:?}");
        let finding = &findings[0];
        assert_eq!((finding.severity, finding.line), (severity, 1 + root.pem().lines().count()), "{code}");
        assert!(!finding.explanation.is_empty() && finding.explanation.ends_with('.'), "{finding:?}");
        assert!(!finding.fix.is_empty(), "{finding:?}");
        if let Some(subject) = &finding.subject {
            assert!(["CN=Case", "CN=Root"].contains(&subject.as_str()));
        }
    }
}

#[test]
fn bytes_after_the_certificate_are_told() {
    let root = Authority::root("Root");
    let mut der = root.der().to_vec();
    der.push(0);
    let body = data_encoding::BASE64.encode(&der);
    let bad = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    let findings = lint(&format!("{}{bad}", Authority::root("Other").pem()));
    assert_eq!(codes(&findings), ["bad-certificate"]);
    assert!(findings[0].explanation.contains("bytes follow"), "{findings:?}");
    assert_eq!(Truststore::compile(bad.as_bytes(), NOW).err(), Some(TruststoreError::Empty));
}

#[test]
fn weak_authorities_of_openssl() {
    let openssl = OpenSsl::new();
    openssl
        .run("req -new -x509 -newkey rsa:1024 -nodes -days 3650 -keyout weak.key -out weak.pem -subj /CN=Weak")
        .run("req -new -x509 -newkey rsa:2048 -sha1 -nodes -days 3650 -keyout sha1.key -out sha1.pem -subj /CN=Sha1")
        .run("req -new -newkey rsa:2048 -nodes -keyout v1.key -out v1.csr -subj /CN=V1")
        .run("x509 -req -in v1.csr -signkey v1.key -days 3650 -out v1.pem");
    for (file, code, severity) in [
        ("weak.pem", "weak-key", Severity::Error),
        ("sha1.pem", "weak-signature", Severity::Note),
        ("v1.pem", "x509-v1", Severity::Note),
    ] {
        let findings = Truststore::compile(openssl.pem(file).as_bytes(), soon()).unwrap().1;
        assert_eq!(codes(&findings), [code]);
        assert_eq!(findings[0].severity, severity);
    }
}

#[test]
fn what_is_no_truststore_is_refused() {
    let root = Authority::root("Root").pem();
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let pem = format!("{root}-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n");
        let error = Truststore::compile(pem.as_bytes(), NOW).unwrap_err();
        assert_eq!(error, TruststoreError::PrivateKey { line: 1 + root.lines().count() });
        assert!(error.to_string().contains("private key"));
    }
    let block = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    for (pem, expected) in [
        (String::new(), TruststoreError::Empty),
        ("not PEM at all".to_owned(), TruststoreError::Empty),
        (block.to_owned(), TruststoreError::Empty),
        (block.repeat(1001), TruststoreError::TooMany(1001)),
        ("x".repeat(trust::MAX_BYTES + 1), TruststoreError::TooLarge(trust::MAX_BYTES + 1)),
    ] {
        assert_eq!(Truststore::compile(pem.as_bytes(), NOW).err(), Some(expected));
    }
    let unused = Truststore::compile(pem_of(&Authority::root("A").leaf("client")).as_bytes(), NOW);
    assert!(unused.is_ok(), "one certificate that parses is enough to keep mutual TLS on");
}

#[test]
fn a_thousand_certificates_are_compiled() {
    let key = new_key();
    let issuer = rcgen::Issuer::new(ca_params("Root"), &key);
    let root = ca_params("Root").self_signed(&key).unwrap();
    let mut pem = root.pem();
    for index in 1..1000 {
        pem.push_str(&ca_params(&format!("Sub {index}")).signed_by(&key, &issuer).unwrap().pem());
    }
    let (store, findings) = Truststore::compile(pem.as_bytes(), NOW).unwrap();
    assert_eq!(store.certificates().count(), 1000);
    assert_eq!(findings, []);
    let last = rcgen::Issuer::new(ca_params("Sub 999"), &key);
    let leaf = leaf_params("client").signed_by(&new_key(), &last).unwrap();
    let judgment = support::judge(&store, &[leaf.der()], NOW);
    assert_eq!(support::outcome(&judgment), "accepted", "{:?}", judgment.trail);
}

#[test]
fn findings_quote_nothing_but_subjects() {
    let secret = "aws_secret_access_key = hunter2";
    let root = Authority::root("Root");
    let pem = format!("{secret}\n-----BEGIN {secret}-----\n{secret}\n-----END {secret}-----\n{}", root.pem());
    for finding in lint(&pem) {
        assert!(!serde_json::to_string(&finding).unwrap().contains("hunter2"));
    }
    assert!(Certificate::from_der(secret.as_bytes()).is_err_and(|error| !error.to_string().contains("hunter2")));
}
