//! A control API on a port of its own, and a client that signs.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use control::metrics::Metrics;
use control::objects::{Objects, Versioning};
use control::{Control, ControlConfig, ControlParts, Settings};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use journal::Journal;
use journal::ledger::Ledger;
use journal::usage::UsageBook;
use model::resource::{Certificate, CertificateOrigin};
use model::{Change, Keyring, UnixMillis};
use serde_json::Value;
use sigv4::{Credentials, SecretKey};
use store::{Follower, Memory, Store};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The time here: 2025-11-22T17:00:00Z.
pub const NOW: UnixMillis = 1_763_830_800_000;
pub const REGION: &str = "us-east-1";

pub struct Server {
    pub control: Control,
    pub store: Arc<dyn Store>,
    pub origin: String,
    pub credentials: Credentials,
    pub client: Client<HttpConnector, Full<Bytes>>,
    _follower: Follower,
    pub stop: oneshot::Sender<()>,
    pub served: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

/// There is no endpoint to look at.
struct NoDoctor;

#[async_trait::async_trait]
impl control::Doctor for NoDoctor {
    async fn examine(&self, _: &Control, _: &model::resource::Domain, _: Credentials) -> Result<Value, String> {
        Err("there is no endpoint".to_owned())
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub async fn start_with(configure: impl FnOnce(&mut ControlConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let follower = Follower::start(Arc::clone(&store)).await.unwrap();
        let mut config = ControlConfig {
            account: "123456789012".to_owned(),
            default_region: REGION.to_owned(),
            host_names: vec!["gate.example.com".to_owned()],
            https_port: 8443,
            execute_api_suffix: "localhost".to_owned(),
            aws_exact: false,
            console: control::ConsoleAccess::Loopback,
            acme: false,
            dns: control::route53::DnsOptions { addresses: Vec::new(), name_servers: vec!["ns-1.x.test".to_owned()] },
            revocation_directory: None,
            shares_settings: false,
            clock: || NOW,
            warn: |_| {},
        };
        configure(&mut config);
        let (journal, _) = Journal::open(directory.path()).unwrap();
        let control = Control::new(ControlParts {
            config,
            settings: Settings::new(Arc::clone(&store), follower.state(), journal.clone(), || NOW),
            keyring: Arc::new(Keyring::new(&[7; 32]).unwrap()),
            objects: Arc::new(Objects::open(directory.path()).unwrap()),
            journal,
            ledger: Ledger::open(directory.path(), 0).0,
            usage: UsageBook::open(directory.path(), 0).0,
            snapshots: tokio::sync::watch::channel(Arc::default()).1,
            sinks_fail: Box::new(|| false),
            witness_fails: None,
            traffic: Box::new(control::TrafficTotals::default),
            doctor: Box::new(NoDoctor),
            metrics: Metrics::new(None),
        });
        control::local_ca::ensure(&control).await.unwrap();
        let admin = control.admin_key().await.unwrap();
        let secret = SecretKey::new(admin.secret.as_str());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(control::serve(listener, control.clone(), async move { drop(stopped.await) }));
        Self {
            control,
            store,
            origin,
            credentials: Credentials { access_key_id: admin.id, secret, session_token: None },
            client: Client::builder(TokioExecutor::new()).build_http(),
            _follower: follower,
            stop,
            served,
            _directory: directory,
        }
    }

    /// A signed request to API Gateway; status and JSON of the answer (null where there is none).
    pub async fn call(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        self.call_in(REGION, method, path, body).await
    }

    pub async fn call_in(&self, region: &str, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let mut request = self.request(method, path, &body);
        sigv4::sign(&mut request, &body, &self.credentials, region, "apigateway", NOW / 1000).unwrap();
        let (parts, body) = self.send(request).await.into_parts();
        (parts.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// The answer, which must be a success.
    pub async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// Status and message of the answer, which must be an error.
    pub async fn refused(&self, method: &str, path: &str, body: Value) -> (u16, String) {
        let (status, answer) = self.call(method, path, body).await;
        assert!(!status.is_success(), "{method} {path} was taken: {answer}");
        (status.as_u16(), answer["message"].as_str().unwrap_or_default().to_owned())
    }

    /// A signed request to a service of the JSON protocol, e.g. `CertificateManager.ListCertificates`: its answer, or the
    /// code of the error.
    pub async fn json(&self, service: &str, target: &str, body: Value) -> Result<Value, String> {
        let body = body.to_string().into_bytes();
        let mut request = self.request("POST", "/", &body);
        request.headers_mut().insert("content-type", "application/x-amz-json-1.1".parse().unwrap());
        request.headers_mut().insert("x-amz-target", target.parse().unwrap());
        sigv4::sign(&mut request, &body, &self.credentials, REGION, service, self.control.now() / 1000).unwrap();
        let (parts, body) = self.send(request).await.into_parts();
        let answer: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if parts.status.is_success() { Ok(answer) } else { Err(answer["__type"].as_str().unwrap().to_owned()) }
    }

    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> Request<Full<Bytes>> {
        let uri = format!("{}{path}", self.origin);
        let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(uri);
        request.header("content-type", "application/json").body(Full::new(Bytes::copy_from_slice(body))).unwrap()
    }

    pub async fn send(&self, request: Request<Full<Bytes>>) -> Response<Bytes> {
        let (parts, body) = self.client.request(request).await.unwrap().into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    pub fn make_bucket(&self, name: &str, versioning: Versioning) {
        self.control.objects().create_bucket(name, REGION, Default::default(), Default::default(), NOW).unwrap();
        self.control.objects().change_bucket(name, |bucket| bucket.versioning = versioning).unwrap();
    }

    /// Puts an object over S3 and answers with its version (`null` where the bucket keeps none).
    pub async fn put_object(&self, path: &str, bytes: &[u8]) -> String {
        let response = self.s3("PUT", path, bytes).await;
        assert!(response.status().is_success(), "{:?}", response);
        response.headers().get("x-amz-version-id").map_or("null".to_owned(), |id| id.to_str().unwrap().to_owned())
    }

    pub async fn s3(&self, method: &str, path: &str, bytes: &[u8]) -> Response<Bytes> {
        let mut request = self.request(method, path, bytes);
        // The library behind S3 asks the system for the time.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        sigv4::sign(&mut request, bytes, &self.credentials, REGION, "s3", now.try_into().unwrap()).unwrap();
        self.send(request).await
    }

    /// A certificate in ACM, without what is of no interest to API Gateway; its ARN.
    pub async fn certificate(&self, name: &str, origin: CertificateOrigin) -> String {
        let arn = format!("arn:aws:acm:{REGION}:123456789012:certificate/{name}");
        let certificate = Certificate {
            arn: arn.clone(),
            region: REGION.into(),
            domain_name: name.into(),
            alternative_names: vec![],
            certificate: String::new(),
            chain: None,
            private_key: self.control.keyring().seal(&arn, b"key").unwrap(),
            origin,
            key_algorithm: "RSA_2048".into(),
            created: NOW,
            life: Default::default(),
            tags: Default::default(),
        };
        let put = || Ok((vec![Change::put(&certificate)], ()));
        self.control.settings().change(control::By::Server("Test"), |_| put()).await.unwrap();
        arn
    }
}
