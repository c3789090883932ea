//! `[ip, user, ..., status = 4*, size]`

use std::collections::BTreeMap;

use super::PatternError;
use super::comparison::Comparison;
use super::cursor::Cursor;
use super::expression::Expression;

/// Conditions on the fields of a message, from its start and from its end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields {
    first: Vec<Field>,
    /// What follows `...`, if that occurs.
    last: Option<Vec<Field>>,
}

/// A name, and `None` where anything will do.
type Field = (String, Option<Expression<Comparison>>);

impl Fields {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, PatternError> {
        cursor.expect("[")?;
        let mut fields = Self::default();
        loop {
            if cursor.eat("...") {
                if fields.last.is_some() {
                    return Err(cursor.error("a second ellipsis before this"));
                }
                fields.last = Some(Vec::new());
            } else {
                let field = field(cursor)?;
                fields.last.as_mut().unwrap_or(&mut fields.first).push(field);
            }
            if cursor.eat("]") {
                return Ok(fields);
            }
            cursor.expect(",")?;
        }
    }

    pub(super) fn match_message(&self, message: &str) -> bool {
        let holds = |((_, expression), found): &(&Field, &str)| {
            expression.as_ref().is_none_or(|expression| expression.holds(&|test| test.holds(found)))
        };
        self.found(message).is_some_and(|found| found.iter().all(holds))
    }

    /// What the fields are of a message, by name: `$ip`.
    pub(super) fn values(&self, message: &str) -> BTreeMap<String, String> {
        let named = |((name, _), found): (&Field, &str)| (format!("${name}"), found.to_owned());
        self.found(message).into_iter().flatten().map(named).collect()
    }

    /// Fields and what they are of a message, if it has as many.
    fn found<'m>(&self, message: &'m str) -> Option<Vec<(&Field, &'m str)>> {
        let found: Vec<&str> = split(message).collect();
        let last = self.last.as_deref().unwrap_or_default();
        let wanted = self.first.len() + last.len();
        if found.len() < wanted || (self.last.is_none() && found.len() > wanted) {
            return None;
        }
        let end = found.iter().skip(found.len() - last.len());
        Some(self.first.iter().zip(&found).chain(last.iter().zip(end)).map(|(field, found)| (field, *found)).collect())
    }
}

/// `name`, or `name = 4* || name > 500`: every test of a field repeats its name.
fn field(cursor: &mut Cursor<'_>) -> Result<Field, PatternError> {
    cursor.skip_space();
    let start = cursor.at();
    while cursor.eat("(") {}
    let wanted = name(cursor)?;
    cursor.skip_space();
    if matches!(cursor.peek(), Some(',' | ']')) {
        return Ok((wanted.to_owned(), None));
    }
    cursor.back_to(start);
    let test = |cursor: &mut Cursor<'_>| {
        if name(cursor)? != wanted {
            return Err(cursor.error(&format!("expected the field {wanted:?} before this")));
        }
        Comparison::parse(cursor)
    };
    Ok((wanted.to_owned(), Some(Expression::parse(cursor, &test)?)))
}

fn name<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, PatternError> {
    cursor.skip_space();
    let name = cursor.until(|c| c.is_whitespace() || "=!<>()[]{}&|\",".contains(c));
    if name.is_empty() { Err(cursor.error("expected the name of a field")) } else { Ok(name) }
}

/// Fields between spaces; `"…"` and `[…]` are one each, without their quotes and brackets.
fn split(message: &str) -> impl Iterator<Item = &str> {
    let mut rest = message;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let close = match rest.bytes().next()? {
            b'"' => Some('"'),
            b'[' => Some(']'),
            _ => None,
        };
        if let Some(end) = close.and_then(|close| rest[1..].find(close)) {
            let field = &rest[1..=end];
            rest = &rest[end + 2..];
            return Some(field);
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (field, behind) = rest.split_at(end);
        rest = behind;
        Some(field)
    })
}
