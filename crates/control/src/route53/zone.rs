//! Hosted zones: made with the records that a zone has to have, deleted when it has no others.

use aws::Error;
use aws::route53::{CreateHostedZoneRequest, DelegationSet, HostedZone as Shown, HostedZoneConfig};
use http::StatusCode;
use model::dns::Name;
use model::resource::{HostedZone, RecordAnswer, RecordSet, Tags};
use model::{Change, State, UnixMillis};

use super::{MAX_ZONES, count, invalid_input, invalid_name, record};
use crate::ids;

/// Route 53's times to live of the records that it makes.
const NS_TTL: u32 = 172_800;
const SOA_TTL: u32 = 900;
/// Serial number, refresh, retry, expire, minimum: Route 53's.
const SOA_TIMES: &str = "1 7200 900 1209600 86400";

/// The zone that a request asks for.
pub(super) fn made(
    input: &CreateHostedZoneRequest,
    name_servers: &[String],
    at: UnixMillis,
) -> Result<HostedZone, Error> {
    let name = Name::parse(&input.name).map_err(|why| invalid_name(&input.name, why))?;
    if name.labels().len() == 0 {
        return Err(Error::client("InvalidDomainName", "The root is not a valid domain name of a hosted zone"));
    }
    let config = input.hosted_zone_config.clone().unwrap_or_default();
    if let Some(vpc) = &input.vpc {
        let message = format!(
            "The VPC {} does not exist: there are no VPCs here, and so no private hosted zones",
            vpc.vpc_id.as_deref().unwrap_or_default()
        );
        return Err(Error::client("InvalidVPCId", message));
    }
    if config.private_zone == Some(true) {
        return Err(invalid_input("When you're creating a private hosted zone, you must specify a VPC"));
    }
    if let Some(id) = &input.delegation_set_id {
        let message = format!("No delegation set found with ID: {id}");
        return Err(Error::client("NoSuchDelegationSet", message));
    }
    Ok(HostedZone {
        id: format!("Z{}", ids::base32(19)?),
        name: name.to_string(),
        caller_reference: input.caller_reference.clone(),
        comment: config.comment.filter(|comment| !comment.is_empty()),
        name_servers: name_servers.to_vec(),
        created: at,
        tags: Tags::new(),
    })
}

/// The changes that make it.
pub(super) fn create(state: &State, zone: &HostedZone) -> Result<Vec<Change>, Error> {
    if state.hosted_zones.values().any(|other| other.caller_reference == zone.caller_reference) {
        let message = "A hosted zone has already been created with the specified caller reference.";
        return Err(Error::new(StatusCode::CONFLICT, "HostedZoneAlreadyExists", message));
    }
    if state.hosted_zones.len() >= MAX_ZONES {
        let message =
            format!("Limits Exceeded: MAX_HOSTED_ZONES_BY_OWNER - Cannot create more than {MAX_ZONES} hosted zones.");
        return Err(Error::client("TooManyHostedZones", message));
    }
    let servers: Vec<String> = zone.name_servers.iter().map(|server| format!("{server}.")).collect();
    let (first, parent) = servers.first().and_then(|server| Some((server, server.split_once('.')?.1))).unzip();
    let soa =
        format!("{} hostmaster.{} {SOA_TIMES}", first.map_or(".", |first| first.as_str()), parent.unwrap_or_default());
    let set = |record_type: &str, ttl, values| -> Result<Change, Error> {
        let apex = Name::parse(&zone.name).map_err(|why| invalid_name(&zone.name, why))?;
        Ok(Change::put(&record::set(&zone.id, &apex, record_type, RecordAnswer::Records { ttl, values })))
    };
    Ok(vec![Change::put(zone), set("NS", NS_TTL, servers.clone())?, set("SOA", SOA_TTL, vec![soa])?])
}

/// The changes that delete it.
pub(super) fn delete(state: &State, id: &str) -> Result<Vec<Change>, Error> {
    let zone = find(state, id)?;
    let sets: Vec<_> = State::of(&state.record_sets, &zone.id).collect();
    if sets.iter().any(|set| !is_required(zone, set)) {
        let message = "The specified hosted zone contains non-required resource record sets and so cannot be deleted.";
        return Err(Error::client("HostedZoneNotEmpty", message));
    }
    Ok(sets.into_iter().map(|set| Change::delete(set.as_ref())).chain([Change::delete(zone)]).collect())
}

/// Whether a zone has to have a record set.
pub(super) fn is_required(zone: &HostedZone, set: &RecordSet) -> bool {
    set.name == zone.name && matches!(set.record_type.as_str(), "NS" | "SOA")
}

/// By its id, with or without `/hostedzone/`.
pub(super) fn find<'s>(state: &'s State, id: &str) -> Result<&'s HostedZone, Error> {
    let id = id.trim_start_matches('/').strip_prefix("hostedzone/").unwrap_or(id);
    state.hosted_zones.get(id).map(AsRef::as_ref).ok_or_else(|| {
        Error::new(StatusCode::NOT_FOUND, "NoSuchHostedZone", format!("No hosted zone found with ID: {id}"))
    })
}

/// As Route 53 shows it.
pub(super) fn shown(state: &State, zone: &HostedZone) -> Shown {
    Shown {
        id: Some(format!("/hostedzone/{}", zone.id)),
        name: Some(zone.name.clone()),
        caller_reference: Some(zone.caller_reference.clone()),
        config: Some(HostedZoneConfig { comment: zone.comment.clone(), private_zone: Some(false) }),
        resource_record_set_count: Some(count(State::of(&state.record_sets, &zone.id).count())),
        ..Shown::default()
    }
}

pub(super) fn delegation_set(zone: &HostedZone) -> DelegationSet {
    DelegationSet { name_servers: Some(zone.name_servers.clone()), ..DelegationSet::default() }
}
