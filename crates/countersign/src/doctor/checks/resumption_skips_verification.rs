//! A resumed session is let in that was never trusted.

use super::super::facts::Facts;
use super::super::probe::Visit;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "resumption-skips-verification",
    severity: Severity::Error,
    about: "A resumed session is let in that was never trusted",
    why: "A ticket then stands for a certificate: nginx (CVE-2025-23419), Envoy and HAProxy had this hole.",
    needs: Need::Tls,
    causes: &["mutual-tls-off", "no-client-auth", "stranger-accepted", "certificate-optional"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let live = &facts.live;
    let sessions = [
        ("the session of a handshake without a certificate", &live.anonymous_again),
        ("the session of a stranger's certificate", &live.stranger_again),
        ("a session that was begun under another server name, without a certificate,", &live.carried),
    ];
    let slips = |(what, visit): (&str, &Option<Visit>)| {
        let visit = visit.as_ref().filter(|visit| visit.is_resumed() && visit.is_served())?;
        Some(format!("{what} was resumed, and then the server {}", visit.ended.words()))
    };
    let slips: Vec<String> = sessions.into_iter().filter_map(slips).collect();
    if !live.anonymous.is_refused() || slips.is_empty() {
        return Vec::new();
    }
    vec![Seen::new(
        format!("{}.", slips.join("; ")),
        "Update the server; until then switch session tickets and the session cache off, or give each \
         name its own.",
    )]
}
