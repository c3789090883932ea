//! From one revision of the settings to a [`Snapshot`], taking from the one before whatever has not changed.
//!
//! What a thing was compiled from is kept beside it: while its sources are the same objects, it is the same object, and so
//! is what the data plane made of it (TLS configurations, tickets, judgements).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use trust::{Crl, Revocations, Truststore};

use super::touched::Touched;
use super::{
    AccessLog, Defaults, Domain, Fault, Integration, Mappings, Owner, Paths, Route, ServerCertificate, Shadow,
    Snapshot, Stage, Trust, endpoint_name,
};
use crate::mapping::Mapping;
use crate::pattern::RouteKey;
use crate::resource;
use crate::router::Router;
use crate::target::Target;
use crate::template::Template;
use crate::{Blobs, DomainTags, Keyring, State, Throttle, UnixMillis};

/// See [`Snapshot::compile`].
pub(super) fn compile(
    state: &State,
    previous: &Snapshot,
    blobs: &Blobs,
    keyring: &Keyring,
    defaults: &Defaults,
    at: UnixMillis,
) -> Snapshot {
    let base = base(previous, defaults);
    let touched = Touched::between(&base, state);
    let next =
        Snapshot { revision: state.revision, state: state.clone(), defaults: Some(defaults.clone()), ..base.clone() };
    let mut compiler = Compiler { state, previous, blobs, keyring, defaults, at, next, faults: Vec::new() };
    for api_id in &touched.apis {
        compiler.stages(api_id);
    }
    for name in &touched.domains {
        compiler.custom_domain(name);
    }
    for api_id in &touched.endpoints {
        compiler.endpoint(&base.state, api_id);
    }
    compiler.forget(&touched, &base.state);
    compiler.next.faults = compiler.next.broken.values().flatten().cloned().collect();
    compiler.next
}

/// What the next snapshot is made on: nothing, where what the domains' tags do not say has changed.
fn base(previous: &Snapshot, defaults: &Defaults) -> Snapshot {
    if previous.defaults.as_ref() == Some(defaults) { previous.clone() } else { Snapshot::default() }
}

/// Digests that are named by what is to be compiled, and were not compiled in `previous`.
pub(super) fn missing<'s>(state: &'s State, previous: &'s Snapshot) -> BTreeSet<&'s str> {
    let (truststores, lists) = Touched::between(previous, state).blobs(state);
    let truststores = truststores.into_iter().filter(|digest| !previous.truststores.contains_key(*digest));
    truststores.chain(lists.into_iter().filter(|digest| !previous.crls.contains_key(*digest))).collect()
}

/// Revocation lists that a domain names.
pub(super) fn crl_blobs(domain: &resource::Domain) -> impl Iterator<Item = &str> {
    domain.crls.iter().map(|list| list.digest.as_str())
}

/// Truststores that a domain names, but those of its history.
pub(super) fn compiled_blobs(domain: &resource::Domain) -> impl Iterator<Item = &str> {
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
    /// Of what is being compiled.
    faults: Vec<Fault>,
}

