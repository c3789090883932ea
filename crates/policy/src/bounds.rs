//! How deep an expression may be. Cedar calls itself for what is inside one when it reads, checks, evaluates and drops it, and a
//! thread's stack has an end, which is that of the process: what would come near to it is not read at all.

use crate::problem::Problem;

/// Operators, brackets and clauses that may lie within one another.
pub(crate) const MAX_DEPTH: usize = 64;

/// Refuses policies with an expression that is too deep. What is no Cedar is left to Cedar to refuse.
pub(crate) fn check(text: &str) -> Result<(), Problem> {
    let mut levels = vec![Level::default()];
    for (offset, token) in Tokens::new(text) {
        let is_outermost = levels.len() == 1;
        let level = levels.last_mut().expect("the outermost level is never taken away");
        match token {
            "(" | "{" => levels.push(Level::default()),
            "[" => {
                // It may be an attribute's name that stands in them.
                level.operators += 1;
                levels.push(Level::default());
            }
            ")" | "]" | "}" if !is_outermost => {
                let closed = level.depth() + 1;
                levels.pop();
                let outer = levels.last_mut().expect("that was not the outermost");
                outer.within = outer.within.max(closed);
            }
            ";" if is_outermost => *level = Level::default(),
            "," => *level = Level { finished: level.depth(), ..Level::default() },
            "&&" | "||" | "if" | "then" | "else" | "when" | "unless" => {
                level.joined += 1;
                level.widest = level.widest.max(level.operators);
                level.operators = 0;
            }
            "." | "!" | "+" | "-" | "*" | "<" | ">" | "=" | "in" | "has" | "like" | "is" => level.operators += 1,
            _ => {}
        }
        let depth: usize = levels.iter().map(|level| level.depth() + 1).sum();
        if depth > MAX_DEPTH {
            let what =
                format!("the expression is too deep: more than {MAX_DEPTH} operators and brackets within one another");
            return Err(Problem::at(text, offset, what));
        }
    }
    Ok(())
}

/// What stands between two brackets.
#[derive(Default)]
struct Level {
    /// Depth of the deepest of the elements that a comma has ended.
    finished: usize,
    /// `&&` and the like of this element: each has all that stands before it inside.
    joined: usize,
    /// Operators since the last of those, and the most that there were between two.
    operators: usize,
    widest: usize,
    /// The deepest brackets in this element.
    within: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.finished.max(self.joined + self.widest.max(self.operators) + self.within)
    }
}

/// Words and signs, each with its offset; texts and comments are left out.
struct Tokens<'t> {
    text: &'t str,
    offset: usize,
}

impl<'t> Tokens<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, offset: 0 }
    }

    /// Bytes of the token that `rest` begins with.
    fn length(rest: &str) -> usize {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        match rest.as_bytes() {
            [b'"', inside @ ..] => {
                let mut escaped = false;
                let end = inside.iter().position(|byte| {
                    let ends = *byte == b'"' && !escaped;
                    escaped = *byte == b'\\' && !escaped;
                    ends
                });
                end.map_or(rest.len(), |end| end + 2)
            }
            [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
            [b'&', b'&', ..] | [b'|', b'|', ..] => 2,
            _ => match rest.find(|c| !is_word(c)) {
                Some(0) => rest.chars().next().map_or(0, char::len_utf8),
                Some(end) => end,
                None => rest.len(),
            },
        }
    }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = (usize, &'t str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let offset = self.offset;
            let rest = self.text.get(offset..).filter(|rest| !rest.is_empty())?;
            let token = rest.get(..Self::length(rest))?;
            self.offset += token.len();
            if !token.starts_with('"') && !token.starts_with("//") {
                return Some((offset, token));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(condition: &str) -> String {
        format!("permit(principal, action, resource) when {{ {condition} }};")
    }

    #[test]
    fn what_is_deep_is_refused_however_it_is() {
        let repeated = |unit: &str, count: usize| unit.repeat(count);
        for deep in [
            repeated("(", 200) + "true" + &repeated(")", 200),
            repeated("true && ", 200) + "true",
            repeated("1 + ", 200) + "1 == 1",
            "context".to_owned() + &repeated(".a", 200),
            "context".to_owned() + &repeated("[\"a\"]", 200),
            repeated("!", 200) + "true",
            repeated("if true then true else ", 100) + "true",
            // Not deep where it stands, and then all of it is within what follows.
            repeated("(", 60) + "true" + &repeated(" && true)", 60),
            repeated("[", 50) + &repeated("(", 60) + "1" + &repeated(")", 60) + &repeated("]", 50),
        ] {
            assert!(check(&policy(&deep)).is_err(), "{deep}");
        }
        let clauses = repeated("} when { true ", 200);
        assert!(check(&policy(&clauses)).is_err());
    }

    #[test]
    fn what_is_long_is_not_deep() {
        let many = |unit: &str| unit.repeat(1000);
        for long in [
            format!("[{} \"a\"].contains(context.path)", many("\"a((((\\\"((\", ")),
            many("// ((((((( &&&&&&\n") + "true",
            "context.a.b == \"c\" || ".repeat(50) + "true",
        ] {
            assert_eq!(check(&policy(&long)), Ok(()));
        }
        assert_eq!(check(&many(&policy("context.path == \"/\""))), Ok(()));
        for broken in ["", ")", "}}}}", "\"", "\"\\", "a.", "é(ß", "//"] {
            assert_eq!(check(broken), Ok(()), "{broken}");
        }
    }
}
