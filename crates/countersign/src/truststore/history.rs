//! `countersign truststore history`: the truststores that a domain has and had.

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use trust::{Truststore, UnixSeconds};

use crate::answer::{self, Answer, Failure, Outcome, printable};
use crate::client::{Client, ServerArgs};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The custom domain name
    #[arg(long, value_name = "DOMAIN")]
    domain: String,
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// What a server says of a domain's truststores.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct History {
    /// The latest first.
    items: Vec<Item>,
    shadow: Option<Item>,
}

/// A truststore that a domain has or had. Times are milliseconds since 1970.
#[derive(Debug, Deserialize, Serialize)]
struct Item {
    uri: String,
    version: String,
    digest: String,
    since: i64,
    /// None: it is in force.
    until: Option<i64>,
    #[serde(default)]
    newest: Option<Newest>,
}

/// A newer version of the object than the one that is enforced.
#[derive(Debug, Deserialize, Serialize)]
struct Newest {
    version: String,
    /// None: it is no truststore.
    digest: Option<String>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let history = args.server.ask(async |client| History::of(client, &args.domain).await)?;
    answer::print(&match args.json {
        true => serde_json::to_string_pretty(&history).expect("plain data with string keys"),
        false => history.text(),
    });
    Ok(Answer::Yes)
}

impl History {
    pub(super) async fn of(client: &Client, domain: &str) -> Result<Self, Failure> {
        let path = format!("{}/truststores", super::domain_path(domain));
        let answer = client.json("countersign", Method::GET, &path, &Value::Null).await?;
        serde_json::from_value(answer).map_err(|e| Failure::new(format!("the server's answer cannot be read: {e}")))
    }

    /// The truststore of a version; of several the latest.
    pub(super) async fn version(&self, client: &Client, version: &str, at: UnixSeconds) -> Result<Truststore, Failure> {
        let digest = self.digest(version).ok_or_else(|| {
            let known: Vec<&str> = self.items.iter().map(|item| item.version.as_str()).collect();
            Failure::new(format!("the domain has not had version {version}; it knows {}", known.join(", ")))
        })?;
        let path = format!("/_countersign/api/v1/truststores/{}", utf8_percent_encode(digest, NON_ALPHANUMERIC));
        let answer = client.json("countersign", Method::GET, &path, &Value::Null).await?;
        let pem = answer["pem"].as_str().unwrap_or_default();
        let compiled = Truststore::compile(pem.as_bytes(), at);
        compiled.map(|(truststore, _)| truststore).map_err(|e| Failure::new(format!("version {version}: {e}")))
    }

    /// The version that is enforced.
    pub(super) fn enforced(&self) -> Option<&str> {
        self.items.first().filter(|item| item.until.is_none()).map(|item| item.version.as_str())
    }

    fn digest(&self, version: &str) -> Option<&str> {
        let newest = self.items.iter().filter_map(|item| item.newest.as_ref());
        let newest = newest.filter_map(|newest| Some((newest.version.as_str(), newest.digest.as_deref()?)));
        let known = self.items.iter().chain(&self.shadow).map(|item| (item.version.as_str(), item.digest.as_str()));
        known.chain(newest).find(|(known, _)| *known == version).map(|(_, digest)| digest)
    }

    fn text(&self) -> String {
        let time = |millis: i64| trust::rfc3339(millis.div_euclid(1000));
        let mut lines = Vec::new();
        for (item, shadow) in self.items.iter().map(|item| (item, false)).chain(self.shadow.iter().map(|it| (it, true)))
        {
            let Item { uri, version, digest, since, until, newest } = item;
            let state = match until {
                _ if shadow => "shadow, judged and not enforced".to_owned(),
                None => "enforced".to_owned(),
                Some(until) => format!("until {}", time(*until)),
            };
            lines.push(format!("{} version {}: since {}, {state}", printable(uri), printable(version), time(*since)));
            lines.push(format!("  SHA-256 {digest}"));
            if let Some(newest) = newest {
                lines.push(format!(
                    "  the object has version {} by now, which is not enforced",
                    printable(&newest.version)
                ));
            }
        }
        match lines.is_empty() {
            true => "the domain has no truststore and had none".to_owned(),
            false => lines.join("\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_found_wherever_they_are() {
        let history = json!({
            "items": [
                {"uri": "s3://b/k", "version": "v2", "digest": "d2", "since": 2000, "until": null,
                 "newest": {"version": "v3", "digest": "d3"}},
                {"uri": "s3://b/k", "version": "v1", "digest": "d1", "since": 1000, "until": 2000},
            ],
            "shadow": {"uri": "s3://b/n", "version": "n1", "digest": "e1", "since": 3000},
        });
        let history: History = serde_json::from_value(history).unwrap();
        for (version, digest) in
            [("v1", Some("d1")), ("v2", Some("d2")), ("v3", Some("d3")), ("n1", Some("e1")), ("x", None)]
        {
            assert_eq!(history.digest(version), digest, "{version}");
        }
        assert_eq!(history.enforced(), Some("v2"));
        let text = history.text();
        assert!(
            text.starts_with("s3://b/k version v2: since 1970-01-01T00:00:02Z, enforced\n  SHA-256 d2\n"),
            "{text}"
        );
        assert!(text.contains("s3://b/k version v1: since 1970-01-01T00:00:01Z, until 1970-01-01T00:00:02Z"), "{text}");
        assert!(text.contains("s3://b/n version n1: since 1970-01-01T00:00:03Z, shadow"), "{text}");
    }
}
