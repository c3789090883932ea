//! Expressions, from what binds least to what binds most.

use regex::{Regex, RegexBuilder};

use super::Malformed;
use super::aggregate::Kind as Counted;
use super::expression::{Expression, Like, Operator};
use super::function::Function;
use super::lexer::{Kind, Token};
use super::parser::Parser;
use super::period::Period;
use super::value::Value;

/// Of expressions in one another.
const MAX_DEPTH: usize = 64;
/// Of all expressions of a query.
const MAX_PARTS: usize = 1_000;
const MAX_REGEXES: usize = 32;
/// Of one that is compiled.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// What joins two expressions, from what binds least.
const OR: &[(&str, Operator)] = &[("or", Operator::Or)];
const AND: &[(&str, Operator)] = &[("and", Operator::And)];
const SUMS: &[(&str, Operator)] = &[("+", Operator::Plus), ("-", Operator::Minus)];
const PRODUCTS: &[(&str, Operator)] = &[("*", Operator::Times), ("/", Operator::Divide), ("%", Operator::Modulo)];
const COMPARISONS: &[(&str, Operator)] = &[
    ("=", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
];

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Result<Expression, Malformed> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let token = self.peek()?;
            return Err(self.lexer.malformed("the query is nested too deeply", token.start, token.end));
        }
        let expression = self.joined(OR, |parser| parser.joined(AND, Self::negation));
        self.depth -= 1;
        expression
    }

    /// Expressions with any of these between them, from left to right.
    fn joined(
        &mut self,
        operators: &[(&str, Operator)],
        mut part: impl FnMut(&mut Self) -> Result<Expression, Malformed>,
    ) -> Result<Expression, Malformed> {
        let mut left = part(self)?;
        while let Some(operator) = self.operator(operators)? {
            self.count()?;
            left = Expression::Binary(operator, Box::new(left), Box::new(part(self)?));
        }
        Ok(left)
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Result<Option<Operator>, Malformed> {
        let token = self.peek()?;
        let is = |name: &str| match &token.kind {
            Kind::Sign(sign) => *sign == name,
            Kind::Word(word) => word.eq_ignore_ascii_case(name),
            _ => false,
        };
        let found = operators.iter().find(|(name, _)| is(name)).map(|(_, operator)| *operator);
        if found.is_some() {
            self.next()?;
        }
        Ok(found)
    }

    fn negation(&mut self) -> Result<Expression, Malformed> {
        let mut negated = false;
        while self.keyword("not")? {
            negated = !negated;
        }
        let inner = self.comparison()?;
        Ok(if negated { Expression::Not(Box::new(inner)) } else { inner })
    }

    fn comparison(&mut self) -> Result<Expression, Malformed> {
        let subject = self.sum()?;
        self.count()?;
        if let Some(operator) = self.operator(COMPARISONS)? {
            return Ok(Expression::Binary(operator, Box::new(subject), Box::new(self.sum()?)));
        }
        if self.sign("=~")? {
            let pattern = self.pattern()?;
            return Ok(Expression::Like { subject: Box::new(subject), pattern });
        }
        let negated = self.keyword("not")?;
        let found = if self.keyword("like")? {
            let pattern = self.pattern()?;
            Expression::Like { subject: Box::new(subject), pattern }
        } else if self.keyword("in")? {
            self.expect("[")?;
            let list = self.list(Self::expression)?;
            self.expect("]")?;
            Expression::In { subject: Box::new(subject), list }
        } else if negated {
            let token = self.next()?;
            return Err(self.unexpected(&token));
        } else {
            return Ok(subject);
        };
        Ok(if negated { Expression::Not(Box::new(found)) } else { found })
    }

    fn sum(&mut self) -> Result<Expression, Malformed> {
        self.joined(SUMS, |parser| parser.joined(PRODUCTS, Self::power))
    }

    /// `2^3^2` is `2^(3^2)`.
    fn power(&mut self) -> Result<Expression, Malformed> {
        let base = self.signed()?;
        if !self.sign("^")? {
            return Ok(base);
        }
        self.count()?;
        self.nested(|parser| Ok(Expression::Binary(Operator::Power, Box::new(base), Box::new(parser.power()?))))
    }

    fn signed(&mut self) -> Result<Expression, Malformed> {
        if !self.sign("-")? {
            return self.primary();
        }
        self.count()?;
        self.nested(|parser| Ok(Expression::Negative(Box::new(parser.signed()?))))
    }

    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<T, Malformed> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let token = self.peek()?;
            return Err(self.lexer.malformed("the query is nested too deeply", token.start, token.end));
        }
        let found = inner(self);
        self.depth -= 1;
        found
    }

    pub(super) fn primary(&mut self) -> Result<Expression, Malformed> {
        self.count()?;
        let token = self.next()?;
        match &token.kind {
            Kind::Sign("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            Kind::Number(number) => Ok(Expression::Literal(Value::Number(*number))),
            Kind::Text(text) => Ok(Expression::Literal(Value::text(text.as_str()))),
            Kind::Field(name) => Ok(Expression::Field(name.as_str().into())),
            Kind::Word(word) if self.peek()?.kind == Kind::Sign("(") => self.call(word, &token),
            Kind::Word(word) if word.eq_ignore_ascii_case("true") => Ok(Expression::Literal(Value::Bool(true))),
            Kind::Word(word) if word.eq_ignore_ascii_case("false") => Ok(Expression::Literal(Value::Bool(false))),
            Kind::Word(word) if !is_reserved(word) => Ok(Expression::Field(word.as_str().into())),
            _ => Err(self.unexpected(&token)),
        }
    }

    fn call(&mut self, word: &str, token: &Token) -> Result<Expression, Malformed> {
        if let Some(kind) = Counted::named(word) {
            return self.aggregate(kind, token);
        }
        match word.to_ascii_lowercase().as_str() {
            "bin" => {
                self.expect("(")?;
                let period = self.period()?;
                self.expect(")")?;
                return Ok(Expression::Round {
                    time: Box::new(Expression::Field("@timestamp".into())),
                    period,
                    up: false,
                });
            }
            name @ ("datefloor" | "dateceil") => {
                self.expect("(")?;
                let time = Box::new(self.expression()?);
                self.expect(",")?;
                let period = self.period()?;
                self.expect(")")?;
                return Ok(Expression::Round { time, period, up: name == "dateceil" });
            }
            _ => {}
        }
        let unknown = || self.lexer.malformed(format!("unknown function {word}"), token.start, token.end);
        let function = Function::named(word).ok_or_else(unknown)?;
        self.expect("(")?;
        let none = self.peek()?.kind == Kind::Sign(")");
        let arguments = if none { Vec::new() } else { self.list(Self::expression)? };
        self.expect(")")?;
        if !(function.least..=function.most).contains(&arguments.len()) {
            let message = format!("{} takes {} to {} arguments", function.name, function.least, function.most);
            return Err(self.malformed_from(message, token.start));
        }
        Ok(Expression::Call(function, arguments))
    }

    fn period(&mut self) -> Result<Period, Malformed> {
        let token = self.next()?;
        let period = if let Kind::Period(count, unit) = &token.kind { Period::of(*count, unit) } else { None };
        let message = "a period is a number with its unit: ms, s, m, h, d, w, mo, q, y";
        period.ok_or_else(|| self.lexer.malformed(message, token.start, token.end))
    }

    fn pattern(&mut self) -> Result<Like, Malformed> {
        if let Some(regex) = self.regex()? {
            return Ok(Like::Regex(regex));
        }
        let token = self.next()?;
        match token.kind {
            Kind::Text(text) => Ok(Like::Text(text)),
            _ => Err(self.unexpected(&token)),
        }
    }

    /// A regular expression, if one comes next.
    pub(super) fn regex(&mut self) -> Result<Option<Regex>, Malformed> {
        let Some((pattern, start)) = self.lexer.regex()? else { return Ok(None) };
        self.regexes += 1;
        if self.regexes > MAX_REGEXES {
            return Err(self.malformed_from(format!("a query has at most {MAX_REGEXES} regular expressions"), start));
        }
        let regex = RegexBuilder::new(&pattern).size_limit(MAX_REGEX_BYTES).nest_limit(64).build();
        regex.map(Some).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            self.malformed_from(format!("the regular expression cannot be used: {why}"), start)
        })
    }

    fn count(&mut self) -> Result<(), Malformed> {
        self.parts += 1;
        if self.parts > MAX_PARTS {
            let token = self.peek()?;
            return Err(self.lexer.malformed("the query is too long", token.start, token.end));
        }
        Ok(())
    }
}

/// What separates expressions is no field, unless it stands in backquotes.
fn is_reserved(word: &str) -> bool {
    ["and", "or", "not", "like", "in", "as", "by", "asc", "desc"]
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(word))
}
