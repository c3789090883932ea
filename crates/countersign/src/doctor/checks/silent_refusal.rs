//! Who has no certificate is cut off without a word.

use super::super::facts::Facts;
use super::super::probe::Ended;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "silent-refusal",
    severity: Severity::Info,
    about: "Who has no certificate is cut off without a word",
    why: "Clients report a broken connection, and look for the fault in the network. AWS does the same.",
    needs: Need::Tls,
    causes: &[],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let how = match facts.live.anonymous.ended {
        Ended::Reset => "resets the connection",
        Ended::Closed => "closes the connection",
        _ => return Vec::new(),
    };
    if facts.live.request().is_none() {
        return Vec::new();
    }
    vec![Seen::new(
        format!("Without a certificate it {how}, without a TLS alert or an answer."),
        "Where you can choose, answer 403 or send the alert certificate_required; here the tag \
         countersign:rejection is respond or alert.",
    )]
}
