//! `crates/aws/operations.txt`: which of AWS's operations we have, and how far.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Operations by service, each with its level. What is not in it is missing.
pub(crate) type Operations = BTreeMap<String, BTreeMap<String, Level>>;

/// How far we have an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// It does what AWS's does.
    Full,
    /// What it is told is checked, kept and read back, but not acted upon.
    Stored,
}

/// Reads the file: `[service]` lines, each followed by operations, one a line, `stored` behind those that only keep.
pub(crate) fn read(path: &Path) -> Result<Operations, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(text: &str) -> Result<Operations, String> {
    let mut operations = Operations::new();
    let mut service = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            service = Some(operations.entry(name.to_owned()).or_default());
            continue;
        }
        let service = service.as_mut().ok_or_else(|| format!("{line} stands before any [service]"))?;
        let (name, level) = match line.split_once(' ') {
            None => (line, Level::Full),
            Some((name, "stored")) => (name, Level::Stored),
            Some(_) => return Err(format!("{line:?} is neither an operation nor an operation and `stored`")),
        };
        if service.insert(name.to_owned(), level).is_some() {
            return Err(format!("{name} is there twice"));
        }
    }
    Ok(operations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read() {
        let operations = parse("# all\n[a]\nGetIt\nPutIt stored\n\n[b]\nGetIt\n").expect("it is well formed");
        assert_eq!(operations["a"], BTreeMap::from([("GetIt".into(), Level::Full), ("PutIt".into(), Level::Stored)]));
        assert_eq!(operations["b"].len(), 1);
        for broken in ["GetIt\n", "[a]\nGetIt kept\n", "[a]\nGetIt\nGetIt stored\n"] {
            assert!(parse(broken).is_err(), "{broken}");
        }
    }
}
