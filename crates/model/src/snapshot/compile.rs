//! From one revision of the settings to a [`Snapshot`], taking from the one before whatever has not changed.
//!
//! What a thing was compiled from is kept beside it: while its sources are the same objects, it is the same object, and so
//! is what the data plane made of it (TLS configurations, tickets, judgements).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use trust::{Crl, Revocations, Truststore};

use super::api_keys::{OpenedKeys, StageKeys};
use super::authorization::authorizers;
use super::upstream::{Backends, ClientSource, UpstreamSettings, UpstreamTrust, Upstreams};
use super::{
    AccessKey, AccessLog, Authorization, Backend, Defaults, Dialect, Domain, Fault, FunctionIntegration, Integration,
    Mappings, Paths, Route, RoutingRules, ServerCertificate, Shadow, Snapshot, Stage, Trust, endpoint_name, rest,
};
use crate::mapping::Mapping;
use crate::pattern::RouteKey;
use crate::resource::{self, IntegrationKind};
use crate::router::Router;
use crate::state::Nested;
use crate::target::Target;
use crate::template::Template;
use crate::{ApiTags, Blobs, BoundTokens, ClientLimits, DomainTags, Keyring, State, Throttle, UnixMillis};

/// See [`Snapshot::compile`].
pub(super) fn compile(
    state: &State,
    previous: &Snapshot,
    blobs: &Blobs,
    keyring: &Keyring,
    defaults: &Defaults,
    at: UnixMillis,
) -> Snapshot {
    let mut compiler = Compiler { state, previous, blobs, keyring, defaults, at, next: Snapshot::default() };
    compiler.next.revision = state.revision;
    compiler.next.defaults = Some(defaults.clone());
    compiler.next.upstreams = Upstreams::after(&previous.upstreams);
    compiler.upstream_cas();
    compiler.api_keys();
    compiler.stages();
    compiler.access_keys();
    for domain in state.domains.values() {
        let outcome = compiler.custom_domain(domain);
        compiler.place(&domain.name, outcome);
    }
    for api in state.apis.values() {
        let name = endpoint_name(&api.id, &api.region, &defaults.execute_api_suffix);
        let outcome = compiler.endpoint(&api.id, &api.region, Dialect::Http, &name);
        compiler.place(&name, outcome);
    }
    for api in state.rest_apis.values() {
        let name = endpoint_name(&api.id, &api.region, &defaults.execute_api_suffix);
        let outcome = compiler.endpoint(&api.id, &api.region, Dialect::Rest, &name);
        compiler.place(&name, outcome);
    }
    compiler.next
}

/// Digests that are named by what is compiled, and were not compiled in `previous`.
pub(super) fn missing<'s>(state: &'s State, previous: &Snapshot) -> BTreeSet<&'s str> {
    let named = state.domains.values().flat_map(|domain| compiled_blobs(domain));
    let named = named.filter(|digest| !previous.truststores.contains_key(*digest));
    let lists = state.domains.values().flat_map(|domain| crl_blobs(domain));
    let of_backends = state.upstream_cas.values().map(|ca| ca.object.digest.as_str());
    let of_backends = of_backends.filter(|digest| !previous.upstream_cas.contains_key(*digest));
    named.chain(lists.filter(|digest| !previous.crls.contains_key(*digest))).chain(of_backends).collect()
}

/// Revocation lists that a domain names.
fn crl_blobs(domain: &resource::Domain) -> impl Iterator<Item = &str> {
    domain.crls.iter().map(|list| list.digest.as_str())
}

/// Truststores that a domain names, but those of its history.
fn compiled_blobs(domain: &resource::Domain) -> impl Iterator<Item = &str> {
    let truststores = domain.mutual_tls.iter().chain(&domain.shadow);
    truststores.flat_map(|object| {
        let newest = object.newest.as_ref().and_then(|newest| newest.digest.as_deref());
        std::iter::once(object.digest.as_str()).chain(newest)
    })
}

struct Compiler<'a> {
    state: &'a State,
    previous: &'a Snapshot,
    blobs: &'a Blobs,
    keyring: &'a Keyring,
    defaults: &'a Defaults,
    at: UnixMillis,
    next: Snapshot,
}

