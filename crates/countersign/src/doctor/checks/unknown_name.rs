//! The server knows no such name.

use std::net::IpAddr;

use rustls::AlertDescription;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "unknown-name",
    severity: Severity::Error,
    about: "The server knows no such name",
    why: "The server name in the handshake decides whose certificate is shown and which truststore is enforced.",
    needs: Need::Nothing,
    causes: &["unreachable", "not-tls", "old-tls-only"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    if facts.live.is_tls() || facts.live.anonymous.alert() != Some(AlertDescription::UnrecognisedName) {
        return Vec::new();
    }
    let known = facts.settings_error.as_ref().map(|error| format!(" By its settings, {error}.")).unwrap_or_default();
    let name = match facts.target.host.parse::<IpAddr>() {
        Ok(_) => "a handshake without a server name (an address is none)".to_owned(),
        Err(_) => format!("the server name {}", facts.target.host),
    };
    vec![
        Seen::new(
            format!("To {name} it answers the TLS alert unrecognized_name.{known}"),
            "Call the server by a name that is set up there, or set up the custom domain name.",
        )
        .command("aws apigatewayv2 get-domain-names --query 'Items[].DomainName'"),
    ]
}
