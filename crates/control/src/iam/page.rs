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

/// One page of items in the order of their names.
pub(super) fn page<T>(
    items: Vec<(String, T)>,
    marker: Option<String>,
    max_items: Option<i32>,
) -> Result<Page<T>, Error> {
    let size = max_items.and_then(|number| usize::try_from(number).ok()).unwrap_or(MAX_ITEMS).max(1);
    let invalid = |marker: String| Error::client("ValidationError", format!("Invalid Marker: {marker}"));
    let after = marker.map(|marker| page_token::read(&marker).ok_or_else(|| invalid(marker))).transpose()?;
    let (shown, marker) = page_token::cut(items.into_iter(), |(name, _)| name.clone(), after.as_deref(), size);
    let items = shown.into_iter().map(|(_, item)| item).collect();
    Ok(Page { items, is_truncated: Some(marker.is_some()), marker })
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
