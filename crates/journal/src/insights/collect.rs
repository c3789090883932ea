//! What is kept of events while they come: the first rows of an order, or what `stats` counts.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::MAX_ROWS;
use super::aggregate::State;
use super::command::{Command, SortKey, Stats};
use super::execute::TooMuch;
use super::expression::{Context, Expression};
use super::row::Row;
use super::value::Value;

/// Of all that is kept for one query.
const MAX_BYTES: usize = 64 << 20;

/// What is kept.
#[derive(Debug)]
pub(super) enum Collector {
    Rows(Rows),
    Groups(Groups),
}

/// The first rows in an order: the newest, where none is named.
#[derive(Debug)]
pub(super) struct Rows {
    keys: Vec<SortKey>,
    dedup: Option<Vec<Expression>>,
    /// Commands that this does the work of.
    consumed: usize,
    keep: usize,
    /// What is still needed of an event.
    needed: Vec<Arc<str>>,
    kept: Vec<Kept>,
    bytes: usize,
    taken: u64,
}

#[derive(Debug)]
struct Kept {
    keys: Vec<Value>,
    /// None: like no other.
    identity: Option<String>,
    time_ms: i64,
    number: u64,
    columns: Vec<(Arc<str>, Value)>,
    bytes: usize,
}

/// What `stats` counts, by group.
#[derive(Debug)]
pub(super) struct Groups {
    stats: Stats,
    groups: HashMap<String, (Vec<Value>, Vec<State>)>,
    bytes: usize,
}

impl Collector {
    /// For the commands from the first that needs to see all rows.
    pub(super) fn of(commands: &[Command], output: Vec<Arc<str>>) -> Self {
        if let Some(Command::Stats(stats)) = commands.first() {
            return Self::Groups(Groups::new(stats.clone()));
        }
        let mut needed = output;
        commands.iter().for_each(|command| command.fields(&mut needed));
        let mut seen = HashSet::new();
        needed.retain(|name| seen.insert(Arc::clone(name)));
        let (keys, rest) = match commands {
            [Command::Sort(keys), rest @ ..] => (keys.clone(), rest),
            rest => (Vec::new(), rest),
        };
        let (dedup, rest) = match rest {
            [Command::Dedup(expressions), rest @ ..] => (Some(expressions.clone()), rest),
            rest => (None, rest),
        };
        let keep = if let [Command::Limit(limit), ..] = rest { *limit } else { MAX_ROWS };
        let consumed = commands.len() - rest.len();
        Self::Rows(Rows { keys, dedup, consumed, keep, needed, kept: Vec::new(), bytes: 0, taken: 0 })
    }

    pub(super) fn take(&mut self, row: &Row<'_>, time_ms: i64, context: Context<'_>) -> Result<(), TooMuch> {
        match self {
            Self::Rows(rows) => {
                rows.take(row, time_ms, context);
                Ok(())
            }
            Self::Groups(groups) => groups.take(row, context),
        }
    }

    /// The rows, and how many commands have been applied with that.
    pub(super) fn finish(self, now_ms: i64) -> (Vec<Row<'static>>, usize) {
        match self {
            Self::Rows(mut rows) => {
                rows.shrink();
                (rows.kept.into_iter().map(|kept| Row::made(kept.columns)).collect(), rows.consumed)
            }
            Self::Groups(groups) => (groups.finish(now_ms), 1),
        }
    }
}

impl Rows {
    fn take(&mut self, row: &Row<'_>, time_ms: i64, context: Context<'_>) {
        let keys: Vec<Value> = self.keys.iter().map(|key| key.expression.of(row, context)).collect();
        let identity = self.dedup.as_ref().and_then(|expressions| identity(expressions, row, context));
        let value = |name: &Arc<str>| Some((Arc::clone(name), row.value(name))).filter(|(_, value)| !value.is_null());
        let columns: Vec<(Arc<str>, Value)> = self.needed.iter().filter_map(value).collect();
        let weight = columns.iter().map(|(_, value)| value).chain(&keys).map(Value::weight).sum::<usize>();
        let bytes = weight + identity.as_ref().map_or(0, String::len) + size_of::<Kept>();
        self.taken += 1;
        self.bytes += bytes;
        self.kept.push(Kept { keys, identity, time_ms, number: self.taken, columns, bytes });
        if self.kept.len() >= 2 * self.keep.max(512) || self.bytes > MAX_BYTES {
            self.shrink();
        }
    }

