//! The operators of conditions, with the values that a policy compares with.

use std::cmp::Ordering;
use std::net::IpAddr;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::Context;
use crate::condition::Quantifier;
use crate::pattern::{Pattern, Reading};

/// An operator by its parts, e.g. `ForAnyValue:StringNotLikeIfExists`.
pub(crate) struct Operator {
    pub(crate) quantifier: Quantifier,
    pub(crate) if_exists: bool,
    pub(crate) negated: bool,
    comparison: Comparison,
}

/// What is looked for in one value of the request; any of the policy's values will do.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Text(Vec<Pattern>),
    /// Each of the six parts of an ARN, or one pattern for all of it.
    Arn(Vec<Vec<Pattern>>),
    Numeric(Order, Vec<f64>),
    /// Seconds since 1970.
    Date(Order, Vec<f64>),
    Bool(Vec<bool>),
    Address(Vec<Network>),
    /// Whether the key must be missing.
    Null(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Text { wildcards: bool, folded: bool },
    Arn,
    Numeric(Order),
    Date(Order),
    Bool,
    Address,
    Null,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Addresses in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

const EXACT: Comparison = Comparison::Text { wildcards: false, folded: false };
const FOLDED: Comparison = Comparison::Text { wildcards: false, folded: true };
const LIKE: Comparison = Comparison::Text { wildcards: true, folded: false };

/// Name, what is compared, whether it is the opposite.
const OPERATORS: &[(&str, Comparison, bool)] = &[
    ("StringEquals", EXACT, false),
    ("StringNotEquals", EXACT, true),
    ("StringEqualsIgnoreCase", FOLDED, false),
    ("StringNotEqualsIgnoreCase", FOLDED, true),
    ("StringLike", LIKE, false),
    ("StringNotLike", LIKE, true),
    ("NumericEquals", Comparison::Numeric(Order::Equal), false),
    ("NumericNotEquals", Comparison::Numeric(Order::Equal), true),
    ("NumericLessThan", Comparison::Numeric(Order::Less), false),
    ("NumericLessThanEquals", Comparison::Numeric(Order::LessOrEqual), false),
    ("NumericGreaterThan", Comparison::Numeric(Order::Greater), false),
    ("NumericGreaterThanEquals", Comparison::Numeric(Order::GreaterOrEqual), false),
    ("DateEquals", Comparison::Date(Order::Equal), false),
    ("DateNotEquals", Comparison::Date(Order::Equal), true),
    ("DateLessThan", Comparison::Date(Order::Less), false),
    ("DateLessThanEquals", Comparison::Date(Order::LessOrEqual), false),
    ("DateGreaterThan", Comparison::Date(Order::Greater), false),
    ("DateGreaterThanEquals", Comparison::Date(Order::GreaterOrEqual), false),
    ("Bool", Comparison::Bool, false),
    // Base64, compared as it is written.
    ("BinaryEquals", EXACT, false),
    ("IpAddress", Comparison::Address, false),
    ("NotIpAddress", Comparison::Address, true),
    ("ArnEquals", Comparison::Arn, false),
    ("ArnLike", Comparison::Arn, false),
    ("ArnNotEquals", Comparison::Arn, true),
    ("ArnNotLike", Comparison::Arn, true),
    ("Null", Comparison::Null, false),
];

impl Operator {
    /// None: there is no such operator.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (quantifier, rest) = match name.split_once(':') {
            None => (Quantifier::One, name),
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("ForAnyValue") => (Quantifier::Any, rest),
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("ForAllValues") => (Quantifier::All, rest),
            Some(_) => return None,
        };
        let suffix = rest.len().checked_sub("IfExists".len()).filter(|at| rest.is_char_boundary(*at));
        let suffix = suffix.filter(|at| rest[*at..].eq_ignore_ascii_case("IfExists"));
        let base = suffix.map_or(rest, |at| &rest[..at]);
        let (_, comparison, negated) = OPERATORS.iter().find(|(known, ..)| known.eq_ignore_ascii_case(base))?;
        if *comparison == Comparison::Null && (suffix.is_some() || quantifier != Quantifier::One) {
            return None;
        }
        Some(Self { quantifier, if_exists: suffix.is_some(), negated: *negated, comparison: *comparison })
    }

    /// With the policy's values. The error says which of them is none of this operator's.
    pub(crate) fn test(&self, values: &[&Value], variables: bool) -> Result<Test, String> {
        let texts: Vec<String> = values.iter().map(|value| text(value)).collect::<Result<_, _>>()?;
        let read = |text: &str, wildcards, folded| Pattern::parse(text, Reading { wildcards, variables, folded });
        Ok(match self.comparison {
            Comparison::Text { wildcards, folded } => Test::Text(all(&texts, |text| read(text, wildcards, folded))?),
            Comparison::Arn => Test::Arn(all(&texts, |text| {
                arn_parts(text).into_iter().map(|part| read(part, true, false)).collect::<Result<_, _>>()
            })?),
            Comparison::Numeric(order) => {
                Test::Numeric(order, all(&texts, |text| number(text).ok_or_else(|| format!("{text:?} is no number")))?)
            }
            Comparison::Date(order) => Test::Date(
                order,
                all(&texts, |text| {
                    date(text).ok_or_else(|| format!("{text:?} is no date, e.g. 2026-01-31T00:00:00Z"))
                })?,
            ),
            Comparison::Bool => Test::Bool(all(&texts, |text| {
                boolean(text).ok_or_else(|| format!("{text:?} is neither true nor false"))
            })?),
            Comparison::Address => Test::Address(all(&texts, |text| {
                Network::parse(text).ok_or_else(|| format!("{text:?} is no address range, e.g. 203.0.113.0/24"))
            })?),
            Comparison::Null => match &texts[..] {
                [text] => Test::Null(boolean(text).ok_or_else(|| format!("{text:?} is neither true nor false"))?),
                _ => return Err("Null takes one value, true or false".to_owned()),
            },
        })
    }
}

