//! One revision of the settings, compiled into what the data plane reads: immutable, looked up by name, nothing left to parse.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use trust::{Policy, Truststore};
use zeroize::Zeroizing;

use crate::mapping::Mapping;
use crate::pattern::RouteKey;
use crate::resource::{self, Cors};
use crate::router::Router;
use crate::target::Target;
use crate::template::Template;
use crate::{DomainTags, Keyring, Rejection, Revision, State, Throttle, UnixMillis};

/// What is enforced. A broken domain is left out and becomes a [`Fault`]; the others are never affected.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The commit that is enforced.
    pub revision: Revision,
    /// Names without wildcard, lowercase.
    exact: HashMap<String, Arc<Domain>>,
    /// `*.example.com` under `example.com`.
    wildcard: HashMap<String, Arc<Domain>>,
    /// What could not be compiled.
    pub faults: Vec<Fault>,
    truststores: HashMap<String, CompiledTruststore>,
    stages: HashMap<(String, String), Arc<Stage>>,
    /// By region: its endpoints share one certificate, so that they share what is made of it.
    endpoints: HashMap<String, Arc<ServerCertificate>>,
}

/// Server-wide settings that a snapshot depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// `{apiId}.execute-api.{region}.{suffix}`; `localhost` by default.
    pub execute_api_suffix: String,
    /// How clients are refused where a domain's tags do not say.
    pub rejection: Rejection,
}

/// Something that a certificate and a truststore are set for: a custom domain, or an API's own endpoint.
#[derive(Debug)]
pub struct Domain {
    /// `api.example.com`, `*.example.com` or `{apiId}.execute-api.{region}.{suffix}`.
    pub name: String,
    /// Its region.
    pub region: String,
    /// What the server shows.
    pub certificate: Arc<ServerCertificate>,
    /// None: clients are not asked for certificates.
    pub trust: Option<Arc<Trust>>,
    /// Base paths, or the stages of an execute-api endpoint.
    pub paths: Paths,
    sources: Sources,
}

/// Certificates and key of a server.
pub struct ServerCertificate {
    /// PEM, leaf first.
    pub chain: String,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: Zeroizing<Vec<u8>>,
    source: ServerSource,
}

/// Whom a domain trusts.
#[derive(Debug)]
pub struct Trust {
    /// Compiled.
    pub truststore: Truststore,
    /// `s3://bucket/key`
    pub uri: String,
    /// The version that is enforced.
    pub version: String,
    /// The judge's rules.
    pub policy: Policy,
    /// How clients are refused.
    pub rejection: Rejection,
    /// A newer version of the object, if there is one: not enforced, but it explains refusals.
    pub newer: Option<(String, Truststore)>,
}

/// How a path leads to a stage.
#[derive(Debug)]
pub enum Paths {
    /// A custom domain's mappings.
    Mappings(Mappings),
    /// An API's own endpoint: the first segment is the stage, else `$default`.
    Stages(BTreeMap<String, Arc<Stage>>),
}

/// API mappings of a custom domain, longest key first.
#[derive(Debug, Default)]
pub struct Mappings {
    entries: Vec<(String, Arc<Stage>)>,
    /// A key has several segments: then keys match as string prefixes, as on AWS.
    multi_level: bool,
}

/// A stage at its current deployment.
#[derive(Debug)]
pub struct Stage {
    /// `apiId`
    pub api_id: String,
    /// The API's region.
    pub region: String,
    /// Stage name.
    pub name: String,
    /// Routes of the deployment; none until the first.
    pub router: Option<Router<Route>>,
    /// The deployment disables the execute-api endpoint.
    pub endpoint_disabled: bool,
    /// `corsConfiguration` of the deployment.
    pub cors: Option<Cors>,
    /// Where and how requests are logged.
    pub access_log: Option<AccessLog>,
    /// By route key: they go on with the next compilation.
    throttles: BTreeMap<String, Arc<Throttle>>,
    sources: (Arc<resource::Stage>, Option<Arc<resource::Deployment>>, Arc<resource::Api>),
}

/// A route with its integration.
#[derive(Clone, Debug)]
pub struct Route {
    /// `routeKey`
    pub key: Arc<str>,
    /// `$default` takes what no other route takes.
    pub is_default: bool,
    /// None: the route has no target yet.
    pub integration: Option<Arc<Integration>>,
    /// None: as many requests as come.
    pub throttle: Option<Arc<Throttle>>,
}

