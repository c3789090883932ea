//! The settings at one revision.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::change::Resource;
use crate::map::Map;
use crate::resource::{
    AccessKey, Account, AcmeAccount, AcmeOrder, Api, ApiKey, ApiMapping, ApiPolicy, Authorizer, Certificate,
    ClientCertificate, Deployment, DocumentationPart, DocumentationVersion, Domain, Endpoint, GatewayResponse, Group,
    HostedZone, Integration, LocalCa, LogGroup, LogResourcePolicy, ManagedPolicy, Model, QueryDefinition, RecordSet,
    RequestValidator, RestApi, RestAuthorizer, RestResource, Role, Route, RoutingRule, Stage, UpstreamCa, UsagePlan,
    UsagePlanKey, User, VpcLink, WebSocketIntegration, WebSocketModel, WebSocketRoute, ZoneChange,
};
use crate::{Change, Key, Revision};

/// Every resource at one revision. Cloning shares the resources; [`State::apply`] replaces only what a change names.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The commit that this is the result of.
    pub revision: Revision,
    /// By id.
    pub access_keys: Table<AccessKey>,
    /// By region.
    pub accounts: Table<Account>,
    /// By URL of the issuer's directory.
    pub acme_accounts: Table<AcmeAccount>,
    /// By the certificate's ARN.
    pub acme_orders: Table<AcmeOrder>,
    /// By id.
    pub api_keys: Table<ApiKey>,
    /// By API id.
    pub api_policies: Table<ApiPolicy>,
    /// By id.
    pub apis: Table<Api>,
    /// By API id, then id.
    pub authorizers: Nested<Authorizer>,
    /// By domain name, then id.
    pub mappings: Nested<ApiMapping>,
    /// By ARN.
    pub certificates: Table<Certificate>,
    /// By id.
    pub client_certificates: Table<ClientCertificate>,
    /// By API id, then id.
    pub deployments: Nested<Deployment>,
    /// By API id, then id.
    pub documentation_parts: Nested<DocumentationPart>,
    /// By API id, then version.
    pub documentation_versions: Nested<DocumentationVersion>,
    /// By name.
    pub domains: Table<Domain>,
    /// By region.
    pub endpoints: Table<Endpoint>,
    /// By API id, then response type.
    pub gateway_responses: Nested<GatewayResponse>,
    /// By name.
    pub groups: Table<Group>,
    /// By id.
    pub hosted_zones: Table<HostedZone>,
    /// By API id, then id.
    pub integrations: Nested<Integration>,
    /// By id.
    pub local_ca: Table<LocalCa>,
    /// By region, then name.
    pub log_groups: Nested<LogGroup>,
    /// By ARN.
    pub managed_policies: Table<ManagedPolicy>,
    /// By API id, then name.
    pub models: Nested<Model>,
    /// By zone id, then key.
    pub record_sets: Nested<RecordSet>,
    /// By region, then name.
    pub log_resource_policies: Nested<LogResourcePolicy>,
    /// By region, then id.
    pub query_definitions: Nested<QueryDefinition>,
    /// By API id, then id.
    pub request_validators: Nested<RequestValidator>,
    /// By id.
    pub rest_apis: Table<RestApi>,
    /// By API id, then id.
    pub rest_authorizers: Nested<RestAuthorizer>,
    /// By API id, then id.
    pub rest_resources: Nested<RestResource>,
    /// By name.
    pub roles: Table<Role>,
    /// By API id, then id.
    pub routes: Nested<Route>,
    /// By domain name, then id.
    pub routing_rules: Nested<RoutingRule>,
    /// By API id, then name.
    pub stages: Nested<Stage>,
    /// By API id.
    pub upstream_cas: Table<UpstreamCa>,
    /// By plan id, then key id.
    pub usage_plan_keys: Nested<UsagePlanKey>,
    /// By id.
    pub usage_plans: Table<UsagePlan>,
    /// By name.
    pub users: Table<User>,
    /// By id.
    pub vpc_links: Table<VpcLink>,
    /// By API id, then id.
    pub web_socket_integrations: Nested<WebSocketIntegration>,
    /// By API id, then id.
    pub web_socket_models: Nested<WebSocketModel>,
    /// By API id, then id.
    pub web_socket_routes: Nested<WebSocketRoute>,
    /// By id.
    pub zone_changes: Table<ZoneChange>,
    /// By API id, then domain name: of how many mappings and routing rules of the domain lead to the API. Follows from them.
    leading: Map<Map<usize>>,
}

/// Resources by one segment.
pub type Table<R> = Map<Arc<R>>;
/// Resources by two segments.
pub type Nested<R> = Map<Table<R>>;

/// A stored resource that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored resource {key} cannot be read: {why}")]
pub struct Corrupt {
    /// Its key.
    pub key: String,
    /// Why.
    pub why: String,
}

impl State {
    /// The state after a commit. Nothing is changed when one of its resources cannot be read.
    pub fn apply(&mut self, revision: Revision, changes: &[Change]) -> Result<(), Corrupt> {
        let mut next = self.clone();
        for change in changes {
            next.apply_one(change)?;
        }
        next.revision = revision;
        *self = next;
        Ok(())
    }

