//! A sorted map whose copies share what is alike.

use std::ops::Index;
use std::sync::Arc;
use std::{fmt, iter, slice};

/// Values by name, in the order of the names. A copy costs nothing, a change of a copy one piece of the map and the list of the
/// pieces: with ten thousand names, a few microseconds. What two maps have in common is found by address ([`Map::differing`]).
pub struct Map<V> {
    /// Sorted, none of them empty.
    pieces: Arc<Vec<Piece<V>>>,
    len: usize,
}

/// At most [`FULL`] entries, sorted.
type Piece<V> = Arc<Vec<(Arc<str>, V)>>;

/// Entries of a piece at most: about as many as there are pieces of the largest maps, as both are copied.
const FULL: usize = 128;

/// Whether two values are one object, without a look into it.
pub trait Same {
    /// True only for what is equal.
    fn is_same(&self, other: &Self) -> bool;
}

impl<T> Same for Arc<T> {
    fn is_same(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other)
    }
}

impl<V> Same for Map<V> {
    fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pieces, &other.pieces)
    }
}

impl<V> Map<V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&V> {
        let (piece, index) = self.find(name).ok()?;
        Some(&self.pieces[piece][index].1)
    }

    /// Whether there is a value of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }

    /// All, in order.
    pub fn iter(&self) -> Iter<'_, V> {
        Iter { pieces: self.pieces.iter(), piece: [].iter() }
    }

    /// The names, in order.
    pub fn keys(&self) -> Part<'_, V, str> {
        self.iter().map(|(name, _)| name)
    }

    /// The values, in the order of their names.
    pub fn values(&self) -> Part<'_, V, V> {
        self.iter().map(|(_, value)| value)
    }

    /// Those whose names are this one or come after it, in order.
    pub fn at_or_after(&self, name: &str) -> Iter<'_, V> {
        self.beginning(self.find(name).unwrap_or_else(|place| place))
    }

    fn beginning(&self, (piece, index): (usize, usize)) -> Iter<'_, V> {
        let mut pieces = self.pieces[piece..].iter();
        let piece = pieces.next().map_or(&[][..], |piece| &piece[index..]);
        Iter { pieces, piece: piece.iter() }
    }

    /// Where a name is: piece and index in it; or else where it would have to be put.
    fn find(&self, name: &str) -> Result<(usize, usize), (usize, usize)> {
        // The last one that begins at or before the name; the first where all begin after it.
        let piece = self.pieces.partition_point(|piece| piece.first().is_some_and(|(first, _)| **first <= *name));
        let piece = piece.saturating_sub(1);
        let Some(entries) = self.pieces.get(piece) else { return Err((0, 0)) };
        match entries.binary_search_by(|(other, _)| (**other).cmp(name)) {
            Ok(index) => Ok((piece, index)),
            Err(index) => Err((piece, index)),
        }
    }
}

impl<V: Clone> Map<V> {
    /// Puts a value, in the place of the one of that name, if there is one.
    pub fn insert(&mut self, name: &str, value: V) {
        match self.find(name) {
            Ok((piece, index)) => self.piece_mut(piece)[index].1 = value,
            Err((piece, index)) => {
                self.len += 1;
                self.put_between(piece, index, (name.into(), value));
            }
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<V> {
        let (piece, index) = self.find(name).ok()?;
        self.len -= 1;
        let entries = self.piece_mut(piece);
        let (_, value) = entries.remove(index);
        if entries.is_empty() {
            Arc::make_mut(&mut self.pieces).remove(piece);
        } else if entries.len() < FULL / 4 {
            self.join_with_next(piece);
        }
        Some(value)
    }

    fn piece_mut(&mut self, piece: usize) -> &mut Vec<(Arc<str>, V)> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.pieces)[piece])
    }

    fn put_between(&mut self, piece: usize, index: usize, entry: (Arc<str>, V)) {
        let count = self.pieces.len();
        let Some(entries) = self.pieces.get(piece) else {
            return Arc::make_mut(&mut self.pieces).push(Arc::new(vec![entry]));
        };
        if entries.len() < FULL {
            return self.piece_mut(piece).insert(index, entry);
        }
        // What comes in order fills its pieces.
        let half = if piece + 1 == count && index == FULL { FULL } else { FULL / 2 };
        let mut rest = self.piece_mut(piece).split_off(half);
        match index.checked_sub(half) {
            Some(index) => rest.insert(index, entry),
            None => self.piece_mut(piece).insert(index, entry),
        }
        Arc::make_mut(&mut self.pieces).insert(piece + 1, Arc::new(rest));
    }

    fn join_with_next(&mut self, piece: usize) {
        let (Some(these), Some(next)) = (self.pieces.get(piece), self.pieces.get(piece + 1)) else { return };
        if these.len() + next.len() <= FULL / 2 {
            let next = Arc::make_mut(&mut self.pieces).remove(piece + 1);
            self.piece_mut(piece).extend(next.iter().cloned());
        }
    }
}

