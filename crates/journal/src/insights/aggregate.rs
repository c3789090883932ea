//! What `stats` counts.

use std::collections::HashSet;
use std::sync::Arc;

use super::expression::{Context, Expression};
use super::row::Row;
use super::value::Value;

/// `count(*)`, `pct(x, 95)`
#[derive(Clone, Debug)]
pub(super) struct Aggregate {
    pub(super) kind: Kind,
    /// None: of rows, whatever they hold.
    pub(super) argument: Option<Expression>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Count,
    CountDistinct,
    Sum,
    Average,
    Minimum,
    Maximum,
    Deviation,
    /// 0 to 100
    Percentile(f64),
    Earliest,
    Latest,
    SortsFirst,
    SortsLast,
}

/// What has come together of one group.
#[derive(Clone, Debug)]
pub(super) enum State {
    Count(u64),
    Distinct(HashSet<String>),
    /// How many numbers, their sum, and that of their squares, moved by the first.
    Moments {
        count: f64,
        first: f64,
        sum: f64,
        squares: f64,
    },
    Numbers(Vec<f64>),
    /// A value, and by what it is the one.
    Chosen(Option<(Value, Value)>),
}

/// Names, as queries have them.
const KINDS: [(&str, Kind); 14] = [
    ("count", Kind::Count),
    ("count_distinct", Kind::CountDistinct),
    ("count_distinct_approx", Kind::CountDistinct),
    ("sum", Kind::Sum),
    ("avg", Kind::Average),
    ("min", Kind::Minimum),
    ("max", Kind::Maximum),
    ("stddev", Kind::Deviation),
    ("pct", Kind::Percentile(50.0)),
    ("percentile", Kind::Percentile(50.0)),
    ("earliest", Kind::Earliest),
    ("latest", Kind::Latest),
    ("sortsFirst", Kind::SortsFirst),
    ("sortsLast", Kind::SortsLast),
];

impl Kind {
    pub(super) fn named(name: &str) -> Option<Self> {
        KINDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
    }

    pub(super) fn state(self) -> State {
        match self {
            Self::Count => State::Count(0),
            Self::CountDistinct => State::Distinct(HashSet::new()),
            Self::Sum | Self::Average | Self::Deviation => {
                State::Moments { count: 0.0, first: 0.0, sum: 0.0, squares: 0.0 }
            }
            Self::Percentile(_) => State::Numbers(Vec::new()),
            _ => State::Chosen(None),
        }
    }
}

impl Aggregate {
    pub(super) fn fields(&self, found: &mut Vec<Arc<str>>) {
        if let Some(argument) = &self.argument {
            argument.fields(found);
        }
        if matches!(self.kind, Kind::Earliest | Kind::Latest) {
            found.push("@timestamp".into());
        }
    }

    /// Takes a row in; the answer is how many bytes more are kept.
    pub(super) fn add(&self, state: &mut State, row: &Row<'_>, context: Context<'_>) -> usize {
        let value = self.argument.as_ref().map(|argument| argument.of(row, context));
        match state {
            State::Count(count) => *count += u64::from(value.is_none_or(|value| !value.is_null())),
            State::Distinct(seen) => {
                if let Some(text) = value.and_then(|value| value.shown())
                    && !seen.contains(&text)
                {
                    let bytes = text.len() + 48;
                    seen.insert(text);
                    return bytes;
                }
            }
            State::Moments { count, first, sum, squares } => {
                if let Some(number) = value.and_then(|value| value.number()) {
                    if *count == 0.0 {
                        *first = number;
                    }
                    *count += 1.0;
                    *sum += number;
                    *squares += (number - *first).powi(2);
                }
            }
            State::Numbers(numbers) => {
                if let Some(number) = value.and_then(|value| value.number()) {
                    numbers.push(number);
                    return size_of::<f64>();
                }
            }
            State::Chosen(chosen) => return self.choose(chosen, value.unwrap_or_default(), row),
        }
        0
    }

