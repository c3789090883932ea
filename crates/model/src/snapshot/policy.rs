//! The policies that an API's requests are held against.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use ::policy::Policies;

use super::Fault;
use super::compile::{Compiler, same_option};
use super::stages::OfApi;
use crate::resource::ApiPolicy;
use crate::{ApiTags, Same};

/// What `countersign:policy` of a stage's API names.
#[derive(Clone)]
pub struct StagePolicy {
    /// None: they cannot be used, and nobody may call.
    pub policies: Option<Arc<Policies>>,
    /// None: they were never read.
    source: Option<Arc<ApiPolicy>>,
}

impl StagePolicy {
    /// Object and version that the policies were read from; both are empty where they never were.
    pub fn origin(&self) -> (&str, &str) {
        self.source.as_ref().map_or(("", ""), |source| (&source.object.uri, &source.object.read_version))
    }

    /// Whether a stage may stay what it is.
    pub(super) fn same(a: Option<&Self>, b: Option<&Self>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => {
                same_option(a.source.as_ref(), b.source.as_ref())
                    && same_option(a.policies.as_ref(), b.policies.as_ref())
            }
            (None, None) => true,
            _ => false,
        }
    }
}

impl Compiler<'_> {
    /// Of an API that names policies. Where they cannot be had, they permit nothing: to go without would let in whom they refuse.
    pub(super) fn policy_of(&mut self, api: &OfApi<'_>, tags: &ApiTags) -> Option<StagePolicy> {
        let source = self.state.api_policies.get(api.id).cloned();
        if source.is_none() && tags.policy.is_none() {
            return None;
        }
        let found = match &source {
            Some(source) => self.policies(&source.object.digest),
            None => Err("they were not read".to_owned()),
        };
        let fault = |what| self.faults.push(Fault { name: format!("the policies of API {}", api.id), what });
        Some(StagePolicy { policies: found.map_err(fault).ok(), source })
    }

    /// They fitted the schema when they were set; whether they fit this program's is seen again.
    fn policies(&mut self, digest: &str) -> Result<Arc<Policies>, String> {
        if let Some(known) = self.next.policies.get(digest) {
            return Ok(known.clone());
        }
        let compiled = match self.previous.policies.get(digest) {
            Some(known) => known.clone(),
            None => {
                let blob = self.blobs.get(digest).ok_or_else(|| format!("{digest} is missing from the store"))?;
                Arc::new(Policies::compile(blob.bytes()).map_err(|problems| problems.to_string())?.0)
            }
        };
        self.next.policies.change(digest, Some(compiled.clone()));
        Ok(compiled)
    }

    /// Those that no API names any more.
    pub(super) fn forget_policies(&mut self) {
        if self.before.api_policies.is_same(&self.state.api_policies) {
            return;
        }
        let named: BTreeSet<&str> =
            self.state.api_policies.values().map(|policy| policy.object.digest.as_str()).collect();
        self.next.policies.retain(|digest, _| named.contains(digest));
    }
}

impl fmt::Debug for StagePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (uri, version) = self.origin();
        let mut told = f.debug_struct("StagePolicy");
        told.field("uri", &uri).field("version", &version).field("policies", &self.policies).finish()
    }
}
