//! API Gateway v2: HTTP APIs, custom domain names and mutual TLS.
//!
//! An operation is a pure rule over a [`Draft`], in the file of its resource; here each is given its caller and
//! committed. A rule that needs an object of S3 is asked again when that has been read.

mod api;
mod authorizer;
pub(crate) mod check;
mod deployment;
mod document;
pub(crate) mod domain;
mod domain_name;
pub(crate) mod draft;
pub(crate) mod integration;
pub(crate) mod mapping;
mod named;
mod object;
pub(crate) mod of_api;
pub(crate) mod operations;
pub(crate) mod page;
mod parameters;
mod quick_create;
mod route;
mod routing_rule;
mod source;
pub(crate) mod stage;
pub(crate) mod tags;
#[cfg(test)]
mod tests;
mod uses;
mod vpc_link;
mod web_socket;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws::apigatewayv2::{DomainName, MutualTlsAuthenticationInput};
use aws::{Caller, Error};
use model::Blob;
use model::resource::{Domain, Tags};

use crate::control::blocking;
use crate::local_ca::endpoint_change;
use crate::{By, Control};
pub(crate) use domain::{Enforced, HOSTED_ZONE_ID, warnings_of};
pub(crate) use draft::Draft;
use object::{Loaded, Newest, ObjectRef, Readings};
use source::{Location, Sources};
pub(crate) use uses::Uses;

/// How many objects are read for one change, those included that somebody else's change made needless.
const MAX_READINGS: usize = 32;

impl Control {
    /// To be called after an object was put or deleted, or a version of it: a domain whose truststore it is tells when
    /// it has a newer version than is enforced, which does not change; what follows its object is read again.
    pub async fn object_written(&self, bucket: &str, key: &str) -> Result<(), Error> {
        self.written(Location::Object { bucket: bucket.to_owned(), key: key.to_owned() }).await
    }

    /// To be called after `file:NAME` was changed: domains that name it take it, if it can be used.
    pub async fn file_written(&self, name: &str) -> Result<(), Error> {
        self.written(Location::File(name.to_owned())).await
    }

