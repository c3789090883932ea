//! REST APIs at their stages: a path leads to a resource first, and the resource to a method.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::upstream::Backends;
use super::{
    Authorization, Backend, CustomIntegration, Fault, FunctionAuthorizer, FunctionIntegration, Integration, Route,
};
use crate::mapping::{Mapping, RestMapping};
use crate::pattern::RouteKey;
use crate::resource::{self, Deployment, RestIntegration, RestIntegrationKind, RestMethod, RestResource};
use crate::router::Router;
use crate::schema::Schema;
use crate::target::Target;
use crate::{GatewayAnswers, Throttle};

/// The methods of a resource.
#[derive(Clone, Debug, Default)]
pub struct Resource {
    /// By HTTP method, or `ANY`.
    methods: HashMap<String, Route>,
}

/// Which resource a method belongs to.
#[derive(Debug)]
pub struct ResourceName {
    /// `$context.resourceId`
    pub id: String,
    /// `$context.resourcePath`
    pub path: String,
}

/// A parameter that a request has to have, and not blank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Required {
    /// By its name, in whichever case.
    Header(String),
    /// By its name.
    Query(String),
}

impl Required {
    /// What is in the path is there by the resource's being found.
    fn of(method: &RestMethod) -> Option<Box<[Self]>> {
        let required =
            method.request_parameters.iter().filter(|(_, required)| **required && method.asks_for_parameters);
        let required =
            required.filter_map(|(name, _)| match name.strip_prefix("method.request.")?.split_once('.')? {
                ("header", name) => Some(Self::Header(name.to_owned())),
                ("querystring", name) => Some(Self::Query(name.to_owned())),
                _ => None,
            });
        Some(required.collect::<Box<[Self]>>()).filter(|required| !required.is_empty())
    }

    /// As it stands in messages.
    pub fn name(&self) -> &str {
        match self {
            Self::Header(name) | Self::Query(name) => name,
        }
    }
}

impl Resource {
    /// The method for a request: its own, else `ANY`.
    pub fn method(&self, method: &str) -> Option<&Route> {
        self.methods.get(method).or_else(|| self.methods.get("ANY"))
    }
}

/// Schemas that payloads of a method are held against.
#[derive(Debug)]
pub struct PayloadModels(BTreeMap<String, Schema>);

impl PayloadModels {
    /// None where nothing is asked for.
    fn of(method: &RestMethod, models: &[resource::Model]) -> Result<Option<Arc<Self>>, String> {
        if !method.asks_for_body || method.request_models.is_empty() {
            return Ok(None);
        }
        let text = |name: &str| models.iter().find(|model| model.name == name).map(|model| model.schema.as_str());
        let schema = |(media_type, name): (&String, &String)| {
            let unknown = || format!("the model {name} is not in the deployment");
            let schema = Schema::read(text(name).ok_or_else(unknown)?, text);
            schema.map(|schema| (media_type.clone(), schema)).map_err(|error| format!("the model {name}: {error}"))
        };
        Ok(Some(Arc::new(Self(method.request_models.iter().map(schema).collect::<Result<_, _>>()?))))
    }

    /// That of a media type, in whichever case. What no model is for passes.
    pub fn find(&self, media_type: &str) -> Option<&Schema> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(media_type)).map(|(_, schema)| schema)
    }
}

/// Resources that have methods; a path that leads to none but those below it is for a greedy one further up.
pub(super) fn router(
    backends: &mut Backends<'_>,
    deployment: &Deployment,
    throttles: &BTreeMap<String, Arc<Throttle>>,
    faults: &mut Vec<Fault>,
) -> Router<Resource> {
    let stage = backends.stage;
    let authorizers = authorizers(deployment, stage, faults);
    let resources = deployment.resources.iter().filter(|resource| !resource.methods.is_empty());
    Router::new(resources.filter_map(|resource| {
        let key = RouteKey::parse(&format!("ANY {}", resource.path)).ok()?;
        let name = Arc::new(ResourceName { id: resource.id.clone(), path: resource.path.clone() });
        let mut compiled = Resource::default();
        for (method, settings) in &resource.methods {
            let name_of_method = || format!("{}/{} method {method} {}", stage.api_id, stage.name, resource.path);
            let mut blame = |what| faults.push(Fault { name: name_of_method(), what });
            let models = PayloadModels::of(settings, &deployment.models).map_err(&mut blame);
            // What has to be held against something that cannot be read goes nowhere.
            let integration = settings.integration.as_ref().filter(|_| models.is_ok());
            let backend = integration.and_then(|integration| {
                Backend::of_rest(resource, settings, integration, backends).map_err(&mut blame).ok()
            });
            let setting = setting_key(&resource.path, method);
            let route = Route {
                key: format!("{method} {}", resource.path).into(),
                is_default: false,
                authorization: Authorization::of_rest(&settings.authorization, &authorizers),
                backend,
                required: Required::of(settings),
                models: models.ok().flatten(),
                api_key_required: settings.api_key_required,
                throttle: throttles.get(&setting).cloned(),
                resource: Some(name.clone()),
            };
            compiled.methods.insert(method.clone(), route);
        }
        Some((key, compiled))
    }))
}

