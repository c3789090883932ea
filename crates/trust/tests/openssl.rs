//! The guide's own certificates, made by the real openssl.

mod support;

use support::{OpenSsl, judge, outcome, soon, truststore};
use trust::Certificate;

/// A CA and a client certificate exactly as the guide makes them: on OpenSSL 3.0 the client's is X.509 v1.
fn guide(key: &str) -> OpenSsl {
    let openssl = OpenSsl::new();
    openssl
        .run(&format!("{key} -out ca.key"))
        .run("req -new -x509 -days 36500 -key ca.key -out ca.pem -subj /C=US/O=Acme/CN=Root")
        .run(&format!("{key} -out client.key"))
        .run("req -new -key client.key -out client.csr -subj /C=US/ST=Washington/O=Acme,Inc/CN=My-Client")
        .run("x509 -req -in client.csr -CA ca.pem -CAkey ca.key -set_serial 01 -out client.pem -days 36500 -sha256");
    openssl
}

#[test]
fn a_v1_leaf_of_the_guide_is_accepted() {
    for key in ["genrsa", "ecparam -genkey -name prime256v1 -noout", "ecparam -genkey -name secp384r1 -noout"] {
        let openssl = guide(key);
        let leaf = openssl.der("client.pem");
        let certificate = Certificate::from_der(&leaf).unwrap();
        assert_eq!(certificate.version(), 1);
        assert_eq!(trust::public_key(&leaf), Some(certificate.public_key_der()));
        let judgment = judge(&truststore(&openssl.pem("ca.pem")), &[&leaf], soon());
        assert_eq!(outcome(&judgment), "accepted", "{key}: {:?}", judgment.trail);
        let path = judgment.path().unwrap();
        assert_eq!(path.0.len(), 2);
        assert_eq!(path.0[1].subject(), "C=US,O=Acme,CN=Root");
        assert_eq!(judgment.holds_until, path.0.iter().map(|c| c.not_after()).min().unwrap());
        assert_eq!(certificate.client_cert().subject_dn, r"C=US,ST=Washington,O=Acme\,Inc,CN=My-Client");
        assert_eq!(certificate.client_cert().serial_number, "1");
        let round_trip: String = certificate.client_cert().client_cert_pem;
        assert_eq!(round_trip, openssl.pem("client.pem"));
    }
}

#[test]
fn a_v1_leaf_with_a_broken_signature_is_refused() {
    let openssl = guide("ecparam -genkey -name prime256v1 -noout");
    let mut leaf = openssl.der("client.pem");
    let text = b"My-Client";
    let at = leaf.windows(text.len()).position(|w| w == text).unwrap();
    leaf[at] = b'X';
    let judgment = judge(&truststore(&openssl.pem("ca.pem")), &[&leaf], soon());
    assert_eq!(outcome(&judgment), "ClientCertSignatureInvalid");
}
