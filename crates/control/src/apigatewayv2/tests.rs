//! Whatever is asked in whatever order, the settings hold together.

use std::collections::BTreeSet;

use aws::Error;
use model::resource::{Certificate, CertificateOrigin};
use model::{Change, Keyring, State};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::draft::Draft;
use super::{api, deployment, domain, integration, mapping, route, stage};
use crate::control::tests::config;

const REGION: &str = "us-east-1";
const CERTIFICATE: &str = "arn:aws:acm:us-east-1:123456789012:certificate/x";

/// A request. Numbers choose among what there is, so that most requests meet something.
#[derive(Clone, Debug)]
enum Request {
    CreateApi { quick: bool },
    UpdateApi { api: usize, disable: bool },
    DeleteApi { api: usize },
    CreateIntegration { api: usize },
    UpdateIntegration { api: usize, integration: usize, timeout_ms: u32 },
    DeleteIntegration { api: usize, integration: usize },
    CreateRoute { api: usize, key: u8, integration: usize },
    UpdateRoute { api: usize, route: usize, key: u8 },
    DeleteRoute { api: usize, route: usize },
    CreateStage { api: usize, name: u8, auto: bool },
    UpdateStage { api: usize, stage: usize, auto: bool },
    PointStage { api: usize, stage: usize, deployment: usize },
    DeleteStage { api: usize, stage: usize },
    CreateDeployment { api: usize, stage: Option<usize> },
    DeleteDeployment { api: usize, deployment: usize },
    CreateDomain { name: u8 },
    DeleteDomain { domain: usize },
    CreateMapping { domain: usize, api: usize, stage: usize, key: u8 },
    DeleteMapping { domain: usize, mapping: usize },
}

fn requests() -> impl Strategy<Value = Request> {
    let n = 0..4_usize;
    let k = 0..3_u8;
    prop_oneof![
        2 => any::<bool>().prop_map(|quick| Request::CreateApi { quick }),
        2 => (n.clone(), any::<bool>()).prop_map(|(api, disable)| Request::UpdateApi { api, disable }),
        1 => n.clone().prop_map(|api| Request::DeleteApi { api }),
        3 => n.clone().prop_map(|api| Request::CreateIntegration { api }),
        2 => (n.clone(), n.clone(), 50..60_u32).prop_map(|(api, integration, timeout_ms)| Request::UpdateIntegration {
            api,
            integration,
            timeout_ms
        }),
        2 => (n.clone(), n.clone()).prop_map(|(api, integration)| Request::DeleteIntegration { api, integration }),
        5 => (n.clone(), k.clone(), n.clone()).prop_map(|(api, key, integration)| Request::CreateRoute {
            api,
            key,
            integration
        }),
        2 => (n.clone(), n.clone(), k.clone()).prop_map(|(api, route, key)| Request::UpdateRoute { api, route, key }),
        2 => (n.clone(), n.clone()).prop_map(|(api, route)| Request::DeleteRoute { api, route }),
        5 => (n.clone(), k.clone(), any::<bool>()).prop_map(|(api, name, auto)| Request::CreateStage { api, name, auto }),
        3 => (n.clone(), n.clone(), any::<bool>()).prop_map(|(api, stage, auto)| Request::UpdateStage { api, stage, auto }),
        3 => (n.clone(), n.clone(), n.clone()).prop_map(|(api, stage, deployment)| Request::PointStage {
            api,
            stage,
            deployment
        }),
        2 => (n.clone(), n.clone()).prop_map(|(api, stage)| Request::DeleteStage { api, stage }),
        4 => (n.clone(), proptest::option::of(n.clone())).prop_map(|(api, stage)| Request::CreateDeployment { api, stage }),
        2 => (n.clone(), n.clone()).prop_map(|(api, deployment)| Request::DeleteDeployment { api, deployment }),
        2 => k.clone().prop_map(|name| Request::CreateDomain { name }),
        1 => n.clone().prop_map(|domain| Request::DeleteDomain { domain }),
        6 => (n.clone(), n.clone(), n.clone(), k).prop_map(|(domain, api, stage, key)| Request::CreateMapping {
            domain,
            api,
            stage,
            key
        }),
        2 => (n.clone(), n).prop_map(|(domain, mapping)| Request::DeleteMapping { domain, mapping }),
    ]
}

