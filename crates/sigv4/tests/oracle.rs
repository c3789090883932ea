//! AWS's own signer as the other side: what it signs we verify, and nothing that was changed afterwards.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings,
    UriPathNormalizationMode,
};
use aws_sigv4::sign::v4::SigningParams;
use http::Request;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use sigv4::{Body, Credentials, Error, PayloadHash, Rules, Scope, SecretKey, presign, sign, verify};

const AT: i64 = 1_795_366_800;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a client may send.
#[derive(Clone, Debug)]
struct Sent {
    method: &'static str,
    uri: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    service: &'static str,
    token: Option<String>,
    presigned: bool,
}

prop_compose! {
    fn sent()(
        method in prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE"]),
        service in prop::sample::select(vec!["s3", "apigateway", "logs", "sts"]),
        segments in prop::collection::vec("[ -~é☃]{1,8}", 0..4),
        query in prop::collection::vec(("[a-zA-Z]{1,6}", "([a-zA-Z0-9._~-]|%[2-7][0-9A-E]){0,8}"), 0..4),
        values in prop::collection::vec("[ -~]{0,12}", 3),
        body in prop::collection::vec(any::<u8>(), 0..64),
        token in prop::option::of("[A-Za-z0-9+/=]{8,40}"),
        presigned in any::<bool>(),
    ) -> Sent {
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        // As a client should send it. What S3 makes of a path that is encoded otherwise, its signer does not say.
        let segments: Vec<String> = segments.iter().map(|segment| utf8_percent_encode(segment, ENCODED).to_string()).collect();
        let separator = if query.is_empty() { "" } else { "?" };
        let names = ["x-amz-target", "content-type", "x-amz-meta-note"];
        let headers = names.into_iter().zip(values).map(|(name, value)| (name, value.trim().to_owned())).collect();
        let uri = format!("https://example.com/{}{separator}{}", segments.join("/"), query.join("&"));
        Sent { method, uri, headers, body, service, token, presigned }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_aws_signs_is_authentic_until_it_is_changed(sent in sent(), bit in 0..256_usize) {
        let request = signed_by_aws(&sent);
        let verified = check(&request, &sent.body, AT);
        prop_assert!(verified.is_ok(), "{verified:?} {request:?}");
        let verified = verified.expect("was just asserted");
        prop_assert_eq!(&verified.service, sent.service);
        prop_assert_eq!(&verified.session_token, &sent.token);

        for (what, changed, body) in changes(&request, &sent, bit) {
            let result = check(&changed, &body, AT);
            prop_assert!(result.is_err(), "{what} was changed unnoticed: {changed:?}");
        }
    }

    #[test]
    fn what_we_sign_aws_signs_alike(sent in sent()) {
        let mut ours = unsigned(&sent);
        let credentials = credentials(sent.token.clone());
        if sent.presigned {
            ours.headers_mut().clear();
            presign(&mut ours, &credentials, "eu-west-1", sent.service, 600, AT).expect("a host");
            let bare = Sent { headers: Vec::new(), body: Vec::new(), ..sent };
            prop_assert!(check(&ours, &bare.body, AT).is_ok());
            let signature = |uri: &http::Uri| {
                let parameters = uri.query().unwrap_or_default().split('&');
                parameters.filter_map(|pair| pair.strip_prefix("X-Amz-Signature=")).next().map(str::to_owned)
            };
            prop_assert_eq!(signature(ours.uri()), signature(signed_by_aws(&bare).uri()));
        } else {
            sign(&mut ours, &sent.body, &credentials, "eu-west-1", sent.service, AT).expect("a host");
            prop_assert!(check(&ours, &sent.body, AT).is_ok());
            let aws = signed_by_aws(&sent);
            prop_assert_eq!(ours.headers().get("authorization"), aws.headers().get("authorization"));
        }
    }

    #[test]
    fn no_header_makes_it_panic(authorization in "\\PC{0,80}", query in "[!-~]{0,80}", date in "\\PC{0,20}") {
        for authorization in [authorization.clone(), format!("AWS4-HMAC-SHA256 {authorization}")] {
            let request = Request::builder()
                .uri(format!("/?X-Amz-Algorithm=AWS4-HMAC-SHA256&{}", query.replace(['#', '<', '>', '"', '`', '\\', '^', '{', '|', '}'], "")))
                .header("authorization", authorization.as_bytes())
                .header("x-amz-date", date.as_bytes())
                .body(());
            let Ok(request) = request else { continue };
            prop_assert!(check(&request, b"", AT).is_err());
            let (mut parts, ()) = request.into_parts();
            prop_assert!(Scope::of(&parts).is_err());
            parts.headers.remove("authorization");
            prop_assert!(verify(&parts, Body::Bytes(b""), key, &Rules::default(), AT).is_err());
        }
    }
}

#[test]
fn time_bounds() {
    let header = signed_by_aws(&plain(false));
    let presigned = signed_by_aws(&plain(true));
    for (request, at, expected) in [
        (&header, AT + 300, None),
        (&header, AT - 300, None),
        (
            &header,
            AT + 301,
            Some(
                "Signature expired: 20261122T170000Z is now earlier than 20261122T170001Z (20261122T170501Z - 5 min.)",
            ),
        ),
        (
            &header,
            AT - 301,
            Some(
                "Signature not yet current: 20261122T170000Z is still later than 20261122T165959Z (20261122T165459Z + 5 min.)",
            ),
        ),
        (&presigned, AT + 600, None),
        (&presigned, AT + 601, Some("Request has expired")),
        (
            &presigned,
            AT - 301,
            Some(
                "Signature not yet current: 20261122T170000Z is still later than 20261122T165959Z (20261122T165459Z + 5 min.)",
            ),
        ),
        (&header, i64::MAX, Some("Signature expired")),
        (&header, i64::MIN, Some("Signature not yet current")),
    ] {
        let found = check(request, b"", at).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(found.starts_with(expected.unwrap_or_default()), "{at}: {found}");
        assert_eq!(found.is_empty(), expected.is_none(), "{at}: {found}");
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let good = signed_by_aws(&plain(false));
    let edit = |edit: &dyn Fn(&str) -> String| {
        let mut request = good.clone();
        let text = request.headers()["authorization"].to_str().expect("ASCII").to_owned();
        request.headers_mut().insert("authorization", edit(&text).parse().expect("a header's value"));
        check(&request, b"", AT).expect_err("it was edited")
    };
    let incomplete = |text: &str| Error::IncompleteSignature(text.to_owned());
    assert_eq!(edit(&|text| text.replace("AKIDEXAMPLE", "AKIDOTHER")), Error::UnrecognizedClient);
    assert_eq!(edit(&|text| text.replace("eu-west-1", "us-east-1")), Error::InvalidSignature);
    assert_eq!(edit(&|text| text.replace("host;", "")), Error::UnsignedHeader("'Host' or ':authority'".to_owned()));
    assert_eq!(edit(&|text| text.replace(";x-amz-date", "")), Error::UnsignedHeader("'x-amz-date'".to_owned()));
    assert_eq!(
        edit(&|text| text.replace("SHA256 ", "SHA1 ")),
        incomplete("Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'.")
    );
    assert_eq!(edit(&|_| "Bearer abc".to_owned()), incomplete("Unsupported AWS 'algorithm': 'Bearer'."));
    assert_eq!(
        edit(&|text| text.split(", Signature").next().unwrap_or_default().to_owned()),
        incomplete("Authorization header requires 'Signature' parameter.")
    );
    assert_eq!(
        edit(&|text| text.replace("20261122/", "20261121/")),
        Error::ScopeDate { scope: "20261121".to_owned(), date: "20261122".to_owned() }
    );
    let mut unsigned = good.clone();
    unsigned.headers_mut().remove("authorization");
    assert_eq!(check(&unsigned, b"", AT), Err(Error::MissingAuthenticationToken));
    let mut both = good.clone();
    *both.uri_mut() = "https://example.com/?X-Amz-Signature=00".parse().expect("a URI");
    assert_eq!(check(&both, b"", AT), Err(incomplete("Only one auth mechanism allowed.")));
}

#[test]
fn payloads_that_are_not_hashed_are_reported() {
    for (text, expected) in [
        ("UNSIGNED-PAYLOAD", PayloadHash::Unsigned),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", PayloadHash::Streaming),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", PayloadHash::StreamingTrailer),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", PayloadHash::StreamingUnsignedTrailer),
    ] {
        let mut request = unsigned(&plain(false));
        request.headers_mut().insert("x-amz-content-sha256", text.parse().expect("a header's value"));
        sign(&mut request, b"", &credentials(None), "eu-west-1", "s3", AT).expect("a host");
        let verified = check(&request, b"anything", AT).expect("authentic");
        assert_eq!(verified.payload, expected);
    }
    for other in ["STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", "", "UNSIGNED"] {
        assert_eq!(PayloadHash::parse(other), None, "{other}");
    }
}

#[test]
fn a_claimed_hash_must_be_there_and_is_returned() {
    let mut request = unsigned(&plain(false));
    sign(&mut request, b"abc", &credentials(None), "eu-west-1", "s3", AT).expect("a host");
    let (parts, ()) = request.into_parts();
    let verified = verify(&parts, Body::Claimed, key, &Rules::default(), AT).expect("authentic");
    assert_eq!(verified.payload, PayloadHash::of(b"abc"));
    assert_eq!(verify(&parts, Body::Bytes(b"abd"), key, &Rules::default(), AT), Err(Error::PayloadMismatch));

    let mut request = unsigned(&plain(false));
    sign(&mut request, b"abc", &credentials(None), "eu-west-1", "logs", AT).expect("a host");
    let (parts, ()) = request.into_parts();
    let result = verify(&parts, Body::Claimed, key, &Rules::default(), AT);
    assert!(matches!(result, Err(Error::IncompleteSignature(_))), "{result:?}");
}

fn plain(presigned: bool) -> Sent {
    let uri = "https://example.com/a".to_owned();
    Sent { method: "GET", uri, headers: Vec::new(), body: Vec::new(), service: "logs", token: None, presigned }
}

fn key(access_key_id: &str) -> Option<SecretKey> {
    (access_key_id == "AKIDEXAMPLE").then(|| SecretKey::new(SECRET))
}

fn credentials(session_token: Option<String>) -> Credentials {
    Credentials { access_key_id: "AKIDEXAMPLE".to_owned(), secret: SecretKey::new(SECRET), session_token }
}

fn check(request: &Request<()>, body: &[u8], at: i64) -> Result<sigv4::Verified, Error> {
    let (parts, ()) = request.clone().into_parts();
    verify(&parts, Body::Bytes(body), key, &Rules::default(), at)
}

fn unsigned(sent: &Sent) -> Request<()> {
    let mut request = Request::builder().method(sent.method).uri(&sent.uri).header("host", "example.com");
    for (name, value) in &sent.headers {
        request = request.header(*name, value);
    }
    request.body(()).expect("a request")
}

fn signed_by_aws(sent: &Sent) -> Request<()> {
    let mut request = unsigned(sent);
    let identity =
        aws_credential_types::Credentials::new("AKIDEXAMPLE", SECRET, sent.token.clone(), None, "test").into();
    let s3 = sent.service == "s3";
    let mut settings = SigningSettings::default();
    if s3 {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        if !sent.presigned {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
    }
    if sent.presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(600));
    }
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region("eu-west-1")
        .name(sent.service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(AT as u64))
        .settings(settings)
        .build()
        .expect("all is set")
        .into();
    let body = if s3 && sent.presigned { SignableBody::UnsignedPayload } else { SignableBody::Bytes(&sent.body) };
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
        .collect();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signable = SignableRequest::new(sent.method, &sent.uri, headers, body).expect("signable");
    let (instructions, _) = aws_sigv4::http_request::sign(signable, &parameters).expect("signed").into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

/// The request with one thing changed.
fn changes(request: &Request<()>, sent: &Sent, bit: usize) -> Vec<(&'static str, Request<()>, Vec<u8>)> {
    let same_body = sent.body.clone();
    let mut changed = Vec::new();
    let mut with = |what: &'static str, edit: &dyn Fn(&mut Request<()>)| {
        let mut request = request.clone();
        edit(&mut request);
        changed.push((what, request, same_body.clone()));
    };
    with("the signature", &|request| replace(request, &|text| flip_signature_bit(text, bit)));
    with("the region", &|request| replace(request, &|text| text.replace("eu-west-1", "eu-west-2")));
    with("the date", &|request| {
        replace(request, &|text| text.replace("T170000Z", "T170001Z"));
        if !sent.presigned {
            request.headers_mut().insert("x-amz-date", "20261122T170001Z".parse().expect("a header's value"));
        }
    });
    with("the method", &|request| *request.method_mut() = "OPTIONS".parse().expect("a method"));
    with("a header", &|request| {
        request.headers_mut().insert("x-amz-target", "Other.Target".parse().expect("a header's value"));
    });
    with("the host", &|request| {
        request.headers_mut().insert("host", "example.org".parse().expect("a header's value"));
    });
    with("the path", &|request| edit_uri(request, &|text| text.replacen("example.com/", "example.com/more/", 1)));
    with("an unsigned header of AWS's", &|request| {
        request.headers_mut().insert("x-amz-acl", "public-read".parse().expect("a header's value"));
    });
    if !(sent.presigned && sent.service == "s3") {
        let mut body = sent.body.clone();
        body.push(0);
        changed.push(("the body", request.clone(), body));
    }
    changed
}

/// Edits what holds the signature.
fn replace(request: &mut Request<()>, edit: &dyn Fn(&str) -> String) {
    match request.headers().get("authorization").cloned() {
        Some(value) => {
            let text = edit(value.to_str().expect("ASCII"));
            request.headers_mut().insert("authorization", text.parse().expect("a header's value"));
        }
        None => edit_uri(request, edit),
    }
}

fn edit_uri(request: &mut Request<()>, edit: &dyn Fn(&str) -> String) {
    *request.uri_mut() = edit(&request.uri().to_string()).parse().expect("a URI");
}

fn flip_signature_bit(text: &str, bit: usize) -> String {
    let start = text.rfind("Signature=").expect("there is one") + "Signature=".len();
    let mut bytes = text.as_bytes().to_vec();
    let digit = &mut bytes[start + bit / 4];
    let value = (*digit as char).to_digit(16).expect("hexadecimal") ^ (1 << (bit % 4));
    *digit = char::from_digit(value, 16).expect("a digit") as u8;
    String::from_utf8(bytes).expect("ASCII")
}
