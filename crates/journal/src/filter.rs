//! CloudWatch Logs filter patterns ("Filter pattern syntax for metric filters, subscription filters, filter log events,
//! and Live Tail" in AWS's user guide), parsed to something that matches messages.
//!
//! Regular expressions (`%…%`) are refused.

mod comparison;
mod cursor;
mod expression;
mod fields;
mod json;
mod terms;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cursor::Cursor;
use fields::Fields;
use json::JsonTest;
use terms::Terms;

use expression::Expression;

/// AWS's limit on a pattern, in characters.
pub const MAX_PATTERN_CHARS: usize = 1024;

/// A parsed filter pattern. Case-sensitive, as on AWS.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Kind);

/// A pattern that cannot be read; the text suits `InvalidParameterException`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid filter pattern: {0}")]
pub struct PatternError(String);

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    All,
    /// `ERROR -"exact phrase"`
    Terms(Terms),
    /// `{ $.status = 403 }`
    Json(Expression<JsonTest>),
    /// `[ip, ..., status = 4*, size]`
    Fields(Fields),
}

impl Pattern {
    /// Parses a pattern. The empty one matches everything.
    ///
    /// - `ERROR "exact phrase" -excluded`, `?one ?another`: text that the message contains. `?` counts only where all terms
    ///   have it, as on AWS.
    /// - `{ ($.status = 403 || $.user.name = "adm*") && $.list[0] NOT EXISTS }`: messages that are JSON. A number equals a
    ///   string that reads as the same number, since access logs often quote them. A member that is missing fulfils
    ///   `NOT EXISTS` and nothing else.
    /// - `[ip, user, ..., status = 4* || status = 500, size > 1000]`: messages of fields between spaces, `"…"` and `[…]`
    ///   being one field each.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let pattern = pattern.trim();
        if pattern.chars().count() > MAX_PATTERN_CHARS {
            return Err(PatternError(format!("more than {MAX_PATTERN_CHARS} characters")));
        }
        let mut cursor = Cursor::new(pattern);
        let kind = match pattern.bytes().next() {
            None => Kind::All,
            Some(b'{') => Kind::Json(json::parse(&mut cursor)?),
            Some(b'[') => Kind::Fields(Fields::parse(&mut cursor)?),
            Some(_) => Kind::Terms(Terms::parse(&mut cursor)?),
        };
        cursor.end()?;
        Ok(Self(kind))
    }

    /// What a message has of the fields that the pattern names, by name: `$ip`, `$.status`.
    pub fn extracted(&self, message: &str) -> BTreeMap<String, String> {
        match &self.0 {
            Kind::All | Kind::Terms(_) => BTreeMap::new(),
            Kind::Fields(fields) => fields.values(message),
            Kind::Json(expression) => match serde_json::from_str::<serde_json::Value>(message) {
                Ok(document) => expression.tests().into_iter().filter_map(|test| test.value(&document)).collect(),
                Err(_) => BTreeMap::new(),
            },
        }
    }

    /// Whether a message matches.
    pub fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Kind::All => true,
            Kind::Terms(terms) => terms.match_message(message),
            Kind::Fields(fields) => fields.match_message(message),
            Kind::Json(expression) => match serde_json::from_str::<serde_json::Value>(message) {
                Ok(document) => expression.holds(&|test| test.holds(&document)),
                Err(_) => false,
            },
        }
    }
}
