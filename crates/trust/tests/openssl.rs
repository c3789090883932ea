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

/// A client certificate of a good CA, made with these options, and the truststore it belongs to.
fn client(key: &str, options: &str, extensions: &str) -> (OpenSsl, Vec<u8>) {
    let openssl = OpenSsl::new();
    openssl
        .run("req -new -x509 -newkey rsa:2048 -nodes -days 3650 -keyout ca.key -out ca.pem -subj /CN=Root")
        .run(&format!("{key} -out client.key"))
        .run("req -new -key client.key -out client.csr -subj /CN=client")
        .write("extensions", extensions)
        .run(&format!("x509 -req -in client.csr -CA ca.pem -CAkey ca.key -set_serial 7 -out client.pem {options}"));
    let leaf = openssl.der("client.pem");
    (openssl, leaf)
}

#[test]
fn weak_clients_are_refused() {
    const RSA: &str = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048";
    const P256: &str = "ecparam -genkey -name prime256v1 -noout";
    for (key, options, expected) in [
        (RSA, "-days 30 -sha256", "accepted"),
        (P256, "-days 30 -sha512", "accepted"),
        (RSA, "-days 30 -sha1", "ClientCertWeakSignature"),
        (P256, "-days 30 -sha1", "ClientCertWeakSignature"),
        (RSA, "-days 30 -md5", "ClientCertWeakSignature"),
        (RSA, "-days 30 -sha224", "ClientCertWeakSignature"),
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024", "-days 30 -sha256", "ClientCertWeakKey"),
        ("ecparam -genkey -name secp521r1 -noout", "-days 30 -sha256", "ClientCertWeakKey"),
        ("ecparam -genkey -name secp256k1 -noout", "-days 30 -sha256", "ClientCertWeakKey"),
        ("genpkey -algorithm ed25519", "-days 30 -sha256", "ClientCertWeakKey"),
        (RSA, "-days -1", "ClientCertExpired"),
    ] {
        let (openssl, leaf) = client(key, options, "");
        let judgment = judge(&truststore(&openssl.pem("ca.pem")), &[&leaf], soon());
        assert_eq!(outcome(&judgment), expected, "{key} {options}: {:?}", judgment.trail);
    }
}

