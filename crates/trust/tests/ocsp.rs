//! OCSP: what is asked, and which answers count.

mod support;

use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SerialNumber};
use support::list::{Answer, DAY, basic_response, cert_id, der, extension, good, revoked, sequence, unknown};
use support::{Authority, NOW, OpenSsl, leaf_params, new_key, params, soon};
use trust::{CertId, CertStatus, Certificate, MAX_OCSP_BYTES, OcspError, OcspStatus, Reason};

struct Case {
    issuer: Authority,
    leaf: Vec<u8>,
}

impl Case {
    fn new() -> Self {
        let issuer = Authority::root("Root");
        let leaf = leaf_of(&issuer, 42);
        Self { issuer, leaf }
    }

    fn read_at(&self, response: &[u8], at: i64) -> Result<OcspStatus, OcspError> {
        let certificate = |der: &[u8]| Certificate::from_der(der).unwrap();
        OcspStatus::read(response, &certificate(&self.leaf), &certificate(self.issuer.der()), at)
    }

    fn read(&self, response: &[u8]) -> Result<OcspStatus, OcspError> {
        self.read_at(response, NOW)
    }

    fn answer(&self, answer: &Answer) -> Vec<u8> {
        answer.by(&self.issuer, &self.leaf, &self.issuer)
    }
}

fn leaf_of(issuer: &Authority, serial: u8) -> Vec<u8> {
    let mut leaf = leaf_params("client");
    leaf.serial_number = Some(SerialNumber::from(vec![serial]));
    issuer.leaf_of(leaf)
}

#[test]
fn statuses() {
    let case = Case::new();
    let at = NOW - DAY;
    for (status, expected) in [
        (good(), CertStatus::Good),
        (unknown(), CertStatus::Unknown),
        (revoked(None), CertStatus::Revoked { at, reason: Reason::Unspecified }),
        (revoked(Some(1)), CertStatus::Revoked { at, reason: Reason::KeyCompromise }),
        (revoked(Some(6)), CertStatus::Revoked { at, reason: Reason::CertificateHold }),
    ] {
        for by_name in [false, true] {
            let status = case.read(&case.answer(&Answer { by_name, ..Answer::of(status.clone()) })).unwrap();
            assert_eq!(status.status(), expected);
            assert_eq!((status.this_update(), status.until()), (NOW - 3600, NOW + 3600 + 300));
            assert_eq!(status.responder(), "the OCSP responder of \"CN=Root\"");
        }
    }
    for status in [revoked(Some(7)), revoked(Some(8)), revoked(Some(11)), der(0x83, &[]), der(0x80, &[&[0]])] {
        assert_eq!(case.read(&case.answer(&Answer::of(status))), Err(OcspError::Malformed("certStatus")));
    }
}

#[test]
fn times() {
    let case = Case::new();
    for (this_update, next_update, expected) in [
        (NOW, Some(NOW), Ok(NOW + 300)),
        (NOW + 300, Some(NOW + 400), Ok(NOW + 700)),
        (NOW + 301, Some(NOW + 400), Err(OcspError::NotYetValid(NOW + 301))),
        (NOW - DAY, Some(NOW - 300), Ok(NOW)),
        (NOW - DAY, Some(NOW - 301), Err(OcspError::Stale(NOW - 1))),
        (NOW - 3600, None, Ok(NOW)),
        (NOW - 3601, None, Err(OcspError::Stale(NOW - 1))),
    ] {
        let answer = Answer::default().dated(this_update, next_update);
        assert_eq!(case.read(&case.answer(&answer)).map(|status| status.until()), expected);
    }
}

