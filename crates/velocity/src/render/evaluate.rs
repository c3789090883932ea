//! Expressions.

use super::{Evaluated, RenderError, Rendering};
use crate::ast::{Expression, Operator};
use crate::heap::Map;
use crate::value::Value;

impl<'a> Rendering<'a> {
    pub(super) fn expression(&mut self, expression: &'a Expression) -> Evaluated {
        self.heap.step()?;
        match expression {
            Expression::Null | Expression::Pattern(_) => Ok(Value::Null),
            Expression::Boolean(truth) => Ok(Value::Boolean(*truth)),
            Expression::Integer(number) => Ok(Value::Integer(*number)),
            Expression::Number(number) => Ok(Value::Number(*number)),
            Expression::Text(text) => self.heap.text(text),
            Expression::Interpolated(nodes) => {
                let mut text = String::new();
                self.nodes(nodes, &mut text)?;
                self.heap.text(&text)
            }
            Expression::List(items) => {
                let items = items.iter().map(|item| self.expression(item)).collect::<Result<_, _>>()?;
                Ok(self.heap.add_list(items, false))
            }
            Expression::Map(members) => {
                let mut map = Map::new();
                for (name, value) in members {
                    let name = self.expression(name)?;
                    let mut text = String::new();
                    self.write(&name, &mut text)?;
                    let value = self.expression(value)?;
                    map.insert(text.into(), value);
                }
                Ok(self.heap.add_map(map))
            }
            Expression::Range(ends) => self.range(&ends.0, &ends.1),
            Expression::Reference(reference) => {
                let value = self.reference(reference)?;
                Ok(match value {
                    Value::Context(_) if self.message_has(&value) => self.settled(&value),
                    value => value,
                })
            }
            Expression::Not(expression) => self.holds(expression).map(|holds| Value::Boolean(!holds)),
            Expression::Negative(expression) => Ok(match self.expression(expression)? {
                Value::Integer(number) => number.checked_neg().map_or(Value::Null, Value::Integer),
                Value::Number(number) => Value::Number(-number),
                _ => Value::Null,
            }),
            Expression::Chain(first, more) => self.chain(first, more),
        }
    }

    /// Whether a name of `$context` is that of a value, and not of several below it.
    fn message_has(&self, value: &Value) -> bool {
        matches!(value, Value::Context(name) if self.message.context(name).is_some())
    }

    fn chain(&mut self, first: &'a Expression, more: &'a [(Operator, Expression)]) -> Evaluated {
        let mut value = self.expression(first)?;
        for (operator, right) in more {
            value = match operator {
                Operator::Or => Value::Boolean(self.is_true(&value) || self.holds(right)?),
                Operator::And => Value::Boolean(self.is_true(&value) && self.holds(right)?),
                operator => {
                    let right = self.expression(right)?;
                    let (left, right) = (self.settled(&value), self.settled(&right));
                    self.operate(*operator, &left, &right)?
                }
            };
        }
        Ok(value)
    }

    fn operate(&mut self, operator: Operator, left: &Value, right: &Value) -> Evaluated {
        match operator {
            Operator::Equal => return self.heap.equal(left, right).map(Value::Boolean),
            Operator::NotEqual => return self.heap.equal(left, right).map(|equal| Value::Boolean(!equal)),
            Operator::Add if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) => {
                let mut text = String::new();
                self.write(left, &mut text)?;
                self.write(right, &mut text)?;
                return self.heap.text(&text);
            }
            _ => {}
        }
        if let (Value::Integer(left), Value::Integer(right)) = (left, right) {
            return Ok(of_integers(operator, *left, *right));
        }
        let numbers = left.number().zip(right.number());
        Ok(numbers.map_or(Value::Null, |(left, right)| of_numbers(operator, left, right)))
    }

    fn range(&mut self, first: &'a Expression, last: &'a Expression) -> Evaluated {
        let (first, last) = (self.expression(first)?, self.expression(last)?);
        let (Value::Integer(first), Value::Integer(last)) = (first, last) else { return Ok(Value::Null) };
        let size = first.abs_diff(last).saturating_add(1);
        self.heap.spend(usize::try_from(size).unwrap_or(usize::MAX))?;
        let items = match first <= last {
            true => (first..=last).map(Value::Integer).collect(),
            false => (last..=first).rev().map(Value::Integer).collect(),
        };
        Ok(self.heap.add_list(items, false))
    }

    pub(super) fn holds(&mut self, condition: &'a Expression) -> Result<bool, RenderError> {
        let value = self.expression(condition)?;
        Ok(self.is_true(&value))
    }

    /// What is empty is as what is not there.
    fn is_true(&self, value: &Value) -> bool {
        match self.settled(value) {
            Value::Null => false,
            Value::Boolean(truth) => truth,
            Value::Text(text) => !text.is_empty(),
            _ => true,
        }
    }
}

/// What does not fit is none.
fn of_integers(operator: Operator, left: i64, right: i64) -> Value {
    let number = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide => left.checked_div(right),
        Operator::Remainder => left.checked_rem(right),
        Operator::Less => return Value::Boolean(left < right),
        Operator::Greater => return Value::Boolean(left > right),
        Operator::LessOrEqual => return Value::Boolean(left <= right),
        Operator::GreaterOrEqual => return Value::Boolean(left >= right),
        Operator::Or | Operator::And | Operator::Equal | Operator::NotEqual => None,
    };
    number.map_or(Value::Null, Value::Integer)
}

fn of_numbers(operator: Operator, left: f64, right: f64) -> Value {
    Value::Number(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide | Operator::Remainder if right == 0.0 => return Value::Null,
        Operator::Divide => left / right,
        Operator::Remainder => left % right,
        Operator::Less => return Value::Boolean(left < right),
        Operator::Greater => return Value::Boolean(left > right),
        Operator::LessOrEqual => return Value::Boolean(left <= right),
        Operator::GreaterOrEqual => return Value::Boolean(left >= right),
        Operator::Or | Operator::And | Operator::Equal | Operator::NotEqual => return Value::Null,
    })
}
