//! Lists, in Route 53's order and pages: a page begins with what the one before names as next.

use std::sync::Arc;

use aws::Error;
use aws::route53::*;
use model::dns::Name;
use model::{State, resource};

use super::{invalid_input, invalid_name, record, zone};

const MAX_ZONES_ON_PAGE: usize = 100;
const MAX_SETS_ON_PAGE: usize = 300;

/// In the order of their ids.
pub(super) fn zones(state: &State, input: ListHostedZonesRequest) -> Result<ListHostedZonesResponse, Error> {
    if let Some(id) = &input.delegation_set_id {
        return Err(Error::client("NoSuchDelegationSet", format!("No delegation set found with ID: {id}")));
    }
    let size = size(input.max_items.as_deref(), MAX_ZONES_ON_PAGE)?;
    let marker = input.marker.filter(|marker| !marker.is_empty());
    // One that was deleted meanwhile is no reason to begin again.
    let is_id = |marker: &String| {
        marker.starts_with('Z') && marker.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    if let Some(marker) = marker.as_ref().filter(|marker| !is_id(marker)) {
        return Err(invalid_input(format!(
            "The marker {marker} is not valid: it is none that a list has named as next"
        )));
    }
    // There are no private ones.
    let public = input.hosted_zone_type.is_none();
    let from = state.hosted_zones.at_or_after(marker.as_deref().unwrap_or_default()).filter(|_| public);
    let (page, next) = page(from.map(|(_, zone)| zone), size);
    Ok(ListHostedZonesResponse {
        hosted_zones: Some(page.iter().map(|zone| zone::shown(state, zone)).collect()),
        // AWS's model wants it, also where the list began at its beginning.
        marker: Some(marker.unwrap_or_default()),
        is_truncated: Some(next.is_some()),
        next_marker: next.map(|zone| zone.id.clone()),
        max_items: Some(size.to_string()),
    })
}

/// In the order of their names' labels from the last to the first, then of their ids.
pub(super) fn zones_by_name(
    state: &State,
    input: ListHostedZonesByNameRequest,
) -> Result<ListHostedZonesByNameResponse, Error> {
    let size = size(input.max_items.as_deref(), MAX_ZONES_ON_PAGE)?;
    let reversed = |text: &str| Name::parse(text).map(|name| name.reversed()).map_err(|why| invalid_name(text, why));
    let from = input.dns_name.as_deref().filter(|name| !name.is_empty()).map(reversed).transpose()?;
    if input.hosted_zone_id.is_some() && from.is_none() {
        return Err(invalid_input("HostedZoneId needs a DNSName to begin with."));
    }
    let id = input.hosted_zone_id.as_deref().map(|id| id.trim_start_matches("/hostedzone/")).unwrap_or_default();
    let mut zones: Vec<(String, &Arc<resource::HostedZone>)> =
        state.hosted_zones.values().filter_map(|zone| Some((reversed(&zone.name).ok()?, zone))).collect();
    zones.sort_by(|(a, one), (b, other)| (a, &one.id).cmp(&(b, &other.id)));
    let start = (from.unwrap_or_default(), id.to_owned());
    let rest =
        zones.iter().filter(|(name, zone)| (name.as_str(), zone.id.as_str()) >= (start.0.as_str(), start.1.as_str()));
    let (page, next) = page(rest.map(|(_, zone)| *zone), size);
    Ok(ListHostedZonesByNameResponse {
        hosted_zones: Some(page.iter().map(|zone| zone::shown(state, zone)).collect()),
        dns_name: input.dns_name,
        hosted_zone_id: input.hosted_zone_id,
        is_truncated: Some(next.is_some()),
        next_dns_name: next.map(|zone| zone.name.clone()),
        next_hosted_zone_id: next.map(|zone| zone.id.clone()),
        max_items: Some(size.to_string()),
    })
}

/// In the order of their names' labels from the last to the first, then of their types.
pub(super) fn record_sets(
    state: &State,
    input: ListResourceRecordSetsRequest,
) -> Result<ListResourceRecordSetsResponse, Error> {
    let zone = zone::find(state, &input.hosted_zone_id)?;
    let size = size(input.max_items.as_deref(), MAX_SETS_ON_PAGE)?;
    let name = input.start_record_name.as_deref().filter(|name| !name.is_empty());
    let start = match (name, input.start_record_type, &input.start_record_identifier) {
        (None, None, None) => String::new(),
        (None, _, _) => return Err(invalid_input("The input is not valid: a type or identifier needs a name.")),
        (Some(_), None, Some(_)) => return Err(invalid_input("The input is not valid: an identifier needs a type.")),
        (Some(text), of, _) => {
            let name = Name::parse(text).map_err(|why| invalid_name(text, why))?;
            name.key_of(of.map_or("", |of| of.as_str()))
        }
    };
    let sets = state.record_sets.get(&zone.id);
    let from = sets.into_iter().flat_map(|sets| sets.at_or_after(&start)).map(|(_, set)| set);
    let (page, next) = page(from, size);
    Ok(ListResourceRecordSetsResponse {
        resource_record_sets: Some(page.iter().map(|set| record::shown(set)).collect()),
        is_truncated: Some(next.is_some()),
        next_record_name: next.map(|set| set.name.clone()),
        next_record_type: next.and_then(|set| RRType::parse(&set.record_type)),
        next_record_identifier: None,
        max_items: Some(size.to_string()),
    })
}

fn page<'a, R>(mut from: impl Iterator<Item = &'a Arc<R>>, size: usize) -> (Vec<&'a Arc<R>>, Option<&'a Arc<R>>) {
    (from.by_ref().take(size).collect(), from.next())
}

/// More than fit a page are no error: that many are shown.
fn size(max_items: Option<&str>, most: usize) -> Result<usize, Error> {
    match max_items.filter(|text| !text.is_empty()).map(str::parse::<usize>) {
        None => Ok(most),
        Some(Ok(size)) if size > 0 => Ok(size.min(most)),
        Some(_) => Err(invalid_input("Invalid maxitems: it must be a number from 1 on")),
    }
}
