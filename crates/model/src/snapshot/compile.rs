//! From one revision of the settings to a [`Snapshot`], taking from the one before whatever has not changed.
//!
//! What a thing was compiled from is kept beside it: while its sources are the same objects, it is the same object, and so
//! is what the data plane made of it (TLS configurations, tickets, judgements).

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use trust::{Crl, Revocations, Truststore};

use super::stages::OfApi;
use super::touched::Touched;
use super::upstream::Upstreams;
use super::{
    AccessKey, Defaults, Dialect, Domain, Fault, Mappings, Names, Owner, Paths, RoutingRules, ServerCertificate,
    Shadow, Snapshot, Stage, Trust, endpoint_name,
};
use crate::resource;
use crate::state::Nested;
use crate::{
    Blobs, ClientLimits, DomainTags, Identities, Keyring, Recording, SecurityPolicy, SessionTokens, State, UnixMillis,
};

/// See [`Snapshot::compile`].
pub(super) fn compile(
    state: &State,
    previous: &Snapshot,
    blobs: &Blobs,
    keyring: &Keyring,
    defaults: &Defaults,
    at: UnixMillis,
) -> Snapshot {
    // Where what the domains' tags do not say has changed, all is compiled again.
    let base = if previous.defaults.as_ref() == Some(defaults) { previous.clone() } else { Snapshot::default() };
    let touched = Touched::between(&base, state);
    let next =
        Snapshot { revision: state.revision, state: state.clone(), defaults: Some(defaults.clone()), ..base.clone() };
    let mut compiler =
        Compiler { state, before: &base.state, previous, blobs, keyring, defaults, at, next, faults: Vec::new() };
    compiler.next.upstreams = match touched.apis.is_empty() {
        true => previous.upstreams.clone(),
        false => Upstreams::after(&previous.upstreams),
    };
    compiler.upstream_cas();
    if touched.api_keys {
        compiler.api_keys();
    }
    for api_id in &touched.apis {
        compiler.stages(api_id);
    }
    compiler.access_keys(&touched, base.asking_for_signatures.is_empty());
    for name in &touched.domains {
        compiler.custom_domain(name);
    }
    for api_id in &touched.endpoints {
        compiler.endpoint(api_id);
    }
    compiler.forget(&touched);
    compiler.next.faults = compiler.next.broken.values().flatten().cloned().collect();
    compiler.next
}

/// Digests that are named by what is to be compiled, and were not compiled in `previous`.
pub(super) fn missing<'s>(state: &'s State, previous: &'s Snapshot) -> BTreeSet<&'s str> {
    let touched = Touched::between(previous, state);
    let named = touched.blobs(state);
    let truststores = named.truststores.into_iter().filter(|digest| !previous.truststores.contains_key(digest));
    let crls = named.crls.into_iter().filter(|digest| !previous.crls.contains_key(digest));
    let cas = state.upstream_cas.values().map(|ca| ca.object.digest.as_str());
    let cas = cas.filter(|digest| !previous.upstream_cas.contains_key(*digest));
    let policies = touched.policies(state).filter(|digest| !previous.policies.contains_key(digest));
    truststores.chain(crls).chain(cas).chain(policies).collect()
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

pub(super) struct Compiler<'a> {
    pub(super) state: &'a State,
    /// What `next` has been compiled from so far.
    pub(super) before: &'a State,
    pub(super) previous: &'a Snapshot,
    pub(super) blobs: &'a Blobs,
    pub(super) keyring: &'a Keyring,
    defaults: &'a Defaults,
    at: UnixMillis,
    pub(super) next: Snapshot,
    /// Of what is being compiled.
    pub(super) faults: Vec<Fault>,
}

