//! From words to commands.

use std::sync::Arc;

use super::aggregate::{Aggregate, Kind as Counted};
use super::command::{Column, Command, SortKey, Stats};
use super::expression::Expression;
use super::extract::{Extract, Pattern};
use super::lexer::{Kind, Lexer, Token};
use super::{MAX_ROWS, Malformed, Query};

/// Commands that AWS has and that are not here.
const NOT_SERVED: [&str; 12] = [
    "anomaly",
    "diff",
    "filterIndex",
    "join",
    "lookup",
    "mask",
    "pattern",
    "source",
    "subquery",
    "unmask",
    "unnest",
    "where",
];
const MAX_COMMANDS: usize = 64;

/// Reads a query.
pub(super) fn parse(text: &str) -> Result<Query, Malformed> {
    let mut parser = Parser::new(text)?;
    let mut commands = Vec::new();
    loop {
        let (start, command) = (parser.lexer.at(), parser.command()?);
        commands.push(command);
        if commands.len() > MAX_COMMANDS {
            return Err(parser.malformed_from(format!("a query has at most {MAX_COMMANDS} commands"), start));
        }
        let token = parser.next()?;
        match token.kind {
            Kind::Sign("|") => {}
            Kind::End => return Ok(Query { commands }),
            _ => return Err(parser.unexpected(&token)),
        }
    }
}

pub(super) struct Parser<'q> {
    pub(super) lexer: Lexer<'q>,
    /// What `stats` counts; none outside of it.
    pub(super) aggregates: Option<Vec<Aggregate>>,
    /// Of expressions in one another.
    pub(super) depth: usize,
    /// Of all expressions.
    pub(super) parts: usize,
    pub(super) regexes: usize,
}

impl<'q> Parser<'q> {
    fn new(text: &'q str) -> Result<Self, Malformed> {
        Ok(Self { lexer: Lexer::new(text)?, aggregates: None, depth: 0, parts: 0, regexes: 0 })
    }

    fn command(&mut self) -> Result<Command, Malformed> {
        let token = self.next()?;
        let Kind::Word(word) = &token.kind else { return Err(self.unexpected(&token)) };
        match word.to_ascii_lowercase().as_str() {
            "fields" => Ok(Command::Fields(self.columns()?)),
            "display" => Ok(Command::Display(self.columns()?)),
            "filter" => Ok(Command::Filter(self.expression()?)),
            "stats" => self.stats(),
            "sort" => Ok(Command::Sort(self.list(Self::sort_key)?)),
            "limit" => self.limit(),
            "dedup" => Ok(Command::Dedup(self.list(Self::expression)?)),
            "parse" => self.extract(),
            known if NOT_SERVED.iter().any(|command| command.eq_ignore_ascii_case(known)) => {
                Err(self.lexer.malformed(format!("the command {word} is not served here"), token.start, token.end))
            }
            _ => Err(self.unexpected(&token)),
        }
    }

    fn columns(&mut self) -> Result<Vec<Column>, Malformed> {
        self.list(Self::column)
    }

    fn column(&mut self) -> Result<Column, Malformed> {
        let start = self.peek()?.start;
        let expression = self.expression()?;
        let text = self.lexer.text(start, self.lexer.at());
        let name: Arc<str> = match (&expression, self.keyword("as")?) {
            (_, true) => self.name()?,
            (Expression::Field(name), false) => Arc::clone(name),
            (_, false) => text.into(),
        };
        Ok(Column { name, expression })
    }

    fn stats(&mut self) -> Result<Command, Malformed> {
        self.aggregates = Some(Vec::new());
        let start = self.peek()?.start;
        let columns = self.columns()?;
        let aggregates = self.aggregates.take().unwrap_or_default();
        let mut fields = Vec::new();
        columns.iter().for_each(|column| column.expression.fields(&mut fields));
        if let Some(field) = fields.first() {
            return Err(self.malformed_from(format!("{field} is not counted: stats needs a function of it"), start));
        }
        if aggregates.is_empty() {
            return Err(self.malformed_from("stats needs a function: count(*), avg(field), …".to_owned(), start));
        }
        let by = if self.keyword("by")? { self.columns()? } else { Vec::new() };
        Ok(Command::Stats(Stats { by, aggregates, columns }))
    }

