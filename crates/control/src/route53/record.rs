//! A resource record set, as it comes in and as it is shown.

use aws::Error;
use aws::route53::{AliasTarget, RRType, ResourceRecord, ResourceRecordSet};
use model::dns::Name;
use model::resource::{RecordAnswer, RecordSet};

use super::invalid_input;

pub(super) fn set(zone_id: &str, name: &Name, record_type: &str, answer: RecordAnswer) -> RecordSet {
    RecordSet {
        zone_id: zone_id.to_owned(),
        key: name.key_of(record_type),
        name: name.to_string(),
        record_type: record_type.to_owned(),
        answer,
    }
}

/// What a set is to answer. What it is of one kind and of none at once, or asks for what is not here, is no input at all; its values
/// are looked at elsewhere.
pub(super) fn answer(action: &str, set: &ResourceRecordSet) -> Result<RecordAnswer, Error> {
    if let Some(member) = unserved(set) {
        return Err(invalid_input(format!(
            "Invalid request: {member} in Change with [Action={action}, Name={}, Type={}]: Countersign has simple routing only, \
             and no health checks: one resource record set for a name and type",
            set.name, set.r#type
        )));
    }
    let expected = |found: &str| {
        invalid_input(format!(
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or TrafficPolicyInstanceId], \
             but found {found} in Change with [Action={action}, Name={}, Type={}, SetIdentifier=null]",
            set.name, set.r#type
        ))
    };
    match (&set.alias_target, set.ttl, &set.resource_records) {
        (Some(alias), None, None) => Ok(RecordAnswer::Alias {
            zone_id: alias.hosted_zone_id.clone(),
            name: Name::parse(&alias.dns_name)
                .map_err(|why| {
                    super::batch::refused(&[format!(
                        "Invalid AliasTarget: {why} encountered with '{}'",
                        alias.dns_name
                    )])
                })?
                .to_string(),
            evaluate_target_health: alias.evaluate_target_health,
        }),
        (None, Some(ttl), Some(records)) => Ok(RecordAnswer::Records {
            ttl: u32::try_from(ttl).unwrap_or(u32::MAX),
            values: records.iter().map(|record| record.value.clone()).collect(),
        }),
        (None, None, None) => Err(expected("none")),
        (None, Some(_), None) | (None, None, Some(_)) => Err(expected("only one of TTL and ResourceRecords")),
        (Some(_), _, _) => Err(expected("more than one")),
    }
}

/// The member that asks for a routing policy.
fn unserved(set: &ResourceRecordSet) -> Option<&'static str> {
    [
        ("SetIdentifier", set.set_identifier.is_some()),
        ("Weight", set.weight.is_some()),
        ("Region", set.region.is_some()),
        ("GeoLocation", set.geo_location.is_some()),
        ("GeoProximityLocation", set.geo_proximity_location.is_some()),
        ("Failover", set.failover.is_some()),
        ("MultiValueAnswer", set.multi_value_answer.is_some()),
        ("CidrRoutingConfig", set.cidr_routing_config.is_some()),
        ("TrafficPolicyInstanceId", set.traffic_policy_instance_id.is_some()),
        ("HealthCheckId", set.health_check_id.is_some()),
    ]
    .into_iter()
    .find_map(|(member, there)| there.then_some(member))
}

/// As Route 53 shows it.
pub(super) fn shown(set: &RecordSet) -> ResourceRecordSet {
    let (mut ttl, mut records, mut alias) = (None, None, None);
    match &set.answer {
        RecordAnswer::Records { ttl: seconds, values } => {
            ttl = Some(i64::from(*seconds));
            records = Some(values.iter().map(|value| ResourceRecord { value: value.clone() }).collect());
        }
        RecordAnswer::Alias { zone_id, name, evaluate_target_health } => {
            alias = Some(AliasTarget {
                hosted_zone_id: zone_id.clone(),
                dns_name: name.clone(),
                evaluate_target_health: *evaluate_target_health,
            });
        }
    }
    ResourceRecordSet {
        name: set.name.clone(),
        r#type: RRType::parse(&set.record_type).unwrap_or(RRType::Txt),
        ttl,
        resource_records: records,
        alias_target: alias,
        cidr_routing_config: None,
        failover: None,
        geo_location: None,
        geo_proximity_location: None,
        health_check_id: None,
        multi_value_answer: None,
        region: None,
        set_identifier: None,
        traffic_policy_instance_id: None,
        weight: None,
    }
}
