//! A query under way: events go in, rows come out.

use std::collections::HashSet;
use std::sync::Arc;

use super::collect::Collector;
use super::command::{Column, Command};
use super::expression::{Context, Expression};
use super::row::{Event, Row};
use super::value::Value;
use super::{MAX_ROWS, Query, ResultRow, Source};

/// Applies a query to events.
#[derive(Debug)]
pub struct Execution {
    query: Arc<Query>,
    /// Commands before this one are applied to each event as it comes.
    streamed: usize,
    collector: Collector,
    now_ms: i64,
    limit: usize,
}

/// The groups of `stats` take more memory than a query is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the query makes more groups than there is memory for: filter more, or group by less")]
pub struct TooMuch;

impl Execution {
    /// Of a query that is asked now; its result has at most `limit` rows, if that is given.
    pub fn new(query: Arc<Query>, now_ms: i64, limit: Option<usize>) -> Self {
        let commands = &query.commands;
        let is_blocking = |command: &Command| {
            matches!(command, Command::Stats(_) | Command::Sort(_) | Command::Limit(_) | Command::Dedup(_))
        };
        let streamed = commands.iter().position(is_blocking).unwrap_or(commands.len());
        let collector = Collector::of(commands.get(streamed..).unwrap_or_default(), output(&query));
        let limit = query.limit().or(limit).unwrap_or(MAX_ROWS).min(MAX_ROWS);
        Self { streamed, collector, now_ms, limit, query }
    }

    /// Takes an event in. Whether it matches what the query filters by.
    pub fn push(&mut self, source: Source) -> Result<bool, TooMuch> {
        let event = Event::new(source);
        let mut row = Row::of(&event);
        let context = Context { now_ms: self.now_ms, aggregates: &[] };
        for command in self.query.commands.iter().take(self.streamed) {
            if !apply(command, &mut row, context) {
                return Ok(false);
            }
        }
        self.collector.take(&row, event.source.time_ms, context)?;
        Ok(true)
    }

    /// The rows.
    pub fn finish(self) -> Vec<ResultRow> {
        let (mut rows, consumed) = self.collector.finish(self.now_ms);
        let context = Context { now_ms: self.now_ms, aggregates: &[] };
        for command in self.query.commands.iter().skip(self.streamed + consumed) {
            rows = applied(command, rows, context);
        }
        rows.truncate(self.limit);
        let columns = output(&self.query);
        let shown = |row: Row<'_>| -> ResultRow {
            let value = |name: &Arc<str>| Some((name.to_string(), row.value(name).shown()?));
            columns.iter().filter_map(value).collect()
        };
        rows.into_iter().map(shown).collect()
    }
}

/// Applies a command that looks at one row at a time. Whether the row stays.
fn apply(command: &Command, row: &mut Row<'_>, context: Context<'_>) -> bool {
    match command {
        Command::Fields(columns) | Command::Display(columns) => {
            for Column { name, expression } in columns {
                if !matches!(expression, Expression::Field(field) if field == name) {
                    let value = expression.of(row, context);
                    row.add(Arc::clone(name), value);
                }
            }
        }
        Command::Filter(expression) => return expression.of(row, context).truth(),
        Command::Parse(extract) => extract.apply(row, context),
        Command::Stats(_) | Command::Sort(_) | Command::Limit(_) | Command::Dedup(_) => {}
    }
    true
}

/// Applies any command to all rows.
fn applied<'e>(command: &Command, mut rows: Vec<Row<'e>>, context: Context<'_>) -> Vec<Row<'e>> {
    match command {
        Command::Sort(keys) => {
            let values = |row: &Row<'_>| keys.iter().map(|key| key.expression.of(row, context)).collect();
            let mut keyed: Vec<(Vec<Value>, Row<'e>)> = rows.into_iter().map(|row| (values(&row), row)).collect();
            keyed.sort_by(|(one, _), (other, _)| super::collect::order(keys, one, other));
            keyed.into_iter().map(|(_, row)| row).collect()
        }
        Command::Limit(limit) => {
            rows.truncate(*limit);
            rows
        }
        Command::Dedup(expressions) => {
            let mut seen = HashSet::new();
            rows.retain(|row| {
                super::collect::identity(expressions, row, context).is_none_or(|identity| seen.insert(identity))
            });
            rows
        }
        Command::Stats(stats) => {
            let mut groups = super::collect::Groups::new(stats.clone());
            for row in &rows {
                // There are no more groups than rows, and these are bounded.
                let _ = groups.take(row, context);
            }
            groups.finish(context.now_ms)
        }
        _ => {
            rows.retain_mut(|row| apply(command, row, context));
            rows
        }
    }
}

/// The columns of a query's result.
fn output(query: &Query) -> Vec<Arc<str>> {
    let mut columns: Vec<Arc<str>> = Vec::new();
    let mut is_displayed = false;
    let names = |columns: &[Column]| columns.iter().map(|column| Arc::clone(&column.name)).collect::<Vec<_>>();
    for command in &query.commands {
        match command {
            Command::Display(shown) => {
                columns = names(shown);
                is_displayed = true;
            }
            Command::Fields(shown) if !is_displayed => columns.extend(names(shown)),
            Command::Parse(extract) if !is_displayed && !columns.is_empty() => columns.extend(extract.names.clone()),
            Command::Stats(stats) => {
                columns = names(&stats.by);
                columns.extend(names(&stats.columns));
                is_displayed = false;
            }
            _ => {}
        }
    }
    if columns.is_empty() {
        columns = vec!["@timestamp".into(), "@message".into()];
    }
    if query.is_of_events() {
        columns.push("@ptr".into());
    }
    let mut seen = HashSet::new();
    columns.retain(|name| seen.insert(Arc::clone(name)));
    columns
}
