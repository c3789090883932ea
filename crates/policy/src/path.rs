//! A request's path, in the one form that a policy can be sure of.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The path with nothing encoded that need not be, and the rest in capital digits (RFC 3986 sections 6.2.2.1 and 6.2.2.2): two
/// that are the same to every backend are the same.
pub(crate) fn normalized(path: &str) -> Cow<'_, str> {
    match path {
        "" => "/".into(),
        plain if !plain.contains('%') => plain.into(),
        encoded => {
            let mut parts = encoded.split('%');
            let mut normal = String::with_capacity(encoded.len());
            normal.push_str(parts.next().unwrap_or_default());
            for part in parts {
                match part.get(..2).filter(|two| is_hexadecimal(two)).and_then(|two| u8::from_str_radix(two, 16).ok()) {
                    Some(byte) if is_unreserved(byte) => {
                        normal.push(char::from(byte));
                        normal.push_str(&part[2..]);
                    }
                    Some(byte) => {
                        normal.push_str(&format!("%{byte:02X}"));
                        normal.push_str(&part[2..]);
                    }
                    None => {
                        normal.push('%');
                        normal.push_str(part);
                    }
                }
            }
            normal.into()
        }
    }
}

/// Its segments as the most generous backend would read them: decoded, split at encoded slashes and at backslashes too, without
/// empty ones and parameters (`;x=y`).
pub(crate) fn segments(path: &str) -> Vec<String> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let segments = decoded.split(['/', '\\']).filter_map(|segment| segment.split(';').next());
    segments.filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        for (given, normal) in [
            ("", "/"),
            ("/Patient/1", "/Patient/1"),
            ("/%50atient/%31", "/Patient/1"),
            ("/a%2fb%2Fc", "/a%2Fb%2Fc"),
            ("/%e2%82%ac", "/%E2%82%AC"),
            ("/%", "/%"),
            ("/%4", "/%4"),
            ("/%zz%41", "/%zzA"),
            ("/%+4", "/%+4"),
            ("/%€", "/%€"),
        ] {
            assert_eq!(normalized(given), normal, "{given}");
        }
    }

    #[test]
    fn segments_are_what_any_backend_might_see() {
        for (given, seen) in [
            ("/", &[][..]),
            ("/Patient/1", &["Patient", "1"]),
            ("//%50atient%2f1;v=2/", &["Patient", "1"]),
            ("/a%5Cb\\c", &["a", "b", "c"]),
            ("/%FF", &["\u{fffd}"]),
            ("/%252F", &["%2F"]),
        ] {
            assert_eq!(segments(given), seen, "{given}");
        }
    }
}
