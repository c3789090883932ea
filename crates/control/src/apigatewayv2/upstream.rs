//! What an API's tags name for its backends: a certificate of ACM, and CAs in an object of S3.

use aws::Error;
use model::resource::{Tags, UpstreamCa};
use model::{ApiTags, UnixMillis};

use super::domain::certificate;
use super::draft::Draft;
use super::named::{Followed, named};
use super::object::{Kind, Newest};
use super::source::Location;

/// Gives an API, of either kind, what its tags name. What is named as before is not read again.
pub(crate) fn read_tagged(draft: &mut Draft<'_>, api_id: &str, tags: &Tags) -> Result<(), Error> {
    let tags = ApiTags::parse(tags).map_err(|error| Error::bad_request(error.to_string()))?;
    if let Some(arn) = &tags.upstream_certificate {
        certificate(draft, arn)?;
    }
    let Some(tag) = tags.upstream_ca else { return forget(draft, api_id) };
    let now = draft.state.upstream_cas.get(api_id).cloned();
    let now = now.as_ref().map(|now| &now.object);
    let object = named(draft, Kind::UpstreamCa, Location::parse(&tag.uri)?, tag.version, now)?;
    match now == Some(&object) {
        true => Ok(()),
        false => draft.put(&UpstreamCa { api_id: api_id.to_owned(), object }),
    }
}

/// The API is gone, or names nothing any more.
pub(crate) fn forget(draft: &mut Draft<'_>, api_id: &str) -> Result<(), Error> {
    let now = draft.state.upstream_cas.get(api_id).cloned();
    now.map_or(Ok(()), |now| draft.delete::<UpstreamCa>(&now))
}

/// Tells every API that names the object at `uri` that this is its newest version: it is taken, unless one is pinned.
pub(super) fn note_newest(
    draft: &mut Draft<'_>,
    uri: &str,
    newest: Option<&Newest>,
    at: UnixMillis,
) -> Result<(), Error> {
    let followed = Followed { newest, uri, at };
    let cas = draft.state.upstream_cas.clone();
    for ca in cas.values() {
        let mut next = UpstreamCa::clone(ca);
        followed.take(&mut next.object);
        if next == **ca {
            continue;
        }
        if let Some(usable) = newest.and_then(|newest| newest.usable.as_ref()) {
            draft.keep(&usable.blob);
        }
        draft.put(&next)?;
    }
    Ok(())
}
