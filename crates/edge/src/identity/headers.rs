//! Who the client is, in the forms that backends know.
//!
//! Whatever a certificate holds, a value is printable ASCII, and no part of a name can end it or be read as another part: each form
//! has its own escaping for that, and where it has none, what does not fit is left out.

use std::fmt::Write;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use http::{HeaderName, HeaderValue};
use model::IdentityHeaders;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use trust::{Certificate, SubjectAltName, UnixSeconds};

/// What is added to a client's requests.
pub(crate) type Headers = Box<[(HeaderName, HeaderValue)]>;

/// Bytes of the certificates above a client's that go with every request; a longer chain is left out, since half of one would be
/// none, and many servers take no more in a head than 8 KiB a line and a few of these in all.
const MAX_CHAIN_BYTES: usize = 8000;

/// RFC 3986 section 2.3: what never needs to be encoded.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// What AWS's load balancer encodes in a certificate.
const AMZN: &AsciiSet = &COMPONENT.remove(b'+').remove(b'=').remove(b'/');

/// Every header that a style can set.
#[cfg(test)]
pub(super) const NAMES_BY_STYLE: &[(IdentityHeaders, &[&str])] = &[
    (IdentityHeaders::Rfc9440, &[CLIENT_CERT, CLIENT_CERT_CHAIN]),
    (IdentityHeaders::Xfcc, &[XFCC]),
    (IdentityHeaders::Amzn, &[AMZN_SERIAL, AMZN_ISSUER, AMZN_SUBJECT, AMZN_VALIDITY, AMZN_LEAF]),
    (
        IdentityHeaders::Nginx,
        &[SSL_VERIFY, SSL_SUBJECT, SSL_ISSUER, SSL_SERIAL, SSL_START, SSL_END, SSL_FINGERPRINT, SSL_SHA256, SSL_CERT],
    ),
];

const CLIENT_CERT: &str = "client-cert";
const CLIENT_CERT_CHAIN: &str = "client-cert-chain";
const XFCC: &str = "x-forwarded-client-cert";
const AMZN_SERIAL: &str = "x-amzn-mtls-clientcert-serial-number";
const AMZN_ISSUER: &str = "x-amzn-mtls-clientcert-issuer";
const AMZN_SUBJECT: &str = "x-amzn-mtls-clientcert-subject";
const AMZN_VALIDITY: &str = "x-amzn-mtls-clientcert-validity";
const AMZN_LEAF: &str = "x-amzn-mtls-clientcert-leaf";
const SSL_VERIFY: &str = "x-ssl-client-verify";
const SSL_SUBJECT: &str = "x-ssl-client-s-dn";
const SSL_ISSUER: &str = "x-ssl-client-i-dn";
const SSL_SERIAL: &str = "x-ssl-client-serial";
const SSL_START: &str = "x-ssl-client-v-start";
const SSL_END: &str = "x-ssl-client-v-end";
const SSL_FINGERPRINT: &str = "x-ssl-client-fingerprint";
const SSL_SHA256: &str = "x-ssl-client-fingerprint-sha256";
const SSL_CERT: &str = "x-ssl-client-cert";

/// For a client whose `leaf` was accepted under `issuers`, the next one up first.
pub(crate) fn headers(style: IdentityHeaders, leaf: &Certificate, issuers: &[Arc<Certificate>]) -> Headers {
    let chain_fits = issuers.iter().map(|issuer| issuer.der().len()).sum::<usize>() <= MAX_CHAIN_BYTES;
    let issuers = if chain_fits { issuers } else { &[] };
    let values = match style {
        IdentityHeaders::None => Vec::new(),
        IdentityHeaders::Rfc9440 => rfc9440(leaf, issuers),
        IdentityHeaders::Xfcc => vec![(XFCC, xfcc(leaf, issuers))],
        IdentityHeaders::Amzn => amzn(leaf),
        IdentityHeaders::Nginx => nginx(leaf),
    };
    // An empty name is told by telling none.
    let values = values.into_iter().filter(|(_, value)| !value.is_empty());
    values
        .filter_map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::try_from(value).ok()?)))
        .collect()
}

