//! The arrows between our crates, the names that none of them may have, and the crypto libraries that we do not want.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::{Failure, root};

/// Each crate with those that it may build on. `countersign`, the program, may build on all.
const ARROWS: &[(&str, &[&str])] = &[
    ("trust", &[]),
    ("sigv4", &[]),
    ("policy", &["trust"]),
    ("iam-policy", &[]),
    ("velocity", &[]),
    ("model", &["trust", "policy", "iam-policy", "velocity"]),
    ("aws", &["sigv4"]),
    ("journal", &["trust"]),
    ("store", &["model"]),
    ("edge", &["model", "policy", "iam-policy", "velocity", "trust", "journal", "sigv4"]),
    ("console", &[]),
    ("control", &["aws", "console", "model", "policy", "iam-policy", "trust", "store", "journal", "sigv4"]),
    (
        "countersign",
        &[
            "trust",
            "sigv4",
            "policy",
            "iam-policy",
            "velocity",
            "model",
            "aws",
            "journal",
            "store",
            "edge",
            "control",
            "console",
        ],
    ),
    ("xtask", &[]),
];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "util", "common", "helpers", "helper", "misc"];

/// There is one crypto library, aws-lc-rs.
const UNWANTED: [&str; 2] = ["ring", "openssl"];

/// Fails with every violation.
pub(crate) fn run() -> Result<(), Failure> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps", "--offline"])?;
    let metadata: Value =
        serde_json::from_slice(&metadata.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    let mut violations = forbidden_arrows(&dependencies(&metadata));
    empty_names(&root().join("crates"), &mut violations)?;
    empty_names(&root().join("xtask"), &mut violations)?;
    for unwanted in UNWANTED {
        violations.extend(who_needs(unwanted)?);
    }
    if violations.is_empty() { Ok(()) } else { Err(Failure::No(violations)) }
}

/// Each of our crates with those of ours that it builds on (not only in tests).
fn dependencies(metadata: &Value) -> BTreeMap<String, Vec<String>> {
    let packages = || metadata["packages"].as_array().into_iter().flatten();
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let ours: Vec<String> = packages().map(&name).collect();
    let of = |package: &Value| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let built_on = dependencies.filter(|dependency| dependency["kind"] != "dev");
        built_on.map(&name).filter(|dependency| ours.contains(dependency)).collect()
    };
    packages().map(|package| (name(package), of(package))).collect()
}

fn forbidden_arrows(dependencies: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut violations = Vec::new();
    for (name, built_on) in dependencies {
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| known == name) else {
            violations.push(format!("the crate {name} has no place in xtask/src/arrows.rs and ARCHITECTURE.md yet"));
            continue;
        };
        let forbidden = built_on.iter().filter(|dependency| !allowed.contains(&dependency.as_str()));
        violations.extend(forbidden.map(|dependency| format!("{name} must not build on {dependency}")));
    }
    violations
}

fn empty_names(directory: &Path, violations: &mut Vec<String>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if EMPTY_NAMES.contains(&stem) {
            violations.push(format!("{}: a name must say what is inside", path.display()));
        }
        if path.is_dir() {
            empty_names(&path, violations)?;
        }
    }
    Ok(())
}

/// Who brings a library into the program, if anybody does.
fn who_needs(library: &str) -> Result<Option<String>, String> {
    let output = cargo_unchecked(&[
        "tree",
        "--offline",
        "--package",
        "countersign",
        "--edges",
        "normal,build",
        "--invert",
        library,
    ])?;
    if !output.status.success() {
        // Cargo's way to say that nothing has that name.
        let error = String::from_utf8_lossy(&output.stderr);
        return if error.contains("did not match any packages") { Ok(None) } else { Err(error.into_owned()) };
    }
    // An empty tree: Cargo.lock has it, for a platform or a test that the program is not.
    let tree = String::from_utf8_lossy(&output.stdout);
    Ok((!tree.trim().is_empty()).then(|| format!("{library} is in the program:\n{}", tree.trim())))
}

fn cargo(arguments: &[&str]) -> Result<Output, String> {
    let output = cargo_unchecked(arguments)?;
    if output.status.success() { Ok(output) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn cargo_unchecked(arguments: &[&str]) -> Result<Output, String> {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output();
    output.map_err(|error| format!("cargo: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_forbidden_arrow_is_named() {
        let metadata = serde_json::json!({"packages": [
            {"name": "trust", "dependencies": [{"name": "serde", "kind": null}]},
            {"name": "edge", "dependencies": [{"name": "trust", "kind": null}, {"name": "store", "kind": null}]},
            {"name": "store", "dependencies": [{"name": "edge", "kind": "dev"}, {"name": "trust", "kind": "build"}]},
            {"name": "novel", "dependencies": []},
        ]});
        let violations = forbidden_arrows(&dependencies(&metadata));
        assert_eq!(
            violations,
            [
                "edge must not build on store",
                "the crate novel has no place in xtask/src/arrows.rs and ARCHITECTURE.md yet",
                "store must not build on trust",
            ]
        );
    }

    #[test]
    fn the_arrows_have_no_circle() {
        for (index, (name, allowed)) in ARROWS.iter().enumerate() {
            let earlier: Vec<&str> = ARROWS[..index].iter().map(|(name, _)| *name).collect();
            assert!(allowed.iter().all(|allowed| earlier.contains(allowed)), "{name}");
        }
    }
}
