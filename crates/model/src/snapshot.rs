//! One revision of the settings, compiled into what the data plane reads: immutable, looked up by name, nothing left to parse.

mod api_keys;
mod authorization;
mod compile;
mod custom;
mod function;
mod names;
mod paths;
mod policy;
mod rest;
mod stages;
mod touched;
mod upstream;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use ::policy::Policies;
use trust::{Crl, Fetch, Policy, Revocations, Truststore};
use zeroize::Zeroizing;

pub use self::api_keys::{StageKey, StageKeys};
pub use self::custom::{CustomEndpoint, CustomIntegration, CustomResponse, TemplateError, Templates};
pub use self::function::{FunctionIntegration, PayloadFormat};
use self::names::Names;
pub use self::paths::{Found, Mappings, Paths, RoutingRules, Stages};
pub use self::policy::StagePolicy;
pub use self::rest::{PayloadModels, Required, Resource, ResourceName, setting_key};
pub use self::upstream::{Upstream, UpstreamIdentity};
use crate::mapping::{Mapping, Source};
use crate::resource::Cors;
use crate::router::Router;
use crate::target::Target;
use crate::template::Template;
pub use authorization::{AccessKey, Authorization, FunctionAuthorizer, JwtAuthorizer, Told};

use crate::{
    Bearer, Blobs, BoundTokens, ClientLimits, GatewayAnswers, Identities, IdentityHeaders, Keyring, Meter, Recording,
    Rejection, Revision, SecurityPolicy, SessionTokens, State, Throttle, TokenError, UnixMillis,
};

/// What is enforced. A broken domain is left out and becomes a [`Fault`]; the others are never affected.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The commit that is enforced.
    pub revision: Revision,
    /// What it was compiled from.
    state: State,
    /// Names without wildcard, lowercase. A broken domain is there as none, so that no wildcard stands in for it: whom that
    /// one trusts, this one may not.
    exact: Names<Option<Arc<Domain>>>,
    /// `*.example.com` under `example.com`.
    wildcard: Names<Arc<Domain>>,
    /// What could not be compiled.
    pub faults: Vec<Fault>,
    /// The same, by what they are in.
    broken: BTreeMap<Owner, Vec<Fault>>,
    /// Under what it was compiled; none before the first.
    defaults: Option<Defaults>,
    /// By digest.
    truststores: Names<Truststore>,
    /// By ARN, while some domain shows them.
    certificates: Names<Weak<ServerCertificate>>,
    /// By the digest of the bytes that they were read from.
    crls: Names<Vec<Arc<Crl>>>,
    /// PEM of CAs of backends, by digest.
    upstream_cas: HashMap<String, Arc<[u8]>>,
    /// By digest.
    policies: Names<Arc<Policies>>,
    /// By API id.
    stages: Names<Stages>,
    /// None where there are none.
    api_keys: Option<Arc<api_keys::OpenedKeys>>,
    /// Ids of the APIs with a route that asks for a signature.
    asking_for_signatures: Arc<BTreeSet<String>>,
    /// None where no route asks for a signature: what nobody needs is not opened.
    access_keys: authorization::AccessKeys,
    /// As above.
    identities: Arc<Identities>,
    /// As above: opens the tokens of temporary credentials.
    session_tokens: Option<Arc<SessionTokens>>,
    upstreams: upstream::Upstreams,
    /// By region: its endpoints share one certificate, so that they share what is made of it.
    endpoints: HashMap<String, Arc<ServerCertificate>>,
}

/// What is compiled, or broken, as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// All API keys.
    ApiKeys,
    /// The stages of an API, by its id.
    Stages(String),
    /// By id.
    AccessKey(String),
    /// A custom domain, by name.
    Domain(String),
    /// An API's own endpoint, by the API's id.
    Endpoint(String),
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
#[derive(Clone, Debug)]
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
    /// Which TLS is spoken.
    pub security_policy: SecurityPolicy,
    /// `countersign:bound-tokens`; none: its tags do not say.
    pub bound_tokens: Option<BoundTokens>,
    /// What is recorded of its requests.
    pub recording: Recording,
    /// How it answers where no stage is found.
    pub dialect: Dialect,
    sources: compile::Sources,
}

impl Domain {
    fn has_shadow(&self) -> bool {
        self.trust.as_ref().is_some_and(|trust| trust.shadow.is_some())
    }
}

/// Which kind of API answers for itself: they say the same things differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// An HTTP API.
    #[default]
    Http,
    /// A REST API.
    Rest,
}

