//! `countersign nodes`: who enforces the settings, and which revision of them.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::{self, Answer, Failure, Outcome, printable};
use crate::client::ServerArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// The server's answer.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Nodes {
    nodes: Vec<Node>,
    revision: u64,
    store_lost_since: Option<i64>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    name: String,
    revision: u64,
    applied_at: i64,
    since: i64,
}

const PATH: &str = "/_countersign/api/v1/nodes";

/// Exit code 1: a node does not enforce the newest revision, or the store cannot be asked.
pub(crate) fn run(args: &Args) -> Outcome {
    let nodes = args.server.ask(async |client| {
        let answer = client.json("countersign", Method::GET, PATH, &Value::Null).await?;
        Nodes::deserialize(&answer).map_err(|e| Failure::new(format!("the server's answer is not understood: {e}")))
    })?;
    if args.json {
        answer::print(&serde_json::to_string_pretty(&nodes).expect("plain data with string keys"));
    } else {
        answer::print(nodes.text().trim_end());
    }
    Ok(if nodes.are_up_to_date() { Answer::Yes } else { Answer::No })
}

impl Nodes {
    fn are_up_to_date(&self) -> bool {
        self.store_lost_since.is_none() && self.nodes.iter().all(|node| node.revision >= self.revision)
    }

    fn text(&self) -> String {
        let width = self.nodes.iter().map(|node| node.name.chars().count()).max().unwrap_or(0).max("NODE".len());
        let mut text = format!("{:width$}  {:>8}  {:20}  {}\n", "NODE", "REVISION", "ENFORCED SINCE", "THERE SINCE");
        for node in &self.nodes {
            let name = printable(&node.name);
            let (applied, since) = (rfc3339(node.applied_at), rfc3339(node.since));
            text += &format!("{name:width$}  {:>8}  {applied:20}  {since}\n", node.revision);
        }
        let behind = self.nodes.iter().filter(|node| node.revision < self.revision).count();
        text += &match behind {
            0 => format!("The newest revision is {}.\n", self.revision),
            1 => format!("The newest revision is {}; one node does not enforce it yet.\n", self.revision),
            many => format!("The newest revision is {}; {many} nodes do not enforce it yet.\n", self.revision),
        };
        if let Some(since) = self.store_lost_since {
            text += &format!("The store cannot be asked since {}: this may be out of date.\n", rfc3339(since));
        }
        text
    }
}

fn rfc3339(millis: i64) -> String {
    trust::rfc3339(millis.div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_behind_is_told() {
        let node = |name: &str, revision| Node { name: name.to_owned(), revision, applied_at: 1000, since: 0 };
        let mut nodes = Nodes { nodes: vec![node("a", 7), node("gw-1", 6)], revision: 7, store_lost_since: None };
        assert!(!nodes.are_up_to_date());
        assert_eq!(
            nodes.text(),
            "NODE  REVISION  ENFORCED SINCE        THERE SINCE\n\
             a            7  1970-01-01T00:00:01Z  1970-01-01T00:00:00Z\n\
             gw-1         6  1970-01-01T00:00:01Z  1970-01-01T00:00:00Z\n\
             The newest revision is 7; one node does not enforce it yet.\n"
        );
        nodes.nodes.pop();
        assert!(nodes.are_up_to_date());
        nodes.store_lost_since = Some(2000);
        assert!(nodes.text().contains("cannot be asked since 1970-01-01T00:00:02Z"));
        assert!(!nodes.are_up_to_date());
    }
}
