//! Routes that ask for more than a trusted certificate.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use edge::{EdgeConfig, IssuerKeys, KeySet};
use http::Request;
use model::resource::{AccessKey, Authorization, Authorizer, AuthorizerKind, Deployment, Route};
use model::{Change, Issuer, Keyring};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::support::{Answer, DOMAIN, Http, Identity, NOW, REGION, Setup, Tls, World, deployment};

const ISSUER: &str = "https://id.example";
const KEY_ID: &str = "AKIAEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG";

/// An issuer whose keys are there once somebody has fetched them.
#[derive(Debug, Default)]
struct Keys {
    published: Mutex<Option<Arc<KeySet>>>,
    known: Mutex<Option<Arc<KeySet>>>,
    looked_up: AtomicUsize,
    fetched: AtomicUsize,
}

impl IssuerKeys for Keys {
    fn known(&self, issuer: &Issuer) -> Option<Arc<KeySet>> {
        self.looked_up.fetch_add(1, Ordering::SeqCst);
        self.known.lock().unwrap().clone().filter(|_| issuer.as_str() == ISSUER)
    }

    fn fetch(&self, _: &Issuer) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        let published = self.published.lock().unwrap().clone();
        *self.known.lock().unwrap() = published;
        Box::pin(std::future::ready(()))
    }
}

struct Signer {
    kid: &'static str,
    key: EcdsaKeyPair,
}

