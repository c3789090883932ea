//! Lists by prefix, delimiter and page, as S3 gives them.

use super::index::{Index, VERSIONS};
use super::{Result, Version};

/// What to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan<'a> {
    /// Only keys that start with this.
    pub prefix: &'a str,
    /// Keys that have this after the prefix are listed once, up to it.
    pub delimiter: Option<&'a str>,
    /// Only what comes after this key, or after all that is rolled up under it.
    pub after: Option<&'a str>,
    /// With `after`, for versions: only what comes after this version of it.
    pub after_version: Option<&'a str>,
    /// At most so many keys and prefixes together.
    pub limit: usize,
}

/// A version and the key that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// The version.
    pub version: Version,
    /// It is the newest.
    pub latest: bool,
}

/// A page of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// None of them is a delete marker.
    pub objects: Vec<Listed>,
    /// What was rolled up.
    pub common_prefixes: Vec<String>,
    /// Where the next page continues ([`Scan::after`]), if there is one.
    pub next: Option<String>,
}

/// A page of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// Delete markers too.
    pub versions: Vec<Listed>,
    /// What was rolled up.
    pub common_prefixes: Vec<String>,
    /// Where the next page continues ([`Scan::after`], [`Scan::after_version`]), if there is one.
    pub next: Option<(String, Option<String>)>,
}

impl Index {
    pub(super) fn list(&self, bucket: &str, scan: &Scan<'_>) -> Result<ObjectPage> {
        let scan = Scan { after_version: None, ..*scan };
        let page = self.walk(bucket, &scan, true)?;
        let next = page.next.map(|(key, _)| key);
        Ok(ObjectPage { objects: page.versions, common_prefixes: page.common_prefixes, next })
    }

    pub(super) fn list_versions(&self, bucket: &str, scan: &Scan<'_>) -> Result<VersionPage> {
        self.walk(bucket, scan, false)
    }

    fn walk(&self, bucket: &str, scan: &Scan<'_>, only_objects: bool) -> Result<VersionPage> {
        self.bucket(bucket)?;
        let mut page = VersionPage::default();
        if scan.limit == 0 {
            return Ok(page);
        }
        let table = self.read(VERSIONS)?;
        let mut place = self.start(bucket, scan)?;
        let mut last = None;
        while let Some((key, age)) = place {
            let mut rows = table.range((bucket, key.as_str(), age)..).map_err(|e| self.fault(e))?;
            let Some(row) = rows.next() else { break };
            let (found, value) = row.map_err(|e| self.fault(e))?;
            let (found_bucket, found_key, found_age) = found.value();
            if found_bucket != bucket || !found_key.starts_with(scan.prefix) {
                break;
            }
            if let Some(prefix) = rolled_up(found_key, scan.prefix, scan.delimiter) {
                place = after_prefix(prefix).map(|key| (key, 0));
                // A prefix counts only with an object below it, and only once over the pages.
                if scan.after == Some(prefix) || (only_objects && !self.any_object(bucket, prefix)?) {
                    continue;
                }
                if page.versions.len() + page.common_prefixes.len() == scan.limit {
                    page.next = last;
                    break;
                }
                page.common_prefixes.push(prefix.to_owned());
                last = Some((prefix.to_owned(), None));
                continue;
            }
            let version: Version = self.parse(value.value())?;
            let latest = age == 0 || found_key != key;
            // Only the first look at a key starts at age 0; the place after its last version is the next key.
            place = match (only_objects, found_age.checked_add(1)) {
                (false, Some(age)) => Some((found_key.to_owned(), age)),
                _ => Some((after_key(found_key), 0)),
            };
            if only_objects && version.content.is_none() {
                continue;
            }
            if page.versions.len() + page.common_prefixes.len() == scan.limit {
                page.next = last;
                break;
            }
            last = Some((found_key.to_owned(), Some(version.id.clone())));
            page.versions.push(Listed { key: found_key.to_owned(), version, latest });
        }
        Ok(page)
    }

    /// Key and age from which to look.
    fn start(&self, bucket: &str, scan: &Scan<'_>) -> Result<Option<(String, u64)>> {
        let Some(after) = scan.after.filter(|after| *after >= scan.prefix) else {
            return Ok(Some((scan.prefix.to_owned(), 0)));
        };
        if let Some(id) = scan.after_version {
            let table = self.read(VERSIONS)?;
            for row in table.range((bucket, after, 0)..=(bucket, after, u64::MAX)).map_err(|e| self.fault(e))? {
                let (place, value) = row.map_err(|e| self.fault(e))?;
                let version: Version = self.parse(value.value())?;
                if version.id == id {
                    return Ok(match place.value().2.checked_add(1) {
                        Some(age) => Some((after.to_owned(), age)),
                        None => Some((after_key(after), 0)),
                    });
                }
            }
        }
        Ok(Some((after_key(after), 0)))
    }

    /// Whether an object that is not deleted has a key with this prefix.
    fn any_object(&self, bucket: &str, prefix: &str) -> Result<bool> {
        let scan = Scan { prefix, limit: 1, ..Scan::default() };
        Ok(!self.walk(bucket, &scan, true)?.versions.is_empty())
    }
}

/// The common prefix that a key is listed under, if any.
pub(super) fn rolled_up<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.strip_prefix(prefix)?;
    let end = prefix.len() + rest.find(delimiter)? + delimiter.len();
    key.get(..end)
}

/// The least key after this one.
fn after_key(key: &str) -> String {
    format!("{key}\0")
}

/// The least key after all that start with a prefix; none where there can be none.
fn after_prefix(prefix: &str) -> Option<String> {
    let mut next = prefix.to_owned();
    while let Some(last) = next.pop() {
        // UTF-8 sorts as the code points do; the surrogates between are no characters.
        let following = if last == '\u{D7FF}' { Some('\u{E000}') } else { char::from_u32(last as u32 + 1) };
        if let Some(following) = following {
            next.push(following);
            return Some(next);
        }
    }
    None
}
