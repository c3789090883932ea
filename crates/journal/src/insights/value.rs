//! Values. What an event holds is text, as it stands there; it is a number where one is needed and it reads as one.

use std::cmp::Ordering;
use std::fmt::Write;

use time::OffsetDateTime;

/// A value of a field or an expression.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Value {
    /// There is none.
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    /// Milliseconds since 1970, shown as a date.
    Time(i64),
    Text(String),
}

impl Value {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Null => None,
            Self::Bool(is) => Some(f64::from(u8::from(*is))),
            Self::Number(number) => Some(*number),
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age fit")]
            Self::Time(ms) => Some(*ms as f64),
            Self::Text(text) => numeric(text),
        }
    }

    /// Milliseconds since 1970.
    pub(super) fn time(&self) -> Option<i64> {
        match self {
            Self::Time(ms) => Some(*ms),
            other => other.number().and_then(whole),
        }
    }

    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(is) => *is,
            Self::Text(text) => text == "true" || numeric(text).is_some_and(|number| number != 0.0),
            Self::Number(number) => *number != 0.0,
            Self::Time(_) => true,
        }
    }

    /// As a result shows it.
    pub(super) fn shown(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Bool(is) => Some(u8::from(*is).to_string()),
            Self::Number(number) => Some(shown_number(*number)),
            Self::Time(ms) => Some(shown_time(*ms)),
            Self::Text(text) => Some(text.clone()),
        }
    }

    /// Compares what can be compared: numbers, or else text. Nothing compares with what is not there.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        if let (Some(one), Some(other)) = (self.number(), other.number()) {
            return one.partial_cmp(&other);
        }
        match (self, other) {
            (Self::Null, _) | (_, Self::Null) => None,
            (Self::Bool(is), Self::Text(text)) if text == "true" || text == "false" => Some(is.cmp(&(text == "true"))),
            (Self::Text(_), Self::Bool(_)) => other.compare(self).map(Ordering::reverse),
            _ => Some(self.shown().cmp(&other.shown())),
        }
    }

    /// For `sort`: a total order. What is not there is least, numbers come before text.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self.number(), other.number()) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            (Some(_), None) => {
                if other.is_null() {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (None, Some(_)) => {
                if self.is_null() {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (None, None) => self.shown().cmp(&other.shown()),
        }
    }

    /// Bytes that it takes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + if let Self::Text(text) = self { text.len() } else { 0 }
    }
}

impl From<f64> for Value {
    /// What is no number is nothing.
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Null }
    }
}

impl From<Option<f64>> for Value {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Self::Null, Self::from)
    }
}

/// Text that reads as a number: digits, a sign, a point, an exponent. `inf` and `nan` do not.
fn numeric(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    if plain { text.parse().ok() } else { None }
}

/// A whole number, what is behind the point cut off.
pub(super) fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "it is within bounds")]
    let cut = |number: f64| number.trunc() as i64;
    (number.abs() < 9.0e18).then(|| cut(number))
}

/// Up to four digits behind the point.
fn shown_number(number: f64) -> String {
    let mut text = format!("{number:.4}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    if text == "-0" { "0".to_owned() } else { text }
}

/// `2025-11-22 17:00:00.000`, in UTC.
pub(super) fn shown_time(ms: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000) else { return ms.to_string() };
    let mut text = at.date().to_string();
    let _ = write!(text, " {:02}:{:02}:{:02}.{:03}", at.hour(), at.minute(), at.second(), at.millisecond());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_values_are_shown() {
        for (value, shown) in [
            (Value::Number(3.0), "3"),
            (Value::Number(-0.00001), "0"),
            (Value::Number(2.0 / 3.0), "0.6667"),
            (Value::Number(1e15), "1000000000000000"),
            (Value::Number(120.0), "120"),
            (Value::Bool(true), "1"),
            (Value::Time(1_556_639_522_000), "2019-04-30 15:52:02.000"),
            (Value::Time(-1), "1969-12-31 23:59:59.999"),
            (Value::text("x"), "x"),
        ] {
            assert_eq!(value.shown().as_deref(), Some(shown));
        }
        assert_eq!(Value::from(f64::NAN).shown(), None);
    }

    #[test]
    fn how_values_compare() {
        let text = |text: &str| Value::text(text);
        for (one, other, expected) in [
            (text("200"), Value::Number(200.0), Some(Ordering::Equal)),
            (text("9"), text("10"), Some(Ordering::Less)),
            (text("9a"), text("10a"), Some(Ordering::Greater)),
            (text("inf"), Value::Number(1.0), Some(Ordering::Greater)),
            (Value::Bool(true), text("true"), Some(Ordering::Equal)),
            (text("false"), Value::Bool(true), Some(Ordering::Less)),
            (Value::Bool(true), Value::Number(1.0), Some(Ordering::Equal)),
            (Value::Null, text(""), None),
            (Value::Null, Value::Null, None),
        ] {
            assert_eq!(one.compare(&other), expected, "{one:?} {other:?}");
        }
        let mut values = [text("b"), Value::Null, text("10"), Value::Number(9.0), text("a")];
        values.sort_by(Value::order);
        assert_eq!(values, [Value::Null, Value::Number(9.0), text("10"), text("a"), text("b")]);
    }
}
