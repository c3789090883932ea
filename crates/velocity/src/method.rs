//! Methods of values: those of Java's strings, lists and maps that templates use.

use std::rc::Rc;

use crate::ast::Expression;
use crate::bounds::{MAX_OUTPUT_BYTES, STEPS_A_PATTERN};
use crate::heap::{Form, Heap, Map};
use crate::json_path::element;
use crate::pattern::Pattern;
use crate::render::RenderError;
use crate::value::Value;

macro_rules! methods {
    ($($variant:ident = $name:literal $arguments:expr,)*) => {
        /// A method, of whatever has it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Method {
            $($variant,)*
        }

        impl Method {
            /// With how many arguments it is called.
            pub(crate) fn find(name: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
                match name {
                    $($name => Some((Self::$variant, $arguments)),)*
                    _ => None,
                }
            }
        }
    };
}

methods! {
    Add = "add" 1..=1,
    AddAll = "addAll" 1..=1,
    CharAt = "charAt" 1..=1,
    Concat = "concat" 1..=1,
    Contains = "contains" 1..=1,
    ContainsKey = "containsKey" 1..=1,
    ContainsValue = "containsValue" 1..=1,
    EndsWith = "endsWith" 1..=1,
    EntrySet = "entrySet" 0..=0,
    Equals = "equals" 1..=1,
    EqualsIgnoreCase = "equalsIgnoreCase" 1..=1,
    Get = "get" 1..=1,
    GetKey = "getKey" 0..=0,
    GetValue = "getValue" 0..=0,
    IndexOf = "indexOf" 1..=1,
    IsEmpty = "isEmpty" 0..=0,
    KeySet = "keySet" 0..=0,
    LastIndexOf = "lastIndexOf" 1..=1,
    Length = "length" 0..=0,
    Matches = "matches" 1..=1,
    Put = "put" 2..=2,
    PutAll = "putAll" 1..=1,
    Remove = "remove" 1..=1,
    Replace = "replace" 2..=2,
    ReplaceAll = "replaceAll" 2..=2,
    ReplaceFirst = "replaceFirst" 2..=2,
    Set = "set" 2..=2,
    Size = "size" 0..=0,
    Split = "split" 1..=1,
    StartsWith = "startsWith" 1..=1,
    Substring = "substring" 1..=2,
    ToLowerCase = "toLowerCase" 0..=0,
    ToString = "toString" 0..=0,
    ToUpperCase = "toUpperCase" 0..=0,
    Trim = "trim" 0..=0,
    Values = "values" 0..=0,
}

impl Method {
    /// Whether its first argument is a regular expression.
    pub(crate) fn takes_pattern(self) -> bool {
        matches!(self, Self::Matches | Self::ReplaceAll | Self::ReplaceFirst | Self::Split)
    }

    /// Calls it. Null where the value has no such method, as where Velocity does not find one.
    pub(crate) fn call(
        self,
        heap: &mut Heap,
        value: &Value,
        arguments: &[Value],
        written: &[Expression],
    ) -> Result<Value, RenderError> {
        heap.step()?;
        match (self, arguments) {
            (_, _) if value.is_null() => return Ok(Value::Null),
            (Self::Equals, [other]) => return heap.equal(value, other).map(Value::Boolean),
            (Self::ToString, _) => {
                let mut text = String::new();
                heap.write(value, Form::Java, &mut text)?;
                return heap.text(&text);
            }
            _ => {}
        }
        match value {
            Value::Text(text) => self.of_text(heap, text, arguments, written),
            Value::List(id) => self.of_list(heap, *id, arguments),
            Value::Map(id) => self.of_map(heap, *id, arguments),
            Value::Entry(key, item) => Ok(match self {
                Self::GetKey => Value::Text(key.clone()),
                Self::GetValue => (**item).clone(),
                _ => Value::Null,
            }),
            _ => Ok(Value::Null),
        }
    }

