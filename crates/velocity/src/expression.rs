//! Expressions: what stands between the brackets of directives and calls.

use crate::ast::{Expression, Operator};
use crate::bounds::MAX_DEPTH;
use crate::parser::Parser;
use crate::template::SyntaxError;

type Parsed<T> = Result<T, SyntaxError>;

/// Operators by precedence, those that bind least first; of one beginning the longest first.
const LEVELS: [&[(&str, Operator)]; 6] = [
    &[("||", Operator::Or), ("or", Operator::Or)],
    &[("&&", Operator::And), ("and", Operator::And)],
    &[("==", Operator::Equal), ("!=", Operator::NotEqual), ("eq", Operator::Equal), ("ne", Operator::NotEqual)],
    &[
        ("<=", Operator::LessOrEqual),
        (">=", Operator::GreaterOrEqual),
        ("<", Operator::Less),
        (">", Operator::Greater),
        ("le", Operator::LessOrEqual),
        ("ge", Operator::GreaterOrEqual),
        ("lt", Operator::Less),
        ("gt", Operator::Greater),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

impl Parser<'_> {
    pub(crate) fn expression(&mut self) -> Parsed<Expression> {
        self.deeper(|parser| parser.level(0))
    }

    /// Expressions with commas between them, to the bracket that closes them, which is taken.
    pub(crate) fn expressions(&mut self, close: char) -> Parsed<Vec<Expression>> {
        let mut found = Vec::new();
        self.blanks();
        if self.rest().starts_with(close) {
            self.take(close.len_utf8());
            return Ok(found);
        }
        loop {
            found.push(self.expression()?);
            self.blanks();
            if self.rest().starts_with(',') {
                self.take(1);
                continue;
            }
            self.expect(close)?;
            return Ok(found);
        }
    }

    fn level(&mut self, level: usize) -> Parsed<Expression> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let first = self.level(level + 1)?;
        let mut more = Vec::new();
        while let Some((operator, length)) = self.operator(operators) {
            self.take(length);
            more.push((operator, self.level(level + 1)?));
        }
        Ok(if more.is_empty() { first } else { Expression::Chain(Box::new(first), more) })
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<(Operator, usize)> {
        self.blanks();
        let (rest, word) = (self.rest(), self.word());
        let is_here = |name: &str| match name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            true => word == Some(name),
            false => rest.starts_with(name),
        };
        operators.iter().find(|(name, _)| is_here(name)).map(|(name, operator)| (*operator, name.len()))
    }

    fn unary(&mut self) -> Parsed<Expression> {
        self.blanks();
        if self.rest().starts_with('!') {
            self.take(1);
        } else if self.word() == Some("not") {
            self.take(3);
        } else {
            return self.primary();
        }
        let negated = self.deeper(Self::unary)?;
        Ok(Expression::Not(Box::new(negated)))
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let Some(first) = self.rest().chars().next() else { return Err(self.error("an expression is missing")) };
        match first {
            '(' => {
                self.take(1);
                let inside = self.expression()?;
                self.expect(')')?;
                Ok(inside)
            }
            '\'' => self.quoted('\'').map(|text| Expression::Text(text.into())),
            '"' => {
                let text = self.quoted('"')?;
                match text.contains(['$', '#']) {
                    true => self.interpolated(&text).map(Expression::Interpolated),
                    false => Ok(Expression::Text(text.into())),
                }
            }
            '[' => self.list(),
            '{' => self.map(),
            '$' => match self.reference()? {
                Some(reference) => Ok(Expression::Reference(Box::new(reference))),
                None => Err(self.error("'$' begins no reference")),
            },
            '-' if !self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                self.take(1);
                let negative = self.deeper(Self::unary)?;
                Ok(Expression::Negative(Box::new(negative)))
            }
            '-' | '0'..='9' => self.number(),
            _ => match self.word() {
                Some(word @ ("true" | "false")) => {
                    self.take(word.len());
                    Ok(Expression::Boolean(word == "true"))
                }
                Some("null") => {
                    self.take(4);
                    Ok(Expression::Null)
                }
                Some(word) => Err(self.error(format!("'{word}' is no expression: texts stand in quotes"))),
                None => Err(self.error(format!("'{first}' begins no expression"))),
            },
        }
    }

    /// A text in quotes. Two of them are one in it; backslashes are nothing else, as in Velocity.
    fn quoted(&mut self, quote: char) -> Parsed<String> {
        let begin = self.error(format!("{quote} without another one"));
        self.take(1);
        let mut text = String::new();
        loop {
            let end = self.rest().find(quote).ok_or_else(|| begin.clone())?;
            text.push_str(self.take(end));
            self.take(1);
            if !self.rest().starts_with(quote) {
                return Ok(text);
            }
            text.push_str(self.take(1));
        }
    }

    fn number(&mut self) -> Parsed<Expression> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with('-'));
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let whole = sign + digits(&rest[sign..]);
        // `1..5` is a range.
        let behind = rest[whole..].strip_prefix('.').map_or(0, digits);
        if behind == 0 {
            let number = rest[..whole].parse().map_err(|_| self.error(format!("{} is too large", &rest[..whole])))?;
            self.take(whole);
            return Ok(Expression::Integer(number));
        }
        let number = self.take(whole + 1 + behind).parse().map_err(|_| self.error("that is no number"))?;
        Ok(Expression::Number(number))
    }

    /// `[a, b]` or `[a..b]`
    fn list(&mut self) -> Parsed<Expression> {
        self.take(1);
        self.blanks();
        if self.rest().starts_with(']') {
            self.take(1);
            return Ok(Expression::List(Vec::new()));
        }
        let first = self.expression()?;
        self.blanks();
        if self.rest().starts_with("..") {
            self.take(2);
            let last = self.expression()?;
            self.expect(']')?;
            return Ok(Expression::Range(Box::new((first, last))));
        }
        let mut items = vec![first];
        if self.rest().starts_with(',') {
            self.take(1);
            items.extend(self.expressions(']')?);
        } else {
            self.expect(']')?;
        }
        Ok(Expression::List(items))
    }

    /// `{"a": 1}`
    fn map(&mut self) -> Parsed<Expression> {
        self.take(1);
        let mut members = Vec::new();
        loop {
            self.blanks();
            if members.is_empty() && self.rest().starts_with('}') {
                self.take(1);
                break;
            }
            let name = self.expression()?;
            self.expect(':')?;
            members.push((name, self.expression()?));
            self.blanks();
            if self.rest().starts_with(',') {
                self.take(1);
                continue;
            }
            self.expect('}')?;
            break;
        }
        Ok(Expression::Map(members))
    }
}

// An expression goes down through all levels and back up by one of them at a time.
const _: () = assert!(MAX_DEPTH * (LEVELS.len() + 4) < 1000, "the stack holds what a template may be nested");