    /// The arguments of a function of `stats`, from behind its name on.
    pub(super) fn aggregate(&mut self, mut kind: Counted, name: &Token) -> Result<Expression, Malformed> {
        let Some(mut aggregates) = self.aggregates.take() else {
            let message = format!("{} is a function of stats", self.lexer.text(name.start, name.end));
            return Err(self.lexer.malformed(message, name.start, name.end));
        };
        self.expect("(")?;
        let any = kind == Counted::Count && (self.sign("*")? || self.peek()?.kind == Kind::Sign(")"));
        // Nothing is counted of what is counted: in here there are no such functions.
        let argument = if any { None } else { Some(self.expression()?) };
        if let Counted::Percentile(percent) = &mut kind {
            self.expect(",")?;
            let token = self.next()?;
            match token.kind {
                Kind::Number(number) if (0.0..=100.0).contains(&number) => *percent = number,
                _ => return Err(self.lexer.malformed("a percentile is from 0 to 100", token.start, token.end)),
            }
        }
        self.expect(")")?;
        aggregates.push(Aggregate { kind, argument });
        let place = aggregates.len() - 1;
        self.aggregates = Some(aggregates);
        Ok(Expression::Aggregate(place))
    }

    fn sort_key(&mut self) -> Result<SortKey, Malformed> {
        let expression = self.expression()?;
        let descending = self.keyword("desc")?;
        if !descending {
            self.keyword("asc")?;
        }
        Ok(SortKey { expression, descending })
    }

    fn limit(&mut self) -> Result<Command, Malformed> {
        let token = self.next()?;
        let rows = if let Kind::Number(number) = token.kind { super::value::whole(number) } else { None };
        let rows = rows.and_then(|rows| usize::try_from(rows).ok()).filter(|rows| (1..=MAX_ROWS).contains(rows));
        let message = format!("a limit is a number from 1 to {MAX_ROWS}");
        rows.map(Command::Limit).ok_or_else(|| self.lexer.malformed(message, token.start, token.end))
    }

    fn extract(&mut self) -> Result<Command, Malformed> {
        let has_pattern = |parser: &mut Self| -> Result<bool, Malformed> {
            let at = parser.lexer.at();
            let is_regex = parser.lexer.regex();
            parser.lexer.back_to(at);
            Ok(is_regex.is_ok_and(|regex| regex.is_some()) || matches!(parser.peek()?.kind, Kind::Text(_)))
        };
        let subject = if has_pattern(self)? { Expression::Field("@message".into()) } else { self.primary()? };
        let start = self.lexer.at();
        let (pattern, mut names) = match self.regex()? {
            Some(regex) => Pattern::regex(regex),
            None => {
                let token = self.next()?;
                let Kind::Text(text) = &token.kind else { return Err(self.unexpected(&token)) };
                (Pattern::glob(text), Vec::new())
            }
        };
        let is_named = !names.is_empty();
        if self.keyword("as")? {
            names = self.list(Self::name)?;
        }
        if names.len() != pattern.count() || names.is_empty() {
            let hint = if is_named { "" } else { ": name each * or group behind as" };
            let message = format!("the pattern gives {} fields, and {} are named{hint}", pattern.count(), names.len());
            return Err(self.malformed_from(message, start));
        }
        Ok(Command::Parse(Extract { subject, pattern, names }))
    }

    fn name(&mut self) -> Result<Arc<str>, Malformed> {
        let token = self.next()?;
        match token.kind {
            Kind::Word(name) | Kind::Field(name) => Ok(name.into()),
            _ => Err(self.unexpected(&token)),
        }
    }

    pub(super) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let mut items = vec![item(self)?];
        while self.sign(",")? {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(super) fn next(&mut self) -> Result<Token, Malformed> {
        self.lexer.next()
    }

    pub(super) fn peek(&mut self) -> Result<Token, Malformed> {
        let at = self.lexer.at();
        let token = self.lexer.next();
        self.lexer.back_to(at);
        token
    }

    /// Whether this comes next; reads it then.
    pub(super) fn sign(&mut self, sign: &'static str) -> Result<bool, Malformed> {
        let found = self.peek()?.kind == Kind::Sign(sign);
        if found {
            self.next()?;
        }
        Ok(found)
    }

    /// Whether this comes next, in any case; reads it then.
    pub(super) fn keyword(&mut self, keyword: &str) -> Result<bool, Malformed> {
        let found = matches!(&self.peek()?.kind, Kind::Word(word) if word.eq_ignore_ascii_case(keyword));
        if found {
            self.next()?;
        }
        Ok(found)
    }

    pub(super) fn expect(&mut self, sign: &'static str) -> Result<(), Malformed> {
        let token = self.next()?;
        if token.kind == Kind::Sign(sign) { Ok(()) } else { Err(self.unexpected(&token)) }
    }

    pub(super) fn unexpected(&self, token: &Token) -> Malformed {
        let message = match token.kind {
            Kind::End => "unexpected end of the query".to_owned(),
            _ => format!("unexpected symbol found {}", self.lexer.text(token.start, token.end)),
        };
        self.lexer.malformed(message, token.start, token.end)
    }

    pub(super) fn malformed_from(&self, message: String, start: usize) -> Malformed {
        self.lexer.malformed(message, start, self.lexer.at())
    }
}
