//! Times in JSON, to the second: `2026-11-22T21:05:00Z`. What no calendar has (a certificate may end in the year 10000) is shown as
//! the nearest that it has.

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

fn text(seconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(seconds.clamp(FIRST, LAST)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.format(&Rfc3339).unwrap_or_default()
}

fn seconds<E: Error>(text: &str) -> Result<i64, E> {
    OffsetDateTime::parse(text, &Rfc3339).map(OffsetDateTime::unix_timestamp).map_err(E::custom)
}

/// Of seconds since 1970-01-01T00:00:00Z.
pub(super) mod of_seconds {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(at: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(*at))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        seconds(&String::deserialize(deserializer)?)
    }
}

/// Of milliseconds since 1970-01-01T00:00:00Z.
pub(super) mod of_ms {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(at: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        of_seconds::serialize(&at.div_euclid(1000), serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        Ok(of_seconds::deserialize(deserializer)? * 1000)
    }
}

/// As [`of_ms`], where there may be none.
pub(super) mod of_ms_if_any {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(at: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => of_ms::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| Ok(seconds::<D::Error>(&text)? * 1000)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_shown() {
        for (at, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_763_830_800, "2025-11-22T17:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
            (i64::MIN, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(text(at), shown);
            assert_eq!(seconds::<serde_json::Error>(shown).unwrap(), at.clamp(FIRST, LAST));
        }
        assert!(seconds::<serde_json::Error>("yesterday").is_err());
    }
}
