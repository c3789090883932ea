//! What compiling a truststore finds, and refuses.

mod support;

use std::collections::HashSet;

use rcgen::{CustomExtension, IsCa, KeyUsagePurpose};
use support::{Authority, NOW, OpenSsl, bundle, ca_params, leaf_params, new_key, pem_of, soon};
use trust::{Certificate, Digest, Finding, Rule, Severity, Truststore};

fn lint(pem: &str) -> Vec<Finding> {
    Truststore::compile(pem.as_bytes(), NOW).expect("a truststore").1
}

fn codes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.code.as_str()).collect()
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
    let mut seen = HashSet::new();
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
        (twin("Case").replace("CERTIFICATE", "CERTIFICATE REQUEST"), "not-a-certificate", Severity::Warning),
        (twin("Case").replace("CERTIFICATE", "X509 CRL"), "not-a-certificate", Severity::Warning),
        (twin("Case").replace("CERTIFICATE", "PKCS7"), "pkcs7", Severity::Error),
        (block(&[0x30, 11, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2]), "pkcs7", Severity::Error),
        (block(&[0x30, 3, 2, 1, 3]), "pkcs12", Severity::Error),
        (block(&[root.der(), &[0]].concat()), "trailing-garbage", Severity::Error),
        (twin("Case").replacen("-----BEGIN CERTIFICATE-----\n", "", 1), "trailing-garbage", Severity::Error),
        ("-----END CERTIFICATE-----\n".into(), "trailing-garbage", Severity::Error),
        (twin("Case").replace('\n', "\\n"), "not-pem", Severity::Error),
        (twin("Case").replace("-----", "----").replace("END", "end"), "not-pem", Severity::Error),
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
        seen.insert(code);
    }
    // The others are refusals of the whole file, or of OpenSSL's making: see below.
    let elsewhere = [
        "der",
        "utf-16",
        "java-key-store",
        "private-key",
        "too-large",
        "too-many",
        "empty",
        "x509-v1",
        "weak-key",
        "weak-signature",
    ];
    let all: HashSet<&str> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(all.len(), Rule::ALL.len());
    assert_eq!(all, seen.union(&elsewhere.into()).copied().collect::<HashSet<_>>(), "one row a rule");
}

