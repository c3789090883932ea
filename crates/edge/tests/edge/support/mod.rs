//! A gateway on real sockets, a backend that remembers what reached it, and clients.

mod backend;
pub mod client;
mod pki;

pub use backend::Backend;
pub use client::{Answer, Client, Http, Tls};
pub use pki::{Authority, Identity, leaf_params};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use edge::{Clock, Edge, EdgeConfig, Line, RefusalLine, ShadowLine};
use journal::ledger::Ledger;
use journal::{AccessRecord, ConnectionRecord, Journal};
use model::resource::{
    AccessLog, Api, ApiMapping, Certificate, CertificateOrigin, Deployment, Domain, Endpoint, Integration,
    IntegrationKind, NamedObject, Route, Stage,
};
use model::snapshot::{Defaults, Snapshot};
use model::{Blob, Blobs, Change, Keyring, Rejection, State};
use tokio::sync::mpsc;

/// 2026-11-22T00:00:00Z, in milliseconds.
pub const NOW: i64 = 1_795_305_600_000;

pub const DOMAIN: &str = "api.example.com";
pub const REGION: &str = "us-east-1";
pub const GROUP: &str = "access";
const ARN: &str = "arn:aws:acm:us-east-1:123456789012:certificate/server";
const FORMAT: &str = r#"{"id":"$context.requestId","method":"$context.httpMethod","path":"$context.path","route":"$context.routeKey","status":"$context.status","length":"$context.responseLength","integration":"$context.integrationStatus","why":"$context.integration.error","error":"$context.error.message","type":"$context.error.responseType","dn":"$context.identity.clientCert.subjectDN","agent":"$context.identity.userAgent","protocol":"$context.protocol","domain":"$context.domainName","base":"$context.customDomain.basePathMatched","api":"$context.apiId","stage":"$context.stage"}"#;

/// Everything that a test needs.
pub struct World {
    pub edge: Edge,
    pub backend: Backend,
    pub journal: Journal,
    pub ledger: Ledger,
    pub lines: mpsc::Receiver<Line>,
    pub now: Arc<AtomicI64>,
    pub server: Authority,
    pub ca: Authority,
    state: State,
    snapshot: Arc<Snapshot>,
    keyring: Keyring,
    directory: tempfile::TempDir,
}

/// What is different from the usual.
pub struct Setup {
    pub rejection: Rejection,
    /// `None`: clients are not asked.
    pub truststore: Option<String>,
    pub ca: Authority,
    pub config: EdgeConfig,
    pub timeout_ms: u32,
}

/// What was recorded.
pub struct Log {
    /// Lines of the stage.
    pub stage: Vec<serde_json::Value>,
    /// Lines of the domain.
    pub domain: Vec<serde_json::Value>,
    pub journal: Journal,
    directory: tempfile::TempDir,
}

impl Setup {
    pub fn new() -> Self {
        let ca = Authority::new("Clients");
        Self {
            rejection: Rejection::Respond,
            truststore: Some(ca.pem()),
            ca,
            config: EdgeConfig::default(),
            timeout_ms: 5_000,
        }
    }

    pub fn rejecting(rejection: Rejection) -> Self {
        Self { rejection, ..Self::new() }
    }

    pub async fn start(self) -> World {
        World::start(self).await
    }
}