#[test]
fn who_may_answer() {
    let case = Case::new();
    let delegate = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = params("OCSP");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        change(&mut params);
        params
    };
    let critical = |arc: u64| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, arc], vec![5, 0]);
        extension.set_criticality(true);
        extension
    };
    let good = delegate(&|_| {});
    for (params, may) in [
        (good.clone(), true),
        (delegate(&|params| params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth)), true),
        (delegate(&|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]), true),
        (delegate(&|params| params.key_usages = vec![KeyUsagePurpose::ContentCommitment]), true),
        (delegate(&|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]), false),
        (delegate(&|params| params.extended_key_usages.clear()), false),
        (delegate(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]), false),
        (delegate(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]), false),
        (delegate(&|params| params.not_after = rcgen::date_time_ymd(2026, 11, 21)), false),
        (delegate(&|params| params.not_before = rcgen::date_time_ymd(2026, 11, 23)), false),
        (delegate(&|params| params.custom_extensions.push(critical(3))), false),
    ] {
        for by_name in [false, true] {
            let responder = case.issuer.sub_of(params.clone());
            let certificates = vec![case.leaf.clone(), responder.der().to_vec()];
            let answer = Answer { by_name, certificates, ..Answer::default() };
            let read = case.read(&answer.by(&responder, &case.leaf, &case.issuer));
            let expected = if may { Ok("the OCSP responder \"CN=OCSP\"") } else { Err(&OcspError::Unauthorized) };
            assert_eq!(read.as_ref().map(OcspStatus::responder), expected);
        }
    }
    // Appointed by somebody else: a stranger of the same name, or a CA below.
    for other in [Authority::root("Root"), case.issuer.sub("Sub")] {
        let responder = other.sub_of(good.clone());
        let answer = Answer { certificates: vec![responder.der().to_vec(), other.der().to_vec()], ..Answer::default() };
        let read = case.read(&answer.by(&responder, &case.leaf, &case.issuer));
        assert_eq!(read, Err(OcspError::Unauthorized));
        let answer = Answer { by_name: true, ..Answer::default() };
        assert_eq!(case.read(&answer.by(&other, &case.leaf, &case.issuer)), Err(OcspError::Unauthorized));
    }
    // The responder that is named is not the one that signed.
    let (one, two) = (case.issuer.sub_of(good.clone()), case.issuer.sub_of(good));
    let answer = Answer { certificates: vec![two.der().to_vec()], ..Answer::default() };
    assert_eq!(case.read(&answer.by(&one, &case.leaf, &case.issuer)), Err(OcspError::Unauthorized));
    let without = Answer::default().by(&one, &case.leaf, &case.issuer);
    assert_eq!(case.read(&without), Err(OcspError::Unauthorized), "its certificate does not come along");
}

#[test]
fn answers_about_others() {
    let case = Case::new();
    let other = leaf_of(&case.issuer, 43);
    let answer = Answer::default();
    assert_eq!(case.read(&answer.by(&case.issuer, &other, &case.issuer)), Err(OcspError::OtherCertificate));
    // The same serial number of another issuer, also of one with the same name.
    for issuer in [Authority::root("Other"), Authority::root("Root")] {
        let foreign = answer.by(&case.issuer, &case.leaf, &issuer);
        assert_eq!(case.read(&foreign), Err(OcspError::OtherCertificate));
    }
    let about_other = Answer::of(revoked(None)).single(&other, &case.issuer);
    let among = Answer { others: vec![about_other], ..Answer::default() };
    assert_eq!(case.read(&case.answer(&among)).unwrap().status(), CertStatus::Good);
    // Of two about the same certificate the newer one.
    let newer = Answer::of(revoked(None)).dated(NOW - 10, NOW + 10).single(&case.leaf, &case.issuer);
    let both = Answer { others: vec![newer], ..Answer::default() };
    assert!(matches!(case.read(&case.answer(&both)).unwrap().status(), CertStatus::Revoked { .. }));
}

#[test]
fn answers_that_are_refused() {
    let case = Case::new();
    let answer = case.answer(&Answer::default());
    for (status, name) in
        [(1, "malformedRequest"), (2, "internalError"), (3, "tryLater"), (5, "sigRequired"), (6, "unauthorized")]
    {
        assert_eq!(case.read(&sequence(&[&der(0x0a, &[&[status]])])), Err(OcspError::Unsuccessful(name)));
    }
    let malformed = OcspError::Malformed;
    let mut other_kind = answer.clone();
    let place = other_kind.windows(4).position(|window| window == [5, 7, 48, 1]).unwrap();
    other_kind[place + 4] = 2;
    let critical = extension(99, true, &[]);
    let refused = OcspError::UnknownCritical("2.5.29.99".to_owned());
    for (response, expected) in [
        (Vec::new(), malformed("DER")),
        ([&answer[..], &[0]].concat(), malformed("DER")),
        (sequence(&[&der(0x0a, &[&[4]])]), malformed("responseStatus")),
        (sequence(&[&der(0x0a, &[&[0]])]), malformed("responseBytes")),
        (basic_response(&[]), malformed("response")),
        (other_kind, OcspError::NotBasic),
        (vec![0x30; MAX_OCSP_BYTES + 1], OcspError::TooLarge(MAX_OCSP_BYTES + 1)),
        (case.answer(&Answer { extensions: [critical.clone(), vec![]], ..Answer::default() }), refused.clone()),
        (case.answer(&Answer { extensions: [vec![], critical], ..Answer::default() }), refused),
    ] {
        assert_eq!(case.read(&response), Err(expected));
    }
    let plain = extension(99, false, &[]);
    let extended = Answer { extensions: [plain.clone(), plain], ..Answer::default() };
    assert!(case.read(&case.answer(&extended)).is_ok());
    let mut forged = answer.clone();
    let place = forged.len() - 1;
    forged[place] ^= 1;
    assert_eq!(case.read(&forged), Err(OcspError::Unauthorized));
}

