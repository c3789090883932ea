//! `[[sinks]]`: where records go besides the disk.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sigv4::Credentials;

use super::lambda::{Source, of_environment, of_file};

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

/// Who is told of checkpoints: a file, a webhook or a bucket, with the keys of a sink of that type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Table")]
pub(crate) struct Witness(pub(crate) Target);

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
    File {
        path: PathBuf,
        format: Format,
    },
    Stdout {
        format: Format,
    },
    Webhook {
        url: String,
        format: Format,
        http: Http,
    },
    /// The URL is without the protocol's path.
    Otlp {
        endpoint: String,
        http: Http,
    },
    CloudwatchLogs {
        aws: Aws,
        group: String,
        stream: String,
    },
    /// Whole segments, whatever is in them.
    S3(Bucket),
}

/// A bucket, and how long what is put there cannot be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) aws: Aws,
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) lock: Option<Lock>,
}

/// S3 Object Lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) mode: LockMode,
    pub(crate) days: u16,
}

/// Who may remove what is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LockMode {
    /// Nobody.
    Compliance,
    /// Whoever has the right to bypass it.
    Governance,
}

/// How a server is known, and what it is told besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Http {
    /// PEM of CAs besides those of the system.
    pub(crate) ca_file: Option<PathBuf>,
    /// Headers of each request, which may be secret.
    pub(crate) headers_file: Option<PathBuf>,
}

/// A service of AWS, or one that speaks like it. What of it is secret is read when it is used, and not kept here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aws {
    /// URL of the service.
    pub(crate) endpoint: String,
    pub(crate) region: String,
    /// PEM of CAs besides those of the system.
    pub(crate) ca_file: Option<PathBuf>,
    credentials: Source,
    credentials_file: Option<PathBuf>,
    profile: String,
}

/// What a record becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// Its JSON, in a line.
    #[default]
    Json,
    /// All that are sent at a time are one array.
    JsonArray,
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
    url: Option<String>,
    endpoint: Option<String>,
    headers_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    region: Option<String>,
    credentials: Option<Source>,
    credentials_file: Option<PathBuf>,
    profile: Option<String>,
    log_group: Option<String>,
    log_stream: Option<String>,
    bucket: Option<String>,
    prefix: Option<String>,
    lock_mode: Option<LockMode>,
    lock_days: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Type {
    File,
    Stdout,
    Webhook,
    Otlp,
    CloudwatchLogs,
    S3,
}

impl Target {
    /// Paths are relative to `base`.
    pub(super) fn place(&mut self, base: &Path) {
        let paths = match self {
            Self::File { path, .. } => [Some(path), None],
            Self::Stdout { .. } => [None, None],
            Self::Webhook { http, .. } | Self::Otlp { http, .. } => [http.ca_file.as_mut(), http.headers_file.as_mut()],
            Self::CloudwatchLogs { aws, .. } | Self::S3(Bucket { aws, .. }) => {
                [aws.ca_file.as_mut(), aws.credentials_file.as_mut()]
            }
        };
        for path in paths.into_iter().flatten() {
            *path = base.join(&*path);
        }
    }
}

impl TryFrom<toml::Table> for Witness {
    type Error = String;

    fn try_from(mut table: toml::Table) -> Result<Self, String> {
        if let Some(key) =
            ["name", "start", "kinds", "domains", "format"].into_iter().find(|key| table.contains_key(*key))
        {
            return Err(format!("{key} means nothing to a witness"));
        }
        table.insert("name".to_owned(), "witness".into());
        let sink: Sink = table.try_into().map_err(|e: toml::de::Error| e.message().to_owned())?;
        match sink.target {
            target @ (Target::File { .. } | Target::Webhook { .. } | Target::S3(_)) => Ok(Self(target)),
            _ => Err("a witness is of type \"file\", \"webhook\" or \"s3\"".to_owned()),
        }
    }
}

