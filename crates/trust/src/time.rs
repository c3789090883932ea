//! Times as certificates hold them (RFC 5280 section 4.1.2.5) and as they are shown.

use ::time::format_description::well_known::Rfc3339;
use ::time::macros::format_description;
use ::time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

use crate::UnixSeconds;
use crate::der::{self, Element, Malformed};

/// `notBefore` and `notAfter` of a `Validity`.
pub(crate) fn validity(validity: Element<'_>) -> Result<(UnixSeconds, UnixSeconds), Malformed> {
    let mut fields = validity.inside();
    let not_before = unix(fields.any()?)?;
    let not_after = unix(fields.any()?)?;
    fields.finish()?;
    Ok((not_before, not_after))
}

/// `Aug  5 00:28:21 2120 GMT`
pub(crate) fn openssl(at: UnixSeconds) -> String {
    let format =
        format_description!("[month repr:short] [day padding:space] [hour]:[minute]:[second] [year padding:none] GMT");
    OffsetDateTime::from_unix_timestamp(at)
        .ok()
        .and_then(|at| at.format(&format).ok())
        .unwrap_or_else(|| at.to_string())
}

/// `2120-08-05T00:28:21Z`
pub fn rfc3339(at: UnixSeconds) -> String {
    OffsetDateTime::from_unix_timestamp(at)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.to_string())
}

/// A span in the largest unit that fills it: `12 days`, `1 hour`, `30 seconds`.
pub(crate) fn span(seconds: i64) -> String {
    let (count, unit) = match seconds {
        86_400.. => (seconds / 86_400, "day"),
        3_600.. => (seconds / 3_600, "hour"),
        60.. => (seconds / 60, "minute"),
        _ => (seconds, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// A `Time`: UTCTime or GeneralizedTime, in the one form that certificates and lists may use.
pub(crate) fn unix(time: Element<'_>) -> Result<UnixSeconds, Malformed> {
    let (year, rest) = match (time.tag, time.value.len()) {
        (der::UTC_TIME, 13) => {
            let year = digits(&time.value[..2])?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &time.value[2..])
        }
        (der::GENERALIZED_TIME, 15) => (digits(&time.value[..4])?, &time.value[4..]),
        _ => return Err(Malformed),
    };
    let [fields @ .., b'Z'] = rest else { return Err(Malformed) };
    let mut two = fields.chunks(2).map(digits);
    let mut next = || two.next().ok_or(Malformed)?;
    let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
    let month = Month::try_from(month as u8).map_err(|_| Malformed)?;
    let date = Date::from_calendar_date(i32::from(year), month, day as u8).map_err(|_| Malformed)?;
    let time = Time::from_hms(hour as u8, minute as u8, second as u8).map_err(|_| Malformed)?;
    Ok(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp())
}

/// A decimal number of two or four digits.
fn digits(text: &[u8]) -> Result<u16, Malformed> {
    text.iter().try_fold(0, |number, digit| match digit {
        b'0'..=b'9' => Ok(number * 10 + u16::from(digit - b'0')),
        _ => Err(Malformed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms() {
        for (tag, text, unix_seconds) in [
            (der::UTC_TIME, "700101000000Z", Some(0)),
            (der::UTC_TIME, "691231235959Z", Some(-1)),
            (der::UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (der::UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (der::GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (der::GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (der::GENERALIZED_TIME, "00000101000000Z", Some(-62_167_219_200)),
            (der::GENERALIZED_TIME, "20500230000000Z", None),
            (der::GENERALIZED_TIME, "20500101000000.5Z", None),
            (der::UTC_TIME, "7001010000Z", None),
            (der::UTC_TIME, "700101000000+", None),
            (der::UTC_TIME, "7001010000 0Z", None),
            (der::UTC_TIME, "701301000000Z", None),
            (der::UTC_TIME, "700101240000Z", None),
        ] {
            let whole = [&[tag, text.len() as u8], text.as_bytes()].concat();
            assert_eq!(unix(der::only(&whole, tag).unwrap()).ok(), unix_seconds, "{text}");
        }
    }

    #[test]
    fn shows() {
        assert_eq!(openssl(4_752_260_901), "Aug  5 00:28:21 2120 GMT");
        assert_eq!(openssl(0), "Jan  1 00:00:00 1970 GMT");
        assert_eq!(openssl(i64::MAX), i64::MAX.to_string());
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(span(86_400 * 3 + 5), "3 days");
        assert_eq!(span(3_600), "1 hour");
        assert_eq!(span(59), "59 seconds");
    }
}
