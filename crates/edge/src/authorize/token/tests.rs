use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use model::{IdentitySource, Issuer};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const AT: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example/";

/// Keys of an issuer, and what it signs with them.
struct Signer {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
}

impl Signer {
    fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
        }
    }

    fn keys(&self) -> KeySet {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        // RFC 8017 appendix A.1.1: a modulus of 256 bytes, and 65,537 in five.
        let rsa = self.rsa.public_key().as_ref();
        let (n, e) = (text(&rsa[rsa.len() - 261..rsa.len() - 5]), text(&rsa[rsa.len() - 3..]));
        let point = |key: &EcdsaKeyPair, length: usize| {
            let point = key.public_key().as_ref()[1..].to_vec();
            (text(&point[..length]), text(&point[length..]))
        };
        let ((x, y), (x384, y384)) = (point(&self.p256, 32), point(&self.p384, 48));
        let set = json!({"keys": [
            {"kty": "RSA", "kid": "rsa", "n": n, "e": e},
            {"kty": "RSA", "kid": "rs256", "alg": "RS256", "n": n, "e": e},
            {"kty": "EC", "kid": "p256", "crv": "P-256", "x": x, "y": y},
            {"kty": "EC", "kid": "p384", "crv": "P-384", "x": x384, "y": y384, "alg": "ES384"},
        ]});
        KeySet::parse(set.to_string().as_bytes()).unwrap()
    }

    fn sign(&self, header: &Value, claims: &Value, with: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let random = SystemRandom::new();
        let rsa = |encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(encoding, &random, message.as_bytes(), &mut signature).unwrap();
            signature
        };
        let signature = match with {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "PS384" => rsa(&RSA_PSS_SHA384),
            "PS512" => rsa(&RSA_PSS_SHA512),
            "ES256" => self.p256.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, message.as_bytes()).unwrap().as_ref().to_vec(),
            _ => Vec::new(),
        };
        format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
    }
}

fn encode(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "api", "sub": "alice", "exp": AT + 60, "iat": AT - 60, "scope": "read write"})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

fn authorizer() -> JwtAuthorizer {
    JwtAuthorizer {
        id: "a".into(),
        source: IdentitySource::parse("$request.header.Authorization").unwrap(),
        issuer: Issuer::parse(ISSUER).unwrap(),
        audience: vec!["api".into(), "other".into()],
    }
}

fn verified(token: &str, keys: &KeySet) -> Result<Token, Denial> {
    Signed::parse(token)?.verify(keys)
}

fn checked(claims: &Value, scopes: &[&str]) -> Result<(), Denial> {
    let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
    Token::of(claims.to_string().as_bytes())?.check(&authorizer(), &scopes, AT)
}

#[test]
fn what_an_issuers_key_signed_is_verified() {
    let signer = Signer::new();
    let keys = signer.keys();
    for (kid, alg) in [
        ("rsa", "RS256"),
        ("rsa", "RS384"),
        ("rsa", "RS512"),
        ("rsa", "PS256"),
        ("rsa", "PS384"),
        ("rsa", "PS512"),
        ("rs256", "RS256"),
        ("p256", "ES256"),
        ("p384", "ES384"),
    ] {
        let token = signer.sign(&json!({"alg": alg, "kid": kid, "typ": "JWT"}), &claims(), alg);
        assert_eq!(verified(&token, &keys).unwrap().claims["sub"], "alice", "{kid} {alg}");
    }
}

