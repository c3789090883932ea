//! Answers to questions, by RFC 1034 (section 4.3.2), with the wildcards of RFC 4592 and Route 53's aliases.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::Name;
use crate::resource::{HostedZone, RecordAnswer, RecordSet};
use crate::{State, Table};

/// Answers questions from the hosted zones of a state.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    /// Where the zones are, and the custom domains that aliases lead to.
    pub state: &'a State,
    /// Of the gateway: what an alias to a custom domain answers.
    pub addresses: &'a [IpAddr],
    /// `{target}.execute-api.{region}.{suffix}` is what a custom domain leads to.
    pub suffix: &'a str,
}

/// What a question was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In one word.
    pub found: Found,
    /// What was asked for, with the `CNAME`s that lead there.
    pub answers: Vec<RecordsOfOne>,
    /// The zone's `SOA` where there is nothing of that type, or the name servers that know more.
    pub authority: Vec<RecordsOfOne>,
    /// Addresses of the name servers in `authority`.
    pub additional: Vec<RecordsOfOne>,
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There are records, or a `CNAME` that leads out of the hosted zones.
    Records,
    /// The name exists, but not with that type.
    NoData,
    /// The name does not exist.
    NoName,
    /// Others answer for that name.
    Elsewhere,
    /// No hosted zone has that name.
    NoZone,
}

/// Records of one name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsOfOne {
    /// The name.
    pub name: Name,
    /// The type, e.g. `AAAA`.
    pub record_type: String,
    /// Seconds.
    pub ttl: u32,
    /// In the form of a zone file.
    pub values: Vec<String>,
}

/// More `CNAME`s and aliases than this are not followed.
const MAX_STEPS: usize = 8;
/// Route 53's time to live of what an alias leads to.
const ALIAS_TTL: u32 = 60;

type Sets = Table<RecordSet>;

impl<'a> Resolver<'a> {
    /// Answers a question: a name, and the name of a type.
    pub fn answer(&self, name: &Name, record_type: &str) -> Answer {
        let mut answer =
            Answer { found: Found::NoZone, answers: Vec::new(), authority: Vec::new(), additional: Vec::new() };
        let mut name = name.clone();
        for _ in 0..=MAX_STEPS {
            let Some((zone, apex)) = self.zone_of(&name) else {
                // What a chain leads to outside of the zones, others say.
                if !answer.answers.is_empty() {
                    answer.found = Found::Records;
                }
                return answer;
            };
            let known = Zone { resolver: self, sets: self.state.record_sets.get(&zone.id), apex };
            match known.look_up(&name, record_type, &mut answer) {
                Some(target) if answer.answers.iter().all(|records| records.name != target) => name = target,
                _ => return answer,
            }
        }
        answer
    }

    /// The zone that answers for a name: the one with the longest name, and of those with the same, the oldest.
    pub fn zone_of(&self, name: &Name) -> Option<(&'a HostedZone, Name)> {
        let above: BTreeMap<String, Name> =
            std::iter::successors(Some(name.clone()), Name::parent).map(|name| (name.to_string(), name)).collect();
        let zones = self.state.hosted_zones.values().filter(|zone| above.contains_key(&zone.name));
        let order = |zone: &&Arc<HostedZone>| (std::cmp::Reverse(zone.name.len()), zone.created, zone.id.clone());
        let zone = zones.min_by_key(order)?;
        above.get(&zone.name).map(|apex| (zone.as_ref(), apex.clone()))
    }

    /// The region and id of the custom domain that a name leads to.
    pub fn is_target_of_domain(&self, name: &Name) -> bool {
        let name = name.to_string();
        self.state.domains.values().any(|domain| {
            let target = format!("{}.execute-api.{}.{}.", domain.target_id, domain.region, self.suffix);
            name.starts_with(&domain.target_id) && name == target
        })
    }
}

/// A zone that is being asked.
struct Zone<'a> {
    resolver: &'a Resolver<'a>,
    sets: Option<&'a Sets>,
    apex: Name,
}

