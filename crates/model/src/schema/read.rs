//! From JSON to subschemas.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Number, Value};

use super::{Additional, Dependency, Format, MAX_NODES, Node, NodeId, Schema, SchemaError, Type, model_of_reference};

/// Words that later drafts have for what draft 4 has not, or writes otherwise.
const OF_OTHER_DRAFTS: [&str; 16] = [
    "$defs",
    "$dynamicRef",
    "$recursiveRef",
    "const",
    "contains",
    "dependentRequired",
    "dependentSchemas",
    "else",
    "if",
    "maxContains",
    "minContains",
    "prefixItems",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Bytes that a compiled `pattern` may take.
const MAX_PATTERN_BYTES: usize = 256 * 1024;

pub(super) fn read<'m>(text: &str, models: &dyn Fn(&str) -> Option<&'m str>) -> Result<Schema, SchemaError> {
    let mut reader = Reader { models, documents: BTreeMap::new(), known: BTreeMap::new(), nodes: Vec::new() };
    reader.documents.insert(String::new(), parse(text)?);
    let mut todo = vec![reader.place("", "")?.1];
    while let Some((id, document, pointer)) = todo.pop() {
        let value = reader.value(&document, &pointer)?;
        let mut below = Below { reader: &mut reader, document: &document, pointer: &pointer, todo: &mut todo };
        let node = below.node(&value)?;
        reader.nodes[id] = node;
    }
    let schema = Schema { nodes: reader.nodes };
    schema.ends()?;
    Ok(schema)
}

fn parse(text: &str) -> Result<Value, SchemaError> {
    serde_json::from_str(text).map_err(|error| SchemaError::NotJson(error.to_string()))
}

/// A subschema that is still to be read: its place, the document that it is in (empty: the schema itself) and the pointer to it.
type Todo = (NodeId, String, String);

struct Reader<'r, 'm> {
    models: &'r dyn Fn(&str) -> Option<&'m str>,
    documents: BTreeMap<String, Value>,
    known: BTreeMap<(String, String), NodeId>,
    nodes: Vec<Node>,
}

impl Reader<'_, '_> {
    /// The place of a subschema, and whether it is still to be read.
    fn place(&mut self, document: &str, pointer: &str) -> Result<(bool, Todo), SchemaError> {
        let key = (document.to_owned(), pointer.to_owned());
        if let Some(id) = self.known.get(&key) {
            return Ok((false, (*id, key.0, key.1)));
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(SchemaError::TooLarge);
        }
        let id = self.nodes.len();
        self.nodes.push(Node::default());
        self.known.insert(key.clone(), id);
        Ok((true, (id, key.0, key.1)))
    }

    fn value(&self, document: &str, pointer: &str) -> Result<Value, SchemaError> {
        let found = self.documents.get(document).and_then(|document| document.pointer(pointer));
        found.cloned().ok_or_else(|| SchemaError::Reference(format!("{document}#{pointer}")))
    }
}

/// What a subschema is read with.
struct Below<'b, 'r, 'm> {
    reader: &'b mut Reader<'r, 'm>,
    document: &'b str,
    pointer: &'b str,
    todo: &'b mut Vec<Todo>,
}

type Read<T> = Result<T, SchemaError>;

