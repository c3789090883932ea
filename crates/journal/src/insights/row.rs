//! What a query sees of an event: what CloudWatch Logs knows of it, what its message holds, and what commands have added.

use std::cell::OnceCell;
use std::sync::Arc;

use serde_json::Value as Json;

use super::value::Value;

/// Places where a field is looked for in a document: whoever wrote that may have made many.
const MAX_LOOKS: u32 = 256;

/// An event, as it is read.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// `@timestamp`, milliseconds.
    pub time_ms: i64,
    /// `@ingestionTime`, milliseconds.
    pub ingestion_ms: i64,
    /// `@logStream`
    pub stream: String,
    /// `@log`: account and name of the log group.
    pub log: Arc<str>,
    /// `@message`
    pub message: String,
    /// `@ptr`
    pub pointer: String,
}

/// A row on its way through commands.
#[derive(Clone, Debug, Default)]
pub(super) struct Row<'e> {
    /// What was computed; what comes later hides what came before.
    columns: Vec<(Arc<str>, Value)>,
    event: Option<&'e Event>,
}

/// An event and its message's document, which is only read where a field of it is wanted.
#[derive(Debug, Default)]
pub(super) struct Event {
    pub(super) source: Source,
    document: OnceCell<Option<Json>>,
}

impl<'e> Row<'e> {
    pub(super) fn of(event: &'e Event) -> Self {
        Self { columns: Vec::new(), event: Some(event) }
    }

    /// Of values only.
    pub(super) fn made(columns: Vec<(Arc<str>, Value)>) -> Self {
        Self { columns, event: None }
    }

    pub(super) fn add(&mut self, name: Arc<str>, value: Value) {
        self.columns.push((name, value));
    }

    pub(super) fn value(&self, name: &str) -> Value {
        let computed = self.columns.iter().rev().find(|(column, _)| **column == *name);
        match (computed, self.event) {
            (Some((_, value)), _) => value.clone(),
            (None, Some(event)) => event.value(name),
            (None, None) => Value::Null,
        }
    }
}

impl Event {
    pub(super) fn new(source: Source) -> Self {
        Self { source, document: OnceCell::new() }
    }

    fn value(&self, name: &str) -> Value {
        let source = &self.source;
        match name {
            "@timestamp" => Value::Time(source.time_ms),
            "@ingestionTime" => Value::Time(source.ingestion_ms),
            "@message" => Value::text(source.message.as_str()),
            "@logStream" => Value::text(source.stream.as_str()),
            "@log" => Value::text(&*source.log),
            "@ptr" => Value::text(source.pointer.as_str()),
            _ => {
                let mut looks = MAX_LOOKS;
                let found = self.document().and_then(|document| member(document, name, &mut looks));
                found.map_or(Value::Null, of_json)
            }
        }
    }

    fn document(&self) -> Option<&Json> {
        let read = || {
            let message = self.source.message.trim_start();
            if message.starts_with('{') { serde_json::from_str(message).ok() } else { None }
        };
        self.document.get_or_init(read).as_ref()
    }
}

/// The member that a name with dots leads to; a name may itself have dots in it.
fn member<'j>(document: &'j Json, name: &str, looks: &mut u32) -> Option<&'j Json> {
    *looks = looks.checked_sub(1)?;
    if let Some(found) = step(document, name) {
        return Some(found);
    }
    let dots = name.match_indices('.').map(|(dot, _)| dot);
    let mut inner = dots.filter_map(|dot| Some((step(document, name.get(..dot)?)?, name.get(dot + 1..)?)));
    inner.find_map(|(inner, rest)| member(inner, rest, looks))
}

fn step<'j>(document: &'j Json, name: &str) -> Option<&'j Json> {
    match document {
        Json::Object(members) => members.get(name),
        Json::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    }
}

fn of_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(is) => Value::Bool(*is),
        Json::String(text) => Value::text(text.as_str()),
        // As it stands there: no digit of a long one is lost.
        other => Value::text(other.to_string()),
    }
}

/// The names of the fields of a message, with dots, and how they are shown. At most `limit`, AWS's 200.
pub fn discovered(message: &str, limit: usize) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let message = message.trim_start();
    if message.starts_with('{')
        && let Ok(document) = serde_json::from_str::<Json>(message)
    {
        discover(&document, String::new(), limit, &mut found);
    }
    found
}

fn discover(json: &Json, name: String, limit: usize, found: &mut Vec<(String, String)>) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    if found.len() >= limit {
        return;
    }
    match json {
        Json::Object(members) => {
            members.iter().for_each(|(key, inner)| discover(inner, below(key), limit, found));
        }
        Json::Array(items) => {
            let numbered = items.iter().enumerate();
            numbered.for_each(|(index, inner)| discover(inner, below(&index.to_string()), limit, found));
        }
        value => found.extend(of_json(value).shown().map(|shown| (name, shown))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_holds() {
        let message = r#" {"a":{"b":[1,{"c":"x"}],"d.e":true},"n":12345678901234567890,"z":null}"#;
        let event = Event::new(Source { message: message.to_owned(), ..Source::default() });
        for (name, expected) in [
            ("a.b.0", Value::text("1")),
            ("a.b.1.c", Value::text("x")),
            ("a.d.e", Value::Bool(true)),
            ("n", Value::text("12345678901234567890")),
            ("a.b", Value::text(r#"[1,{"c":"x"}]"#)),
            ("z", Value::Null),
            ("a.b.7", Value::Null),
            ("", Value::Null),
        ] {
            assert_eq!(event.value(name), expected, "{name}");
        }
        let names: Vec<String> = discovered(message, 200).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a.b.0", "a.b.1.c", "a.d.e", "n"]);
        assert_eq!(discovered(message, 1).len(), 1);
        assert_eq!(discovered("[1]", 9), []);
        let deep = format!("{}{}", "{\"a\":".repeat(500), "1");
        assert_eq!(discovered(&deep, 9), []);
    }
}
