use model::Keyring;
use model::resource::Domain;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use super::import::Material;
use super::*;

const NOW: i64 = 1_763_830_800_000; // 2025-11-22T17:00:00Z

struct Made {
    pem: String,
    key: String,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2025, 1, 1), date_time_ymd(2026, 1, 1));
    params
}

fn ca(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = params("ca.example.com");
    params.subject_alt_names.clear();
    params.distinguished_name.push(DnType::OrganizationName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params, KeyPair::generate().unwrap())
}

fn leaf(params: &CertificateParams, issuer: &(CertificateParams, KeyPair)) -> Made {
    let key = KeyPair::generate().unwrap();
    let pem = params.signed_by(&key, &Issuer::from_params(&issuer.0, &issuer.1)).unwrap().pem();
    Made { pem, key: key.serialize_pem() }
}

fn root_pem(ca: &(CertificateParams, KeyPair)) -> String {
    ca.0.self_signed(&ca.1).unwrap().pem()
}

fn read(made: &Made, chain: Option<&str>) -> Result<Material, Error> {
    Material::read(made.pem.as_bytes(), made.key.as_bytes(), chain.map(str::as_bytes), NOW)
}

#[test]
fn an_import_that_holds_together() {
    let root = ca("Root");
    let made = leaf(&params("API.example.com"), &root);
    let noisy = Made { pem: format!("subject=CN = api\n{}trailing", made.pem), key: made.key.clone() };
    let chain = root_pem(&root);
    let material = read(&noisy, Some(&chain)).unwrap();
    assert_eq!(material.domain_name, "api.example.com");
    assert_eq!(material.alternative_names, ["api.example.com"]);
    assert_eq!(material.certificate, made.pem);
    assert_eq!(material.chain, Some(chain));
    assert_eq!(*material.private_key, made.key);
    assert_eq!(material.key_algorithm, "EC_prime256v1");
    assert!(read(&made, None).unwrap().chain.is_none(), "clients may know the issuer");
}