impl World {
    /// `api.example.com` and `*.example.com`, both with mutual TLS, lead to one API: `/proxy/{p+}` and `POST /up` to the
    /// backend, `/down` to a port on which nobody listens, `/unset` to nothing, and `GET /Patient/{id}/notes` with its path in `x-path`. Two runtimes at most.
    async fn start(setup: Setup) -> Self {
        let backend = Backend::start().await;
        let server = Authority::new("Servers");
        let keyring = Keyring::new(&[7; 32]).unwrap();
        let identity = server.server(&[DOMAIN, "*.example.com", "*.execute-api.us-east-1.localhost"]);
        let certificate = Certificate {
            arn: ARN.into(),
            region: REGION.into(),
            domain_name: DOMAIN.into(),
            alternative_names: Vec::new(),
            certificate: identity.chain_pem.clone(),
            chain: None,
            private_key: keyring.seal(ARN, identity.key_pem.as_bytes()).unwrap(),
            origin: CertificateOrigin::Imported,
            key_algorithm: "EC_prime256v1".into(),
            created: 0,
            life: Default::default(),
            tags: BTreeMap::new(),
        };
        let endpoint = Endpoint {
            region: REGION.into(),
            certificate: identity.chain_pem.clone(),
            private_key: keyring.seal("endpoints/us-east-1", identity.key_pem.as_bytes()).unwrap(),
        };
        let mut state = State::default();
        let truststore = setup.truststore.as_deref();
        let changes = [
            Change::put(&certificate),
            Change::put(&endpoint),
            Change::put(&api()),
            Change::put(&deployment(backend.address, setup.timeout_ms)),
            Change::put(&stage("$default")),
            Change::put(&stage("prod")),
            Change::put(&domain(DOMAIN, truststore, setup.rejection)),
            Change::put(&domain("*.example.com", truststore, setup.rejection)),
            Change::put(&mapping(DOMAIN, "m1", "", "$default")),
            Change::put(&mapping(DOMAIN, "m2", "v1", "prod")),
            Change::put(&mapping("*.example.com", "m3", "", "$default")),
        ];
        state.apply(1, &changes).unwrap();
        let snapshot =
            Arc::new(Snapshot::compile(&state, &Snapshot::default(), &blobs(truststore), &keyring, &defaults(), NOW));
        assert_eq!(snapshot.faults, []);

        let now = Arc::new(AtomicI64::new(NOW));
        let clock = now.clone();
        let config = EdgeConfig {
            https: SocketAddr::from(([127, 0, 0, 1], 0)),
            runtimes: setup.config.runtimes.min(2),
            clock: Clock::new(move || clock.load(Ordering::SeqCst)),
            ..setup.config
        };
        let directory = tempfile::tempdir().unwrap();
        let (journal, _) = Journal::open(directory.path()).unwrap();
        let (ledger, _) = Ledger::open(directory.path(), NOW);
        let (sender, lines) = mpsc::channel(100);
        let edge = Edge::start(config, snapshot.clone(), &journal, &ledger, sender).unwrap();
        Self { edge, backend, journal, ledger, lines, now, server, ca: setup.ca, state, snapshot, keyring, directory }
    }

    /// Changes the settings, and waits until all of the edge serves them.
    pub async fn commit(&mut self, changes: &[Change]) {
        self.publish(changes, &Blobs::new()).await;
    }

    /// The same, where they name these.
    pub async fn publish(&mut self, changes: &[Change], blobs: &Blobs) {
        self.state.apply(self.state.revision + 1, changes).unwrap();
        let next = Snapshot::compile(&self.state, &self.snapshot, blobs, &self.keyring, &defaults(), NOW);
        self.snapshot = Arc::new(next);
        self.edge.publish(self.snapshot.clone()).await;
    }

    /// Replaces the truststore of the domain.
    pub async fn trust(&mut self, pem: &str, rejection: Rejection) {
        self.publish(&[Change::put(&domain(DOMAIN, Some(pem), rejection))], &blobs(Some(pem))).await;
    }

    /// Puts a shadow truststore beside the domain's.
    pub async fn shadow(&mut self, truststore: &str, shadow: &str) {
        let object = named(shadow, "s3://bucket/next.pem");
        let next = Domain { shadow: Some(object), ..domain(DOMAIN, Some(truststore), Rejection::Respond) };
        let blobs = blobs(Some(truststore)).into_iter().chain(blobs(Some(shadow))).collect();
        self.publish(&[Change::put(&next)], &blobs).await;
    }

    /// A client that trusts the server.
    pub fn client(&self, identity: Option<&Identity>) -> Client {
        Client::new(self.edge.local_addr(), &self.server, identity)
    }