    fn of_text(
        self,
        heap: &mut Heap,
        text: &Rc<str>,
        arguments: &[Value],
        written: &[Expression],
    ) -> Result<Value, RenderError> {
        heap.bytes(text.len())?;
        if self.takes_pattern() {
            return self.by_pattern(heap, text, arguments, written);
        }
        let first =
            arguments.first().and_then(|argument| if let Value::Text(text) = argument { Some(&**text) } else { None });
        let made = match (self, first, arguments) {
            (Self::Length, ..) => return Ok(Value::Integer(length(text))),
            (Self::IsEmpty, ..) => return Ok(Value::Boolean(text.is_empty())),
            (Self::Contains, Some(other), _) => return Ok(Value::Boolean(text.contains(other))),
            (Self::StartsWith, Some(other), _) => return Ok(Value::Boolean(text.starts_with(other))),
            (Self::EndsWith, Some(other), _) => return Ok(Value::Boolean(text.ends_with(other))),
            (Self::EqualsIgnoreCase, Some(other), _) => {
                return Ok(Value::Boolean(text.to_lowercase() == other.to_lowercase()));
            }
            (Self::IndexOf, Some(other), _) => return Ok(place(text, text.find(other))),
            (Self::LastIndexOf, Some(other), _) => return Ok(place(text, text.rfind(other))),
            (Self::Concat, Some(other), _) => format!("{text}{other}"),
            (Self::Trim, ..) => text.trim().to_owned(),
            (Self::ToLowerCase, ..) => text.to_lowercase(),
            (Self::ToUpperCase, ..) => text.to_uppercase(),
            (Self::Replace, Some(old), [_, Value::Text(new)]) => {
                let grown = text.matches(old).count().saturating_mul(new.len());
                if grown > MAX_OUTPUT_BYTES {
                    return Err(RenderError::TooLarge);
                }
                text.replace(old, new)
            }
            (Self::Substring, _, [Value::Integer(start)]) => return part(heap, text, *start, None),
            (Self::Substring, _, [Value::Integer(start), Value::Integer(end)]) => {
                return part(heap, text, *start, Some(*end));
            }
            (Self::CharAt, _, [Value::Integer(at)]) => return part(heap, text, *at, at.checked_add(1)),
            _ => return Ok(Value::Null),
        };
        heap.text(&made)
    }

    fn by_pattern(
        self,
        heap: &mut Heap,
        text: &str,
        arguments: &[Value],
        written: &[Expression],
    ) -> Result<Value, RenderError> {
        let made;
        let pattern = match (written.first(), arguments.first()) {
            (Some(Expression::Pattern(pattern)), _) => &**pattern,
            (_, Some(Value::Text(pattern))) => {
                heap.spend(STEPS_A_PATTERN)?;
                made =
                    Pattern::parse(pattern).ok_or_else(|| RenderError::Pattern(pattern.chars().take(100).collect()))?;
                &made
            }
            _ => return Ok(Value::Null),
        };
        let made = match (self, arguments) {
            (Self::Matches, _) => return Ok(Value::Boolean(pattern.matches(text))),
            (Self::Split, _) => {
                let parts: Vec<Value> = pattern.split(text).into_iter().map(Value::text).collect();
                heap.spend(parts.len())?;
                return Ok(heap.add_list(parts, false));
            }
            (_, [_, Value::Text(replacement)]) => {
                pattern.replace(text, replacement, self == Self::ReplaceFirst, MAX_OUTPUT_BYTES)
            }
            _ => return Ok(Value::Null),
        };
        heap.text(&made.ok_or(RenderError::TooLarge)?)
    }

    fn of_list(self, heap: &mut Heap, id: usize, arguments: &[Value]) -> Result<Value, RenderError> {
        let size = heap.list(id).len();
        Ok(match (self, arguments) {
            (Self::Size, _) => Value::Integer(size as i64),
            (Self::IsEmpty, _) => Value::Boolean(size == 0),
            (Self::Get, [Value::Integer(at)]) => {
                element(heap.list(id), *at).filter(|_| *at >= 0).cloned().unwrap_or(Value::Null)
            }
            (Self::Contains | Self::IndexOf, [wanted]) => {
                heap.spend(size)?;
                let mut at = None;
                for (place, item) in heap.list(id).to_vec().iter().enumerate() {
                    if at.is_none() && heap.equal(item, wanted)? {
                        at = Some(place);
                    }
                }
                match self {
                    Self::Contains => Value::Boolean(at.is_some()),
                    _ => Value::Integer(at.map_or(-1, |at| at as i64)),
                }
            }
            (Self::Add, [item]) => {
                heap.list_mut(id).push(item.clone());
                Value::Boolean(true)
            }
            (Self::AddAll, [Value::List(other)]) => {
                let more = heap.list(*other).to_vec();
                heap.spend(more.len())?;
                heap.list_mut(id).extend(more);
                Value::Boolean(true)
            }
            (Self::Set, [Value::Integer(at), item]) => {
                let place = usize::try_from(*at).ok().filter(|at| *at < size);
                place.map_or(Value::Null, |at| std::mem::replace(&mut heap.list_mut(id)[at], item.clone()))
            }
            (Self::Remove, [Value::Integer(at)]) => {
                heap.spend(size)?;
                let place = usize::try_from(*at).ok().filter(|at| *at < size);
                place.map_or(Value::Null, |at| heap.list_mut(id).remove(at))
            }
            _ => Value::Null,
        })
    }

