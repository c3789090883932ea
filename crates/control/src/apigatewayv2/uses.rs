//! Which domains name an object, found without looking at all of them at each write to S3.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use model::Table;
use model::resource::Domain;

/// An index of the domains by the objects that they name. It follows the settings when it is asked, at the cost of what has
/// changed.
#[derive(Debug, Default)]
pub(crate) struct Uses(Mutex<Index>);

#[derive(Debug, Default)]
struct Index {
    /// What is indexed.
    domains: Table<Domain>,
    /// By a hash of the URI; who asks looks at what else has the same.
    by_uri: HashMap<u64, Vec<Arc<Domain>>>,
    hasher: RandomState,
}

impl Uses {
    /// The domains among `domains` that may name the object at `uri`: all that do, and hardly any other.
    pub(super) fn of(&self, domains: &Table<Domain>, uri: &str) -> Vec<Arc<Domain>> {
        // Nothing panics under the lock.
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        index.catch_up(domains);
        index.by_uri.get(&index.hasher.hash_one(uri)).cloned().unwrap_or_default()
    }
}

impl Index {
    fn catch_up(&mut self, domains: &Table<Domain>) {
        let before = std::mem::replace(&mut self.domains, domains.clone());
        for name in before.differing(domains) {
            if let Some(old) = before.get(name) {
                self.forget(old);
            }
            if let Some(new) = domains.get(name) {
                self.add(new);
            }
        }
    }

    fn add(&mut self, domain: &Arc<Domain>) {
        for uri in named(domain) {
            let of_uri = self.by_uri.entry(self.hasher.hash_one(uri)).or_default();
            // It may name one object twice.
            if of_uri.last().is_none_or(|last| !Arc::ptr_eq(last, domain)) {
                of_uri.push(domain.clone());
            }
        }
    }

    fn forget(&mut self, domain: &Arc<Domain>) {
        for uri in named(domain) {
            let hash = self.hasher.hash_one(uri);
            let Some(of_uri) = self.by_uri.get_mut(&hash) else { continue };
            of_uri.retain(|other| !Arc::ptr_eq(other, domain));
            if of_uri.is_empty() {
                self.by_uri.remove(&hash);
            }
        }
    }
}

/// URIs of the objects that a domain names.
fn named(domain: &Domain) -> impl Iterator<Item = &str> {
    domain.mutual_tls.iter().chain(&domain.shadow).chain(&domain.crls).map(|object| object.uri.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str, uri: &str) -> Arc<Domain> {
        let mut domain = super::super::named::tests::domain();
        domain.name = name.to_owned();
        domain.mutual_tls.as_mut().unwrap().uri = uri.to_owned();
        domain.shadow = domain.mutual_tls.clone();
        Arc::new(domain)
    }

    fn table(domains: &[&Arc<Domain>]) -> Table<Domain> {
        domains.iter().map(|domain| (&domain.name, Arc::clone(domain))).collect()
    }

    #[test]
    fn follows_what_is_put_replaced_and_removed() {
        let (a, b, moved) = (domain("a.test", "s3://b/1"), domain("b.test", "s3://b/1"), domain("b.test", "s3://b/2"));
        let uses = Uses::default();
        for (domains, first, second) in [
            (table(&[&a, &b]), vec!["a.test", "b.test"], vec![]),
            (table(&[&a, &moved]), vec!["a.test"], vec!["b.test"]),
            (table(&[&moved]), vec![], vec!["b.test"]),
            (table(&[]), vec![], vec![]),
            (table(&[&b, &a]), vec!["a.test", "b.test"], vec![]),
        ] {
            let names = |uri| {
                let mut names: Vec<_> = uses.of(&domains, uri).iter().map(|domain| domain.name.clone()).collect();
                names.sort();
                names
            };
            assert_eq!(names("s3://b/1"), first);
            assert_eq!(names("s3://b/2"), second);
            assert!(names("s3://b/3").is_empty());
        }
    }
}
