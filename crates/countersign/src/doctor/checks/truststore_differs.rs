//! The server refuses whom the truststore accepts.

use super::super::facts::Facts;
use super::super::judge::Verdict;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "truststore-differs",
    severity: Severity::Error,
    about: "The server refuses whom the truststore accepts",
    why: "The server has another truststore than this one, an older version of it, or rules of its own.",
    needs: Need::ClientAndTls,
    // Where a reason is known this says nothing.
    causes: &[
        "client-file-unusable",
        "key-unusable",
        "key-mismatch",
        "client-chain-order",
        "truststore-unusable",
        "truststore-stale",
        "client-key-not-asked-for",
        "host-refused",
    ],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let (Some(Verdict::Accepted(name)), Some(given)) = (&facts.verdict, facts.given()) else { return Vec::new() };
    if !given.is_refused() || facts.reason().is_some() || facts.live.request().is_none() {
        return Vec::new();
    }
    vec![
        Seen::new(
            format!("By {name} the client is accepted; the server {}.", given.ended.words()),
            "Look which version of the truststore is in force, and update or reload the server; look at its revocation \
             lists and its other rules.",
        )
        .command(format!("aws apigatewayv2 get-domain-name --domain-name {}", facts.target.host)),
    ]
}
