//! The client's certificate is X.509 v1.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "client-x509-v1",
    severity: Severity::Info,
    about: "The client's certificate is X.509 v1",
    why: "AWS and this gateway accept it, many servers do not: Go's, Java's and rustls among them.",
    needs: Need::Client,
    causes: &["client-version"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(leaf) = facts.files.client.as_ref().and_then(|client| client.leaf()) else { return Vec::new() };
    if leaf.version() != 1 {
        return Vec::new();
    }
    vec![Seen::new(
        format!("{} has no extensions and no version.", leaf.subject()),
        "Issue it with extensions (openssl x509 -req -extfile …), so that it works everywhere.",
    )]
}
