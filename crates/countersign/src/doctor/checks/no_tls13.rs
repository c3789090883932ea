//! TLS 1.3 is not spoken.

use rustls::ProtocolVersion;

use super::super::facts::Facts;
use super::super::probe::{Handshake, Visit};
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "no-tls13",
    severity: Severity::Info,
    about: "TLS 1.3 is not spoken",
    why: "Before it the client's certificate, names and all, crosses the network in the clear.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let spoken = |visit: &Option<Visit>| visit.as_ref().is_some_and(|visit| visit.handshake.is_some());
    let live = &facts.live;
    if spoken(&live.tls13) || !spoken(&live.tls12) || live.anonymous.handshake.as_ref().is_some_and(is_13) {
        return Vec::new();
    }
    vec![Seen::new("A handshake in TLS 1.3 alone fails, one in TLS 1.2 succeeds.", "Switch TLS 1.3 on.")]
}

fn is_13(handshake: &Handshake) -> bool {
    handshake.version == ProtocolVersion::TLSv1_3
}
