//! Tokens for the next page of a list.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;

/// Of the digest that a token begins with.
const CHECK_BYTES: usize = 6;

/// A token that says after what the next page begins.
pub(crate) fn write(after: &str) -> String {
    BASE64URL_NOPAD.encode(&[&check(after)[..], after.as_bytes()].concat())
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
    let mut rest = items.filter(|item| after.is_none_or(|after| *name(item) > *after));
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