impl Request {
    fn apply(&self, draft: &mut Draft<'_>) -> Result<(), Error> {
        let state = draft.state.clone();
        let ids = Ids(&state);
        match *self {
            Self::CreateApi { quick } => {
                let mut body = json!({"name": "n", "protocolType": "HTTP"});
                if quick {
                    body["target"] = json!("http://127.0.0.1:9000");
                }
                api::create(draft, &input(body)).map(drop)
            }
            Self::UpdateApi { api, disable } => {
                let body = json!({"apiId": ids.api(api), "disableExecuteApiEndpoint": disable});
                api::update(draft, &input(body)).map(drop)
            }
            Self::DeleteApi { api } => api::delete(draft, &input(json!({"apiId": ids.api(api)}))),
            Self::CreateIntegration { api } => {
                let body = json!({"apiId": ids.api(api), "integrationType": "HTTP_PROXY", "integrationUri": "http://b/{proxy}"});
                integration::create(draft, &input(body)).map(drop)
            }
            Self::UpdateIntegration { api, integration, timeout_ms } => {
                let id = ids.integration(api, integration);
                let body = json!({"apiId": ids.api(api), "integrationId": id, "timeoutInMillis": timeout_ms});
                integration::update(draft, &input(body)).map(drop)
            }
            Self::DeleteIntegration { api, integration } => {
                let id = ids.integration(api, integration);
                integration::delete(draft, &input(json!({"apiId": ids.api(api), "integrationId": id})))
            }
            Self::CreateRoute { api, key, integration } => {
                let target = format!("integrations/{}", ids.integration(api, integration));
                let body = json!({"apiId": ids.api(api), "routeKey": format!("GET /{key}"), "target": target});
                route::create(draft, &input(body)).map(drop)
            }
            Self::UpdateRoute { api, route, key } => {
                let body =
                    json!({"apiId": ids.api(api), "routeId": ids.route(api, route), "routeKey": format!("GET /{key}")});
                route::update(draft, &input(body)).map(drop)
            }
            Self::DeleteRoute { api, route } => {
                route::delete(draft, &input(json!({"apiId": ids.api(api), "routeId": ids.route(api, route)})))
            }
            _ => self.apply_to_stages_and_domains(draft, &ids),
        }
    }

    fn apply_to_stages_and_domains(&self, draft: &mut Draft<'_>, ids: &Ids<'_>) -> Result<(), Error> {
        match *self {
            Self::CreateStage { api, name, auto } => {
                let body = json!({"apiId": ids.api(api), "stageName": format!("s{name}"), "autoDeploy": auto});
                stage::create(draft, &input(body)).map(drop)
            }
            Self::UpdateStage { api, stage, auto } => {
                let body = json!({"apiId": ids.api(api), "stageName": ids.stage(api, stage), "autoDeploy": auto});
                stage::update(draft, &input(body)).map(drop)
            }
            Self::PointStage { api, stage, deployment } => {
                let (name, id) = (ids.stage(api, stage), ids.deployment(api, deployment));
                let body = json!({"apiId": ids.api(api), "stageName": name, "deploymentId": id});
                stage::update(draft, &input(body)).map(drop)
            }
            Self::DeleteStage { api, stage } => {
                stage::delete(draft, &input(json!({"apiId": ids.api(api), "stageName": ids.stage(api, stage)})))
            }
            Self::CreateDeployment { api, stage } => {
                let body = json!({"apiId": ids.api(api), "stageName": stage.map(|stage| ids.stage(api, stage))});
                deployment::create(draft, &input(body)).map(drop)
            }
            Self::DeleteDeployment { api, deployment } => {
                let id = ids.deployment(api, deployment);
                deployment::delete(draft, &input(json!({"apiId": ids.api(api), "deploymentId": id})))
            }
            Self::CreateDomain { name } => {
                let configurations = json!([{"certificateArn": CERTIFICATE}]);
                let name = format!("d{name}.example.com");
                let body = json!({"domainName": name, "domainNameConfigurations": configurations});
                domain::create(draft, &input(body), Default::default()).map(drop)
            }
            Self::DeleteDomain { domain } => domain::delete(draft, &input(json!({"domainName": ids.domain(domain)}))),
            Self::CreateMapping { domain, api, stage, key } => {
                let (name, stage) = (ids.domain(domain), ids.stage(api, stage));
                let body = json!({"domainName": name, "apiId": ids.api(api), "stage": stage, "apiMappingKey": key.to_string()});
                mapping::create(draft, &input(body)).map(drop)
            }
            Self::DeleteMapping { domain, mapping } => {
                let (name, id) = (ids.domain(domain), ids.mapping(domain, mapping));
                mapping::delete(draft, &input(json!({"domainName": name, "apiMappingId": id})))
            }
            ref other => unreachable!("{other:?} is not of stages and domains"),
        }
    }
}

/// Ids by number, counted around; one that is nobody's where there are none.
struct Ids<'a>(&'a State);