/// An HTTP_PROXY integration.
#[derive(Debug)]
pub struct Integration {
    /// `integrationId`
    pub id: String,
    /// Where to.
    pub target: Target,
    /// `None` passes the client's method on.
    pub method: Option<String>,
    /// Milliseconds until the answer's head must have come.
    pub timeout_ms: u32,
    /// Parameter mapping of the request.
    pub request_mapping: Mapping,
    /// Parameter mapping of the response, by the backend's status code.
    pub response_mappings: BTreeMap<u16, Mapping>,
    /// Name that an https backend's certificate must have, where it is not the URI's host.
    pub server_name: Option<String>,
}

/// Where and how requests of a stage are logged.
#[derive(Clone, Debug)]
pub struct AccessLog {
    /// Region of the log group.
    pub region: String,
    /// Name of the log group.
    pub group: String,
    /// `format`
    pub format: Template,
}

/// Something that could not be compiled, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The domain (or stage) concerned.
    pub name: String,
    /// What is wrong.
    pub what: String,
}

type CompiledTruststore = (Arc<resource::TruststoreBytes>, Truststore);

/// What a domain was compiled from; while these are the same, so is the domain.
#[derive(Debug)]
struct Sources {
    domain: Option<Arc<resource::Domain>>,
    server: ServerSource,
    truststore: Option<Arc<resource::TruststoreBytes>>,
    mappings: Vec<Arc<resource::ApiMapping>>,
    stages: Vec<Arc<Stage>>,
}

#[derive(Clone, Debug)]
enum ServerSource {
    Imported(Arc<resource::Certificate>),
    Endpoint(Arc<resource::Endpoint>),
}

impl Snapshot {
    /// Compiles `state`, taking from `previous` what has not changed. `at` is for the truststores' findings only.
    pub fn compile(state: &State, previous: &Self, keyring: &Keyring, defaults: &Defaults, at: UnixMillis) -> Self {
        let mut compiler = Compiler { state, previous, keyring, defaults, at, next: Self::default() };
        compiler.next.revision = state.revision;
        compiler.stages();
        for domain in state.domains.values() {
            let outcome = compiler.custom_domain(domain);
            compiler.place(&domain.name, outcome);
        }
        for api in state.apis.values() {
            let name = endpoint_name(&api.id, &api.region, &defaults.execute_api_suffix);
            let outcome = compiler.endpoint(api, &name);
            compiler.place(&name, outcome);
        }
        compiler.next
    }

    /// The domain for a server name or host (lowercase, without port): exact, then the wildcard one label up.
    pub fn domain(&self, name: &str) -> Option<&Arc<Domain>> {
        self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
    }

    /// All domains, in no order.
    pub fn domains(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.exact.values().chain(self.wildcard.values())
    }
}

/// Name of an API's own endpoint.
pub fn endpoint_name(api_id: &str, region: &str, suffix: &str) -> String {
    format!("{api_id}.execute-api.{region}.{suffix}")
}

impl Paths {
    /// The stage that a path leads to, the base path that matched (without slashes; a stage's name on an execute-api
    /// endpoint), and the path below it (starts with `/`, or is empty).
    pub fn find<'s, 'p>(&'s self, path: &'p str) -> Option<(&'s Arc<Stage>, &'s str, &'p str)> {
        match self {
            Self::Mappings(mappings) => mappings.find(path),
            Self::Stages(stages) => {
                let inner = path.strip_prefix('/').unwrap_or(path);
                let (first, _) = inner.split_once('/').unwrap_or((inner, ""));
                if let Some((name, stage)) = stages.get_key_value(first) {
                    return Some((stage, name, &inner[first.len()..]));
                }
                stages.get("$default").map(|stage| (stage, "", path))
            }
        }
    }
}

impl Mappings {
    fn new(mut entries: Vec<(String, Arc<Stage>)>) -> Self {
        entries.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
        let multi_level = entries.iter().any(|(key, _)| key.contains('/'));
        Self { entries, multi_level }
    }

    fn find<'s, 'p>(&'s self, path: &'p str) -> Option<(&'s Arc<Stage>, &'s str, &'p str)> {
        let inner = path.strip_prefix('/').unwrap_or(path);
        self.entries.iter().find_map(|(key, stage)| {
            if key.is_empty() {
                return Some((stage, key.as_str(), path));
            }
            let rest = inner.strip_prefix(key.as_str())?;
            let whole = rest.is_empty() || rest.starts_with('/');
            (whole || self.multi_level).then_some((stage, key.as_str(), rest))
        })
    }
}

struct Compiler<'a> {
    state: &'a State,
    previous: &'a Snapshot,
    keyring: &'a Keyring,
    defaults: &'a Defaults,
    at: UnixMillis,
    next: Snapshot,
}

