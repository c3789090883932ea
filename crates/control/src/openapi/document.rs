//! A document: JSON or YAML, within bounds.

use aws::Error;
use serde_json::Value;
use serde_saphyr::options::AliasLimits;
use serde_saphyr::{Budget, DuplicateKeyPolicy, NonFiniteFloatPolicy};

use super::Node;

/// Levels of objects and lists within one another.
const MAX_DEPTH: usize = 64;
/// Values of a YAML document, and events of its aliases: an alias counts as often as it is written out.
const MAX_NODES: usize = 250_000;
/// Bytes of a YAML document's values, written out.
const MAX_SCALAR_BYTES: usize = 16 * 1024 * 1024;
const MAX_ALIASES: usize = 1000;

/// An OpenAPI document.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    root: Value,
    version: Version,
}

/// Which specification a document follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Swagger 2.0.
    Swagger2,
    /// OpenAPI 3.0.
    OpenApi3,
}

impl Document {
    /// Reads JSON, which starts with a brace, or YAML.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(text).map_err(|_| invalid("it is not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let root: Value = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).map_err(|error| invalid(&format!("it is no JSON: {error}")))?,
            false => yaml(text)?,
        };
        if !root.is_object() || depth(&root) > MAX_DEPTH {
            return Err(invalid(&format!(
                "it has to be an object, with at most {MAX_DEPTH} levels within one another"
            )));
        }
        let version = version(&root)?;
        Ok(Self { root, version })
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// All of it.
    pub(crate) fn node(&self) -> Node<'_> {
        Node::root(&self.root)
    }
}

fn version(root: &Value) -> Result<Version, Error> {
    let named = |name: &str| match &root[name] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match (named("openapi").as_deref(), named("swagger").as_deref()) {
        (Some(version), _) if version.starts_with("3.0") || version == "3" => Ok(Version::OpenApi3),
        (None, Some("2.0" | "2")) => Ok(Version::Swagger2),
        (Some(version), _) => Err(invalid(&format!("OpenAPI {version} is not supported: 3.0 is"))),
        (None, Some(version)) => Err(invalid(&format!("Swagger {version} is not supported: 2.0 is"))),
        (None, None) => Err(invalid("it names no version: openapi (3.0.x) or swagger (2.0) has to be there")),
    }
}

fn yaml(text: &str) -> Result<Value, Error> {
    let mut alias_limits = AliasLimits::default();
    alias_limits.max_total_replayed_events = MAX_NODES;
    let options = serde_saphyr::options! {
        budget: Some(budget()),
        alias_limits: alias_limits,
        duplicate_keys: DuplicateKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| invalid(&format!("it is no YAML: {error}")))
}

fn budget() -> Budget {
    let mut budget = Budget::default();
    budget.max_depth = MAX_DEPTH;
    budget.max_nodes = MAX_NODES;
    budget.max_aliases = MAX_ALIASES;
    budget.max_total_scalar_bytes = MAX_SCALAR_BYTES;
    budget.max_documents = 1;
    budget
}

/// serde_json reads 127 levels at most, so that this ends.
fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    1 + below.unwrap_or(0)
}

fn invalid(why: &str) -> Error {
    Error::bad_request(format!("Invalid OpenAPI input: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        Document::parse(text.as_bytes()).unwrap_err().message
    }

    #[test]
    fn both_forms_say_the_same() {
        let json = r#"{"openapi": "3.0.1", "info": {"title": "a", "version": "1.0"}, "paths": {"/": {"get": {"responses": {"200": {}}}}}}"#;
        let yaml = "openapi: 3.0.1\ninfo:\n  title: a\n  version: '1.0'\npaths:\n  /:\n    get:\n      responses:\n        200: {}\n";
        let [json, yaml] = [json, yaml].map(|text| Document::parse(text.as_bytes()).unwrap());
        assert_eq!(json.root, yaml.root);
        assert_eq!(Document::parse(b"swagger: 2.0\npaths: {}").unwrap().version(), Version::Swagger2);
        assert_eq!(Document::parse(b"\xef\xbb\xbf swagger: '2.0'").unwrap().version(), Version::Swagger2);
    }

    #[test]
    fn what_is_none_is_told() {
        for (text, said) in [
            ("", "object"),
            ("[1]", "object"),
            ("{", "no JSON"),
            ("a: [", "no YAML"),
            ("openapi: 3.0.1\nopenapi: 3.0.2", "no YAML"),
            ("openapi: 3.1.0", "OpenAPI 3.1.0 is not supported"),
            ("swagger: '1.2'", "Swagger 1.2 is not supported"),
            ("info: {}", "names no version"),
            ("openapi: 3.0.1\n---\nopenapi: 3.0.1", "no YAML"),
        ] {
            let why = why(text);
            assert!(why.contains(said), "{text:?}: {why}");
        }
        assert!(Document::parse(b"\xff").unwrap_err().message.contains("UTF-8"));
    }

    #[test]
    fn a_small_document_cannot_become_a_large_one() {
        let mut laughs = String::from("openapi: 3.0.1\na0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for level in 1..10 {
            let before = level - 1;
            let aliases = vec![format!("*a{before}"); 9].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(why(&laughs).contains("no YAML"));
        let deep = format!("openapi: 3.0.1\na: {}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(why(&deep).contains("no YAML"));
        let deep = format!("{{\"openapi\": \"3.0.1\", \"a\": {}{}}}", "[".repeat(100), "]".repeat(100));
        assert!(why(&deep).contains("levels"));
        assert!(why("openapi: 3.0.1\na: &a [*a]").contains("no YAML"));
    }
}
