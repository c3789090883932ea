//! `ERROR "exact phrase" -excluded`, `?one ?another`

use super::PatternError;
use super::cursor::Cursor;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Terms {
    required: Vec<String>,
    excluded: Vec<String>,
    /// One of these suffices; looked at only where there is no other term.
    optional: Vec<String>,
}

impl Terms {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, PatternError> {
        let mut terms = Self::default();
        loop {
            cursor.skip_space();
            let list = match cursor.peek() {
                None => return Ok(terms),
                Some('-') => &mut terms.excluded,
                Some('?') => &mut terms.optional,
                Some('%') => return Err(cursor.error("regular expressions (%…%) are not supported")),
                Some(_) => &mut terms.required,
            };
            let _ = cursor.eat("-") || cursor.eat("?");
            if cursor.peek().is_none_or(char::is_whitespace) {
                return Err(cursor.error("expected a term"));
            }
            list.push(cursor.word(|c| c.is_whitespace() || c == '"')?.text);
        }
    }

    pub(super) fn match_message(&self, message: &str) -> bool {
        let contains = |term: &String| message.contains(term.as_str());
        if self.required.is_empty() && self.excluded.is_empty() {
            return self.optional.iter().any(contains);
        }
        self.required.iter().all(contains) && !self.excluded.iter().any(contains)
    }
}
