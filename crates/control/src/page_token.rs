//! Tokens for the next page of a list.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;

/// Of the digest that a token begins with.
const CHECK_BYTES: usize = 6;

/// A token that says after what the next page begins.
pub(crate) fn write(after: &str) -> String {
    BASE64URL_NOPAD.encode(&[&check(after)[..], after.as_bytes()].concat())
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
