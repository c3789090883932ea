//! `&&`, `||` and parentheses around tests.

use super::PatternError;
use super::cursor::Cursor;

/// Parentheses within parentheses that are read.
const MAX_DEPTH: usize = 32;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression<T> {
    Test(T),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl<T> Expression<T> {
    pub(super) fn parse(
        cursor: &mut Cursor<'_>,
        test: &impl Fn(&mut Cursor<'_>) -> Result<T, PatternError>,
    ) -> Result<Self, PatternError> {
        Self::any(cursor, test, 0)
    }

    pub(super) fn holds(&self, test: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Test(one) => test(one),
            Self::All(all) => all.iter().all(|one| one.holds(test)),
            Self::Any(any) => any.iter().any(|one| one.holds(test)),
        }
    }

    /// Every test.
    pub(super) fn tests(&self) -> Vec<&T> {
        match self {
            Self::Test(one) => vec![one],
            Self::All(several) | Self::Any(several) => several.iter().flat_map(Self::tests).collect(),
        }
    }

    fn any(
        cursor: &mut Cursor<'_>,
        test: &impl Fn(&mut Cursor<'_>) -> Result<T, PatternError>,
        depth: usize,
    ) -> Result<Self, PatternError> {
        let mut any = vec![Self::all(cursor, test, depth)?];
        while cursor.eat("||") {
            any.push(Self::all(cursor, test, depth)?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Self::Any(any) })
    }

    fn all(
        cursor: &mut Cursor<'_>,
        test: &impl Fn(&mut Cursor<'_>) -> Result<T, PatternError>,
        depth: usize,
    ) -> Result<Self, PatternError> {
        let mut all = vec![Self::one(cursor, test, depth)?];
        while cursor.eat("&&") {
            all.push(Self::one(cursor, test, depth)?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Self::All(all) })
    }

    fn one(
        cursor: &mut Cursor<'_>,
        test: &impl Fn(&mut Cursor<'_>) -> Result<T, PatternError>,
        depth: usize,
    ) -> Result<Self, PatternError> {
        if !cursor.eat("(") {
            return test(cursor).map(Self::Test);
        }
        if depth == MAX_DEPTH {
            return Err(cursor.error("too many parentheses"));
        }
        let inner = Self::any(cursor, test, depth + 1)?;
        cursor.expect(")")?;
        Ok(inner)
    }
}