impl Below<'_, '_, '_> {
    fn node(&mut self, value: &Value) -> Read<Node> {
        let schema = value.as_object().ok_or_else(|| self.invalid("", "a schema is a JSON object"))?;
        if let Some(reference) = schema.get("$ref") {
            let reference = reference.as_str().ok_or_else(|| self.invalid("$ref", "a text is expected"))?;
            return Ok(Node { reference: Some(self.reference(reference)?), ..Node::default() });
        }
        if let Some(word) = OF_OTHER_DRAFTS.iter().find(|word| schema.contains_key(**word)) {
            return Err(self.invalid(word, "no keyword of draft 4, which is what models are written in"));
        }
        let mut node = Node {
            types: schema.get("type").map(|types| self.types(types)).transpose()?,
            values: self.array(schema, "enum")?.map(|values| values.to_vec()),
            all_of: self.schemas(schema, "allOf")?,
            any_of: self.schemas(schema, "anyOf")?,
            one_of: self.schemas(schema, "oneOf")?,
            not: schema.get("not").map(|_| self.below("not")).transpose()?,
            ..Node::default()
        };
        self.object(schema, &mut node)?;
        self.items(schema, &mut node)?;
        self.scalars(schema, &mut node)?;
        Ok(node)
    }

    fn object(&mut self, schema: &Map<String, Value>, node: &mut Node) -> Read<()> {
        let object = &mut node.object;
        for name in self.names(schema, "properties")? {
            let id = self.below(&format!("properties/{}", escaped(&name)))?;
            object.properties.insert(name, id);
        }
        for name in self.names(schema, "patternProperties")? {
            let id = self.below(&format!("patternProperties/{}", escaped(&name)))?;
            object.patterns.push((self.pattern("patternProperties", &name)?, id));
        }
        object.additional = self.additional(schema, "additionalProperties")?;
        object.required = self.texts(schema.get("required"), "required")?;
        for name in self.names(schema, "dependencies")? {
            let place = format!("dependencies/{}", escaped(&name));
            let dependency = match schema["dependencies"].get(&name) {
                Some(Value::Object(_)) => Dependency::Schema(self.below(&place)?),
                other => Dependency::Properties(self.texts(other, &place)?),
            };
            object.dependencies.insert(name, dependency);
        }
        object.min = self.count(schema, "minProperties")?;
        object.max = self.count(schema, "maxProperties")?;
        Ok(())
    }

    fn items(&mut self, schema: &Map<String, Value>, node: &mut Node) -> Read<()> {
        let array = &mut node.array;
        match schema.get("items") {
            None => {}
            Some(Value::Array(items)) => {
                let each = (0..items.len()).map(|place| self.below(&format!("items/{place}")));
                array.each = Some(each.collect::<Read<_>>()?);
            }
            Some(_) => array.all = Some(self.below("items")?),
        }
        array.additional = self.additional(schema, "additionalItems")?;
        array.min = self.count(schema, "minItems")?;
        array.max = self.count(schema, "maxItems")?;
        array.unique = self.flag(schema, "uniqueItems")?;
        Ok(())
    }

    fn scalars(&mut self, schema: &Map<String, Value>, node: &mut Node) -> Read<()> {
        node.text.min = self.count(schema, "minLength")?;
        node.text.max = self.count(schema, "maxLength")?;
        let text = |word: &str| match schema.get(word) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(self.invalid(word, "a text is expected")),
        };
        node.text.format = text("format")?.and_then(Format::find);
        node.text.pattern = text("pattern")?.map(|pattern| self.pattern("pattern", pattern)).transpose()?;
        node.number.min = self.number(schema, "minimum")?;
        node.number.max = self.number(schema, "maximum")?;
        node.number.above_min = self.flag(schema, "exclusiveMinimum")?;
        node.number.below_max = self.flag(schema, "exclusiveMaximum")?;
        let multiple_of = self.number(schema, "multipleOf")?;
        if multiple_of.as_ref().is_some_and(|number| number.as_f64().is_none_or(|number| number <= 0.0)) {
            return Err(self.invalid("multipleOf", "a number above 0 is expected"));
        }
        node.number.multiple_of = multiple_of;
        Ok(())
    }

    fn below(&mut self, place: &str) -> Read<NodeId> {
        let pointer = format!("{}/{place}", self.pointer);
        let (is_new, todo) = self.reader.place(self.document, &pointer)?;
        let id = todo.0;
        if is_new {
            self.todo.push(todo);
        }
        Ok(id)
    }

    fn reference(&mut self, reference: &str) -> Read<NodeId> {
        let nowhere = || SchemaError::Reference(reference.to_owned());
        let (document, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let document = match document {
            "" => self.document.to_owned(),
            _ => model_of_reference(reference).ok_or_else(nowhere)?.to_owned(),
        };
        if !self.reader.documents.contains_key(&document) {
            let text = (self.reader.models)(&document).ok_or_else(nowhere)?;
            self.reader.documents.insert(document.clone(), parse(text)?);
        }
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(nowhere());
        }
        self.reader.value(&document, pointer).map_err(|_| nowhere())?;
        let (is_new, todo) = self.reader.place(&document, pointer)?;
        let id = todo.0;
        if is_new {
            self.todo.push(todo);
        }
        Ok(id)
    }

    fn types(&self, value: &Value) -> Read<Vec<Type>> {
        let one = |name: &Value| {
            let found = name.as_str().and_then(Type::find);
            found.ok_or_else(|| {
                self.invalid("type", "array, boolean, integer, null, number, object or string is expected")
            })
        };
        match value {
            Value::Array(names) if !names.is_empty() => names.iter().map(one).collect(),
            name => one(name).map(|found| vec![found]),
        }
    }

    fn schemas(&mut self, schema: &Map<String, Value>, word: &str) -> Read<Vec<NodeId>> {
        let count = self.array(schema, word)?.map(<[Value]>::len);
        (0..count.unwrap_or_default()).map(|place| self.below(&format!("{word}/{place}"))).collect()
    }

    fn additional(&mut self, schema: &Map<String, Value>, word: &str) -> Read<Additional> {
        Ok(match schema.get(word) {
            None | Some(Value::Bool(true)) => Additional::Any,
            Some(Value::Bool(false)) => Additional::None,
            Some(_) => Additional::Of(self.below(word)?),
        })
    }

    fn names(&self, schema: &Map<String, Value>, word: &str) -> Read<Vec<String>> {
        match schema.get(word) {
            None => Ok(Vec::new()),
            Some(Value::Object(members)) => Ok(members.keys().cloned().collect()),
            Some(_) => Err(self.invalid(word, "a JSON object is expected")),
        }
    }

    fn array<'s>(&self, schema: &'s Map<String, Value>, word: &str) -> Read<Option<&'s [Value]>> {
        match schema.get(word) {
            None => Ok(None),
            Some(Value::Array(items)) if !items.is_empty() => Ok(Some(items)),
            Some(_) => Err(self.invalid(word, "an array with at least one element is expected")),
        }
    }

    fn texts(&self, value: Option<&Value>, word: &str) -> Read<Vec<String>> {
        let wrong = || self.invalid(word, "an array of texts is expected");
        let Some(value) = value else { return Ok(Vec::new()) };
        let items = value.as_array().ok_or_else(wrong)?;
        items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
    }

    fn count(&self, schema: &Map<String, Value>, word: &str) -> Read<Option<u64>> {
        let count = schema
            .get(word)
            .map(|count| count.as_u64().ok_or_else(|| self.invalid(word, "a whole number from 0 is expected")));
        count.transpose()
    }

    fn number(&self, schema: &Map<String, Value>, word: &str) -> Read<Option<Number>> {
        match schema.get(word) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number.clone())),
            Some(_) => Err(self.invalid(word, "a number is expected")),
        }
    }

    fn flag(&self, schema: &Map<String, Value>, word: &str) -> Read<bool> {
        match schema.get(word) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.invalid(word, "true or false is expected")),
        }
    }

    fn pattern(&self, word: &str, pattern: &str) -> Read<Regex> {
        let built = RegexBuilder::new(pattern).size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES).build();
        built.map_err(|_| {
            let what =
                format!("'{pattern}' is no regular expression that can be used: look-around and backreferences cannot");
            self.invalid(word, &what)
        })
    }

    fn invalid(&self, word: &str, what: &str) -> SchemaError {
        let slash = if word.is_empty() { "" } else { "/" };
        let model = if self.document.is_empty() { String::new() } else { format!("model {} ", self.document) };
        SchemaError::Invalid(format!("{model}#{}{slash}{word}", self.pointer), what.to_owned())
    }
}

