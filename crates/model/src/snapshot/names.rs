//! A hash map whose copies share most of it.

use std::collections::HashMap;
use std::sync::Arc;

/// Values by name, in no order: a look-up is that of a hash map, and a change of a copy copies one part of [`PARTS`].
#[derive(Clone, Debug)]
pub(super) struct Names<V> {
    /// None while there is nothing.
    parts: Option<Arc<[Arc<Part<V>>; PARTS]>>,
}

type Part<V> = HashMap<Arc<str>, V>;

/// With ten thousand names in the map about as many parts as there are names in one, as both are copied.
const PARTS: usize = 64;

impl<V> Names<V> {
    /// The value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&V> {
        self.parts.as_ref()?[part_of(name)].get(name)
    }

    /// Whether there is a value of that name.
    pub(super) fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All values.
    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.parts().flat_map(|part| part.values())
    }

    fn parts(&self) -> impl Iterator<Item = &Arc<Part<V>>> {
        self.parts.iter().flat_map(|parts| parts.iter())
    }
}

impl<V: Clone> Names<V> {
    /// Puts, or takes away. What is not there is taken away without a copy.
    pub(super) fn change(&mut self, name: &str, value: Option<V>) {
        match value {
            Some(value) => drop(self.part_mut(part_of(name)).insert(name.into(), value)),
            None if self.contains_key(name) => drop(self.part_mut(part_of(name)).remove(name)),
            None => {}
        }
    }

    /// Takes away all that `keep` does not want.
    pub(super) fn retain(&mut self, keep: impl Fn(&str, &V) -> bool) {
        let is_touched = |part: &Part<V>| part.iter().any(|(name, value)| !keep(name, value));
        let touched: Vec<usize> =
            self.parts().enumerate().filter(|(_, part)| is_touched(part)).map(|(number, _)| number).collect();
        for part in touched {
            self.part_mut(part).retain(|name, value| keep(name, value));
        }
    }

    /// Replaces those for which there is another.
    pub(super) fn replace(&mut self, other: impl Fn(&V) -> Option<V>) {
        let others: Vec<(Arc<str>, V)> = self
            .parts()
            .flat_map(|part| part.iter())
            .filter_map(|(name, value)| Some((name.clone(), other(value)?)))
            .collect();
        others.into_iter().for_each(|(name, value)| self.change(&name, Some(value)));
    }

    fn part_mut(&mut self, part: usize) -> &mut Part<V> {
        let parts = self.parts.get_or_insert_with(|| Arc::new(std::array::from_fn(|_| Arc::default())));
        Arc::make_mut(&mut Arc::make_mut(parts)[part])
    }
}

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self { parts: None }
    }
}

/// FNV-1a, folded. Who sets names may choose them all for one part, which is then as slow to change as a whole map would be.
fn part_of(name: &str) -> usize {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ hash >> 16) as usize % PARTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map_and_copies_are_apart(
            first in vec((0..300_u16, prop::option::weighted(0.8, any::<u32>())), 0..600),
            second in vec((0..300_u16, prop::option::weighted(0.5, any::<u32>())), 0..100),
        ) {
            let (mut names, mut plain) = (Names::default(), BTreeMap::new());
            let mut change = |changes: &[(u16, Option<u32>)]| {
                for (number, value) in changes {
                    let name = number.to_string();
                    names.change(&name, *value);
                    match value {
                        Some(value) => drop(plain.insert(name, *value)),
                        None => drop(plain.remove(&name)),
                    }
                }
                (names.clone(), plain.clone())
            };
            for (mut names, mut plain) in [change(&first), change(&second)] {
                let equal = |names: &Names<u32>, plain: &BTreeMap<String, u32>| {
                    let mut values: Vec<u32> = names.values().copied().collect();
                    let mut plain_values: Vec<u32> = plain.values().copied().collect();
                    values.sort_unstable();
                    plain_values.sort_unstable();
                    values == plain_values
                        && (0..300_u16).all(|name| names.get(&name.to_string()) == plain.get(&name.to_string()))
                };
                prop_assert!(equal(&names, &plain));
                names.replace(|value| (value % 3 == 0).then(|| value / 3));
                names.retain(|_, value| value % 2 == 0);
                plain.values_mut().filter(|value| **value % 3 == 0).for_each(|value| *value /= 3);
                plain.retain(|_, value| *value % 2 == 0);
                prop_assert!(equal(&names, &plain));
            }
        }
    }
}
