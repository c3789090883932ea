//! AWS's published test vectors, each changed in one place: none of them is authentic any more.

mod suite;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Uri};
use sigv4::{Body, Error, Rules, verify};
use suite::{AT, credentials, key, read, vectors};

/// A request that was signed by AWS's signer, or one that was made of it.
#[derive(Clone)]
struct Signed {
    parts: Parts,
    body: Vec<u8>,
    at: i64,
}

#[test]
fn whatever_is_changed_is_noticed() {
    let mut refused = 0;
    for signed in authentic() {
        for (what, changed) in changes(&signed) {
            let result = changed.verify();
            assert!(result.is_err(), "{what}: {:?}", changed.parts);
            refused += 1;
        }
    }
    assert!(refused >= 5000, "only {refused} requests were refused");
}

#[test]
fn a_signature_holds_for_a_time() {
    let expired = |result: &Result<(), Error>| matches!(result, Err(Error::Expired { .. } | Error::PresignedExpired));
    let early = |result: &Result<(), Error>| matches!(result, Err(Error::NotYetCurrent { .. }));
    for signed in authentic() {
        let last = if signed.is_presigned() { 3600 } else { 300 };
        for (after, wanted) in [(-300, true), (0, true), (last, true), (last + 1, false), (-301, false)] {
            let result = Signed { at: AT + after, ..signed.clone() }.verify();
            match wanted {
                true => assert_eq!(result, Ok(()), "{after} s"),
                false if after < 0 => assert!(early(&result), "{after} s: {result:?}"),
                false => assert!(expired(&result), "{after} s: {result:?}"),
            }
        }
    }
}

#[test]
fn what_is_wrong_is_told() {
    for signed in authentic() {
        let told = |from: &str, to: &str| signed.with(from, to).verify().expect_err(to);
        assert_eq!(told("AKIDEXAMPLE", "AKIDOTHER"), Error::UnrecognizedClient);
        let slash = if signed.is_presigned() { "%2F" } else { "/" };
        let other_day = told(&format!("20150830{slash}"), &format!("20150831{slash}"));
        assert!(matches!(other_day, Error::ScopeDate { .. }), "{other_day:?}");
        for (from, to) in [("aws4_request", "aws4"), ("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256")] {
            assert!(matches!(told(from, to), Error::IncompleteSignature(_)), "{to}");
        }
        for (from, to) in [("us-east-1", "us-east-2"), ("service", "sevrice")] {
            assert_eq!(told(from, to), Error::InvalidSignature, "{to}");
        }
    }
}

/// Each vector in both forms.
fn authentic() -> Vec<Signed> {
    let vectors = vectors().into_iter().filter(|(name, _)| name != "post-sts-header-after");
    let files = vectors.flat_map(|(_, directory)| {
        ["header", "query"].map(|form| directory.join(format!("{form}-signed-request.txt")))
    });
    let all: Vec<Signed> = files
        .map(|file| {
            let (parts, body) = read(&file);
            Signed { parts, body, at: AT }
        })
        .collect();
    for signed in &all {
        assert_eq!(signed.verify(), Ok(()), "{:?}", signed.parts);
    }
    all
}

/// Each a request that differs from the signed one in one place, with what that is.
fn changes(signed: &Signed) -> Vec<(String, Signed)> {
    let mut changes = Vec::new();
    let mut add = |what: String, changed: Signed| changes.push((what, changed));
    for (what, changed) in of_the_signature(signed) {
        add(what, changed);
    }
    for (what, changed) in of_headers(signed) {
        add(what, changed);
    }
    for (what, target) in of_the_target(&signed.parts.uri) {
        add(what.to_owned(), signed.at_target(&target));
    }
    for method in
        [Method::GET, Method::POST, Method::PUT, Method::HEAD].into_iter().filter(|m| *m != signed.parts.method)
    {
        let mut changed = signed.clone();
        changed.parts.method = method;
        add("the method".to_owned(), changed);
    }
    for position in 0..signed.body.len() {
        let mut changed = signed.clone();
        changed.body[position] ^= 1 << (position % 8);
        add(format!("byte {position} of the body"), changed);
    }
    add("a longer body".to_owned(), Signed { body: [&signed.body[..], b"\n"].concat(), ..signed.clone() });
    if !signed.body.is_empty() {
        add("no body".to_owned(), Signed { body: Vec::new(), ..signed.clone() });
    }
    changes
}

