//! Functions that are called with values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::expression::Context;
use super::value::{Value, whole};

/// A function: its name, how many arguments it takes, and what it does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
    run: fn(&[Value], Context<'_>) -> Value,
}

/// Longer texts are not put together: a function could be applied to its own result again and again.
const MAX_TEXT_BYTES: usize = 1 << 20;

macro_rules! functions {
    ($($name:literal, $least:expr, $most:expr, $run:expr;)*) => {
        &[$(Function { name: $name, least: $least, most: $most, run: $run }),*]
    };
}

/// All of them. Names are compared without case.
const FUNCTIONS: &[Function] = functions! {
    "abs", 1, 1, |v, _| number(v, f64::abs);
    "ceil", 1, 1, |v, _| number(v, f64::ceil);
    "floor", 1, 1, |v, _| number(v, f64::floor);
    "round", 1, 1, |v, _| number(v, f64::round);
    "sqrt", 1, 1, |v, _| number(v, f64::sqrt);
    "log", 1, 1, |v, _| number(v, f64::ln);
    "greatest", 1, 64, |v, _| v.iter().filter_map(Value::number).reduce(f64::max).into();
    "least", 1, 64, |v, _| v.iter().filter_map(Value::number).reduce(f64::min).into();
    "fromMillis", 1, 1, |v, _| v[0].time().map_or(Value::Null, Value::Time);
    "toMillis", 1, 1, |v, _| v[0].number().into();
    "now", 0, 0, |_, context| Value::from(millis(context.now_ms.div_euclid(1_000)));
    "ispresent", 1, 1, |v, _| Value::Bool(!v[0].is_null());
    "coalesce", 1, 64, |v, _| v.iter().find(|value| !value.is_null()).cloned().unwrap_or_default();
    "isempty", 1, 1, |v, _| Value::Bool(text(v, 0).is_none_or(|text| text.is_empty()));
    "isblank", 1, 1, |v, _| Value::Bool(text(v, 0).is_none_or(|text| text.trim().is_empty()));
    "concat", 1, 64, |v, _| bounded(v.iter().filter_map(Value::shown).collect());
    "strlen", 1, 1, |v, _| text(v, 0).and_then(|text| i64::try_from(text.chars().count()).ok()).map(millis).into();
    "tolower", 1, 1, |v, _| mapped(v, |text| text.to_lowercase());
    "toupper", 1, 1, |v, _| mapped(v, |text| text.to_uppercase());
    "lower", 1, 1, |v, _| mapped(v, |text| text.to_lowercase());
    "upper", 1, 1, |v, _| mapped(v, |text| text.to_uppercase());
    "trim", 1, 2, |v, _| trimmed(v, true, true);
    "ltrim", 1, 2, |v, _| trimmed(v, true, false);
    "rtrim", 1, 2, |v, _| trimmed(v, false, true);
    "substr", 2, 3, |v, _| substring(v);
    "replace", 3, 3, |v, _| replaced(v);
    "strcontains", 2, 2, |v, _| Value::Bool(text(v, 0).zip(text(v, 1)).is_some_and(|(text, part)| text.contains(&part)));
    "isValidIp", 1, 1, |v, _| Value::Bool(parsed::<IpAddr>(v, 0).is_some());
    "isValidIpV4", 1, 1, |v, _| Value::Bool(parsed::<Ipv4Addr>(v, 0).is_some());
    "isValidIpV6", 1, 1, |v, _| Value::Bool(parsed::<Ipv6Addr>(v, 0).is_some());
    "isIpInSubnet", 2, 2, |v, _| Value::Bool(parsed(v, 0).is_some_and(|ip| in_subnet(ip, v)));
    "isIpv4InSubnet", 2, 2, |v, _| Value::Bool(parsed(v, 0).is_some_and(|ip: Ipv4Addr| in_subnet(ip.into(), v)));
    "isIpv6InSubnet", 2, 2, |v, _| Value::Bool(parsed(v, 0).is_some_and(|ip: Ipv6Addr| in_subnet(ip.into(), v)));
};

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        FUNCTIONS.iter().find(|function| function.name.eq_ignore_ascii_case(name)).copied()
    }

    /// With as many values as it takes.
    pub(super) fn call(&self, values: &[Value], context: Context<'_>) -> Value {
        if (self.least..=self.most).contains(&values.len()) { (self.run)(values, context) } else { Value::Null }
    }
}

#[expect(clippy::cast_precision_loss, reason = "of times and lengths nothing is lost")]
fn millis(number: i64) -> f64 {
    number as f64
}

fn number(values: &[Value], compute: fn(f64) -> f64) -> Value {
    values[0].number().map(compute).into()
}

fn text(values: &[Value], at: usize) -> Option<String> {
    values.get(at).and_then(Value::shown)
}

fn mapped(values: &[Value], map: fn(&str) -> String) -> Value {
    text(values, 0).map_or(Value::Null, |text| bounded(map(&text)))
}

fn bounded(mut text: String) -> Value {
    text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
    Value::Text(text)
}

/// Space, or the characters of a second argument.
fn trimmed(values: &[Value], left: bool, right: bool) -> Value {
    let Some(given) = text(values, 0) else { return Value::Null };
    let chars = text(values, 1);
    let is_cut = |c: char| chars.as_ref().map_or_else(|| c.is_whitespace(), |chars| chars.contains(c));
    let rest = if left { given.trim_start_matches(is_cut) } else { &given };
    Value::text(if right { rest.trim_end_matches(is_cut) } else { rest })
}

