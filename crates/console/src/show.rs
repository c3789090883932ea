//! How times, numbers and sizes are shown. What these write is HTML, and made of numbers only.

use std::fmt;

use askama::filters::HtmlSafe;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// A time, in milliseconds since 1970: in UTC, until the script puts it into the reader's zone; UTC stays in its title.
pub(crate) struct Time(pub(crate) i64);

/// A time that the server writes as RFC 3339 has it; in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) i64);

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let time = OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)?;
        i64::try_from(time.unix_timestamp_nanos() / 1_000_000).map(Self).map_err(D::Error::custom)
    }
}

impl Stamp {
    /// Seconds since 1970.
    pub(crate) fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Time(self.0).fmt(f)
    }
}

/// A time in words, as seen from `now`: `in 12 days`; both in milliseconds since 1970.
pub(crate) struct Relative {
    pub(crate) at: i64,
    pub(crate) now: i64,
}

/// A day on which something ends, in seconds since 1970, with how far that is from `now` (milliseconds).
pub(crate) struct Ends {
    pub(crate) at: i64,
    pub(crate) now: i64,
}

/// A number, with spaces between its thousands.
pub(crate) struct Count(pub(crate) u64);

/// A number of bytes.
pub(crate) struct Bytes(pub(crate) u64);

/// A span in microseconds.
pub(crate) struct Micros(pub(crate) u64);

/// A rate, in events a second.
pub(crate) struct Rate(pub(crate) f64);

const SOON_DAYS: i64 = 30;
const DAY: i64 = 86_400;

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
        let machine = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).ok();
        let text = time.and_then(|time| Some((time.format(machine).ok()?, time.format(shown).ok()?)));
        match text {
            Some((machine, shown)) => write!(f, r#"<time datetime="{machine}" title="{shown}">{shown}</time>"#),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Display for Relative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at.saturating_sub(self.now).div_euclid(1000);
        let (count, unit) = match seconds.unsigned_abs() {
            0..5 => return f.write_str("now"),
            span @ 5..120 => (span, "second"),
            span @ 120..7_200 => (span / 60, "minute"),
            span @ 7_200..172_800 => (span / 3_600, "hour"),
            span => (span / 86_400, "day"),
        };
        let plural = if count == 1 { "" } else { "s" };
        match seconds > 0 {
            true => write!(f, "in {count} {unit}{plural}"),
            false => write!(f, "{count} {unit}{plural} ago"),
        }
    }
}

impl Ends {
    /// `ended`, `soon` or `later`.
    pub(crate) fn class(&self) -> &'static str {
        match self.at - self.now.div_euclid(1000) {
            ..0 => "ended",
            left if left < SOON_DAYS * DAY => "soon",
            _ => "later",
        }
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.saturating_mul(1000);
        let class = self.class();
        let words = match class {
            "ended" => "ended ",
            _ => "",
        };
        write!(
            f,
            r#"<span class="ends {class}">{} <small>{words}{}</small></span>"#,
            Time(at),
            Relative { at, now: self.now }
        )
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                f.write_str("\u{202f}")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ ..1024 => write!(f, "{bytes} B"),
            bytes @ ..1_048_576 => write!(f, "{:.1} KiB", bytes as f64 / 1024.0),
            bytes => write!(f, "{:.1} MiB", bytes as f64 / 1_048_576.0),
        }
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            micros @ ..1_000 => write!(f, "{micros} µs"),
            micros @ ..1_000_000 => write!(f, "{:.1} ms", micros as f64 / 1e3),
            micros => write!(f, "{:.1} s", micros as f64 / 1e6),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            rate if rate < 10.0 => write!(f, "{rate:.1}"),
            rate => write!(f, "{}", Count(rate as u64)),
        }
    }
}

impl HtmlSafe for Stamp {}
impl HtmlSafe for Time {}
impl HtmlSafe for Relative {}
impl HtmlSafe for Ends {}
impl HtmlSafe for Count {}
impl HtmlSafe for Bytes {}
impl HtmlSafe for Micros {}
impl HtmlSafe for Rate {}

/// What stands for itself in a path, or in a query.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same, and what parts a path.
const IN_KEY: &AsciiSet = &PLAIN.remove(b'/');

/// A part of a path, or a value of a query.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// As [`encoded`], with slashes: an object's key.
pub(crate) fn encoded_key(text: &str) -> String {
    utf8_percent_encode(text, IN_KEY).to_string()
}

/// What templates call what follows with: values of some things, references to others.
pub(crate) trait Number<T> {
    fn value(&self) -> T;
}

impl Number<i64> for i64 {
    fn value(&self) -> i64 {
        *self
    }
}

impl Number<u64> for u64 {
    fn value(&self) -> u64 {
        *self
    }
}

impl Number<f64> for f64 {
    fn value(&self) -> f64 {
        *self
    }
}

impl<T, N: Number<T>> Number<T> for &N {
    fn value(&self) -> T {
        N::value(self)
    }
}

pub(crate) fn time(at: impl Number<i64>) -> Time {
    Time(at.value())
}

pub(crate) fn relative(at: impl Number<i64>, now: impl Number<i64>) -> Relative {
    Relative { at: at.value(), now: now.value() }
}

pub(crate) fn ends(at: impl Number<i64>, now: impl Number<i64>) -> Ends {
    Ends { at: at.value(), now: now.value() }
}

pub(crate) fn count(count: impl Number<u64>) -> Count {
    Count(count.value())
}

pub(crate) fn bytes(bytes: impl Number<u64>) -> Bytes {
    Bytes(bytes.value())
}

pub(crate) fn micros(micros: impl Number<u64>) -> Micros {
    Micros(micros.value())
}

pub(crate) fn rate(rate: impl Number<f64>) -> Rate {
    Rate(rate.value())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers() {
        let time = Time(1_800_000_000_123).to_string();
        let title = "2027-01-15 08:00:00 UTC";
        assert_eq!(time, format!(r#"<time datetime="2027-01-15T08:00:00.123Z" title="{title}">{title}</time>"#));
        assert_eq!(Time(i64::MAX).to_string(), "9223372036854775807 ms");
        for (at, shown) in [
            (0, "now"),
            (1_000, "now"),
            (90_000, "in 90 seconds"),
            (-7_200_000, "2 hours ago"),
            (12 * 86_400_000, "in 12 days"),
        ] {
            assert_eq!(Relative { at, now: 0 }.to_string(), shown);
        }
        assert_eq!(Count(1_234_567).to_string(), "1\u{202f}234\u{202f}567");
        assert_eq!([Bytes(3).to_string(), Bytes(2048).to_string()], ["3 B", "2.0 KiB"]);
        assert_eq!([Micros(310).to_string(), Micros(4_600).to_string()], ["310 µs", "4.6 ms"]);
        assert_eq!([Rate(0.5).to_string(), Rate(1234.0).to_string()], ["0.5", "1\u{202f}234"]);
    }

    #[test]
    fn what_ends_soon_says_so() {
        for (days, class) in [(-1, "ended"), (1, "soon"), (29, "soon"), (31, "later")] {
            assert_eq!(Ends { at: days * DAY, now: 0 }.class(), class);
        }
    }

    #[test]
    fn parts_of_paths_are_encoded() {
        assert_eq!(encoded("*.example.com/<a>"), "%2A.example.com%2F%3Ca%3E");
        assert_eq!(encoded_key("a b/c"), "a%20b/c");
    }
}
