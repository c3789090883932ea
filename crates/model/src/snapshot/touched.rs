//! What has to be compiled again after a commit: whatever is compiled from a resource that is not the one it was.
//!
//! A [`State`] shares with the one before every resource that a commit did not name, and every table without one of them. So
//! what a commit names is found by comparing addresses, and a commit costs by what it changes, not by what is set.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::compile::{compiled_blobs, crl_blobs};
use super::{Owner, Snapshot};
use crate::{Same, State, resource};

/// The tag of [`ApiTags::upstream_certificate`](crate::ApiTags::upstream_certificate).
const UPSTREAM_CERTIFICATE: &str = "countersign:upstream-certificate";

/// What is to be compiled again. What is gone is named as well.
pub(super) struct Touched<'s> {
    /// APIs of either kind whose stages may be others, by id.
    pub(super) apis: BTreeSet<&'s str>,
    /// APIs whose own endpoints may be others, by id.
    pub(super) endpoints: BTreeSet<&'s str>,
    /// Custom domains by name.
    pub(super) domains: BTreeSet<&'s str>,
    /// By id.
    pub(super) access_keys: BTreeSet<&'s str>,
    /// API keys, usage plans, or which are of which.
    pub(super) api_keys: bool,
}

/// Digests of bytes that something is compiled of.
pub(super) struct Named<'s> {
    pub(super) truststores: BTreeSet<&'s str>,
    pub(super) crls: BTreeSet<&'s str>,
}

impl<'s> Touched<'s> {
    /// Between what `base` was compiled from and `state`. What was broken is tried again: what it lacked may be there now.
    pub(super) fn between(base: &'s Snapshot, state: &'s State) -> Self {
        let before = &base.state;
        let mut apis: BTreeSet<&str> = before.apis.differing(&state.apis).collect();
        apis.extend(before.rest_apis.differing(&state.rest_apis));
        apis.extend(before.stages.differing(&state.stages));
        apis.extend(before.deployments.differing(&state.deployments));
        apis.extend(before.upstream_cas.differing(&state.upstream_cas));
        apis.extend(before.api_policies.differing(&state.api_policies));
        let api_keys = !before.api_keys.is_same(&state.api_keys)
            || !before.usage_plans.is_same(&state.usage_plans)
            || !before.usage_plan_keys.is_same(&state.usage_plan_keys);
        if api_keys || !before.client_certificates.is_same(&state.client_certificates) {
            apis.extend(state.rest_apis.keys());
        }
        apis.extend(apis_behind_links(before, state));
        if !before.certificates.is_same(&state.certificates) {
            apis.extend(apis_with_certificates(state));
        }
        // Policies that were not in the store may be there now.
        let broken =
            base.broken.keys().filter_map(|owner| if let Owner::Stages(id) = owner { Some(id.as_str()) } else { None });
        apis.extend(broken.filter(|id| state.api_policies.contains_key(id)));
        let access_keys = before.access_keys.differing(&state.access_keys).collect();
        let mut touched = Self { endpoints: apis.clone(), domains: BTreeSet::new(), apis, access_keys, api_keys };
        touched.endpoints_by_region(before, state);
        touched.domains_by_what_they_name(before, state);
        for owner in base.broken.keys() {
            match owner {
                Owner::Domain(name) => drop(touched.domains.insert(name)),
                Owner::Endpoint(api_id) => drop(touched.endpoints.insert(api_id)),
                // What they are made of is in the tables above.
                Owner::Stages(_) | Owner::AccessKey(_) | Owner::ApiKeys => {}
            }
        }
        touched
    }

    /// An endpoint's certificate is its region's.
    fn endpoints_by_region(&mut self, before: &'s State, state: &'s State) {
        let regions: BTreeSet<&str> = before.endpoints.differing(&state.endpoints).collect();
        if !regions.is_empty() {
            let http = state.apis.values().map(|api| (&api.id, &api.region));
            let all = http.chain(state.rest_apis.values().map(|api| (&api.id, &api.region)));
            self.endpoints
                .extend(all.filter(|(_, region)| regions.contains(region.as_str())).map(|(id, _)| id.as_str()));
        }
    }

    fn domains_by_what_they_name(&mut self, before: &'s State, state: &'s State) {
        self.domains.extend(before.domains.differing(&state.domains));
        self.domains.extend(before.mappings.differing(&state.mappings));
        self.domains.extend(before.routing_rules.differing(&state.routing_rules));
        let certificates: BTreeSet<&str> = before.certificates.differing(&state.certificates).collect();
        if !certificates.is_empty() {
            let shows_one = |domain: &&Arc<resource::Domain>| certificates.contains(domain.certificate_arn.as_str());
            self.domains.extend(state.domains.values().filter(shows_one).map(|domain| domain.name.as_str()));
        }
        self.domains.extend(self.apis.iter().flat_map(|api_id| state.domains_leading_to(api_id)));
    }

    /// Digests of the policies of these APIs.
    pub(super) fn policies(&self, state: &'s State) -> impl Iterator<Item = &'s str> {
        self.apis.iter().filter_map(|id| state.api_policies.get(id)).map(|policy| policy.object.digest.as_str())
    }

    /// What the domains among these name in a state.
    pub(super) fn blobs(&self, state: &'s State) -> Named<'s> {
        let domains = || self.domains.iter().filter_map(|name| state.domains.get(name));
        Named {
            truststores: domains().flat_map(|domain| compiled_blobs(domain)).collect(),
            crls: domains().flat_map(|domain| crl_blobs(domain)).collect(),
        }
    }
}

/// APIs whose backends are shown a certificate of ACM's, by id.
fn apis_with_certificates(state: &State) -> impl Iterator<Item = &str> {
    let http = state.apis.values().map(|api| (&api.id, &api.tags));
    let all = http.chain(state.rest_apis.values().map(|api| (&api.id, &api.tags)));
    all.filter(|(_, tags)| tags.contains_key(UPSTREAM_CERTIFICATE)).map(|(id, _)| id.as_str())
}

/// APIs of which something deployed names a VPC link that is another, by id.
fn apis_behind_links<'s>(before: &'s State, state: &'s State) -> Vec<&'s str> {
    let links: BTreeSet<&str> = before.vpc_links.differing(&state.vpc_links).collect();
    if links.is_empty() {
        return Vec::new();
    }
    let names = |deployment: &resource::Deployment| {
        deployment.integrations.iter().filter_map(|i| i.vpc_link_id.as_deref()).any(|id| links.contains(id))
    };
    let touched = state.deployments.iter().filter(|(_, of_api)| of_api.values().any(|deployment| names(deployment)));
    touched.map(|(id, _)| id).collect()
}
