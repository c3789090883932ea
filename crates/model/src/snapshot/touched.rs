//! What has to be compiled again after a commit: whatever is compiled from a resource that is not the one it was.
//!
//! A [`State`] shares with the one before every resource that a commit did not name, and every table without one of them. So
//! what a commit names is found by comparing addresses, and a commit costs by what it changes, not by what is set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::compile::{compiled_blobs, crl_blobs};
use super::{Owner, Snapshot};
use crate::{State, resource};

/// What is to be compiled again.
pub(super) struct Touched<'s> {
    /// APIs whose stages may be others, by id; those that are gone as well.
    pub(super) apis: BTreeSet<&'s str>,
    /// APIs whose own endpoints may be others, by id; those that are gone as well.
    pub(super) endpoints: BTreeSet<&'s str>,
    /// Custom domains by name; those that are gone as well.
    pub(super) domains: BTreeSet<&'s str>,
}

impl<'s> Touched<'s> {
    /// Between what `base` was compiled from and `state`. What was broken is tried again: what it lacked may be there now.
    pub(super) fn between(base: &'s Snapshot, state: &'s State) -> Self {
        let before = &base.state;
        let mut apis: BTreeSet<&str> = differing(&before.apis, &state.apis).collect();
        apis.extend(differing(&before.stages, &state.stages));
        apis.extend(differing(&before.deployments, &state.deployments));
        let mut touched = Self { endpoints: apis.clone(), domains: BTreeSet::new(), apis };
        touched.by_region(before, state);
        touched.by_name(before, state);
        for owner in base.broken.keys() {
            match owner {
                Owner::Stages(_) => false,
                Owner::Domain(name) => touched.domains.insert(name),
                Owner::Endpoint(api_id) => touched.endpoints.insert(api_id),
            };
        }
        touched
    }

    /// Endpoints, whose certificate is their region's.
    fn by_region(&mut self, before: &'s State, state: &'s State) {
        let regions: BTreeSet<&str> = differing(&before.endpoints, &state.endpoints).collect();
        if !regions.is_empty() {
            let of_them = state.apis.values().filter(|api| regions.contains(api.region.as_str()));
            self.endpoints.extend(of_them.map(|api| api.id.as_str()));
        }
    }

    /// Domains, by themselves and by what they name.
    fn by_name(&mut self, before: &'s State, state: &'s State) {
        self.domains.extend(differing(&before.domains, &state.domains));
        self.domains.extend(differing(&before.mappings, &state.mappings));
        let certificates: BTreeSet<&str> = differing(&before.certificates, &state.certificates).collect();
        if !certificates.is_empty() {
            let of_them =
                state.domains.values().filter(|domain| certificates.contains(domain.certificate_arn.as_str()));
            self.domains.extend(of_them.map(|domain| domain.name.as_str()));
        }
        if !self.apis.is_empty() {
            let leads_to_them = |mappings: &BTreeMap<String, Arc<resource::ApiMapping>>| {
                mappings.values().any(|mapping| self.apis.contains(mapping.api_id.as_str()))
            };
            let of_them = state.mappings.iter().filter(|(_, mappings)| leads_to_them(mappings));
            self.domains.extend(of_them.map(|(name, _)| name.as_str()));
        }
    }

    /// What the domains among these name, and what was compiled of that before: truststores and lists, by digest.
    pub(super) fn blobs(&self, state: &'s State) -> (BTreeSet<&'s str>, BTreeSet<&'s str>) {
        let domains = || self.domains.iter().filter_map(|name| state.domains.get(*name));
        let truststores = domains().flat_map(|domain| compiled_blobs(domain)).collect();
        (truststores, domains().flat_map(|domain| crl_blobs(domain)).collect())
    }
}

/// Keys under which two tables have not the same object.
fn differing<'a, V>(
    before: &'a Arc<BTreeMap<String, Arc<V>>>,
    after: &'a Arc<BTreeMap<String, Arc<V>>>,
) -> impl Iterator<Item = &'a str> + use<'a, V> {
    let same = Arc::ptr_eq(before, after);
    let mut before = before.iter().filter(move |_| !same).peekable();
    let mut after = after.iter().filter(move |_| !same).peekable();
    std::iter::from_fn(move || {
        loop {
            let key = match (before.peek(), after.peek()) {
                (None, None) => return None,
                (Some((key, _)), None) | (None, Some((key, _))) => *key,
                (Some((old, a)), Some((new, b))) => {
                    // An object has one key, so that the keys need not be compared.
                    if Arc::ptr_eq(a, b) {
                        before.next();
                        after.next();
                        continue;
                    }
                    (*old).min(*new)
                }
            };
            before.next_if(|(old, _)| *old == key);
            after.next_if(|(new, _)| *new == key);
            return Some(key.as_str());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, &Arc<u8>)]) -> Arc<BTreeMap<String, Arc<u8>>> {
        Arc::new(entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).clone())).collect())
    }

    #[test]
    fn tables_differ_in_what_was_put_replaced_and_removed() {
        let values: [Arc<u8>; 6] = std::array::from_fn(|number| Arc::new(number as u8));
        let [a, b, c, d, e, f] = &values;
        let before = table(&[("a", a), ("b", b), ("c", c), ("e", e)]);
        let after = table(&[("0", f), ("a", a), ("b", d), ("e", e), ("f", f)]);
        assert_eq!(differing(&before, &after).collect::<Vec<_>>(), ["0", "b", "c", "f"]);
        assert_eq!(differing(&after, &before).collect::<Vec<_>>(), ["0", "b", "c", "f"]);
        assert_eq!(differing(&before, &before.clone()).count(), 0);
        assert_eq!(differing(&before, &table(&[])).count(), 4);
        assert_eq!(differing(&table(&[]), &after).count(), 5);
    }
}
