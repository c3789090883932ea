//! How a request leads to a stage: routing rules and API mappings of a custom domain, or the stages of an API's own endpoint.
//!
//! Source: "Routing rules to connect API stages to a custom domain name" and "Map API stages to a custom domain name",
//! API Gateway developer guide.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Stage;
use crate::resource::{self, HeaderMatch, RuleCondition};

/// How a request leads to a stage.
#[derive(Clone, Debug)]
pub enum Paths {
    /// A custom domain: its rules are asked before its mappings. Its `routingMode` may leave the one or the other empty.
    Custom(RoutingRules, Mappings),
    /// An API's own endpoint: the first segment is the stage, else `$default`.
    Stages(Stages),
}

/// An API's stages, by name.
pub type Stages = Arc<BTreeMap<String, Arc<Stage>>>;

/// Where a request leads.
#[derive(Debug)]
pub struct Found<'s, 'p> {
    /// The stage.
    pub stage: &'s Arc<Stage>,
    /// The base path that matched, without slashes; a stage's name on an execute-api endpoint.
    pub base_path: &'s str,
    /// The path that routes are looked for by: below the base path, unless a rule leaves that on. Starts with `/`, or is empty.
    pub rest: &'p str,
    /// Id of the routing rule, if it was one.
    pub rule: Option<&'s Arc<str>>,
}

/// Routing rules of a custom domain, lowest priority first.
#[derive(Clone, Debug, Default)]
pub struct RoutingRules(Vec<Rule>);

/// API mappings of a custom domain, longest key first.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    entries: Vec<(String, Arc<Stage>)>,
    /// A key has several segments: then keys match as string prefixes, as on AWS.
    multi_level: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    id: Arc<str>,
    priority: u32,
    conditions: Vec<Condition>,
    stage: Arc<Stage>,
    strip_base_path: bool,
}

#[derive(Clone, Debug)]
enum Condition {
    /// The longest first.
    BasePaths(Vec<String>),
    Headers(Vec<(HeaderName, Glob)>),
}

/// A value with `*` for anything at its ends.
#[derive(Clone, Debug)]
struct Glob {
    text: String,
    open_start: bool,
    open_end: bool,
}

impl Paths {
    /// Where a path and headers lead. The path has no query.
    pub fn find<'s, 'p>(&'s self, path: &'p str, headers: &HeaderMap) -> Option<Found<'s, 'p>> {
        match self {
            Self::Custom(rules, mappings) => rules.find(path, headers).or_else(|| mappings.find(path)),
            Self::Stages(stages) => {
                let inner = path.strip_prefix('/').unwrap_or(path);
                let (first, _) = inner.split_once('/').unwrap_or((inner, ""));
                if let Some((name, stage)) = stages.get_key_value(first) {
                    return Some(Found { stage, base_path: name, rest: &inner[first.len()..], rule: None });
                }
                stages.get("$default").map(|stage| Found { stage, base_path: "", rest: path, rule: None })
            }
        }
    }
}

impl RoutingRules {
    pub(super) fn new<'r>(rules: impl IntoIterator<Item = (&'r resource::RoutingRule, Arc<Stage>)>) -> Self {
        let mut rules: Vec<Rule> = rules.into_iter().filter_map(|(rule, stage)| Rule::new(rule, stage)).collect();
        rules.sort_by_key(|rule| rule.priority);
        Self(rules)
    }

    fn find<'s, 'p>(&'s self, path: &'p str, headers: &HeaderMap) -> Option<Found<'s, 'p>> {
        self.0.iter().find_map(|rule| rule.found(path, headers))
    }
}

impl Rule {
    /// None where a header's name cannot be one, which is refused when it is set.
    fn new(rule: &resource::RoutingRule, stage: Arc<Stage>) -> Option<Self> {
        let conditions = rule.conditions.iter().map(Condition::new).collect::<Option<_>>()?;
        let strip_base_path = rule.strip_base_path;
        Some(Self { id: rule.id.as_str().into(), priority: rule.priority, conditions, stage, strip_base_path })
    }