impl Compiler<'_> {
    fn place(&mut self, name: &str, outcome: Result<Arc<Domain>, String>) {
        match outcome {
            Err(what) => self.next.faults.push(Fault { name: name.to_owned(), what }),
            Ok(domain) => {
                match name.strip_prefix("*.") {
                    Some(parent) => self.next.wildcard.insert(parent.to_owned(), domain),
                    None => self.next.exact.insert(name.to_owned(), domain),
                };
            }
        }
    }

    fn old(&self, name: &str) -> Option<&Arc<Domain>> {
        match name.strip_prefix("*.") {
            Some(parent) => self.previous.wildcard.get(parent),
            None => self.previous.exact.get(name),
        }
    }

    fn custom_domain(&mut self, domain: &Arc<resource::Domain>) -> Result<Arc<Domain>, String> {
        let mut mappings: Vec<Arc<resource::ApiMapping>> = Vec::new();
        let mut entries = Vec::new();
        for mapping in State::of(&self.state.mappings, &domain.name) {
            if let Some(stage) = self.next.stages.get(&(mapping.api_id.clone(), mapping.stage.clone())) {
                entries.push((mapping.key.clone(), stage.clone()));
                mappings.push(mapping.clone());
            }
        }
        let certificate = self.state.certificates.get(&domain.certificate_arn);
        let certificate =
            certificate.ok_or_else(|| format!("certificate {} does not exist", domain.certificate_arn))?;
        let truststore = match &domain.mutual_tls {
            Some(mutual) => {
                Some(self.state.truststores.get(&mutual.digest).ok_or("its truststore is missing from the store")?)
            }
            None => None,
        };
        let sources = Sources {
            domain: Some(domain.clone()),
            server: ServerSource::Imported(certificate.clone()),
            truststore: truststore.cloned(),
            mappings,
            stages: entries.iter().map(|(_, stage)| stage.clone()).collect(),
        };
        if let Some(old) = self.old(&domain.name).filter(|old| old.sources.same(&sources)).cloned() {
            self.keep_truststores(domain);
            return Ok(old);
        }
        Ok(Arc::new(Domain {
            name: domain.name.clone(),
            region: domain.region.clone(),
            certificate: self.server_certificate(&domain.name, &sources.server)?,
            trust: self.trust(domain, sources.truststore.as_ref())?,
            paths: Paths::Mappings(Mappings::new(entries)),
            sources,
        }))
    }

    fn endpoint(&mut self, api: &Arc<resource::Api>, name: &str) -> Result<Arc<Domain>, String> {
        let endpoint = self.state.endpoints.get(&api.region);
        let endpoint = endpoint.ok_or_else(|| format!("there is no endpoint certificate for {}", api.region))?;
        let stages: BTreeMap<String, Arc<Stage>> = State::of(&self.state.stages, &api.id)
            .filter_map(|stage| self.next.stages.get(&(api.id.clone(), stage.name.clone())))
            .map(|stage| (stage.name.clone(), stage.clone()))
            .collect();
        let sources = Sources {
            domain: None,
            server: ServerSource::Endpoint(endpoint.clone()),
            truststore: None,
            mappings: Vec::new(),
            stages: stages.values().cloned().collect(),
        };
        let certificate = self.endpoint_certificate(endpoint)?;
        if let Some(old) = self.old(name).filter(|old| old.sources.same(&sources)) {
            return Ok(old.clone());
        }
        Ok(Arc::new(Domain {
            name: name.to_owned(),
            region: api.region.clone(),
            certificate,
            trust: None,
            paths: Paths::Stages(stages),
            sources,
        }))
    }
}

