//! `parse`: fields out of text, by a pattern with `*` or by a regular expression.

use std::sync::Arc;

use regex::Regex;

use super::expression::{Context, Expression};
use super::row::Row;
use super::value::Value;

#[derive(Clone, Debug)]
pub(super) struct Extract {
    pub(super) subject: Expression,
    pub(super) pattern: Pattern,
    /// Of what is found, in its order.
    pub(super) names: Vec<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// The texts around each `*`: one more than there are of these.
    Glob(Vec<String>),
    /// What its groups find, all of them or those with names.
    Regex { regex: Regex, groups: Vec<usize> },
}

impl Extract {
    /// Adds what is found, or nothing where the pattern does not match.
    pub(super) fn apply(&self, row: &mut Row<'_>, context: Context<'_>) {
        let subject = self.subject.of(row, context).shown().unwrap_or_default();
        let found = self.pattern.find(&subject);
        for (place, name) in self.names.iter().enumerate() {
            let value = found.as_ref().and_then(|found| found.get(place)?.map(Value::text));
            row.add(Arc::clone(name), value.unwrap_or_default());
        }
    }
}

impl Pattern {
    pub(super) fn glob(text: &str) -> Self {
        Self::Glob(text.split('*').map(str::to_owned).collect())
    }

    /// With its named groups, or, where it has none, all.
    pub(super) fn regex(regex: Regex) -> (Self, Vec<Arc<str>>) {
        let named: Vec<(usize, Arc<str>)> =
            regex.capture_names().enumerate().filter_map(|(place, name)| Some((place, name?.into()))).collect();
        let (places, names): (Vec<usize>, Vec<Arc<str>>) = named.into_iter().unzip();
        let groups = if places.is_empty() { (1..regex.captures_len()).collect() } else { places };
        (Self::Regex { regex, groups }, names)
    }

    /// How many fields it gives.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Glob(texts) => texts.len().saturating_sub(1),
            Self::Regex { groups, .. } => groups.len(),
        }
    }

    fn find<'t>(&self, text: &'t str) -> Option<Vec<Option<&'t str>>> {
        match self {
            Self::Glob(texts) => globbed(texts, text),
            Self::Regex { regex, groups } => {
                let captures = regex.captures(text)?;
                Some(groups.iter().map(|group| captures.get(*group).map(|found| found.as_str())).collect())
            }
        }
    }
}

/// Each `*` is as short as it can be; one at the end is all that is left.
fn globbed<'t>(texts: &[String], text: &'t str) -> Option<Vec<Option<&'t str>>> {
    let (first, rest) = texts.split_first()?;
    let mut left = text.get(text.find(first.as_str())? + first.len()..)?;
    let mut found = Vec::with_capacity(rest.len());
    for (place, after) in rest.iter().enumerate() {
        let is_last = place + 1 == rest.len();
        let end = if is_last && after.is_empty() { left.len() } else { left.find(after.as_str())? };
        found.push(left.get(..end));
        left = left.get(end + after.len()..)?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_with_stars() {
        for (pattern, text, expected) in [
            (
                "user=*, method:*, latency := *",
                "x user=ann, method:GET, latency := 12 ms",
                Some(vec!["ann", "GET", "12 ms"]),
            ),
            ("[*] *", "a [b] c", Some(vec!["b", "c"])),
            ("*,*", "a,b,c", Some(vec!["a", "b,c"])),
            ("(*)", "f(x) g(y)", Some(vec!["x"])),
            ("<*>", "none", None),
            ("plain", "plain", Some(vec![])),
        ] {
            let found = Pattern::glob(pattern).find(text);
            let found = found.map(|found| found.into_iter().map(|part| part.unwrap()).collect::<Vec<_>>());
            assert_eq!(found, expected, "{pattern}");
        }
    }
}