    fn found<'s, 'p>(&'s self, path: &'p str, headers: &HeaderMap) -> Option<Found<'s, 'p>> {
        let mut found = Found { stage: &self.stage, base_path: "", rest: path, rule: Some(&self.id) };
        for condition in &self.conditions {
            match condition {
                Condition::Headers(any_of) => {
                    let is_met = |(name, glob): &(HeaderName, Glob)| glob.matches_any(headers.get_all(name));
                    any_of.iter().any(is_met).then_some(())?;
                }
                Condition::BasePaths(any_of) => {
                    let (base_path, rest) = any_of.iter().find_map(|key| Some((key, below(path, key)?)))?;
                    found.base_path = base_path;
                    if self.strip_base_path {
                        found.rest = rest;
                    }
                }
            }
        }
        Some(found)
    }
}

impl Condition {
    fn new(condition: &RuleCondition) -> Option<Self> {
        Some(match condition {
            RuleCondition::BasePaths(any_of) => {
                let mut any_of = any_of.clone();
                any_of.sort_by_key(|key| std::cmp::Reverse(key.len()));
                Self::BasePaths(any_of)
            }
            RuleCondition::Headers(any_of) => {
                let read = |HeaderMatch { header, value_glob }: &HeaderMatch| {
                    Some((HeaderName::try_from(header).ok()?, Glob::new(value_glob)))
                };
                Self::Headers(any_of.iter().map(read).collect::<Option<_>>()?)
            }
        })
    }
}

impl Glob {
    fn new(glob: &str) -> Self {
        let text = glob.strip_prefix('*').unwrap_or(glob);
        let open_start = text.len() < glob.len();
        let inner = text.strip_suffix('*').unwrap_or(text);
        // `*` alone is open at both ends.
        let open_end = inner.len() < text.len() || glob == "*";
        Self { text: inner.to_owned(), open_start, open_end }
    }

    /// Whether one of a header's values, or all with commas between, is meant.
    fn matches_any<'v>(&self, values: impl IntoIterator<Item = &'v HeaderValue>) -> bool {
        values.into_iter().any(|value| self.matches(value.as_bytes()))
    }

    fn matches(&self, value: &[u8]) -> bool {
        let text = self.text.as_bytes();
        match (self.open_start, self.open_end) {
            (false, false) => value == text,
            (false, true) => value.starts_with(text),
            (true, false) => value.ends_with(text),
            (true, true) => text.is_empty() || value.windows(text.len()).any(|window| window == text),
        }
    }
}

impl Mappings {
    pub(super) fn new(mut entries: Vec<(String, Arc<Stage>)>) -> Self {
        entries.sort_by_key(|(key, _)| std::cmp::Reverse(key.len()));
        let multi_level = entries.iter().any(|(key, _)| key.contains('/'));
        Self { entries, multi_level }
    }

    fn find<'s, 'p>(&'s self, path: &'p str) -> Option<Found<'s, 'p>> {
        let inner = path.strip_prefix('/').unwrap_or(path);
        self.entries.iter().find_map(|(key, stage)| {
            let found = |rest| Found { stage, base_path: key, rest, rule: None };
            if key.is_empty() {
                return Some(found(path));
            }
            let rest = inner.strip_prefix(key.as_str())?;
            let whole = rest.is_empty() || rest.starts_with('/');
            (whole || self.multi_level).then(|| found(rest))
        })
    }
}

/// The path below a base path, in whole segments.
fn below<'p>(path: &'p str, base_path: &str) -> Option<&'p str> {
    let inner = path.strip_prefix('/').unwrap_or(path);
    let rest = inner.strip_prefix(base_path)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_are_open_at_their_ends_only() {
        for (glob, value, wanted) in [
            ("beta", "beta", true),
            ("beta", "Beta", false),
            ("beta", "beta2", false),
            ("a*", "alpha", true),
            ("a*", "beta", false),
            ("*a", "beta", true),
            ("*a", "bet", false),
            ("*et*", "beta", true),
            ("*et*", "et", true),
            ("*et*", "e t", false),
            ("*", "", true),
            ("*", "anything", true),
            ("**", "anything", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(Glob::new(glob).matches(value.as_bytes()), wanted, "{glob} {value}");
        }
    }

    #[test]
    fn base_paths_are_whole_segments() {
        for (path, base_path, wanted) in [
            ("/users", "users", Some("")),
            ("/users/1", "users", Some("/1")),
            ("/usersandmore", "users", None),
            ("/Users", "users", None),
            ("/users/v1/x", "users/v1", Some("/x")),
            ("/", "users", None),
        ] {
            assert_eq!(below(path, base_path), wanted, "{path} {base_path}");
        }
    }
}
