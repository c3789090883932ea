use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::Value as Json;
use trust::{ClientCert, Validity};

use super::*;

const CLF: &str = "$context.identity.sourceIp - - [$context.requestTime] \"$context.httpMethod $context.routeKey \
                   $context.protocol\" $context.status $context.responseLength $context.requestId";
const JSON: &str = r#"{ "requestId":"$context.requestId", "ip": "$context.identity.sourceIp",
 "path":"$context.path ($context.httpMethod)", "status":$context.status, "agent":$context.identity.userAgent,
 "cert": $context.identity.clientCert, "certText":"$context.identity.clientCert",
 "dn":"$context.identity.clientCert.subjectDN", "nothing":"$context.wafResponseCode", "none":$context.stage }"#;
const XML: &str = "<request id=\"$context.requestId\"> <path>$context.path</path> <cert>$context.identity.clientCert</cert> \
                   <agent>$context.identity.userAgent</agent></request>";
const CSV: &str = "$context.requestId,$context.path,$context.identity.userAgent,$context.identity.clientCert.issuerDN";

#[derive(Default)]
struct Values {
    texts: HashMap<&'static str, Vec<u8>>,
    numbers: HashMap<&'static str, u64>,
}

impl Values {
    fn text(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.texts.insert(name, value.as_ref().to_vec());
        self
    }

    fn number(mut self, name: &'static str, value: u64) -> Self {
        self.numbers.insert(name, value);
        self
    }
}

impl Context for Values {
    fn value(&self, variable: &Variable, out: &mut Value<'_>) {
        let name = variable.to_string();
        if let Some(text) = self.texts.get(name.as_str()) {
            out.push_bytes(text);
        }
        if let Some(number) = self.numbers.get(name.as_str()) {
            out.push_number(*number);
        }
    }
}

fn render(format: &str, certificate: Option<&ClientCert>, values: &Values) -> String {
    let mut out = String::new();
    Template::parse(format).unwrap().bind(certificate).render(values, &mut out);
    out
}

fn certificate() -> ClientCert {
    ClientCert {
        client_cert_pem: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".into(),
        subject_dn: "C=US,O=Acme\\, Inc.,CN=My \"Client\"".into(),
        issuer_dn: "CN=Root".into(),
        serial_number: "a1:b2".into(),
        validity: Validity {
            not_before: "Aug  5 00:28:21 2020 GMT".into(),
            not_after: "Aug  5 00:28:21 2120 GMT".into(),
        },
        sha256_fingerprint: "00ff".into(),
        subject_alternative_names: "DNS:a.test,URI:spiffe://a.test/b".into(),
    }
}

fn assert_one_line(line: &str) {
    assert!(!line.chars().any(is_line_breaking), "not one line: {line:?}");
}

#[test]
fn every_name_parses_to_itself() {
    let fields = CertificateField::ALL.map(Variable::ClientCert);
    for variable in Variable::FIXED.iter().chain(&fields) {
        assert_eq!(Variable::from_name(&variable.to_string()), *variable);
    }
    for (name, variable) in [
        ("authorizer.claims.sub", Variable::AuthorizerClaim("sub".into())),
        ("authorizer.tenant", Variable::Authorizer("tenant".into())),
        ("RequestId", Variable::Unknown("RequestId".into())),
        ("identity.clientCert.validity", Variable::Unknown("identity.clientCert.validity".into())),
    ] {
        assert_eq!(Variable::from_name(name), variable);
        assert_eq!(variable.to_string(), name);
    }
}

#[test]
fn where_names_end() {
    let values = Values::default().text("requestId", "ID").text("path", "/p").text("authorizer.claims.a_b", "c");
    for (format, line) in [
        ("$context.requestId", "ID"),
        ("$context.requestId.", "ID."),
        ("$context.requestId...", "ID..."),
        ("$context.requestId$context.path", "ID/p"),
        ("$context.requestId-$context.path/x", "ID-/p/x"),
        ("$context.requestIdx", "-"),
        ("$context.requestid", "-"),
        ("$context.authorizer.claims.a_b,", "c,"),
        (
            "$context. $context.. $context $contextual.x $$context.path",
            "$context. $context.. $context $contextual.x $/p",
        ),
        ("", ""),
        ("é$context.pathé", "é/pé"),
    ] {
        assert_eq!(render(format, None, &values), line, "{format}");
    }
}

