//! Places in JSON payloads.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Bytes of a payload that is looked into; in a longer one nothing is found.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Bytes of a value; a longer one is none. AWS's limit on all headers of a request together.
const MAX_VALUE_BYTES: usize = 10_240;

/// The part of JSONPath that parameter mapping has: members and elements, one below the other. No wildcards, filters or
/// descents, as on AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Box<[Step]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(Box<str>),
    Element(usize),
}

impl JsonPath {
    /// Reads what stands behind `$request.body`: `.user.name`, `.ids[0]`, `['a b']`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let step;
            (step, rest) = Step::parse(rest)?;
            steps.push(step);
        }
        (!steps.is_empty()).then(|| Self(steps.into()))
    }

    /// The value there, in a payload: a text without its quotes, everything else as it was written. `None` where there is
    /// none, or it is null or longer than 10,240 bytes, or the payload is no JSON or longer than [`MAX_PAYLOAD_BYTES`].
    pub fn find(&self, payload: &[u8]) -> Option<String> {
        if payload.is_empty() || payload.len() > MAX_PAYLOAD_BYTES {
            return None;
        }
        let mut deserializer = serde_json::Deserializer::from_slice(payload);
        let found = Search(&self.0).deserialize(&mut deserializer).ok()??;
        deserializer.end().ok()?;
        Some(found).filter(|value| value.len() <= MAX_VALUE_BYTES)
    }
}

impl Step {
    fn parse(text: &str) -> Option<(Self, &str)> {
        if let Some(quoted) = text.strip_prefix("['") {
            let (name, rest) = quoted.split_once("']")?;
            return (!name.contains('\'')).then(|| (Self::Member(name.into()), rest));
        }
        if let Some(number) = text.strip_prefix('[') {
            let (number, rest) = number.split_once(']')?;
            let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
            return Some((Self::Element(number.parse().ok().filter(|_| is_number)?), rest));
        }
        let name = text.strip_prefix('.')?;
        let end = name.find(['.', '[']).unwrap_or(name.len());
        let (name, rest) = name.split_at(end);
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | ':');
        (!name.is_empty() && name.chars().all(is_name)).then(|| (Self::Member(name.into()), rest))
    }
}

/// Goes down to a value; what is beside the way is skipped without being kept.
struct Search<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if !self.0.is_empty() {
            return deserializer.deserialize_any(self);
        }
        // As it is written: a number has all its digits.
        let value: &RawValue = serde::Deserialize::deserialize(deserializer)?;
        Ok(match value.get() {
            "null" => None,
            text if text.starts_with('"') => serde_json::from_str(text).ok(),
            other => Some(other.to_owned()),
        })
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match &self.0[0] {
                // Of members of one name the last counts, as most readers have it.
                Step::Member(wanted) if **wanted == *name => found = map.next_value_seed(Search(&self.0[1..]))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        for place in 0.. {
            if self.0[0] == Step::Element(place) {
                match seq.next_element_seed(Search(&self.0[1..]))? {
                    Some(value) => found = value,
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_what_is_there() {
        let payload =
            br#"{"a":{"b":[1,{"c d":"x\n\"y\""},12345678901234567890123]},"t":true,"n":null,"o":{"k": [1, 2]},
            "e":"","twice":"1","twice":"2","u":"\u00e9"}"#;
        for (path, wanted) in [
            (".a.b[0]", Some("1")),
            (".a.b[1]['c d']", Some("x\n\"y\"")),
            (".a.b[2]", Some("12345678901234567890123")),
            (".a.b[3]", None),
            (".a.b.c", None),
            (".a[0]", None),
            (".t", Some("true")),
            (".t.x", None),
            (".n", None),
            (".o", Some(r#"{"k": [1, 2]}"#)),
            (".e", Some("")),
            (".twice", Some("2")),
            (".u", Some("é")),
            (".nothing", None),
        ] {
            assert_eq!(JsonPath::parse(path).unwrap().find(payload).as_deref(), wanted, "{path}");
        }
        assert_eq!(JsonPath::parse("[1].x").unwrap().find(br#"[0, {"x": 7}]"#).as_deref(), Some("7"));
    }

    #[test]
    fn what_is_no_json_or_too_long_has_none() {
        let path = JsonPath::parse(".a").unwrap();
        for payload in [&b""[..], b"a=1", b"{\"a\":1", b"{\"a\":1} x", b"\xff", b"\"a\"", b"1"] {
            assert_eq!(path.find(payload), None, "{payload:?}");
        }
        let long = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length)).into_bytes();
        assert_eq!(path.find(&long(MAX_VALUE_BYTES)).unwrap().len(), MAX_VALUE_BYTES);
        assert_eq!(path.find(&long(MAX_VALUE_BYTES + 1)), None);
        let mut padded = br#"{"a":1}"#.to_vec();
        padded.resize(MAX_PAYLOAD_BYTES + 1, b' ');
        assert_eq!(path.find(&padded), None);
        assert_eq!(path.find(&padded[..MAX_PAYLOAD_BYTES]).as_deref(), Some("1"));
        assert_eq!(path.find("[".repeat(MAX_PAYLOAD_BYTES).as_bytes()), None, "bounded in depth");
    }

    #[test]
    fn other_paths_are_none() {
        for path in
            ["", ".", "..a", ".*", ".a[*]", ".a[?(@.b)]", ".a[-1]", ".a[", ".a[0", "a", ".a.", "['a", ".a b", "[0]x"]
        {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn finds_what_serde_json_finds(name in "[a-z]{1,3}", value in any::<String>(), other in any::<i64>()) {
            let payload = serde_json::json!({"x": [other, {name.clone(): value.clone()}]}).to_string();
            let path = JsonPath::parse(&format!(".x[1].{name}")).unwrap();
            prop_assert_eq!(path.find(payload.as_bytes()), Some(value));
            prop_assert_eq!(JsonPath::parse(".x[0]").unwrap().find(payload.as_bytes()), Some(other.to_string()));
        }

        #[test]
        fn whatever_comes_does_not_panic(payload in any::<Vec<u8>>()) {
            JsonPath::parse(".a[0]").unwrap().find(&payload);
        }
    }
}