impl Dialect {
    /// That of REST APIs where all stages are theirs.
    fn common<'s>(stages: impl IntoIterator<Item = &'s Arc<Stage>>) -> Self {
        let mut stages = stages.into_iter().peekable();
        match stages.peek().is_some() && stages.all(|stage| stage.dialect == Self::Rest) {
            true => Self::Rest,
            false => Self::Http,
        }
    }
}

/// Certificates and key of a server.
pub struct ServerCertificate {
    /// PEM, leaf first.
    pub chain: String,
    /// PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: Zeroizing<Vec<u8>>,
    source: compile::ServerSource,
}

/// Whom a domain trusts.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Compiled.
    pub truststore: Truststore,
    /// `s3://bucket/key`
    pub uri: String,
    /// The version that is enforced.
    pub version: String,
    /// The judge's rules.
    pub policy: Policy,
    /// What is checked of revocations, and the lists that were given; none: nothing.
    pub revocations: Option<Revocations>,
    /// How clients are refused.
    pub rejection: Rejection,
    /// Judged as well, and never enforced.
    pub shadow: Option<Shadow>,
    /// How the backend is told who the client is.
    pub identity_headers: IdentityHeaders,
    /// How many requests each client may make; none: as many as come.
    pub client_limits: Option<Arc<ClientLimits>>,
    /// A newer version of the object, if there is one: not enforced, but it explains refusals.
    pub newer: Option<(String, Truststore)>,
}

impl Trust {
    fn fetches_status(&self) -> bool {
        self.revocations.as_ref().is_some_and(|revocations| revocations.rules.fetch != Fetch::None)
    }
}

/// A truststore that may become the one that is enforced.
#[derive(Clone, Debug)]
pub struct Shadow {
    /// Compiled.
    pub truststore: Truststore,
    /// `s3://bucket/key`
    pub uri: String,
    /// Its version.
    pub version: String,
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
    /// Of its API's kind.
    pub dialect: Dialect,
    /// Routes of the deployment; none until the first, and none of a REST API.
    pub router: Option<Router<Route>>,
    /// Resources of a REST API's deployment.
    pub resources: Option<Router<Resource>>,
    /// `$context.deploymentId`
    pub deployment_id: Option<String>,
    /// The deployment disables the execute-api endpoint.
    pub endpoint_disabled: bool,
    /// `corsConfiguration` of the deployment.
    pub cors: Option<Cors>,
    /// `countersign:bound-tokens` of the API; none: its tags do not say.
    pub bound_tokens: Option<BoundTokens>,
    /// What its requests are held against; none: nothing.
    pub policy: Option<StagePolicy>,
    /// What the API says about its backends.
    upstream: upstream::UpstreamSettings,
    /// Who may call the methods that ask for an API key; none: nobody, or no method asks.
    pub api_keys: Option<Arc<StageKeys>>,
    /// Whether a route of it has `AWS_IAM`.
    asks_for_signatures: bool,
    /// What a REST API answers by itself where it is not the default.
    pub gateway_answers: GatewayAnswers,
    /// Where and how requests are logged.
    pub access_log: Option<AccessLog>,
    /// By route key: they go on with the next compilation.
    throttles: BTreeMap<String, Arc<Throttle>>,
    /// They are the snapshot's as long as the stage is in it.
    faults: Vec<Fault>,
    sources: stages::StageSources,
}

/// A route with its integration.
#[derive(Clone, Debug)]
pub struct Route {
    /// `routeKey`
    pub key: Arc<str>,
    /// `$default` takes what no other route takes.
    pub is_default: bool,
    /// None: the route has no target yet, or one that cannot be used.
    pub backend: Option<Backend>,
    /// None: everybody who is admitted may call it.
    pub authorization: Option<Authorization>,
    /// Parameters that a request has to have; none of most.
    pub required: Option<Box<[Required]>>,
    /// What payloads have to be like; none of most.
    pub models: Option<Arc<PayloadModels>>,
    /// `apiKeyRequired` of a method of a REST API.
    pub api_key_required: bool,
    /// None: as many requests as come.
    pub throttle: Option<Arc<Throttle>>,
    /// Of a method of a REST API.
    pub resource: Option<Arc<ResourceName>>,
}

/// What answers the requests of a route.
#[derive(Clone, Debug)]
pub enum Backend {
    /// An HTTP service.
    Http(Arc<Integration>),
    /// A Lambda function.
    Function(Arc<FunctionIntegration>),
    /// Whoever it is, requests and answers are made anew.
    Custom(Arc<CustomIntegration>),
}