/// What is looked up by name.
impl Compiler<'_> {
    fn custom_domain(&mut self, name: &str) {
        let compiled = self.state.domains.get(name).map(|domain| self.domain_of(domain));
        self.place(Owner::Domain(name.to_owned()), name, compiled);
        // A domain may have the name of an API's endpoint, which comes first.
        let api_id = name.split('.').next().unwrap_or_default();
        if let Some(api) = OfApi::find(self.state, api_id).filter(|api| self.endpoint_name(api) == name) {
            let compiled = self.endpoint_of(&api, name);
            self.place(Owner::Endpoint(api_id.to_owned()), name, Some(compiled));
        }
    }

    fn endpoint(&mut self, api_id: &str) {
        let owner = Owner::Endpoint(api_id.to_owned());
        if let Some(api) = OfApi::find(self.state, api_id) {
            let name = self.endpoint_name(&api);
            let compiled = self.endpoint_of(&api, &name);
            self.place(owner, &name, Some(compiled));
        } else if let Some(gone) = OfApi::find(self.before, api_id) {
            let name = self.endpoint_name(&gone);
            self.place(owner, &name, None);
            self.custom_domain(&name);
        }
    }

    fn endpoint_name(&self, api: &OfApi<'_>) -> String {
        endpoint_name(api.id, api.region, &self.defaults.execute_api_suffix)
    }

    /// Puts under its name what was compiled, or takes away what is gone; the faults are its own.
    fn place(&mut self, owner: Owner, name: &str, compiled: Option<Result<Arc<Domain>, String>>) {
        let broken = |what| self.faults.push(Fault { name: name.to_owned(), what });
        let domain = compiled.map(|outcome| outcome.map_err(broken).ok());
        match name.strip_prefix("*.") {
            Some(parent) => self.next.wildcard.change(parent, domain.flatten()),
            None => self.next.exact.change(name, domain),
        }
        self.blame(owner);
    }

    /// The faults that were found are those of `owner`, and it has no others any more.
    pub(super) fn blame(&mut self, owner: Owner) {
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
        let shadow = self.shadow(domain);
        let same = |old: &&Arc<Domain>| {
            self.same_defaults() && old.sources.same(&sources) && old.has_shadow() == shadow.is_some()
        };
        if let Some(old) = self.old(&domain.name).filter(same) {
            return Ok(old.clone());
        }
        let tags = DomainTags::parse(&domain.tags).map_err(|e| e.to_string())?;
        Ok(Arc::new(Domain {
            name: domain.name.clone(),
            region: domain.region.clone(),
            certificate: self.server_certificate(certificate)?,
            trust: self.trust(domain, shadow)?,
            dialect: Dialect::common(&sources.stages),
            paths: Paths::Custom(
                RoutingRules::new(rules.iter().map(|(rule, stage)| (&**rule, stage.clone()))),
                Mappings::new(mappings.iter().map(|(mapping, stage)| (mapping.key.clone(), stage.clone())).collect()),
            ),
            security_policy: tags.security_policy.unwrap_or(domain.security_policy),
            bound_tokens: tags.bound_tokens,
            recording: tags.recording,
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
            Some((resource.clone(), self.next.stages.get(api_id.as_str())?.get(name)?.clone()))
        };
        State::of(resources, &domain.name).filter(|_| is_asked).filter_map(leads).collect()
    }

    fn endpoint_of(&mut self, api: &OfApi<'_>, name: &str) -> Result<Arc<Domain>, String> {
        let endpoint = self.state.endpoints.get(api.region);
        let endpoint = endpoint.ok_or_else(|| format!("there is no endpoint certificate for {}", api.region))?;
        let stages = self.next.stages.get(api.id).cloned().unwrap_or_default();
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
            region: api.region.to_owned(),
            certificate,
            trust: None,
            paths: Paths::Stages(stages),
            security_policy: SecurityPolicy::default(),
            bound_tokens: None,
            recording: Recording::default(),
            dialect: api.dialect,
            sources,
        }))
    }
}

