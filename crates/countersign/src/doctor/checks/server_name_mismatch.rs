//! The server's certificate is for other names.

use std::net::IpAddr;

use trust::SubjectAltName;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

const MAX_NAMES: usize = 10;

pub(super) const CHECK: Check = Check {
    id: "server-name-mismatch",
    severity: Severity::Error,
    about: "The server's certificate is for other names",
    why: "Clients that verify the server's name end the handshake.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(server) = facts.server() else { return Vec::new() };
    let names = server.subject_alt_names();
    if names.iter().any(|name| covers(name, &facts.target.host)) {
        return Vec::new();
    }
    let shown: Vec<String> = names.iter().take(MAX_NAMES).map(ToString::to_string).collect();
    let has = match shown.is_empty() {
        true => "has no alternative names at all; a common name does not count".to_owned(),
        false => format!("is for {}", shown.join(", ")),
    };
    vec![Seen::new(
        format!("The certificate {} {has}, not for {}.", server.subject(), facts.target.host),
        "Use a certificate whose subject alternative names have the name that clients call.",
    )]
}

fn covers(name: &SubjectAltName, host: &str) -> bool {
    match (name, host.parse::<IpAddr>()) {
        (SubjectAltName::Ip(address), Ok(host)) => *address == host,
        (SubjectAltName::Dns(name), Err(_)) => {
            let name = name.to_ascii_lowercase();
            // RFC 6125 section 6.4.3: the whole of the leftmost label.
            match name.strip_prefix("*.") {
                Some(parent) => host.split_once('.').is_some_and(|(_, rest)| rest == parent),
                None => name == host,
            }
        }
        _ => false,
    }
}
