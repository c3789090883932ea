//! JSON, read into a heap.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::heap::{Heap, Map};
use crate::render::RenderError;
use crate::value::Value;

/// Reads a text as JSON. How deep it may be nested is serde_json's to say: 128.
pub(crate) fn read(heap: &mut Heap, text: &[u8]) -> Result<Value, RenderError> {
    heap.bytes(text.len())?;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = Reading(heap).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| match heap.step() {
        Err(spent) => spent,
        Ok(()) => RenderError::NotJson(error.to_string()),
    })
}

struct Reading<'h>(&'h mut Heap);

impl Reading<'_> {
    fn step<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.0.step().map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Boolean(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Number(number as f64), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Reading(self.0))? {
            self.step()?;
            items.push(item);
        }
        Ok(self.0.add_list(items, true))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            self.step()?;
            let item = map.next_value_seed(Reading(self.0))?;
            members.insert(name.as_ref().into(), item);
        }
        Ok(self.0.add_map(members))
    }
}