impl Compiler<'_> {
    fn place(&mut self, name: &str, outcome: Result<Arc<Domain>, String>) {
        let domain = outcome.map_err(|what| self.next.faults.push(Fault { name: name.to_owned(), what })).ok();
        match (name.strip_prefix("*."), domain) {
            (Some(parent), Some(domain)) => drop(self.next.wildcard.insert(parent.to_owned(), domain)),
            (Some(_), None) => {}
            (None, domain) => drop(self.next.exact.insert(name.to_owned(), domain)),
        }
    }

    fn old(&self, name: &str) -> Option<&Arc<Domain>> {
        match name.strip_prefix("*.") {
            Some(parent) => self.previous.wildcard.get(parent),
            None => self.previous.exact.get(name)?.as_ref(),
        }
    }

    /// Whether what a domain's tags do not say is what it was.
    fn same_defaults(&self) -> bool {
        self.previous.defaults.as_ref() == Some(self.defaults)
    }

    fn custom_domain(&mut self, domain: &Arc<resource::Domain>) -> Result<Arc<Domain>, String> {
        let (with_rules, with_mappings) = match domain.routing_mode.as_str() {
            "ROUTING_RULE_ONLY" => (true, false),
            "ROUTING_RULE_THEN_API_MAPPING" => (true, true),
            _ => (false, true),
        };
        let mappings = self.leading(&self.state.mappings, domain, with_mappings, |at| (&at.api_id, &at.stage));
        let rules = self.leading(&self.state.routing_rules, domain, with_rules, |at| (&at.api_id, &at.stage));
        let certificate = self.state.certificates.get(&domain.certificate_arn);
        let certificate =
            certificate.ok_or_else(|| format!("certificate {} does not exist", domain.certificate_arn))?;
        let sources = Sources {
            domain: Some(domain.clone()),
            server: ServerSource::Imported(certificate.clone()),
            mappings: mappings.iter().map(|(mapping, _)| mapping.clone()).collect(),
            rules: rules.iter().map(|(rule, _)| rule.clone()).collect(),
            stages: mappings
                .iter()
                .map(|(_, stage)| stage)
                .chain(rules.iter().map(|(_, stage)| stage))
                .cloned()
                .collect(),
        };
        let same = |old: &&Arc<Domain>| self.same_defaults() && old.sources.same(&sources);
        if let Some(old) = self.old(&domain.name).filter(same).cloned() {
            self.keep_truststores(domain);
            return Ok(old);
        }
        Ok(Arc::new(Domain {
            name: domain.name.clone(),
            region: domain.region.clone(),
            certificate: self.server_certificate(&domain.name, &sources.server)?,
            trust: self.trust(domain)?,
            dialect: Dialect::common(&sources.stages),
            paths: Paths::Custom(
                RoutingRules::new(rules.iter().map(|(rule, stage)| (&**rule, stage.clone()))),
                Mappings::new(mappings.iter().map(|(mapping, stage)| (mapping.key.clone(), stage.clone())).collect()),
            ),
            bound_tokens: DomainTags::parse(&domain.tags).map_err(|e| e.to_string())?.bound_tokens,
            sources,
        }))
    }

    /// What of a domain leads to a stage that there is, with the stage; nothing where its `routingMode` does not ask it.
    fn leading<R>(
        &self,
        resources: &Nested<R>,
        domain: &resource::Domain,
        is_asked: bool,
        stage: impl Fn(&R) -> (&String, &String),
    ) -> Vec<(Arc<R>, Arc<Stage>)> {
        let leads = |resource: &Arc<R>| {
            let (api_id, name) = stage(resource);
            Some((resource.clone(), self.next.stages.get(&(api_id.clone(), name.clone()))?.clone()))
        };
        State::of(resources, &domain.name).filter(|_| is_asked).filter_map(leads).collect()
    }

    fn endpoint(&mut self, api_id: &str, region: &str, dialect: Dialect, name: &str) -> Result<Arc<Domain>, String> {
        let endpoint = self.state.endpoints.get(region);
        let endpoint = endpoint.ok_or_else(|| format!("there is no endpoint certificate for {region}"))?;
        let stages: BTreeMap<String, Arc<Stage>> = State::of(&self.state.stages, api_id)
            .filter_map(|stage| self.next.stages.get(&(api_id.to_owned(), stage.name.clone())))
            .map(|stage| (stage.name.clone(), stage.clone()))
            .collect();
        let sources = Sources {
            domain: None,
            server: ServerSource::Endpoint(endpoint.clone()),
            mappings: Vec::new(),
            rules: Vec::new(),
            stages: stages.values().cloned().collect(),
        };
        let certificate = self.endpoint_certificate(endpoint)?;
        if let Some(old) = self.old(name).filter(|old| old.sources.same(&sources)) {
            return Ok(old.clone());
        }
        Ok(Arc::new(Domain {
            name: name.to_owned(),
            region: region.to_owned(),
            certificate,
            trust: None,
            paths: Paths::Stages(stages),
            bound_tokens: None,
            dialect,
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
                (certificate.arn.clone(), &certificate.private_key, certificate.whole_chain())
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

    fn trust(&mut self, domain: &Arc<resource::Domain>) -> Result<Option<Arc<Trust>>, String> {
        let same = |old: &&Arc<Domain>| self.same_defaults() && same_option(old.sources.domain.as_ref(), Some(domain));
        if let Some(old) = self.old(&domain.name).filter(same).cloned() {
            self.keep_truststores(domain);
            return Ok(old.trust.clone());
        }
        let Some(mutual) = &domain.mutual_tls else { return Ok(None) };
        let tags = DomainTags::parse(&domain.tags).map_err(|e| e.to_string())?;
        let truststore = self.truststore(&mutual.digest)?;
        // What only helps to explain must not keep the domain from being served.
        let newer = mutual.newest.as_ref().and_then(|newest| {
            let truststore = self.truststore(newest.digest.as_ref()?).ok()?;
            Some((newest.version.clone(), truststore))
        });
        let shadow = domain.shadow.as_ref().and_then(|object| match self.truststore(&object.digest) {
            Ok(truststore) => {
                Some(Shadow { truststore, uri: object.uri.clone(), version: object.read_version.clone() })
            }
            Err(what) => {
                self.next.faults.push(Fault { name: format!("the shadow truststore of {}", domain.name), what });
                None
            }
        });
        Ok(Some(Arc::new(Trust {
            truststore,
            uri: mutual.uri.clone(),
            version: mutual.read_version.clone(),
            shadow,
            identity_headers: tags.identity_headers,
            client_limits: ClientLimits::of(tags.client_rule, self.old_limits(&domain.name)),
            revocations: self.revocations(domain, &tags)?,
            policy: tags.policy(),
            rejection: tags.rejection.unwrap_or(self.defaults.rejection),
            newer,
        })))
    }

    fn old_limits(&self, name: &str) -> Option<&Arc<ClientLimits>> {
        self.old(name)?.trust.as_ref()?.client_limits.as_ref()
    }

    fn truststore(&mut self, digest: &str) -> Result<Truststore, String> {
        let known = self.next.truststores.get(digest).or_else(|| self.previous.truststores.get(digest));
        let compiled = match known {
            Some(truststore) => truststore.clone(),
            None => {
                let blob = self.blobs.get(digest);
                let blob = blob.ok_or_else(|| format!("truststore {digest} is missing from the store"))?;
                let compiled = Truststore::compile(blob.bytes(), self.at / 1000);
                compiled.map_err(|e| format!("truststore {digest}: {e}"))?.0
            }
        };
        self.next.truststores.insert(digest.to_owned(), compiled.clone());
        Ok(compiled)
    }

    /// A domain whose lists are not there is not served: without them it could let in who was revoked.
    fn revocations(&mut self, domain: &resource::Domain, tags: &DomainTags) -> Result<Option<Revocations>, String> {
        let Some(rules) = tags.revocation() else { return Ok(None) };
        let mut crls = Vec::new();
        for list in &domain.crls {
            crls.extend(self.crls(&list.digest)?);
        }
        Ok(Some(Revocations { rules, crls }))
    }

    fn crls(&mut self, digest: &str) -> Result<Vec<Arc<Crl>>, String> {
        let known = self.next.crls.get(digest).or_else(|| self.previous.crls.get(digest));
        let crls = match known {
            Some(crls) => crls.clone(),
            None => {
                let blob = self.blobs.get(digest);
                let blob = blob.ok_or_else(|| format!("revocation list {digest} is missing from the store"))?;
                let crls = Crl::read(blob.bytes()).map_err(|e| format!("revocation list {digest}: {e}"))?;
                crls.into_iter().map(Arc::new).collect()
            }
        };
        self.next.crls.insert(digest.to_owned(), crls.clone());
        Ok(crls)
    }

    /// What an unchanged domain uses is kept for the next compilation too.
    fn keep_truststores(&mut self, domain: &resource::Domain) {
        for digest in compiled_blobs(domain) {
            if let Some(known) = self.previous.truststores.get(digest) {
                self.next.truststores.insert(digest.to_owned(), known.clone());
            }
        }
        for digest in crl_blobs(domain) {
            if let Some(known) = self.previous.crls.get(digest) {
                self.next.crls.insert(digest.to_owned(), known.clone());
            }
        }
    }
}

/// What a stage takes of its API, of whichever kind.
struct OfApi<'a> {
    region: &'a str,
    tags: &'a resource::Tags,
    dialect: Dialect,
}

/// Stages.
impl Compiler<'_> {
    fn stages(&mut self) {
        for (api_id, stages) in self.state.stages.iter() {
            let http = self.state.apis.get(api_id).map(|api| OfApi {
                region: &api.region,
                tags: &api.tags,
                dialect: Dialect::Http,
            });
            let rest = || {
                let api = self.state.rest_apis.get(api_id)?;
                Some(OfApi { region: &api.region, tags: &api.tags, dialect: Dialect::Rest })
            };
            let Some(api) = http.or_else(rest) else { continue };
            for stage in stages.values() {
                let compiled = self.stage(&api, stage);
                self.next.faults.extend(compiled.faults.iter().cloned());
                self.next.stages.insert((api_id.clone(), stage.name.clone()), compiled);
            }
        }
    }

    fn api_keys(&mut self) {
        let previous = self.previous.api_keys.as_ref();
        self.next.api_keys = OpenedKeys::of(self.state, previous, self.keyring, &mut self.next.faults);
    }

    /// A key that does not open signs nothing here.
    fn access_keys(&mut self) {
        if !self.next.stages.values().any(|stage| stage.asks_for_signatures) {
            return;
        }
        for (id, key) in self.state.access_keys.iter() {
            match AccessKey::of(key, self.previous.access_keys.get(id), self.keyring) {
                Ok(opened) => drop(self.next.access_keys.insert(id.clone(), opened)),
                Err(what) => self.next.faults.push(Fault { name: format!("access key {id}"), what }),
            }
        }
    }

    fn stage(&mut self, api: &OfApi<'_>, stage: &Arc<resource::Stage>) -> Arc<Stage> {
        let OfApi { region, dialect, .. } = *api;
        let api_id = &stage.api_id;
        let deployment =
            stage.deployment_id.as_ref().and_then(|id| State::one(&self.state.deployments, api_id, id)).cloned();
        let sources = (stage.clone(), deployment);
        let old = self.previous.stages.get(&(api_id.clone(), stage.name.clone()));
        let mut faults = Vec::new();
        let tags = api_tags(api_id, api.tags, &mut faults);
        let upstream = self.upstream_settings(stage, &tags);
        let deployment = sources.1.as_deref();
        let api_keys = self.stage_keys(stage, deployment, old);
        let same = |old: &&Arc<Stage>| {
            same_stage(&old.sources, &sources)
                && old.bound_tokens == tags.bound_tokens
                && old.upstream.same(&upstream)
                && same_option(old.api_keys.as_ref(), api_keys.as_ref())
        };
        if let Some(old) = old.filter(same) {
            return old.clone();
        }
        let throttles = throttles(stage, deployment, old.map(|old| &old.throttles));
        let trust = self.upstream_trust(&upstream);
        let mut backends = Backends { known: &mut self.next.upstreams, settings: &upstream, trust: &trust, stage };
        let signed = |route: &resource::Route| route.authorization == resource::Authorization::AwsIam;
        Arc::new(Stage {
            api_id: api_id.clone(),
            region: region.to_owned(),
            name: stage.name.clone(),
            dialect,
            router: deployment
                .filter(|_| dialect == Dialect::Http)
                .map(|deployment| router(&mut backends, deployment, &throttles, &mut faults)),
            resources: deployment
                .filter(|_| dialect == Dialect::Rest)
                .map(|deployment| rest::router(&mut backends, deployment, &throttles, &mut faults)),
            deployment_id: stage.deployment_id.clone(),
            endpoint_disabled: deployment.is_some_and(|deployment| deployment.disable_execute_api_endpoint),
            cors: deployment.and_then(|deployment| deployment.cors.clone()),
            bound_tokens: tags.bound_tokens,
            upstream,
            api_keys,
            asks_for_signatures: deployment.is_some_and(|deployment| deployment.routes.iter().any(signed)),
            access_log: stage.access_log.as_ref().and_then(AccessLog::of),
            throttles,
            faults,
            sources,
        })
    }

    /// The keys of a stage, where a method asks for one.
    fn stage_keys(
        &self,
        stage: &resource::Stage,
        deployment: Option<&resource::Deployment>,
        old: Option<&Arc<Stage>>,
    ) -> Option<Arc<StageKeys>> {
        let asks = |resource: &resource::RestResource| resource.methods.values().any(|method| method.api_key_required);
        let keys =
            self.next.api_keys.as_ref().filter(|_| deployment.is_some_and(|found| found.resources.iter().any(asks)));
        StageKeys::of(stage, self.state, keys?, old.and_then(|old| old.api_keys.as_ref()))
    }
}

/// How stages reach https backends.
impl Compiler<'_> {
    /// CAs of backends stay as long as an API names them.
    fn upstream_cas(&mut self) {
        for ca in self.state.upstream_cas.values() {
            let digest = &ca.object.digest;
            let read = || self.blobs.get(digest).map(|blob| Arc::from(blob.bytes()));
            if let Some(pem) = self.previous.upstream_cas.get(digest).cloned().or_else(read) {
                self.next.upstream_cas.insert(digest.clone(), pem);
            }
        }
    }

    /// What a stage shows goes before what its API's tag names.
    fn upstream_settings(&self, stage: &resource::Stage, tags: &ApiTags) -> UpstreamSettings {
        let mut settings = UpstreamSettings { protocol: tags.upstream_protocol, ..UpstreamSettings::default() };
        let state = self.state;
        let (named, found) = match (&stage.client_certificate_id, &tags.upstream_certificate) {
            (Some(id), _) => (Some(id), state.client_certificates.get(id).cloned().map(ClientSource::ApiGateway)),
            (None, Some(arn)) => (Some(arn), state.certificates.get(arn).cloned().map(ClientSource::Acm)),
            (None, None) => (None, None),
        };
        settings.certificate = found;
        if let Some(named) = named.filter(|_| settings.certificate.is_none()) {
            settings.fault = Some(format!("the certificate for backends {named} does not exist"));
        }
        if tags.upstream_ca.is_some() {
            settings.ca = state.upstream_cas.get(&stage.api_id).map(|ca| ca.object.digest.clone());
            if settings.ca.is_none() {
                settings.fault = Some("the CA of the backends was not read".to_owned());
            }
        }
        settings
    }

    /// Where something of it is missing, nothing is sent: not without the certificate, nor to whoever else a CA certifies.
    fn upstream_trust(&self, settings: &UpstreamSettings) -> Result<UpstreamTrust, String> {
        if let Some(fault) = &settings.fault {
            return Err(fault.clone());
        }
        let ca = settings.ca.as_ref().map(|digest| {
            let found = self.next.upstream_cas.get(digest).cloned();
            found.ok_or_else(|| format!("the CA of the backends {digest} is missing from the store"))
        });
        let identity = settings.certificate.as_ref().map(|source| source.open(self.keyring).map(Arc::new));
        Ok(UpstreamTrust { identity: identity.transpose()?, ca: ca.transpose()? })
    }
}

