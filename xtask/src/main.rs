//! Tasks of the repository: `cargo xtask codegen`, `cargo xtask coverage` (both with `[--check] [--botocore DIR]`),
//! `cargo xtask arrows`.

mod arrows;
mod botocore;
mod codegen;
mod coverage;
mod operations;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask codegen|coverage [--check] [--botocore DIR] | arrows";

/// Why a task did not succeed; the sentences are for people. Exit code 1 where the answer is no, 2 where it could not run.
enum Failure {
    No(Vec<String>),
    CouldNotRun(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["codegen", options @ ..] => codegen::run(options),
        ["coverage", options @ ..] => coverage::run(options),
        ["arrows"] => arrows::run(),
        _ => Err(Failure::CouldNotRun(USAGE.to_owned())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::No(findings)) => {
            findings.iter().for_each(|finding| eprintln!("{finding}"));
            ExitCode::from(1)
        }
        Err(Failure::CouldNotRun(why)) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::CouldNotRun(why)
    }
}

/// The root of the workspace.
fn root() -> &'static std::path::Path {
    let manifest = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Writes the files that are not there with that text yet, or with `check` says which those are.
fn write_or_check(task: &str, files: impl Iterator<Item = (PathBuf, String)>, check: bool) -> Result<(), Failure> {
    let mut differing = Vec::new();
    for (path, text) in files {
        if fs::read_to_string(&path).is_ok_and(|present| present == text) {
            continue;
        }
        if check {
            differing.push(format!("{} is not what `cargo xtask {task}` makes", path.display()));
        } else {
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    if differing.is_empty() { Ok(()) } else { Err(Failure::No(differing)) }
}