impl Zone<'_> {
    /// Adds what the zone knows of a name. The answer is the name to go on with.
    fn look_up(&self, name: &Name, record_type: &str, answer: &mut Answer) -> Option<Name> {
        if let Some(cut) = self.delegation(name, record_type) {
            self.refer(&cut, answer);
            return None;
        }
        let Some(owner) = self.owner(name) else {
            answer.found = Found::NoName;
            answer.authority.extend(self.soa());
            return None;
        };
        if let Some(records) = self.records(&owner, record_type, 0) {
            answer.found = Found::Records;
            answer.answers.push(RecordsOfOne { name: name.clone(), ..records });
            return None;
        }
        if let Some(cname) = self.records(&owner, "CNAME", 0) {
            let target = cname.values.first().and_then(|value| Name::parse(value).ok());
            answer.found = Found::Records;
            answer.answers.push(RecordsOfOne { name: name.clone(), ..cname });
            return target;
        }
        answer.found = Found::NoData;
        answer.authority.extend(self.soa());
        None
    }

    /// The records of a name and type, what an alias leads to included.
    fn records(&self, owner: &Name, record_type: &str, steps: usize) -> Option<RecordsOfOne> {
        let of = |ttl, values| RecordsOfOne { name: owner.clone(), record_type: record_type.to_owned(), ttl, values };
        match &self.set(owner, record_type)?.answer {
            RecordAnswer::Records { ttl, values } => Some(of(*ttl, values.clone())),
            RecordAnswer::Alias { name, .. } => {
                let target = Name::parse(name).ok()?;
                if self.resolver.is_target_of_domain(&target) {
                    let wanted = |address: &&IpAddr| {
                        (record_type == "A" && address.is_ipv4()) || (record_type == "AAAA" && address.is_ipv6())
                    };
                    let values: Vec<String> =
                        self.resolver.addresses.iter().filter(wanted).map(IpAddr::to_string).collect();
                    return (!values.is_empty()).then(|| of(ALIAS_TTL, values));
                }
                let target = self.owner(&target).filter(|_| steps < MAX_STEPS && target.is_within(&self.apex))?;
                let found = self.records(&target, record_type, steps + 1)?;
                Some(of(found.ttl, found.values))
            }
        }
    }

    /// Whose records a name has: its own, or those of the wildcard next to it. None: it does not exist.
    fn owner(&self, name: &Name) -> Option<Name> {
        if self.exists(name) {
            return Some(name.clone());
        }
        let above = std::iter::successors(name.parent(), Name::parent).take_while(|name| name.is_within(&self.apex));
        let closest = above.into_iter().find(|name| self.exists(name)).unwrap_or_else(|| self.apex.clone());
        closest.wildcard().filter(|wildcard| self.exists(wildcard))
    }

    /// Whether there is something of that name, or below it.
    fn exists(&self, name: &Name) -> bool {
        let reversed = name.reversed();
        let first = self.sets.and_then(|sets| sets.at_or_after(&reversed).next());
        first.is_some_and(|(key, _)| key.starts_with(&reversed))
    }

    /// The name below the zone's own, at or above `name`, that is delegated to others.
    fn delegation(&self, name: &Name, record_type: &str) -> Option<Name> {
        let below = |cut: &Name| cut.is_within(&self.apex) && *cut != self.apex;
        let mut path: Vec<Name> = std::iter::successors(Some(name.clone()), Name::parent).take_while(below).collect();
        path.reverse();
        // Whose delegation is signed is for the upper zone to say.
        path.into_iter().find(|cut| self.set(cut, "NS").is_some() && !(record_type == "DS" && cut == name))
    }

    fn refer(&self, cut: &Name, answer: &mut Answer) {
        answer.found = if answer.answers.is_empty() { Found::Elsewhere } else { Found::Records };
        let Some(servers) = self.records(cut, "NS", 0) else { return };
        let names: BTreeSet<Name> = servers.values.iter().filter_map(|value| Name::parse(value).ok()).collect();
        for name in names.iter().filter(|name| name.is_within(&self.apex)) {
            answer.additional.extend(["A", "AAAA"].iter().filter_map(|of| self.records(name, of, 0)));
        }
        answer.authority.push(servers);
    }

    /// For what is not there: it may be remembered for as long as the record's last field says (RFC 2308 section 3).
    fn soa(&self) -> Option<RecordsOfOne> {
        let soa = self.records(&self.apex, "SOA", 0)?;
        let minimum = soa.values.first().and_then(|value| value.split_ascii_whitespace().last()?.parse().ok());
        Some(RecordsOfOne { ttl: soa.ttl.min(minimum.unwrap_or(soa.ttl)), ..soa })
    }

    fn set(&self, name: &Name, record_type: &str) -> Option<&RecordSet> {
        self.sets?.get(&name.key_of(record_type)).map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests;
