//! What the demo prints: numbered chapters, commands as a person would type them, and whether what they did is right.

use std::io::{self, IsTerminal, Write};

/// Tells the story on stdout.
pub(super) struct Narrator {
    colours: bool,
    chapter: usize,
    /// Something did not hold.
    pub(super) failed: bool,
}

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";

impl Narrator {
    pub(super) fn new() -> Self {
        let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colours, chapter: 0, failed: false }
    }

    pub(super) fn title(&self, text: &str) {
        self.line(&self.paint(BOLD, text));
    }

    pub(super) fn chapter(&mut self, text: &str) {
        self.chapter += 1;
        self.line("");
        self.line(&self.paint(BOLD, &format!("{:>2}  {text}", self.chapter)));
    }

    /// A command as a person would type it.
    pub(super) fn command(&self, text: &str) {
        let mut prompt = "    $ ";
        for line in text.lines() {
            self.line(&self.paint(DIM, &format!("{prompt}{line}")));
            prompt = "        ";
        }
    }

    /// What it printed.
    pub(super) fn output(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("      {line}"));
        }
    }

    /// Whether what happened is what the guide says.
    pub(super) fn check(&mut self, held: bool, text: &str) {
        let mark = if held { self.paint(GREEN, "✓") } else { self.paint(RED, "✗") };
        self.failed |= !held;
        self.line(&format!("    {mark} {text}"));
    }

    pub(super) fn line(&self, text: &str) {
        // A reader that went away is no reason to stop half way.
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colours { format!("{style}{text}\x1b[0m") } else { text.to_owned() }
    }
}
