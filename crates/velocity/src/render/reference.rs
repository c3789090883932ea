//! References: variables, and what API Gateway adds to them.

use std::rc::Rc;

use super::{Evaluated, Loop, RenderError, Rendering};
use crate::ast::{Expression, Reference, Root, Step};
use crate::function::{InputFunction, UtilFunction};
use crate::heap::{Form, Map};
use crate::json;
use crate::json_path::{JsonPath, element};
use crate::value::Value;

impl<'a> Rendering<'a> {
    pub(super) fn reference(&mut self, reference: &'a Reference) -> Evaluated {
        self.steps(&reference.root, &reference.steps)
    }

    pub(super) fn steps(&mut self, root: &'a Root, steps: &'a [Step]) -> Evaluated {
        self.heap.step()?;
        let mut value = match root {
            Root::Context => Value::Context("".into()),
            Root::Foreach => Value::Foreach(0),
            Root::StageVariables => Value::StageVariables,
            Root::Input | Root::Util => Value::Null,
            Root::Variable(name) => match self.variables.get(&**name) {
                Some(value) => value.clone(),
                None if **name == *"velocityCount" => self.of_loop(0, "count"),
                None => Value::Null,
            },
        };
        for step in steps {
            value = self.step(value, step)?;
        }
        Ok(value)
    }

    fn step(&mut self, value: Value, step: &'a Step) -> Evaluated {
        self.heap.step()?;
        match step {
            Step::Property(name) => self.member(value, name),
            Step::Index(index) => match self.expression(index)? {
                Value::Integer(place) => Ok(match self.settled(&value) {
                    Value::List(id) => element(self.heap.list(id), place).cloned().unwrap_or(Value::Null),
                    Value::Map(id) => self.heap.map(id).get(&*place.to_string()).cloned().unwrap_or(Value::Null),
                    _ => Value::Null,
                }),
                Value::Text(name) => self.member(value, &name),
                _ => Ok(Value::Null),
            },
            Step::Input(function, arguments) => self.input(*function, arguments),
            Step::Util(function, arguments) => self.util(*function, arguments),
            Step::Call(method, written) => {
                let mut arguments = Vec::with_capacity(written.len());
                for argument in written {
                    let argument = match argument {
                        Expression::Pattern(_) => Value::Null,
                        argument => self.expression(argument)?,
                    };
                    arguments.push(self.settled(&argument));
                }
                if let (Value::Context(_) | Value::StageVariables, [Value::Text(name)]) = (&value, arguments.as_slice())
                    && *method == crate::method::Method::Get
                {
                    return self.member(value, name);
                }
                let value = self.whole(value)?;
                method.call(&mut self.heap, &value, &arguments, written)
            }
        }
    }

    /// `.name`
    fn member(&mut self, value: Value, name: &str) -> Evaluated {
        Ok(match value {
            Value::Map(id) => self.heap.map(id).get(name).cloned().unwrap_or(Value::Null),
            Value::Entry(key, item) => match name {
                "key" => Value::Text(key),
                "value" => *item,
                _ => Value::Null,
            },
            Value::Context(prefix) => {
                self.heap.bytes(prefix.len() + name.len())?;
                if prefix.len() + name.len() > MAX_NAME_BYTES {
                    return Ok(Value::Null);
                }
                let dot = if prefix.is_empty() { "" } else { "." };
                Value::Context(format!("{prefix}{dot}{name}").into())
            }
            Value::StageVariables => {
                let variables = self.message.stage_variables();
                self.heap.spend(variables.len())?;
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map_or(Value::Null, |(_, value)| Value::text(value))
            }
            Value::Foreach(out) => match name {
                "parent" => Value::Foreach(out + 1),
                "topmost" => Value::Foreach(self.loops.len().saturating_sub(1)),
                name => self.of_loop(out, name),
            },
            _ => Value::Null,
        })
    }

    /// What the loop so and so far out says of itself.
    fn of_loop(&self, out: usize, name: &str) -> Value {
        let Some(Loop { index, size }) = self.loops.iter().rev().nth(out).copied() else { return Value::Null };
        match name {
            "count" => Value::Integer(index as i64 + 1),
            "index" => Value::Integer(index as i64),
            "hasNext" => Value::Boolean(index + 1 < size),
            "first" => Value::Boolean(index == 0),
            "last" => Value::Boolean(index + 1 == size),
            _ => Value::Null,
        }
    }

