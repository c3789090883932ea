//! Distinguished names as AWS prints them.

use std::borrow::Cow;
use std::fmt::Write;

use crate::SubjectAltName;
use crate::der::{self, Element, Malformed, Reader};

/// A `Name` (RFC 5280 section 4.1.2.4) in the certificate's own order, comma joined, values escaped as RFC 4514
/// section 2.4 says, so that no value can pretend to be another attribute. `value` is the content of the SEQUENCE.
pub(crate) fn text(value: &[u8]) -> Result<String, Malformed> {
    let mut text = String::with_capacity(value.len());
    let mut names = Reader::new(value);
    while !names.is_empty() {
        if !text.is_empty() {
            text.push(',');
        }
        let mut attributes = names.expect(der::SET)?.inside();
        let mut first = true;
        while first || !attributes.is_empty() {
            if !first {
                text.push('+');
            }
            push_attribute(&mut text, attributes.expect(der::SEQUENCE)?)?;
            first = false;
        }
    }
    Ok(text)
}

/// The values of all attributes of that short name, in order and unescaped; one that is no text is `#` and its DER, hexadecimal.
/// `name` is a whole `Name` that [`text`] could read.
pub(crate) fn values(name: &[u8], kind: &str) -> Result<Vec<String>, Malformed> {
    let mut values = Vec::new();
    let mut names = der::only(name, der::SEQUENCE)?.inside();
    while !names.is_empty() {
        let mut attributes = names.expect(der::SET)?.inside();
        while !attributes.is_empty() {
            let (oid, value) = kind_and_value(attributes.expect(der::SEQUENCE)?)?;
            if short_name(oid) == Some(kind) {
                values.push(string(value).unwrap_or_else(|| hexadecimal(value)));
            }
        }
    }
    Ok(values)
}

fn push_attribute(text: &mut String, attribute: Element<'_>) -> Result<(), Malformed> {
    let (kind, value) = kind_and_value(attribute)?;
    match short_name(kind) {
        Some(name) => text.push_str(name),
        None => text.push_str(&der::dotted(kind)?),
    }
    text.push('=');
    match string(value) {
        Some(string) => push_escaped(text, &string),
        None => text.push_str(&hexadecimal(value)),
    }
    Ok(())
}

/// OID and value of an `AttributeTypeAndValue`.
fn kind_and_value(attribute: Element<'_>) -> Result<(&[u8], Element<'_>), Malformed> {
    let mut parts = attribute.inside();
    let kind = parts.expect(der::OID)?.value;
    let value = parts.any()?;
    parts.finish()?;
    Ok((kind, value))
}

/// A value that is no text (RFC 4514 section 2.4).
fn hexadecimal(value: Element<'_>) -> String {
    let mut text = "#".to_owned();
    for octet in value.whole {
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// The characters of a string type, if it is one and holds what it says.
pub(crate) fn string(value: Element<'_>) -> Option<String> {
    match value.tag {
        0x0c => std::str::from_utf8(value.value).ok().map(str::to_owned),
        // NumericString, PrintableString, TeletexString, IA5String and VisibleString. TeletexString is Latin-1
        // in practice, and the others are read so when they hold what they should not.
        0x12 | 0x13 | 0x14 | 0x16 | 0x1a => Some(value.value.iter().copied().map(char::from).collect()),
        // UniversalString
        0x1c => {
            let (chunks, rest) = value.value.as_chunks::<4>();
            let text = chunks.iter().map(|&c| char::from_u32(u32::from_be_bytes(c))).collect::<Option<_>>();
            text.filter(|_| rest.is_empty())
        }
        // BMPString
        0x1e => {
            let (chunks, rest) = value.value.as_chunks::<2>();
            let text = char::decode_utf16(chunks.iter().map(|&c| u16::from_be_bytes(c))).collect::<Result<_, _>>().ok();
            text.filter(|_| rest.is_empty())
        }
        _ => None,
    }
}

fn push_escaped(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            '#' | ' ' if index == 0 => {
                text.push('\\');
                text.push(c);
            }
            ' ' if index == last => text.push_str("\\ "),
            c if is_unprintable(c) => push_octets(text, c),
            c => text.push(c),
        }
    }
}

/// A piece of a list: with commas, backslashes and what cannot be printed escaped as in a name.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| matches!(c, ',' | '\\') || is_unprintable(c)) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            ',' | '\\' => escaped.extend(['\\', c]),
            c if is_unprintable(c) => push_octets(&mut escaped, c),
            c => escaped.push(c),
        }
    }
    escaped.into()
}

/// Alternative names in one line, as they print, with commas between. The commas inside a directory name are escaped once more.
pub(crate) fn list(names: &[SubjectAltName]) -> String {
    let mut list = String::new();
    for name in names {
        if !list.is_empty() {
            list.push(',');
        }
        match name {
            SubjectAltName::Directory(_) => list.push_str(&escaped(&name.to_string())),
            _ => {
                let _ = write!(list, "{name}");
            }
        }
    }
    list
}

fn push_octets(text: &mut String, c: char) {
    for octet in c.encode_utf8(&mut [0; 4]).bytes() {
        let _ = write!(text, "\\{octet:02X}");
    }
}