impl Sink {
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
            Type::File => Target::File { path: needed(self.path.take(), "path")?, format: self.format()? },
            Type::Stdout => Target::Stdout { format: self.format()? },
            Type::Webhook => {
                let url = checked(needed(self.url.take(), "url")?, "url")?;
                Target::Webhook { url, format: self.format.take().unwrap_or_default(), http: self.http() }
            }
            Type::Otlp => {
                let endpoint = checked(needed(self.endpoint.take(), "endpoint")?, "endpoint")?;
                Target::Otlp { endpoint, http: self.http() }
            }
            Type::CloudwatchLogs => Target::CloudwatchLogs {
                aws: self.aws("logs")?,
                group: needed(self.log_group.take(), "log_group")?,
                stream: needed(self.log_stream.take(), "log_stream")?,
            },
            Type::S3 if self.kinds.is_some() || self.domains.is_some() => {
                return Err("segments are uploaded whole: it has no kinds and domains".to_owned());
            }
            Type::S3 => Target::S3(Bucket {
                aws: self.aws("s3")?,
                bucket: named(needed(self.bucket.take(), "bucket")?, "bucket")?,
                prefix: named(self.prefix.take().unwrap_or_default(), "prefix")?,
                lock: match (self.lock_mode.take(), self.lock_days.take()) {
                    (Some(mode), Some(days)) => Some(Lock { mode, days }),
                    (None, None) => None,
                    _ => return Err("lock_mode and lock_days belong together: set both".to_owned()),
                },
            }),
        })
    }

    /// Of lines.
    fn format(&mut self) -> Result<Format, String> {
        match self.format.take().unwrap_or_default() {
            Format::JsonArray => Err("format \"json-array\" is for webhooks".to_owned()),
            format => Ok(format),
        }
    }

    fn http(&mut self) -> Http {
        Http { ca_file: self.ca_file.take(), headers_file: self.headers_file.take() }
    }

    fn aws(&mut self, service: &str) -> Result<Aws, String> {
        let region = needed(self.region.take(), "region")?;
        let endpoint = self.endpoint.take().unwrap_or_else(|| format!("https://{service}.{region}.amazonaws.com"));
        let aws = Aws {
            endpoint: checked(endpoint, "endpoint")?,
            region,
            ca_file: self.ca_file.take(),
            credentials: self.credentials.take().unwrap_or_default(),
            credentials_file: self.credentials_file.take(),
            profile: self.profile.take().unwrap_or_else(|| "default".to_owned()),
        };
        match (aws.credentials == Source::Environment, aws.credentials_file.is_some()) {
            (true, true) => Err("it has both credentials = \"environment\" and credentials_file: keep one".to_owned()),
            (false, false) => Err("it needs credentials = \"environment\" or credentials_file".to_owned()),
            _ => Ok(aws),
        }
    }

    fn filter(&mut self, format: Format) -> Result<Filter, String> {
        let domains = self.domains.take().unwrap_or_default();
        let all = || KINDS.into_iter().filter(|kind| *kind != NOT_BY_DEFAULT).map(str::to_owned).collect();
        let connections = || BTreeSet::from(["connection".to_owned()]);
        let kinds = match (self.kinds.take(), format) {
            (None, Format::Json | Format::JsonArray) => all(),
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
        let keys = [
            ("format", self.format.is_some()),
            ("path", self.path.is_some()),
            ("url", self.url.is_some()),
            ("endpoint", self.endpoint.is_some()),
            ("headers_file", self.headers_file.is_some()),
            ("ca_file", self.ca_file.is_some()),
            ("region", self.region.is_some()),
            ("credentials", self.credentials.is_some()),
            ("credentials_file", self.credentials_file.is_some()),
            ("profile", self.profile.is_some()),
            ("log_group", self.log_group.is_some()),
            ("log_stream", self.log_stream.is_some()),
            ("bucket", self.bucket.is_some()),
            ("prefix", self.prefix.is_some()),
            ("lock_mode", self.lock_mode.is_some()),
            ("lock_days", self.lock_days.is_some()),
        ];
        keys.into_iter().find(|(_, is_left)| *is_left).map(|(key, _)| key)
    }
}

impl LockMode {
    /// As S3 writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Compliance => "COMPLIANCE",
            Self::Governance => "GOVERNANCE",
        }
    }
}

impl Aws {
    /// As they are now.
    pub(crate) fn credentials(&self) -> Result<Credentials, String> {
        match &self.credentials_file {
            Some(path) => of_file(path, &self.profile).map_err(|e| format!("{}: {e}", path.display())),
            None => of_environment(|name| env::var(name).ok())
                .ok_or_else(|| "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not in the environment".to_owned()),
        }
    }
}

/// An http or https URL with a host, without anything secret in it.
fn checked(url: String, key: &str) -> Result<String, String> {
    let uri = url.parse::<http::Uri>().ok();
    let is_good = uri.as_ref().is_some_and(|uri| {
        let is_clean = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        is_clean && matches!(uri.scheme_str(), Some("http" | "https"))
    });
    if is_good { Ok(url) } else { Err(format!("{key} is no http:// or https:// URL without credentials")) }
}

/// Part of a URL that needs no encoding.
fn named(text: String, key: &str) -> Result<String, String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._/".contains(&b);
    if text.bytes().all(allowed) { Ok(text) } else { Err(format!("{key} can have letters, digits and -._/ only")) }
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
        sink.target.place(Path::new("/etc/countersign"));
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
            ("name = \"a\"\ntype = \"stdout\"\nurl = \"x\"", "url means nothing"),
            ("name = \"a\"\ntype = \"stdout\"\nurls = \"x\"", "unknown field `urls`"),
            ("name = \"a\"\ntype = \"stdout\"\nformat = \"json-array\"", "for webhooks"),
            ("name = \"a\"\ntype = \"webhook\"", "it needs url"),
            ("name = \"a\"\ntype = \"s3\"\nkinds = [\"access\"]", "no kinds"),
            (
                "name = \"a\"\ntype = \"s3\"\nregion = \"r\"\ncredentials = \"environment\"\nbucket = \"a b\"",
                "bucket can have",
            ),
            (
                "name = \"a\"\ntype = \"s3\"\nregion = \"r\"\ncredentials = \"environment\"\nbucket = \"b\"\nlock_days = 1",
                "belong together",
            ),
            ("name = \"a\"\ntype = \"webhook\"\nurl = \"https://u:p@x.test\"", "url is no http"),
            ("name = \"a\"\ntype = \"otlp\"\nendpoint = \"ftp://x.test\"", "endpoint is no http"),
            ("name = \"a\"\ntype = \"cloudwatch-logs\"\nregion = \"r\"", "it needs credentials"),
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