#[test]
fn an_import_that_does_not() {
    let (root, other) = (ca("Root"), ca("Other"));
    let made = leaf(&params("a.example.com"), &root);
    let with = |pem: &str, key: &str| Made { pem: pem.to_owned(), key: key.to_owned() };
    let stranger = leaf(&params("b.example.com"), &root);
    let two = made.pem.clone() + &stranger.pem;
    let mut early = params("a.example.com");
    early.not_before = date_time_ymd(2025, 12, 1);
    let mut late = params("a.example.com");
    late.not_after = date_time_ymd(2025, 11, 1);
    let root_pem = root_pem(&root);
    for (made, chain, text) in [
        (with("not pem", &made.key), None, "valid PEM format"),
        (with("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &made.key), None, "valid PEM format"),
        (with(&two, &made.key), None, "more than one certificate"),
        (with(&made.pem, &stranger.key), None, "does not match"),
        (with(&made.pem, "no key"), None, "not supported"),
        (with(&made.pem, &made.key.replace("PRIVATE", "ENCRYPTED PRIVATE")), None, "encrypted"),
        (with(&made.pem, &made.key), Some(super::tests::root_pem(&other)), "with the certificate chain"),
        (with(&made.pem, &made.key), Some(root_pem.clone() + &stranger.pem), "with the certificate chain"),
        (with(&made.pem, &made.key), Some("junk".to_owned()), "valid PEM format"),
        (leaf(&early, &root), None, "not valid yet"),
        (leaf(&late, &root), None, "expired"),
    ] {
        let error = read(&made, chain.as_deref()).err().unwrap_or_else(|| panic!("{text}: it was taken"));
        assert_eq!(error.code, "ValidationException");
        assert!(error.message.contains(text), "{error}");
    }
}

fn stored(pem: String, origin: CertificateOrigin) -> Certificate {
    Certificate {
        arn: "arn:aws:acm:us-east-1:123456789012:certificate/1".into(),
        region: "us-east-1".into(),
        domain_name: "a.example.com".into(),
        alternative_names: vec!["a.example.com".into(), "*.b.example.com".into()],
        certificate: pem,
        chain: None,
        private_key: Keyring::new(&[0; 32]).unwrap().seal("x", b"").unwrap(),
        origin,
        key_algorithm: "EC_prime256v1".into(),
        created: NOW,
        life: Default::default(),
        tags: Tags::new(),
    }
}

pub(crate) fn domain(certificate_arn: &str) -> Domain {
    Domain {
        name: "a.example.com".into(),
        region: "us-east-1".into(),
        certificate_arn: certificate_arn.into(),
        security_policy: Default::default(),
        endpoint_access_mode: None,
        endpoint_type: "REGIONAL".into(),
        ownership_certificate_arn: None,
        hosted_zone_id: "Z".into(),
        target_id: "d-1".into(),
        mutual_tls: None,
        history: Vec::new(),
        shadow: None,
        crls: Vec::new(),
        routing_mode: "API_MAPPING_ONLY".into(),
        revision: 1,
        created: NOW,
        tags: Tags::new(),
    }
}

#[test]
fn a_description_says_what_the_certificate_says() {
    let mut wanted = params("a.example.com");
    wanted.serial_number = Some(vec![0x0a, 0xff].into());
    wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let pem = leaf(&wanted, &ca("Acme, Inc.")).pem;
    let certificate = stored(pem, CertificateOrigin::AmazonIssued);
    let mut state = State::default();
    state.apply(1, &[Change::put(&certificate), Change::put(&domain(&certificate.arn))]).unwrap();

    let shown = detail::detail(&state, &certificate, NOW);
    assert_eq!(shown.serial.as_deref(), Some("0a:ff"));
    assert_eq!(shown.subject.as_deref(), Some("CN=a.example.com"));
    assert_eq!(shown.issuer.as_deref(), Some("Acme, Inc."));
    assert_eq!(shown.signature_algorithm.as_deref(), Some("SHA256WITHECDSA"));
    assert_eq!(shown.status, Some(CertificateStatus::Issued));
    assert_eq!(shown.not_after.unwrap().0, 1_767_225_600_000);
    assert_eq!(shown.in_use_by.unwrap(), ["arn:aws:apigateway:us-east-1::/domainnames/a.example.com"]);
    assert_eq!(shown.key_usages.unwrap()[0].name, Some(KeyUsageName::DigitalSignature));
    assert_eq!(shown.extended_key_usages.unwrap()[0].oid.as_deref(), Some("1.3.6.1.5.5.7.3.1"));
    assert_eq!(shown.renewal_eligibility, Some(RenewalEligibility::Eligible));
    let validation = shown.domain_validation_options.unwrap();
    assert_eq!(validation[0].validation_status, Some(DomainStatus::Success));
    let record = validation[1].resource_record.as_ref().unwrap();
    assert!(record.name.as_ref().unwrap().ends_with(".b.example.com."), "{record:?}");

    let later = detail::detail(&state, &certificate, 1_767_225_600_001);
    assert_eq!(later.status, Some(CertificateStatus::Expired));
}

#[test]
fn filters_of_a_list() {
    let pem = leaf(&params("a.example.com"), &ca("Root")).pem;
    let summary = detail::summary(&State::default(), &stored(pem, CertificateOrigin::Imported), NOW);
    let keys = |key| Filters { key_types: Some(vec![key]), ..Filters::default() };
    for (statuses, includes, wanted) in [
        (None, None, true),
        (Some(vec![]), None, true),
        (Some(vec![CertificateStatus::Issued]), None, true),
        (Some(vec![CertificateStatus::Expired]), None, false),
        (None, Some(keys(KeyAlgorithm::EcPrime256v1)), true),
        (None, Some(keys(KeyAlgorithm::Rsa2048)), false),
        (None, Some(Filters { key_usage: Some(vec![KeyUsageName::CrlSigning]), ..Filters::default() }), false),
    ] {
        assert_eq!(
            detail::wanted(&summary, statuses.as_deref(), includes.as_ref()),
            wanted,
            "{statuses:?} {includes:?}"
        );
    }
}

#[test]
fn certificates_are_found_in_their_region_only() {
    let certificate = stored(String::new(), CertificateOrigin::Imported);
    let mut state = State::default();
    state.apply(1, &[Change::put(&certificate)]).unwrap();
    let caller = crate::authorization::tests::caller;
    assert!(find(&state, &caller("us-east-1"), &certificate.arn).is_ok());
    let error = find(&state, &caller("eu-west-1"), &certificate.arn).unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
    assert_eq!(error.message, format!("Could not find certificate {}.", certificate.arn));
}

#[test]
fn tags_are_checked() {
    let tag = |key: &str| vec![Tag { key: key.into(), value: None }];
    assert_eq!(checked_tags(Tags::new(), tag("a")).unwrap()["a"], "");
    for key in ["aws:x", "AWS:x", "countersign:rejection"] {
        assert_eq!(checked_tags(Tags::new(), tag(key)).unwrap_err().code, "InvalidTagException", "{key}");
    }
    let many = (0..=MAX_TAGS).map(|n| Tag { key: n.to_string(), value: None }).collect();
    assert_eq!(checked_tags(Tags::new(), many).unwrap_err().code, "TooManyTagsException");
}