impl<V: Same> Map<V> {
    /// Names under which two maps have not the same object, in order: what was put, replaced and removed. Pieces that they
    /// share cost one comparison.
    pub fn differing<'a>(&'a self, after: &'a Self) -> impl Iterator<Item = &'a str> + use<'a, V> {
        let (mut before, mut after) = (Cursor::new(self), Cursor::new(after));
        std::iter::from_fn(move || {
            loop {
                if let (Some(a), Some(b)) = (before.whole_piece(), after.whole_piece())
                    && Arc::ptr_eq(a, b)
                {
                    before.skip_piece();
                    after.skip_piece();
                    continue;
                }
                let name = match (before.entry(), after.entry()) {
                    (None, None) => return None,
                    (Some((name, _)), None) | (None, Some((name, _))) => &**name,
                    (Some((old, a)), Some((new, b))) => {
                        if old == new && a.is_same(b) {
                            before.step();
                            after.step();
                            continue;
                        }
                        &**old.min(new)
                    }
                };
                before.step_over(name);
                after.step_over(name);
                return Some(name);
            }
        })
    }
}

/// The entries of a map from some place on, in order.
pub struct Iter<'a, V> {
    pieces: slice::Iter<'a, Piece<V>>,
    /// What is left of the piece before them.
    piece: slice::Iter<'a, (Arc<str>, V)>,
}

/// One half of the entries.
type Part<'m, V, P> = iter::Map<Iter<'m, V>, for<'a> fn((&'a str, &'a V)) -> &'a P>;

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a str, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((name, value)) = self.piece.next() {
                return Some((name, value));
            }
            self.piece = self.pieces.next()?.iter();
        }
    }
}

/// A place in a map.
struct Cursor<'a, V> {
    pieces: &'a [Piece<V>],
    index: usize,
}

impl<'a, V> Cursor<'a, V> {
    fn new(map: &'a Map<V>) -> Self {
        Self { pieces: &map.pieces, index: 0 }
    }

    fn entry(&self) -> Option<&'a (Arc<str>, V)> {
        self.pieces.first().map(|piece| &piece[self.index])
    }

    /// The piece that begins here.
    fn whole_piece(&self) -> Option<&'a Piece<V>> {
        self.pieces.first().filter(|_| self.index == 0)
    }

    fn skip_piece(&mut self) {
        self.pieces = &self.pieces[1..];
        self.index = 0;
    }

    fn step(&mut self) {
        self.index += 1;
        if self.pieces.first().is_some_and(|piece| piece.len() == self.index) {
            self.skip_piece();
        }
    }

    fn step_over(&mut self, name: &str) {
        if self.entry().is_some_and(|(here, _)| **here == *name) {
            self.step();
        }
    }
}

/// Panics where there is none of that name, as a map of the standard library does.
impl<V, N: AsRef<str> + ?Sized> Index<&N> for Map<V> {
    type Output = V;

    fn index(&self, name: &N) -> &V {
        self.get(name.as_ref()).expect("there is a value of that name")
    }
}

