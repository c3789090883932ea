//! Domain names in Route 53's form.

use std::fmt;

const MAX_LABEL_BYTES: usize = 63;
/// On the wire, with a byte before each label and one at the end (RFC 1035 section 2.3.4).
const MAX_WIRE_BYTES: usize = 255;

/// A domain name. Case does not matter, and is lost.
///
/// It is written as Route 53 writes it: with a dot at the end, and `\052` (three digits, octal) for what is no letter, digit, `-` or
/// `_`. So a wildcard is `\052.example.com.`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    labels: Vec<Box<[u8]>>,
}

/// Why a text is no domain name, in Route 53's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or nothing.
    #[error("DomainLabelEmpty (Domain label is empty)")]
    EmptyLabel,
    /// A label of more than 63 bytes.
    #[error("DomainLabelTooLong (Domain label is too long)")]
    LabelTooLong,
    /// More than 255 bytes.
    #[error("DomainNameTooLong (Domain name is too long)")]
    TooLong,
    /// A character that is not ASCII, a space, a control character, or a backslash that no three octal digits follow.
    #[error("UnsupportedCharacter (Value contains unsupported characters)")]
    Character,
}

impl Name {
    /// Reads a name; the dot at its end may be missing. `.` is the root.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text == "." {
            return Ok(Self { labels: Vec::new() });
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        let labels = text.split('.').map(label).collect::<Result<Vec<_>, _>>()?;
        Self::of_labels(labels.into_iter())
    }

    /// Of labels as they are on the wire, the root's left out.
    pub fn of_labels<L: AsRef<[u8]>>(labels: impl Iterator<Item = L>) -> Result<Self, NameError> {
        let labels: Vec<Box<[u8]>> = labels.map(|label| label.as_ref().to_ascii_lowercase().into()).collect();
        if labels.iter().any(|label| label.is_empty()) {
            return Err(NameError::EmptyLabel);
        }
        if labels.iter().any(|label| label.len() > MAX_LABEL_BYTES) {
            return Err(NameError::LabelTooLong);
        }
        match labels.iter().map(|label| label.len() + 1).sum::<usize>() < MAX_WIRE_BYTES {
            true => Ok(Self { labels }),
            false => Err(NameError::TooLong),
        }
    }

    /// The labels as they are on the wire, the root's left out.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.labels.iter().map(AsRef::as_ref)
    }

    /// Whether it is `other`, or below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.labels.ends_with(&other.labels)
    }

    /// This without its first label; none of the root.
    pub fn parent(&self) -> Option<Self> {
        Some(Self { labels: self.labels.get(1..)?.to_vec() })
    }

    /// `*.` and this; none where that would be too long.
    pub fn wildcard(&self) -> Option<Self> {
        let first: Box<[u8]> = Box::from(&b"*"[..]);
        Self::of_labels(std::iter::once(&first).chain(&self.labels)).ok()
    }

    /// The labels from the last to the first, each with a dot: the order of names in a zone, in which what is below a name follows it.
    pub fn reversed(&self) -> String {
        let mut text = String::new();
        for label in self.labels.iter().rev() {
            escape(&mut text, label);
            text.push('.');
        }
        text
    }

    /// Where a record set of this name and type stands in its zone.
    pub fn key_of(&self, record_type: &str) -> String {
        format!("{} {record_type}", self.reversed())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for label in &self.labels {
            escape(&mut text, label);
            text.push('.');
        }
        f.write_str(if text.is_empty() { "." } else { &text })
    }
}

/// A label of a text.
fn label(text: &str) -> Result<Vec<u8>, NameError> {
    let mut label = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        label.push(match first {
            b'\\' => {
                let (digits, after) = rest.split_first_chunk::<3>().ok_or(NameError::Character)?;
                rest = after;
                octal(*digits).ok_or(NameError::Character)?
            }
            b'!'..=b'~' => *first,
            _ => return Err(NameError::Character),
        });
    }
    Ok(label)
}

/// The byte that three octal digits stand for.
fn octal(digits: [u8; 3]) -> Option<u8> {
    let value = digits.iter().try_fold(0_u16, |value, digit| match digit {
        b'0'..=b'7' => Some(value * 8 + u16::from(digit - b'0')),
        _ => None,
    });
    u8::try_from(value?).ok()
}

fn escape(text: &mut String, label: &[u8]) {
    for byte in label {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\{byte:03o}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_route_53_writes_them() {
        for (text, expected) in [
            ("API.Example.com", Ok("api.example.com.")),
            ("api.example.com.", Ok("api.example.com.")),
            ("*.example.com", Ok("\\052.example.com.")),
            ("\\052.example.com", Ok("\\052.example.com.")),
            ("_acme-challenge.example.com", Ok("_acme-challenge.example.com.")),
            ("a/b.example", Ok("a\\057b.example.")),
            ("a\\056b.example", Ok("a\\056b.example.")),
            ("a\\101.example", Ok("aa.example.")),
            (".", Ok(".")),
            ("", Err(NameError::EmptyLabel)),
            ("a..b", Err(NameError::EmptyLabel)),
            (".a", Err(NameError::EmptyLabel)),
            ("a b", Err(NameError::Character)),
            ("bücher.example", Err(NameError::Character)),
            ("a\\05", Err(NameError::Character)),
            ("a\\777", Err(NameError::Character)),
        ] {
            assert_eq!(Name::parse(text).map(|name| name.to_string()), expected.map(str::to_owned), "{text}");
        }
        assert_eq!(Name::parse(&format!("{}.com", "a".repeat(64))), Err(NameError::LabelTooLong));
        assert_eq!(Name::parse(&["a"; 128].join(".")), Err(NameError::TooLong));
        assert!(Name::parse(&["a"; 127].join(".")).is_ok());
    }

    #[test]
    fn places() {
        let name = |text| Name::parse(text).unwrap();
        assert_eq!(name("www.example.com").key_of("A"), "com.example.www. A");
        assert!(name("example.com").key_of("TXT") < name("a.example.com").key_of("A"));
        assert!(name("a.example.com").is_within(&name("example.com")));
        assert!(name("example.com").is_within(&name("example.com")));
        assert!(!name("badexample.com").is_within(&name("example.com")));
        assert_eq!(name("a.b").parent().and_then(|b| b.parent()), Some(name(".")));
        assert_eq!(name(".").parent(), None);
        assert_eq!(name("a.b").wildcard().map(|name| name.to_string()).as_deref(), Some("\\052.a.b."));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_again(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..70), 0..8), text in "\\PC*") {
            let _ = Name::parse(&text);
            if let Ok(name) = Name::of_labels(labels.iter()) {
                prop_assert_eq!(Name::parse(&name.to_string()), Ok(name));
            }
        }
    }
}