fn router(
    backends: &mut Backends<'_>,
    deployment: &resource::Deployment,
    throttles: &BTreeMap<String, Arc<Throttle>>,
    faults: &mut Vec<Fault>,
) -> Router<Route> {
    let stage = backends.stage;
    let mut integrations = HashMap::new();
    for integration in &deployment.integrations {
        match Backend::of(integration, backends) {
            Ok(compiled) => {
                integrations.insert(integration.id.as_str(), compiled);
            }
            Err(what) => {
                let name = format!("{}/{} integration {}", stage.api_id, stage.name, integration.id);
                faults.push(Fault { name, what });
            }
        }
    }
    let authorizers = authorizers(deployment, |id, what| {
        faults.push(Fault { name: format!("{}/{} authorizer {id}", stage.api_id, stage.name), what });
    });
    Router::new(deployment.routes.iter().filter_map(|route| {
        let key = RouteKey::parse(&route.route_key).ok()?;
        let compiled = Route {
            key: route.route_key.as_str().into(),
            is_default: key == RouteKey::Default,
            backend: route.integration_id.as_deref().and_then(|id| integrations.get(id)).cloned(),
            authorization: Authorization::of(&route.authorization, &authorizers),
            api_key_required: false,
            throttle: throttles.get(&route.route_key).cloned(),
            resource: None,
        };
        Some((key, compiled))
    }))
}

