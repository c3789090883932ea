//! What was found, ranked: causes first, with what is a mere consequence of them below.

use serde::Serialize;

use super::checks::{ALL, Check, Remedy, Seen, Severity};
use super::facts::Facts;

/// Everything that was found.
#[derive(Debug, Serialize)]
pub(super) struct Diagnosis {
    /// The likeliest and gravest first.
    pub(super) causes: Vec<Cause>,
    /// Checks that could not be made.
    pub(super) skipped: Vec<Skipped>,
}

/// A finding that has no other for its cause.
#[derive(Debug, Serialize)]
pub(super) struct Cause {
    #[serde(flatten)]
    pub(super) finding: Finding,
    /// What is to be seen because of it.
    pub(super) consequences: Vec<Finding>,
}

/// One finding.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Finding {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    pub(super) about: &'static str,
    pub(super) seen: String,
    pub(super) why: &'static str,
    pub(super) fix: String,
    /// For a shell.
    pub(super) commands: Vec<String>,
    /// `--fix` would mend it.
    pub(super) fixable: bool,
    pub(super) docs: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) because_of: Option<&'static str>,
    #[serde(skip)]
    pub(super) remedy: Option<Remedy>,
}

/// A check that could not be made, and why.
#[derive(Debug, Serialize)]
pub(super) struct Skipped {
    pub(super) id: &'static str,
    pub(super) why: &'static str,
}

impl Diagnosis {
    pub(super) fn of(facts: &Facts) -> Self {
        let mut skipped = Vec::new();
        let mut found: Vec<(&Check, Vec<Seen>)> = Vec::new();
        for check in ALL {
            match check.needs.lacking(facts) {
                Some(why) => skipped.push(Skipped { id: check.id, why }),
                None => found.push((check, (check.look)(facts))),
            }
        }
        found.retain(|(_, seen)| !seen.is_empty());
        let is_found = |id: &str| found.iter().any(|(check, _)| check.id == id);
        let mut causes: Vec<Cause> = Vec::new();
        let mut consequences: Vec<Finding> = Vec::new();
        for (check, seen) in &found {
            let because_of = check.causes.iter().copied().find(|cause| is_found(cause));
            for seen in seen {
                let finding = Finding::new(check, seen.clone(), because_of);
                match because_of {
                    Some(_) => consequences.push(finding),
                    None => causes.push(Cause { finding, consequences: Vec::new() }),
                }
            }
        }
        // A cause comes before its consequences in the registry, so that each finds its root here, however long the way is.
        let mut roots: Vec<(&str, &str)> = causes.iter().map(|cause| (cause.finding.id, cause.finding.id)).collect();
        for finding in consequences {
            let because_of = finding.because_of.unwrap_or_default();
            let root = roots.iter().find(|(id, _)| *id == because_of).map_or(because_of, |(_, root)| root);
            roots.push((finding.id, root));
            if let Some(cause) = causes.iter_mut().find(|cause| cause.finding.id == root) {
                cause.consequences.push(finding);
            }
        }
        // Stable: within a severity the registry's order holds.
        causes.sort_by_key(|cause| std::cmp::Reverse(cause.severity()));
        Self { causes, skipped }
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.causes.iter().flat_map(|cause| std::iter::once(&cause.finding).chain(&cause.consequences))
    }

    pub(super) fn count(&self, severity: Severity) -> usize {
        self.findings().filter(|finding| finding.severity == severity).count()
    }
}

impl Cause {
    /// A cause is as grave as what comes of it.
    fn severity(&self) -> Severity {
        let consequences = self.consequences.iter().map(|finding| finding.severity);
        consequences.chain([self.finding.severity]).max().unwrap_or(Severity::Info)
    }
}

impl Finding {
    fn new(check: &Check, seen: Seen, because_of: Option<&'static str>) -> Self {
        let Seen { what, fix, commands, severity, remedy } = seen;
        Self {
            id: check.id,
            severity: severity.unwrap_or(check.severity),
            about: check.about,
            seen: what,
            why: check.why,
            fix,
            commands,
            fixable: remedy.is_some(),
            docs: format!("docs/doctor.md#{}", check.id),
            because_of,
            remedy,
        }
    }
}