#[test]
fn the_key_says_the_algorithm_and_not_the_token() {
    let signer = Signer::new();
    let keys = signer.keys();
    for (header, signed_with, denial) in [
        (json!({"alg": "none", "kid": "rsa"}), "none", Denial::TokenAlgorithm),
        (json!({"alg": "None", "kid": "rsa"}), "RS256", Denial::TokenAlgorithm),
        (json!({"alg": "", "kid": "rsa"}), "RS256", Denial::TokenAlgorithm),
        (json!({"alg": "HS256", "kid": "rsa"}), "RS256", Denial::TokenAlgorithm),
        (json!({"alg": "HS512", "kid": "p256"}), "ES256", Denial::TokenAlgorithm),
        (json!({"alg": "RS256", "kid": "p256"}), "RS256", Denial::TokenAlgorithm),
        (json!({"alg": "ES256", "kid": "rsa"}), "ES256", Denial::TokenAlgorithm),
        (json!({"alg": "ES384", "kid": "p256"}), "ES384", Denial::TokenAlgorithm),
        (json!({"alg": "RS512", "kid": "rs256"}), "RS512", Denial::TokenAlgorithm),
        (json!({"alg": "PS256", "kid": "rs256"}), "PS256", Denial::TokenAlgorithm),
        (json!({"alg": "RS256", "kid": "rsa"}), "RS384", Denial::TokenSignature),
        (json!({"alg": "RS256", "kid": "rsa"}), "PS256", Denial::TokenSignature),
        (json!({"alg": "RS256", "kid": "rsa"}), "none", Denial::TokenSignature),
        (json!({"alg": "RS256", "kid": "gone"}), "RS256", Denial::TokenKeyUnknown),
        (json!({"alg": "RS256"}), "RS256", Denial::TokenKeyUnknown),
        (json!({"alg": "RS256", "kid": 1}), "RS256", Denial::TokenMalformed),
        (json!({"kid": "rsa"}), "RS256", Denial::TokenMalformed),
        (json!({"alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": false}), "RS256", Denial::TokenMalformed),
        (json!({"alg": "RS256", "kid": "rsa", "crit": []}), "RS256", Denial::TokenMalformed),
        (json!(["RS256", "rsa", null]), "RS256", Denial::TokenMalformed),
    ] {
        let token = signer.sign(&header, &claims(), signed_with);
        assert_eq!(verified(&token, &keys), Err(denial), "{header} {signed_with}");
    }
    // The public key as the secret of an HMAC, which is what the confusion of the two would be.
    let message = format!("{}.{}", encode(&json!({"alg": "HS256", "kid": "rsa"})), encode(&claims()));
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, signer.rsa.public_key().as_ref());
    let tag = BASE64URL_NOPAD.encode(aws_lc_rs::hmac::sign(&secret, message.as_bytes()).as_ref());
    assert_eq!(verified(&format!("{message}.{tag}"), &keys), Err(Denial::TokenAlgorithm));
    // Another issuer's key of the same name.
    let header = json!({"alg": "ES256", "kid": "p256"});
    let token = Signer::new().sign(&header, &claims(), "ES256");
    assert_eq!(verified(&token, &keys), Err(Denial::TokenSignature));
}