/// Certificates and truststores.
impl Compiler<'_> {
    fn server_certificate(&self, name: &str, source: &ServerSource) -> Result<Arc<ServerCertificate>, String> {
        if let Some(old) = self.old(name).filter(|old| old.certificate.source.same(source)) {
            return Ok(old.certificate.clone());
        }
        self.open_certificate(source)
    }

    fn open_certificate(&self, source: &ServerSource) -> Result<Arc<ServerCertificate>, String> {
        let (resource, sealed, chain) = match source {
            ServerSource::Imported(certificate) => {
                let above = certificate.chain.as_deref().unwrap_or_default();
                let chain = format!("{}\n{above}", certificate.certificate.trim_end());
                (certificate.arn.clone(), &certificate.private_key, chain)
            }
            ServerSource::Endpoint(endpoint) => {
                (format!("endpoints/{}", endpoint.region), &endpoint.private_key, endpoint.certificate.clone())
            }
        };
        let key = self.keyring.open(&resource, sealed).map_err(|e| format!("the private key of {resource}: {e}"))?;
        Ok(Arc::new(ServerCertificate { chain, key, source: source.clone() }))
    }

    fn endpoint_certificate(&mut self, endpoint: &Arc<resource::Endpoint>) -> Result<Arc<ServerCertificate>, String> {
        if let Some(placed) = self.next.endpoints.get(&endpoint.region) {
            return Ok(placed.clone());
        }
        let source = ServerSource::Endpoint(endpoint.clone());
        let old = self.previous.endpoints.get(&endpoint.region).filter(|old| old.source.same(&source));
        let certificate = match old {
            Some(old) => old.clone(),
            None => self.open_certificate(&source)?,
        };
        self.next.endpoints.insert(endpoint.region.clone(), certificate.clone());
        Ok(certificate)
    }

    fn trust(
        &mut self,
        domain: &Arc<resource::Domain>,
        bytes: Option<&Arc<resource::TruststoreBytes>>,
    ) -> Result<Option<Arc<Trust>>, String> {
        let same = |old: &&Arc<Domain>| {
            same_option(old.sources.domain.as_ref(), Some(domain))
                && same_option(old.sources.truststore.as_ref(), bytes)
        };
        if let Some(old) = self.old(&domain.name).filter(same).cloned() {
            self.keep_truststores(domain);
            return Ok(old.trust.clone());
        }
        let Some(mutual) = &domain.mutual_tls else { return Ok(None) };
        let tags = DomainTags::parse(&domain.tags).map_err(|e| e.to_string())?;
        let truststore = self.truststore(&mutual.digest)?;
        let newer = match &mutual.newest {
            Some(newest) => newest
                .digest
                .as_ref()
                .and_then(|digest| self.truststore(digest).ok())
                .map(|t| (newest.version.clone(), t)),
            None => None,
        };
        Ok(Some(Arc::new(Trust {
            truststore,
            uri: mutual.truststore_uri.clone(),
            version: mutual.read_version.clone(),
            policy: tags.policy(),
            rejection: tags.rejection.unwrap_or(self.defaults.rejection),
            newer,
        })))
    }

    fn truststore(&mut self, digest: &str) -> Result<Truststore, String> {
        let bytes = self
            .state
            .truststores
            .get(digest)
            .ok_or_else(|| format!("truststore {digest} is missing from the store"))?;
        let known = self.next.truststores.get(digest).or_else(|| self.previous.truststores.get(digest));
        let compiled = match known.filter(|(source, _)| Arc::ptr_eq(source, bytes)) {
            Some((_, truststore)) => truststore.clone(),
            None => Truststore::compile(&bytes.pem, self.at / 1000).map_err(|e| format!("truststore {digest}: {e}"))?.0,
        };
        self.next.truststores.insert(digest.to_owned(), (bytes.clone(), compiled.clone()));
        Ok(compiled)
    }

    /// What an unchanged domain uses is kept for the next compilation too.
    fn keep_truststores(&mut self, domain: &resource::Domain) {
        let Some(mutual) = &domain.mutual_tls else { return };
        let newest = mutual.newest.as_ref().and_then(|newest| newest.digest.as_ref());
        for digest in [Some(&mutual.digest), newest].into_iter().flatten() {
            if let Some(known) = self.previous.truststores.get(digest) {
                self.next.truststores.insert(digest.clone(), known.clone());
            }
        }
    }
}

