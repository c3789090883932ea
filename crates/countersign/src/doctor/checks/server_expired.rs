//! The server's certificate has expired.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity, when};

pub(super) const CHECK: Check = Check {
    id: "server-expired",
    severity: Severity::Error,
    about: "The server's certificate has expired",
    why: "Clients that verify the server end the handshake, and look as if their own certificate were refused.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(server) = facts.server().filter(|server| server.not_after() < facts.now) else { return Vec::new() };
    vec![Seen::new(
        format!("{} expired on {}.", server.subject(), when(server.not_after())),
        "Renew it, and put the new one in its place.",
    )
    .command("aws acm import-certificate --certificate-arn ARN --certificate fileb://server.pem \
     --private-key fileb://server.key")]
}
