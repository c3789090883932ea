//! CloudWatch Logs Insights' query language ("CloudWatch Logs Insights language query syntax" in AWS's user guide): parsed to a
//! [`Query`], which an [`Execution`] applies to events one by one, so that no more is kept than the result needs.
//!
//! Served: `fields`, `display`, `filter`, `stats`, `sort`, `limit`, `dedup`, `parse` and comments. Other commands are refused when a
//! query is parsed, never when it runs.

mod aggregate;
mod collect;
mod command;
mod execute;
mod expression;
mod extract;
mod function;
mod lexer;
mod parser;
mod period;
mod precedence;
mod row;
mod value;

#[cfg(test)]
mod tests;

pub use execute::{Execution, TooMuch};
pub use row::{Source, discovered};

use command::Command;

/// AWS's limit on a query, in characters.
pub const MAX_QUERY_CHARS: usize = 10_000;
/// AWS's limit on a result.
pub const MAX_ROWS: usize = 10_000;

/// A parsed query.
#[derive(Clone, Debug)]
pub struct Query {
    commands: Vec<Command>,
}

/// A query that cannot be read: what is wrong, and where, in characters from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    /// For people.
    pub message: String,
    /// First character of what is wrong.
    pub start: usize,
    /// Behind its last one.
    pub end: usize,
}

/// A row of a result: names and values, in the order of the columns. What has no value is not there.
pub type ResultRow = Vec<(String, String)>;

impl Query {
    /// Parses a query.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        parser::parse(text)
    }

    /// Whether its rows are events, and not what `stats` made of them.
    pub fn is_of_events(&self) -> bool {
        !self.commands.iter().any(|command| matches!(command, Command::Stats(_)))
    }

    /// The rows that it asks for itself.
    pub fn limit(&self) -> Option<usize> {
        self.commands.iter().rev().find_map(|command| match command {
            Command::Limit(rows) => Some(*rows),
            _ => None,
        })
    }
}