/// Stages.
impl Compiler<'_> {
    fn stages(&mut self) {
        for (api_id, stages) in self.state.stages.iter() {
            let Some(api) = self.state.apis.get(api_id) else { continue };
            for stage in stages.values() {
                let compiled = self.stage(api, stage);
                self.next.stages.insert((api_id.clone(), stage.name.clone()), compiled);
            }
        }
    }

    fn stage(&mut self, api: &Arc<resource::Api>, stage: &Arc<resource::Stage>) -> Arc<Stage> {
        let deployment =
            stage.deployment_id.as_ref().and_then(|id| State::one(&self.state.deployments, &api.id, id)).cloned();
        let sources = (stage.clone(), deployment, api.clone());
        let old = self.previous.stages.get(&(api.id.clone(), stage.name.clone()));
        if let Some(old) = old.filter(|old| same_stage(&old.sources, &sources)) {
            return old.clone();
        }
        let deployment = sources.1.as_deref();
        let throttles = throttles(stage, deployment, old.map(|old| &old.throttles));
        Arc::new(Stage {
            api_id: api.id.clone(),
            region: api.region.clone(),
            name: stage.name.clone(),
            router: deployment.map(|deployment| self.router(stage, deployment, &throttles)),
            endpoint_disabled: deployment.is_some_and(|deployment| deployment.disable_execute_api_endpoint),
            cors: deployment.and_then(|deployment| deployment.cors.clone()),
            access_log: stage.access_log.as_ref().and_then(AccessLog::of),
            throttles,
            sources,
        })
    }

    fn router(
        &mut self,
        stage: &resource::Stage,
        deployment: &resource::Deployment,
        throttles: &BTreeMap<String, Arc<Throttle>>,
    ) -> Router<Route> {
        let mut integrations = HashMap::new();
        for integration in &deployment.integrations {
            match Integration::of(integration, stage) {
                Ok(compiled) => {
                    integrations.insert(integration.id.as_str(), Arc::new(compiled));
                }
                Err(what) => {
                    let name = format!("{}/{} integration {}", stage.api_id, stage.name, integration.id);
                    self.next.faults.push(Fault { name, what });
                }
            }
        }
        Router::new(deployment.routes.iter().filter_map(|route| {
            let key = RouteKey::parse(&route.route_key).ok()?;
            let compiled = Route {
                key: route.route_key.as_str().into(),
                is_default: key == RouteKey::Default,
                integration: route.integration_id.as_deref().and_then(|id| integrations.get(id)).cloned(),
                throttle: throttles.get(&route.route_key).cloned(),
            };
            Some((key, compiled))
        }))
    }
}

/// Every route has a bucket of its own, be its limits the stage's default.
fn throttles(
    stage: &resource::Stage,
    deployment: Option<&resource::Deployment>,
    previous: Option<&BTreeMap<String, Arc<Throttle>>>,
) -> BTreeMap<String, Arc<Throttle>> {
    let routes = deployment.map_or(&[][..], |deployment| &deployment.routes);
    let bucket = |key: &String| {
        let previous = previous.and_then(|previous| previous.get(key));
        Throttle::of(stage.route_settings.get(key), &stage.default_route_settings, previous)
    };
    routes.iter().filter_map(|route| Some((route.route_key.clone(), bucket(&route.route_key)?))).collect()
}

impl Integration {
    fn of(integration: &resource::Integration, stage: &resource::Stage) -> Result<Self, String> {
        Ok(Self {
            id: integration.id.clone(),
            target: Target::parse(&integration.uri, &stage.variables).map_err(|e| e.to_string())?,
            method: integration.method.clone().filter(|method| method != "ANY"),
            timeout_ms: integration.timeout_ms,
            request_mapping: Mapping::of_request(&integration.request_parameters, &stage.variables)
                .map_err(|e| e.to_string())?,
            response_mappings: integration
                .response_parameters
                .iter()
                .map(|(status, parameters)| {
                    let status = status.parse().map_err(|_| format!("{status} is no status code"))?;
                    let mapping = Mapping::of_response(parameters, &stage.variables).map_err(|e| e.to_string())?;
                    Ok((status, mapping))
                })
                .collect::<Result<_, String>>()?,
            server_name: integration.server_name_to_verify.clone(),
        })
    }
}

impl AccessLog {
    /// `arn:aws:logs:{region}:{account}:log-group:{name}[:*]`
    fn of(settings: &resource::AccessLog) -> Option<Self> {
        let mut parts = settings.destination_arn.splitn(7, ':').skip(3);
        let region = parts.next()?.to_owned();
        let name = parts.nth(2)?;
        let group = name.strip_suffix(":*").unwrap_or(name).to_owned();
        // Its length was checked when it was set.
        let format = Template::parse(&settings.format).ok()?;
        Some(Self { region, group, format })
    }
}

impl Sources {
    fn same(&self, other: &Self) -> bool {
        same_option(self.domain.as_ref(), other.domain.as_ref())
            && self.server.same(&other.server)
            && same_option(self.truststore.as_ref(), other.truststore.as_ref())
            && same_all(&self.mappings, &other.mappings)
            && same_all(&self.stages, &other.stages)
    }
}

impl ServerSource {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Imported(a), Self::Imported(b)) => Arc::ptr_eq(a, b),
            (Self::Endpoint(a), Self::Endpoint(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

type StageSources = (Arc<resource::Stage>, Option<Arc<resource::Deployment>>, Arc<resource::Api>);

fn same_stage(a: &StageSources, b: &StageSources) -> bool {
    // Of the API itself only id and region are used, which never change.
    Arc::ptr_eq(&a.0, &b.0) && same_option(a.1.as_ref(), b.1.as_ref())
}

fn same_option<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn same_all<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}
