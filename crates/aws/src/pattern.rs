//! The regular expressions of AWS's models, as Java reads them: the whole text must match, `\w` and `\d` are ASCII.
//!
//! Only the syntax that the models use. Each search is bounded; what cannot be decided within the bound counts as a match,
//! since the operation itself looks at its values again.

use std::iter::Peekable;
use std::str::Chars;

/// Steps of one search.
const MAX_STEPS: usize = 100_000;
/// Nested calls of one search.
const MAX_DEPTH: usize = 500;

/// Whether the whole text matches; `None` when the pattern has syntax that we do not read.
pub(crate) fn matches(pattern: &str, text: &str) -> Option<bool> {
    let alternatives = Parser { rest: pattern.chars().peekable() }.whole()?;
    let text: Vec<char> = text.chars().collect();
    let mut search = Search { text: &text, steps: 0, depth: 0 };
    let end = text.len();
    Some(search.any(&alternatives, 0, &mut |_, at| at == end))
}

#[derive(Debug)]
enum Node {
    Class(Class),
    Group(Vec<Vec<Node>>),
    /// `(?=…)` or, negated, `(?!…)`.
    Look {
        negated: bool,
        alternatives: Vec<Vec<Node>>,
    },
    Repeat {
        node: Box<Node>,
        min: usize,
        max: usize,
    },
    Start,
    End,
}

#[derive(Debug, Default)]
struct Class {
    negated: bool,
    items: Vec<Item>,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Range(char, char),
    Letter,
    Number,
    Separator,
    Word,
    Digit,
    Space,
    NotSpace,
    Any,
}

impl Class {
    fn holds(&self, c: char) -> bool {
        self.items.iter().any(|item| item.holds(c)) != self.negated
    }
}

impl Item {
    fn holds(self, c: char) -> bool {
        match self {
            Self::Range(first, last) => (first..=last).contains(&c),
            Self::Letter => c.is_alphabetic(),
            Self::Number => c.is_numeric(),
            Self::Separator => c.is_whitespace() && !c.is_control(),
            Self::Word => c.is_ascii_alphanumeric() || c == '_',
            Self::Digit => c.is_ascii_digit(),
            Self::Space => matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r'),
            Self::NotSpace => !Self::Space.holds(c),
            Self::Any => !matches!(c, '\n' | '\r'),
        }
    }
}

struct Search<'t> {
    text: &'t [char],
    steps: usize,
    depth: usize,
}

/// What must match from a position on.
type Rest<'r> = &'r mut dyn FnMut(&mut Search<'_>, usize) -> bool;

impl Search<'_> {
    fn any(&mut self, alternatives: &[Vec<Node>], at: usize, rest: Rest<'_>) -> bool {
        alternatives.iter().any(|nodes| self.all(nodes, at, rest))
    }

    fn all(&mut self, nodes: &[Node], at: usize, rest: Rest<'_>) -> bool {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.depth > MAX_DEPTH {
            return true;
        }
        let Some((node, others)) = nodes.split_first() else { return rest(self, at) };
        self.depth += 1;
        let matched = match node {
            Node::Class(class) => self.text.get(at).is_some_and(|c| class.holds(*c)) && self.all(others, at + 1, rest),
            Node::Group(alternatives) => self.any(alternatives, at, &mut |search, at| search.all(others, at, rest)),
            Node::Look { negated, alternatives } => {
                self.any(alternatives, at, &mut |_, _| true) != *negated && self.all(others, at, rest)
            }
            Node::Repeat { node, min, max } => {
                self.repeat(node, *min, *max, at, &mut |search, at| search.all(others, at, rest))
            }
            Node::Start => at == 0 && self.all(others, at, rest),
            Node::End => at == self.text.len() && self.all(others, at, rest),
        };
        self.depth -= 1;
        matched
    }

    /// As often as possible first.
    fn repeat(&mut self, node: &Node, min: usize, max: usize, at: usize, rest: Rest<'_>) -> bool {
        if let Node::Class(class) = node {
            let run = self.text[at..].iter().take(max).take_while(|c| class.holds(**c)).count();
            return (min..=run).rev().any(|count| {
                self.steps += 1;
                self.steps > MAX_STEPS || rest(self, at + count)
            });
        }
        let once_more = max > 0
            && self.all(std::slice::from_ref(node), at, &mut |search, next| {
                next > at && search.repeat(node, min.saturating_sub(1), max - 1, next, rest)
            });
        once_more || min == 0 && rest(self, at)
    }
}

