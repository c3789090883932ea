//! An input held against the constraints of AWS's model, with AWS's sentences.

use data_encoding::BASE64;
use serde_json::{Map, Value};

use crate::pattern::matches;
use crate::schema::{Member, Shape};
use crate::{Error, Service};

/// More errors than this are not listed.
const MAX_VIOLATIONS: usize = 10;
/// Longer values are not quoted.
const MAX_QUOTED_CHARS: usize = 1024;

/// Why an input is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// A value has another type than the model says.
    Type(String),
    /// Values break constraints: one sentence each.
    Constraints(Vec<String>),
}

impl Invalid {
    /// As the service says it.
    pub(crate) fn into_error(self, service: &Service) -> Error {
        match self {
            Self::Type(message) => Error::serialization(message),
            Self::Constraints(violations) => {
                let count = violations.len();
                let errors = if count == 1 { "error" } else { "errors" };
                let message = format!("{count} validation {errors} detected: {}", violations.join("; "));
                Error::client(service.validation_code, message)
            }
        }
    }
}

/// Checks types, required members, lengths, ranges, enumerations.
pub(crate) fn validate(members: &[Member], input: &Map<String, Value>) -> Result<(), Invalid> {
    let mut check = Check { violations: Vec::new() };
    check.structure(members, input, "")?;
    if check.violations.is_empty() { Ok(()) } else { Err(Invalid::Constraints(check.violations)) }
}

struct Check {
    violations: Vec<String>,
}

impl Check {
    fn structure(&mut self, members: &[Member], values: &Map<String, Value>, path: &str) -> Result<(), Invalid> {
        for member in members {
            let path = join(path, &lower_first(member.name));
            match values.get(member.name) {
                None | Some(Value::Null) if member.required => {
                    self.violate(format!(
                        "Value null at '{path}' failed to satisfy constraint: Member must not be null"
                    ));
                }
                None | Some(Value::Null) => {}
                Some(value) => self.value(member.shape, value, &path)?,
            }
        }
        Ok(())
    }

    fn value(&mut self, shape: &Shape, value: &Value, path: &str) -> Result<(), Invalid> {
        match (shape, value) {
            (Shape::Structure(members), Value::Object(values)) => self.structure(members, values, path)?,
            (Shape::List { of, min, max, .. }, Value::Array(items)) => {
                self.length(items.len(), *min, *max, path, value);
                for (index, item) in items.iter().enumerate() {
                    self.value(of, item, &join(path, &format!("{}.member", index + 1)))?;
                }
            }
            (Shape::Map { key, value: of, min, max }, Value::Object(entries)) => {
                self.length(entries.len(), *min, *max, path, value);
                for (name, item) in entries {
                    let path = join(path, &format!("{name}.member"));
                    self.value(key, &Value::String(name.clone()), &path)?;
                    self.value(of, item, &path)?;
                }
            }
            (Shape::String { .. }, Value::String(text)) => self.string(shape, text, path),
            (Shape::Blob { min, max }, Value::String(text)) => {
                let bytes = BASE64.decode(text.as_bytes());
                let bytes = bytes.map_err(|_| Invalid::Type(format!("'{path}' is not base64")))?;
                self.length(bytes.len(), *min, *max, path, &Value::Null);
            }
            (Shape::Boolean, Value::Bool(_)) | (Shape::Double, Value::Number(_)) => {}
            (Shape::Integer { min, max }, Value::Number(number)) => {
                let number = number.as_i64().filter(|number| i32::try_from(*number).is_ok());
                self.range(number, *min, *max, path)?;
            }
            (Shape::Long { min, max }, Value::Number(number)) => self.range(number.as_i64(), *min, *max, path)?,
            (Shape::Timestamp, Value::Number(_) | Value::String(_)) => {}
            _ => return Err(Invalid::Type(format!("'{path}' has a value of the wrong type"))),
        }
        Ok(())
    }

    fn string(&mut self, shape: &Shape, text: &str, path: &str) {
        let Shape::String { min, max, pattern, values, sensitive } = shape else { return };
        let quoted = if *sensitive { Value::Null } else { Value::String(text.to_owned()) };
        self.length(text.chars().count(), *min, *max, path, &quoted);
        // A text that is too long is refused already; it need not be searched as well.
        let long = max.is_some_and(|max| i64::try_from(text.len()).is_ok_and(|length| length > max.saturating_mul(4)));
        if let Some(pattern) = pattern.filter(|pattern| !long && matches(pattern, text) == Some(false)) {
            self.violate(sentence(
                &quoted,
                path,
                &format!("Member must satisfy regular expression pattern: {pattern}"),
            ));
        }
        if !values.is_empty() && !values.contains(&text) {
            let set = values.join(", ");
            self.violate(sentence(&quoted, path, &format!("Member must satisfy enum value set: [{set}]")));
        }
    }

    fn length(&mut self, length: usize, min: Option<i64>, max: Option<i64>, path: &str, quoted: &Value) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        if let Some(max) = max.filter(|max| length > *max) {
            let constraint = format!("Member must have length less than or equal to {max}");
            self.violate(sentence(quoted, path, &constraint));
        }
        if let Some(min) = min.filter(|min| length < *min) {
            let constraint = format!("Member must have length greater than or equal to {min}");
            self.violate(sentence(quoted, path, &constraint));
        }
    }

    fn range(&mut self, number: Option<i64>, min: Option<i64>, max: Option<i64>, path: &str) -> Result<(), Invalid> {
        let number = number.ok_or_else(|| Invalid::Type(format!("'{path}' is not a whole number in range")))?;
        if let Some(max) = max.filter(|max| number > *max) {
            let constraint = format!("Member must have value less than or equal to {max}");
            self.violate(sentence(&number.into(), path, &constraint));
        }
        if let Some(min) = min.filter(|min| number < *min) {
            let constraint = format!("Member must have value greater than or equal to {min}");
            self.violate(sentence(&number.into(), path, &constraint));
        }
        Ok(())
    }

    fn violate(&mut self, sentence: String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(sentence);
        }
    }
}

/// `quoted` is null where the value must not be shown.
fn sentence(quoted: &Value, path: &str, constraint: &str) -> String {
    let text = match quoted {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    if quoted.is_null() || text.chars().count() > MAX_QUOTED_CHARS {
        return format!("Value at '{path}' failed to satisfy constraint: {constraint}");
    }
    format!("Value '{text}' at '{path}' failed to satisfy constraint: {constraint}")
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
