//! Texts with wildcards and policy variables.

use std::borrow::Cow;

use crate::Context;

/// `*` stands for any text, `?` for one character, `${aws:username}` for a value of the request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    units: Vec<Unit>,
    /// Letters are compared without regard to case; the units are lowercase then.
    folded: bool,
}

/// How a pattern is read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// `*` and `?` are wildcards.
    pub(crate) wildcards: bool,
    /// `${…}` is a variable, as from version 2012-10-17 on.
    pub(crate) variables: bool,
    /// Without regard to case.
    pub(crate) folded: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Unit {
    Char(char),
    /// `*`
    Any,
    /// `?`
    One,
    Variable {
        /// Lowercase.
        key: String,
        /// Stands for the value where the request has none.
        default: Option<String>,
    },
}

impl Pattern {
    /// The error says what is wrong with it.
    pub(crate) fn parse(text: &str, reading: Reading) -> Result<Self, String> {
        let lowercase = reading.folded.then(|| text.to_lowercase());
        let mut rest = lowercase.as_deref().unwrap_or(text);
        let mut units = Vec::with_capacity(rest.len());
        while let Some(c) = rest.chars().next() {
            if reading.variables && rest.starts_with("${") {
                let (inside, after) =
                    rest[2..].split_once('}').ok_or_else(|| format!("the variable in {text:?} has no end"))?;
                units.push(Unit::variable(inside).ok_or_else(|| format!("{text:?} has a variable without a name"))?);
                rest = after;
                continue;
            }
            units.push(match c {
                '*' if reading.wildcards => Unit::Any,
                '?' if reading.wildcards => Unit::One,
                c => Unit::Char(c),
            });
            rest = &rest[c.len_utf8()..];
        }
        units.dedup_by(|a, b| (&*a, &*b) == (&Unit::Any, &Unit::Any));
        Ok(Self { units, folded: reading.folded })
    }

    /// Whether the whole text fits. A variable that has no value, or several, fits nothing.
    pub(crate) fn matches(&self, text: &str, context: &dyn Context) -> bool {
        if self.is_any() {
            return true;
        }
        let Some(units) = self.resolved(context) else { return false };
        match self.folded {
            true => fits(&units, &text.to_lowercase()),
            false => fits(&units, text),
        }
    }

    /// `*`
    pub(crate) fn is_any(&self) -> bool {
        self.units == [Unit::Any]
    }

    /// The keys that its variables name.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.units.iter().filter_map(|unit| match unit {
            Unit::Variable { key, .. } => Some(key.as_str()),
            _ => None,
        })
    }

    fn resolved(&self, context: &dyn Context) -> Option<Cow<'_, [Unit]>> {
        if self.keys().next().is_none() {
            return Some(Cow::Borrowed(&self.units));
        }
        let mut units = Vec::with_capacity(self.units.len());
        for unit in &self.units {
            let Unit::Variable { key, default } = unit else {
                units.push(unit.clone());
                continue;
            };
            let values = context.values(key).unwrap_or_default();
            let value = match (&values[..], default) {
                ([value], _) => value,
                ([], Some(default)) => default,
                _ => return None,
            };
            let value = if self.folded { Cow::Owned(value.to_lowercase()) } else { Cow::Borrowed(value) };
            units.extend(value.chars().map(Unit::Char));
        }
        Some(Cow::Owned(units))
    }
}

impl Unit {
    /// What stands between `${` and `}`: a key, perhaps with a default, or a character that would else mean something.
    fn variable(inside: &str) -> Option<Self> {
        if let "*" | "?" | "$" = inside {
            return inside.chars().next().map(Self::Char);
        }
        let (key, default) = inside.split_once(',').map_or((inside, None), |(key, rest)| (key, Some(rest.trim())));
        let default =
            default.map(|text| text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).unwrap_or(text));
        let key = key.trim().to_ascii_lowercase();
        (!key.is_empty()).then(|| Self::Variable { key, default: default.map(str::to_owned) })
    }
}

/// The last `*` is the only one that is ever taken back, so this costs at most the product of both lengths.
fn fits(units: &[Unit], text: &str) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    // Where the last `*` was, and what it has not been taken to stand for yet.
    let mut star: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        let mut ahead = rest.clone();
        match (units.get(at), ahead.next()) {
            (Some(Unit::Any), _) => {
                at += 1;
                star = Some((at, rest.clone()));
                continue;
            }
            (Some(Unit::Char(wanted)), Some(c)) if *wanted == c => (at, rest) = (at + 1, ahead),
            (Some(Unit::One), Some(_)) => (at, rest) = (at + 1, ahead),
            (None, None) => return true,
            _ => {
                let Some((after, taken)) = &mut star else { return false };
                if taken.next().is_none() {
                    return false;
                }
                (at, rest) = (*after, taken.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Of(&'static [(&'static str, &'static str)]);

    impl Context for Of {
        fn values(&self, key: &str) -> Option<Vec<String>> {
            let values: Vec<String> =
                self.0.iter().filter(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned()).collect();
            (!values.is_empty()).then_some(values)
        }
    }

    const WILD: Reading = Reading { wildcards: true, variables: true, folded: false };

    #[test]
    fn wildcards() {
        for (pattern, text, wanted) in [
            ("*", "", true),
            ("*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("a*b*c", "aXbYbZc", true),
            ("?", "", false),
            ("?", "é", true),
            ("a?c", "abc", true),
            ("", "", true),
            ("", "a", false),
            ("a**", "a", true),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("*ab", "aab", true),
        ] {
            assert_eq!(Pattern::parse(pattern, WILD).unwrap().matches(text, &Of(&[])), wanted, "{pattern} {text}");
        }
    }

    #[test]
    fn variables() {
        let context = Of(&[("aws:username", "J*"), ("k", "1"), ("k", "2")]);
        for (pattern, text, wanted) in [
            ("a/${aws:username}/*", "a/J*/b", true),
            ("a/${aws:username}/*", "a/Jo/b", false),
            ("${AWS:UserName}", "J*", true),
            ("${k}", "1", false),
            ("${k, 'x'}", "x", false),
            ("${missing}", "", false),
            ("${missing, 'x y'}", "x y", true),
            ("a${*}b${?}${$}", "a*b?$", true),
            ("a${*}b", "axb", false),
        ] {
            assert_eq!(Pattern::parse(pattern, WILD).unwrap().matches(text, &context), wanted, "{pattern} {text}");
        }
        assert!(Pattern::parse("${open", WILD).is_err());
        assert!(Pattern::parse("${}", WILD).is_err());
        let plain = Pattern::parse("${open", Reading { variables: false, ..WILD }).unwrap();
        assert!(plain.matches("${open", &context));
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_recursion(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            fn plain(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern, text) {
                    ([], []) => true,
                    ([b'*', rest @ ..], _) => plain(rest, text) || !text.is_empty() && plain(pattern, &text[1..]),
                    ([b'?', rest @ ..], [_, after @ ..]) => plain(rest, after),
                    ([c, rest @ ..], [d, after @ ..]) if c == d => plain(rest, after),
                    _ => false,
                }
            }
            let found = Pattern::parse(&pattern, WILD).unwrap().matches(&text, &Of(&[]));
            prop_assert_eq!(found, plain(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn a_text_fits_itself(text in "[^*?$]{0,20}") {
            prop_assert!(Pattern::parse(&text, WILD).unwrap().matches(&text, &Of(&[])));
            let folded = Pattern::parse(&text, Reading { folded: true, ..WILD }).unwrap();
            prop_assert!(folded.matches(&text, &Of(&[])));
        }
    }
}
