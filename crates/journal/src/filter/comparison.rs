//! `= 403`, `!= "10.*"`, `> 1000`.

use super::PatternError;
use super::cursor::Cursor;

/// A comparison of what is found with a value of the pattern.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Comparison {
    /// As a number where both are one, else as text with `*` for anything. `!=` when `negated`.
    Equal {
        negated: bool,
        number: Option<f64>,
        text: Glob,
    },
    Less(f64),
    LessOrEqual(f64),
    Greater(f64),
    GreaterOrEqual(f64),
}

/// Text in which `*` stands for anything, split there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Glob(Vec<String>);

impl Comparison {
    /// An operator and its value.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, PatternError> {
        cursor.skip_space();
        let start = cursor.at();
        let operators = ["!=", "<=", ">=", "=", "<", ">"];
        let Some(operator) = operators.into_iter().find(|operator| cursor.eat(operator)) else {
            return Err(cursor.error("expected an operator (=, !=, <, <=, >, >=)"));
        };
        let ends =
            |c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}' | ')' | '(' | '&' | '|' | '=' | '<' | '>');
        let word = cursor.word(ends)?;
        if !word.quoted && word.text.starts_with('%') {
            cursor.back_to(start);
            return Err(cursor.error("regular expressions (%…%) are not supported"));
        }
        let number = if word.quoted { None } else { number(&word.text) };
        let ordered =
            |make: fn(f64) -> Self| number.map(make).ok_or_else(|| cursor.error("expected a number before this"));
        match operator {
            "<" => ordered(Self::Less),
            "<=" => ordered(Self::LessOrEqual),
            ">" => ordered(Self::Greater),
            ">=" => ordered(Self::GreaterOrEqual),
            _ => Ok(Self::Equal { negated: operator == "!=", number, text: Glob::new(&word.text) }),
        }
    }

    pub(super) fn holds(&self, found: &str) -> bool {
        let compare =
            |with: fn(&f64, &f64) -> bool, value: &f64| number(found).is_some_and(|found| with(&found, value));
        match self {
            Self::Equal { negated, number: wanted, text } => {
                let equal = match (wanted, number(found)) {
                    (Some(wanted), Some(found)) => *wanted == found,
                    _ => text.matches(found),
                };
                equal != *negated
            }
            Self::Less(value) => compare(f64::lt, value),
            Self::LessOrEqual(value) => compare(f64::le, value),
            Self::Greater(value) => compare(f64::gt, value),
            Self::GreaterOrEqual(value) => compare(f64::ge, value),
        }
    }
}

impl Glob {
    fn new(text: &str) -> Self {
        Self(text.split('*').map(str::to_owned).collect())
    }

    /// Takes every piece where it is found first; the last must be at the end.
    fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.0.as_slice() else {
            return self.0.first().is_some_and(|all| all == text);
        };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        for piece in middle {
            match rest.find(piece.as_str()) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

/// Decimal, with sign and exponent if need be; nothing else that Rust takes for a number (`inf`, `nan`).
fn number(text: &str) -> Option<f64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if digits { text.parse().ok() } else { None }
}
