//! One key of a `Condition`.

use crate::Context;
use crate::operator::Test;

/// An operator applied to a key.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    /// Lowercase.
    pub(crate) key: String,
    /// As it was written.
    pub(crate) name: String,
    pub(crate) quantifier: Quantifier,
    /// `…IfExists`
    pub(crate) if_exists: bool,
    /// `…Not…`: holds where the test does not.
    pub(crate) negated: bool,
    pub(crate) test: Test,
}

/// What is wanted of several values of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantifier {
    /// Of keys that have one value.
    One,
    /// `ForAnyValue:`
    Any,
    /// `ForAllValues:`
    All,
}

impl Condition {
    /// The keys that it looks at.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.test.keys().into_iter().chain([self.name.as_str()])
    }

    pub(crate) fn holds(&self, context: &dyn Context) -> bool {
        let values = context.values(&self.key).unwrap_or_default();
        if let Test::Null(wanted) = self.test {
            return values.is_empty() == wanted;
        }
        let fits = |value: &String| self.test.holds(value, context) != self.negated;
        match self.quantifier {
            Quantifier::All => values.iter().all(fits),
            Quantifier::Any | Quantifier::One if values.is_empty() && self.if_exists => true,
            Quantifier::Any => values.iter().any(fits),
            // What is not there is not equal to anything.
            Quantifier::One if values.is_empty() => self.negated,
            Quantifier::One => values.iter().any(|value| self.test.holds(value, context)) != self.negated,
        }
    }
}
