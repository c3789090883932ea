//! What a text has to look like as a whole: `identityValidationExpression` of an authorizer for tokens, `selectionPattern` of an
//! integration response for what a backend says.

use std::fmt;
use std::sync::Arc;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

/// A regular expression that a text matches as a whole. It is compiled to an automaton: a byte of the text is one step, and
/// matching takes no memory, whatever the expression is.
#[derive(Clone)]
pub struct WholePattern {
    expression: String,
    automaton: Arc<dense::DFA<Vec<u32>>>,
}

/// Not an expression that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WholePatternError {
    /// No regular expression, or one with backreferences or look-around.
    #[error(
        "it is no regular expression, or has backreferences or look-around, which are not available in Countersign"
    )]
    Syntax,
    /// It needs more states than are allowed.
    #[error("it is too large")]
    TooLarge,
}

/// Bytes of an expression.
const MAX_EXPRESSION_BYTES: usize = 1024;
/// Bytes of the automaton, and of what it is made of.
const MAX_AUTOMATON_BYTES: usize = 256 * 1024;

impl WholePattern {
    /// Reads an expression. Classes such as `\w` are ASCII, as in Java, whose expressions AWS takes.
    pub fn parse(expression: &str) -> Result<Self, WholePatternError> {
        if expression.len() > MAX_EXPRESSION_BYTES {
            return Err(WholePatternError::TooLarge);
        }
        let rules = syntax::Config::new().unicode(false).utf8(false);
        // By itself, so that no bracket in it closes the one that is put around it.
        syntax::parse_with(expression, &rules).map_err(|_| WholePatternError::Syntax)?;
        let automaton = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Anchored)
                    .dfa_size_limit(Some(MAX_AUTOMATON_BYTES))
                    .determinize_size_limit(Some(MAX_AUTOMATON_BYTES)),
            )
            .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_AUTOMATON_BYTES)))
            .syntax(rules)
            .build(&format!(r"(?:{expression})\z"))
            .map_err(|_| WholePatternError::TooLarge)?;
        Ok(Self { expression: expression.to_owned(), automaton: Arc::new(automaton) })
    }

    /// Whether all of a text is of this form.
    pub fn fits(&self, text: &str) -> bool {
        let input = Input::new(text).anchored(Anchored::Yes).earliest(true);
        // Nothing of what makes a search give up is asked of the automaton.
        self.automaton.try_search_fwd(&input).is_ok_and(|found| found.is_some())
    }
}

impl fmt::Debug for WholePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WholePattern").field(&self.expression).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_as_a_whole() {
        for (expression, token, wanted) in [
            ("Bearer .+", "Bearer x", true),
            ("Bearer .+", "bearer x", false),
            ("Bearer .+", "x Bearer x", false),
            ("Bearer [a-z]+", "Bearer abc1", false),
            ("^x-[a-z]+$", "x-abc", true),
            ("a|ab", "ab", true),
            ("a|ab", "abc", false),
            (r"\w+", "a_1", true),
            (r"\w+", "\u{e9}", false),
            (r"\d{3}", "12", false),
            ("(?i)bearer .*", "BEARER ", true),
            ("", "", true),
            ("", "a", false),
            (".*", "a\nb", false),
        ] {
            assert_eq!(WholePattern::parse(expression).unwrap().fits(token), wanted, "{expression} {token:?}");
        }
    }

    #[test]
    fn what_cannot_be_bounded_is_refused() {
        for wrong in ["(", "a)|(b", "[a", r"(a)\1", "(?=a)b", "(?<!a)b", r"\p{Nothing}"] {
            assert_eq!(WholePattern::parse(wrong).unwrap_err(), WholePatternError::Syntax, "{wrong}");
        }
        for large in ["(a{1000}){100}", "[ab]*a[ab]{20}", &"a".repeat(MAX_EXPRESSION_BYTES + 1)] {
            assert_eq!(WholePattern::parse(large).unwrap_err(), WholePatternError::TooLarge, "{large}");
        }
    }
}