impl Schema {
    /// Looks that no subschema comes back to itself at the same value.
    fn ends(&self) -> Result<(), SchemaError> {
        #[derive(Clone, Copy, PartialEq)]
        enum Seen {
            Not,
            Under,
            Done,
        }
        let mut seen = vec![Seen::Not; self.nodes.len()];
        for start in 0..self.nodes.len() {
            // A walk in depth, without recursion: a node is met once before and once after all that it leads to.
            let mut stack = vec![(start, false)];
            while let Some((id, after)) = stack.pop() {
                match (seen[id], after) {
                    (_, true) => seen[id] = Seen::Done,
                    (Seen::Under, false) => return Err(SchemaError::Endless("a $ref".to_owned())),
                    (Seen::Done, false) => {}
                    (Seen::Not, false) => {
                        seen[id] = Seen::Under;
                        stack.push((id, true));
                        // What is under way is met again only where there is a circle.
                        stack.extend(self.nodes[id].in_place().map(|next| (next, false)));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Node {
    /// Subschemas that are applied to the same value.
    fn in_place(&self) -> impl Iterator<Item = NodeId> + use<'_> {
        let dependencies = self.object.dependencies.values();
        let dependencies =
            dependencies.filter_map(|one| if let Dependency::Schema(id) = one { Some(*id) } else { None });
        let groups = [&self.all_of, &self.any_of, &self.one_of].into_iter().flatten().copied();
        self.reference.into_iter().chain(groups).chain(self.not).chain(dependencies)
    }
}

impl Type {
    fn find(name: &str) -> Option<Self> {
        Some(match name {
            "array" => Self::Array,
            "boolean" => Self::Boolean,
            "integer" => Self::Integer,
            "null" => Self::Null,
            "number" => Self::Number,
            "object" => Self::Object,
            "string" => Self::String,
            _ => return None,
        })
    }
}

/// A name as a pointer has it (RFC 6901 section 3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