/// Certificates and truststores.
impl Compiler<'_> {
    /// Domains with one certificate share what is made of it.
    fn server_certificate(&mut self, source: &Arc<resource::Certificate>) -> Result<Arc<ServerCertificate>, String> {
        let (arn, server) = (source.arn.as_str(), ServerSource::Imported(source.clone()));
        let known =
            self.next.certificates.get(arn).or_else(|| self.previous.certificates.get(arn)).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| known.source.same(&server)) {
            return Ok(known);
        }
        let opened = self.open_certificate(&server)?;
        self.next.certificates.change(arn, Some(Arc::downgrade(&opened)));
        Ok(opened)
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
        let source = ServerSource::Endpoint(endpoint.clone());
        let known = self.next.endpoints.get(&endpoint.region).or_else(|| self.previous.endpoints.get(&endpoint.region));
        let certificate = match known.filter(|known| known.source.same(&source)) {
            Some(known) => known.clone(),
            None => self.open_certificate(&source)?,
        };
        self.next.endpoints.insert(endpoint.region.clone(), certificate.clone());
        Ok(certificate)
    }

    fn trust(&mut self, domain: &Arc<resource::Domain>, shadow: Option<Shadow>) -> Result<Option<Arc<Trust>>, String> {
        let same = |old: &&Arc<Domain>| {
            self.same_defaults()
                && same_option(old.sources.domain.as_ref(), Some(domain))
                && old.has_shadow() == shadow.is_some()
        };
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

    /// Without it a domain serves; that it is not there is told as long as it is so.
    fn shadow(&mut self, domain: &resource::Domain) -> Option<Shadow> {
        let object = domain.shadow.as_ref().filter(|_| domain.mutual_tls.is_some())?;
        match self.truststore(&object.digest) {
            Ok(truststore) => {
                Some(Shadow { truststore, uri: object.uri.clone(), version: object.read_version.clone() })
            }
            Err(what) => {
                self.faults.push(Fault { name: format!("the shadow truststore of {}", domain.name), what });
                None
            }
        }
    }

    fn old_limits(&self, name: &str) -> Option<&Arc<ClientLimits>> {
        self.old(name)?.trust.as_ref()?.client_limits.as_ref()
    }

    fn truststore(&mut self, digest: &str) -> Result<Truststore, String> {
        if let Some(known) = self.next.truststores.get(digest) {
            return Ok(known.clone());
        }
        let compiled = match self.previous.truststores.get(digest) {
            Some(known) => known.clone(),
            None => {
                let blob = self.blobs.get(digest);
                let blob = blob.ok_or_else(|| format!("truststore {digest} is missing from the store"))?;
                let compiled = Truststore::compile(blob.bytes(), self.at / 1000);
                compiled.map_err(|e| format!("truststore {digest}: {e}"))?.0
            }
        };
        self.next.truststores.change(digest, Some(compiled.clone()));
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
        if let Some(known) = self.next.crls.get(digest) {
            return Ok(known.clone());
        }
        let crls = match self.previous.crls.get(digest) {
            Some(known) => known.clone(),
            None => {
                let blob = self.blobs.get(digest);
                let blob = blob.ok_or_else(|| format!("revocation list {digest} is missing from the store"))?;
                let crls = Crl::read(blob.bytes()).map_err(|e| format!("revocation list {digest}: {e}"))?;
                crls.into_iter().map(Arc::new).collect()
            }
        };
        self.next.crls.change(digest, Some(crls.clone()));
        Ok(crls)
    }

    /// A key that does not open signs nothing here. Where they were not asked for before, all are opened.
    fn access_keys(&mut self, touched: &Touched<'_>, were_unasked: bool) {
        if self.next.asking_for_signatures.is_empty() {
            self.next.access_keys = Names::default();
            self.next.identities = Arc::default();
            self.next.session_tokens = None;
            return self.next.broken.retain(|owner, _| !matches!(owner, Owner::AccessKey(_)));
        }
        if !self.next.identities.are_of(self.state) {
            self.next.identities = Arc::new(Identities::of(self.state, &self.previous.identities));
        }
        if self.next.session_tokens.is_none() {
            self.next.session_tokens = SessionTokens::new(self.keyring).ok().map(Arc::new);
        }
        let all = self.state.access_keys.keys().filter(|_| were_unasked);
        for id in all.chain(touched.access_keys.iter().copied().filter(|_| !were_unasked)) {
            let key = self.state.access_keys.get(id);
            let opened = key.map(|key| AccessKey::of(key, self.previous.access_keys.get(id), self.keyring));
            let broken = |what| self.faults.push(Fault { name: format!("access key {id}"), what });
            let opened = opened.and_then(|opened| opened.map_err(broken).ok());
            self.next.access_keys.change(id, opened);
            self.blame(Owner::AccessKey(id.to_owned()));
        }
    }

    /// Forgets what was named before by what was compiled again, and nothing names any more.
    fn forget(&mut self, touched: &Touched<'_>) {
        self.forget_policies();
        self.next.endpoints.retain(|region, _| self.state.endpoints.contains_key(region));
        let unused = |certificate: &Weak<ServerCertificate>| certificate.strong_count() == 0;
        self.next.certificates.retain(|_, certificate| !unused(certificate));
        let mut gone = touched.blobs(self.before);
        let named = touched.blobs(self.state);
        gone.truststores.retain(|digest| !named.truststores.contains(digest));
        gone.crls.retain(|digest| !named.crls.contains(digest));
        if gone.truststores.is_empty() && gone.crls.is_empty() {
            return;
        }
        for domain in self.state.domains.values() {
            gone.truststores.retain(|digest| compiled_blobs(domain).all(|named| named != *digest));
            gone.crls.retain(|digest| crl_blobs(domain).all(|named| named != *digest));
        }
        gone.truststores.into_iter().for_each(|digest| self.next.truststores.change(digest, None));
        gone.crls.into_iter().for_each(|digest| self.next.crls.change(digest, None));
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

pub(super) fn same_option<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

fn same_all<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}
