//! What an API's tags name: for its backends a certificate of ACM, and CAs in an object of S3; for its clients policies, in
//! another.

use aws::Error;
use model::resource::{ApiPolicy, NamedObject, Tags, UpstreamCa};
use model::{ApiTags, ObjectTag, Resource, State, Table};

use super::domain::certificate;
use super::draft::Draft;
use super::named::{Followed, named, not_followed};
use super::object::{Kind, Newest};
use super::source::Location;

/// Gives an API, of either kind, what its tags name. What is named as before is not read again.
pub(crate) fn read_tagged(draft: &mut Draft<'_>, api_id: &str, tags: &Tags) -> Result<(), Error> {
    let tags = ApiTags::parse(tags).map_err(|error| Error::bad_request(error.to_string()))?;
    if let Some(arn) = &tags.upstream_certificate {
        certificate(draft, arn)?;
    }
    set::<UpstreamCa>(draft, api_id, tags.upstream_ca)?;
    set::<ApiPolicy>(draft, api_id, tags.policy)
}

/// The API is gone.
pub(crate) fn forget(draft: &mut Draft<'_>, api_id: &str) -> Result<(), Error> {
    set::<UpstreamCa>(draft, api_id, None)?;
    set::<ApiPolicy>(draft, api_id, None)
}

/// `warnings` of an API: what is odd about its policies, and which version of them is not followed.
pub(crate) fn warnings(state: &State, api_id: &str) -> Option<Vec<String>> {
    let object = &state.api_policies.get(api_id)?.object;
    let odd = object.warnings.iter().map(|odd| format!("Policy: {odd}"));
    let warnings: Vec<String> = odd.chain(not_followed(object, "policy", "countersign:policy-version")).collect();
    (!warnings.is_empty()).then_some(warnings)
}

/// As what APIs name the object at `uri`.
pub(super) fn kinds(state: &State, uri: &str) -> impl Iterator<Item = Kind> {
    let is_named = |of_api: bool, kind: Kind| of_api.then_some(kind);
    let ca = is_named(names::<UpstreamCa>(state, uri), UpstreamCa::OBJECT);
    ca.into_iter().chain(is_named(names::<ApiPolicy>(state, uri), ApiPolicy::OBJECT))
}

/// All objects that APIs name.
pub(super) fn objects(state: &State) -> impl Iterator<Item = &NamedObject> {
    let cas = state.upstream_cas.values().map(|ca| &ca.object);
    cas.chain(state.api_policies.values().map(|policy| &policy.object))
}

/// Tells every API that names the object at `uri` that this is its newest version: it is taken if it can be used, unless one is
/// pinned.
pub(super) fn note_newest<R: OfApi>(draft: &mut Draft<'_>, uri: &str, newest: Option<&Newest>) -> Result<(), Error> {
    let followed = Followed { newest, uri, at: draft.at };
    let table = R::table(&draft.state).clone();
    for (api_id, now) in table.iter().filter(|(_, now)| now.object().uri == uri) {
        let mut object = now.object().clone();
        followed.take(&mut object);
        if object == *now.object() {
            continue;
        }
        if let Some(usable) = newest.and_then(|newest| newest.usable.as_ref()) {
            draft.keep(&usable.blob);
        }
        draft.put(&R::new(api_id.to_owned(), object))?;
    }
    Ok(())
}

/// An object that a tag of an API names.
pub(super) trait OfApi: Resource {
    /// What it has to be.
    const OBJECT: Kind;

    fn new(api_id: String, object: NamedObject) -> Self;

    fn table(state: &State) -> &Table<Self>;

    fn object(&self) -> &NamedObject;
}

impl OfApi for UpstreamCa {
    const OBJECT: Kind = Kind::UpstreamCa;

    fn new(api_id: String, object: NamedObject) -> Self {
        Self { api_id, object }
    }

    fn table(state: &State) -> &Table<Self> {
        &state.upstream_cas
    }

    fn object(&self) -> &NamedObject {
        &self.object
    }
}

impl OfApi for ApiPolicy {
    const OBJECT: Kind = Kind::Policy;

    fn new(api_id: String, object: NamedObject) -> Self {
        Self { api_id, object }
    }

    fn table(state: &State) -> &Table<Self> {
        &state.api_policies
    }

    fn object(&self) -> &NamedObject {
        &self.object
    }
}

/// What the tag says, or nothing any more.
fn set<R: OfApi>(draft: &mut Draft<'_>, api_id: &str, tag: Option<ObjectTag>) -> Result<(), Error> {
    let now = R::table(&draft.state).get(api_id).cloned();
    let Some(tag) = tag else { return now.map_or(Ok(()), |now| draft.delete::<R>(&now)) };
    let now = now.as_ref().map(|now| now.object());
    let object = named(draft, R::OBJECT, Location::parse(&tag.uri)?, tag.version, now)?;
    match now == Some(&object) {
        true => Ok(()),
        false => draft.put(&R::new(api_id.to_owned(), object)),
    }
}

fn names<R: OfApi>(state: &State, uri: &str) -> bool {
    R::table(state).values().any(|named| named.object().uri == uri)
}
