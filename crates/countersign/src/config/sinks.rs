//! `[[sinks]]`: where records go besides the disk.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A sink: what of the records goes where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub(crate) struct Sink {
    /// Of its own; names its file in the data directory, and its metrics.
    pub(crate) name: String,
    pub(crate) start: Start,
    pub(crate) filter: Filter,
    pub(crate) target: Target,
}

/// Where a new sink begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Start {
    /// With what is recorded from then on.
    #[default]
    End,
    /// With the oldest record that there is.
    Beginning,
}

/// Which records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Of these kinds.
    pub(crate) kinds: BTreeSet<String>,
    /// Of these domains; empty: whatever their domain is, and without one.
    pub(crate) domains: BTreeSet<String>,
}

/// Where to, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    File { path: PathBuf, format: Format },
    Stdout { format: Format },
}

/// What a record becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Its JSON, in a line.
    #[default]
    Json,
    /// The line of a load balancer's connection log.
    Alb,
}

/// The kinds that records name themselves.
const KINDS: [&str; 8] = ["access", "admission", "connection", "dropped", "event", "pruned", "refusals", "settings"];
/// What others have put into log groups is not ours to pass on unless somebody asks for it: it may have come by a sink.
const NOT_BY_DEFAULT: &str = "event";
const MAX_NAME_BYTES: usize = 64;

/// The keys, as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    r#type: Type,
    #[serde(default)]
    start: Start,
    kinds: Option<BTreeSet<String>>,
    domains: Option<BTreeSet<String>>,
    format: Option<Format>,
    path: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Type {
    File,
    Stdout,
}

impl Sink {
    /// Paths are relative to `base`.
    pub(super) fn place(&mut self, base: &Path) {
        let paths = match &mut self.target {
            Target::File { path, .. } => [Some(path)],
            Target::Stdout { .. } => [None],
        };
        for path in paths.into_iter().flatten() {
            *path = base.join(&*path);
        }
    }

    /// What is wrong with several of them together, for a person.
    pub(super) fn check(sinks: &[Self]) -> Result<(), String> {
        let mut names = BTreeSet::new();
        match sinks.iter().find(|sink| !names.insert(&sink.name)) {
            Some(sink) => Err(format!("there are two sinks named {}", sink.name)),
            None => Ok(()),
        }
    }
}

impl TryFrom<Table> for Sink {
    type Error = String;

    fn try_from(mut table: Table) -> Result<Self, String> {
        let name = table.name.clone();
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(allowed) {
            return Err(format!(
                "the name of a sink has up to {MAX_NAME_BYTES} of a-z, 0-9 and -; {name:?} has others"
            ));
        }
        let named = |why: String| format!("sink {name}: {why}");
        let format = table.format.unwrap_or_default();
        let target = table.target().map_err(named)?;
        let filter = table.filter(format).map_err(named)?;
        match table.left() {
            None => Ok(Self { name, start: table.start, filter, target }),
            Some(key) => Err(named(format!("{key} means nothing to a sink of its type"))),
        }
    }
}

impl Table {
    /// Takes the keys that its type has.
    fn target(&mut self) -> Result<Target, String> {
        Ok(match self.r#type {
            Type::File => Target::File { path: needed(self.path.take(), "path")?, format: self.format() },
            Type::Stdout => Target::Stdout { format: self.format() },
        })
    }

    fn format(&mut self) -> Format {
        self.format.take().unwrap_or_default()
    }

    fn filter(&mut self, format: Format) -> Result<Filter, String> {
        let domains = self.domains.take().unwrap_or_default();
        let all = || KINDS.into_iter().filter(|kind| *kind != NOT_BY_DEFAULT).map(str::to_owned).collect();
        let connections = || BTreeSet::from(["connection".to_owned()]);
        let kinds = match (self.kinds.take(), format) {
            (None, Format::Json) => all(),
            (None, Format::Alb) => connections(),
            (Some(kinds), Format::Alb) if kinds != connections() => {
                return Err("format \"alb\" is of connections: kinds can be [\"connection\"] only".to_owned());
            }
            (Some(kinds), _) => kinds,
        };
        if kinds.is_empty() {
            return Err("kinds is empty: leave it out for all of them".to_owned());
        }
        match kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
            Some(kind) => Err(format!("there is no kind {kind:?} of records, but {}", KINDS.join(", "))),
            None => Ok(Filter { kinds, domains }),
        }
    }

    /// A key that nobody has taken.
    fn left(&self) -> Option<&'static str> {
        let keys = [("format", self.format.is_some()), ("path", self.path.is_some())];
        keys.into_iter().find(|(_, is_left)| *is_left).map(|(key, _)| key)
    }
}

fn needed<T>(value: Option<T>, key: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("it needs {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Sink, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn a_sink_is_read() {
        let mut sink = parse("name = \"siem\"\ntype = \"file\"\npath = \"a.jsonl\"\ndomains = [\"x.test\"]").unwrap();
        sink.place(Path::new("/etc/countersign"));
        assert_eq!(sink.target, Target::File { path: "/etc/countersign/a.jsonl".into(), format: Format::Json });
        assert_eq!((sink.start, sink.filter.domains.len()), (Start::End, 1));
        assert!(sink.filter.kinds.contains("access") && !sink.filter.kinds.contains("event"));
        let alb = parse("name = \"a\"\ntype = \"stdout\"\nformat = \"alb\"\nstart = \"beginning\"").unwrap();
        assert_eq!(alb.filter.kinds, BTreeSet::from(["connection".to_owned()]));
        assert!(Sink::check(&[sink.clone(), alb]).is_ok());
        assert!(Sink::check(&[sink.clone(), sink]).unwrap_err().contains("two sinks named siem"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, said) in [
            ("type = \"file\"", "missing field `name`"),
            ("name = \"a\"", "missing field `type`"),
            ("name = \"a\"\ntype = \"pigeon\"", "unknown variant `pigeon`"),
            ("name = \"../a\"\ntype = \"stdout\"", "\"../a\" has others"),
            ("name = \"\"\ntype = \"stdout\"", "has others"),
            ("name = \"a\"\ntype = \"file\"", "sink a: it needs path"),
            ("name = \"a\"\ntype = \"stdout\"\npath = \"x\"", "sink a: path means nothing"),
            ("name = \"a\"\ntype = \"stdout\"\nurl = \"x\"", "unknown field `url`"),
            ("name = \"a\"\ntype = \"stdout\"\nkinds = [\"acess\"]", "no kind \"acess\""),
            ("name = \"a\"\ntype = \"stdout\"\nkinds = []", "kinds is empty"),
            ("name = \"a\"\ntype = \"stdout\"\nkinds = [\"access\"]\nformat = \"alb\"", "of connections"),
            ("name = \"a\"\ntype = \"stdout\"\nstart = \"now\"", "unknown variant `now`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
