//! The stages of an API, each at its current deployment.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::api_keys::{OpenedKeys, StageKeys};
use super::authorization::authorizers;
use super::compile::{Compiler, same_option};
use super::upstream::{Backends, ClientSource, UpstreamSettings, UpstreamTrust};
use super::{
    AccessLog, Authorization, Backend, Dialect, Fault, FunctionIntegration, Integration, Owner, Route, Stage,
    StagePolicy, rest,
};
use crate::mapping::Mapping;
use crate::pattern::RouteKey;
use crate::resource::{self, IntegrationKind};
use crate::router::Router;
use crate::target::Target;
use crate::template::Template;
use crate::{ApiTags, BoundTokens, ObjectTag, State, Throttle};

/// What is taken of an API, of whichever kind.
pub(super) struct OfApi<'a> {
    pub(super) id: &'a str,
    pub(super) region: &'a str,
    tags: &'a resource::Tags,
    pub(super) dialect: Dialect,
}

impl<'a> OfApi<'a> {
    /// By its id, which no API of the other kind has.
    pub(super) fn find(state: &'a State, id: &str) -> Option<Self> {
        if let Some(api) = state.apis.get(id) {
            return Some(Self { id: &api.id, region: &api.region, tags: &api.tags, dialect: Dialect::Http });
        }
        let api = state.rest_apis.get(id)?;
        Some(Self { id: &api.id, region: &api.region, tags: &api.tags, dialect: Dialect::Rest })
    }
}

impl Compiler<'_> {
    /// Stages of an API that there is; of one that is gone there are none any more.
    pub(super) fn stages(&mut self, api_id: &str) {
        let state = self.state;
        let stages = OfApi::find(state, api_id).map(|api| {
            let tags = api_tags(&api, &mut self.faults);
            let policy = self.policy_of(&api, &tags);
            let compiled = |stage: &Arc<resource::Stage>| (stage.name.clone(), self.stage(&api, &tags, &policy, stage));
            State::of(&state.stages, api_id).map(compiled).collect::<BTreeMap<_, _>>()
        });
        let stages = stages.unwrap_or_default();
        self.faults.extend(stages.values().flat_map(|stage| stage.faults.iter().cloned()));
        let asks = stages.values().any(|stage| stage.asks_for_signatures);
        if asks != self.next.asking_for_signatures.contains(api_id) {
            let asking = Arc::make_mut(&mut self.next.asking_for_signatures);
            match asks {
                true => asking.insert(api_id.to_owned()),
                false => asking.remove(api_id),
            };
        }
        self.next.stages.change(api_id, Some(stages).filter(|stages| !stages.is_empty()).map(Arc::new));
        self.blame(Owner::Stages(api_id.to_owned()));
    }

    fn stage(
        &mut self,
        api: &OfApi<'_>,
        tags: &ApiTags,
        policy: &Option<StagePolicy>,
        stage: &Arc<resource::Stage>,
    ) -> Arc<Stage> {
        let OfApi { id: api_id, region, dialect, .. } = *api;
        let deployment =
            stage.deployment_id.as_ref().and_then(|id| State::one(&self.state.deployments, api_id, id)).cloned();
        let links = deployment.as_deref().map(|deployment| self.links_of(deployment)).unwrap_or_default();
        let sources = StageSources { stage: stage.clone(), deployment, links };
        let old = self.previous.stages.get(api_id).and_then(|stages| stages.get(&stage.name));
        let upstream = self.upstream_settings(stage, tags);
        let deployment = sources.deployment.as_deref();
        let api_keys = self.stage_keys(stage, deployment, old);
        let same = |old: &&Arc<Stage>| {
            old.sources.same(&sources)
                && old.bound_tokens == tags.bound_tokens
                && StagePolicy::same(old.policy.as_ref(), policy.as_ref())
                && old.upstream.same(&upstream)
                && same_option(old.api_keys.as_ref(), api_keys.as_ref())
        };
        if let Some(old) = old.filter(same) {
            return old.clone();
        }
        let mut faults = Vec::new();
        let throttles = throttles(stage, deployment, old.map(|old| &old.throttles));
        let trust = self.upstream_trust(&upstream);
        let (known, links) = (&mut self.next.upstreams, &sources.links);
        let mut backends = Backends { known, settings: &upstream, trust: &trust, stage, links };
        Arc::new(Stage {
            api_id: api_id.to_owned(),
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
            policy: policy.clone(),
            upstream,
            api_keys,
            asks_for_signatures: deployment.is_some_and(asks_for_signatures),
            gateway_answers: deployment
                .map(|deployment| rest::gateway_answers(deployment, stage, &mut faults))
                .unwrap_or_default(),
            access_log: stage.access_log.as_ref().and_then(AccessLog::of),
            throttles,
            faults,
            sources,
        })
    }
}