#[test]
fn v3_clients_of_openssl() {
    for (extensions, expected) in [
        ("basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth", "accepted"),
        ("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature", "accepted"),
        ("subjectAltName=DNS:a.example,URI:spiffe://x/y,email:a@b.example,IP:10.0.0.1,IP:::1", "accepted"),
        ("extendedKeyUsage=serverAuth", "ClientCertPurposeInvalid"),
        ("basicConstraints=critical,CA:TRUE", "ClientCertPurposeInvalid"),
        ("1.2.3.4=critical,DER:0500", "ClientCertPathInvalid"),
    ] {
        let (openssl, leaf) =
            client("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "-days 30 -extfile extensions", extensions);
        assert_eq!(Certificate::from_der(&leaf).unwrap().version(), 3);
        let judgment = judge(&truststore(&openssl.pem("ca.pem")), &[&leaf], soon());
        assert_eq!(outcome(&judgment), expected, "{extensions}: {:?}", judgment.trail);
    }
}

#[test]
fn weak_authorities() {
    for (request, expected) in [
        ("-newkey rsa:2048 -sha256", "accepted"),
        // A root's signature on itself proves nothing, so its strength does not count.
        ("-newkey rsa:2048 -sha1", "accepted"),
        ("-newkey rsa:1024 -sha256", "ClientCertWeakKey"),
    ] {
        let openssl = OpenSsl::new();
        openssl
            .run(&format!("req -new -x509 {request} -nodes -days 3650 -keyout ca.key -out ca.pem -subj /CN=Root"))
            .run("req -new -newkey rsa:2048 -nodes -keyout client.key -out client.csr -subj /CN=client")
            .run("x509 -req -in client.csr -CA ca.pem -CAkey ca.key -set_serial 7 -out client.pem -days 30 -sha256");
        let judgment = judge(&truststore(&openssl.pem("ca.pem")), &[&openssl.der("client.pem")], soon());
        assert_eq!(outcome(&judgment), expected, "{request}: {:?}", judgment.trail);
    }
}

#[test]
fn weak_or_v1_intermediates() {
    for (options, extensions, expected) in [
        ("-sha256 -extfile extensions", "basicConstraints=critical,CA:TRUE", "accepted"),
        ("-sha1 -extfile extensions", "basicConstraints=critical,CA:TRUE", "ClientCertWeakSignature"),
        ("-sha256", "", "ClientCertPathInvalid"),
    ] {
        let openssl = OpenSsl::new();
        openssl
            .run("req -new -x509 -newkey rsa:2048 -nodes -days 3650 -keyout ca.key -out ca.pem -subj /CN=Root")
            .run("req -new -newkey rsa:2048 -nodes -keyout sub.key -out sub.csr -subj /CN=Sub")
            .write("extensions", extensions)
            .run(&format!(
                "x509 -req -in sub.csr -CA ca.pem -CAkey ca.key -set_serial 7 -out sub.pem -days 30 {options}"
            ))
            .run("req -new -newkey rsa:2048 -nodes -keyout client.key -out client.csr -subj /CN=client")
            .run("x509 -req -in client.csr -CA sub.pem -CAkey sub.key -set_serial 7 -out client.pem -days 30 -sha256");
        let store = truststore(&format!("{}{}", openssl.pem("ca.pem"), openssl.pem("sub.pem")));
        let judgment = judge(&store, &[&openssl.der("client.pem")], soon());
        assert_eq!(outcome(&judgment), expected, "{options}: {:?}", judgment.trail);
    }
}

#[test]
fn a_self_signed_v1_root_is_an_anchor() {
    let openssl = OpenSsl::new();
    openssl
        .run("req -new -newkey rsa:2048 -nodes -keyout ca.key -out ca.csr -subj /CN=Root")
        .run("x509 -req -in ca.csr -signkey ca.key -days 3650 -out ca.pem")
        .run("req -new -newkey rsa:2048 -nodes -keyout client.key -out client.csr -subj /CN=client")
        .run("x509 -req -in client.csr -CA ca.pem -CAkey ca.key -set_serial 7 -out client.pem -days 30 -sha256");
    assert_eq!(Certificate::from_der(&openssl.der("ca.pem")).unwrap().version(), 1);
    let judgment = judge(&truststore(&openssl.pem("ca.pem")), &[&openssl.der("client.pem")], soon());
    assert_eq!(outcome(&judgment), "accepted", "{:?}", judgment.trail);
}

#[test]
fn rsa_pss_is_verified() {
    let (openssl, _) = client("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "-days 30", "");
    openssl.run(
        "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -set_serial 7 -out pss.pem -days 30 -sha256 \
         -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32",
    );
    let judgment = judge(&truststore(&openssl.pem("ca.pem")), &[&openssl.der("pss.pem")], soon());
    assert_eq!(outcome(&judgment), "accepted", "{:?}", judgment.trail);
}

#[test]
fn unusual_names_serials_and_dates_parse() {
    let config = "[req]\ndistinguished_name=dn\nprompt=no\nutf8=yes\nstring_mask=MASK\n[dn]\nC=DE\nO=Züri, \\\"A\\\" Ltd.\n\
                  0.OU=multi-valued\n+CN=Jörg\nemailAddress=a@example.com\n";
    for (mask, serial, days, shown) in [
        ("utf8only", "0", 36500, "0"),
        ("default", "-5", 36500, "-5"),
        ("nombstr", "0x7fffffffffffffff", 36500, "9223372036854775807"),
        ("pkix", "0x8000000000000000", 36500, "80:00:00:00:00:00:00:00"),
        (
            "utf8only",
            "0xa1b2c3d4e5f60718293a4b5c6d7e8f9001122334",
            36500,
            "a1:b2:c3:d4:e5:f6:07:18:29:3a:4b:5c:6d:7e:8f:90:01:12:23:34",
        ),
    ] {
        let openssl = OpenSsl::new();
        openssl
            .write("config", &config.replace("MASK", mask))
            .run("genrsa -out key 2048")
            .run(&format!("req -new -x509 -config config -key key -set_serial {serial} -days {days} -out cert.pem"));
        let certificate = Certificate::from_der(&openssl.der("cert.pem")).unwrap();
        assert_eq!(certificate.serial_number(), shown);
        assert_eq!(
            certificate.subject(),
            r#"C=DE,O=Züri\, \"A\" Ltd.,CN=Jörg+OU=multi-valued,emailAddress=a@example.com"#,
            "{mask}"
        );
        assert!(certificate.not_after() > 2_524_608_000, "beyond 2050, as GeneralizedTime");
        let dates = certificate.client_cert().validity;
        openssl.run("x509 -in cert.pem -noout -dates -out dates");
        let expected = format!("notBefore={}\nnotAfter={}\n", dates.not_before, dates.not_after);
        assert_eq!(openssl.pem("dates"), expected);
    }
}

#[test]
fn an_empty_subject_parses() {
    let openssl = OpenSsl::new();
    openssl.run("req -new -x509 -newkey rsa:2048 -nodes -days 30 -keyout key -out cert.pem -subj /");
    let certificate = Certificate::from_der(&openssl.der("cert.pem")).unwrap();
    assert_eq!(certificate.subject(), "");
    let store = truststore(&openssl.pem("cert.pem"));
    assert_eq!(outcome(&judge(&store, &[certificate.der()], soon())), "accepted");
}