    /// The first refusal that was not looked at yet.
    pub async fn refusal(&mut self) -> RefusalLine {
        loop {
            if let Line::Refused(line) = self.line().await {
                return line;
            }
        }
    }

    /// The first difference of a shadow truststore that was not looked at yet.
    pub async fn difference(&mut self) -> ShadowLine {
        loop {
            if let Line::Shadow(line) = self.line().await {
                return line;
            }
        }
    }

    async fn line(&mut self) -> Line {
        let next = tokio::time::timeout(Duration::from_secs(20), self.lines.recv()).await;
        next.expect("a line within 20 s").expect("the edge lives")
    }

    /// What is on disk by now of a kind.
    pub fn recorded<T: serde::de::DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        on_disk(&self.directory, kind)
    }

    /// Stops the edge and reads what it recorded.
    pub async fn finish(self) -> Log {
        let edge = self.edge;
        tokio::task::spawn_blocking(move || edge.drain(Duration::from_secs(10))).await.unwrap();
        self.journal.barrier().unwrap();
        let read = |group: &str| {
            let page = self.journal.read(&journal::Query::new(REGION, group)).unwrap();
            page.events.iter().map(|event| serde_json::from_str(&event.message).unwrap()).collect()
        };
        Log {
            stage: read(GROUP),
            domain: read(&model::resource::domain_log_group(DOMAIN)),
            journal: self.journal,
            directory: self.directory,
        }
    }
}

impl Log {
    pub fn record(&self, id: &str) -> AccessRecord<'static> {
        self.journal.find_request(id).unwrap().expect("a record of the request")
    }

    /// Every record of a kind, in the order in which they were written by each runtime.
    pub fn all<T: serde::de::DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        on_disk(&self.directory, kind)
    }

    pub fn connections(&self) -> Vec<ConnectionRecord<'static>> {
        self.all("connection")
    }
}

fn on_disk<T: serde::de::DeserializeOwned>(directory: &tempfile::TempDir, kind: &str) -> Vec<T> {
    let files = std::fs::read_dir(directory.path().join("journal")).unwrap();
    let grows = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "lines");
    let texts = files.map(|file| file.unwrap().path()).filter(grows).map(|path| std::fs::read_to_string(path).unwrap());
    let read = |line: &str| {
        // Behind its check.
        let record: serde_json::Value = serde_json::from_str(&line[9..]).unwrap();
        (record["kind"] == kind).then(|| serde_json::from_value(record).unwrap())
    };
    texts.flat_map(|text| text.lines().filter_map(read).collect::<Vec<_>>()).collect()
}

pub fn domain(name: &str, truststore: Option<&str>, rejection: Rejection) -> Domain {
    let rejection = match rejection {
        Rejection::Respond => "respond",
        Rejection::Alert => "alert",
        Rejection::Reset => "reset",
        Rejection::Aws => "aws",
    };
    Domain {
        name: name.into(),
        region: REGION.into(),
        certificate_arn: ARN.into(),
        security_policy: Default::default(),
        endpoint_access_mode: None,
        endpoint_type: "REGIONAL".into(),
        ownership_certificate_arn: None,
        hosted_zone_id: "Z".into(),
        target_id: "d-1".into(),
        mutual_tls: truststore.map(|pem| named(pem, "s3://bucket/ca.pem")),
        history: Vec::new(),
        shadow: None,
        crls: Vec::new(),
        routing_mode: "API_MAPPING_ONLY".into(),
        revision: 1,
        created: 0,
        tags: BTreeMap::from([("countersign:rejection".to_owned(), rejection.to_owned())]),
    }
}

fn named(pem: &str, uri: &str) -> NamedObject {
    NamedObject {
        uri: uri.into(),
        version: None,
        read: 0,
        read_version: "v1".into(),
        digest: Blob::of(pem.as_bytes()).digest().to_owned(),
        warnings: Vec::new(),
        lists: BTreeMap::new(),
        newest: None,
    }
}

