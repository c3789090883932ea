//! A batch of changes of record sets: all of them, or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws::Error;
use aws::route53::{Change as Asked, ChangeAction};
use model::dns::{Name, Resolver};
use model::resource::{HostedZone, RecordAnswer, RecordSet};
use model::{Change, State, Table};

use super::{MAX_RECORD_SETS, record, value, zone};
use crate::apigatewayv2::HOSTED_ZONE_ID;

/// Of all values of a batch together; an `UPSERT` counts twice.
const MAX_RECORDS: usize = 1_000;
const MAX_CHARACTERS: usize = 32_000;

/// The changes of the settings that a batch comes to, or all that is wrong with it.
pub(super) fn changes(state: &State, zone_id: &str, asked: &[Asked], suffix: &str) -> Result<Vec<Change>, Error> {
    let zone = zone::find(state, zone_id)?;
    check_size(asked)?;
    let apex = Name::parse(&zone.name).map_err(|why| super::invalid_name(&zone.name, why))?;
    let sets = state.record_sets.get(&zone.id).cloned().unwrap_or_default();
    let resolver = Resolver { state, addresses: &[], suffix };
    let mut batch = Batch { zone, apex, resolver, sets, changes: BTreeMap::new() };
    let mut wrong = Vec::new();
    for Asked { action, resource_record_set: set } in asked {
        let answer = record::answer(action.as_str(), set)?;
        match Name::parse(&set.name) {
            Ok(name) => {
                let set = record::set(&zone.id, &name, set.r#type.as_str(), answer);
                wrong.extend(batch.make(*action, &name, set).err().unwrap_or_default());
            }
            Err(why) => wrong.push(format!("Invalid Resource Record Set: {why} encountered with '{}'", set.name)),
        }
    }
    if batch.sets.len() > MAX_RECORD_SETS {
        let message = format!(
            "Limits Exceeded: MAX_RRSETS_BY_ZONE - Cannot create more than {MAX_RECORD_SETS} resource record sets in this hosted zone."
        );
        return Err(Error::client("LimitsExceeded", message));
    }
    if wrong.is_empty() { Ok(batch.changes.into_values().collect()) } else { Err(refused(&wrong)) }
}

/// The error, as Route 53 words it: all messages in brackets.
pub(super) fn refused(messages: &[String]) -> Error {
    Error::client("InvalidChangeBatch", format!("[{}]", messages.join(", ")))
}

struct Batch<'a> {
    zone: &'a HostedZone,
    apex: Name,
    resolver: Resolver<'a>,
    /// The zone, as it is after the changes so far.
    sets: Table<RecordSet>,
    /// The last of each set.
    changes: BTreeMap<String, Change>,
}