/// VPC links.
impl Compiler<'_> {
    /// Those that integrations of a deployment name, as far as they are there.
    fn links_of(&self, deployment: &resource::Deployment) -> Vec<Arc<resource::VpcLink>> {
        let ids: BTreeSet<&String> = deployment.integrations.iter().filter_map(|i| i.vpc_link_id.as_ref()).collect();
        ids.into_iter().filter_map(|id| self.state.vpc_links.get(id)).cloned().collect()
    }
}

/// The API keys of REST APIs.
impl Compiler<'_> {
    /// All keys, opened.
    pub(super) fn api_keys(&mut self) {
        let previous = self.previous.api_keys.as_ref();
        self.next.api_keys = OpenedKeys::of(self.state, previous, self.keyring, &mut self.faults);
        self.blame(Owner::ApiKeys);
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
    pub(super) fn upstream_cas(&mut self) {
        self.next.upstream_cas.clear();
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
    let authorizers = authorizers(deployment, stage, |id, what| {
        faults.push(Fault { name: format!("{}/{} authorizer {id}", stage.api_id, stage.name), what });
    });
    Router::new(deployment.routes.iter().filter_map(|route| {
        let key = RouteKey::parse(&route.route_key).ok()?;
        let compiled = Route {
            key: route.route_key.as_str().into(),
            is_default: key == RouteKey::Default,
            backend: route.integration_id.as_deref().and_then(|id| integrations.get(id)).cloned(),
            authorization: Authorization::of(&route.authorization, &authorizers),
            required: None,
            models: None,
            api_key_required: false,
            throttle: throttles.get(&route.route_key).cloned(),
            resource: None,
        };
        Some((key, compiled))
    }))
}

fn asks_for_signatures(deployment: &resource::Deployment) -> bool {
    let mut methods = deployment.resources.iter().flat_map(|resource| resource.methods.values());
    deployment.routes.iter().any(|route| route.authorization == resource::Authorization::AwsIam)
        || methods.any(|method| method.authorization == resource::RestAuthorization::AwsIam)
}

/// What cannot be read is as strict as can be: it was checked when it was set.
fn api_tags(api: &OfApi<'_>, faults: &mut Vec<Fault>) -> ApiTags {
    ApiTags::parse(api.tags).unwrap_or_else(|error| {
        faults.push(Fault { name: format!("the tags of API {}", api.id), what: error.to_string() });
        let policy = api.tags.get("countersign:policy").map(|uri| ObjectTag { uri: uri.clone(), version: None });
        ApiTags { bound_tokens: Some(BoundTokens::Required), policy, ..ApiTags::default() }
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
        let target = match &integration.vpc_link_id {
            Some(id) => backends.behind(id)?,
            None => Target::parse(&integration.uri, &stage.variables).map_err(|e| e.to_string())?,
        };
        Ok(Self {
            id: integration.id.clone(),
            passes_path: integration.vpc_link_id.is_some(),
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

/// What a stage was compiled from.
#[derive(Debug)]
pub(super) struct StageSources {
    pub(super) stage: Arc<resource::Stage>,
    pub(super) deployment: Option<Arc<resource::Deployment>>,
    links: Vec<Arc<resource::VpcLink>>,
}

impl StageSources {
    fn same(&self, other: &Self) -> bool {
        // Of the API itself only id, region and kind are used, which never change, and tags, which are looked at.
        Arc::ptr_eq(&self.stage, &other.stage)
            && same_option(self.deployment.as_ref(), other.deployment.as_ref())
            && self.links.len() == other.links.len()
            && self.links.iter().zip(&other.links).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}
