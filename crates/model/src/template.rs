//! Access log formats: `$context` variables in text, and the lines that they become.
//!
//! A [`Template`] is a parsed format. [`Template::bind`] fixes what a connection's certificate contributes to it, once;
//! [`Line::render`] then writes one record, escaping every value for the place where it stands. Whatever the values
//! are, a record is one line, and a format that is JSON stays JSON.

mod value;
mod variable;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use trust::ClientCert;

pub use value::{MAX_VALUE_BYTES, Value};
pub use variable::{CertificateField, Variable};

use value::Place;

/// AWS's limit on an access log format, in bytes.
pub const MAX_FORMAT_BYTES: usize = 3 * 1024;

/// A parsed access log format. Cheap to clone.
///
/// A variable is `$context.` and a name of letters, digits, `_` and `.`; a dot at the end belongs to the text. Names are
/// case-sensitive, and one that is not known is kept and renders `-`, as on AWS.
#[derive(Clone, Debug)]
pub struct Template(Arc<Parsed>);

/// A template with the values of one client certificate, or of none, already in it. Made once for a connection.
#[derive(Clone, Debug)]
pub struct Line {
    template: Template,
    /// What each [`Part::Certificate`] becomes, in order.
    certificate: Box<[Box<str>]>,
}

/// Answers what a variable's value is for one request.
pub trait Context {
    /// Writes the value of `variable` to `out`; writing nothing means that there is none (`-`).
    ///
    /// Not asked for [`Variable::ClientCert`]: [`Template::bind`] has fixed those.
    fn value(&self, variable: &Variable, out: &mut Value<'_>);
}

/// The value of one variable by itself, escaped for nothing; `None` where it has none.
pub fn value_of(variable: &Variable, certificate: Option<&ClientCert>, context: &impl Context) -> Option<String> {
    let mut text = String::new();
    let mut value = Value::new(Place::Alone, &mut text);
    match (variable, certificate) {
        (Variable::ClientCert(field), Some(certificate)) => value.push_certificate(certificate, *field),
        (Variable::ClientCert(_), None) => {}
        _ => context.value(variable, &mut value),
    }
    (!value.is_empty()).then_some(text)
}

/// A format that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// More than [`MAX_FORMAT_BYTES`].
    #[error("the format has {0} bytes; at most 3072 are allowed")]
    TooLong(usize),
}

impl Template {
    /// Parses `format`.
    pub fn parse(format: &str) -> Result<Self, TemplateError> {
        if format.len() > MAX_FORMAT_BYTES {
            return Err(TemplateError::TooLong(format.len()));
        }
        let parts = Shape::of(format).parts(format);
        Ok(Self(Arc::new(Parsed { format: format.into(), parts })))
    }

    /// The text that it was parsed from.
    pub fn format(&self) -> &str {
        &self.0.format
    }

    /// Its variables, in order, with repetitions.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.0
            .parts
            .iter()
            .flat_map(|part| match part {
                Part::Literal(_) => &[],
                Part::Value(slot) => std::slice::from_ref(slot),
                Part::Certificate(slots) => slots.as_slice(),
            })
            .map(|slot| &slot.variable)
    }

    /// Whether `variable` occurs.
    pub fn contains(&self, variable: &Variable) -> bool {
        self.variables().any(|v| v == variable)
    }

    /// Fixes the values of the certificate's variables; all of them are `-` where there is no certificate.
    pub fn bind(&self, certificate: Option<&ClientCert>) -> Line {
        let runs = self.0.parts.iter().filter_map(|part| match part {
            Part::Certificate(slots) => Some(slots),
            _ => None,
        });
        let bind = |slots: &Vec<Slot>| {
            let mut out = String::new();
            for slot in slots {
                out.push_str(&slot.before);
                slot.fill(&mut out, |out| {
                    if let (Variable::ClientCert(field), Some(certificate)) = (&slot.variable, certificate) {
                        out.push_certificate(certificate, *field);
                    }
                });
            }
            out.into_boxed_str()
        };
        Line { template: self.clone(), certificate: runs.map(bind).collect() }
    }
}

impl Line {
    /// Whether it was bound from this very template (not merely from an equal one).
    pub fn is_of(&self, template: &Template) -> bool {
        Arc::ptr_eq(&self.template.0, &template.0)
    }

    /// Appends one record, without a line feed at its end. Allocates nothing but what `out` needs to grow.
    pub fn render(&self, context: &impl Context, out: &mut String) {
        let mut certificate = self.certificate.iter();
        for part in &self.template.0.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Certificate(_) => out.push_str(certificate.next().map_or("", |text| text)),
                Part::Value(slot) => {
                    out.push_str(&slot.before);
                    slot.fill(out, |out| context.value(&slot.variable, out));
                }
            }
        }
    }
}