    fn apply_one(&mut self, change: &Change) -> Result<(), Corrupt> {
        match change.key.kind() {
            AccessKey::KIND => one(&mut self.access_keys, change),
            Account::KIND => one(&mut self.accounts, change),
            AcmeAccount::KIND => one(&mut self.acme_accounts, change),
            AcmeOrder::KIND => one(&mut self.acme_orders, change),
            ApiKey::KIND => one(&mut self.api_keys, change),
            ApiPolicy::KIND => one(&mut self.api_policies, change),
            Api::KIND => one(&mut self.apis, change),
            Authorizer::KIND => two(&mut self.authorizers, change),
            ApiMapping::KIND => self.lead(change, |state| &mut state.mappings, |mapping| &mapping.api_id),
            Certificate::KIND => one(&mut self.certificates, change),
            ClientCertificate::KIND => one(&mut self.client_certificates, change),
            Deployment::KIND => two(&mut self.deployments, change),
            DocumentationPart::KIND => two(&mut self.documentation_parts, change),
            DocumentationVersion::KIND => two(&mut self.documentation_versions, change),
            Domain::KIND => one(&mut self.domains, change),
            Endpoint::KIND => one(&mut self.endpoints, change),
            GatewayResponse::KIND => two(&mut self.gateway_responses, change),
            Group::KIND => one(&mut self.groups, change),
            HostedZone::KIND => one(&mut self.hosted_zones, change),
            Integration::KIND => two(&mut self.integrations, change),
            LocalCa::KIND => one(&mut self.local_ca, change),
            LogGroup::KIND => two(&mut self.log_groups, change),
            ManagedPolicy::KIND => one(&mut self.managed_policies, change),
            Model::KIND => two(&mut self.models, change),
            RecordSet::KIND => two(&mut self.record_sets, change),
            LogResourcePolicy::KIND => two(&mut self.log_resource_policies, change),
            QueryDefinition::KIND => two(&mut self.query_definitions, change),
            RequestValidator::KIND => two(&mut self.request_validators, change),
            RestApi::KIND => one(&mut self.rest_apis, change),
            RestAuthorizer::KIND => two(&mut self.rest_authorizers, change),
            RestResource::KIND => two(&mut self.rest_resources, change),
            Role::KIND => one(&mut self.roles, change),
            Route::KIND => two(&mut self.routes, change),
            RoutingRule::KIND => self.lead(change, |state| &mut state.routing_rules, |rule| &rule.api_id),
            Stage::KIND => two(&mut self.stages, change),
            UpstreamCa::KIND => one(&mut self.upstream_cas, change),
            UsagePlan::KIND => one(&mut self.usage_plans, change),
            UsagePlanKey::KIND => two(&mut self.usage_plan_keys, change),
            User::KIND => one(&mut self.users, change),
            VpcLink::KIND => one(&mut self.vpc_links, change),
            WebSocketIntegration::KIND => two(&mut self.web_socket_integrations, change),
            WebSocketModel::KIND => two(&mut self.web_socket_models, change),
            WebSocketRoute::KIND => two(&mut self.web_socket_routes, change),
            ZoneChange::KIND => one(&mut self.zone_changes, change),
            _ => Err(corrupt(&change.key, "unknown kind; the store was written by a newer version")),
        }
    }

    /// Changes what leads from a domain to an API, and notes it.
    fn lead<R: Resource>(
        &mut self,
        change: &Change,
        table: impl Fn(&mut Self) -> &mut Nested<R>,
        api_id: impl Fn(&R) -> &String,
    ) -> Result<(), Corrupt> {
        let [domain, id] = change.key.segments()?;
        let led = |state: &mut Self| Self::one(table(state), &domain, &id).map(|at| api_id(at).clone());
        let before = led(self);
        two(table(self), change)?;
        let after = led(self);
        for (api_id, more) in before.iter().map(|api_id| (api_id, false)).chain(after.iter().map(|id| (id, true))) {
            let mut domains = self.leading.get(api_id).cloned().unwrap_or_default();
            let count = domains.get(&domain).copied().unwrap_or(0);
            match if more { count + 1 } else { count.saturating_sub(1) } {
                0 => drop(domains.remove(&domain)),
                count => domains.insert(&domain, count),
            }
            match domains.is_empty() {
                true => drop(self.leading.remove(api_id)),
                false => self.leading.insert(api_id, domains),
            }
        }
        Ok(())
    }

    /// Names of the domains of which a mapping or a routing rule leads to an API, in order.
    pub fn domains_leading_to(&self, api_id: &str) -> impl Iterator<Item = &str> {
        self.leading.get(api_id).into_iter().flat_map(|domains| domains.keys())
    }

    /// Digests of the bytes that are named anywhere.
    pub fn blobs(&self) -> BTreeSet<&str> {
        let cas = self.upstream_cas.values().flat_map(|ca| ca.object.blobs());
        let policies = self.api_policies.values().flat_map(|policy| policy.object.blobs());
        self.domains.values().flat_map(|domain| domain.blobs()).chain(cas).chain(policies).collect()
    }

