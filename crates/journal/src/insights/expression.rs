//! Expressions: what they are, and what they come to of a row.

use std::sync::Arc;

use regex::Regex;

use super::function::Function;
use super::period::Period;
use super::row::Row;
use super::value::Value;

#[derive(Clone, Debug)]
pub(super) enum Expression {
    Field(Arc<str>),
    Literal(Value),
    Not(Box<Self>),
    Negative(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    Like {
        subject: Box<Self>,
        pattern: Like,
    },
    In {
        subject: Box<Self>,
        list: Vec<Self>,
    },
    Call(Function, Vec<Self>),
    /// `bin`, `datefloor`, `dateceil`
    Round {
        time: Box<Self>,
        period: Period,
        up: bool,
    },
    /// What `stats` has counted, by its place.
    Aggregate(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
    Power,
}

#[derive(Clone, Debug)]
pub(super) enum Like {
    Text(String),
    Regex(Regex),
}

/// What an expression needs besides a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// Milliseconds.
    pub(super) now_ms: i64,
    /// Of `stats`.
    pub(super) aggregates: &'a [Value],
}

impl Expression {
    pub(super) fn of(&self, row: &Row<'_>, context: Context<'_>) -> Value {
        match self {
            Self::Field(name) => row.value(name),
            Self::Literal(value) => value.clone(),
            Self::Not(inner) => Value::Bool(!inner.of(row, context).truth()),
            Self::Negative(inner) => inner.of(row, context).number().map(|number| -number).into(),
            Self::Binary(operator, one, other) => operator.apply(one, other, row, context),
            Self::Like { subject, pattern } => {
                let text = subject.of(row, context).shown();
                Value::Bool(text.is_some_and(|text| pattern.matches(&text)))
            }
            Self::In { subject, list } => {
                let subject = subject.of(row, context);
                Value::Bool(list.iter().any(|item| subject.compare(&item.of(row, context)).is_some_and(|o| o.is_eq())))
            }
            Self::Call(function, arguments) => {
                let values: Vec<Value> = arguments.iter().map(|argument| argument.of(row, context)).collect();
                function.call(&values, context)
            }
            Self::Round { time, period, up } => {
                let time = time.of(row, context).time();
                let rounded = time.and_then(|time| if *up { period.ceil(time) } else { period.floor(time) });
                rounded.map_or(Value::Null, Value::Time)
            }
            Self::Aggregate(place) => context.aggregates.get(*place).cloned().unwrap_or_default(),
        }
    }

    /// Names every field that it looks at.
    pub(super) fn fields(&self, found: &mut Vec<Arc<str>>) {
        match self {
            Self::Field(name) => found.push(Arc::clone(name)),
            Self::Literal(_) | Self::Aggregate(_) => {}
            Self::Not(inner) | Self::Negative(inner) => inner.fields(found),
            Self::Like { subject, .. } => subject.fields(found),
            Self::Round { time, .. } => time.fields(found),
            Self::Binary(_, one, other) => {
                one.fields(found);
                other.fields(found);
            }
            Self::In { subject, list } => {
                subject.fields(found);
                list.iter().for_each(|item| item.fields(found));
            }
            Self::Call(_, arguments) => arguments.iter().for_each(|argument| argument.fields(found)),
        }
    }
}

impl Operator {
    fn apply(self, one: &Expression, other: &Expression, row: &Row<'_>, context: Context<'_>) -> Value {
        let (one, other) = match self {
            Self::Or => return Value::Bool(one.of(row, context).truth() || other.of(row, context).truth()),
            Self::And => return Value::Bool(one.of(row, context).truth() && other.of(row, context).truth()),
            _ => (one.of(row, context), other.of(row, context)),
        };
        let compared = one.compare(&other);
        let numbers = one.number().zip(other.number());
        let computed = |compute: fn(f64, f64) -> f64| numbers.map(|(one, other)| compute(one, other)).into();
        match self {
            Self::Equal => Value::Bool(compared.is_some_and(|order| order.is_eq())),
            Self::NotEqual => Value::Bool(compared.is_some_and(|order| order.is_ne())),
            Self::Less => Value::Bool(compared.is_some_and(|order| order.is_lt())),
            Self::LessOrEqual => Value::Bool(compared.is_some_and(|order| order.is_le())),
            Self::Greater => Value::Bool(compared.is_some_and(|order| order.is_gt())),
            Self::GreaterOrEqual => Value::Bool(compared.is_some_and(|order| order.is_ge())),
            Self::Plus => computed(|one, other| one + other),
            Self::Minus => computed(|one, other| one - other),
            Self::Times => computed(|one, other| one * other),
            Self::Divide => computed(|one, other| one / other),
            Self::Modulo => computed(|one, other| one % other),
            Self::Power => computed(f64::powf),
            Self::Or | Self::And => Value::Null,
        }
    }
}

impl Like {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Text(part) => text.contains(part.as_str()),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}
