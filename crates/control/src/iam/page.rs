//! Lists in pages: `Marker`, `MaxItems`, `IsTruncated`.

use aws::Error;

use crate::page_token;

/// What a caller gets who names no number.
const MAX_ITEMS: usize = 100;

pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) is_truncated: Option<bool>,
    pub(super) marker: Option<String>,
}

/// One page of items in the order of their names. A marker is the last name that was shown, so that what comes and goes meanwhile
/// is neither shown twice nor makes others be left out.
pub(super) fn page<T>(
    items: Vec<(String, T)>,
    marker: Option<String>,
    max_items: Option<i32>,
) -> Result<Page<T>, Error> {
    let size = max_items.and_then(|number| usize::try_from(number).ok()).unwrap_or(MAX_ITEMS).max(1);
    let invalid = |marker: String| Error::client("ValidationError", format!("Invalid Marker: {marker}"));
    let after = marker.map(|marker| page_token::read(&marker).ok_or_else(|| invalid(marker))).transpose()?;
    let mut rest = items.into_iter().filter(|(name, _)| after.as_ref().is_none_or(|after| name > after)).peekable();
    let (mut shown, mut last) = (Vec::new(), None);
    for (name, item) in rest.by_ref().take(size) {
        shown.push(item);
        last = Some(name);
    }
    let more = rest.peek().is_some();
    let marker = last.filter(|_| more).map(|name| page_token::write(&name));
    Ok(Page { items: shown, is_truncated: Some(more), marker })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another() {
        let items = || ["a", "b", "c"].map(|name| (name.to_owned(), name)).to_vec();
        let first = page(items(), None, Some(2)).unwrap();
        assert_eq!((first.items, first.is_truncated), (vec!["a", "b"], Some(true)));
        let second = page(items(), first.marker, Some(2)).unwrap();
        assert_eq!((second.items, second.is_truncated, second.marker), (vec!["c"], Some(false), None));
        assert_eq!(page(items(), Some("?".to_owned()), None).err().unwrap().code, "ValidationError");
    }
}