    /// The resources of an API, of a kind.
    pub fn of<'a, R>(nested: &'a Nested<R>, first: &str) -> impl Iterator<Item = &'a Arc<R>> + use<'a, R> {
        nested.get(first).into_iter().flat_map(|inner| inner.values())
    }

    /// One resource of an API (or region).
    pub fn one<'a, R>(nested: &'a Nested<R>, first: &str, second: &str) -> Option<&'a Arc<R>> {
        nested.get(first)?.get(second)
    }
}

fn one<R: Resource>(table: &mut Table<R>, change: &Change) -> Result<(), Corrupt> {
    let [name] = change.key.segments()?;
    match read(change)? {
        Some(resource) => table.insert(&name, Arc::new(resource)),
        None => drop(table.remove(&name)),
    }
    Ok(())
}

fn two<R: Resource>(nested: &mut Nested<R>, change: &Change) -> Result<(), Corrupt> {
    let [first, second] = change.key.segments()?;
    let resource = read(change)?;
    let mut inner = nested.get(&first).cloned().unwrap_or_default();
    match resource {
        Some(resource) => inner.insert(&second, Arc::new(resource)),
        None => drop(inner.remove(&second)),
    }
    match inner.is_empty() {
        true => drop(nested.remove(&first)),
        false => nested.insert(&first, inner),
    }
    Ok(())
}

fn read<R: Resource>(change: &Change) -> Result<Option<R>, Corrupt> {
    let Some(value) = &change.value else { return Ok(None) };
    let resource: R = serde_json::from_slice(value).map_err(|e| corrupt(&change.key, &e.to_string()))?;
    if Change::put(&resource).key != change.key {
        return Err(corrupt(&change.key, "it names itself differently"));
    }
    Ok(Some(resource))
}

impl Key {
    /// The segments after the kind, decoded.
    fn segments<const N: usize>(&self) -> Result<[String; N], Corrupt> {
        let segments: Vec<String> =
            self.as_str().split('/').skip(1).map(|s| s.replace("%2F", "/").replace("%25", "%")).collect();
        segments.try_into().map_err(|_| corrupt(self, "wrong number of segments"))
    }
}

fn corrupt(key: &Key, why: &str) -> Corrupt {
    Corrupt { key: key.as_str().to_owned(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn group(name: &str) -> LogGroup {
        LogGroup::new("us-east-1", name, 1)
    }

    #[test]
    fn puts_and_deletes_by_key() {
        let mut state = State::default();
        let slashed = group("/aws/api%2F/x");
        state.apply(1, &[Change::put(&slashed), Change::put(&group("b"))]).unwrap();
        assert_eq!(State::one(&state.log_groups, "us-east-1", "/aws/api%2F/x").unwrap().as_ref(), &slashed);
        assert_eq!(State::of(&state.log_groups, "us-east-1").count(), 2);
        state.apply(2, &[Change::delete(&slashed), Change::delete(&group("b"))]).unwrap();
        assert!(state.log_groups.is_empty());
        assert_eq!(state.revision, 2);
    }

    #[test]
    fn a_corrupt_resource_changes_nothing() {
        let mut state = State::default();
        let bad = Change { key: Key::from("log-groups/us-east-1/x".to_owned()), value: Some(b"{}".to_vec()) };
        assert!(state.apply(1, &[Change::put(&group("a")), bad]).is_err());
        let misplaced = Change { key: Key::from("log-groups/us-east-1/x".to_owned()), ..Change::put(&group("y")) };
        assert!(state.apply(1, &[misplaced]).is_err());
        let unknown = Change { key: Key::from("widgets/1".to_owned()), value: None };
        assert!(state.apply(1, &[unknown]).is_err());
        assert_eq!(state.revision, 0);
        assert!(state.log_groups.is_empty());
    }

    #[test]
    fn knows_which_domains_lead_to_an_api() {
        let mapping = |domain: &str, id: &str, api_id: &str| ApiMapping {
            id: id.into(),
            domain: domain.into(),
            api_id: api_id.into(),
            stage: "$default".into(),
            key: String::new(),
        };
        let mut state = State::default();
        let leading = |state: &State, api_id| state.domains_leading_to(api_id).map(str::to_owned).collect::<Vec<_>>();
        let put = [mapping("b.test", "1", "x"), mapping("a.test", "2", "x"), mapping("a.test", "3", "x")];
        state.apply(1, &put.each_ref().map(Change::put)).unwrap();
        assert_eq!(leading(&state, "x"), ["a.test", "b.test"]);
        let moved = [Change::put(&mapping("a.test", "2", "y")), Change::delete(&put[0])];
        state.apply(2, &moved).unwrap();
        assert_eq!(
            (leading(&state, "x"), leading(&state, "y")),
            (vec!["a.test".to_owned()], vec!["a.test".to_owned()])
        );
        state.apply(3, &[Change::put(&put[2]), Change::delete(&put[2]), Change::delete(&put[1])]).unwrap();
        assert!(state.leading.is_empty());
    }
}