    fn choose(&self, chosen: &mut Option<(Value, Value)>, value: Value, row: &Row<'_>) -> usize {
        let of_numbers = matches!(self.kind, Kind::Minimum | Kind::Maximum);
        if value.is_null() || (of_numbers && value.number().is_none()) {
            return 0;
        }
        let by = match self.kind {
            Kind::Earliest | Kind::Latest => row.value("@timestamp"),
            _ => value.clone(),
        };
        let is_better = chosen.as_ref().is_none_or(|(_, best)| match self.kind {
            Kind::Earliest | Kind::Minimum | Kind::SortsFirst => by.order(best).is_lt(),
            Kind::Latest => by.order(best).is_ge(),
            _ => by.order(best).is_gt(),
        });
        if !is_better {
            return 0;
        }
        let before = chosen.as_ref().map_or(0, |(value, by)| value.weight() + by.weight());
        let after = value.weight() + by.weight();
        *chosen = Some((value, by));
        after.saturating_sub(before)
    }

    /// What came of it.
    pub(super) fn result(&self, state: State) -> Value {
        match (state, self.kind) {
            #[expect(clippy::cast_precision_loss, reason = "there are not so many events")]
            (State::Count(count), _) => Value::Number(count as f64),
            #[expect(clippy::cast_precision_loss, reason = "there are not so many values")]
            (State::Distinct(seen), _) => Value::Number(seen.len() as f64),
            (State::Moments { count: 0.0, .. }, _) => Value::Null,
            (State::Moments { sum, .. }, Kind::Sum) => sum.into(),
            (State::Moments { count, sum, .. }, Kind::Average) => (sum / count).into(),
            (State::Moments { count, first, sum, squares }, _) => {
                let mean = sum / count - first;
                (squares / count - mean * mean).max(0.0).sqrt().into()
            }
            (State::Numbers(numbers), Kind::Percentile(percent)) => percentile(numbers, percent),
            (State::Numbers(_), _) => Value::Null,
            (State::Chosen(chosen), _) => chosen.map(|(value, _)| value).unwrap_or_default(),
        }
    }
}

/// By nearest rank.
fn percentile(mut numbers: Vec<f64>, percent: f64) -> Value {
    numbers.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "there are not so many values")]
    let rank = super::value::whole((numbers.len() as f64 * percent / 100.0).ceil());
    let place = usize::try_from(rank.unwrap_or(0).max(1) - 1).unwrap_or(0);
    numbers.get(place.min(numbers.len().saturating_sub(1))).copied().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, values: &[&str]) -> Option<String> {
        let aggregate = Aggregate { kind, argument: Some(Expression::Field("x".into())) };
        let mut state = kind.state();
        for (at, value) in (0..).zip(values) {
            let value = if value.is_empty() { Value::Null } else { Value::text(*value) };
            let row = Row::made(vec![("x".into(), value), ("@timestamp".into(), Value::Time(at))]);
            aggregate.add(&mut state, &row, Context { now_ms: 0, aggregates: &[] });
        }
        aggregate.result(state).shown()
    }

    #[test]
    fn what_comes_of_values() {
        let values = ["5", "1", "", "3", "1", "x"];
        for (kind, expected) in [
            (Kind::Count, Some("5")),
            (Kind::CountDistinct, Some("4")),
            (Kind::Sum, Some("10")),
            (Kind::Average, Some("2.5")),
            (Kind::Minimum, Some("1")),
            (Kind::Maximum, Some("5")),
            (Kind::Deviation, Some("1.6583")),
            (Kind::Percentile(50.0), Some("1")),
            (Kind::Percentile(75.0), Some("3")),
            (Kind::Percentile(100.0), Some("5")),
            (Kind::Percentile(0.0), Some("1")),
            (Kind::Earliest, Some("5")),
            (Kind::Latest, Some("x")),
            (Kind::SortsFirst, Some("1")),
            (Kind::SortsLast, Some("x")),
        ] {
            assert_eq!(of(kind, &values).as_deref(), expected, "{kind:?}");
        }
        for kind in [Kind::Sum, Kind::Average, Kind::Minimum, Kind::Deviation, Kind::Percentile(9.0), Kind::Latest] {
            assert_eq!(of(kind, &[""]), None, "{kind:?}");
        }
        assert_eq!(of(Kind::Count, &[]).as_deref(), Some("0"));
    }
}
