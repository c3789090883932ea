//! The files that pages load: one style sheet, one script, one picture. Their names hold a digest, so that browsers may keep them.

/// A file.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// `Content-Type`
    pub content_type: &'static str,
    /// Its bytes.
    pub body: &'static [u8],
}

const CSS: &[u8] = include_bytes!("../assets/console.css");
const JS: &[u8] = include_bytes!("../assets/console.js");
const ICON: &[u8] = include_bytes!("../assets/icon.svg");

const CSS_DIGEST: u64 = fnv(CSS);
const JS_DIGEST: u64 = fnv(JS);
const ICON_DIGEST: u64 = fnv(ICON);

/// The file of this name.
pub fn asset(name: &str) -> Option<Asset> {
    [
        (css_name(), "text/css; charset=utf-8", CSS),
        (js_name(), "text/javascript; charset=utf-8", JS),
        (icon_name(), "image/svg+xml", ICON),
    ]
    .into_iter()
    .find(|(known, ..)| known == name)
    .map(|(_, content_type, body)| Asset { content_type, body })
}

pub(crate) fn css_name() -> String {
    format!("console-{CSS_DIGEST:016x}.css")
}

pub(crate) fn js_name() -> String {
    format!("console-{JS_DIGEST:016x}.js")
}

pub(crate) fn icon_name() -> String {
    format!("icon-{ICON_DIGEST:016x}.svg")
}

/// FNV-1a: tells one build's file from another's, which is all that is asked of it.
const fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut place = 0;
    while place < bytes.len() {
        hash = (hash ^ bytes[place] as u64).wrapping_mul(0x0100_0000_01b3);
        place += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_their_names() {
        assert_eq!(asset(&css_name()).unwrap().body, CSS);
        assert!(asset("console.css").is_none());
        assert_eq!(fnv(b"a"), 0xaf63_dc4c_8601_ec8c, "as the algorithm's authors have it");
    }

    /// The first page may have 150 KB in all.
    #[test]
    fn files_are_small() {
        assert!(CSS.len() + JS.len() + ICON.len() < 40 * 1024);
    }
}
