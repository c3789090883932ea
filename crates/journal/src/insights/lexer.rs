//! The words of a query.

use super::{MAX_QUERY_CHARS, Malformed};

/// A word, and where it stands in the text, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A field, a function or a keyword.
    Word(String),
    /// A field in backquotes, which is nothing else.
    Field(String),
    /// In either kind of quotes.
    Text(String),
    Number(f64),
    /// `5m`
    Period(f64, String),
    /// Punctuation.
    Sign(&'static str),
    End,
}

/// Reads a text word by word. Regular expressions are read when they are expected: elsewhere `/` divides.
pub(super) struct Lexer<'q> {
    text: &'q str,
    at: usize,
}

/// Longer ones first.
const SIGNS: [&str; 19] =
    ["!=", "<=", ">=", "=~", "=", "<", ">", "|", ",", "(", ")", "[", "]", "+", "-", "*", "/", "^", "%"];

impl<'q> Lexer<'q> {
    pub(super) fn new(text: &'q str) -> Result<Self, Malformed> {
        if text.chars().count() > MAX_QUERY_CHARS {
            let message = format!("the query has more than {MAX_QUERY_CHARS} characters");
            return Err(Malformed { message, start: MAX_QUERY_CHARS, end: text.chars().count() });
        }
        Ok(Self { text, at: 0 })
    }

    pub(super) fn text(&self, start: usize, end: usize) -> &'q str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Where it stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn back_to(&mut self, at: usize) {
        self.at = at;
    }

    /// Wrong at these bytes.
    pub(super) fn malformed(&self, message: impl Into<String>, start: usize, end: usize) -> Malformed {
        let chars = |at: usize| self.text.get(..at).map_or(0, |before| before.chars().count());
        Malformed { message: message.into(), start: chars(start), end: chars(end.max(start)) }
    }

    pub(super) fn next(&mut self) -> Result<Token, Malformed> {
        self.skip();
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(self.token(Kind::End, start)) };
        if first == '"' || first == '\'' {
            let text = self.quoted(first)?;
            return Ok(self.token(Kind::Text(text), start));
        }
        if first == '`' {
            return self.field(start);
        }
        if first.is_ascii_digit() {
            return self.number(start);
        }
        if is_of_word(first) {
            self.at += rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
            return Ok(self.token(Kind::Word(self.text(start, self.at).to_owned()), start));
        }
        match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok(self.token(Kind::Sign(sign), start))
            }
            None => Err(self.malformed(format!("unexpected character {first:?}"), start, start + first.len_utf8())),
        }
    }

    /// `/…/`, if that comes next. A backslash before a slash is not part of it.
    pub(super) fn regex(&mut self) -> Result<Option<(String, usize)>, Malformed> {
        self.skip();
        let start = self.at;
        if !self.rest().starts_with('/') {
            return Ok(None);
        }
        let mut pattern = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '/' => {
                    self.at = start + at + 1;
                    return Ok(Some((pattern, start)));
                }
                '\\' => match chars.next() {
                    Some((_, '/')) => pattern.push('/'),
                    Some((_, next)) => pattern.extend(['\\', next]),
                    None => {}
                },
                _ => pattern.push(c),
            }
        }
        Err(self.malformed("a regular expression has no end", start, self.text.len()))
    }

    fn token(&self, kind: Kind, start: usize) -> Token {
        Token { kind, start, end: self.at }
    }

    fn rest(&self) -> &'q str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Space, and comments up to the end of their line.
    fn skip(&mut self) {
        loop {
            let rest = self.rest().trim_start();
            self.at = self.text.len() - rest.len();
            if !rest.starts_with('#') {
                return;
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    /// A backslash takes a quote or a backslash as it is, and stands for itself before anything else.
    fn quoted(&mut self, quote: char) -> Result<String, Malformed> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.peek() {
                    Some((_, next)) if *next == quote || *next == '\\' => text.extend(chars.next().map(|(_, c)| c)),
                    _ => text.push('\\'),
                },
                _ if c == quote => {
                    self.at = start + at + c.len_utf8();
                    return Ok(text);
                }
                _ => text.push(c),
            }
        }
        Err(self.malformed("a string has no end", start, self.text.len()))
    }

    /// Names in backquotes and words, with dots between: `` `a-b`.c ``.
    fn field(&mut self, start: usize) -> Result<Token, Malformed> {
        let mut name = String::new();
        loop {
            if self.rest().starts_with('`') {
                name.push_str(&self.quoted('`')?);
            } else {
                let rest = self.rest();
                let word = rest.get(..rest.find(|c| !is_of_word(c)).unwrap_or(rest.len())).unwrap_or_default();
                name.push_str(word);
                self.at += word.len();
                if !(word.ends_with('.') && self.rest().starts_with('`')) {
                    return Ok(self.token(Kind::Field(name), start));
                }
            }
        }
    }

    fn number(&mut self, start: usize) -> Result<Token, Malformed> {
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        self.at += end;
        let digits = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let (number, unit) = word.split_at(digits);
        let number: f64 = match number.parse() {
            Ok(number) => number,
            Err(_) => return Err(self.malformed(format!("{word} is not a number"), start, self.at)),
        };
        let kind = if unit.is_empty() { Kind::Number(number) } else { Kind::Period(number, unit.to_owned()) };
        Ok(self.token(kind, start))
    }
}

/// What field names have without backquotes.
fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '@' | '.' | '$')
}