    fn of_map(self, heap: &mut Heap, id: usize, arguments: &[Value]) -> Result<Value, RenderError> {
        let key = match arguments.first() {
            Some(key @ (Value::Text(_) | Value::Integer(_) | Value::Number(_) | Value::Boolean(_))) => {
                let mut text = String::new();
                heap.write(key, Form::Java, &mut text)?;
                Some(text)
            }
            _ => None,
        };
        let found = |heap: &Heap| key.as_deref().and_then(|key| heap.map(id).get(key)).cloned();
        let size = heap.map(id).len();
        if matches!(self, Self::EntrySet | Self::KeySet | Self::Values | Self::Remove | Self::ContainsValue) {
            heap.spend(size)?;
        }
        Ok(match (self, arguments) {
            (Self::Size, _) => Value::Integer(size as i64),
            (Self::IsEmpty, _) => Value::Boolean(size == 0),
            (Self::Get, _) => found(heap).unwrap_or(Value::Null),
            (Self::ContainsKey, _) => Value::Boolean(found(heap).is_some()),
            (Self::ContainsValue, [wanted]) => {
                let items: Vec<Value> = heap.map(id).values().cloned().collect();
                let mut is_there = false;
                for item in &items {
                    is_there = is_there || heap.equal(item, wanted)?;
                }
                Value::Boolean(is_there)
            }
            (Self::KeySet, _) => {
                let keys = heap.map(id).keys().cloned().map(Value::Text).collect();
                heap.add_list(keys, false)
            }
            (Self::Values, _) => {
                let items = heap.map(id).values().cloned().collect();
                heap.add_list(items, false)
            }
            (Self::EntrySet, _) => {
                let entry = |(key, item): (&Rc<str>, &Value)| Value::Entry(key.clone(), Box::new(item.clone()));
                let entries = heap.map(id).iter().map(entry).collect();
                heap.add_list(entries, false)
            }
            (Self::Put, [_, item]) => match &key {
                Some(key) => heap.map_mut(id).insert(key.as_str().into(), item.clone()).unwrap_or(Value::Null),
                None => Value::Null,
            },
            (Self::PutAll, [Value::Map(other)]) => {
                let more: Map = heap.map(*other).clone();
                heap.spend(more.len())?;
                heap.map_mut(id).extend(more);
                Value::Null
            }
            (Self::Remove, _) => key.and_then(|key| heap.map_mut(id).shift_remove(key.as_str())).unwrap_or(Value::Null),
            _ => Value::Null,
        })
    }
}

/// As Java counts: in units of UTF-16.
fn length(text: &str) -> i64 {
    text.chars().map(char::len_utf16).sum::<usize>() as i64
}

fn place(text: &str, at: Option<usize>) -> Value {
    Value::Integer(at.map_or(-1, |at| length(&text[..at])))
}

/// From one place to another, in units of UTF-16; null where there is no such part.
fn part(heap: &mut Heap, text: &str, start: i64, end: Option<i64>) -> Result<Value, RenderError> {
    let units: Vec<u16> = text.encode_utf16().collect();
    let end = end.map_or(Some(units.len()), |end| usize::try_from(end).ok());
    let part = usize::try_from(start).ok().zip(end).and_then(|(start, end)| units.get(start..end));
    part.map_or(Ok(Value::Null), |part| heap.text(&String::from_utf16_lossy(part)))
}