impl<V> Clone for Map<V> {
    fn clone(&self) -> Self {
        Self { pieces: Arc::clone(&self.pieces), len: self.len }
    }
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self { pieces: Arc::default(), len: 0 }
    }
}

impl<V: fmt::Debug> fmt::Debug for Map<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<V: PartialEq> PartialEq for Map<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<V: Clone, N: AsRef<str>> FromIterator<(N, V)> for Map<V> {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (name, value) in entries {
            map.insert(name.as_ref(), value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Plain = BTreeMap<String, Arc<u32>>;

    /// Names of which some begin alike, and enough of them for many pieces.
    fn name(number: u16) -> String {
        format!("{:x}", u32::from(number) * 7919 % 4096)
    }

    fn change(map: &mut Map<Arc<u32>>, plain: &mut Plain, changes: &[(u16, Option<u32>)]) {
        for (number, value) in changes {
            let name = name(*number);
            match value.map(Arc::new) {
                Some(value) => {
                    map.insert(&name, value.clone());
                    plain.insert(name, value);
                }
                None => assert_eq!(map.remove(&name), plain.remove(&name)),
            }
        }
    }

    fn changes(most: usize) -> impl Strategy<Value = Vec<(u16, Option<u32>)>> {
        vec((0..4096_u16, prop::option::weighted(0.7, any::<u32>())), 0..most)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_a_sorted_map(first in changes(3000), second in changes(3000), asked in any::<u16>()) {
            let (mut map, mut plain) = (Map::default(), Plain::new());
            change(&mut map, &mut plain, &first);
            let (copy, plain_copy) = (map.clone(), plain.clone());
            change(&mut map, &mut plain, &second);
            for (map, plain) in [(&map, &plain), (&copy, &plain_copy)] {
                prop_assert_eq!(map.len(), plain.len());
                prop_assert!(map.iter().eq(plain.iter().map(|(name, value)| (name.as_str(), value))));
                prop_assert!(map.pieces.iter().all(|piece| (1..=FULL).contains(&piece.len())));
                let asked = name(asked);
                prop_assert_eq!(map.get(&asked), plain.get(&asked));
                prop_assert_eq!(map.contains_key(&asked), plain.contains_key(&asked));
                let later = plain.iter().filter(|(name, _)| **name >= asked).map(|(name, value)| (name.as_str(), value));
                prop_assert!(map.at_or_after(&asked).eq(later));
            }
        }

        #[test]
        fn it_tells_what_differs(first in changes(3000), second in changes(40)) {
            let (mut map, mut plain) = (Map::default(), Plain::new());
            change(&mut map, &mut plain, &first);
            let (before, plain_before) = (map.clone(), plain.clone());
            change(&mut map, &mut plain, &second);
            let names: std::collections::BTreeSet<&String> = plain_before.keys().chain(plain.keys()).collect();
            let same = |name: &String| match (plain_before.get(name), plain.get(name)) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (a, b) => a.is_none() && b.is_none(),
            };
            let differing: Vec<&str> = names.into_iter().filter(|name| !same(name)).map(String::as_str).collect();
            prop_assert_eq!(before.differing(&map).collect::<Vec<_>>(), differing.clone());
            prop_assert_eq!(map.differing(&before).collect::<Vec<_>>(), differing);
            prop_assert_eq!(map.differing(&map.clone()).count(), 0);
        }
    }

    #[test]
    fn what_comes_in_order_fills_its_pieces_and_a_change_copies_one() {
        let mut map: Map<Arc<u32>> = (0..10_000).map(|number| (format!("{number:05}"), Arc::new(number))).collect();
        assert_eq!(map.pieces.len(), 10_000_usize.div_ceil(FULL));
        let before = map.clone();
        map.insert("05000", Arc::new(0));
        let shared = before.pieces.iter().zip(&*map.pieces).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, map.pieces.len() - 1);
        for number in 0..10_000 {
            map.remove(&format!("{number:05}"));
        }
        assert!(map.is_empty() && map.pieces.is_empty());
    }
}
