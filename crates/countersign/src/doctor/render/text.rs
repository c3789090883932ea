//! For people.

use crate::answer::printable;

use super::super::checks::Severity;
use super::super::diagnosis::{Diagnosis, Finding};
use super::super::facts::Facts;
use super::super::fix::Fixed;
use super::json::Seen;

pub(super) fn render(facts: &Facts, diagnosis: &Diagnosis, fixed: &[Fixed]) -> String {
    let mut lines = vec![headline(facts, diagnosis)];
    for cause in &diagnosis.causes {
        lines.push(String::new());
        finding(&cause.finding, "", &mut lines);
        for consequence in &cause.consequences {
            lines.push(format!(
                "  because of it: {}[{}]: {}",
                consequence.severity.as_str(),
                consequence.id,
                consequence.about
            ));
            lines.push(format!("    seen: {}", consequence.seen));
        }
    }
    lines.push(String::new());
    lines.extend(Seen::of(facts).lines());
    if !diagnosis.skipped.is_empty() {
        let mut reasons: Vec<(&str, usize)> = Vec::new();
        for skipped in &diagnosis.skipped {
            match reasons.iter_mut().find(|(why, _)| *why == skipped.why) {
                Some((_, count)) => *count += 1,
                None => reasons.push((skipped.why, 1)),
            }
        }
        lines
            .extend(reasons.iter().map(|(why, count)| format!("not looked for: {count} of the findings, since {why}")));
    }
    if let Some(error) = &facts.settings_error {
        lines.push(format!("settings: {error}"));
    }
    for done in fixed {
        lines.push(match &done.error {
            None => format!("fixed {}: {}", done.id, done.what),
            Some(error) => format!("not fixed {}: {}: {error}", done.id, done.what),
        });
    }
    let open = diagnosis.findings().filter(|finding| finding.fixable).count();
    if fixed.is_empty() && open > 0 {
        lines.push(format!("--fix would mend {open} of these"));
    }
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}

fn headline(facts: &Facts, diagnosis: &Diagnosis) -> String {
    let counted = |severity, one: &str, many: &str| match diagnosis.count(severity) {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let counts = [
        counted(Severity::Error, "error", "errors"),
        counted(Severity::Warning, "warning", "warnings"),
        counted(Severity::Info, "note", "notes"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    let counts = if counts.is_empty() { "nothing is wrong".to_owned() } else { counts.join(", ") };
    format!("{} at {}: {counts}", facts.target.url, facts.address)
}

fn finding(finding: &Finding, indent: &str, lines: &mut Vec<String>) {
    let fixable = if finding.fixable { " (--fix does it)" } else { "" };
    lines.push(format!("{indent}{}[{}]: {}", finding.severity.as_str(), finding.id, finding.about));
    lines.push(format!("{indent}  seen: {}", finding.seen));
    lines.push(format!("{indent}  why: {}", finding.why));
    lines.push(format!("{indent}  fix: {}{fixable}", finding.fix));
    lines.extend(finding.commands.iter().map(|command| format!("{indent}  $ {command}")));
    lines.push(format!("{indent}  docs: {}", finding.docs));
}