/// From a place on that counts from 0, in characters; of a length, or up to the end.
fn substring(values: &[Value]) -> Value {
    let place =
        |at: usize| values.get(at).and_then(Value::number).and_then(whole).and_then(|at| usize::try_from(at).ok());
    match (text(values, 0), place(1), values.get(2)) {
        (Some(text), Some(start), None) => Value::Text(text.chars().skip(start).collect()),
        (Some(text), Some(start), Some(_)) => match place(2) {
            Some(length) => Value::Text(text.chars().skip(start).take(length).collect()),
            None => Value::Null,
        },
        _ => Value::Null,
    }
}

fn replaced(values: &[Value]) -> Value {
    match (text(values, 0), text(values, 1), text(values, 2)) {
        (Some(given), Some(from), _) if from.is_empty() => Value::Text(given),
        (Some(given), Some(from), Some(to)) => {
            let more = given.matches(from.as_str()).count().saturating_mul(to.len());
            if given.len().saturating_add(more) > MAX_TEXT_BYTES {
                Value::Null
            } else {
                Value::Text(given.replace(&from, &to))
            }
        }
        _ => Value::Null,
    }
}

fn parsed<T: std::str::FromStr>(values: &[Value], at: usize) -> Option<T> {
    text(values, at)?.trim().parse().ok()
}

/// Whether an address is in the subnet that the second argument names: `10.0.0.0/8`.
fn in_subnet(ip: IpAddr, values: &[Value]) -> bool {
    let Some(subnet) = text(values, 1) else { return false };
    let Some((network, length)) = subnet.split_once('/') else { return false };
    let (Ok(network), Ok(length)) = (network.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    let (one, other, bits) = match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => (u128::from(ip.to_bits()), u128::from(network.to_bits()), 32),
        (IpAddr::V6(ip), IpAddr::V6(network)) => (ip.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    length <= bits && (one ^ other).checked_shr(bits - length).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, values: &[Value]) -> Option<String> {
        let context = Context { now_ms: 1_556_639_522_999, aggregates: &[] };
        Function::named(name).unwrap().call(values, context).shown()
    }

    #[test]
    fn what_functions_give() {
        let text = |text: &str| Value::text(text);
        let of = |number: f64| Value::Number(number);
        for (name, values, expected) in [
            ("ABS", vec![text("-1.5")], Some("1.5")),
            ("sqrt", vec![of(-1.0)], None),
            ("floor", vec![text("x")], None),
            ("greatest", vec![of(1.0), Value::Null, of(3.0)], Some("3")),
            ("least", vec![Value::Null], None),
            ("fromMillis", vec![text("1556639522000")], Some("2019-04-30 15:52:02.000")),
            ("toMillis", vec![Value::Time(5)], Some("5")),
            ("now", vec![], Some("1556639522")),
            ("ispresent", vec![Value::Null], Some("0")),
            ("isempty", vec![text("")], Some("1")),
            ("isempty", vec![text(" ")], Some("0")),
            ("isblank", vec![text(" ")], Some("1")),
            ("coalesce", vec![Value::Null, text("b"), text("c")], Some("b")),
            ("concat", vec![text("a"), Value::Null, of(1.0)], Some("a1")),
            ("strlen", vec![text("über")], Some("4")),
            ("strlen", vec![Value::Null], None),
            ("toupper", vec![text("aé")], Some("AÉ")),
            ("trim", vec![text("  a ")], Some("a")),
            ("trim", vec![text("[a]"), text("[]")], Some("a")),
            ("ltrim", vec![text(" a ")], Some("a ")),
            ("rtrim", vec![text(" a ")], Some(" a")),
            ("substr", vec![text("abcdef"), of(2.0)], Some("cdef")),
            ("substr", vec![text("abcdef"), of(2.0), of(2.0)], Some("cd")),
            ("substr", vec![text("abc"), of(-1.0)], None),
            ("replace", vec![text("a-b-c"), text("-"), text("+")], Some("a+b+c")),
            ("replace", vec![text("a"), text(""), text("+")], Some("a")),
            ("strcontains", vec![text("abc"), text("b")], Some("1")),
            ("isValidIp", vec![text("::1")], Some("1")),
            ("isValidIpV4", vec![text("::1")], Some("0")),
            ("isIpv4InSubnet", vec![text("10.1.2.3"), text("10.0.0.0/8")], Some("1")),
            ("isIpv4InSubnet", vec![text("11.1.2.3"), text("10.0.0.0/8")], Some("0")),
            ("isIpv4InSubnet", vec![text("11.1.2.3"), text("0.0.0.0/0")], Some("1")),
            ("isIpInSubnet", vec![text("2001:db8::1"), text("2001:db8::/32")], Some("1")),
            ("isIpInSubnet", vec![text("::1"), text("::/0")], Some("1")),
            ("isIpInSubnet", vec![text("10.0.0.1"), text("10.0.0.0/33")], Some("0")),
            ("isIpv6InSubnet", vec![text("10.0.0.1"), text("10.0.0.0/8")], Some("0")),
        ] {
            assert_eq!(call(name, &values).as_deref(), expected, "{name} {values:?}");
        }
        assert!(Function::named("system").is_none());
        assert_eq!(call("abs", &[]), None);
        let long = Value::text("a".repeat(MAX_TEXT_BYTES));
        assert_eq!(call("concat", &[long.clone(), long.clone()]).unwrap().len(), MAX_TEXT_BYTES);
        assert_eq!(call("replace", &[long, Value::text("a"), Value::text("bb")]), None);
    }
}
