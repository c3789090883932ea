//! Tokens for the next page of a list.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;

/// Of the digest that a token begins with.
const CHECK_BYTES: usize = 6;

/// A token that says after what the next page begins.
pub(crate) fn write(after: &str) -> String {
    BASE64URL_NOPAD.encode(&[&check(after)[..], after.as_bytes()].concat())
}

/// How the items of a list follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// In the order of their names.
    Ascending,
    /// In the reverse order.
    Descending,
}

impl Order {
    pub(crate) fn descending(is_so: bool) -> Self {
        if is_so { Self::Descending } else { Self::Ascending }
    }

    /// Whether an item of this name is on a page that begins after `after`, or on a later one.
    pub(crate) fn is_ahead(self, name: &str, after: Option<&str>) -> bool {
        after.is_none_or(|after| match self {
            Self::Ascending => name > after,
            Self::Descending => name < after,
        })
    }
}

/// The items of one page, of items in the order of their names, and the token for the next.
///
/// A token says the last name that was shown, so that what comes and goes meanwhile is neither shown twice nor makes others be left
/// out.
pub(crate) fn cut<T>(
    items: impl Iterator<Item = T>,
    name: impl Fn(&T) -> String,
    after: Option<&str>,
    size: usize,
) -> (Vec<T>, Option<String>) {
    cut_in(Order::Ascending, items, name, after, size)
}

/// The same of items in either order.
pub(crate) fn cut_in<T>(
    order: Order,
    items: impl Iterator<Item = T>,
    name: impl Fn(&T) -> String,
    after: Option<&str>,
    size: usize,
) -> (Vec<T>, Option<String>) {
    let mut rest = items.filter(|item| order.is_ahead(&name(item), after));
    let shown: Vec<T> = rest.by_ref().take(size).collect();
    let more = rest.next().is_some();
    let token = shown.last().filter(|_| more).map(|last| write(&name(last)));
    (shown, token)
}

/// After what the next page begins; `None` for a token that nobody was given: it lacks the digest of what it says.
pub(crate) fn read(token: &str) -> Option<String> {
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
    let (found, after) = bytes.split_first_chunk::<CHECK_BYTES>()?;
    let after = String::from_utf8(after.to_vec()).ok()?;
    (check(&after) == *found).then_some(after)
}

fn check(after: &str) -> [u8; CHECK_BYTES] {
    let digest = digest(&SHA256, after.as_bytes());
    std::array::from_fn(|at| digest.as_ref().get(at).copied().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_in_either_order() {
        let all = ["a", "b", "c", "d", "e"];
        for backwards in [false, true] {
            let items = |from: &[&'static str]| match backwards {
                false => from.to_vec(),
                true => from.iter().rev().copied().collect(),
            };
            let page = |from: &[&'static str], token: Option<String>| {
                let after = token.map(|token| read(&token).unwrap());
                let (items, name) = (items(from).into_iter(), |item: &&'static str| (*item).to_owned());
                cut_in(Order::descending(backwards), items, name, after.as_deref(), 2)
            };
            let (first, token) = page(&all, None);
            assert_eq!(first, items(&all)[..2]);
            // What the token names may be gone by then.
            let without: Vec<_> = all.into_iter().filter(|item| *item != first[1]).collect();
            let (second, token) = page(&without, token);
            assert_eq!(second, items(&all)[2..4]);
            assert_eq!(page(&all, token), (items(&all)[4..].to_vec(), None));
        }
    }

    #[test]
    fn only_what_was_written_is_read() {
        for after in ["", "abc123", "folder/é.pem"] {
            let token = write(after);
            assert_eq!(read(&token).as_deref(), Some(after));
            assert_eq!(read(&token[1..]), None);
            assert_eq!(read(&format!("{token}AA")), None);
        }
        for made_up in ["", "abc123", "?", &BASE64URL_NOPAD.encode(b"abc123"), "AAAAAAAA"] {
            assert_eq!(read(made_up), None, "{made_up}");
        }
    }
}
