//! The server lets in whom the truststore or the rules refuse.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "wrong-client-accepted",
    severity: Severity::Error,
    about: "The server lets in whom the truststore or the rules refuse",
    why: "What is enforced is not what was meant to be.",
    needs: Need::ClientAndTls,
    causes: &["mutual-tls-off", "no-client-auth", "stranger-accepted", "certificate-optional"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let refused = facts.verdict.as_ref().and_then(|verdict| verdict.refused());
    let (Some(refused), Some(given)) = (refused, facts.given().filter(|given| given.is_let_in())) else {
        return Vec::new();
    };
    let by = refused.by.clone().unwrap_or_else(|| "the rules of the profile".to_owned());
    vec![Seen::new(
        format!("By {by} it is {}: {} The server {}.", refused.code, refused.explanation, given.ended.words()),
        "Look which truststore the server has loaded, and reload it; or give the one that is meant by \
         --truststore.",
    )]
}