/// What cannot be read is as strict as can be: it was checked when it was set.
fn api_tags(api_id: &str, tags: &resource::Tags, faults: &mut Vec<Fault>) -> ApiTags {
    ApiTags::parse(tags).unwrap_or_else(|error| {
        faults.push(Fault { name: format!("the tags of API {api_id}"), what: error.to_string() });
        ApiTags { bound_tokens: Some(BoundTokens::Required), ..ApiTags::default() }
    })
}

/// Every route has a bucket of its own, be its limits the stage's default.
fn throttles(
    stage: &resource::Stage,
    deployment: Option<&resource::Deployment>,
    previous: Option<&BTreeMap<String, Arc<Throttle>>>,
) -> BTreeMap<String, Arc<Throttle>> {
    let routes = deployment.iter().flat_map(|deployment| {
        deployment.routes.iter().map(|route| route.route_key.clone()).chain(rest::setting_keys(deployment))
    });
    let bucket = |key: &String| {
        let previous = previous.and_then(|previous| previous.get(key));
        Throttle::of(stage.route_settings.get(key), &stage.default_route_settings, previous)
    };
    routes.filter_map(|key| bucket(&key).map(|bucket| (key, bucket))).collect()
}

impl Backend {
    fn of(integration: &resource::Integration, backends: &mut Backends<'_>) -> Result<Self, String> {
        Ok(match integration.kind {
            IntegrationKind::HttpProxy => Self::Http(Arc::new(Integration::of(integration, backends)?)),
            IntegrationKind::AwsProxy => {
                Self::Function(Arc::new(FunctionIntegration::of(integration, backends.stage)?))
            }
        })
    }
}

