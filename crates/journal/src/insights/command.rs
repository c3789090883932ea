//! The commands of a query.

use std::sync::Arc;

use super::aggregate::Aggregate;
use super::expression::Expression;
use super::extract::Extract;

#[derive(Clone, Debug)]
pub(super) enum Command {
    Fields(Vec<Column>),
    Display(Vec<Column>),
    Filter(Expression),
    Stats(Stats),
    Sort(Vec<SortKey>),
    Limit(usize),
    Dedup(Vec<Expression>),
    Parse(Extract),
}

/// An expression and its name: what `as` says, or its own text.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: Arc<str>,
    pub(super) expression: Expression,
}

#[derive(Clone, Debug)]
pub(super) struct SortKey {
    pub(super) expression: Expression,
    pub(super) descending: bool,
}

/// `stats count(*), sum(x)/count(x) as mean by a, bin(5m)`
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    pub(super) by: Vec<Column>,
    pub(super) aggregates: Vec<Aggregate>,
    /// Of the aggregates.
    pub(super) columns: Vec<Column>,
}

impl Command {
    /// Names every field that it looks at.
    pub(super) fn fields(&self, found: &mut Vec<Arc<str>>) {
        match self {
            Self::Fields(columns) | Self::Display(columns) => {
                columns.iter().for_each(|column| column.expression.fields(found));
            }
            Self::Filter(expression) => expression.fields(found),
            Self::Stats(stats) => {
                stats.by.iter().for_each(|column| column.expression.fields(found));
                stats.aggregates.iter().for_each(|aggregate| aggregate.fields(found));
            }
            Self::Sort(keys) => keys.iter().for_each(|key| key.expression.fields(found)),
            Self::Dedup(expressions) => expressions.iter().for_each(|expression| expression.fields(found)),
            Self::Parse(extract) => extract.subject.fields(found),
            Self::Limit(_) => {}
        }
    }
}
