//! What policies say to which requests.

use std::net::IpAddr;

use http::Request;
use http::request::Parts;
use policy::{Credential, Decision, Outcome, Policies, Principal, Question};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use serde_json::{Value, json};
use trust::Certificate;

/// 2026-11-22T00:00:00Z
const NOW: i64 = 1_795_305_600;

struct World {
    ca: Certificate,
    client: Principal,
}

struct Asked {
    parts: Parts,
    path: String,
    source: IpAddr,
    credential: Token,
}

enum Token {
    None,
    Claims(Value),
    Signed,
    Verdict(Value),
}

impl World {
    /// `CN=alice,O=Acme,OU=Lab` of `CN=Partner CA`, with an alternative name of each kind.
    fn new() -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Partner CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = params.self_signed(&ca_key).unwrap();
        let ca = Certificate::from_der(issuer.der()).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        for (kind, value) in [
            (DnType::CommonName, "alice"),
            (DnType::OrganizationName, "Acme, Inc."),
            (DnType::OrganizationalUnitName, "Lab"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        params.serial_number = Some(7_u64.into());
        params.subject_alt_names = vec![
            SanType::DnsName("a.test".try_into().unwrap()),
            SanType::Rfc822Name("a@b.test".try_into().unwrap()),
            SanType::URI("spiffe://a.test/b".try_into().unwrap()),
            SanType::IpAddress([192, 0, 2, 7].into()),
        ];
        let mut by = CertificateParams::new(Vec::new()).unwrap();
        by.distinguished_name.push(DnType::CommonName, "Partner CA");
        let leaf = params.signed_by(&KeyPair::generate().unwrap(), &Issuer::new(by, ca_key)).unwrap();
        let leaf = Certificate::from_der(leaf.der()).unwrap();
        let client = Principal::of(&leaf, [&ca]).unwrap();
        Self { ca, client }
    }

    fn decide(&self, policies: &str, principal: &Principal, asked: &Asked) -> Outcome {
        let (policies, _) = Policies::compile(policies.as_bytes()).unwrap_or_else(|e| panic!("{policies}: {e}"));
        asked.by(principal, |question| policies.decide(question))
    }

    /// Whether a client is permitted under the condition.
    fn holds(&self, condition: &str, asked: &Asked) -> bool {
        let policies = format!("permit(principal is Client, action, resource) when {{ {condition} }};");
        let outcome = self.decide(&policies, &self.client, asked);
        assert_eq!(outcome.errors, [""; 0], "{condition}");
        outcome.decision == Decision::Permitted
    }
}

impl Asked {
    fn new(method: &str, path: &str) -> Self {
        let builder = Request::builder().method(method).uri(format!("/fhir{path}"));
        let builder = builder.header("x-tenant", "a").header("X-Tenant", "b").header("accept", "*/*");
        let parts = builder.body(()).unwrap().into_parts().0;
        let path = path.split('?').next().unwrap_or_default().to_owned();
        Self { parts, path, source: [10, 1, 2, 3].into(), credential: Token::None }
    }

    fn with(self, credential: Token) -> Self {
        Self { credential, ..self }
    }