impl Batch<'_> {
    fn make(&mut self, action: ChangeAction, name: &Name, set: RecordSet) -> Result<(), Vec<String>> {
        let one = |message| Err(vec![message]);
        if !name.is_within(&self.apex) {
            return one(format!("RRSet with DNS name {name} is not permitted in zone {}", self.zone.name));
        }
        let at = format!("[name='{name}', type='{}']", set.record_type);
        match (action, self.sets.get(&set.key)) {
            (ChangeAction::Create, Some(_)) => {
                return one(format!("Tried to create resource record set {at} but it already exists"));
            }
            (ChangeAction::Delete, None) => {
                return one(format!("Tried to delete resource record set {at} but it was not found"));
            }
            (ChangeAction::Delete, Some(there)) => {
                if !is_same(&there.answer, &set.answer) {
                    return one(format!(
                        "Tried to delete resource record set {at} but the values provided do not match the current values"
                    ));
                }
                return self.delete(&set).map_err(|message| vec![message]);
            }
            (ChangeAction::Create | ChangeAction::Upsert, _) => {}
        }
        self.check(name, &set)?;
        self.changes.insert(set.key.clone(), Change::put(&set));
        let key = set.key.clone();
        self.sets.insert(&key, Arc::new(set));
        Ok(())
    }

    fn delete(&mut self, set: &RecordSet) -> Result<(), String> {
        if zone::is_required(self.zone, set) {
            return Err(match set.record_type.as_str() {
                "SOA" => "A HostedZone must contain exactly one SOA record.".to_owned(),
                _ => "A HostedZone must contain at least one NS record for the zone itself.".to_owned(),
            });
        }
        self.changes.insert(set.key.clone(), Change::delete(set));
        self.sets.remove(&set.key);
        Ok(())
    }

    /// Whether a set may be in the zone, beside what is there.
    fn check(&self, name: &Name, set: &RecordSet) -> Result<(), Vec<String>> {
        let (of, zone) = (&set.record_type, &self.zone.name);
        let mut wrong = Vec::new();
        if of == "CNAME" && *name == self.apex {
            wrong.push(format!("RRSet of type CNAME with DNS name {name} is not permitted at apex in zone {zone}"));
        }
        if of == "SOA" && *name != self.apex {
            wrong.push(format!(
                "RRSet of type SOA with DNS name {name} is not permitted: it belongs to the apex of zone {zone}"
            ));
        }
        let start = format!("{} ", name.reversed());
        let others = self.sets.at_or_after(&start).take_while(|(key, _)| key.starts_with(&start));
        let others: Vec<&str> =
            others.map(|(_, other)| other.record_type.as_str()).filter(|other| *other != of).collect();
        if of == "CNAME" && *name != self.apex && !others.is_empty() {
            wrong.push(format!(
                "RRSet of type CNAME with DNS name {name} is not permitted as it conflicts with other records with the same DNS name in zone {zone}"
            ));
        } else if others.contains(&"CNAME") {
            wrong.push(format!(
                "RRSet of type {of} with DNS name {name} is not permitted because a conflicting RRSet of type CNAME with the same DNS name already exists in zone {zone}"
            ));
        }
        match &set.answer {
            RecordAnswer::Records { values, .. } => wrong.extend(value::wrong(of, values)),
            RecordAnswer::Alias { zone_id, name: target, .. } => wrong.extend(self.wrong_alias(of, zone_id, target)),
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }

    /// An alias leads to a custom domain, or to a record set of the same zone.
    fn wrong_alias(&self, of: &str, zone_id: &str, target: &str) -> Option<String> {
        let tried = |why: &str| {
            Some(format!("Tried to create an alias that targets {target}, type {of} in zone {zone_id}, but {why}"))
        };
        if matches!(of, "NS" | "SOA") {
            return Some(format!("An alias of type {of} is not permitted"));
        }
        let Ok(name) = Name::parse(target) else { return tried("the alias target name is not valid") };
        if zone_id == HOSTED_ZONE_ID {
            return match self.resolver.is_target_of_domain(&name) && matches!(of, "A" | "AAAA") {
                true => None,
                false => tried("that target was not found"),
            };
        }
        if zone_id != self.zone.id {
            return tried("that zone is neither this hosted zone nor that of custom domain names");
        }
        if !name.is_within(&self.apex) {
            return tried("the alias target name does not lie within the target zone");
        }
        match self.sets.contains_key(&name.key_of(of)) {
            true => None,
            false => tried("that target was not found"),
        }
    }
}

/// Whether a set is the one that is to be deleted; the order of its values does not matter.
fn is_same(one: &RecordAnswer, other: &RecordAnswer) -> bool {
    let sorted = |values: &[String]| {
        let mut values = values.to_vec();
        values.sort();
        values
    };
    match (one, other) {
        (RecordAnswer::Records { ttl, values }, RecordAnswer::Records { ttl: other_ttl, values: others }) => {
            ttl == other_ttl && sorted(values) == sorted(others)
        }
        _ => one == other,
    }
}

fn check_size(asked: &[Asked]) -> Result<(), Error> {
    let values = asked.iter().flat_map(|change| {
        let times = if change.action == ChangeAction::Upsert { 2 } else { 1 };
        let records = change.resource_record_set.resource_records.iter().flatten();
        records.map(move |record| (times, times * record.value.chars().count()))
    });
    let (records, characters) = values.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    if records.max(asked.len()) > MAX_RECORDS {
        return Err(refused(&[format!("Number of records limit of {MAX_RECORDS} exceeded.")]));
    }
    if characters > MAX_CHARACTERS {
        return Err(refused(&[format!("Number of characters limit of {MAX_CHARACTERS} exceeded.")]));
    }
    Ok(())
}
