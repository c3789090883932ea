//! A payload, held against a schema.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use super::{Additional, Array, Bounds, Dependency, Node, NodeId, Object, Schema, Text, Type};

/// How deep subschemas may be applied in one another: payloads are 128 deep at most.
const MAX_DEPTH: usize = 400;
/// Subschemas that are applied, and bytes that are looked at by 64, for one payload.
const MAX_STEPS: usize = 200_000;
/// How many things that are wrong are told.
const MAX_TOLD: usize = 10;
/// Characters of a value that is told.
const MAX_TOLD_CHARS: usize = 100;

pub(super) fn check(schema: &Schema, payload: &[u8]) -> Result<(), String> {
    let value: Value =
        serde_json::from_slice(payload).map_err(|error| format!("[Unable to parse request body as JSON: {error}]"))?;
    let mut check = Check { schema, steps: 0 };
    let mut wrong = Vec::new();
    match check.node(0, &value, MAX_DEPTH, &mut wrong) {
        Ok(()) if wrong.is_empty() => Ok(()),
        Ok(()) => Err(format!("[{}]", wrong.join(", "))),
        Err(Exhausted) => Err("[the payload takes more to be checked than there is for one]".to_owned()),
    }
}

struct Check<'s> {
    schema: &'s Schema,
    steps: usize,
}

/// The payload takes more than there is for one.
struct Exhausted;

type Checked = Result<(), Exhausted>;

impl<'s> Check<'s> {
    fn step(&mut self, bytes: usize) -> Checked {
        self.steps += 1 + bytes / 64;
        if self.steps > MAX_STEPS { Err(Exhausted) } else { Ok(()) }
    }

    fn node(&mut self, id: NodeId, value: &Value, depth: usize, wrong: &mut Vec<String>) -> Checked {
        let depth = depth.checked_sub(1).ok_or(Exhausted)?;
        self.step(0)?;
        let schema = self.schema;
        let node: &'s Node = &schema.nodes[id];
        if let Some(reference) = node.reference {
            return self.node(reference, value, depth, wrong);
        }
        if let Some(types) = &node.types
            && !types.iter().any(|wanted| wanted.is_of(value))
        {
            let mut names: Vec<&str> = types.iter().map(|wanted| wanted.name()).collect();
            names.sort_unstable();
            let found = Type::of(value).name();
            tell(wrong, || {
                format!("instance type ({found}) does not match any allowed primitive type (allowed: {})", list(&names))
            });
            return Ok(());
        }
        if let Some(values) = &node.values {
            self.values(values, value, wrong)?;
        }
        match value {
            Value::Object(members) => self.object(&node.object, members, value, depth, wrong)?,
            Value::Array(items) => self.array(&node.array, items, depth, wrong)?,
            Value::String(text) => self.text(&node.text, text, wrong)?,
            Value::Number(number) => bounds(&node.number, number, wrong),
            Value::Null | Value::Bool(_) => {}
        }
        self.combined(node, value, depth, wrong)
    }

    fn values(&mut self, values: &[Value], value: &Value, wrong: &mut Vec<String>) -> Checked {
        for known in values {
            self.step(size(known))?;
            if equal(known, value) {
                return Ok(());
            }
        }
        tell(wrong, || {
            format!("instance value ({}) not found in enum (possible values: {})", told(value), list(values))
        });
        Ok(())
    }

    fn combined(&mut self, node: &'s Node, value: &Value, depth: usize, wrong: &mut Vec<String>) -> Checked {
        let all = self.matching(&node.all_of, value, depth)?;
        if all < node.all_of.len() {
            let of = node.all_of.len();
            tell(wrong, || format!("instance failed to match all required schemas (matched only {all} out of {of})"));
        }
        if !node.any_of.is_empty() && self.matching(&node.any_of, value, depth)? == 0 {
            let of = node.any_of.len();
            tell(wrong, || format!("instance failed to match at least one required schema among {of}"));
        }
        let one = self.matching(&node.one_of, value, depth)?;
        if !node.one_of.is_empty() && one != 1 {
            let of = node.one_of.len();
            tell(wrong, || format!("instance failed to match exactly one schema (matched {one} out of {of})"));
        }
        if let Some(not) = node.not
            && self.matching(&[not], value, depth)? == 1
        {
            tell(wrong, || "instance matched a schema which it should not have".to_owned());
        }
        Ok(())
    }

