//! The answer in the form that was asked for.

mod json;
mod junit;
mod sarif;
mod text;

use clap::ValueEnum;

use super::checks::Severity;
use super::diagnosis::Diagnosis;
use super::facts::Facts;
use super::fix::Fixed;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Text,
    Json,
    Sarif,
    Junit,
}

/// Findings of `threshold` and above make the answer "no"; none: nothing does.
pub(super) fn render(
    format: Format,
    facts: &Facts,
    diagnosis: &Diagnosis,
    fixed: &[Fixed],
    threshold: Option<Severity>,
) -> String {
    match format {
        Format::Text => text::render(facts, diagnosis, fixed),
        Format::Json => json::render(facts, diagnosis, fixed),
        Format::Sarif => sarif::render(facts, diagnosis),
        Format::Junit => junit::render(facts, diagnosis, threshold),
    }
}