fn blobs(truststore: Option<&str>) -> Blobs {
    truststore.map(|pem| Blob::of(pem.as_bytes())).map(|blob| (blob.digest().to_owned(), blob)).into_iter().collect()
}

pub fn stage(name: &str) -> Stage {
    Stage {
        api_id: "a1b2c3d4e5".into(),
        name: name.into(),
        description: None,
        deployment_id: Some("d1".into()),
        auto_deploy: false,
        access_log: Some(AccessLog {
            destination_arn: format!("arn:aws:logs:{REGION}:123456789012:log-group:{GROUP}"),
            format: FORMAT.into(),
        }),
        variables: BTreeMap::new(),
        default_route_settings: Default::default(),
        route_settings: BTreeMap::new(),
        created: 0,
        updated: 0,
        client_certificate_id: None,
        authorizers_flushed: 0,
        documentation_version: None,
        last_deployment_status_message: None,
        api_gateway_managed: false,
        tags: BTreeMap::new(),
    }
}

pub fn deployment(backend: SocketAddr, timeout_ms: u32) -> Deployment {
    let integration = |id: &str, uri: String| Integration {
        id: id.into(),
        api_id: "a1b2c3d4e5".into(),
        kind: IntegrationKind::HttpProxy,
        method: Some("ANY".into()),
        uri,
        vpc_link_id: None,
        timeout_ms,
        payload_format_version: "1.0".into(),
        request_parameters: BTreeMap::new(),
        response_parameters: BTreeMap::new(),
        server_name_to_verify: None,
        description: None,
        api_gateway_managed: false,
    };
    let route = |id: &str, key: &str, integration: Option<&str>| Route {
        id: id.into(),
        api_id: "a1b2c3d4e5".into(),
        route_key: key.into(),
        integration_id: integration.map(str::to_owned),
        operation_name: None,
        authorization: Default::default(),
        api_gateway_managed: false,
    };
    // Bound and closed again: nobody listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Deployment {
        id: "d1".into(),
        api_id: "a1b2c3d4e5".into(),
        description: None,
        created: 0,
        auto_deployed: false,
        disable_execute_api_endpoint: false,
        cors: None,
        routes: vec![
            route("r1", "ANY /proxy/{p+}", Some("backend")),
            route("r2", "GET /down", Some("down")),
            route("r3", "GET /unset", None),
            route("r4", "GET /Patient/{id}/notes", Some("patient")),
        ],
        authorizers: Vec::new(),
        resources: Vec::new(),
        rest_authorizers: Vec::new(),
        gateway_responses: Vec::new(),
        binary_media_types: Vec::new(),
        models: Vec::new(),
        request_validators: Vec::new(),
        integrations: vec![
            integration("backend", format!("http://{backend}/{{p}}")),
            integration("down", format!("http://{closed}/")),
            Integration {
                request_parameters: BTreeMap::from([("append:header.x-path".into(), "$context.path".into())]),
                ..integration("patient", format!("http://{backend}/Patient/{{id}}"))
            },
        ],
    }
}

pub fn api() -> Api {
    Api {
        id: "a1b2c3d4e5".into(),
        region: REGION.into(),
        name: "test".into(),
        description: None,
        version: None,
        disable_execute_api_endpoint: false,
        cors: None,
        created: 0,
        tags: BTreeMap::new(),
        web_socket: None,
        import_info: Vec::new(),
        import_warnings: Vec::new(),
    }
}

pub fn mapping(domain: &str, id: &str, key: &str, stage: &str) -> ApiMapping {
    ApiMapping {
        id: id.into(),
        domain: domain.into(),
        key: key.into(),
        api_id: "a1b2c3d4e5".into(),
        stage: stage.into(),
    }
}

fn defaults() -> Defaults {
    Defaults { execute_api_suffix: "localhost".into(), rejection: Rejection::Respond }
}
