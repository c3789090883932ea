//! AWS's published test vectors: what is signed there is authentic, and we sign it alike.

mod suite;

use http::Request;
use sigv4::{Body, Error, Rules, sign, verify};
use suite::{AT, credentials, key, read, vectors};

#[test]
fn what_aws_signed_is_authentic() {
    let mut verified = 0;
    for (name, directory) in vectors() {
        for form in ["header", "query"] {
            let (parts, body) = read(&directory.join(format!("{form}-signed-request.txt")));
            let result = verify(&parts, Body::Bytes(&body), key, &Rules::default(), AT);
            if name == "post-sts-header-after" {
                // The session token was added after signing; with us all that is AWS's must be signed.
                let header = Error::UnsignedHeader("'x-amz-security-token'".to_owned());
                assert_eq!(result, Err(if form == "header" { header } else { Error::InvalidSignature }));
                continue;
            }
            let found = result.unwrap_or_else(|error| panic!("{name}, {form}: {error}"));
            assert_eq!((found.region.as_str(), found.service.as_str()), ("us-east-1", "service"), "{name}");
            assert_eq!(found.presigned, form == "query");
            verified += 1;
        }
    }
    assert!(verified >= 50, "only {verified} signatures were verified");
}

#[test]
fn we_sign_as_aws_does() {
    let mut compared = 0;
    for (name, directory) in vectors() {
        let (parts, body) = read(&directory.join("header-signed-request.txt"));
        let expected = parts.headers.get("authorization").cloned();
        let token = parts.headers.get("x-amz-security-token").map(|token| token.to_str().expect("ASCII").to_owned());
        let mut request = Request::from_parts(parts, ());
        request.headers_mut().remove("authorization");
        sign(&mut request, &body, &credentials(token), "us-east-1", "service", AT).expect("a host");
        let signed = request.headers().get("authorization").cloned();
        let list = |value: &Option<http::HeaderValue>| {
            let text = value.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
            text.split("SignedHeaders=").nth(1).and_then(|rest| rest.split(',').next()).map(str::to_owned)
        };
        // Vectors sign all headers; we sign those that matter. Where that is the same, so is the signature.
        if list(&signed) == list(&expected) {
            assert_eq!(signed, expected, "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 15, "only {compared} signatures were compared");
}
