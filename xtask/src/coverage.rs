//! Writes `docs/coverage.md`: all of AWS's operations of the services that we have, and how far each is here.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::botocore::Botocore;
use crate::operations::{self, Level};
use crate::{Failure, codegen, root, write_or_check};

/// Writes the file, or with `--check` only says whether it differs.
pub(crate) fn run(options: &[&str]) -> Result<(), Failure> {
    let botocore = Botocore::of("coverage", options)?;
    let mut served = operations::read(&root().join("crates/aws/operations.txt"))?;
    let mut services = Vec::new();
    for name in codegen::services() {
        services.push(Coverage::of(name, &botocore, served.remove(name).unwrap_or_default())?);
    }
    let file = (root().join("docs/coverage.md"), render(&services));
    write_or_check("coverage", [file].into_iter(), botocore.check)
}

/// One service.
struct Coverage {
    name: &'static str,
    title: String,
    /// All of AWS's operations; `None` are missing.
    operations: BTreeMap<String, Option<Level>>,
}

impl Coverage {
    fn of(name: &'static str, botocore: &Botocore, served: BTreeMap<String, Level>) -> Result<Self, String> {
        let model = botocore.service(name)?;
        let names = model["operations"].as_object().into_iter().flat_map(|operations| operations.keys());
        let operations: BTreeMap<_, _> = names.map(|name| (name.clone(), served.get(name).copied())).collect();
        match served.keys().find(|name| !operations.contains_key(*name)) {
            Some(unknown) => Err(format!("AWS's {name} has no operation {unknown}")),
            None => {
                let title = model["metadata"]["serviceFullName"].as_str().unwrap_or(name).to_owned();
                Ok(Self { name, title, operations })
            }
        }
    }

    fn count(&self, level: Option<Level>) -> usize {
        self.operations.values().filter(|found| **found == level).count()
    }
}

fn render(services: &[Coverage]) -> String {
    let mut text = String::from(
        "# Coverage\n\n\
         All of AWS's operations of the services that are here. Made from the code by `cargo xtask coverage`; what holds within an\n\
         operation is in [reference.md](reference.md), and what is not there in [missing.md](missing.md).\n\n\
         - **full**: it does what AWS's does, within what the reference says.\n\
         - **stored only**: what it is told is checked, kept and read back, but not acted upon.\n\
         - **missing**: it answers as AWS answers for an operation that it does not have.\n\n\
         | service | | full | stored only | missing | of AWS's |\n|---|---|---|---|---|---|\n",
    );
    for service in services {
        let counts = [Some(Level::Full), Some(Level::Stored), None].map(|level| service.count(level).to_string());
        let (name, title, all) = (service.name, &service.title, service.operations.len());
        let _ = writeln!(text, "| [{name}](#{name}) | {title} | {} | {all} |", counts.join(" | "));
    }
    for service in services {
        let _ = write!(text, "\n## {}\n\n| operation | here |\n|---|---|\n", service.name);
        for (operation, level) in &service.operations {
            let here = match level {
                Some(Level::Full) => "full",
                Some(Level::Stored) => "stored only",
                None => "missing",
            };
            let _ = writeln!(text, "| {operation} | {here} |");
        }
    }
    text
}