impl Signer {
    fn new(kid: &'static str) -> Self {
        Self { kid, key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    fn set(&self) -> Arc<KeySet> {
        let point = self.key.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|half| BASE64URL_NOPAD.encode(half));
        let set = json!({"keys": [{"kty": "EC", "kid": self.kid, "crv": "P-256", "x": x, "y": y}]});
        Arc::new(KeySet::parse(set.to_string().as_bytes()).unwrap())
    }

    fn token(&self, more: Value) -> String {
        let mut claims =
            json!({"iss": ISSUER, "aud": "api", "sub": "alice", "exp": NOW / 1000 + 60, "roles": ["a", "b"]});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let [header, claims] = [json!({"alg": "ES256", "kid": self.kid}), claims]
            .map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes()));
        let message = format!("{header}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }
}

fn route(key: &str, authorization: Authorization) -> Route {
    Route {
        id: key.replace([' ', '/'], ""),
        api_id: "a1b2c3d4e5".into(),
        route_key: key.into(),
        integration_id: Some("backend".into()),
        operation_name: None,
        authorization,
        api_gateway_managed: false,
    }
}

/// `GET /token` wants a token and tells the backend of whom it is, `GET /scoped` one with a scope, `POST /signed` a signature,
/// `GET /custom` something that is not there.
fn guarded(world: &World) -> Deployment {
    let jwt = |scopes: &[&str]| Authorization::Jwt {
        authorizer_id: "jwt".into(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
    };
    let mut guarded = deployment(world.backend.address, 5_000);
    guarded.authorizers = vec![Authorizer {
        id: "jwt".into(),
        api_id: "a1b2c3d4e5".into(),
        name: "tokens".into(),
        identity_source: vec!["$request.header.Authorization".into()],
        kind: AuthorizerKind::Jwt { issuer: ISSUER.into(), audience: vec!["api".into()] },
    }];
    guarded.routes.extend([
        route("GET /token", jwt(&[])),
        route("GET /scoped", jwt(&["read"])),
        route("POST /signed", Authorization::AwsIam),
        route("GET /custom", Authorization::Custom { authorizer_id: "gone".into() }),
    ]);
    let backend = &mut guarded.integrations[0];
    backend.uri = format!("http://{}/", world.backend.address);
    for (name, value) in [("x-user", "sub"), ("x-roles", "roles"), ("x-none", "none")] {
        let (name, value) = (format!("append:header.{name}"), format!("$context.authorizer.claims.{value}"));
        backend.request_parameters.insert(name, value);
    }
    guarded
}

async fn world() -> (World, Arc<Keys>, Signer) {
    let (keys, signer) = (Arc::new(Keys::default()), Signer::new("one"));
    *keys.published.lock().unwrap() = Some(signer.set());
    let config = EdgeConfig { issuer_keys: keys.clone(), ..EdgeConfig::default() };
    let mut world = Setup { config, ..Setup::new() }.start().await;
    let keyring = Keyring::new(&[7; 32]).unwrap();
    let key = AccessKey {
        id: KEY_ID.into(),
        secret: keyring.seal(&AccessKey::sealed_for(KEY_ID), SECRET.as_bytes()).unwrap(),
        principal_arn: "arn:aws:iam::123456789012:user/admin".into(),
        user_id: "AIDAEXAMPLE".into(),
        created: 0,
        user: None,
        inactive: false,
    };
    let guarded = guarded(&world);
    world.commit(&[Change::put(&guarded), Change::put(&key)]).await;
    (world, keys, signer)
}

async fn get(world: &World, identity: &Identity, path: &str, token: &str) -> Answer {
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    world.client(Some(identity)).send(Http::V1, request, Bytes::new()).await.unwrap()
}

fn thumbprint(identity: &Identity) -> String {
    let leaf = CertificateDer::from_pem_slice(identity.chain_pem.as_bytes()).unwrap();
    BASE64URL_NOPAD.encode(digest(&SHA256, &leaf).as_ref())
}

#[tokio::test]
async fn a_token_is_verified_once_and_its_claims_go_on() {
    let (world, keys, signer) = world().await;
    let (client, token) = (world.ca.client("alice"), signer.token(json!({})));
    for _ in 0..10 {
        assert_eq!(get(&world, &client, "/token", &token).await.status, 200);
    }
    let seen = &world.backend.seen()[2];
    assert_eq!(
        (&seen.headers["x-user"], &seen.headers["x-roles"]),
        (&"alice".parse().unwrap(), &"[a b]".parse().unwrap())
    );
    assert!(!seen.headers.contains_key("x-none"));
    // Looked for, not there, fetched, there; not asked again for the same token, except by the other runtime.
    assert_eq!(keys.fetched.load(Ordering::SeqCst), 1);
    assert!((2..=3).contains(&keys.looked_up.load(Ordering::SeqCst)));
    world.now.fetch_add(60_000, Ordering::SeqCst);
    let expired = get(&world, &client, "/token", &token).await;
    assert_eq!(expired.status, 401);
    assert!(expired.header("www-authenticate").contains("the token has expired"));
    let other = get(&world, &client, "/proxy/x", "nonsense").await;
    assert_eq!(other.status, 200, "a route that asks for nothing");
    let log = world.finish().await;
    let denial = log.record(expired.header("apigw-requestid")).denial.expect("it was denied");
    assert_eq!((&*denial.code, &*denial.detail), ("TokenExpired", "the token has expired"));
}

#[tokio::test]
async fn a_key_that_is_not_known_is_looked_for() {
    let (world, keys, signer) = world().await;
    let client = world.ca.client("alice");
    assert_eq!(get(&world, &client, "/token", &signer.token(json!({}))).await.status, 200);
    let next = Signer::new("two");
    assert_eq!(get(&world, &client, "/token", &next.token(json!({}))).await.status, 401);
    *keys.published.lock().unwrap() = Some(next.set());
    assert_eq!(get(&world, &client, "/token", &next.token(json!({}))).await.status, 200);
    // The issuer is gone, and a key that it no longer names verifies nothing that is new.
    *keys.published.lock().unwrap() = None;
    assert_eq!(get(&world, &client, "/token", &next.token(json!({"x": 1}))).await.status, 200);
    let gone = get(&world, &client, "/token", &signer.token(json!({"x": 1}))).await;
    assert!(gone.header("www-authenticate").contains("keys cannot be fetched"), "{gone:?}");
}

#[tokio::test]
async fn a_bound_token_is_good_for_one_certificate() {
    let (world, _, signer) = world().await;
    let (alice, eve) = (world.ca.client("alice"), world.ca.client("eve"));
    let token = signer.token(json!({"cnf": {"x5t#S256": thumbprint(&alice)}}));
    assert_eq!(get(&world, &alice, "/token", &token).await.status, 200);
    let stolen = get(&world, &eve, "/token", &token).await;
    assert_eq!((stolen.status, stolen.body.as_str()), (401, r#"{"message":"Unauthorized"}"#));
    assert_eq!(world.backend.seen().len(), 1);
    assert_eq!(world.edge.counters().totals()[DOMAIN].denials, [("TokenBoundElsewhere", 1)].into());
}

#[tokio::test]
async fn what_cannot_decide_lets_nobody_in() {
    let (world, _, signer) = world().await;
    let client = world.ca.client("alice");
    let token = signer.token(json!({"scope": "write"}));
    let custom = get(&world, &client, "/custom", &token).await;
    assert_eq!((custom.status, custom.body.as_str()), (500, r#"{"message":"Internal Server Error"}"#));
    let scoped = get(&world, &client, "/scoped", &token).await;
    assert_eq!((scoped.status, scoped.body.as_str()), (403, r#"{"message":"Forbidden"}"#));
    assert!(world.backend.seen().is_empty());
    assert_eq!(get(&world, &client, "/scoped", &signer.token(json!({"scope": "read"}))).await.status, 200);
}

#[tokio::test]
async fn a_signed_request_comes_with_its_payload() {
    let (world, ..) = world().await;
    let client = world.ca.client("alice");
    let credentials =
        sigv4::Credentials { access_key_id: KEY_ID.into(), secret: sigv4::SecretKey::new(SECRET), session_token: None };
    let payload = Bytes::from(vec![b'x'; 300_000]);
    let signed = |at: i64| {
        let mut request = Request::post(format!("https://{DOMAIN}/signed?a=1")).body(payload.clone()).unwrap();
        sigv4::sign(&mut request, &payload, &credentials, REGION, "execute-api", at).unwrap();
        let mut builder = Request::post("/signed?a=1");
        for (name, value) in request.headers().iter().filter(|(name, _)| *name != http::header::HOST) {
            builder = builder.header(name, value);
        }
        builder
    };
    for http in [Http::V1, Http::V2] {
        let sent = world
            .client(Some(&client))
            .with(Tls::V13, http)
            .send(http, signed(NOW / 1000), payload.clone())
            .await
            .unwrap();
        assert_eq!(sent.status, 200);
        assert_eq!(world.backend.seen().last().unwrap().body, payload);
    }
    let count = world.backend.seen().len();
    let mut changed = payload.to_vec();
    changed[299_999] = b'y';
    for (request, body) in [
        (signed(NOW / 1000), Bytes::from(changed)),
        (signed(NOW / 1000), payload.slice(1..)),
        (signed(NOW / 1000), Bytes::new()),
        (signed(NOW / 1000 - 301), payload.clone()),
        (Request::post("/signed?a=1"), Bytes::new()),
    ] {
        let sent = world.client(Some(&client)).send(Http::V1, request, body).await.unwrap();
        assert_eq!((sent.status, sent.body.as_str()), (403, r#"{"message":"Forbidden"}"#));
    }
    assert_eq!(world.backend.seen().len(), count);
}