    /// Keeps what the result can have of what was seen.
    fn shrink(&mut self) {
        let keys = &self.keys;
        self.kept.sort_by(|one, other| {
            let newest = || (other.time_ms, other.number).cmp(&(one.time_ms, one.number));
            order(keys, &one.keys, &other.keys).then_with(newest)
        });
        if self.dedup.is_some() {
            let mut seen = HashSet::new();
            self.kept.retain(|kept| kept.identity.clone().is_none_or(|identity| seen.insert(identity)));
        }
        self.kept.truncate(self.keep);
        let mut bytes = 0;
        let fits = self.kept.iter().take_while(|kept| {
            bytes += kept.bytes;
            bytes <= MAX_BYTES / 2
        });
        let fits = fits.count();
        self.kept.truncate(fits);
        self.bytes = self.kept.iter().map(|kept| kept.bytes).sum();
    }
}

impl Groups {
    pub(super) fn new(stats: Stats) -> Self {
        Self { stats, groups: HashMap::new(), bytes: 0 }
    }

    pub(super) fn take(&mut self, row: &Row<'_>, context: Context<'_>) -> Result<(), TooMuch> {
        let by: Vec<Value> = self.stats.by.iter().map(|column| column.expression.of(row, context)).collect();
        let key = joined(&by);
        let aggregates = &self.stats.aggregates;
        let bytes = &mut self.bytes;
        let (_, states) = self.groups.entry(key).or_insert_with_key(|key| {
            let states: Vec<State> = aggregates.iter().map(|aggregate| aggregate.kind.state()).collect();
            *bytes += key.len() + by.iter().map(Value::weight).sum::<usize>() + size_of_val(&*states) + 64;
            (by, states)
        });
        for (aggregate, state) in aggregates.iter().zip(states) {
            *bytes += aggregate.add(state, row, context);
        }
        if self.bytes > MAX_BYTES { Err(TooMuch) } else { Ok(()) }
    }

    /// A row each, in the order of what they are grouped by. Where nothing is grouped, there is one, also of nothing.
    pub(super) fn finish(mut self, now_ms: i64) -> Vec<Row<'static>> {
        if self.groups.is_empty() && self.stats.by.is_empty() {
            let states = self.stats.aggregates.iter().map(|aggregate| aggregate.kind.state()).collect();
            self.groups.insert(String::new(), (Vec::new(), states));
        }
        let mut groups: Vec<(Vec<Value>, Vec<State>)> = self.groups.into_values().collect();
        groups.sort_by(|(one, _), (other, _)| {
            one.iter().zip(other).map(|(one, other)| one.order(other)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        });
        let row = |(by, states): (Vec<Value>, Vec<State>)| {
            let results = self.stats.aggregates.iter().zip(states);
            let aggregates: Vec<Value> = results.map(|(aggregate, state)| aggregate.result(state)).collect();
            let context = Context { now_ms, aggregates: &aggregates };
            let mut columns: Vec<(Arc<str>, Value)> =
                self.stats.by.iter().map(|column| Arc::clone(&column.name)).zip(by).collect();
            for column in &self.stats.columns {
                columns.push((Arc::clone(&column.name), column.expression.of(&Row::default(), context)));
            }
            Row::made(columns)
        };
        groups.into_iter().map(row).collect()
    }
}

/// Of two rows by the values of these keys.
pub(super) fn order(keys: &[SortKey], one: &[Value], other: &[Value]) -> Ordering {
    let by_key = keys.iter().zip(one.iter().zip(other)).map(|(key, (one, other))| {
        let order = one.order(other);
        if key.descending { order.reverse() } else { order }
    });
    by_key.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// What `dedup` tells rows apart by. One that has nothing of it is like no other.
pub(super) fn identity(expressions: &[Expression], row: &Row<'_>, context: Context<'_>) -> Option<String> {
    let values: Vec<Value> = expressions.iter().map(|expression| expression.of(row, context)).collect();
    if values.iter().all(Value::is_null) { None } else { Some(joined(&values)) }
}

/// Values as one text; others are another one.
fn joined(values: &[Value]) -> String {
    let mut text = String::new();
    for value in values {
        match value.shown() {
            None => text.push('-'),
            Some(shown) => {
                text.push_str(&shown.len().to_string());
                text.push(':');
                text.push_str(&shown);
            }
        }
    }
    text
}