impl Ids<'_> {
    fn api(&self, n: usize) -> String {
        nth(self.0.apis.keys(), n)
    }

    fn integration(&self, api: usize, n: usize) -> String {
        nth(State::of(&self.0.integrations, &self.api(api)).map(|found| &found.id), n)
    }

    fn route(&self, api: usize, n: usize) -> String {
        nth(State::of(&self.0.routes, &self.api(api)).map(|found| &found.id), n)
    }

    fn stage(&self, api: usize, n: usize) -> String {
        nth(State::of(&self.0.stages, &self.api(api)).map(|found| &found.name), n)
    }

    fn deployment(&self, api: usize, n: usize) -> String {
        nth(State::of(&self.0.deployments, &self.api(api)).map(|found| &found.id), n)
    }

    fn domain(&self, n: usize) -> String {
        nth(self.0.domains.keys(), n)
    }

    fn mapping(&self, domain: usize, n: usize) -> String {
        nth(State::of(&self.0.mappings, &self.domain(domain)).map(|found| &found.id), n)
    }
}

fn nth(ids: impl Iterator<Item = impl AsRef<str>>, n: usize) -> String {
    let ids: Vec<_> = ids.collect();
    ids.get(n % ids.len().max(1)).map_or("nobody", |id| id.as_ref()).to_owned()
}

fn input<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

fn start() -> State {
    let sealed = Keyring::new(&[7; 32]).unwrap().seal(CERTIFICATE, b"key").unwrap();
    let certificate = Certificate {
        arn: CERTIFICATE.into(),
        region: REGION.into(),
        domain_name: "*.example.com".into(),
        alternative_names: vec![],
        certificate: String::new(),
        chain: None,
        private_key: sealed,
        origin: CertificateOrigin::Imported,
        key_algorithm: "RSA_2048".into(),
        created: 0,
        life: Default::default(),
        tags: Default::default(),
    };
    let mut state = State::default();
    state.apply(1, &[Change::put(&certificate)]).unwrap();
    state
}

fn hold_together(state: &State) {
    for (api_id, routes) in state.routes.iter() {
        assert!(state.apis.contains_key(api_id));
        assert_eq!(routes.values().map(|route| &route.route_key).collect::<BTreeSet<_>>().len(), routes.len());
        for id in routes.values().filter_map(|route| route.integration_id.as_ref()) {
            assert!(State::one(&state.integrations, api_id, id).is_some(), "a route's integration is gone");
        }
    }
    for (api_id, stages) in state.stages.iter() {
        for stage in stages.values() {
            let deployment = stage.deployment_id.as_ref();
            let deployment =
                deployment.map(|id| State::one(&state.deployments, api_id, id).expect("a deployment is gone"));
            let routes: Vec<_> = State::of(&state.routes, api_id).map(|route| (**route).clone()).collect();
            if stage.auto_deploy && !routes.is_empty() {
                let served = deployment.expect("an auto-deploying stage serves nothing");
                assert_eq!(served.routes, routes);
                assert_eq!(served.disable_execute_api_endpoint, state.apis[api_id].disable_execute_api_endpoint);
            }
        }
    }
    for (api_id, deployments) in state.deployments.iter() {
        let used: BTreeSet<_> =
            State::of(&state.stages, api_id).filter_map(|stage| stage.deployment_id.as_ref()).collect();
        for deployment in deployments.values().filter(|deployment| deployment.auto_deployed) {
            assert!(used.contains(&deployment.id), "an unused deployment that was made by itself stays");
        }
    }
    for (name, mappings) in state.mappings.iter() {
        assert!(state.domains.contains_key(name));
        assert_eq!(mappings.values().map(|mapping| &mapping.key).collect::<BTreeSet<_>>().len(), mappings.len());
        for mapping in mappings.values() {
            assert!(State::one(&state.stages, &mapping.api_id, &mapping.stage).is_some(), "a mapped stage is gone");
        }
    }
    let mut parents = state.stages.keys().chain(state.deployments.keys()).chain(state.integrations.keys());
    assert!(parents.all(|api_id| state.apis.contains_key(api_id)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_asked_the_settings_hold_together(requests in proptest::collection::vec(requests(), 1..80)) {
        let (mut state, config) = (start(), config());
        for request in requests {
            let mut draft = Draft::new(&state, &config, REGION, 1000);
            if request.apply(&mut draft).is_ok() {
                let revision = state.revision + 1;
                let drafted = draft.state.clone();
                state.apply(revision, &draft.into_edit().changes).unwrap();
                prop_assert_eq!(&state.stages, &drafted.stages, "the changes make what the draft showed");
                prop_assert_eq!(&state.deployments, &drafted.deployments);
            }
            hold_together(&state);
        }
    }
}