#[test]
fn formats_of_the_console() {
    let values = Values::default()
        .text("identity.sourceIp", "127.0.0.1")
        .text("requestTime", "22/Nov/2026:17:00:00 +0000")
        .text("httpMethod", "GET")
        .text("routeKey", "ANY /{proxy+}")
        .text("protocol", "HTTP/1.1")
        .text("requestId", "Mc7UVioPPHcEKPA=")
        .text("path", "/a")
        .text("identity.userAgent", "curl")
        .number("status", 200)
        .number("responseLength", 17);
    assert_eq!(
        render(CLF, None, &values),
        "127.0.0.1 - - [22/Nov/2026:17:00:00 +0000] \"GET ANY /{proxy+} HTTP/1.1\" 200 17 Mc7UVioPPHcEKPA="
    );
    assert_eq!(render(CSV, None, &values), "Mc7UVioPPHcEKPA=,/a,curl,-");
    let json: Json = serde_json::from_str(&render(JSON, None, &values)).unwrap();
    assert_eq!(json["status"], 200);
    assert_eq!(json["path"], "/a (GET)");
    assert_eq!(json["agent"], "curl");
    for missing in ["cert", "certText", "dn", "nothing", "none"] {
        assert_eq!(json[missing], "-", "{missing}");
    }
}

#[test]
fn the_certificate_where_it_stands() {
    let certificate = certificate();
    let object = serde_json::to_value(&certificate).unwrap();
    let json: Json = serde_json::from_str(&render(JSON, Some(&certificate), &Values::default())).unwrap();
    assert_eq!(json["cert"], object);
    assert_eq!(serde_json::from_str::<Json>(json["certText"].as_str().unwrap()).unwrap(), object);
    assert_eq!(json["dn"], certificate.subject_dn);
    let plain = render(
        "$context.identity.clientCert.subjectDN|$context.identity.clientCert",
        Some(&certificate),
        &Values::default(),
    );
    assert!(
        plain.starts_with(r"C=US,O=Acme\x5C, Inc.,CN=My \x22Client\x22|{\x22clientCertPem\x22:\x22-----BEGIN"),
        "{plain}"
    );
}

#[test]
fn a_line_knows_its_template() {
    let (one, other) = (Template::parse(CLF).unwrap(), Template::parse(CLF).unwrap());
    let line = one.bind(None);
    assert!(line.is_of(&one.clone()) && !line.is_of(&other));
}

