//! A change of the settings as it is being worked out.

use std::sync::Arc;

use aws::{Caller, Error};
use model::resource::{Api, Authorizer, Domain, Integration, NamedObject, Stage};
use model::{Blob, Change, Resource, Revision, State, UnixMillis};

use super::object::{ObjectRef, Readings};
use super::web_socket;
use crate::settings::Edit;
use crate::{ControlConfig, ids};

/// The settings as a rule sees them, its own changes included, and who asked for them when.
pub(crate) struct Draft<'a> {
    /// With the changes that were made so far.
    pub(crate) state: State,
    /// Settings of the server itself.
    pub(crate) config: &'a ControlConfig,
    /// Where resources are looked for and made.
    pub(crate) region: &'a str,
    /// The time.
    pub(crate) at: UnixMillis,
    changes: Vec<Change>,
    blobs: Vec<Blob>,
    readings: Option<&'a Readings>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(state: &State, config: &'a ControlConfig, region: &'a str, at: UnixMillis) -> Self {
        Self { state: state.clone(), config, region, at, changes: Vec::new(), blobs: Vec::new(), readings: None }
    }

    pub(crate) fn of(state: &State, config: &'a ControlConfig, caller: &'a Caller) -> Self {
        Self::new(state, config, &caller.region, caller.at.saturating_mul(1000))
    }

    /// With what was read of S3 for it.
    pub(super) fn reading(self, readings: &'a Readings) -> Self {
        Self { readings: Some(readings), ..self }
    }

    /// What is to be committed.
    pub(crate) fn into_edit(self) -> Edit {
        Edit { changes: self.changes, blobs: self.blobs }
    }

    /// An object of S3 as a domain names it. It fails where the object is still to be read; the rule is asked again then.
    pub(super) fn read(&mut self, object: &ObjectRef) -> Result<NamedObject, Error> {
        let loaded = self.readings.and_then(|readings| readings.find(object));
        let loaded = loaded.ok_or_else(|| Error::internal(format!("{} was not read.", object.location.uri())))?;
        loaded.blobs(object).for_each(|blob| self.keep(blob));
        Ok(loaded.named(object))
    }

    /// Keeps a blob with what is to be committed.
    pub(super) fn keep(&mut self, blob: &Blob) {
        self.blobs.push(blob.clone());
    }

    /// The revision that the changes will be.
    pub(crate) fn next_revision(&self) -> Revision {
        self.state.revision + 1
    }

    pub(crate) fn put<R: Resource>(&mut self, resource: &R) -> Result<(), Error> {
        self.change(Change::put(resource))
    }

    pub(crate) fn delete<R: Resource>(&mut self, resource: &R) -> Result<(), Error> {
        self.change(Change::delete(resource))
    }

    /// Makes a change that was worked out elsewhere.
    pub(crate) fn change(&mut self, change: Change) -> Result<(), Error> {
        let applied = self.state.apply(self.state.revision, std::slice::from_ref(&change));
        applied.map_err(|corrupt| Error::internal(corrupt.to_string()))?;
        // Of several changes of one resource the last says it all.
        self.changes.retain(|earlier| earlier.key != change.key);
        self.changes.push(change);
        Ok(())
    }

    /// A random id that is not taken.
    pub(crate) fn fresh_id(&self, length: usize, taken: impl Fn(&State, &str) -> bool) -> Result<String, Error> {
        loop {
            let id = ids::short(length)?;
            if !taken(&self.state, &id) {
                return Ok(id);
            }
        }
    }

    /// An API of the region.
    pub(crate) fn api(&self, id: &str) -> Result<Arc<Api>, Error> {
        let api = self.state.apis.get(id).filter(|api| api.region == self.region);
        api.cloned().ok_or_else(|| {
            let message = format!("Invalid API identifier specified {}:{id}", self.config.account);
            not_found("Api", message)
        })
    }

    /// Whether there is an API of the region that can be served, be it an HTTP API or a REST API.
    pub(crate) fn any_api(&self, id: &str) -> Result<(), Error> {
        match self.state.rest_apis.get(id).is_some_and(|api| api.region == self.region) {
            true => Ok(()),
            false => self.api(id).and_then(|api| web_socket::refuse_deployment(&api)),
        }
    }

    pub(crate) fn integration(&self, api_id: &str, id: &str) -> Result<Arc<Integration>, Error> {
        let integration = State::one(&self.state.integrations, api_id, id).cloned();
        integration.ok_or_else(|| not_found("Integration", "Invalid Integration identifier specified"))
    }

    pub(crate) fn authorizer(&self, api_id: &str, id: &str) -> Result<Arc<Authorizer>, Error> {
        let authorizer = State::one(&self.state.authorizers, api_id, id).cloned();
        authorizer.ok_or_else(|| not_found("Authorizer", "Invalid Authorizer identifier specified"))
    }

    pub(crate) fn stage(&self, api_id: &str, name: &str) -> Result<Arc<Stage>, Error> {
        let stage = State::one(&self.state.stages, api_id, name).cloned();
        stage.ok_or_else(|| not_found("Stage", "Invalid stage identifier specified"))
    }

    /// A custom domain name of the region.
    pub(crate) fn domain(&self, name: &str) -> Result<Arc<Domain>, Error> {
        let domain = self.state.domains.get(&name.to_ascii_lowercase()).filter(|domain| domain.region == self.region);
        domain.cloned().ok_or_else(|| not_found("DomainName", "Invalid domain name identifier specified"))
    }
}

/// Whether an API of either kind has this id: stages, deployments and mappings are found by it.
pub(crate) fn api_id_is_taken(state: &State, id: &str) -> bool {
    state.apis.contains_key(id) || state.rest_apis.contains_key(id)
}

/// API Gateway's 404 for a resource of that type.
pub(crate) fn not_found(resource_type: &str, message: impl Into<String>) -> Error {
    Error::not_found(message).with("resourceType", resource_type)
}
