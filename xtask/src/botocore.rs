//! botocore's service models on this machine, in the version that `crates/aws/botocore-version` names.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{Failure, root};

/// Where botocore is, and whether files are only to be checked.
pub(crate) struct Botocore {
    /// `--check`: say what differs, write nothing.
    pub check: bool,
    directory: PathBuf,
}

impl Botocore {
    /// By the options of a task: `[--check] [--botocore DIR]`. Without a directory it is the one that `python3` finds.
    pub(crate) fn of(task: &str, options: &[&str]) -> Result<Self, Failure> {
        let (mut check, mut directory) = (false, None);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match *option {
                "--check" => check = true,
                "--botocore" => {
                    directory = Some(options.next().ok_or_else(|| "--botocore needs a directory".to_owned())?.into());
                }
                other => return Err(Failure::CouldNotRun(format!("{task} does not know {other}"))),
            }
        }
        let directory = directory.map_or_else(installed, Ok)?;
        is_pinned(&directory, &root().join("crates/aws/botocore-version"))?;
        Ok(Self { check, directory })
    }

    /// The newest version of a service's model.
    pub(crate) fn service(&self, name: &str) -> Result<Value, String> {
        let directory = self.directory.join("data").join(name);
        let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
        let entries = fs::read_dir(&directory).map_err(|error| failed(&directory, error))?;
        let versions: BTreeSet<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        let newest = versions.last().ok_or_else(|| format!("{} is empty", directory.display()))?;
        let (plain, packed) = (newest.join("service-2.json"), newest.join("service-2.json.gz"));
        let mut text = String::new();
        if plain.exists() {
            text = fs::read_to_string(&plain).map_err(|error| failed(&plain, error))?;
        } else {
            let file = fs::File::open(&packed).map_err(|error| failed(&packed, error))?;
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).map_err(|error| failed(&packed, error))?;
        }
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", newest.display()))
    }
}

fn installed() -> Result<PathBuf, String> {
    let output = Command::new("python3").args(["-c", "import botocore; print(botocore.__path__[0])"]).output();
    match output {
        Ok(output) if output.status.success() => Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())),
        _ => Err("botocore was not found: install the version that crates/aws/botocore-version names (python3 -m pip \
                  install botocore==…), or give its directory with --botocore"
            .to_owned()),
    }
}

/// Another version would change the generated files for reasons that are not ours.
fn is_pinned(botocore: &Path, pins: &Path) -> Result<(), String> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let (pins, module) = (read(pins)?, read(&botocore.join("__init__.py"))?);
    let pinned = pins.lines().find_map(|line| line.strip_prefix("botocore==")).unwrap_or_default().trim();
    let version = module.lines().find_map(|line| line.strip_prefix("__version__ = ")).unwrap_or_default();
    let version = version.trim_matches(|c: char| c == '\'' || c == '"' || c.is_whitespace());
    match version == pinned {
        true => Ok(()),
        false => Err(format!(
            "{} is botocore {version}, crates/aws/botocore-version names {pinned}: install that, or give its directory \
             with --botocore",
            botocore.display()
        )),
    }
}