/// RFC 7515 appendices A.2 and A.3.
#[test]
fn the_examples_of_rfc_7515() {
    const PAYLOAD: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rsa = json!({"kty": "RSA", "kid": "x", "e": "AQAB", "n":
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"});
    let ec = json!({"kty": "EC", "kid": "y", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let keys = KeySet::parse(json!({"keys": [rsa, ec]}).to_string().as_bytes()).unwrap();
    for (kid, algorithm, header, signature) in [
        (
            "x",
            Algorithm::Rs256,
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            "y",
            Algorithm::Es256,
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ] {
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        let message = format!("{header}.{PAYLOAD}");
        let key = keys.find(kid, algorithm).unwrap();
        assert!(key.verifies(algorithm, message.as_bytes(), &signature), "{kid}");
        assert!(!key.verifies(algorithm, &message.as_bytes()[1..], &signature), "{kid}");
    }
}

#[test]
fn claims_are_held_against_the_authorizer() {
    for (claims, wanted) in [
        (claims(), Ok(())),
        (with("iss", json!("https://id.example")), Err(Denial::TokenIssuer)),
        (with("iss", json!([ISSUER])), Err(Denial::TokenIssuer)),
        (with("iss", Value::Null), Err(Denial::TokenIssuer)),
        (with("aud", json!("other")), Ok(())),
        (with("aud", json!(["x", "other"])), Ok(())),
        (with("aud", json!("Api")), Err(Denial::TokenAudience)),
        (with("aud", json!([])), Err(Denial::TokenAudience)),
        (with("aud", json!({"api": 1})), Err(Denial::TokenAudience)),
        (with("aud", Value::Null), Err(Denial::TokenAudience)),
        (with("exp", json!(AT + 1)), Ok(())),
        (with("exp", json!(AT as f64 + 1.9)), Ok(())),
        (with("exp", json!(1e300)), Ok(())),
        (with("exp", json!(AT)), Err(Denial::TokenExpired)),
        (with("exp", json!(-1e300)), Err(Denial::TokenExpired)),
        (with("exp", Value::Null), Err(Denial::TokenExpired)),
        (with("exp", json!("1900000000")), Err(Denial::TokenMalformed)),
        (with("nbf", json!(AT)), Ok(())),
        (with("nbf", json!(AT + CLOCK_AHEAD_SECONDS)), Ok(())),
        (with("nbf", json!(AT + CLOCK_AHEAD_SECONDS + 1)), Err(Denial::TokenNotYetValid)),
        (with("nbf", json!(true)), Err(Denial::TokenMalformed)),
        (with("iat", Value::Null), Ok(())),
        (with("iat", json!(AT + CLOCK_AHEAD_SECONDS + 1)), Err(Denial::TokenNotYetValid)),
    ] {
        assert_eq!(checked(&claims, &[]), wanted, "{claims}");
    }
    // client_id stands in for aud, and never beside it.
    let mut client = with("aud", Value::Null);
    client["client_id"] = json!("api");
    assert_eq!(checked(&client, &[]), Ok(()));
    client["aud"] = json!("stranger");
    assert_eq!(checked(&client, &[]), Err(Denial::TokenAudience));
}

#[test]
fn one_scope_of_several_is_enough() {
    for (claims, scopes, wanted) in [
        (claims(), &["write"][..], Ok(())),
        (claims(), &["admin", "read"], Ok(())),
        (claims(), &["rea"], Err(Denial::TokenScope)),
        (claims(), &["read write"], Err(Denial::TokenScope)),
        (with("scope", Value::Null), &["read"], Err(Denial::TokenScope)),
        (with("scope", json!("")), &["read"], Err(Denial::TokenScope)),
        (with("scp", json!(["admin"])), &["admin"], Ok(())),
        (with("scp", json!("admin x")), &["admin"], Ok(())),
        (with("scope", json!({"read": 1})), &["read"], Err(Denial::TokenScope)),
    ] {
        assert_eq!(checked(&claims, scopes), wanted, "{claims} {scopes:?}");
    }
}

/// RFC 8705 section 3.1's example: the claim, and the certificate's digest in it.
#[test]
fn a_bound_token_comes_with_its_certificate() {
    let text = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2";
    // The example's last character has bits that belong to nothing; a strict reader takes only the one without.
    let strict = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg0";
    assert!(BASE64URL_NOPAD.decode(text.as_bytes()).is_err());
    let leaf: [u8; 32] = BASE64URL_NOPAD.decode(strict.as_bytes()).unwrap().try_into().unwrap();
    let token = |cnf: Value| Token::of(with("cnf", cnf).to_string().as_bytes()).unwrap();
    let (bound, unbound) = (token(json!({"x5t#S256": strict})), token(Value::Null));
    let (elsewhere, not_bound) = (Err(Denial::TokenBoundElsewhere), Err(Denial::TokenUnbound));
    use BoundTokens::{Off, Required, WhenPresent};
    for (token, rule, leaf, wanted) in [
        (&bound, WhenPresent, Some(leaf), Ok(())),
        (&bound, Required, Some(leaf), Ok(())),
        (&bound, WhenPresent, Some([7; 32]), elsewhere),
        (&bound, Required, Some([7; 32]), elsewhere),
        (&bound, WhenPresent, None, elsewhere),
        (&bound, Required, None, elsewhere),
        (&bound, Off, None, Ok(())),
        (&unbound, WhenPresent, Some(leaf), Ok(())),
        (&unbound, WhenPresent, None, Ok(())),
        (&unbound, Required, Some(leaf), not_bound),
        (&unbound, Required, None, not_bound),
        (&unbound, Off, Some(leaf), Ok(())),
    ] {
        assert_eq!(token.check_binding(rule, leaf.as_ref()), wanted, "{rule:?}");
    }
    let half = BASE64URL_NOPAD.encode(&leaf[..16]);
    for cnf in [json!({"x5t#S256": half}), json!({"x5t#S256": ""}), json!({"x5t#S256": 1}), json!({"x5t#S256": null})] {
        assert_eq!(token(cnf.clone()).check_binding(WhenPresent, Some(&leaf)), elsewhere, "{cnf}");
    }
    for cnf in [json!({"jkt": "x"}), json!({}), json!("x")] {
        assert_eq!(token(cnf.clone()).check_binding(WhenPresent, Some(&leaf)), Ok(()), "{cnf}");
        assert_eq!(token(cnf.clone()).check_binding(Required, Some(&leaf)), not_bound, "{cnf}");
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    let signer = Signer::new();
    let good = signer.sign(&json!({"alg": "ES256", "kid": "p256"}), &claims(), "ES256");
    let (message, _) = good.rsplit_once('.').unwrap();
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        message,
        &format!("{good}."),
        &format!("{good}.e30"),
        &format!("{good}="),
        &good.replace('.', " "),
        &format!("{}.e30.", "[".repeat(20_000)),
        &format!("{}.e30.", BASE64URL_NOPAD.encode("[".repeat(20_000).as_bytes())),
    ] {
        assert_eq!(Signed::parse(text).err(), Some(Denial::TokenMalformed), "{}", &text[..text.len().min(80)]);
    }
    for claims in ["", "[]", "1", "\"x\"", "{", "{}x"] {
        assert!(Token::of(claims.as_bytes()).is_err(), "{claims}");
    }
}

proptest! {
    /// Whatever bit of a token is another, it is refused.
    #[test]
    fn no_bit_can_be_turned(place in any::<prop::sample::Index>(), bit in 0_u8..7) {
        thread_local! {
            static SIGNED: (KeySet, String) = {
                let signer = Signer::new();
                let token = signer.sign(&json!({"alg": "ES256", "kid": "p256"}), &claims(), "ES256");
                (signer.keys(), token)
            };
        }
        SIGNED.with(|(keys, token)| {
            let mut bytes = token.clone().into_bytes();
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
            let turned = String::from_utf8(bytes).expect("seven bits stay ASCII");
            prop_assert!(verified(&turned, keys).is_err(), "{turned}");
            Ok(())
        })?;
    }

    #[test]
    fn nothing_that_a_stranger_sends_panics(text in "\\PC{0,200}") {
        let keys = KeySet::parse(br#"{"keys":[{"kty":"EC","kid":"b","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}"#).unwrap();
        prop_assert!(verified(&text, &keys).is_err());
    }
}
