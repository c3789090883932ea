//! JSONPath, as far as `$input.path` and `$input.json` go: members, elements, all of them, and whatever is further down.

use crate::bounds::MAX_DEPTH;
use crate::heap::Heap;
use crate::render::RenderError;
use crate::value::Value;

/// A path: `$.a['b'][0][*]..c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(Box<str>),
    /// From the end where it is negative.
    Element(i64),
    All,
    /// `..`: what follows is looked for at every depth.
    Deep,
}

impl JsonPath {
    /// `None`: it is no path, or one with filters, slices, unions or functions.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        let mut steps = Vec::new();
        // A path may leave out `$.`, as in Jayway's library.
        if !text.starts_with('$') && !rest.starts_with(['.', '[']) && !rest.is_empty() {
            let (step, after) = name(rest)?;
            steps.push(step);
            rest = after;
        }
        while !rest.is_empty() {
            if let Some(deep) = rest.strip_prefix("..") {
                steps.push(Step::Deep);
                rest = deep;
                if !rest.starts_with('[') {
                    let (step, after) = name(rest)?;
                    steps.push(step);
                    rest = after;
                }
            } else if let Some(named) = rest.strip_prefix('.') {
                let (step, after) = name(named)?;
                steps.push(step);
                rest = after;
            } else {
                let (step, after) = bracket(rest.strip_prefix('[')?)?;
                steps.push(step);
                rest = after;
            }
        }
        (steps.len() <= MAX_DEPTH).then_some(Self(steps))
    }

    /// What is there: one value, or a list of all where the path may lead to several. Null where there is none.
    pub(crate) fn find(&self, heap: &mut Heap, value: Value) -> Result<Value, RenderError> {
        let mut found = vec![value];
        for (place, step) in self.0.iter().enumerate() {
            let deep = place > 0 && self.0[place - 1] == Step::Deep;
            let mut next = Vec::new();
            for value in found {
                heap.step()?;
                match (step, deep) {
                    (Step::Deep, _) => next.push(value),
                    (_, true) => everywhere(heap, &value, step, &mut next, MAX_DEPTH)?,
                    (_, false) => step.of(heap, &value, &mut next)?,
                }
            }
            found = next;
        }
        match self.0.iter().any(|step| matches!(step, Step::All | Step::Deep)) {
            true => Ok(heap.add_list(found, true)),
            false => Ok(found.pop().unwrap_or(Value::Null)),
        }
    }
}

impl Step {
    fn of(&self, heap: &mut Heap, value: &Value, found: &mut Vec<Value>) -> Result<(), RenderError> {
        match (self, value) {
            (Self::Member(name), Value::Map(id)) => found.extend(heap.map(*id).get(&**name).cloned()),
            (Self::Element(place), Value::List(id)) => found.extend(element(heap.list(*id), *place).cloned()),
            (Self::All, Value::Map(id)) => {
                heap.spend(heap.map(*id).len())?;
                found.extend(heap.map(*id).values().cloned());
            }
            (Self::All, Value::List(id)) => {
                heap.spend(heap.list(*id).len())?;
                found.extend_from_slice(heap.list(*id));
            }
            _ => {}
        }
        Ok(())
    }
}

pub(crate) fn element(items: &[Value], place: i64) -> Option<&Value> {
    let place = if place < 0 { place.checked_add(i64::try_from(items.len()).ok()?)? } else { place };
    items.get(usize::try_from(place).ok()?)
}

/// Of the value and of all in it.
fn everywhere(
    heap: &mut Heap,
    value: &Value,
    step: &Step,
    found: &mut Vec<Value>,
    depth: usize,
) -> Result<(), RenderError> {
    let depth = depth.checked_sub(1).ok_or(RenderError::TooDeep)?;
    step.of(heap, value, found)?;
    let below = match value {
        Value::List(id) => heap.list(*id).to_vec(),
        Value::Map(id) => heap.map(*id).values().cloned().collect(),
        _ => return heap.step(),
    };
    heap.spend(1 + below.len())?;
    below.iter().try_for_each(|below| everywhere(heap, below, step, found, depth))
}

/// `name` or `*`, and what is behind it.
fn name(text: &str) -> Option<(Step, &str)> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name == "*" {
        return Some((Step::All, rest));
    }
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | ':' | '@' | ' ' | '/');
    (!name.is_empty() && name.chars().all(is_name)).then(|| (Step::Member(name.into()), rest))
}

/// What stands behind `[`.
fn bracket(text: &str) -> Option<(Step, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'));
    if let Some(quote) = quote {
        let (name, rest) = text[1..].split_once(quote)?;
        return Some((Step::Member(name.into()), rest.strip_prefix(']')?));
    }
    let (inside, rest) = text.split_once(']')?;
    match inside.trim() {
        "*" => Some((Step::All, rest)),
        number => number.parse().ok().map(|place| (Step::Element(place), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Form;
    use crate::json;

    fn find(path: &str) -> String {
        let heap = &mut Heap::default();
        let text = br#"{"a":{"b":[1,{"c":"x"},{"c":"y"}],"d e":2},"b":null,"c":"z"}"#;
        let value = json::read(heap, text).unwrap();
        let found = JsonPath::parse(path).expect(path).find(heap, value).unwrap();
        let mut out = String::new();
        heap.write(&found, Form::Json, &mut out).unwrap();
        out
    }

    #[test]
    fn finds_what_is_there() {
        for (path, wanted) in [
            ("$.a.b[0]", "1"),
            ("$['a']['d e']", "2"),
            ("$.a[\"d e\"]", "2"),
            ("$.a.b[-1].c", "\"y\""),
            ("$.a.b[*].c", r#"["x","y"]"#),
            ("$..c", r#"["z","x","y"]"#),
            ("$.a.*", r#"[[1,{"c":"x"},{"c":"y"}],2]"#),
            ("$.nothing.at.all", "null"),
            ("$.a.b[7]", "null"),
            ("$.nothing[*]", "[]"),
            ("c", "\"z\""),
        ] {
            assert_eq!(find(path), wanted, "{path}");
        }
        assert_eq!(find("$"), r#"{"a":{"b":[1,{"c":"x"},{"c":"y"}],"d e":2},"b":null,"c":"z"}"#);
    }

    #[test]
    fn other_paths_are_none() {
        for path in ["$.", "$..", "$[", "$[0", "$['a'", "$[?(@.a)]", "$[0:2]", "$[0,1]", "$.length()", "$x("] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }
}