    /// How many of these a value is good for.
    fn matching(&mut self, nodes: &[NodeId], value: &Value, depth: usize) -> Result<usize, Exhausted> {
        let mut count = 0;
        for node in nodes {
            let mut wrong = Vec::new();
            self.node(*node, value, depth, &mut wrong)?;
            count += usize::from(wrong.is_empty());
        }
        Ok(count)
    }

    fn object(
        &mut self,
        object: &'s Object,
        members: &Map<String, Value>,
        value: &Value,
        depth: usize,
        wrong: &mut Vec<String>,
    ) -> Checked {
        let missing: Vec<&String> = object.required.iter().filter(|name| !members.contains_key(*name)).collect();
        if !missing.is_empty() {
            tell(wrong, || format!("object has missing required properties ({})", list(&missing)));
        }
        let count = members.len() as u64;
        if let Some(min) = object.min.filter(|min| count < *min) {
            tell(wrong, || format!("object has too few properties (found {count} but schema requires at least {min})"));
        }
        if let Some(max) = object.max.filter(|max| count > *max) {
            tell(wrong, || format!("object has too many properties (found {count} but schema requires at most {max})"));
        }
        let mut unknown = Vec::new();
        for (name, member) in members {
            self.step(name.len())?;
            let mut is_named = false;
            if let Some(node) = object.properties.get(name) {
                is_named = true;
                self.node(*node, member, depth, wrong)?;
            }
            for (pattern, node) in &object.patterns {
                self.step(name.len())?;
                if pattern.is_match(name) {
                    is_named = true;
                    self.node(*node, member, depth, wrong)?;
                }
            }
            match object.additional {
                Additional::None if !is_named => unknown.push(name),
                Additional::Of(node) if !is_named => self.node(node, member, depth, wrong)?,
                _ => {}
            }
        }
        if !unknown.is_empty() {
            unknown.truncate(MAX_TOLD);
            tell(wrong, || {
                format!("object instance has properties which are not allowed by the schema: {}", list(&unknown))
            });
        }
        for (name, dependency) in object.dependencies.iter().filter(|(name, _)| members.contains_key(*name)) {
            match dependency {
                Dependency::Schema(node) => self.node(*node, value, depth, wrong)?,
                Dependency::Properties(names) => {
                    let missing: Vec<&String> = names.iter().filter(|name| !members.contains_key(*name)).collect();
                    if !missing.is_empty() {
                        tell(wrong, || {
                            format!(
                                "property \"{name}\" of object has missing property dependencies (missing: {})",
                                list(&missing)
                            )
                        });
                    }
                }
            }
        }
        Ok(())
    }

