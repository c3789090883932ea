//! Regular expressions in templates: those of Java, as far as they can be matched in time that grows with the text alone.

use std::borrow::Cow;

use regex::{Captures, Regex, RegexBuilder};

use crate::bounds::MAX_PATTERN_BYTES;

/// Compiled.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    whole: Regex,
}

impl Pattern {
    /// `None`: it is none, has look-around or backreferences, or is too large.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let build = |text: &str| {
            RegexBuilder::new(text)
                .unicode(true)
                .size_limit(MAX_PATTERN_BYTES)
                .dfa_size_limit(MAX_PATTERN_BYTES)
                .build()
        };
        // By itself first, so that no bracket in it closes the one that is put around it.
        let regex = build(text).ok()?;
        let whole = build(&format!(r"\A(?:{text})\z")).ok()?;
        Some(Self { regex, whole })
    }

    /// Whether all of the text is of this form.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }

    /// `replaceAll` (or `replaceFirst`) of Java. `None`: what takes the place is longer than `most` bytes.
    pub(crate) fn replace(&self, text: &str, replacement: &str, only_first: bool, most: usize) -> Option<String> {
        let mut out = String::new();
        let mut end = 0;
        for found in self.regex.captures_iter(text).take(if only_first { 1 } else { usize::MAX }) {
            let whole = found.get_match();
            out.push_str(&text[end..whole.start()]);
            fill(&mut out, replacement, &found);
            end = whole.end();
            if out.len() > most {
                return None;
            }
        }
        out.push_str(&text[end..]);
        (out.len() <= most).then_some(out)
    }

    /// `split` of Java: texts at the end that are empty are left out.
    pub(crate) fn split<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let mut parts: Vec<&str> = Vec::new();
        let mut end = 0;
        for found in self.regex.find_iter(text).filter(|found| found.end() > 0) {
            if found.is_empty() && found.start() == text.len() {
                continue;
            }
            parts.push(&text[end..found.start()]);
            end = found.end();
        }
        parts.push(&text[end..]);
        while parts.len() > 1 && parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
        parts
    }
}

/// Writes a replacement: `$1` is a group, `\$` a dollar sign.
fn fill(out: &mut String, replacement: &str, found: &Captures<'_>) {
    let mut rest = replacement.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => out.extend(rest.next()),
            '$' => match rest.peek().and_then(|digit| digit.to_digit(10)) {
                Some(group) => {
                    rest.next();
                    let group = found.get(group as usize).map_or(Cow::Borrowed(""), |group| group.as_str().into());
                    out.push_str(&group);
                }
                None => out.push('$'),
            },
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_as_java_does() {
        for (pattern, text, replacement, wanted) in [
            (r"\\'", r"it\'s", "'", "it's"),
            ("a(b)", "abab", "<$1>", "<b><b>"),
            ("b", "abab", r"\$", "a$a$"),
            ("$", "ab", "c", "abc"),
            ("x", "ab", "c", "ab"),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert_eq!(pattern.replace(text, replacement, false, 100).unwrap(), wanted);
        }
        let pattern = Pattern::parse("a").unwrap();
        assert_eq!(pattern.replace("aa", "b", true, 100).unwrap(), "ba");
        assert_eq!(pattern.replace("aaaa", "bbbb", false, 8), None);
    }

    #[test]
    fn splits_as_java_does() {
        for (pattern, text, wanted) in [
            (",", "a,b,,c,,", &["a", "b", "", "c"][..]),
            (",", "", &[""]),
            (",", ",a", &["", "a"]),
            ("", "abc", &["a", "b", "c"]),
            (",", "a", &["a"]),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().split(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_matched_in_time_is_none() {
        for wrong in ["(", "(?=a)b", r"(a)\1", "a)(b", "(?:a{1000}){1000}"] {
            assert!(Pattern::parse(wrong).is_none(), "{wrong}");
        }
    }
}
