//! Reading a pattern from left to right.

use super::PatternError;

pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// A word or a quoted string.
pub(super) struct Word {
    pub text: String,
    pub quoted: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn back_to(&mut self, at: usize) {
        self.at = at;
    }

    pub(super) fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Whether `token` comes next, spaces aside; reads it then.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let start = self.at;
        self.skip_space();
        if self.rest().starts_with(token) {
            self.at += token.len();
            return true;
        }
        self.at = start;
        false
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), PatternError> {
        if self.eat(token) { Ok(()) } else { Err(self.error(&format!("expected {token:?}"))) }
    }

    /// A keyword, in any case.
    pub(super) fn keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        let end = self.rest().find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest().len());
        let found = self.rest()[..end].eq_ignore_ascii_case(keyword);
        if found {
            self.at += end;
        }
        found
    }

    /// Characters until the first that `ends` a word; may be none.
    pub(super) fn until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(ends).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A string in double quotes, or characters until the first that `ends` a word.
    pub(super) fn word(&mut self, ends: impl Fn(char) -> bool) -> Result<Word, PatternError> {
        self.skip_space();
        let quoted = self.peek() == Some('"');
        let text = if quoted { self.quoted('"')? } else { self.until(ends).to_owned() };
        if text.is_empty() && !quoted {
            return Err(self.error("expected a value"));
        }
        Ok(Word { text, quoted })
    }

    /// A string between `quote`s, in which a backslash takes the next character as it is.
    pub(super) fn quoted(&mut self, quote: char) -> Result<String, PatternError> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => text.extend(chars.next().map(|(_, c)| c)),
                _ if c == quote => {
                    self.at = start + at + c.len_utf8();
                    return Ok(text);
                }
                _ => text.push(c),
            }
        }
        Err(self.error("a string has no end"))
    }

    pub(super) fn end(&mut self) -> Result<(), PatternError> {
        self.skip_space();
        if self.rest().is_empty() { Ok(()) } else { Err(self.error("expected the end")) }
    }

    pub(super) fn error(&self, what: &str) -> PatternError {
        PatternError(format!("{what} at character {}", self.text[..self.at].chars().count() + 1))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }
}
