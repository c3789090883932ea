//! `countersign policy`: Cedar policies, before an API's tag names them.

use std::fs;
use std::path::PathBuf;

use ::policy::{Policies, Problem, SCHEMA};
use serde::Serialize;

use crate::answer::{self, Answer, Failure, Outcome, printable};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say what is wrong with a file of policies; answers no when countersign:policy would refuse it
    Check(CheckArgs),
    /// Print the schema that policies are held against
    Schema,
}

#[derive(clap::Args)]
struct CheckArgs {
    /// Policies in Cedar's own form
    file: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Check(args) => check(args),
        Command::Schema => {
            answer::print(SCHEMA.trim_end());
            Ok(Answer::Yes)
        }
    }
}

fn check(args: &CheckArgs) -> Outcome {
    let file = args.file.display().to_string();
    let bytes = fs::read(&args.file).map_err(|e| Failure::new(format!("{file} cannot be read: {e}")))?;
    let report = Report::of(&bytes);
    match args.json {
        true => answer::print(&serde_json::to_string_pretty(&report).expect("plain data with string keys")),
        false => answer::print(&report.text(&file)),
    }
    Ok(if report.errors.is_empty() { Answer::Yes } else { Answer::No })
}

/// What is to be said of policies.
#[derive(Debug, Serialize)]
struct Report {
    errors: Vec<Place>,
    warnings: Vec<Place>,
}

#[derive(Debug, Serialize)]
struct Place {
    line: Option<usize>,
    column: Option<usize>,
    what: String,
}

impl Report {
    fn of(bytes: &[u8]) -> Self {
        let places = |problems: Vec<Problem>| problems.into_iter().map(Place::of).collect();
        match Policies::compile(bytes) {
            Ok((_, odd)) => Self { errors: Vec::new(), warnings: places(odd) },
            Err(problems) => Self { errors: places(problems.0), warnings: Vec::new() },
        }
    }

    fn text(&self, file: &str) -> String {
        let errors = self.errors.iter().map(|place| place.text(file, "error"));
        let lines: Vec<String> = errors.chain(self.warnings.iter().map(|place| place.text(file, "warning"))).collect();
        if lines.is_empty() { format!("{file}: the policies fit") } else { lines.join("\n") }
    }
}

impl Place {
    fn of(Problem { place, what }: Problem) -> Self {
        Self { line: place.map(|place| place.0), column: place.map(|place| place.1), what }
    }

    fn text(&self, file: &str, severity: &str) -> String {
        let place = self.line.zip(self.column).map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        format!("{file}{place}: {severity}: {}", printable(&self.what))
    }
}