/// RFC 9440 section 2: byte sequences of structured fields.
fn rfc9440(leaf: &Certificate, issuers: &[Arc<Certificate>]) -> Vec<(&'static str, String)> {
    let bytes = |certificate: &Certificate| format!(":{}:", BASE64.encode(certificate.der()));
    let chain: Vec<String> = issuers.iter().map(|issuer| bytes(issuer)).collect();
    vec![(CLIENT_CERT, bytes(leaf)), (CLIENT_CERT_CHAIN, chain.join(", "))]
}

/// "x-forwarded-client-cert" of Envoy's documentation, HTTP header manipulation. One element: what a client sent of it is gone.
fn xfcc(leaf: &Certificate, issuers: &[Arc<Certificate>]) -> String {
    let mut value = format!("Hash={};Cert=\"{}\"", leaf.fingerprint_hex(), encoded(&leaf.pem(), COMPONENT));
    if !issuers.is_empty() {
        let chain: String = std::iter::once(leaf.pem()).chain(issuers.iter().map(|issuer| issuer.pem())).collect();
        push(&mut value, format_args!(";Chain=\"{}\"", encoded(&chain, COMPONENT)));
    }
    // A quote would have to be escaped by a backslash, which names are full of: hexadecimal (RFC 4514 section 2.4) leaves
    // nothing to tell apart.
    push(&mut value, format_args!(";Subject=\"{}\"", rfc4514(leaf.subject(), true)));
    for name in leaf.subject_alt_names() {
        match name {
            SubjectAltName::Uri(uri) if is_made_of(uri, b"-._~:/?#[]@!$&'()*+,;=%") => {
                let quote = if uri.contains([',', ';', '=']) { "\"" } else { "" };
                push(&mut value, format_args!(";URI={quote}{uri}{quote}"));
            }
            SubjectAltName::Dns(name) if is_made_of(name, b"-._*") => push(&mut value, format_args!(";DNS={name}")),
            _ => {}
        }
    }
    value
}

/// What AWS's Application Load Balancer adds in its mode "verify".
fn amzn(leaf: &Certificate) -> Vec<(&'static str, String)> {
    let validity = format!("NotBefore={};NotAfter={}", rfc3339(leaf.not_before()), rfc3339(leaf.not_after()));
    vec![
        (AMZN_SERIAL, serial(leaf)),
        (AMZN_ISSUER, rfc4514(leaf.issuer(), false)),
        (AMZN_SUBJECT, rfc4514(leaf.subject(), false)),
        (AMZN_VALIDITY, validity),
        (AMZN_LEAF, encoded(&leaf.pem(), AMZN)),
    ]
}

/// The variables `$ssl_client_…` of nginx's ngx_http_ssl_module, under the names that they are commonly passed by.
fn nginx(leaf: &Certificate) -> Vec<(&'static str, String)> {
    let validity = leaf.client_cert().validity;
    vec![
        (SSL_VERIFY, "SUCCESS".to_owned()),
        (SSL_SUBJECT, rfc4514(leaf.subject(), false)),
        (SSL_ISSUER, rfc4514(leaf.issuer(), false)),
        (SSL_SERIAL, serial(leaf)),
        (SSL_START, validity.not_before),
        (SSL_END, validity.not_after),
        (SSL_FINGERPRINT, HEXLOWER.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, leaf.der()).as_ref())),
        (SSL_SHA256, leaf.fingerprint_hex()),
        (SSL_CERT, encoded(&leaf.pem(), COMPONENT)),
    ]
}

/// A name in AWS's form turned into RFC 4514's (and RFC 2253's): last part first, and all that is not ASCII in hexadecimal. With
/// `bare`, quotes and backslashes are hexadecimal too.
fn rfc4514(name: &str, bare: bool) -> String {
    let mut parts = vec![String::new()];
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        let last = parts.last_mut().expect("there is one from the start");
        match (c, if c == '\\' { chars.next() } else { None }) {
            (',', _) => parts.push(String::new()),
            // The end of a header's value is trimmed.
            ('\\', Some(' ')) => last.push_str("\\20"),
            ('\\', Some('\\')) if bare => last.push_str("\\5C"),
            ('\\', Some('"')) if bare => last.push_str("\\22"),
            ('\\', Some(escaped)) => last.extend(['\\', escaped]),
            (c, _) if c.is_ascii() => last.push(c),
            (c, _) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    push(last, format_args!("\\{byte:02X}"));
                }
            }
        }
    }
    parts.reverse();
    parts.join(",")
}

