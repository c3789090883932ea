//! What a command says in the end: good, no, or could not run.

use std::borrow::Cow;
use std::io::{self, Write};
use std::process::ExitCode;

/// The answer of a command that could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Exit code 0.
    Yes,
    /// Exit code 1.
    No,
}

/// A command could not run: one short sentence that names what to do. Exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Failure(String);

/// Of a command.
pub(crate) type Outcome = Result<Answer, Failure>;

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// Says what went wrong, if anything, and gives the exit code.
pub(crate) fn exit_code(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(failure) => {
            warn(&failure.to_string());
            ExitCode::from(2)
        }
    }
}

/// One line on stdout. A reader that went away (`| head`) is no error.
pub(crate) fn print(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}").and_then(|()| io::stdout().flush());
}

/// One line for a person on stderr.
pub(crate) fn warn(line: &str) {
    let _ = writeln!(io::stderr().lock(), "countersign: {line}");
}

/// Makes text of strangers safe to print on a terminal: what could move the cursor or end the line is escaped.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let risky = |c: char| {
        c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(risky) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if risky(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_write_on_the_terminal() {
        assert_eq!(printable("CN=Zürich 東京, O=\"a\""), "CN=Zürich 東京, O=\"a\"");
        assert_eq!(printable("a\nb\r\u{1b}[2J\u{9b}"), "a\\nb\\r\\u{1b}[2J\\u{9b}");
        assert_eq!(printable("\u{202e}fdp"), "\\u{202e}fdp");
        assert_eq!(printable("x\u{2028}y\u{85}z"), "x\\u{2028}y\\u{85}z");
    }
}
