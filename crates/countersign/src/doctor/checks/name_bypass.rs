//! Without its name, or under another, the server serves the domain's content to everybody.

use super::super::facts::Facts;
use super::super::probe::Visit;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "name-bypass",
    severity: Severity::Error,
    about: "Without its name, or under another, the server serves the domain's content to everybody",
    why: "The truststore that is enforced goes by the server name of the handshake, the content by the Host \
        header: who lets them differ goes round mutual TLS.",
    needs: Need::Tls,
    causes: &["mutual-tls-off", "no-client-auth", "stranger-accepted", "certificate-optional"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let refused = facts.live.anonymous.is_refused();
    let ways = [("without a server name", &facts.live.no_name), ("under a foreign server name", &facts.live.unknown_name)];
    let served = |(how, visit): (&str, &Option<Visit>)| {
        let visit = visit.as_ref().filter(|visit| refused && visit.is_served())?;
        Some(format!("{how} and with Host: {} it {}", facts.target.host, visit.ended.words()))
    };
    let ways: Vec<String> = ways.into_iter().filter_map(served).collect();
    if ways.is_empty() {
        return Vec::new();
    }
    vec![Seen::new(
        format!("Without a certificate, {}.", ways.join("; ")),
        "Refuse requests whose Host is not the handshake's server name (421), and handshakes under unknown names \
         (nginx: a default server with ssl_reject_handshake on).",
    )]
}