    fn by<T>(&self, principal: &Principal, ask: impl FnOnce(&Question<'_>) -> T) -> T {
        ask(&Question {
            principal,
            api: "a1",
            stage: "prod",
            route: "ANY /{proxy+}",
            parts: &self.parts,
            host: "api.example.com",
            path: &self.path,
            path_parameters: &[("id", "a%20b"), ("proxy", "Patient/1")],
            source: self.source,
            at: NOW,
            credential: match &self.credential {
                Token::None => Credential::None,
                Token::Claims(claims) => Credential::Token(claims.as_object().unwrap()),
                Token::Signed => Credential::Signer {
                    access_key_id: "AKIA",
                    arn: "arn:aws:iam::123456789012:user/bob",
                    user: "AIDA",
                },
                Token::Verdict(context) => {
                    Credential::Verdict { principal_id: Some("p"), context: context.as_object().unwrap() }
                }
            },
        })
    }
}

#[test]
fn a_client_is_what_its_certificate_says() {
    let world = World::new();
    let asked = Asked::new("GET", "/Patient/1");
    for (condition, holds) in [
        ("principal.subject == \"CN=alice,O=Acme\\\\, Inc.,OU=Lab\"", true),
        ("principal.issuer == \"CN=Partner CA\"", true),
        ("principal.issuer == \"CN=Other CA\"", false),
        ("principal.serial == \"7\"", true),
        ("principal.commonName == [\"alice\"]", true),
        ("principal.organization.contains(\"Acme, Inc.\")", true),
        ("principal.organizationalUnit.contains(\"lab\")", false),
        ("principal.dns.contains(\"a.test\")", true),
        ("principal.email.contains(\"a@b.test\")", true),
        ("principal.uri == [\"spiffe://a.test/b\"]", true),
        ("principal.ip.contains(ip(\"192.0.2.7\"))", true),
        ("principal has spiffeId && principal.spiffeId like \"spiffe://a.test/*\"", true),
        ("principal.notBefore == datetime(\"2026-01-01\")", true),
        ("principal.notAfter <= context.time", false),
        (&format!("principal.authorities == [\"{}\"]", world.ca.fingerprint_hex()), true),
        (&format!("principal.fingerprint == \"{}\"", world.ca.fingerprint_hex()), false),
        (&format!("principal == Client::\"{}\"", world.ca.fingerprint_hex()), false),
    ] {
        assert_eq!(world.holds(condition, &asked), holds, "{condition}");
    }
}

#[test]
fn a_request_is_what_it_is() {
    let world = World::new();
    let asked = Asked::new("PATCH", "/%50atient%2f1/x?a=1&b=x+y&a=%32");
    for (condition, holds) in [
        ("action == Action::\"PATCH\"", true),
        ("action in Action::\"write\"", true),
        ("action in Action::\"read\"", false),
        ("context.method == \"PATCH\"", true),
        ("context.host == \"api.example.com\"", true),
        ("context.path == \"/Patient%2F1/x\"", true),
        ("context.segments == [\"Patient\", \"1\", \"x\"]", true),
        ("context.firstSegment == \"Patient\"", true),
        ("context.pathParameters.hasTag(\"id\") && context.pathParameters.getTag(\"id\") == \"a b\"", true),
        ("context.pathParameters.hasTag(\"other\")", false),
        ("context.query.hasTag(\"a\") && context.query.getTag(\"a\") == \"1,2\"", true),
        ("context.query.hasTag(\"b\") && context.query.getTag(\"b\") == \"x y\"", true),
        ("context.headers.hasTag(\"x-tenant\") && context.headers.getTag(\"x-tenant\") == \"a, b\"", true),
        ("context.headers.hasTag(\"accept\") && context.headers.getTag(\"accept\") like \"*\\*\"", true),
        ("context.headers.hasTag(\"Accept\")", false),
        ("context.sourceIp.isInRange(ip(\"10.0.0.0/8\"))", true),
        ("context.sourceIp.isInRange(ip(\"fd00::/8\"))", false),
        ("context.time >= datetime(\"2026-11-22\") && context.time < datetime(\"2026-11-22T00:00:01Z\")", true),
        ("resource.api == \"a1\" && resource.stage == \"prod\" && resource.key == \"ANY /{proxy+}\"", true),
        ("resource == Route::\"a1/prod/ANY /{proxy+}\"", true),
        ("context has token || context has signer || context has authorizer", false),
    ] {
        assert_eq!(world.holds(condition, &asked), holds, "{condition}");
    }
    let far = Asked { source: "2001:db8::1".parse().unwrap(), ..Asked::new("GET", "/") };
    assert!(world.holds("context.sourceIp == ip(\"2001:db8::1\")", &far));
    assert!(world.holds("context.sourceIp.isInRange(ip(\"2001:db8::/32\"))", &far));
    let odd = Asked::new("PURGE", "");
    assert!(world.holds("action == Action::\"OTHER\" && context.method == \"PURGE\" && context.path == \"/\"", &odd));
    assert!(!world.holds("action in [Action::\"read\", Action::\"write\"]", &odd));
}

#[test]
fn a_credential_is_what_was_found() {
    let world = World::new();
    let claims = json!({
        "iss": "https://id.example", "sub": "alice", "scope": "system/Observation.read openid", "scp": ["launch"],
        "org": "Acme, Inc.", "groups": ["a", "b"], "level": 3, "admin": true, "none": [], "mixed": ["a", {}], "deep": {},
    });
    let token = Asked::new("GET", "/").with(Token::Claims(claims));
    let with = |condition: &str| format!("context has token && ({condition})");
    for (condition, holds) in [
        ("context.token.issuer == \"https://id.example\"", true),
        ("context.token has subject && context.token.subject == \"alice\"", true),
        ("context.token.scopes == [\"system/Observation.read\", \"openid\", \"launch\"]", true),
        ("context.token.claims.hasTag(\"org\") && context.token.claims.getTag(\"org\") == \"Acme, Inc.\"", true),
        ("context.token.claims.hasTag(\"level\") && context.token.claims.getTag(\"level\") == \"3\"", true),
        ("context.token.claims.hasTag(\"admin\") && context.token.claims.getTag(\"admin\") == \"true\"", true),
        ("context.token.claims.hasTag(\"groups\") || context.token.claims.hasTag(\"deep\")", false),
        ("context.token.lists.hasTag(\"groups\") && context.token.lists.getTag(\"groups\").contains(\"b\")", true),
        ("context.token.lists.hasTag(\"org\") && principal.organization == context.token.lists.getTag(\"org\")", true),
        // What names nothing is not the same as a certificate's that names nothing.
        ("context.token.lists.hasTag(\"none\") || context.token.lists.hasTag(\"mixed\")", false),
    ] {
        assert_eq!(world.holds(&with(condition), &token), holds, "{condition}");
    }
    let signed = Asked::new("GET", "/").with(Token::Signed);
    assert!(world.holds(
        "context has signer && context.signer.account == \"123456789012\" && context.signer.user == \"AIDA\" \
         && context.signer.arn like \"*:user/bob\" && context.signer.accessKeyId == \"AKIA\" && !(context has token)",
        &signed
    ));
    let verdict = Asked::new("GET", "/").with(Token::Verdict(json!({"role": "nurse", "n": 1})));
    assert!(world.holds(
        "context has authorizer && context.authorizer has principalId && context.authorizer.principalId == \"p\" \
         && context.authorizer.context.hasTag(\"role\") && context.authorizer.context.getTag(\"role\") == \"nurse\"",
        &verdict
    ));
}

#[test]
fn a_forbid_outweighs_every_permit_and_silence_is_no() {
    let world = World::new();
    let read = Asked::new("GET", "/Patient/1");
    let decide = |policies: &str| world.decide(policies, &world.client, &read).decision;
    let permit = "permit(principal, action, resource);";
    assert_eq!(decide(permit), Decision::Permitted);
    assert_eq!(decide("permit(principal, action in Action::\"write\", resource);"), Decision::NotPermitted);
    assert_eq!(
        decide(&format!("{permit} forbid(principal, action, resource);")),
        Decision::Forbidden("policy 2".into())
    );
    let named = "@id(\"b\")forbid(principal, action, resource);@id(\"a\")forbid(principal, action, resource);";
    assert_eq!(decide(&format!("{permit}{named}")), Decision::Forbidden("a, b".into()));
    assert_eq!(decide(""), Decision::NotPermitted);
    // Who shows no certificate is another kind.
    let anonymous = Principal::anonymous();
    let asked = |policies: &str| world.decide(policies, &anonymous, &read).decision;
    assert_eq!(asked("permit(principal is Client, action, resource);"), Decision::NotPermitted);
    assert_eq!(asked("permit(principal is Anonymous, action, resource);"), Decision::Permitted);
}

#[test]
fn what_cannot_be_evaluated_has_no_say_and_is_told() {
    let world = World::new();
    let read = Asked::new("GET", "/");
    let overflowing = "9223372036854775807 + 1 == 0";
    let policies = format!(
        "permit(principal, action, resource); @id(\"sum\") forbid(principal, action, resource) when {{ {overflowing} }};"
    );
    let Outcome { decision, errors } = world.decide(&policies, &world.client, &read);
    assert_eq!(decision, Decision::Permitted);
    assert!(errors.len() == 1 && errors[0].contains("`sum`") && errors[0].contains("overflow"), "{errors:?}");
}

/// As deep as is taken, on half of the stack that runtimes' threads have (more where the compiler has made nothing small).
#[test]
fn the_deepest_policy_is_evaluated() {
    let bytes = if cfg!(debug_assertions) { 4 } else { 1 } * 1024 * 1024;
    let deciding = std::thread::Builder::new().stack_size(bytes).spawn(|| {
        let world = World::new();
        let asked = Asked::new("GET", "/");
        for deep in [
            "(".repeat(55) + "context.path == \"/\"" + &")".repeat(55),
            "context.path == \"/\" && ".repeat(55) + "true",
            "context.path == \"x\" || ".repeat(55) + "true",
            "if context.path == \"x\" then false else ".repeat(18) + "true",
            "1 + ".repeat(55) + "1 == 56",
            "(!!".repeat(18) + "true" + &")".repeat(18),
            "{\"a\": ".repeat(28) + "true" + &"}".repeat(28) + &".a".repeat(28),
        ] {
            assert!(world.holds(&deep, &asked), "{deep}");
        }
    });
    deciding.unwrap().join().unwrap();
}

#[test]
fn nothing_is_permitted_where_the_stack_is_too_small_to_ask() {
    let deciding = std::thread::Builder::new().stack_size(192 * 1024).spawn(|| {
        let deep = "context.path == \"x\" || ".repeat(55) + "true";
        let policies =
            format!("permit(principal, action, resource); forbid(principal, action, resource) when {{ {deep} }};");
        let (policies, _) = Policies::compile(policies.as_bytes()).unwrap();
        Asked::new("GET", "/").by(&Principal::anonymous(), |question| policies.decide(question))
    });
    let Outcome { decision, errors } = deciding.unwrap().join().unwrap();
    assert_eq!(decision, Decision::NotPermitted);
    assert!(errors[0].contains("recursion limit"), "{errors:?}");
}

/// `cargo test --release -p policy --test decide -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
fn what_a_decision_costs() {
    let world = World::new();
    let one = "permit(principal is Client, action in Action::\"read\", resource)
        when { principal.issuer == \"CN=Partner CA\" && context.firstSegment == \"Patient\" };";
    let token = "permit(principal is Client, action in Action::\"write\", resource)
        when { context has token && context.token.scopes.contains(\"system/Observation.write\")
               && context.sourceIp.isInRange(ip(\"10.0.0.0/8\")) };
        forbid(principal, action, resource) unless { context has token
               && context.token.lists.hasTag(\"org\") && principal is Client
               && principal.organization == context.token.lists.getTag(\"org\") };";
    let all = "permit(principal is Client, action, resource) when {
        context.headers.hasTag(\"x-tenant\") && context.query.hasTag(\"a\") && context.time > datetime(\"2020-01-01\") };";
    let claims = json!({"iss": "https://id.example", "sub": "alice", "scope": "system/Observation.write",
        "org": "Acme, Inc.", "aud": "api", "exp": NOW, "iat": NOW, "jti": "x"});
    let many: String = (0..100)
        .map(|n| format!("permit(principal is Client, action, resource) when {{ principal.issuer == \"CN={n}\" }};\n"))
        .collect();
    for (what, policies, asked) in [
        ("one policy, certificate and path", one, Asked::new("GET", "/Patient/1")),
        ("two policies, token and address", token, Asked::new("POST", "/Observation").with(Token::Claims(claims))),
        ("headers, query and time", all, Asked::new("GET", "/x?a=1&b=2")),
        ("100 policies, certificate", &many, Asked::new("GET", "/x")),
    ] {
        let (compiled, _) = Policies::compile(policies.as_bytes()).unwrap();
        let rounds = 20_000;
        let started = std::time::Instant::now();
        for _ in 0..rounds {
            asked.by(&world.client, |question| std::hint::black_box(compiled.decide(question)));
        }
        println!("{what}: {:.1} µs", started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    }
    let started = std::time::Instant::now();
    Policies::compile(many.as_bytes()).unwrap();
    println!("100 policies compiled: {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
}
