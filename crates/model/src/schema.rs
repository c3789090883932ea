//! JSON schemas, draft 4: what payloads are held against.
//!
//! Own code, because a stranger's payload decides how much is done: checking is bounded in depth and in steps, which no library
//! does. Keywords of other drafts are refused when a schema is read, so that nobody takes for checked what is not; `format` is
//! looked at for dates, addresses and e-mail only; all other words are annotations.

mod check;
mod format;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Number, Value};

use self::format::Format;

/// A schema that can be used, with all that it refers to.
#[derive(Debug)]
pub struct Schema {
    /// Subschemas; the first is the whole.
    nodes: Vec<Node>,
}

/// Why a text is no schema that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// No JSON.
    #[error("it is no JSON: {0}")]
    NotJson(String),
    /// Something in it means nothing; where, and what.
    #[error("{0}: {1}")]
    Invalid(String, String),
    /// It refers to a model that there is not, or in a way that is not known.
    #[error(
        "$ref {0} leads nowhere: #/… and https://apigateway.amazonaws.com/restapis/{{id}}/models/{{name}} are the ways to refer"
    )]
    Reference(String),
    /// Applied to a value it comes back to itself without having gone into the value.
    #[error("{0} refers to itself without end")]
    Endless(String),
    /// Too many subschemas.
    #[error("it has more than {MAX_NODES} subschemas")]
    TooLarge,
}

/// Subschemas of a schema and all that it refers to.
const MAX_NODES: usize = 10_000;

impl Schema {
    /// Reads a schema. `models` gives the text of another model of the API, by its name.
    pub fn read<'m>(text: &str, models: impl Fn(&str) -> Option<&'m str>) -> Result<Self, SchemaError> {
        read::read(text, &models)
    }

    /// Holds a payload against it. What is wrong is told as AWS tells it in `$context.error.validationErrorString`.
    pub fn check(&self, payload: &[u8]) -> Result<(), String> {
        check::check(self, payload)
    }
}

/// The name of the model that a `$ref` names.
pub fn model_of_reference(reference: &str) -> Option<&str> {
    let path = reference.split('#').next()?.strip_prefix("https://apigateway.amazonaws.com/restapis/")?;
    let (_, name) = path.split_once("/models/")?;
    Some(name).filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Place of a subschema in [`Schema::nodes`].
type NodeId = usize;

/// One subschema. Where it refers to another one, nothing else in it counts (draft 4, section 7 of its core).
#[derive(Debug, Default)]
struct Node {
    reference: Option<NodeId>,
    types: Option<Vec<Type>>,
    values: Option<Vec<Value>>,
    object: Object,
    array: Array,
    text: Text,
    number: Bounds,
    all_of: Vec<NodeId>,
    any_of: Vec<NodeId>,
    one_of: Vec<NodeId>,
    not: Option<NodeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Array,
    Boolean,
    Integer,
    Null,
    Number,
    Object,
    String,
}

#[derive(Debug, Default)]
struct Object {
    properties: BTreeMap<String, NodeId>,
    patterns: Vec<(Regex, NodeId)>,
    additional: Additional,
    required: Vec<String>,
    dependencies: BTreeMap<String, Dependency>,
    min: Option<u64>,
    max: Option<u64>,
}

/// What is not named.
#[derive(Clone, Copy, Debug, Default)]
enum Additional {
    #[default]
    Any,
    None,
    Of(NodeId),
}

/// What has to be where a property is.
#[derive(Debug)]
enum Dependency {
    Properties(Vec<String>),
    Schema(NodeId),
}

#[derive(Debug, Default)]
struct Array {
    all: Option<NodeId>,
    each: Option<Vec<NodeId>>,
    additional: Additional,
    min: Option<u64>,
    max: Option<u64>,
    unique: bool,
}

#[derive(Debug, Default)]
struct Text {
    min: Option<u64>,
    max: Option<u64>,
    pattern: Option<Regex>,
    format: Option<Format>,
}

#[derive(Debug, Default)]
struct Bounds {
    min: Option<Number>,
    max: Option<Number>,
    above_min: bool,
    below_max: bool,
    multiple_of: Option<Number>,
}