/// Control characters, and those that change how the text around them is shown.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Short names as OpenSSL and AWS write them, by the OID's content octets.
fn short_name(oid: &[u8]) -> Option<&'static str> {
    Some(match oid {
        [0x55, 0x04, last] => match last {
            3 => "CN",
            4 => "SN",
            5 => "serialNumber",
            6 => "C",
            7 => "L",
            8 => "ST",
            9 => "street",
            10 => "O",
            11 => "OU",
            12 => "title",
            13 => "description",
            15 => "businessCategory",
            17 => "postalCode",
            41 => "name",
            42 => "GN",
            43 => "initials",
            44 => "generationQualifier",
            46 => "dnQualifier",
            65 => "pseudonym",
            97 => "organizationIdentifier",
            _ => return None,
        },
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, last] => match last {
            1 => "emailAddress",
            2 => "unstructuredName",
            _ => return None,
        },
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, last] => match last {
            1 => "UID",
            25 => "DC",
            _ => return None,
        },
        [0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x3c, 0x02, 0x01, last] => match last {
            1 => "jurisdictionL",
            2 => "jurisdictionST",
            3 => "jurisdictionC",
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        assert!(value.len() < 0x80);
        [&[tag, value.len() as u8], value].concat()
    }

    fn attribute(oid: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        tlv(der::SEQUENCE, &[tlv(der::OID, oid), tlv(tag, value)].concat())
    }

    const CN: &[u8] = &[0x55, 4, 3];
    const O: &[u8] = &[0x55, 4, 10];

    #[test]
    fn values_cannot_forge() {
        for (tag, value, shown) in [
            (0x0c, &b"Acme, Inc."[..], r"O=Acme\, Inc."),
            (0x13, b"a+b", r"O=a\+b"),
            (0x0c, b"a\\,CN=admin", r"O=a\\\,CN=admin"),
            (0x0c, b"\"x\";<y>", r#"O=\"x\"\;\<y\>"#),
            (0x0c, b" #x ", r"O=\ #x\ "),
            (0x0c, b"#x", r"O=\#x"),
            (0x0c, b" ", r"O=\ "),
            (0x0c, b"", "O="),
            (0x0c, b"a\r\n\0\x7f", r"O=a\0D\0A\00\7F"),
            (0x0c, "Zürich\u{85}\u{202e}".as_bytes(), r"O=Zürich\C2\85\E2\80\AE"),
            (0x0c, b"\xff", "O=#0c01ff"),
            (0x14, b"Z\xfcrich", "O=Zürich"),
            (0x16, b"ia5", "O=ia5"),
            (0x1e, b"\x00Z\x00\xfc", "O=Zü"),
            (0x1e, b"\xd8\x00", "O=#1e02d800"),
            (0x1e, b"\x00", "O=#1e0100"),
            (0x1c, b"\x00\x00\x00Z", "O=Z"),
            (0x03, b"\x00\x01", "O=#03020001"),
        ] {
            assert_eq!(text(&tlv(der::SET, &attribute(O, tag, value))).unwrap(), shown);
        }
    }

    #[test]
    fn order_and_several_values_are_kept() {
        let c = tlv(der::SET, &attribute(&[0x55, 4, 6], 0x13, b"US"));
        let multi = tlv(der::SET, &[attribute(O, 0x0c, b"Org"), attribute(CN, 0x0c, b"Me")].concat());
        let odd = tlv(der::SET, &attribute(&[0x2a, 3, 4], 0x0c, b"x"));
        assert_eq!(text(&[c, multi, odd].concat()).unwrap(), "C=US,O=Org+CN=Me,1.2.3.4=x");
        assert_eq!(text(&[]).unwrap(), "");
        assert!(text(&tlv(der::SET, &[])).is_err());
    }

    #[test]
    fn values_are_told_apart_as_they_are() {
        let multi = tlv(der::SET, &[attribute(O, 0x0c, b"Acme, Inc."), attribute(CN, 0x0c, b"a+b")].concat());
        let more = tlv(der::SET, &attribute(O, 0x03, b"\x00\x01"));
        let name = tlv(der::SEQUENCE, &[multi, more].concat());
        assert_eq!(values(&name, "O").unwrap(), ["Acme, Inc.", "#03020001"]);
        assert_eq!(values(&name, "CN").unwrap(), ["a+b"]);
        assert_eq!(values(&name, "OU").unwrap(), [""; 0]);
        assert!(values(&[], "O").is_err());
    }

    #[test]
    fn an_alternative_name_cannot_pass_for_two() {
        let dns = |name: &str| SubjectAltName::Dns(name.to_owned());
        let directory = tlv(der::SEQUENCE, &tlv(der::SET, &attribute(O, 0x0c, b"a,DNS:b")));
        for (names, shown) in [
            (vec![], ""),
            (vec![dns("a.test"), SubjectAltName::Uri("spiffe://a/b".into())], "DNS:a.test,URI:spiffe://a/b"),
            (vec![dns("a,DNS:b"), dns("c")], r"DNS:a\,DNS:b,DNS:c"),
            (vec![SubjectAltName::Email("a\\,b@c\r\n".into())], r"email:a\\\,b@c\0D\0A"),
            (vec![SubjectAltName::Directory(directory)], r"DirName:O=a\\\,DNS:b"),
            (vec![SubjectAltName::Ip([192, 0, 2, 7].into())], "IP Address:192.0.2.7"),
        ] {
            assert_eq!(list(&names), shown);
        }
    }

    proptest! {
        #[test]
        fn one_attribute_shows_no_bare_comma(value in "\\PC*|[,+\\\\\r\n=#]*") {
            prop_assume!(value.len() < 100);
            let shown = text(&tlv(der::SET, &attribute(CN, 0x0c, value.as_bytes()))).unwrap();
            let mut chars = shown.chars();
            while let Some(c) = chars.next() {
                prop_assert!(!matches!(c, ',' | '+' | '\r' | '\n'));
                if c == '\\' {
                    chars.next();
                }
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = text(&bytes);
        }
    }
}