/// Every digit of it, and what is no signature at all.
fn of_the_signature(signed: &Signed) -> Vec<(String, Signed)> {
    let signature = signed.signature();
    let mut changes = Vec::new();
    for (position, digit) in signature.chars().enumerate() {
        let value = digit.to_digit(16).expect("hexadecimal");
        let flipped = char::from_digit(value ^ (1 << (position % 4)), 16).expect("four bits");
        let other: String =
            signature.chars().enumerate().map(|(at, c)| if at == position { flipped } else { c }).collect();
        changes.push((format!("digit {position} of the signature"), signed.with(&signature, &other)));
    }
    for (what, other) in [
        ("half a signature", signature[..32].to_owned()),
        ("a longer signature", format!("{signature}00")),
        ("an uppercase signature", signature.to_uppercase()),
        ("no signature", String::new()),
    ] {
        changes.push((what.to_owned(), signed.with(&signature, &other)));
    }
    changes
}

/// Values, headers that are gone or there twice, and those that nobody signed.
fn of_headers(signed: &Signed) -> Vec<(String, Signed)> {
    let mut changes = Vec::new();
    for name in signed.signed_headers() {
        let mut changed = signed.clone();
        changed.parts.headers.remove(&name);
        changes.push((format!("{name} removed"), changed));
        let mut changed = signed.clone();
        changed.parts.headers.append(name.clone(), HeaderValue::from_static("another"));
        changes.push((format!("{name} added to"), changed));
        let mut changed = signed.clone();
        let value = changed.parts.headers.get_mut(&name).expect("it is signed");
        *value = HeaderValue::from_bytes(&[value.as_bytes(), b"x"].concat()).expect("a value");
        changes.push((format!("{name} changed"), changed));
    }
    if signed.is_presigned() {
        changes
            .push(("the time that it is good for".to_owned(), signed.with("X-Amz-Expires=3600", "X-Amz-Expires=3601")));
        changes.push(("the date".to_owned(), signed.with("20150830T123600Z", "20150830T123601Z")));
        changes.push((
            "a list of headers that is longer".to_owned(),
            signed.with("SignedHeaders=", "SignedHeaders=a-first%3B"),
        ));
    } else {
        let mut changed = signed.clone();
        changed.parts.headers.insert("x-amz-date", HeaderValue::from_static("20150830T123601Z"));
        changes.push(("the date".to_owned(), changed));
        changes.push(("a host that nobody signed".to_owned(), signed.with("host;", "")));
        changes.push(("a date that nobody signed".to_owned(), signed.with(";x-amz-date", "")));
    }
    let mut changed = signed.clone();
    changed.parts.headers.insert("x-amz-target", HeaderValue::from_static("Service.Operation"));
    changes.push(("a header of AWS's that nobody signed".to_owned(), changed));
    changes
}

/// Paths and queries that are not what was signed.
fn of_the_target(uri: &Uri) -> Vec<(&'static str, String)> {
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    let joined = |query: &str| if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let mut targets = vec![
        ("a longer path", uri.to_string().replacen(path, &format!("{}/more", path.trim_end_matches('/')), 1)),
        ("a parameter more", joined(format!("{query}&more=1").trim_start_matches('&'))),
    ];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let rest: Vec<&str> = query.split('&').filter(|other| *other != pair).collect();
        targets.push(("a parameter less", joined(&rest.join("&"))));
        targets.push(("a parameter twice", joined(&format!("{query}&{pair}"))));
        targets.push(("a parameter's value", joined(&query.replacen(pair, &format!("{pair}0"), 1))));
    }
    targets
}

impl Signed {
    fn verify(&self) -> Result<(), Error> {
        verify(&self.parts, Body::Bytes(&self.body), key, &Rules::default(), self.at).map(|verified| {
            assert_eq!(verified.access_key_id, credentials(None).access_key_id);
        })
    }

    fn is_presigned(&self) -> bool {
        !self.parts.headers.contains_key("authorization")
    }

    /// Where the signature stands: the header, or the target.
    fn text(&self) -> String {
        match self.parts.headers.get("authorization") {
            Some(header) => header.to_str().expect("ASCII").to_owned(),
            None => self.parts.uri.to_string(),
        }
    }

    fn signature(&self) -> String {
        self.text().split("Signature=").nth(1).expect("it is signed")[..64].to_owned()
    }

    fn signed_headers(&self) -> Vec<HeaderName> {
        let text = self.text();
        let list =
            text.split("SignedHeaders=").nth(1).expect("it is signed").split([',', '&']).next().unwrap_or_default();
        list.replace("%3B", ";").split(';').map(|name| name.parse().expect("a name")).collect()
    }

    /// With one word of what stands around the signature replaced.
    fn with(&self, from: &str, to: &str) -> Self {
        let text = self.text();
        let at = text.rfind(from).unwrap_or_else(|| panic!("no {from} in {text}"));
        let text = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
        if self.is_presigned() {
            return self.at_target(&text);
        }
        let mut changed = self.clone();
        changed.parts.headers.insert("authorization", text.parse().expect("a value"));
        changed
    }

    fn at_target(&self, target: &str) -> Self {
        let mut changed = self.clone();
        changed.parts.uri = target.parse().expect("a target");
        changed
    }
}