/// What is looked up by name.
impl Compiler<'_> {
    fn custom_domain(&mut self, name: &str) {
        let compiled = self.state.domains.get(name).map(|domain| self.domain_of(domain));
        self.place(Owner::Domain(name.to_owned()), name, compiled);
        // A domain may have the name of an API's endpoint, which comes first.
        let api = name.split('.').next().and_then(|id| self.state.apis.get(id));
        if let Some(api) = api.filter(|api| self.endpoint_name(api) == name) {
            let compiled = self.endpoint_of(api, name);
            self.place(Owner::Endpoint(api.id.clone()), name, Some(compiled));
        }
    }

    fn endpoint(&mut self, before: &State, api_id: &str) {
        let owner = Owner::Endpoint(api_id.to_owned());
        let Some(api) = self.state.apis.get(api_id) else {
            let Some(gone) = before.apis.get(api_id) else { return };
            let name = self.endpoint_name(gone);
            self.place(owner, &name, None);
            return self.custom_domain(&name);
        };
        let name = self.endpoint_name(api);
        let compiled = self.endpoint_of(api, &name);
        self.place(owner, &name, Some(compiled));
    }

    fn endpoint_name(&self, api: &resource::Api) -> String {
        endpoint_name(&api.id, &api.region, &self.defaults.execute_api_suffix)
    }

    /// Puts under its name what was compiled, or takes away what is gone; faults are its own.
    fn place(&mut self, owner: Owner, name: &str, compiled: Option<Result<Arc<Domain>, String>>) {
        let broken = |what| self.faults.push(Fault { name: name.to_owned(), what });
        let domain = compiled.map(|outcome| outcome.map_err(broken).ok());
        match name.strip_prefix("*.") {
            Some(parent) => change(&mut self.next.wildcard, parent, domain.flatten()),
            None => change(&mut self.next.exact, name, domain),
        }
        self.told(owner);
    }

    fn told(&mut self, owner: Owner) {
        match std::mem::take(&mut self.faults) {
            none if none.is_empty() => drop(self.next.broken.remove(&owner)),
            faults => drop(self.next.broken.insert(owner, faults)),
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

    fn domain_of(&mut self, domain: &Arc<resource::Domain>) -> Result<Arc<Domain>, String> {
        let mut mappings: Vec<Arc<resource::ApiMapping>> = Vec::new();
        let mut entries = Vec::new();
        for mapping in State::of(&self.state.mappings, &domain.name) {
            let stages = self.next.stages.get(mapping.api_id.as_str());
            if let Some(stage) = stages.and_then(|stages| stages.get(&mapping.stage)) {
                entries.push((mapping.key.clone(), stage.clone()));
                mappings.push(mapping.clone());
            }
        }
        let certificate = self.state.certificates.get(&domain.certificate_arn);
        let certificate =
            certificate.ok_or_else(|| format!("certificate {} does not exist", domain.certificate_arn))?;
        let sources = Sources {
            domain: Some(domain.clone()),
            server: ServerSource::Imported(certificate.clone()),
            mappings,
            stages: entries.iter().map(|(_, stage)| stage.clone()).collect(),
        };
        let same = |old: &&Arc<Domain>| self.same_defaults() && old.sources.same(&sources);
        if let Some(old) = self.old(&domain.name).filter(same) {
            return Ok(old.clone());
        }
        Ok(Arc::new(Domain {
            name: domain.name.clone(),
            region: domain.region.clone(),
            certificate: self.server_certificate(&domain.name, &sources.server)?,
            trust: self.trust(domain)?,
            paths: Paths::Mappings(Mappings::new(entries)),
            sources,
        }))
    }

    fn endpoint_of(&mut self, api: &Arc<resource::Api>, name: &str) -> Result<Arc<Domain>, String> {
        let endpoint = self.state.endpoints.get(&api.region);
        let endpoint = endpoint.ok_or_else(|| format!("there is no endpoint certificate for {}", api.region))?;
        let stages = self.next.stages.get(api.id.as_str()).cloned().unwrap_or_default();
        let sources = Sources {
            domain: None,
            server: ServerSource::Endpoint(endpoint.clone()),
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
        let source = ServerSource::Endpoint(endpoint.clone());
        let known = self.next.endpoints.get(&endpoint.region).or_else(|| self.previous.endpoints.get(&endpoint.region));
        let certificate = match known.filter(|known| known.source.same(&source)) {
            Some(known) => known.clone(),
            None => self.open_certificate(&source)?,
        };
        self.next.endpoints.insert(endpoint.region.clone(), certificate.clone());
        Ok(certificate)
    }

    fn trust(&mut self, domain: &Arc<resource::Domain>) -> Result<Option<Arc<Trust>>, String> {
        let same = |old: &&Arc<Domain>| self.same_defaults() && same_option(old.sources.domain.as_ref(), Some(domain));
        if let Some(old) = self.old(&domain.name).filter(same) {
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
                self.faults.push(Fault { name: format!("the shadow truststore of {}", domain.name), what });
                None
            }
        });
        Ok(Some(Arc::new(Trust {
            truststore,
            uri: mutual.uri.clone(),
            version: mutual.read_version.clone(),
            shadow,
            identity_headers: tags.identity_headers,
            revocations: self.revocations(domain, &tags)?,
            policy: tags.policy(),
            rejection: tags.rejection.unwrap_or(self.defaults.rejection),
            newer,
        })))
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
        change(&mut self.next.truststores, digest, Some(compiled.clone()));
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
        change(&mut self.next.crls, digest, Some(crls.clone()));
        Ok(crls)
    }

    /// Forgets what the domains that were compiled again named before, and nothing names any more.
    fn forget(&mut self, touched: &Touched<'_>, before: &State) {
        self.next.endpoints.retain(|region, _| self.state.endpoints.contains_key(region));
        let (mut truststores, mut lists) = touched.blobs(before);
        let (named, named_lists) = touched.blobs(self.state);
        truststores.retain(|digest| !named.contains(digest) && self.next.truststores.contains_key(*digest));
        lists.retain(|digest| !named_lists.contains(digest) && self.next.crls.contains_key(*digest));
        if truststores.is_empty() && lists.is_empty() {
            return;
        }
        for domain in self.state.domains.values() {
            truststores.retain(|digest| compiled_blobs(domain).all(|named| named != *digest));
            lists.retain(|digest| crl_blobs(domain).all(|named| named != *digest));
        }
        truststores.into_iter().for_each(|digest| change(&mut self.next.truststores, digest, None));
        lists.into_iter().for_each(|digest| change(&mut self.next.crls, digest, None));
    }
}

