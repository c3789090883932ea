//! The server accepts any certificate.

use super::super::facts::Facts;
use super::{Check, Need, Seen, Severity};

pub(super) const CHECK: Check = Check {
    id: "stranger-accepted",
    severity: Severity::Error,
    about: "The server accepts any certificate",
    why: "A certificate that anybody can make proves nothing.",
    needs: Need::Tls,
    causes: &["mutual-tls-off", "no-client-auth"],
    look,
};

fn look(facts: &Facts) -> Vec<Seen> {
    let Some(stranger) = facts.live.stranger.as_ref().filter(|stranger| stranger.is_let_in()) else { return Vec::new() };
    vec![Seen::new(
        format!("To a self-signed certificate that was made a moment ago it {}.", stranger.ended.words()),
        "Verify clients against a truststore (nginx: not optional_no_ca; Apache: not optional_no_ca), \
         and refuse the others.",
    )]
}