    /// With what stands for something outside replaced by what that is now.
    pub(super) fn settled(&self, value: &Value) -> Value {
        match value {
            Value::Context(name) => {
                let found = self.message.context(name);
                // The one number among them.
                let number = || found.as_ref().filter(|_| **name == *"requestTimeEpoch")?.parse().ok();
                match (number(), &found) {
                    (Some(number), _) => Value::Integer(number),
                    (None, Some(text)) => Value::text(text),
                    (None, None) => Value::Null,
                }
            }
            Value::Foreach(_) => Value::Null,
            value => value.clone(),
        }
    }

    /// The same, and all stage variables as a map.
    fn whole(&mut self, value: Value) -> Evaluated {
        if !matches!(value, Value::StageVariables) {
            return Ok(self.settled(&value));
        }
        let variables = self.message.stage_variables();
        self.heap.spend(variables.len())?;
        let map = variables.iter().map(|(name, value)| (Rc::from(*name), Value::text(value))).collect();
        Ok(self.heap.add_map(map))
    }
}

/// Bytes of a name behind `$context`.
const MAX_NAME_BYTES: usize = 1024;
/// Where parameters are, in the order in which `$input.params('x')` looks.
const PLACES: [&str; 3] = ["path", "querystring", "header"];

/// `$input` and `$util`.
impl<'a> Rendering<'a> {
    fn input(&mut self, function: InputFunction, arguments: &'a [Expression]) -> Evaluated {
        let Some(argument) = arguments.first() else {
            return match function {
                InputFunction::Body => self.heap.text(&String::from_utf8_lossy(self.message.payload())),
                _ => self.all_parameters(),
            };
        };
        let argument = self.expression(argument)?;
        let mut text = String::new();
        self.write(&argument, &mut text)?;
        match function {
            InputFunction::Params => self.parameter(&text),
            InputFunction::Path => self.path(&text),
            InputFunction::Json | InputFunction::Body => {
                let mut json = String::new();
                match self.path(&text)? {
                    // AWS's, of what is not there.
                    Value::Null => json.push_str("\"\""),
                    found => self.heap.write(&found, Form::Json, &mut json)?,
                }
                self.heap.text(&json)
            }
        }
    }

    fn path(&mut self, path: &str) -> Evaluated {
        self.heap.bytes(path.len())?;
        let path = JsonPath::parse(path).ok_or_else(|| RenderError::Path(path.chars().take(100).collect()))?;
        let payload = match &self.payload {
            Some(payload) => payload.clone(),
            None => {
                let text = self.message.payload();
                // No payload is an empty one.
                let payload = match text.trim_ascii().is_empty() {
                    true => self.heap.add_map(Map::new()),
                    false => json::read(&mut self.heap, text)?,
                };
                self.payload.insert(payload).clone()
            }
        };
        path.find(&mut self.heap, payload)
    }

    /// Names of headers are the same in whichever case.
    fn parameter(&mut self, name: &str) -> Evaluated {
        for place in PLACES {
            let parameters = self.message.parameters(place);
            self.heap.spend(parameters.len())?;
            let is_it = |known: &str| known == name || place == "header" && known.eq_ignore_ascii_case(name);
            if let Some((_, value)) = parameters.iter().rev().find(|(known, _)| is_it(known)) {
                return self.heap.text(value);
            }
        }
        Ok(Value::text(""))
    }

    /// `$input.params()`
    fn all_parameters(&mut self) -> Evaluated {
        let mut all = Map::new();
        for place in PLACES {
            let mut map = Map::new();
            for (name, value) in self.message.parameters(place) {
                let value = self.heap.text(&value)?;
                map.insert(name.into(), value);
            }
            all.insert(place.into(), self.heap.add_map(map));
        }
        Ok(self.heap.add_map(all))
    }

    fn util(&mut self, function: UtilFunction, arguments: &'a [Expression]) -> Evaluated {
        let Some(argument) = arguments.first() else { return Ok(Value::Null) };
        let argument = self.expression(argument)?;
        let mut text = String::new();
        self.write(&argument, &mut text)?;
        self.heap.bytes(text.len() * 4)?;
        match function {
            UtilFunction::ParseJson => json::read(&mut self.heap, text.as_bytes()),
            function => match function.of_text(&text) {
                Some(made) => self.heap.text(&made),
                None => Ok(Value::Null),
            },
        }
    }
}