/// Puts, or takes away. Where it is that already, no table is copied.
fn change<V: Clone>(table: &mut Arc<HashMap<Arc<str>, V>>, key: &str, value: Option<V>) {
    match value {
        Some(value) => drop(Arc::make_mut(table).insert(key.into(), value)),
        None if table.contains_key(key) => drop(Arc::make_mut(table).remove(key)),
        None => {}
    }
}

/// Stages.
impl Compiler<'_> {
    fn stages(&mut self, api_id: &str) {
        let stages = self.state.apis.get(api_id).and_then(|api| {
            let of_api = self.state.stages.get(api_id)?.values();
            Some(of_api.map(|stage| (stage.name.clone(), self.stage(api, stage))).collect::<BTreeMap<_, _>>())
        });
        self.faults = stages.iter().flat_map(BTreeMap::values).flat_map(|stage| stage.faults.clone()).collect();
        change(&mut self.next.stages, api_id, stages.map(Arc::new));
        self.told(Owner::Stages(api_id.to_owned()));
    }

    fn stage(&self, api: &Arc<resource::Api>, stage: &Arc<resource::Stage>) -> Arc<Stage> {
        let deployment =
            stage.deployment_id.as_ref().and_then(|id| State::one(&self.state.deployments, &api.id, id)).cloned();
        let sources = (stage.clone(), deployment, api.clone());
        let old = self.previous.stages.get(api.id.as_str()).and_then(|stages| stages.get(&stage.name));
        if let Some(old) = old.filter(|old| same_stage(&old.sources, &sources)) {
            return old.clone();
        }
        let deployment = sources.1.as_deref();
        let throttles = throttles(stage, deployment, old.map(|old| &old.throttles));
        let mut faults = Vec::new();
        Arc::new(Stage {
            api_id: api.id.clone(),
            region: api.region.clone(),
            name: stage.name.clone(),
            router: deployment.map(|deployment| router(stage, deployment, &throttles, &mut faults)),
            endpoint_disabled: deployment.is_some_and(|deployment| deployment.disable_execute_api_endpoint),
            cors: deployment.and_then(|deployment| deployment.cors.clone()),
            access_log: stage.access_log.as_ref().and_then(AccessLog::of),
            throttles,
            faults,
            sources,
        })
    }
}

fn router(
    stage: &resource::Stage,
    deployment: &resource::Deployment,
    throttles: &BTreeMap<String, Arc<Throttle>>,
    faults: &mut Vec<Fault>,
) -> Router<Route> {
    let mut integrations = HashMap::new();
    for integration in &deployment.integrations {
        match Integration::of(integration, stage) {
            Ok(compiled) => {
                integrations.insert(integration.id.as_str(), Arc::new(compiled));
            }
            Err(what) => {
                let name = format!("{}/{} integration {}", stage.api_id, stage.name, integration.id);
                faults.push(Fault { name, what });
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

/// What a domain was compiled from; while these are the same, so is the domain.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    domain: Option<Arc<resource::Domain>>,
    server: ServerSource,
    mappings: Vec<Arc<resource::ApiMapping>>,
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

pub(super) type StageSources = (Arc<resource::Stage>, Option<Arc<resource::Deployment>>, Arc<resource::Api>);

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