    fn array(&mut self, array: &'s Array, items: &[Value], depth: usize, wrong: &mut Vec<String>) -> Checked {
        let count = items.len() as u64;
        if let Some(min) = array.min.filter(|min| count < *min) {
            tell(wrong, || {
                format!("array is too short: must have at least {min} elements but instance has {count} elements")
            });
        }
        if let Some(max) = array.max.filter(|max| count > *max) {
            tell(wrong, || {
                format!("array is too long: must have at most {max} elements but instance has {count} elements")
            });
        }
        for (place, item) in items.iter().enumerate() {
            self.step(0)?;
            let own = array.each.as_ref().map(|each| each.get(place));
            match (array.all, own, array.additional) {
                (Some(node), ..) => self.node(node, item, depth, wrong)?,
                (None, Some(Some(node)), _) => self.node(*node, item, depth, wrong)?,
                (None, Some(None), Additional::Of(node)) => self.node(node, item, depth, wrong)?,
                (None, Some(None), Additional::None) => {
                    let most = place;
                    tell(wrong, || format!("array has more elements than allowed: at most {most}, found {count}"));
                    break;
                }
                _ => {}
            }
        }
        if array.unique {
            let mut seen = HashSet::new();
            for item in items {
                self.step(size(item))?;
                if !seen.insert(normal(item).to_string()) {
                    tell(wrong, || "array must not contain duplicate elements".to_owned());
                    break;
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, rules: &Text, text: &str, wrong: &mut Vec<String>) -> Checked {
        self.step(text.len())?;
        let length = text.chars().count() as u64;
        let shown = || told(&Value::from(text));
        if let Some(min) = rules.min.filter(|min| length < *min) {
            tell(wrong, || format!("string {} is too short (length: {length}, required minimum: {min})", shown()));
        }
        if let Some(max) = rules.max.filter(|max| length > *max) {
            tell(wrong, || format!("string {} is too long (length: {length}, maximum allowed: {max})", shown()));
        }
        if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            tell(wrong, || format!("ECMA 262 regex \"{pattern}\" does not match input string {}", shown()));
        }
        if let Some(format) = rules.format.filter(|format| !format.fits(text)) {
            tell(wrong, || format!("string {} is invalid against requested format {}", shown(), format.name()));
        }
        Ok(())
    }
}

fn bounds(bounds: &Bounds, number: &Number, wrong: &mut Vec<String>) {
    let Some(value) = number.as_f64() else { return };
    if let Some(min) = &bounds.min {
        match order(number, min) {
            Some(std::cmp::Ordering::Less) => {
                tell(wrong, || {
                    format!("numeric instance is lower than the required minimum (minimum: {min}, found: {number})")
                });
            }
            Some(std::cmp::Ordering::Equal) if bounds.above_min => {
                tell(wrong, || format!("numeric instance is not strictly greater than the required minimum {min}"));
            }
            _ => {}
        }
    }
    if let Some(max) = &bounds.max {
        match order(number, max) {
            Some(std::cmp::Ordering::Greater) => {
                tell(wrong, || {
                    format!("numeric instance is greater than the required maximum (maximum: {max}, found: {number})")
                });
            }
            Some(std::cmp::Ordering::Equal) if bounds.below_max => {
                tell(wrong, || format!("numeric instance is not strictly lower than the required maximum {max}"));
            }
            _ => {}
        }
    }
    if let Some(of) = &bounds.multiple_of {
        let is_multiple = match (number.as_i64(), of.as_i64()) {
            (Some(number), Some(of)) => number.checked_rem(of) == Some(0),
            _ => of.as_f64().is_some_and(|of| is_whole(value / of)),
        };
        if !is_multiple {
            tell(wrong, || format!("remainder of division is not zero ({number} / {of})"));
        }
    }
}

/// Whole as far as decimals that are written in binary can be.
fn is_whole(quotient: f64) -> bool {
    quotient.is_finite() && (quotient - quotient.round()).abs() <= f64::EPSILON * quotient.abs().max(1.0)
}

fn order(a: &Number, b: &Number) -> Option<std::cmp::Ordering> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Whether they are the same, numbers by what they are.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => order(a, b) == Some(std::cmp::Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

/// With whole numbers written as such, so that the same values are the same text.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.as_i64().is_none() && float.fract() == 0.0 && float.abs() < 1e15 => {
                Value::from(float as i64)
            }
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(members) => {
            let sorted: std::collections::BTreeMap<&String, &Value> = members.iter().collect();
            Value::Object(sorted.into_iter().map(|(name, member)| (name.clone(), normal(member))).collect())
        }
        _ => value.clone(),
    }
}

/// About how many bytes it takes to look at it.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 64 + size(item)).sum(),
        Value::Object(members) => members.iter().map(|(name, member)| 64 + name.len() + size(member)).sum(),
        _ => 8,
    }
}

impl Type {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if is_integer(number) => Self::Integer,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }

    fn is_of(self, value: &Value) -> bool {
        let found = Self::of(value);
        found == self || (self, found) == (Self::Number, Self::Integer)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Null => "null",
            Self::Number => "number",
            Self::Object => "object",
            Self::String => "string",
        }
    }
}

fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn tell(wrong: &mut Vec<String>, what: impl FnOnce() -> String) {
    if wrong.len() < MAX_TOLD {
        wrong.push(what());
    }
}

fn told(value: &Value) -> String {
    let text = value.to_string();
    match text.chars().count() > MAX_TOLD_CHARS {
        true => text.chars().take(MAX_TOLD_CHARS).chain("…".chars()).collect(),
        false => text,
    }
}

/// `["a","b"]`
fn list<T: serde::Serialize>(items: &[T]) -> String {
    let texts: Vec<String> = items
        .iter()
        .take(MAX_TOLD)
        .filter_map(|item| serde_json::to_value(item).ok())
        .map(|item| told(&item))
        .collect();
    format!("[{}]", texts.join(","))
}