/// A block that says it holds a certificate.
fn block(content: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(content);
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

#[test]
fn bytes_after_the_certificate_are_told() {
    let root = Authority::root("Root");
    let bad = block(&[root.der(), &[0, 0]].concat());
    let findings = lint(&format!("{}{bad}", Authority::root("Other").pem()));
    assert_eq!(codes(&findings), ["trailing-garbage"]);
    assert!(findings[0].explanation.contains("2 bytes follow"), "{findings:?}");
    assert_eq!(findings[0].subject.as_deref(), Some("CN=Root"));
    let error = Truststore::compile(bad.as_bytes(), NOW).unwrap_err();
    assert!(error.to_string().contains("no usable certificate: line 1: In the block, 2 bytes follow"), "{error}");
    assert_eq!(codes(&error.findings()), ["trailing-garbage"]);
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

/// What is wrong with a file that is no truststore: the finding's code and line, and the whole refusal.
fn refused(bytes: &[u8]) -> (&'static str, usize, String) {
    let error = Truststore::compile(bytes, NOW).expect_err("it is no truststore");
    let findings = error.findings();
    assert!(findings.iter().all(|finding| finding.severity == Severity::Error), "{findings:?}");
    assert!(findings[0].explanation.ends_with('.') && findings[0].fix.ends_with('.'), "{findings:?}");
    (findings[0].code.as_str(), findings[0].line, error.to_string())
}

#[test]
fn what_is_no_truststore_is_refused() {
    let root = Authority::root("Root");
    let pem = root.pem();
    let utf16 = |order: fn(u16) -> [u8; 2]| pem.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let (little, big) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
    let bad = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    for (bytes, code, says) in [
        (Vec::new(), "empty", "no usable certificate: there is no PEM in it"),
        (b"not PEM at all".to_vec(), "empty", "no usable certificate"),
        (b"0 s:CN = not DER, although it begins like it".to_vec(), "empty", "no usable certificate"),
        (bad.into(), "bad-certificate", "no usable certificate: line 1: The certificate cannot be read"),
        (pem.replace('\n', " ").into(), "not-pem", "no usable certificate: line 1: The line looks like"),
        (bad.repeat(1001).into(), "too-many", "has 1001 certificates; at most 1000 are allowed"),
        (vec![b'x'; trust::MAX_BYTES + 1], "too-large", "has more than 1048576 bytes"),
        (root.der().to_vec(), "der", "is DER, not PEM; convert it with openssl x509 -inform DER"),
        ([root.der(), b"\r\n"].concat(), "der", "is DER"),
        (little.clone(), "utf-16", "is UTF-16 text, not ASCII or UTF-8; convert it with iconv -f UTF-16"),
        ([&[0xff, 0xfe], &little[..]].concat(), "utf-16", "iconv"),
        (big.clone(), "utf-16", "iconv"),
        ([&[0xfe, 0xff], &big[..]].concat(), "utf-16", "iconv"),
        (b"\xfe\xed\xfe\xed\0\0\0\x02".to_vec(), "java-key-store", "is a Java key store, not PEM; take the"),
    ] {
        let (found, line, refusal) = refused(&bytes);
        assert_eq!((found, line), (code, 1), "{refusal}");
        assert!(refusal.starts_with("the truststore ") && refusal.contains(says), "{refusal}");
    }
    let unused = Truststore::compile(pem_of(&root.leaf("client")).as_bytes(), NOW);
    assert!(unused.is_ok(), "one certificate that parses is enough to keep mutual TLS on");
}

#[test]
fn a_private_key_is_refused_and_never_quoted() {
    let (root, key) = (Authority::root("Root"), new_key());
    let secret = data_encoding::BASE64.encode(key.serialized_der());
    let labels = ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"];
    let blocks = labels.map(|label| format!("-----BEGIN {label}-----\n{secret}\n-----END {label}-----\n"));
    let cut = format!("-----BEGIN PRIVATE KEY-----\n{secret}\n");
    let one_line = format!("\"-----BEGIN PRIVATE KEY-----\\n{secret}\\n-----END PRIVATE KEY-----\\n\"");
    let disguised = block(key.serialized_der());
    for text in blocks.into_iter().chain([cut, one_line, disguised]) {
        for before in [String::new(), root.pem()] {
            let (code, line, refusal) = refused(format!("{before}{text}").as_bytes());
            assert_eq!((code, line), ("private-key", 1 + before.lines().count()), "{text}");
            assert!(refusal.contains("contains a private key") && refusal.contains("leaked"), "{refusal}");
            assert!(!refusal.contains(&secret[..16]), "{refusal}");
        }
    }
    let files = OpenSsl::new();
    files
        .run("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem")
        .run("pkcs8 -topk8 -in key.pem -nocrypt -outform DER -out pkcs8.der")
        .run("pkcs8 -topk8 -in key.pem -passout pass:x -outform DER -out encrypted.der")
        .run("rsa -in key.pem -traditional -outform DER -out pkcs1.der")
        .run("ecparam -name prime256v1 -genkey -noout -outform DER -out sec1.der");
    for file in ["pkcs8.der", "encrypted.der", "pkcs1.der", "sec1.der"] {
        assert_eq!(refused(&files.bytes(file)).0, "private-key", "{file}");
    }
}

#[test]
fn containers_of_openssl() {
    let files = OpenSsl::new();
    files
        .run("req -new -x509 -newkey rsa:2048 -nodes -days 3650 -keyout ca.key -out ca.pem -subj /CN=CA")
        .run("crl2pkcs7 -nocrl -certfile ca.pem -outform DER -out ca.p7b")
        .run("crl2pkcs7 -nocrl -certfile ca.pem -out ca.p7.pem")
        .run("pkcs12 -export -in ca.pem -inkey ca.key -passout pass:x -out ca.p12")
        .run("x509 -in ca.pem -text -out text.pem");
    for (file, code, says) in [
        ("ca.p7b", "pkcs7", "openssl pkcs7 -inform DER -print_certs"),
        ("ca.p7.pem", "pkcs7", "This block is a PKCS#7 container"),
        ("ca.p12", "pkcs12", "openssl pkcs12 -nokeys"),
    ] {
        let (found, _, refusal) = refused(&files.bytes(file));
        assert_eq!(found, code);
        assert!(refusal.contains(says), "{refusal}");
    }
    let with_text = Truststore::compile(&files.bytes("text.pem"), soon()).expect("text before a block is usual");
    assert_eq!(with_text.1, []);
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