impl Backend {
    /// Whether a value is looked for in the payload before it is known what goes out.
    pub fn reads_payload(&self) -> bool {
        match self {
            Self::Http(integration) => integration.request_mapping.reads_payload,
            Self::Function(function) => function.request_mapping.reads_payload,
            // It has the payload whole in any case.
            Self::Custom(_) => false,
        }
    }
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
    /// The backend gets the path as the client sent it, behind the target's: what is behind a VPC link does.
    pub passes_path: bool,
    /// What the target's variables become; none: what the route's variables of the same names are.
    pub path_mapping: Option<Vec<(String, Source)>>,
    /// Parameter mapping of the response, by the backend's status code.
    pub response_mappings: BTreeMap<u16, Mapping>,
    /// Whom connections are to; shared by all integrations that may use the same ones.
    pub upstream: Arc<Upstream>,
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

impl Stage {
    /// `stageVariables`
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.sources.stage.variables
    }

    /// How often all that authorizers had said was to be forgotten.
    pub fn authorizers_flushed(&self) -> u64 {
        self.sources.stage.authorizers_flushed
    }

    /// Whether payloads of a media type, such as `image/png`, are binary for functions: `binaryMediaTypes` of a REST API, where
    /// `*/*` stands for all.
    pub fn is_binary(&self, media_type: &str) -> bool {
        let types = self.sources.deployment.as_ref().map_or(&[][..], |deployment| &deployment.binary_media_types);
        types.iter().any(|known| known == "*/*" || known.eq_ignore_ascii_case(media_type))
    }
}

impl Snapshot {
    /// Digests of the blobs that compiling `state` after `previous` needs.
    pub fn missing<'s>(state: &'s State, previous: &'s Self) -> BTreeSet<&'s str> {
        compile::missing(state, previous)
    }

    /// Compiles `state`, taking from `previous` what has not changed. `blobs` are those that are [`Self::missing`]. `at` is
    /// for the truststores' findings only.
    pub fn compile(
        state: &State,
        previous: &Self,
        blobs: &Blobs,
        keyring: &Keyring,
        defaults: &Defaults,
        at: UnixMillis,
    ) -> Self {
        compile::compile(state, previous, blobs, keyring, defaults, at)
    }

    /// The same, with another [`Trust`] (of equal content) where the status of clients is fetched: something else may have been
    /// fetched by now, so that what was judged under the former one is to be judged again.
    pub fn reviewed(&self) -> Self {
        let mut next = self.clone();
        let reviewed = |domain: &Arc<Domain>| {
            let trust = domain.trust.as_ref().filter(|trust| trust.fetches_status())?;
            let trust = Some(Arc::new(Trust::clone(trust)));
            Some(Arc::new(Domain { trust, ..Domain::clone(domain) }))
        };
        next.exact.replace(|domain| domain.as_ref().and_then(reviewed).map(Some));
        next.wildcard.replace(reviewed);
        next
    }

    /// The domain for a server name or host (lowercase, without port): exact, then the wildcard one label up.
    pub fn domain(&self, name: &str) -> Option<&Arc<Domain>> {
        match self.exact.get(name) {
            Some(domain) => domain.as_ref(),
            None => self.wildcard.get(name.split_once('.')?.1),
        }
    }

    /// An access key and who has it, where some route asks for signatures; none: there is no such key, or it is switched off.
    pub fn access_key(&self, id: &str) -> Option<(Arc<AccessKey>, Bearer)> {
        let key = self.access_keys.get(id)?;
        Some((key.clone(), key.bearer(&self.identities)?))
    }

    /// As [`Self::access_key`], of temporary credentials.
    pub fn session(&self, id: &str, token: &str, now: UnixMillis) -> Result<(Arc<AccessKey>, Bearer), TokenError> {
        let tokens = self.session_tokens.as_ref().ok_or(TokenError::Invalid)?;
        let session = tokens.open(id, token, now)?;
        let bearer = Bearer::of_session(&self.identities, &session).ok_or(TokenError::Invalid)?;
        Ok((Arc::new(AccessKey::of_session(id, &session)), bearer))
    }

    /// What each API key may do under each of its usage plans, and has done.
    pub fn meters(&self) -> impl Iterator<Item = &Arc<Meter>> {
        self.api_keys.iter().flat_map(|keys| keys.meters())
    }

    /// The same of one key under one plan.
    pub fn meter(&self, plan_id: &str, key_id: &str) -> Option<&Arc<Meter>> {
        self.api_keys.as_ref()?.meter(plan_id, key_id)
    }

    /// All domains, in no order.
    pub fn domains(&self) -> impl Iterator<Item = &Arc<Domain>> {
        self.exact.values().flatten().chain(self.wildcard.values())
    }
}

/// Name of an API's own endpoint.
pub fn endpoint_name(api_id: &str, region: &str, suffix: &str) -> String {
    format!("{api_id}.execute-api.{region}.{suffix}")
}

impl std::fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerCertificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}
