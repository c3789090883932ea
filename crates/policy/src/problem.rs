//! What is wrong with policies, and where.

use std::fmt;

use cedar_policy::ParseErrors;
use miette::Diagnostic;

/// Problems that are told at once.
const TOLD: usize = 10;

/// Something about policies, for whoever writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line and column (in characters) where it begins, from 1 on; none where it is about all of them.
    pub place: Option<(usize, usize)>,
    /// What it is, in one line.
    pub what: String,
}

/// Why policies cannot be used. There is at least one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    pub(crate) fn of_all(what: impl Into<String>) -> Self {
        Self { place: None, what: what.into() }
    }

    pub(crate) fn at(text: &str, offset: usize, what: impl Into<String>) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let place = (before.matches('\n').count() + 1, line.chars().count() + 1);
        Self { place: Some(place), what: what.into() }
    }

    /// As Cedar tells it, with what it would have expected and advises.
    pub(crate) fn of_cedar(text: &str, problem: &(impl Diagnostic + ?Sized)) -> Self {
        let mut what = problem.to_string();
        let label = problem.labels().and_then(|mut labels| labels.next());
        let expected = label.as_ref().and_then(|label| label.label()).map(str::to_owned);
        for more in expected.into_iter().chain(problem.help().map(|help| help.to_string())) {
            what.push_str(": ");
            what.push_str(&more);
        }
        let what = what.replace(['\n', '\r'], " ");
        match label {
            Some(label) => Self::at(text, label.offset(), what),
            None => Self::of_all(what),
        }
    }
}

impl Problems {
    pub(crate) fn of_parsing(text: &str, errors: &ParseErrors) -> Self {
        Self(errors.iter().map(|error| Problem::of_cedar(text, error)).collect())
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().take(TOLD).enumerate() {
            write!(f, "{}{problem}", if number == 0 { "" } else { "; " })?;
        }
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let text = "a\nZoë b\n";
        for (offset, place) in [(0, (1, 1)), (2, (2, 1)), (7, (2, 5)), (9, (3, 1)), (100, (3, 1))] {
            assert_eq!(Problem::at(text, offset, "x").place, Some(place), "{offset}");
        }
        let many = Problems((0..12).map(|number| Problem::of_all(number.to_string())).collect());
        assert!(many.to_string().ends_with("9; and 2 more"));
    }
}
