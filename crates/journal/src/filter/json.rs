//! `{ $.a.b[0] = 1 }`

use serde_json::Value;

use super::PatternError;
use super::comparison::Comparison;
use super::cursor::Cursor;
use super::expression::Expression;

/// A member of the message and what it has to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct JsonTest {
    path: Vec<Step>,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Member(String),
    Element(usize),
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    Comparison(Comparison),
    IsNull,
    Is(bool),
    NotExists,
}

pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Expression<JsonTest>, PatternError> {
    cursor.expect("{")?;
    let expression = Expression::parse(cursor, &JsonTest::parse)?;
    cursor.expect("}")?;
    Ok(expression)
}

impl JsonTest {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, PatternError> {
        cursor.expect("$")?;
        let mut path = Vec::new();
        loop {
            match cursor.peek() {
                Some('.') => path.push(member(cursor)?),
                Some('[') => path.push(bracketed(cursor)?),
                _ => break,
            }
        }
        if path.is_empty() {
            return Err(cursor.error("expected a member, such as $.status"));
        }
        Ok(Self { path, condition: Condition::parse(cursor)? })
    }

    /// The member and how it is shown, where a document has it.
    pub(super) fn value(&self, document: &Value) -> Option<(String, String)> {
        let name = self.path.iter().fold("$".to_owned(), |name, step| match step {
            Step::Member(member) => format!("{name}.{member}"),
            Step::Element(index) => format!("{name}[{index}]"),
        });
        let shown = match self.find(document)? {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((name, shown))
    }

    fn find<'d>(&self, document: &'d Value) -> Option<&'d Value> {
        self.path.iter().try_fold(document, |value, step| match step {
            Step::Member(name) => value.get(name),
            Step::Element(index) => value.get(index),
        })
    }

    pub(super) fn holds(&self, document: &Value) -> bool {
        match (&self.condition, self.find(document)) {
            (Condition::NotExists, found) => found.is_none(),
            (_, None) => false,
            (Condition::IsNull, Some(value)) => value.is_null(),
            (Condition::Is(wanted), Some(value)) => value.as_bool() == Some(*wanted),
            (Condition::Comparison(comparison), Some(value)) => match value {
                Value::String(text) => comparison.holds(text),
                // Also null, and objects and lists, which equal nothing that can be written in a pattern but `*`.
                other => comparison.holds(&other.to_string()),
            },
        }
    }
}

impl Condition {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, PatternError> {
        if cursor.keyword("IS") {
            return match () {
                () if cursor.keyword("NULL") => Ok(Self::IsNull),
                () if cursor.keyword("TRUE") => Ok(Self::Is(true)),
                () if cursor.keyword("FALSE") => Ok(Self::Is(false)),
                () => Err(cursor.error("expected NULL, TRUE or FALSE")),
            };
        }
        if cursor.keyword("NOT") {
            let exists = cursor.keyword("EXISTS");
            return if exists { Ok(Self::NotExists) } else { Err(cursor.error("expected EXISTS")) };
        }
        Comparison::parse(cursor).map(Self::Comparison)
    }
}

/// `.name`
fn member(cursor: &mut Cursor<'_>) -> Result<Step, PatternError> {
    cursor.expect(".")?;
    let name = cursor.until(|c| c.is_whitespace() || "=!<>()[]{}&|\".,$".contains(c));
    if name.is_empty() { Err(cursor.error("expected a name")) } else { Ok(Step::Member(name.to_owned())) }
}

/// `[0]`, `["name"]`, `['name']`
fn bracketed(cursor: &mut Cursor<'_>) -> Result<Step, PatternError> {
    cursor.expect("[")?;
    cursor.skip_space();
    let step = match cursor.peek() {
        Some(quote @ ('"' | '\'')) => Step::Member(cursor.quoted(quote)?),
        _ => {
            let index = cursor.until(|c| !c.is_ascii_digit()).parse();
            Step::Element(index.map_err(|_| cursor.error("expected an index or a name in quotes"))?)
        }
    };
    cursor.expect("]")?;
    Ok(step)
}
