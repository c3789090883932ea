//! Tasks of the repository: `cargo xtask codegen [--check] [--botocore DIR]`, `cargo xtask arrows`.

mod arrows;
mod codegen;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask codegen [--check] [--botocore DIR] | arrows";

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