#[test]
fn a_request_names_one_certificate() {
    let case = Case::new();
    let certificate = |der: &[u8]| Certificate::from_der(der).unwrap();
    let id = CertId::of(&certificate(&case.leaf), &certificate(case.issuer.der()));
    let expected = (0..4).fold(cert_id(&case.leaf, &case.issuer), |inner, _| sequence(&[&inner]));
    assert_eq!(OcspStatus::request(&id), expected);
    let other = CertId::of(&certificate(&leaf_of(&case.issuer, 43)), &certificate(case.issuer.der()));
    assert_ne!(id, other);
}

/// The whole exchange with the responder that everybody has.
#[test]
fn openssl_answers() {
    let ssl = OpenSsl::new();
    let ca = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=ca \
              -keyout ca.key -out ca.pem";
    ssl.run(ca);
    ssl.write("delegate.cnf", "extendedKeyUsage=OCSPSigning\n").write("client.cnf", "extendedKeyUsage=clientAuth\n");
    for (name, extensions, serial) in
        [("good", "client", 4097), ("revoked", "client", 4098), ("unknown", "client", 4099), ("ocsp", "delegate", 1)]
    {
        ssl.run(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        ssl.run(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -set_serial {serial} -days 30 -extfile \
             {extensions}.cnf -out {name}.pem"
        ));
    }
    ssl.write(
        "index.txt",
        "V\t491231235959Z\t\t1001\tunknown\t/CN=good\n\
         R\t491231235959Z\t260101000000Z,keyCompromise\t1002\tunknown\t/CN=revoked\n",
    );
    let issuer = Certificate::from_der(&ssl.der("ca.pem")).unwrap();
    for signer in ["ca", "ocsp"] {
        for (name, expected) in [
            ("good", CertStatus::Good),
            ("revoked", CertStatus::Revoked { at: 1_767_225_600, reason: Reason::KeyCompromise }),
            ("unknown", CertStatus::Unknown),
        ] {
            let certificate = Certificate::from_der(&ssl.der(&format!("{name}.pem"))).unwrap();
            ssl.write_bytes("request.der", &OcspStatus::request(&CertId::of(&certificate, &issuer)));
            for (minutes, until) in [("-nmin 60", 3600 + 300), ("", 3600)] {
                ssl.run(&format!(
                    "ocsp -index index.txt -CA ca.pem -rsigner {signer}.pem -rkey {signer}.key -reqin request.der \
                     -respout response.der {minutes}"
                ));
                let status = OcspStatus::read(&ssl.bytes("response.der"), &certificate, &issuer, soon()).unwrap();
                assert_eq!(status.status(), expected);
                assert_eq!(status.until() - status.this_update(), until);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, place: prop::sample::Index, octet: u8, cut: prop::sample::Index) {
        CASE.with(|(case, good)| {
            prop_assert!(case.read(&bytes).is_err());
            let mut answer = good.clone();
            let end = cut.index(answer.len() * 2).min(answer.len());
            let place = place.index(answer.len());
            answer[place] = octet;
            // Whatever is changed, in what is signed or around it, it never says something else.
            if let Ok(status) = case.read(&answer[..end]) {
                let same = matches!(status.status(), CertStatus::Revoked { reason: Reason::Superseded, .. });
                prop_assert!(same, "{status:?}");
            }
            Ok(())
        })?;
    }
}

thread_local! {
    static CASE: (Case, Vec<u8>) = {
        let case = Case::new();
        let mut params = params("OCSP");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        let key: KeyPair = new_key();
        let responder = case.issuer.sub_with(params, key);
        let answer = Answer { certificates: vec![responder.der().to_vec()], ..Answer::of(revoked(Some(4))) };
        let bytes = answer.by(&responder, &case.leaf, &case.issuer);
        (case, bytes)
    };
}