#[test]
fn escapes() {
    for (place, text, escaped) in [
        ("[$context.path] 200", "a] 500 [b", r"[a\x5D 500 [b] 200"),
        ("[x $context.path]", "a]b", "[x a]b]"),
        ("$context.path", "a\"b'c\\d\r\n\t\0\u{7f}e", r"a\x22b\x27c\x5Cd\x0D\x0A\x09\x00\x7Fe"),
        ("$context.path", "\u{85}\u{2028}é<&>", r"\xC2\x85\xE2\x80\xA8é<&>"),
        ("<a>$context.path</a>", "</a>\"&", r"<a>&lt;/a&gt;\x22&amp;</a>"),
        (r#"{"a":"$context.path"}"#, "\"'\\\n\u{1}\u{85}\u{2029}é", r#"{"a":"\"'\\\n\u0001\u0085\u2029é"}"#),
        (r#"{"a":$context.path}"#, "\"", r#"{"a":"\""}"#),
        ("a\r\nb\tc$context.path", "x", "a  b cx"),
        // Not JSON, though it begins like it: neither the key nor what an escape precedes can be broken out of.
        (r#"{$context.path:"$context.path"#, "\"", r#"{\x22:"\""#),
        (r#"{"a":"\$context.path"}"#, "\"", r#"{"a":"\\x22"}"#),
        (r#"{"a":1$context.path}"#, "\"2", r#"{"a":1\x222}"#),
    ] {
        assert_eq!(render(place, None, &Values::default().text("path", text)), escaped, "{place} {text:?}");
    }
    let bytes = Values::default().text("path", b"\xff\xc3a\xe2\x80");
    assert_eq!(render("$context.path", None, &bytes), r"\xFF\xC3a\xE2\x80");
    assert_eq!(render(r#"{"a":"$context.path"}"#, None, &bytes), r#"{"a":"\\xFF\\xC3a\\xE2\\x80"}"#);
}

#[test]
fn a_quoted_text_is_quoted_once() {
    struct Quoted;
    impl Context for Quoted {
        fn value(&self, _: &Variable, out: &mut Value<'_>) {
            out.push_quoted("a\"b");
        }
    }
    for (format, wanted) in [
        (r#"{"message":$context.error.messageString}"#, r#"{"message":"a\"b"}"#),
        (r#"{"message":"$context.error.messageString"}"#, r#"{"message":"\"a\"b\""}"#),
    ] {
        let mut out = String::new();
        Template::parse(format).unwrap().bind(None).render(&Quoted, &mut out);
        assert_eq!(
            serde_json::from_str::<Json>(&out).unwrap(),
            serde_json::from_str::<Json>(wanted).unwrap(),
            "{format}"
        );
    }
    assert_eq!(value_of(&Variable::ErrorMessageString, None, &Quoted).as_deref(), Some("\"a\"b\""));
}

#[test]
fn text_behind_a_number_is_one_string() {
    struct Mixed;
    impl Context for Mixed {
        fn value(&self, _: &Variable, out: &mut Value<'_>) {
            out.push_number(u64::MAX);
            out.push_display(format_args!("/{}", 7));
            out.push_number(0);
        }
    }
    let mut out = String::from("before ");
    Template::parse(r#"{"a":$context.status}"#).unwrap().bind(None).render(&Mixed, &mut out);
    assert_eq!(out, r#"before {"a":"18446744073709551615/70"}"#);
}

#[test]
fn long_values_are_cut_between_characters() {
    for (length, cut) in [(MAX_VALUE_BYTES / 2, false), (MAX_VALUE_BYTES / 2 + 1, true), (MAX_VALUE_BYTES, true)] {
        let line = render("x$context.path", None, &Values::default().text("path", "é".repeat(length)));
        assert_eq!(line.ends_with('…'), cut);
        assert_eq!(line.matches('é').count(), length.min(MAX_VALUE_BYTES / 2));
    }
    let line = render("$context.path", None, &Values::default().text("path", vec![0xff; MAX_VALUE_BYTES + 5]));
    assert_eq!(line.len(), 4 * MAX_VALUE_BYTES + '…'.len_utf8());
}

#[test]
fn formats_have_a_limit() {
    assert!(Template::parse(&"x".repeat(MAX_FORMAT_BYTES)).is_ok());
    assert_eq!(
        Template::parse(&"x".repeat(MAX_FORMAT_BYTES + 1)).unwrap_err(),
        TemplateError::TooLong(MAX_FORMAT_BYTES + 1)
    );
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\"'\\\\\r\n\t{}<>&$,:\u{85}\u{2028}\u{2029}\u{0}-\u{1f}a]{0,24}",
        Just("\",\"admin\":true,\"x\":\"".to_owned()),
        Just("$context.path".to_owned()),
    ]
}

fn any_certificate() -> impl Strategy<Value = Option<ClientCert>> {
    let fields = (hostile(), hostile(), hostile(), hostile(), hostile(), hostile(), hostile());
    proptest::option::of(fields.prop_map(
        |(pem, subject_dn, issuer_dn, serial_number, not_before, not_after, names)| ClientCert {
            client_cert_pem: pem,
            subject_dn,
            issuer_dn,
            serial_number,
            validity: Validity { not_before, not_after },
            sha256_fingerprint: "00ff".into(),
            subject_alternative_names: names,
        },
    ))
}

proptest! {
    #[test]
    fn a_record_is_one_line(
        format in prop_oneof![
            Just(CLF.to_owned()), Just(JSON.to_owned()), Just(XML.to_owned()), Just(CSV.to_owned()),
            "[{<]?([{}\":,\\\\<>'\r\n\u{2028} a1]|\\$context\\.(path|status|identity\\.clientCert)){0,12}",
            any::<String>(),
        ],
        bytes in proptest::collection::vec(any::<u8>(), 0..40),
        text in hostile(),
        certificate in any_certificate(),
        status in any::<u64>(),
    ) {
        let values = Values::default().text("path", &bytes).text("identity.userAgent", &text).number("status", status);
        assert_one_line(&render(&format, certificate.as_ref(), &values));
    }

    #[test]
    fn json_stays_json_and_values_come_back(
        path in hostile(), agent in hostile(), id in hostile(), certificate in any_certificate(), status in any::<u64>(),
    ) {
        let values = Values::default().text("path", &path).text("identity.userAgent", &agent).text("requestId", &id)
            .number("status", status);
        let line = render(JSON, certificate.as_ref(), &values);
        assert_one_line(&line);
        let json: Json = serde_json::from_str(&line).unwrap();
        let shown = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        prop_assert_eq!(json.as_object().unwrap().len(), 10);
        prop_assert_eq!(&json["path"], &format!("{} (-)", shown(&path)));
        prop_assert_eq!(&json["agent"], &shown(&agent));
        prop_assert_eq!(&json["requestId"], &shown(&id));
        prop_assert_eq!(&json["status"], status);
        if let Some(certificate) = certificate {
            prop_assert_eq!(&json["cert"], &serde_json::to_value(&certificate).unwrap());
            let text: Json = serde_json::from_str(json["certText"].as_str().unwrap()).unwrap();
            prop_assert_eq!(&text, &json["cert"]);
        }
    }

    /// Whatever JSON-like thing somebody takes for a format: where it parses with harmless values, it parses with all.
    #[test]
    fn json_cannot_be_broken_out_of(
        format in "\\{\"a\":[\"\\\\:,1 ]{0,3}(\\$context\\.(path|status|identity\\.clientCert)[\"\\\\:,1 u0]{0,3}){1,3}\\}",
        path in hostile(), certificate in any_certificate(),
    ) {
        if is_json(&format) {
            let values = Values::default().text("path", &path).number("status", 200);
            let line = render(&format, certificate.as_ref(), &values);
            prop_assert!(serde_json::from_str::<Json>(&line).is_ok(), "{}", line);
        }
    }
}

#[test]
fn identity_is_what_is_called_so() {
    let fields = CertificateField::ALL.map(Variable::ClientCert);
    for variable in Variable::FIXED.iter().chain(&fields) {
        let name = variable.to_string();
        let wanted = name.starts_with("identity.") || name.starts_with("authorizer.");
        assert_eq!(variable.is_identity(), wanted, "{variable}");
    }
}

#[test]
fn a_value_by_itself_is_as_it_is() {
    let certificate = certificate();
    let values = Values::default().text("path", "/a \"b\"\n").number("status", 200);
    let value = |name: &str| value_of(&Variable::from_name(name), Some(&certificate), &values);
    assert_eq!(value("path").as_deref(), Some("/a \"b\"\n"));
    assert_eq!(value("status").as_deref(), Some("200"));
    assert_eq!(value("identity.clientCert.subjectDN").as_deref(), Some(certificate.subject_dn.as_str()));
    assert_eq!(value("stage"), None);
    let dn = Variable::from_name("identity.clientCert.subjectDN");
    assert_eq!(value_of(&dn, None, &values), None);
}
