//! `20261122T170000Z`, and the days of a credential scope.

use http::{HeaderMap, Uri};
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc2822;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use crate::Error;

pub(crate) const HEADER: &str = "x-amz-date";

const FORMAT: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

/// A time in the form that signatures use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    /// `20261122T170000Z`
    pub text: String,
    /// Seconds since 1970.
    pub at: i64,
}

impl Date {
    /// `None` outside of the years 0 to 9999.
    pub(crate) fn of(at: i64) -> Option<Self> {
        let time = OffsetDateTime::from_unix_timestamp(at).ok().filter(|time| (0..=9999).contains(&time.year()))?;
        Some(Self { text: time.format(FORMAT).ok()?, at })
    }

    /// `20261122T170000Z` only.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let at = PrimitiveDateTime::parse(text, FORMAT).ok()?.assume_utc().unix_timestamp();
        // Only what we would write ourselves: the parser also takes years with a sign.
        Self::of(at).filter(|date| date.text == text)
    }

    /// `x-amz-date`, else `Date`; which it was is the second value.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Result<(Self, &'static str), Error> {
        let name = if headers.contains_key(HEADER) { HEADER } else { "date" };
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            let needed = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.";
            return Err(Error::IncompleteSignature(needed.to_owned()));
        };
        let text = value.to_str().unwrap_or_default();
        let date = Self::parse(text).or_else(|| {
            let time = OffsetDateTime::parse(text, &Rfc2822).ok().filter(|_| name != HEADER)?;
            Self::of(time.unix_timestamp())
        });
        let malformed =
            || Error::IncompleteSignature(format!("Date must be in ISO-8601 'basic format'. Got '{text}'."));
        date.map(|date| (date, name)).ok_or_else(malformed)
    }

    /// `20261122`
    pub(crate) fn day(&self) -> &str {
        self.text.split_at(8).0
    }
}

/// A parameter of the query string, decoded; an error where it is there twice.
pub(crate) fn parameter(uri: &Uri, name: &str) -> Result<Option<String>, Error> {
    let mut found = crate::canonical::parameters(uri).filter(|(key, _)| key == name);
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(Error::IncompleteSignature(format!("'{name}' is there more than once."))),
        (first, _) => Ok(first.map(|(_, value)| value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_basic_format_is_read() {
        assert_eq!(Date::parse("20150830T123600Z").map(|date| date.at), Some(1_440_938_160));
        for text in
            ["", "2015-08-30T12:36:00Z", "20150830T123600", "20150830T126000Z", "+20150830T123600Z", "20150230T000000Z"]
        {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_header_may_be_that_of_http() {
        let mut headers = HeaderMap::new();
        headers.insert("date", "Sun, 30 Aug 2015 12:36:00 GMT".parse().expect("a header's value"));
        assert_eq!(
            Date::of_headers(&headers).map(|(date, name)| (date.text, name)),
            Ok(("20150830T123600Z".to_owned(), "date"))
        );
    }
}
