//! The key exchange is not safe from quantum computers.

use rustls::NamedGroup;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "no-post-quantum",
    severity: Severity::Info,
    about: "The key exchange is not safe from quantum computers",
    why: "Traffic that is recorded today can be read when there are some: X25519MLKEM768 costs nothing to speak \
        of.",
    needs: Need::Tls,
    causes: &["no-tls13"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let group = facts.live.tls13.as_ref().and_then(|visit| visit.handshake.as_ref()?.group);
    match group {
        Some(NamedGroup::X25519MLKEM768 | NamedGroup::secp256r1MLKEM768) | None => Vec::new(),
        Some(group) => {
            let what = format!("The server chose {group:?} although X25519MLKEM768 was offered first.");
            vec![Seen::new(what, "Enable X25519MLKEM768.")]
        }
    }
}