/// By the backend's status code.
pub(super) fn response_mappings(
    integration: &resource::Integration,
    stage: &resource::Stage,
) -> Result<BTreeMap<u16, Mapping>, String> {
    let read = |(status, parameters): (&String, &BTreeMap<String, String>)| {
        let status = status.parse().map_err(|_| format!("{status} is no status code"))?;
        let mapping = Mapping::of_response(parameters, &stage.variables).map_err(|e| e.to_string())?;
        Ok((status, mapping))
    };
    integration.response_parameters.iter().map(read).collect()
}

impl Integration {
    fn of(integration: &resource::Integration, backends: &mut Backends<'_>) -> Result<Self, String> {
        let stage = backends.stage;
        let target = Target::parse(&integration.uri, &stage.variables).map_err(|e| e.to_string())?;
        Ok(Self {
            id: integration.id.clone(),
            upstream: backends.of(&target, integration.server_name_to_verify.as_deref())?,
            target,
            method: integration.method.clone().filter(|method| method != "ANY"),
            timeout_ms: integration.timeout_ms,
            request_mapping: Mapping::of_request(&integration.request_parameters, &stage.variables)
                .map_err(|e| e.to_string())?,
            path_mapping: None,
            response_mappings: response_mappings(integration, stage)?,
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

/// What a domain was compiled from; while these are the same, so is the domain.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    domain: Option<Arc<resource::Domain>>,
    server: ServerSource,
    mappings: Vec<Arc<resource::ApiMapping>>,
    rules: Vec<Arc<resource::RoutingRule>>,
    stages: Vec<Arc<Stage>>,
}

#[derive(Clone, Debug)]
pub(super) enum ServerSource {
    Imported(Arc<resource::Certificate>),
    Endpoint(Arc<resource::Endpoint>),
}

impl Sources {
    fn same(&self, other: &Self) -> bool {
        same_option(self.domain.as_ref(), other.domain.as_ref())
            && self.server.same(&other.server)
            && same_all(&self.mappings, &other.mappings)
            && same_all(&self.rules, &other.rules)
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

pub(super) type StageSources = (Arc<resource::Stage>, Option<Arc<resource::Deployment>>);

fn same_stage(a: &StageSources, b: &StageSources) -> bool {
    // Of the API itself only id, region and kind are used, which never change, and tags, which are looked at.
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