/// Hexadecimal, two digits a byte, without bytes that only hold the sign; the negative ones that there should not be with a minus.
fn serial(certificate: &Certificate) -> String {
    let mut bytes = certificate.serial_bytes().to_vec();
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    if is_negative {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count().min(bytes.len().saturating_sub(1));
    format!("{}{}", if is_negative { "-" } else { "" }, HEXUPPER.encode(&bytes[zeros..]))
}

fn rfc3339(at: UnixSeconds) -> String {
    OffsetDateTime::from_unix_timestamp(at).ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

fn encoded(text: &str, set: &'static AsciiSet) -> String {
    utf8_percent_encode(text, set).to_string()
}

/// Whether there is nothing but letters, digits and `others`.
fn is_made_of(text: &str, others: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    // Writing into a string does not fail.
    let _ = text.write_fmt(piece);
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, SerialNumber};

    use super::*;

    fn made(subject: &[(DnType, &str)], names: Vec<SanType>) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        params.subject_alt_names = names;
        params.serial_number = Some(SerialNumber::from_slice(&[0x03, 0xa5, 0xb1]));
        params.not_before = rcgen::date_time_ymd(2026, 8, 5);
        params.not_after = rcgen::date_time_ymd(2036, 11, 22);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::from_der(certificate.der()).unwrap()
    }

    fn of(style: IdentityHeaders, leaf: &Certificate, issuers: &[Arc<Certificate>]) -> HashMap<String, String> {
        let headers = headers(style, leaf, issuers);
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    fn san(names: &[&str]) -> Vec<SanType> {
        let text = |name: &str| Ia5String::try_from(name).unwrap();
        let name = |name: &&str| match name.split_once('=').unwrap() {
            ("DNS", name) => SanType::DnsName(text(name)),
            (_, uri) => SanType::URI(text(uri)),
        };
        names.iter().map(name).collect()
    }

    #[test]
    fn certificates_are_told_in_every_form() {
        let leaf = made(&[(DnType::OrganizationName, "Acme, Inc."), (DnType::CommonName, "Zoë")], Vec::new());
        let issuer = Arc::new(made(&[(DnType::CommonName, "CA")], Vec::new()));
        let issuers = [issuer.clone(), issuer.clone()];

        let rfc9440 = of(IdentityHeaders::Rfc9440, &leaf, &issuers);
        assert_eq!(rfc9440["client-cert"], format!(":{}:", BASE64.encode(leaf.der())));
        let ca = format!(":{}:", BASE64.encode(issuer.der()));
        assert_eq!(rfc9440["client-cert-chain"], format!("{ca}, {ca}"));
        assert_eq!(of(IdentityHeaders::Rfc9440, &leaf, &[]).len(), 1, "a leaf that is itself in the truststore");
        let many: Vec<_> = std::iter::repeat_n(issuer.clone(), MAX_CHAIN_BYTES / issuer.der().len() + 1).collect();
        assert_eq!(of(IdentityHeaders::Rfc9440, &leaf, &many).len(), 1);

        let amzn = of(IdentityHeaders::Amzn, &leaf, &issuers);
        assert_eq!(amzn[AMZN_SERIAL], "03A5B1");
        assert_eq!(amzn[AMZN_SUBJECT], r"CN=Zo\C3\AB,O=Acme\, Inc.");
        assert_eq!(amzn[AMZN_ISSUER], r"CN=Zo\C3\AB,O=Acme\, Inc.");
        assert_eq!(amzn[AMZN_VALIDITY], "NotBefore=2026-08-05T00:00:00Z;NotAfter=2036-11-22T00:00:00Z");
        assert_eq!(percent_decode_str(&amzn[AMZN_LEAF]).decode_utf8().unwrap(), leaf.pem());
        assert!(amzn[AMZN_LEAF].starts_with("-----BEGIN%20CERTIFICATE-----%0AMI"));

        let nginx = of(IdentityHeaders::Nginx, &leaf, &issuers);
        assert_eq!((nginx[SSL_VERIFY].as_str(), nginx[SSL_SERIAL].as_str()), ("SUCCESS", "03A5B1"));
        assert_eq!((nginx[SSL_START].as_str(), nginx[SSL_FINGERPRINT].len()), ("Aug  5 00:00:00 2026 GMT", 40));
        assert_eq!(percent_decode_str(&nginx[SSL_CERT]).decode_utf8().unwrap(), leaf.pem());
        assert!(!nginx[SSL_CERT].contains(['+', '/', '=']));
        assert!(of(IdentityHeaders::None, &leaf, &issuers).is_empty());
    }

    #[test]
    fn envoys_form_has_one_reading() {
        let names = ["URI=spiffe://a.test/ns/b", "URI=https://a.test/?a=b;c,d", "DNS=a.test", "DNS=*.b.test"];
        let odd = [
            "URI=https://a\"b",
            "URI=a:\\",
            "URI=x y",
            "DNS=a;DNS=admin.test",
            "DNS=a,Hash=0",
            "DNS=a\r\nX: y",
            "DNS=",
        ];
        let leaf = made(&[(DnType::CommonName, "a\\\";URI=spiffe://admin")], san(&[&names[..], &odd].concat()));
        let value = &of(IdentityHeaders::Xfcc, &leaf, &[Arc::new(made(&[], Vec::new()))])[XFCC];
        let (start, end) = value.split_once(";Subject=").unwrap();
        assert!(start.starts_with(&format!("Hash={};Cert=\"-----BEGIN%20CERTIFICATE", leaf.fingerprint_hex())));
        let (_, chain) = start.split_once(";Chain=\"").unwrap();
        assert!(percent_decode_str(chain).decode_utf8().unwrap().starts_with(&leaf.pem()), "the leaf is part of it");
        assert_eq!(
            end,
            r#""CN=a\5C\22\;URI=spiffe://admin";URI=spiffe://a.test/ns/b;URI="https://a.test/?a=b;c,d";DNS=a.test;DNS=*.b.test"#
        );
    }

    #[test]
    fn names_are_turned_round_and_stay_what_they_are() {
        for (aws, wanted, bare) in [
            ("", "", ""),
            ("C=US,O=A+OU=B,CN=x", "CN=x,O=A+OU=B,C=US", "CN=x,O=A+OU=B,C=US"),
            (r"O=a\,CN=b,CN=c", r"CN=c,O=a\,CN=b", r"CN=c,O=a\,CN=b"),
            (r"O=a\\,CN=c", r"CN=c,O=a\\", r"CN=c,O=a\5C"),
            (r#"O=\"a\" "#, r#"O=\"a\" "#, r"O=\22a\22 "),
            (r"O=a\ ", r"O=a\20", r"O=a\20"),
            (r"O=a\0D\0A\C2\85", r"O=a\0D\0A\C2\85", r"O=a\0D\0A\C2\85"),
            ("O=#0c01ff,CN=é", r"CN=\C3\A9,O=#0c01ff", r"CN=\C3\A9,O=#0c01ff"),
        ] {
            assert_eq!(rfc4514(aws, false), wanted);
            assert_eq!(rfc4514(aws, true), bare);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_name_breaks_a_header(name in "[\\PC\r\n\0\\x7f\",;=\\\\+]{0,40}", alternative in "[ -~\r\n\0]{1,30}") {
            let names = san(&[&format!("DNS={alternative}"), &format!("URI={alternative}")]);
            let leaf = made(&[(DnType::OrganizationName, "O"), (DnType::CommonName, &name)], names);
            for (style, names) in NAMES_BY_STYLE {
                let headers = headers(*style, &leaf, &[]);
                for (name, value) in &headers {
                    prop_assert!(names.contains(&name.as_str()));
                    prop_assert!(value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)), "{value:?}");
                }
                let missing = names.len() - headers.len();
                prop_assert_eq!(missing, usize::from(*style == IdentityHeaders::Rfc9440), "nothing is lost, but the chain that is none");
            }
            let value = &of(IdentityHeaders::Xfcc, &leaf, &[])[XFCC];
            prop_assert_eq!(value.matches('"').count() % 2, 0);
        }
    }
}