impl Test {
    pub(crate) fn holds(&self, value: &str, context: &dyn Context) -> bool {
        match self {
            Self::Text(patterns) => patterns.iter().any(|pattern| pattern.matches(value, context)),
            Self::Arn(arns) => arns.iter().any(|parts| {
                let of_value = arn_parts(value);
                match &parts[..] {
                    [whole] if whole.is_any() => true,
                    _ => {
                        parts.len() == of_value.len()
                            && parts.iter().zip(of_value).all(|(pattern, part)| pattern.matches(part, context))
                    }
                }
            }),
            Self::Numeric(order, numbers) => number(value).is_some_and(|value| order.any(value, numbers)),
            Self::Date(order, dates) => date(value).is_some_and(|value| order.any(value, dates)),
            Self::Bool(wanted) => boolean(value).is_some_and(|value| wanted.contains(&value)),
            Self::Address(networks) => {
                value.parse().is_ok_and(|address| networks.iter().any(|network| network.holds(address)))
            }
            Self::Null(_) => false,
        }
    }

    /// The keys that variables of its values name.
    pub(crate) fn keys(&self) -> Vec<&str> {
        match self {
            Self::Text(patterns) => patterns.iter().flat_map(Pattern::keys).collect(),
            Self::Arn(arns) => arns.iter().flatten().flat_map(Pattern::keys).collect(),
            _ => Vec::new(),
        }
    }
}

impl Order {
    fn any(self, value: f64, of: &[f64]) -> bool {
        of.iter().any(|other| match (self, value.partial_cmp(other)) {
            (_, None) => false,
            (Self::Equal, Some(order)) => order == Ordering::Equal,
            (Self::Less, Some(order)) => order == Ordering::Less,
            (Self::LessOrEqual, Some(order)) => order != Ordering::Greater,
            (Self::Greater, Some(order)) => order == Ordering::Greater,
            (Self::GreaterOrEqual, Some(order)) => order != Ordering::Less,
        })
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
        Some(Self { address, bits })
    }

    fn holds(self, address: IpAddr) -> bool {
        let differing = match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return false,
        };
        differing >= u32::from(self.bits)
    }
}

fn all<T>(texts: &[String], read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    texts.iter().map(|text| read(text)).collect()
}

/// Values are written as text; numbers and truth values may be bare.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err("a value is a text, a number, true or false".to_owned()),
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// The W3C's profile of ISO 8601, or seconds since 1970.
fn date(text: &str) -> Option<f64> {
    if let Some(seconds) = number(text) {
        return Some(seconds);
    }
    let forms = [
        text.to_owned(),
        format!("{text}T00:00:00Z"),
        text.strip_suffix('Z').map(|t| format!("{t}:00Z")).unwrap_or_default(),
    ];
    let date = forms.iter().find_map(|form| OffsetDateTime::parse(form, &Rfc3339).ok())?;
    Some(date.unix_timestamp_nanos() as f64 / 1e9)
}

/// The six parts of an ARN; colons within `${…}` part nothing. What has fewer is one whole.
fn arn_parts(arn: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, c) in arn.char_indices() {
        match c {
            '{' if arn[..at].ends_with('$') => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ':' if depth == 0 && parts.len() < 5 => {
                parts.push(&arn[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&arn[start..]);
    if parts.len() == 6 { parts } else { vec![arn] }
}
