//! A certificate is shown to who gives no name, or an unknown one.

use trust::Certificate;

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "default-certificate",
    severity: Severity::Info,
    about: "A certificate is shown to who gives no name, or an unknown one",
    why: "Scanners that try addresses learn which names are served there.",
    needs: Need::Tls,
    causes: &["name-bypass"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let shown = [&facts.live.no_name, &facts.live.unknown_name];
    let Some(der) = shown.into_iter().flatten().find_map(|visit| visit.chain.first()) else { return Vec::new() };
    let subject = Certificate::from_der(der).map(|certificate| certificate.subject().to_owned());
    vec![Seen::new(
        format!("It is {}.", subject.unwrap_or_else(|_| "one that cannot be read".to_owned())),
        "Refuse such handshakes with the alert unrecognized_name, as this gateway does (nginx: \
         ssl_reject_handshake on).",
    )]
}
