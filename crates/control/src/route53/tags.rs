//! Tags of hosted zones.

use aws::Error;
use aws::route53::{ChangeTagsForResourceRequest, ResourceTagSet, Tag, TagResourceType};
use http::StatusCode;
use model::resource::HostedZone;
use model::{Change, State};

use super::{invalid_input, zone};

const MAX_TAGS: usize = 10;

/// The change that a request comes to.
pub(super) fn change(state: &State, input: &ChangeTagsForResourceRequest) -> Result<Change, Error> {
    let mut zone = tagged(state, input.resource_type, &input.resource_id)?.clone();
    if input.add_tags.is_none() && input.remove_tag_keys.is_none() {
        return Err(invalid_input("You must specify at least one of AddTags and RemoveTagKeys."));
    }
    for name in input.remove_tag_keys.iter().flatten() {
        zone.tags.remove(name);
    }
    for Tag { key, value } in input.add_tags.iter().flatten() {
        let key = key.as_deref().filter(|key| !key.is_empty()).ok_or_else(|| invalid_input("A tag needs a Key."))?;
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(invalid_input("Tag keys must not start with aws:"));
        }
        if key.starts_with("countersign:") {
            let message = format!("Unknown tag {key}: a hosted zone has no tags that start with countersign:.");
            return Err(invalid_input(message));
        }
        zone.tags.insert(key.to_owned(), value.clone().unwrap_or_default());
    }
    match zone.tags.len() {
        0..=MAX_TAGS => Ok(Change::put(&zone)),
        _ => Err(invalid_input(format!("A resource has at most {MAX_TAGS} tags."))),
    }
}

/// The tags, as Route 53 shows them.
pub(super) fn of(state: &State, kind: TagResourceType, id: &str) -> Result<ResourceTagSet, Error> {
    let zone = tagged(state, kind, id)?;
    let tags = zone.tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) });
    Ok(ResourceTagSet { resource_type: Some(kind), resource_id: Some(zone.id.clone()), tags: Some(tags.collect()) })
}

fn tagged<'s>(state: &'s State, kind: TagResourceType, id: &str) -> Result<&'s HostedZone, Error> {
    match kind {
        TagResourceType::Hostedzone => zone::find(state, id),
        TagResourceType::Healthcheck => {
            let message = format!("No health check exists with the ID: {id}");
            Err(Error::new(StatusCode::NOT_FOUND, "NoSuchHealthCheck", message))
        }
    }
}