#[derive(Debug)]
struct Parsed {
    format: Box<str>,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// Text at the end.
    Literal(Box<str>),
    /// A variable of the request.
    Value(Slot),
    /// Variables of the certificate that follow one another with nothing but text between them.
    Certificate(Vec<Slot>),
}

/// A variable where it stands, with the text that leads to it.
#[derive(Debug)]
struct Slot {
    before: Box<str>,
    variable: Variable,
    place: Place,
}

impl Slot {
    fn fill(&self, out: &mut String, write: impl FnOnce(&mut Value<'_>)) {
        let mut value = Value::new(self.place, out);
        write(&mut value);
        value.finish();
    }
}

/// What kind of document a format is: decides how values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// An object that stays JSON whatever JSON values and string contents take the variables' places.
    Json,
    /// Begins like JSON, but is none: only what stands in its strings is escaped as JSON.
    JsonLike,
    Xml,
    /// Common log format, CSV and all else.
    Plain,
}

impl Shape {
    fn of(format: &str) -> Self {
        match format.trim_start().as_bytes().first() {
            Some(b'{') if is_json(format) => Self::Json,
            Some(b'{') => Self::JsonLike,
            Some(b'<') => Self::Xml,
            _ => Self::Plain,
        }
    }

    fn parts(self, format: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut quotes = Quotes::default();
        let mut before = String::new();
        for token in tokens(format) {
            let variable = match token {
                Token::Text(text) => {
                    quotes.read(text);
                    before.extend(text.chars().map(|c| if is_line_breaking(c) { ' ' } else { c }));
                    continue;
                }
                Token::Variable(name) => Variable::from_name(name),
            };
            let place = match self.place(&quotes) {
                Place::Plain if before.ends_with('[') => Place::Bracketed,
                place => place,
            };
            let slot = Slot { before: std::mem::take(&mut before).into(), variable, place };
            match (&slot.variable, parts.last_mut()) {
                (Variable::ClientCert(_), Some(Part::Certificate(run))) => run.push(slot),
                (Variable::ClientCert(_), _) => parts.push(Part::Certificate(vec![slot])),
                _ => parts.push(Part::Value(slot)),
            }
        }
        if !before.is_empty() {
            parts.push(Part::Literal(before.into()));
        }
        parts
    }

    fn place(self, quotes: &Quotes) -> Place {
        match self {
            Self::Json | Self::JsonLike if quotes.open && !quotes.escape => Place::JsonString,
            Self::Json => Place::JsonValue,
            // Its escapes hold no quotation mark, so that a value cannot change what is inside a string.
            Self::JsonLike | Self::Plain => Place::Plain,
            Self::Xml => Place::Xml,
        }
    }
}

/// Follows which part of JSON text is inside a string.
#[derive(Clone, Copy, Default)]
struct Quotes {
    open: bool,
    /// The last character was a backslash that escapes the next one.
    escape: bool,
}

impl Quotes {
    fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escape => self.escape = false,
                b'\\' if self.open => self.escape = true,
                b'"' => self.open = !self.open,
                _ => {}
            }
        }
    }
}

/// Whether the format is JSON with a string as well as with a number in place of every bare variable. Both, since `1$x`
/// would take a number and not a string, and a key the reverse.
fn is_json(format: &str) -> bool {
    ["\"\"", "0"].iter().all(|bare| {
        let mut sample = String::with_capacity(format.len());
        let mut quotes = Quotes::default();
        for token in tokens(format) {
            match token {
                Token::Text(text) => {
                    quotes.read(text);
                    sample.extend(text.chars().map(|c| if is_line_breaking(c) { ' ' } else { c }));
                }
                Token::Variable(_) => sample.push_str(if quotes.open { "x" } else { bare }),
            }
        }
        serde_json::from_str::<serde::de::IgnoredAny>(&sample).is_ok()
    })
}

/// What would end or disturb a line: control characters (NEL among them) and Unicode's line and paragraph separators.
fn is_line_breaking(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

enum Token<'a> {
    Text(&'a str),
    /// Its name, without `$context.`.
    Variable(&'a str),
}

fn tokens(mut format: &str) -> impl Iterator<Item = Token<'_>> {
    const START: &str = "$context.";
    std::iter::from_fn(move || {
        if format.is_empty() {
            return None;
        }
        let mut from = 0;
        while let Some(found) = format[from..].find(START) {
            let start = from + found;
            let name = name_at(&format[start + START.len()..]);
            if name.is_empty() {
                from = start + START.len();
            } else if start > 0 {
                let text;
                (text, format) = format.split_at(start);
                return Some(Token::Text(text));
            } else {
                format = &format[START.len() + name.len()..];
                return Some(Token::Variable(name));
            }
        }
        Some(Token::Text(std::mem::take(&mut format)))
    })
}

fn name_at(text: &str) -> &str {
    let end = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b == b'_' || b == b'.')).unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}