/// By id, as far as they can be used.
fn authorizers<'d>(
    deployment: &'d Deployment,
    stage: &resource::Stage,
    faults: &mut Vec<Fault>,
) -> BTreeMap<&'d str, Arc<FunctionAuthorizer>> {
    let mut usable = BTreeMap::new();
    for authorizer in &deployment.rest_authorizers {
        match FunctionAuthorizer::of_rest(authorizer, stage) {
            Ok(compiled) => drop(usable.insert(authorizer.id.as_str(), Arc::new(compiled))),
            Err(what) => {
                let name = format!("{}/{} authorizer {}", stage.api_id, stage.name, authorizer.id);
                faults.push(Fault { name, what });
            }
        }
    }
    usable
}

/// As far as they can be used.
pub(super) fn gateway_answers(
    deployment: &Deployment,
    stage: &resource::Stage,
    faults: &mut Vec<Fault>,
) -> GatewayAnswers {
    GatewayAnswers::of(&deployment.gateway_responses, &stage.variables, |response_type, error| {
        let name = format!("{}/{} gateway response {response_type}", stage.api_id, stage.name);
        faults.push(Fault { name, what: error.to_string() });
    })
}

/// How the settings of a stage name a method: `pets/{id}/GET`, `/GET` for the root.
pub fn setting_key(path: &str, method: &str) -> String {
    format!("{}/{method}", path.strip_prefix('/').unwrap_or(path))
}

/// The settings' names of all methods of a deployment.
pub(super) fn setting_keys(deployment: &Deployment) -> impl Iterator<Item = String> {
    let of = |resource: &RestResource| {
        let keys: Vec<String> = resource.methods.keys().map(|method| setting_key(&resource.path, method)).collect();
        keys
    };
    deployment.resources.iter().flat_map(of)
}

impl Backend {
    fn of_rest(
        resource: &RestResource,
        method: &RestMethod,
        integration: &RestIntegration,
        backends: &mut Backends<'_>,
    ) -> Result<Self, String> {
        Ok(match integration.kind {
            RestIntegrationKind::HttpProxy => {
                Self::Http(Arc::new(Integration::of_rest(resource, integration, backends)?))
            }
            RestIntegrationKind::AwsProxy => {
                Self::Function(Arc::new(FunctionIntegration::of_rest(resource, integration, backends.stage)?))
            }
            RestIntegrationKind::Http | RestIntegrationKind::Mock | RestIntegrationKind::Aws => {
                Self::Custom(Arc::new(CustomIntegration::of(resource, method, integration, backends)?))
            }
        })
    }
}

impl Integration {
    pub(super) fn of_rest(
        resource: &RestResource,
        integration: &RestIntegration,
        backends: &mut Backends<'_>,
    ) -> Result<Self, String> {
        let stage = backends.stage;
        let target = Target::parse(integration.uri.as_deref().unwrap_or_default(), &stage.variables)
            .map_err(|error| error.to_string())?;
        let RestMapping { mapping, path } =
            RestMapping::parse(&integration.request_parameters, &stage.variables).map_err(|error| error.to_string())?;
        Ok(Self {
            id: resource.id.clone(),
            upstream: backends.of(&target, None)?,
            target,
            method: integration.method.clone().filter(|method| method != "ANY"),
            timeout_ms: integration.timeout_ms,
            request_mapping: mapping,
            passes_path: false,
            path_mapping: Some(path),
            response_mappings: BTreeMap::<u16, Mapping>::new(),
        })
    }
}