struct Parser<'p> {
    rest: Peekable<Chars<'p>>,
}

impl Parser<'_> {
    fn whole(mut self) -> Option<Vec<Vec<Node>>> {
        let alternatives = self.alternatives()?;
        self.rest.next().is_none().then_some(alternatives)
    }

    fn alternatives(&mut self) -> Option<Vec<Vec<Node>>> {
        let mut alternatives = vec![Vec::new()];
        while let Some(&c) = self.rest.peek() {
            match c {
                ')' => break,
                '|' => {
                    self.rest.next();
                    alternatives.push(Vec::new());
                }
                _ => {
                    let atom = self.atom()?;
                    let node = self.repeated(atom)?;
                    alternatives.last_mut()?.push(node);
                }
            }
        }
        Some(alternatives)
    }

    fn atom(&mut self) -> Option<Node> {
        Some(match self.rest.next()? {
            '(' => self.group()?,
            '[' => Node::Class(self.class()?),
            '^' => Node::Start,
            '$' => Node::End,
            '.' => Node::Class(Class { negated: false, items: vec![Item::Any] }),
            '\\' => Node::Class(Class { negated: false, items: vec![self.escape()?] }),
            '*' | '+' | '?' | '{' => return None,
            c => Node::Class(Class { negated: false, items: vec![Item::Range(c, c)] }),
        })
    }

    fn group(&mut self) -> Option<Node> {
        let kind = self.rest.next_if_eq(&'?').map(|_| self.rest.next());
        let alternatives = self.alternatives()?;
        self.rest.next_if_eq(&')')?;
        match kind {
            None | Some(Some(':')) => Some(Node::Group(alternatives)),
            Some(Some('!')) => Some(Node::Look { negated: true, alternatives }),
            Some(Some('=')) => Some(Node::Look { negated: false, alternatives }),
            Some(_) => None,
        }
    }

    fn repeated(&mut self, node: Node) -> Option<Node> {
        let (min, max) = match self.rest.peek() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            Some('{') => return self.counted(node),
            _ => return Some(node),
        };
        self.rest.next();
        self.greedy(Node::Repeat { node: Box::new(node), min, max })
    }

    fn counted(&mut self, node: Node) -> Option<Node> {
        self.rest.next();
        let mut text = String::new();
        while let Some(c) = self.rest.next_if(|c| *c != '}') {
            text.push(c);
        }
        self.rest.next()?;
        let (min, max) = match text.split_once(',') {
            None => (text.parse().ok()?, text.parse().ok()?),
            Some((min, "")) => (min.parse().ok()?, usize::MAX),
            Some((min, max)) => (min.parse().ok()?, max.parse().ok()?),
        };
        self.greedy(Node::Repeat { node: Box::new(node), min, max })
    }

    /// Reluctant and possessive repeats, and repeats of repeats, are in no model.
    fn greedy(&mut self, node: Node) -> Option<Node> {
        let more = self.rest.peek().is_some_and(|c| matches!(c, '*' | '+' | '?' | '{'));
        (!more).then_some(node)
    }

    fn class(&mut self) -> Option<Class> {
        let mut class = Class { negated: self.rest.next_if_eq(&'^').is_some(), items: Vec::new() };
        loop {
            let item = match self.rest.next()? {
                ']' if !class.items.is_empty() => return Some(class),
                '[' | ']' | '&' if self.rest.peek() == Some(&'&') => return None,
                '\\' => self.escape()?,
                c => Item::Range(c, c),
            };
            class.items.push(self.range(item)?);
        }
    }

    /// `a-z`; a minus at the end of a class, or after a class of its own, is itself.
    fn range(&mut self, first: Item) -> Option<Item> {
        let Item::Range(first, last) = first else { return Some(first) };
        let mut ahead = self.rest.clone();
        if ahead.next() != Some('-') || ahead.next().is_none_or(|c| c == ']') {
            return Some(Item::Range(first, last));
        }
        self.rest.next();
        match self.rest.next()? {
            '\\' => match self.escape()? {
                Item::Range(_, last) => Some(Item::Range(first, last)),
                _ => None,
            },
            last => Some(Item::Range(first, last)),
        }
    }

    fn escape(&mut self) -> Option<Item> {
        let c = match self.rest.next()? {
            'w' => return Some(Item::Word),
            'd' => return Some(Item::Digit),
            's' => return Some(Item::Space),
            'S' => return Some(Item::NotSpace),
            'p' => return self.property(),
            'u' => self.code_point(4)?,
            'x' => self.code_point(2)?,
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            c if c.is_ascii_alphanumeric() => return None,
            c => c,
        };
        Some(Item::Range(c, c))
    }

    fn property(&mut self) -> Option<Item> {
        self.rest.next_if_eq(&'{')?;
        let name = self.rest.next()?;
        self.rest.next_if_eq(&'}')?;
        match name {
            'L' => Some(Item::Letter),
            'N' => Some(Item::Number),
            'Z' => Some(Item::Separator),
            _ => None,
        }
    }

    fn code_point(&mut self, digits: usize) -> Option<char> {
        let mut value = 0;
        for _ in 0..digits {
            value = value * 16 + self.rest.next()?.to_digit(16)?;
        }
        // A surrogate bounds a range; no text holds one, so the nearest character does as well.
        Some(char::from_u32(value).unwrap_or('\u{d7ff}'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Member, Shape};
    use crate::{acm, apigatewayv2, logs, sts};

    #[test]
    fn texts() {
        let arn = r"arn:[\w+=/,.@-]+:acm:[\w+=/,.@-]*:[0-9]+:[\w+=,.@-]+(/[\w+=,.@-]+)*";
        let domain = r"(\*\.)?(((?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9])\.)+((?!-)[A-Za-z0-9-]{1,62}[A-Za-z0-9])";
        for (pattern, text, expected) in [
            (r"[\.\-_/#A-Za-z0-9]+", "/aws/api-gw_1.#", true),
            (r"[\.\-_/#A-Za-z0-9]+", "a b", false),
            (r"[\.\-_/#A-Za-z0-9]+", "", false),
            (r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$", "Größe 7:ok", true),
            (r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$", "a?b", false),
            (r"[^:*]*", "stream", true),
            (r"[^:*]*", "a:b", false),
            (r"^\d{12}$", "123456789012", true),
            (r"^\d{12}$", "12345678901", false),
            (r"\w+", "é", false),
            (r"\S{2,3}", "é!", true),
            (r"\S{2,3}", "a b", false),
            (arn, "arn:aws:acm:us-east-1:123456789012:certificate/0-1-2", true),
            (arn, "foo", false),
            (arn, "arn:aws:iam::1:x", false),
            (domain, "*.api.example.com", true),
            (domain, "-api.example.com", false),
            (domain, "example", false),
            (r"a|bc", "bc", true),
            (r"a|bc", "ac", false),
            (r"(ab){2,}", "ababab", true),
            (r"(ab){2,}", "ab", false),
        ] {
            assert_eq!(matches(pattern, text), Some(expected), "{pattern} {text}");
        }
    }

    #[test]
    fn a_search_ends() {
        let (text, long) = ("a".repeat(200) + "!", "ab".repeat(100_000));
        assert!(matches("(a+)+b", &text).is_some());
        assert!(matches("(a|a)*b", &text).is_some());
        assert!(matches("(ab)*", &long).is_some());
        assert!(matches("([a]{1}[b]{1})*c", &long).is_some());
    }

    #[test]
    fn every_pattern_of_the_models_is_read() {
        fn check(members: &[Member], depth: usize) -> usize {
            members.iter().map(|member| shape(member.shape, depth)).sum()
        }
        fn shape(of: &Shape, depth: usize) -> usize {
            match of {
                _ if depth > 8 => 0,
                Shape::Structure(members) => check(members, depth + 1),
                Shape::List { of, .. } => shape(of, depth + 1),
                Shape::Map { key, value, .. } => shape(key, depth + 1) + shape(value, depth + 1),
                Shape::String { pattern: Some(pattern), .. } => {
                    assert!(matches(pattern, "a").is_some(), "{pattern}");
                    1
                }
                _ => 0,
            }
        }
        let services = [&acm::SERVICE, &apigatewayv2::SERVICE, &logs::SERVICE, &sts::SERVICE];
        let operations = services.into_iter().flat_map(|service| service.operations);
        let patterns: usize = operations.map(|operation| check(operation.input, 0)).sum();
        assert!(patterns > 20, "{patterns}");
    }
}