    /// Looks for versions of named objects of which nobody was told, because the server ended between the two, or its settings
    /// could not be stored: a revocation must not get lost so. To be called at the start and now and then.
    pub async fn catch_up(&self) -> Result<(), Error> {
        let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let state = self.settings().state();
        let of_domain = |domain: &'_ Arc<Domain>| {
            let Domain { mutual_tls, shadow, crls, .. } = &**domain;
            mutual_tls.iter().chain(shadow).chain(crls).cloned().collect::<Vec<_>>()
        };
        let of_apis = of_api::objects(&state).cloned();
        for object in state.domains.values().flat_map(of_domain).chain(of_apis) {
            let version = object.newest.map_or(object.read_version, |newest| newest.version);
            known.entry(object.uri).or_default().insert(version);
        }
        for (uri, versions) in known {
            let Ok(location) = Location::parse(&uri) else { continue };
            let (sources, place) = (self.sources(), location.clone());
            let newest = blocking(move || Ok(sources.newest_version(&place))).await?;
            // It is on another node, which tells everybody.
            if newest.is_none() && self.config().shares_settings {
                continue;
            }
            // Two domains may know different ones.
            if newest.is_none_or(|newest| versions.iter().any(|version| *version != newest)) {
                self.written(location).await?;
            }
        }
        Ok(())
    }

    async fn written(&self, location: Location) -> Result<(), Error> {
        let uri = location.uri();
        // In turn, so that what was read last is also noted last.
        let _turn = self.shared.object_notes.lock().await;
        let uses = &self.shared.uses;
        for kind in named::kinds(uses, &self.settings().state(), &uri) {
            let (sources, at, location) = (self.sources(), self.now(), location.clone());
            let newest = blocking(move || Newest::read(&sources, kind, &location, at)).await?;
            self.settings()
                .edit(By::Server("NoteNewerVersion"), |state| {
                    let mut draft = Draft::new(state, self.config(), &self.config().default_region, at);
                    named::note_newest(uses, &mut draft, kind, &uri, newest.as_ref())?;
                    Ok((draft.into_edit(), ()))
                })
                .await?;
        }
        Ok(())
    }

    fn sources(&self) -> Sources {
        let directory = self.config().revocation_directory.clone();
        Sources { objects: Arc::clone(self.objects()), directory }
    }

    pub(crate) fn draft<'a>(&'a self, caller: &'a Caller) -> Draft<'a> {
        Draft::of(&self.settings().state(), self.config(), caller)
    }

    /// Commits what a rule makes of a draft. It is asked again when what it wants of S3 has been read.
    pub(crate) async fn edit<T: Send>(
        &self,
        caller: &Caller,
        rule: impl Fn(&mut Draft<'_>) -> Result<T, Error> + Send + Sync,
    ) -> Result<T, Error> {
        let mut readings = Readings::default();
        for _ in 0..=MAX_READINGS {
            let outcome = self
                .settings()
                .edit(caller, |state| {
                    let mut draft = Draft::of(state, self.config(), caller).reading(&readings);
                    let answer = rule(&mut draft)?;
                    Ok((draft.into_edit(), answer))
                })
                .await;
            let Some(object) = readings.take_missing() else { return outcome };
            let loaded = self.read(caller, object.clone()).await?;
            readings.insert(object, loaded);
        }
        Err(Error::conflict("Unable to complete operation due to concurrent modification. Please try again later."))
    }

    /// Reads an object that a domain is to have, with the caller's rights.
    async fn read(&self, caller: &Caller, object: ObjectRef) -> Result<Loaded, Error> {
        let action = if object.version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
        if let Location::Object { bucket, key } = &object.location {
            let arn = format!("arn:aws:s3:::{bucket}/{key}");
            caller.may(action, &arn).map_err(|_| object.inaccessible())?;
        }
        let (sources, at) = (self.sources(), caller.at.saturating_mul(1000));
        let wanted = object.clone();
        if let Some(loaded) = blocking(move || wanted.read(&sources, at)).await? {
            return Ok(loaded);
        }
        let kept = match &object.kept {
            Some(digest) => self.settings().blob(digest).await?,
            None => None,
        };
        kept.map(|blob| object.again(blob, at)).unwrap_or_else(|| Err(object.inaccessible()))
    }

    /// What a domain would become by another truststore and other tags, with the bytes that this takes; nothing is
    /// changed. Objects are read with the caller's rights.
    pub(crate) async fn domain_to_be(
        &self,
        caller: &Caller,
        domain: &Domain,
        truststore: &MutualTlsAuthenticationInput,
        tags: &Tags,
    ) -> Result<(Domain, Vec<Blob>), Error> {
        let mut readings = Readings::default();
        for _ in 0..=MAX_READINGS {
            let mut draft = self.draft(caller).reading(&readings);
            let outcome = domain::to_be(&mut draft, domain, truststore, tags);
            let outcome = outcome.map(|domain| (domain, draft.into_edit().blobs));
            let Some(object) = readings.take_missing() else { return outcome };
            let loaded = self.read(caller, object.clone()).await?;
            readings.insert(object, loaded);
        }
        Err(Error::bad_request(format!("More than {MAX_READINGS} objects would have to be read.")))
    }

    pub(crate) fn enforced(&self) -> domain::Enforced {
        domain::Enforced { applied: self.settings().applied(), snapshot: self.shared.snapshots.borrow().clone() }
    }

    /// The endpoints of a region get their certificate with its first API.
    pub(crate) fn endpoint_certificate(&self, draft: &mut Draft<'_>) -> Result<(), Error> {
        let suffix = &self.config().execute_api_suffix;
        let certificate = endpoint_change(&draft.state, self.keyring(), draft.region, suffix, draft.at)?;
        certificate.into_iter().try_for_each(|change| draft.change(change))
    }

    fn show_domain(&self, caller: &Caller, domain: &Domain) -> DomainName {
        domain::show(&self.draft(caller), domain, &self.enforced())
    }
}

/// With a truststore of its own.
#[cfg(test)]
pub(crate) fn tests_domain() -> Domain {
    named::tests::domain()
}
