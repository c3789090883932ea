//! The lists and maps of one rendering. They live until it is over, so that what refers to itself is no leak.

use std::rc::Rc;

use indexmap::IndexMap;

use crate::bounds::{BYTES_A_STEP, MAX_DEPTH, MAX_OUTPUT_BYTES, MAX_STEPS};
use crate::render::RenderError;
use crate::value::Value;

/// Names with values, in the order in which they came.
pub(crate) type Map = IndexMap<Rc<str>, Value>;

#[derive(Default)]
pub(crate) struct Heap {
    lists: Vec<List>,
    maps: Vec<Map>,
    steps: usize,
}

pub(crate) struct List {
    pub(crate) items: Vec<Value>,
    /// Of a JSON text: printed as one.
    is_json: bool,
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As Java's `toString` does.
    Java,
    /// As JSON.
    Json,
}

impl Heap {
    /// Counts something that is done.
    pub(crate) fn step(&mut self) -> Result<(), RenderError> {
        self.spend(1)
    }

    /// Counts bytes that are moved.
    pub(crate) fn bytes(&mut self, bytes: usize) -> Result<(), RenderError> {
        self.spend(1 + bytes / BYTES_A_STEP)
    }

    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), RenderError> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_STEPS { Err(RenderError::TooMuch) } else { Ok(()) }
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<Value, RenderError> {
        self.bytes(text.len())?;
        if text.len() > MAX_OUTPUT_BYTES { Err(RenderError::TooLarge) } else { Ok(Value::text(text)) }
    }

    pub(crate) fn add_list(&mut self, items: Vec<Value>, is_json: bool) -> Value {
        self.lists.push(List { items, is_json });
        Value::List(self.lists.len() - 1)
    }

    pub(crate) fn add_map(&mut self, map: Map) -> Value {
        self.maps.push(map);
        Value::Map(self.maps.len() - 1)
    }

    pub(crate) fn list(&self, id: usize) -> &[Value] {
        &self.lists[id].items
    }

    pub(crate) fn list_mut(&mut self, id: usize) -> &mut Vec<Value> {
        &mut self.lists[id].items
    }

    pub(crate) fn map(&self, id: usize) -> &Map {
        &self.maps[id]
    }

    pub(crate) fn map_mut(&mut self, id: usize) -> &mut Map {
        &mut self.maps[id]
    }

    /// Writes a value behind a text.
    pub(crate) fn write(&mut self, value: &Value, form: Form, out: &mut String) -> Result<(), RenderError> {
        self.write_at(value, form, out, MAX_DEPTH)
    }

    fn write_at(&mut self, value: &Value, form: Form, out: &mut String, depth: usize) -> Result<(), RenderError> {
        let depth = depth.checked_sub(1).ok_or(RenderError::TooDeep)?;
        let before = out.len();
        match value {
            Value::Null => out.push_str("null"),
            Value::Boolean(truth) => out.push_str(if *truth { "true" } else { "false" }),
            Value::Integer(number) => out.push_str(&number.to_string()),
            // With a point, always.
            Value::Number(number) if number.is_finite() => out.push_str(&format!("{number:?}")),
            Value::Number(_) => out.push_str("null"),
            Value::Text(text) if form == Form::Java => out.push_str(text),
            Value::Text(text) => write_json_text(text, out),
            Value::List(id) => {
                let form = if self.lists[*id].is_json { Form::Json } else { form };
                out.push('[');
                for place in 0..self.lists[*id].items.len() {
                    if place > 0 {
                        out.push_str(if form == Form::Json { "," } else { ", " });
                    }
                    let item = self.lists[*id].items[place].clone();
                    self.write_at(&item, form, out, depth)?;
                }
                out.push(']');
            }
            Value::Map(id) => {
                out.push('{');
                for place in 0..self.maps[*id].len() {
                    let Some((name, item)) = self.maps[*id].get_index(place).map(|(k, v)| (k.clone(), v.clone()))
                    else {
                        break;
                    };
                    if place > 0 {
                        out.push_str(if form == Form::Json { "," } else { ", " });
                    }
                    self.write_at(&Value::Text(name), form, out, depth)?;
                    out.push(if form == Form::Json { ':' } else { '=' });
                    self.write_at(&item, form, out, depth)?;
                }
                out.push('}');
            }
            Value::Entry(name, item) => {
                out.push_str(name);
                out.push('=');
                self.write_at(item, form, out, depth)?;
            }
            // They are settled before; what has no text has none here.
            Value::Context(_) | Value::StageVariables | Value::Foreach(_) => {}
        }
        if out.len() > MAX_OUTPUT_BYTES {
            return Err(RenderError::TooLarge);
        }
        match value {
            // What is in them was counted.
            Value::List(_) | Value::Map(_) => self.step(),
            _ => self.bytes(out.len() - before),
        }
    }

    /// `==`: numbers by what they are, and whatever is of different kinds by what it is written as.
    pub(crate) fn equal(&mut self, a: &Value, b: &Value) -> Result<bool, RenderError> {
        Ok(match (a, b) {
            (Value::Null, Value::Null) => true,
            (Value::Null, _) | (_, Value::Null) => false,
            (Value::Boolean(a), Value::Boolean(b)) => a == b,
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Text(a), Value::Text(b)) => {
                self.bytes(a.len().min(b.len()))?;
                a == b
            }
            (Value::List(a), Value::List(b)) if a == b => true,
            (Value::Map(a), Value::Map(b)) if a == b => true,
            _ => match (a.number(), b.number()) {
                (Some(a), Some(b)) => a == b,
                _ => {
                    let (mut left, mut right) = (String::new(), String::new());
                    self.write(a, Form::Java, &mut left)?;
                    self.write(b, Form::Java, &mut right)?;
                    left == right
                }
            },
        })
    }
}

fn write_json_text(text: &str, out: &mut String) {
    // A text is JSON always.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
